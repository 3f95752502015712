"""Text files of strangers: each ends in values, counted skips or one line of error, in bounded memory."""

import gzip
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from damage import faults
from fuzz_text import READERS
from limits import run_limited

from train_utils.catalog import load_catalog
from train_utils.dataset_folder import MAX_ID, read_dataset
from train_utils.evaluation.gsm8k import load_questions
from train_utils.evaluation.run_file import read_run
from train_utils.files import text_files
from train_utils.files.json_files import read_json, read_json_lines
from train_utils.files.text_files import ALWAYS_UNPACKED, MAX_LINE, MAX_TEXT, NOT_TEXT, TOO_LONG, read_text, text_lines


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_end_in_a_value_or_one_line(reader):
    assert faults(reader, range(40)) == []


# -- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_line_above_the_limit_is_skipped_and_counted_and_the_others_are_read(tmp_path, encoding):
    path, rejected = tmp_path / "x", Counter()
    longest = "y" * (MAX_LINE - 1)
    path.write_text(f"é\n{'x' * MAX_LINE}\n{longest}\n{'x' * 3 * MAX_LINE}\nlast", encoding=encoding)
    assert list(text_lines(path, "latin-1", rejected)) == ["é", longest, "last"]
    assert rejected == {TOO_LONG: 2}
    with pytest.raises(ValueError, match=r"line 2, is a line of more than 16 MiB; wanted one record per line"):
        list(text_lines(path, "latin-1"))


def test_a_long_line_without_an_end_needs_little_memory(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n', mtime=0) + 2 * gzip.compress(bytes(50 << 20), 1, mtime=0))
    code = """
import sys
from collections import Counter
from train_utils.files.json_files import read_json_lines
rejected = Counter()
print(list(read_json_lines(sys.argv[1], rejected)), dict(rejected))
"""
    assert run_limited(code, path, memory=120 << 20) == f"[(1, {{'a': 1}})] {{{TOO_LONG!r}: 1}}\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[" * 10**6, "not strict JSON"),
        (b'{"a":' * 10**6, "not strict JSON"),
        (b"1" * 5000, "not strict JSON"),
        (b'{"a": 1' + b"0" * 10**6 + b"}", "not strict JSON"),
        (b"{'a': 1}", "not strict JSON"),
        (b"(" * 10**5 + b")" * 10**5, "not strict JSON"),
        (b"\0" * 1000, "not strict JSON"),
        (b'{"a": "\0"}', "not strict JSON"),
    ],
)
def test_a_line_that_is_no_json_is_counted_whatever_python_makes_of_it(tmp_path, line, reason):
    path, rejected = tmp_path / "x.jsonl", Counter()
    path.write_bytes(b"1\n" + line + b"\n2\n")
    assert [value for _, value in read_json_lines(path, rejected)] == [1, 2] and rejected == {reason: 1}
    with pytest.raises(ValueError, match="line 2, is not JSON") as raised:
        list(read_json_lines(path))
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


def test_gzip_of_many_empty_members_and_rubbish_at_its_end(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"a\n", mtime=0) + gzip.compress(b"", mtime=0) * 10**4 + gzip.compress(b"b\n"))
    assert list(text_lines(path)) == ["a", "b"]
    path.write_bytes(path.read_bytes() + b"rubbish")
    with pytest.raises(ValueError, match="damaged gzip file"):
        list(text_lines(path))


def test_what_comes_before_a_damage_of_gzip_is_yielded(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"line\n" * 20_000, 0, mtime=0)[:-6])
    lines = text_lines(path, "")
    with pytest.raises(ValueError, match="damaged gzip file"):
        assert all(next(lines) == "line" for _ in range(10**6))


