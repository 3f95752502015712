"""Small files that a run keeps for its next start are refused, or read, in one line and without a traceback."""

import json

import pytest
from damage import faults
from fuzz_own_files import CATALOG, CHAT, CONFIG, READERS, read_stage, stage_of, write_codes, write_stage

from train_utils.item_codes import MAX_LEVELS, read_item_codes
from train_utils.samples.static_file import StaticSamples
from train_utils.training.run_log import RunLog


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_file_is_refused_or_read(reader):
    assert faults(reader, range(40)) == []


@pytest.mark.parametrize(
    "content", ["[]", "3", "[" * 99_999, '"a"', '{"outputs": 3}', '{"fingerprint": [], "outputs": {}}', "\udcff"]
)
def test_a_broken_record_makes_a_stage_run_again(tmp_path, content):
    write_stage(tmp_path)
    for path in (stage_of(tmp_path).record, tmp_path / "digests.cache"):
        path.write_text(content, errors="surrogateescape")
    read_stage(tmp_path)


@pytest.mark.parametrize("line", ["[1]", '{"step": "9"}', "{}", "[" * 99_999, '{"step": null}', "\udcff"])
def test_a_log_is_cut_before_a_line_that_is_no_record(tmp_path, line):
    first = json.dumps({"step": 0, "loss": 1.0}) + "\n"
    (tmp_path / "log.jsonl").write_text(f"{first}{line}\n{first}", errors="surrogateescape")
    RunLog(tmp_path, 5, tensorboard=False)
    assert (tmp_path / "log.jsonl").read_text() == first


def test_a_code_of_a_hundred_thousand_tokens_is_refused_at_once(tmp_path):
    write_codes(tmp_path)
    content = {"form": "rq_token_seq", "codes": {"1": ["<a_1>"] * 100_000, "2": ["<a_2>"]}}
    (tmp_path / "item_index.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"up to {MAX_LEVELS}") as caught:
        read_item_codes(tmp_path)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("known", [
    {"teacher": {"items": ["1"], "scores": [10**400]}}, {"teacher": {"items": ["1"], "scores": ["nan"]}},
    {"teacher": {"items": ["1"], "scores": [-1]}}, {"beginnings": {"1": {"items": ["1"], "scores": [float("inf")]}}},
    {"beginnings": {"x": {"items": [], "scores": []}}}, {"beginnings": []}, {"history": [[]]}, {"before": [3]},
])  # fmt: skip
def test_a_sample_with_odd_numbers_is_refused_by_place(tmp_path, known):
    record = {"input_text": "more", "output_text": "a list", "input_field_data": known}
    (tmp_path / "sft.json").write_text(json.dumps([[record]]))
    with pytest.raises(ValueError, match="sample 0 of epoch 0") as caught:
        StaticSamples(tmp_path / "sft.json", CATALOG, CHAT, CONFIG)
    assert "\n" not in str(caught.value)
