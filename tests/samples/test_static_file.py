"""An exported file trains exactly as the samples that it was made of; a broken one is refused by place."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG, TITLES, drawn, small_catalog

from train_utils.prompts.messages import ControlPart, ItemPart
from train_utils.samples.encode import encode_code_sample, encode_retrieval_sample, encode_sample
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.static_file import StaticSamples, export_samples
from train_utils.samples.tasks import parse_tasks

CATALOG = small_catalog()
CHAT = tiny_chat(TITLES)[1]
ALL_TASKS = "SFTSeqRec-MR,SFTSeqRec-CS-MR,SFTSeqRanking-MR,SFTCategory,SFTItemCount-CS,SFTAlignment,ShareChatGPT"
ALL_TASKS += ",SFTConversation:3,SFTReading:3"


def samples_of(source, encode, n):
    stream = SampleStream(source, source.chat, encode, 2, 1, 1, torch.device("cpu"))
    return stream.samples(range(n))


@settings(max_examples=12)
@given(
    st.sampled_from([encode_sample, encode_retrieval_sample]),
    st.sampled_from([0.0, 0.7]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 99),
)
def test_an_exported_file_gives_the_samples_that_it_was_made_of(tmp_path_factory, encode, soft, history, seed):
    config = dataclasses.replace(
        CONFIG, tasks=parse_tasks(ALL_TASKS), soft_labels=soft, history_weight=history, seed=seed, idx=bool(seed % 2)
    )
    source = drawn(CHAT, config)
    path = tmp_path_factory.mktemp("static") / "sft.json"
    assert export_samples(source, 3, path) == 27
    static = StaticSamples(path, CATALOG, CHAT, config)
    assert static.samples(3) == source.samples(3) == 27
    for expected, actual in zip(samples_of(source, encode, 27), samples_of(static, encode, 27), strict=True):
        for name in ("ids", "text", "forced", "task"):
            assert getattr(expected, name) == getattr(actual, name)
        for one, other in zip(expected.choices, actual.choices, strict=True):
            assert one[:2] == other[:2]
            np.testing.assert_array_equal(one[2], other[2])
            np.testing.assert_array_equal(one[3], other[3])


@pytest.mark.parametrize(
    ("form", "encode"),
    [("token", encode_code_sample), ("token_title", encode_code_sample), ("rq_token_seq", encode_sample)],
)
def test_an_exported_file_holds_titles_and_is_read_back_as_codes(tmp_path, form, encode):
    """The export knows no item form: one file trains them all."""
    config = dataclasses.replace(CONFIG, tasks=parse_tasks(ALL_TASKS))
    path = tmp_path / "sft.json"
    export_samples(drawn(CHAT, config), 1, path)
    assert "<item_" not in path.read_text() and "<a_" not in path.read_text()
    chat = coded_chat(TITLES, form)[1]
    static = samples_of(StaticSamples(path, CATALOG, chat, config), encode, 9)
    for expected, actual in zip(samples_of(drawn(chat, config), encode, 9), static, strict=True):
        assert (expected.ids, expected.text, expected.task) == (actual.ids, actual.text, actual.task)
        assert list(expected.anchors) == list(actual.anchors)
        assert [choice[0] for choice in expected.choices] == [choice[0] for choice in actual.choices]
        for one, other in zip(expected.choices, actual.choices, strict=True):
            np.testing.assert_array_equal(one[2], other[2])
            np.testing.assert_array_equal(one[3], other[3])
    assert any(set(chat.item_tokens).intersection(sample.ids) for sample in static)


def test_the_file_has_the_published_form_and_reads_as_a_person_would(tmp_path):
    path = tmp_path / "sft.json"
    export_samples(drawn(CHAT, dataclasses.replace(CONFIG, tasks=parse_tasks("SFTCategory"))), 2, path)
    epochs = json.loads(path.read_text())
    assert [len(epoch) for epoch in epochs] == [9, 9]
    for record in (record for epoch in epochs for record in epoch):
        assert list(record) == ["input_text", "output_text", "task", "input_field_data"]
        known = record["input_field_data"]
        title = CATALOG.items[CATALOG.index[known["target"]]].title
        assert record["output_text"].startswith(f"<SOI>{title}<EOI>") and record["task"] == "SFTCategory"
        assert known.get("only", known.get("without")) in record["input_text"]


def written(tmp_path, *records):
    path = tmp_path / "own.json"
    path.write_text(json.dumps([list(records)]))
    return StaticSamples(path, CATALOG, CHAT, CONFIG)


def record(request="I had <SOI>red<EOI>. More, each in <SOI> and <EOI>?", answer="<SOI>red moon<EOI>", **known):
    return {"input_text": request, "output_text": answer, "task": "mine", "input_field_data": known}


def test_a_file_of_ones_own_needs_the_two_texts_alone(tmp_path):
    source = written(tmp_path, {"input_text": record()["input_text"], "output_text": "Take <SOI>red moon<EOI>!"})
    (talk,) = source.talks([0])
    assert [p.item for p in talk.messages[1].parts if isinstance(p, ItemPart)] == [0]
    assert [p.which for p in talk.messages[1].parts if isinstance(p, ControlPart)] == ["soi", "eoi"]
    assert [p for p in talk.messages[2].parts] == ["Take ", ItemPart(1), "!"]
    assert talk.task == "static" and talk.n_history == 0
    (sample,) = samples_of(source, encode_sample, 1)
    assert sample.choices


def test_answers_of_several_turns_may_have_items_in_a_typed_conversation(tmp_path):
    turns = [["user", "more <SOI>"], ["assistant", "1. <SOI>red<EOI>\n2. <SOI>night<EOI>"]]
    rankings = [{"items": ["2"], "scores": [0.5]}]
    (talk,) = written(tmp_path, record("<EOI>?", typed=True, after=turns, teachers_before=rankings)).talks([0])
    assert [entry.parts for entry in talk.messages[1:]] == [
        ("<EOI>?",),
        (ItemPart(1),),
        ("more <SOI>",),
        ("1. ", ItemPart(0), "\n2. ", ItemPart(13)),
    ]
    assert talk.ranked_before[0].items == (2,)
    plain = written(tmp_path, record(after=turns)).talks([0])[0]
    assert plain.messages[-1].parts == (turns[1][1],), "without the mark an answer after the list is plain text"


def test_epochs_come_again_in_another_order(tmp_path):
    source = written(tmp_path, *(record(answer=f"<SOI>{title}<EOI>") for title in TITLES))
    assert source.samples(2) == 40
    first, again = (
        [talk.messages[2].parts[0].item for talk in source.talks(range(start, start + 20))] for start in (0, 20)
    )
    assert sorted(first) == sorted(again) == list(range(20)) and first != again


@pytest.mark.parametrize(
    "content,match",
    [
        ("[[", "is not JSON"),
        ("{}", "list of epochs"),
        ("[]", "list of epochs"),
        ("[[]]", "list of epochs"),
        ('[["x"]]', "sample 0 of epoch 0"),
        (json.dumps([[record(), {"input_text": "a"}]]), "sample 1 of epoch 0 .* no text under 'output_text'"),
        (json.dumps([[record(answer="<SOI>Nothing Like It<EOI>")]]), "without a title of the catalog"),
        (json.dumps([[record(answer="red<EOI>")]]), "without a title of the catalog"),
        (json.dumps([[record(answer="")]]), "output_text is empty"),
        (json.dumps([[record(history=["99"])]]), "'99' is not in the catalog"),
        (json.dumps([[record(before=[["system", "obey"]])]]), "wanted the role user or assistant"),
        (json.dumps([[record(teacher={"items": ["1"], "scores": []})]]), "1 items and 0 scores"),
        (json.dumps([[record(teachers_before=3)]]), "sample 0 of epoch 0"),
        (json.dumps([[record(typed=True, after=[["assistant", "<SOI>x y<EOI>"]])]]), "without a title of the catalog"),
        (json.dumps([[record(teacher=3)]]), "sample 0 of epoch 0"),
    ],
)
def test_a_broken_file_is_refused_by_place(tmp_path, content, match):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=match):
        StaticSamples(path, CATALOG, CHAT, CONFIG)


def test_a_missing_file_names_what_makes_one(tmp_path):
    with pytest.raises(ValueError, match="SFT_Export makes one"):
        StaticSamples(tmp_path / "none.json", CATALOG, CHAT, CONFIG)


def test_a_sample_that_is_too_long_is_told_by_place(tmp_path):
    source = written(tmp_path, record(request="the end " * 600))
    with pytest.raises(ValueError, match="sample 0 of epoch 0 .* raise it, or shorten the sample"):
        source.talks([0])


def test_an_interrupted_export_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "sft.json"
    path.write_text("kept")

    class Broken(type(drawn(CHAT).teacher)):
        def top_k(self, histories, k, scores=False):
            raise ValueError("away")

    source = drawn(CHAT)
    source.teacher = Broken()
    with pytest.raises(ValueError, match="away"):
        export_samples(source, 1, path)
    assert path.read_text() == "kept" and list(tmp_path.iterdir()) == [path]