@pytest.mark.parametrize("read", [read_text, read_json, lambda path: list(text_lines(path, "latin-1"))])
def test_pipes_and_devices_are_refused(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is a pipe or a device, wanted a file; write its output to a file first"):
            read(path)


# -- whole files -----------------------------------------------------------------------------------------------------


def test_a_whole_gzip_file_unpacks_to_a_limited_size(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(gzip.compress(b" " * (ALWAYS_UNPACKED - 1) + b"1"))
    assert read_json(path) == 1
    path.write_bytes(gzip.compress(b" " * (4 * ALWAYS_UNPACKED)))
    with pytest.raises(ValueError, match="x.json has .* bytes and holds more than .* bytes of text") as raised:
        read_text(path)
    assert "\n" not in str(raised.value)


def test_a_file_of_a_terabyte_without_contents_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "metas.jsonl"
    with path.open("wb") as file:
        file.truncate(MAX_TEXT + 1)
    with pytest.raises(ValueError, match=f"holds more than {MAX_TEXT} bytes of text; is it the right file"):
        read_json(path)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 10**6,
        '{"a":' * 10**6,
        '{"a": ' + "9" * 5000 + "}",
        json.dumps({"k" * 10**5: 1})[:-1] + ", " + json.dumps({"k" * 10**5: 1})[1:],
        "\0",
        "\ufeff\ufeff1",
        '"' + "x" * 10**6,
    ],
)
def test_a_broken_whole_file_is_one_short_line(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is not JSON") as raised:
        read_json(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


# -- readers of outside systems --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "u Q0 i " + "1" * 5000 + " 1 t\n",
        "u Q0 i 1 " + "x" * 10**6 + " t\n",
        "u,i,rank\n" + "u,i," + "1" * 5000,
        'user,item\nu,"' + "x" * 200_000 + '"\n',
        "user,item," + "x" * 100_000 + "\n",
        json.dumps({"user": "u", "items": [["x" * 10**6]]}),
        '{"user": "u", "items": ' + "[" * 900 + "]" * 900 + "}",
        '{"user": "u", "items": [' + "[" * 900 + "]" * 900 + "]}",
        '{"user": "u", "items": [1' + "0" * 5000 + "]}",
        "x" * (MAX_LINE + 1),
    ],
)
def test_a_hostile_run_file_is_one_short_line(tmp_path, content):
    path = tmp_path / "run"
    path.write_text(content)
    with pytest.raises(ValueError, match="line [12]") as raised:
        read_run(path, ["u"])
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


def test_a_question_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "test.jsonl"
    for question in ("[" * 980 + "]" * 980, "3", "null"):
        path.write_text(f'{{"question": {question}, "answer": "#### 1"}}\n')
        with pytest.raises(ValueError, match="record 1, has no question and answer|is not JSON"):
            load_questions(path)


def write_folder(folder: Path, metas: object) -> Path:
    for name, value in (("metas", metas), ("category", {}), ("sequential", {})):
        (folder / f"{name}.jsonl").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def test_ids_and_descriptions_of_a_dataset_folder_are_bounded(tmp_path):
    deep = "[" * 600 + "]" * 600
    write_folder(tmp_path, f'{{"1": {{"title": "A", "description": ["x", {deep}]}}}}')
    assert load_catalog(tmp_path).items[0].description == "x"
    write_folder(tmp_path, {"i" * (MAX_ID + 1): {"title": "A"}})
    with pytest.raises(ValueError, match=f"wanted at most {MAX_ID} characters") as raised:
        read_dataset(tmp_path)
    assert len(str(raised.value)) < 300


def test_the_reader_of_lines_reads_each_byte_once():
    class Counted(io.BytesIO):
        read_bytes = 0

        def readline(self, size=-1):
            line = super().readline(size)
            self.read_bytes += len(line)
            return line

    for length in (1, 2):
        stream = Counted(b"x" * (length * 3 * MAX_LINE) + b"\nshort\n")
        assert list(text_files._bounded(stream, b"\n")) == [None, b"short\n"]
        assert stream.read_bytes == len(stream.getvalue())


def test_undecodable_and_too_long_lines_are_counted_apart(tmp_path):
    path, rejected = tmp_path / "x.jsonl", Counter()
    path.write_bytes(b'"a"\n"\xff"\n' + b'"\xc3\xa9"\n' * 3 + b"x" * (MAX_LINE + 9))
    assert [value for _, value in read_json_lines(path, rejected)] == ["a", "é", "é", "é"]
    assert rejected == {NOT_TEXT: 1, TOO_LONG: 1}
