"""Conversations are read record by record; only exchanges that fit whole are used."""

import json

import pytest
from tiny import tiny_chat

from train_utils.chat import message
from train_utils.sharegpt import load_exchanges, read_records


def talk(*turns):
    return {"conversations": [{"from": "human" if i % 2 == 0 else "gpt", "value": t} for i, t in enumerate(turns)]}


def test_arrays_lines_and_cut_off_files_give_what_they_hold(tmp_path):
    records = [talk("a", "b"), talk("[c]", '{"d"'), talk("e", "f")]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(records))
    assert list(read_records(path)) == records
    path.write_text("\n".join(map(json.dumps, records)))
    assert list(read_records(path)) == records
    path.write_text(json.dumps(records, indent=1)[:-12])
    assert list(read_records(path)) == records[:2]


def test_only_whole_exchanges_that_fit_are_kept(tmp_path):
    chat = tiny_chat(["red"])[1]
    path = tmp_path / "x.json"
    records = [talk("hi", "x" * 500), talk("only a question"), talk("one", " two ", "three"), talk("", "four")]
    path.write_text(json.dumps(records))
    assert load_exchanges(path, chat, 20) == [(message("user", "one"), message("assistant", "two"))]
    with pytest.raises(ValueError, match="raise --max_segment"):
        load_exchanges(path, chat, 1)
    with pytest.raises(ValueError, match="do not exist"):
        load_exchanges(tmp_path / "none.json", chat, 20)
