"""Conversations of strangers are read in bounded memory and linear work; what cannot be read is counted."""

import json
from collections import Counter

import pytest
from limits import run_limited
from tiny import tiny_chat

from train_utils.prompts import json_stream
from train_utils.prompts.json_stream import BROKEN, GIVEN_UP, LONG, MAX_VALUE, json_values
from train_utils.prompts.sharegpt import load_exchanges, read_records

RECORD = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}


def records(path, text):
    unreadable = Counter()
    path.write_text(text)
    return list(read_records(path, unreadable)), unreadable


def test_a_value_above_the_limit_is_counted_and_the_records_around_and_in_it_are_read(tmp_path):
    many = ", ".join([json.dumps(RECORD | {"pad": "x" * (1 << 20)})] * (MAX_VALUE // (1 << 20) + 2))
    read, unreadable = records(tmp_path / "x", f'{json.dumps(RECORD)}\n{{"data": [{many}]}}\n{json.dumps(RECORD)}')
    assert len(read) == MAX_VALUE // (1 << 20) + 4 and unreadable == {LONG: 1}
    read, unreadable = records(tmp_path / "x", f'{json.dumps(RECORD)}\n["{"x" * 2 * MAX_VALUE}"]\n{json.dumps(RECORD)}')
    assert read == [RECORD, RECORD] and unreadable == {LONG: 1}


HOSTILE = {
    "numbers": "1,",
    "braces": "{",
    "objects in objects": '{"a":1,"b":',
    "open strings": '{"a":"',
    "empty objects": "{},",
    "brackets": "[",
    "quotes": '"',
    "records that break": '{"a":{"b":x}},',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_twice_the_text_takes_at_most_twice_the_work(monkeypatch, text):
    """Work is what the decoder is given to read, up to the error or the end of the value."""
    read = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, part, at=0):
            try:
                value, end = super().raw_decode(part, at)
            except json.JSONDecodeError as error:
                read.append(error.pos - at)
                raise
            except RecursionError:
                read.append(20_000)
                raise
            read.append(end - at)
            return value, end

    monkeypatch.setattr(json_stream.json, "JSONDecoder", Decoder)

    def work(n: int) -> int:
        read.clear()
        long = text * n
        chunks = (long[at : at + 1000] for at in range(0, len(long), 1000))
        assert sum(1 for _ in json_values(chunks, Counter(), lambda value: False)) <= n + 1
        return sum(read)

    assert work(8_000) <= 2.5 * work(4_000) + 100_000


def test_megabytes_of_hostile_text_end(tmp_path):
    code = """
import ast, sys
from collections import Counter
from pathlib import Path
from train_utils.prompts.sharegpt import read_records
path = Path(sys.argv[1])
for text in ast.literal_eval(sys.argv[2]):
    path.write_text(text * (500_000 // len(text)))
    unreadable = Counter()
    sum(1 for _ in read_records(path, unreadable))
"""
    run_limited(code, tmp_path / "x", list(HOSTILE.values()), seconds=30)


def test_too_much_that_is_broken_is_given_up_and_said(tmp_path):
    read, unreadable = records(tmp_path / "x", json.dumps(RECORD) + "{" * 1_000_000)
    assert read == [RECORD] and unreadable == {BROKEN: 1, GIVEN_UP: 1}


def test_speakers_that_are_nested_deeply_or_many_are_no_traceback(tmp_path, caplog):
    deep = "[" * 900 + "]" * 900
    path = tmp_path / "x"
    path.write_text(f'[{{"conversations": [{{"from": {deep}, "value": "a"}}]}}, {json.dumps(RECORD)}]')
    chat = tiny_chat(["red"])[1]
    assert len(load_exchanges(path, chat, 60)) == 1
    many = {"messages": [{"role": "system", "content": "s"}] * 50_000 + [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}  # fmt: skip
    path.write_text(json.dumps([many]))
    assert len(load_exchanges(path, chat, 60)) == 1
