"""The benchmark of item forms runs on a tiny model, and counts what it says it counts."""

import json
from contextlib import closing
from types import SimpleNamespace

import bench_forms
import pytest
import torch
from bench_forms import LabelCounter, MeasuredSteps, Options, check, measure, recipe, show, steps_in, trained_forms
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG, TITLES, FixedTeacher, drawn, small_catalog, write_small_catalog
from trained_models import backbone_at

from train_utils.samples.encode import encode_code_sample, encode_sample, labeled_items
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sequences import SequenceSamples
from train_utils.teacher.recorded import RecordedTeacher

FORMS = ("token", "token_title")


def tiny_options(folder, **more) -> Options:
    write_small_catalog(folder / "small")
    turns = [{"from": "human", "value": "the end?"}, {"from": "gpt", "value": "a night."}]
    (folder / "chats.json").write_text(json.dumps([{"id": "1", "conversations": turns}]))
    catalog = small_catalog()
    histories = [catalog.ids(s) for s in catalog.sequences.values()]
    recording = RecordedTeacher(folder / "teacher.sqlite", FixedTeacher())
    recording.top_k([s[a:b] for s in histories for b in range(1, 9) for a in range(b)], 19, scores=True)
    return Options(
        data_path=str(folder / "small"),
        backbone=backbone_at(folder / "tiny"),
        teacher=f"file:{folder}/teacher.sqlite",
        gpu="cpu",
        users=4,
        flags=f"--lora_layers 1 --share_chat_gpt {folder}/chats.json --dtype float32",
        **more,
    )


def test_every_form_has_a_row_and_the_last_line_is_json(tmp_path, capsys):
    options = tiny_options(tmp_path, steps=3)
    record = measure(options)
    show(record)
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == record
    assert [row["form"] for row in record["forms"]] == [line.split()[0] for line in table[2:]]
    assert [row["form"] for row in record["forms"]] == trained_forms(options.data_path)
    rows = {row["form"]: row for row in record["forms"]}
    for row in rows.values():
        assert row["steps"] == 3 and row["minutes"] > 0 and row["lists_per_s"] > 0 and row["items_per_s"] > 0
        assert 0 <= row["ndcg@10"] <= row["hr@10"] <= 1
        assert row["passes_per_item"] > 0
        assert row["items_per_s_to_titles"] == row["items_per_s"] / rows["title_t"]["items_per_s"]
    assert rows["token"]["tokens_per_item"] == 3, "<SOI>, the code, <EOI>"
    assert rows["token_title"]["tokens_per_item"] == rows["title_t"]["tokens_per_item"] + 1
    assert rows["token"]["passes_per_item"] <= 1


def test_the_recipe_of_a_form_is_that_of_the_script():
    assert recipe("title_t")[recipe("title_t").index("--lr") + 1] == "3e-3"
    for form in FORMS:
        flags = recipe(form)
        assert flags[flags.index("--item_index") + 1] == form and "--sequences" in flags


@pytest.mark.parametrize("form", FORMS)
def test_an_item_of_a_window_counts_once(form):
    _, chat = coded_chat(TITLES, form)
    source = SequenceSamples(small_catalog(), chat, FixedTeacher(), CONFIG, 5)
    for talk in source.talks(range(source.samples(2))):
        written = [token for token in talk.rendered.ids if token in chat.item_tokens]
        assert labeled_items(chat, talk, CONFIG) == len(written) - 1, "the first has nothing to be predicted from"


@pytest.mark.parametrize("form", ["title_t", *FORMS])
def test_items_of_a_conversation_count_where_they_are_labeled(form):
    _, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form)
    for talk in drawn(chat).talks(range(40)):
        listed = sum(talk.rendered.labeled[start] for start, _ in talk.rendered.items)
        assert labeled_items(chat, talk, CONFIG) == listed + max(0, talk.n_history - 1)


@pytest.mark.parametrize(("form", "encode"), [("title_t", encode_sample), ("token", encode_code_sample)])
def test_the_items_of_the_steps_are_those_of_their_samples(form, encode):
    _, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form)
    source, labels = drawn(chat), LabelCounter(encode)
    with closing(SampleStream(source, chat, labels, 2, 2, 1, torch.device("cpu"))) as stream:
        measured = MeasuredSteps(stream, labels)
        for step in range(16):
            measured(step)
    measured.end(1)
    assert measured.items == sum(labeled_items(chat, talk, CONFIG) for talk in source.talks(range(64)))
    assert len(measured.times) == 17 and measured.seconds > 0


def test_the_schedule_is_as_long_as_the_measured_speed_allows(monkeypatch):
    trained = []

    def train_form(options, catalog, steps, folder):
        measured = MeasuredSteps(None, None)
        measured.times = [0.0, *(100.0 + 2 * step for step in range(steps))]
        trained.append(steps)
        return measured

    monkeypatch.setattr(bench_forms, "train_form", train_form)
    assert steps_in(1.0, SimpleNamespace(), None, 8) == 30, "the first step waits for samples and does not count"
    assert steps_in(0.001, SimpleNamespace(), None, 8) == 1
    assert trained == [9, 9]


@pytest.mark.parametrize(
    ("more", "told"), [({"minutes": 0.0}, "--minutes"), ({"steps": -1}, "--steps"), ({"probe": 0}, "--probe")]
)
def test_numbers_out_of_range_are_named(more, told):
    with pytest.raises(ValueError, match=told):
        check(Options(**more))
