"""Promises of reading in a second process: the same result and errors, and no process that outlives a killed one."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import data_preprocess
import pytest
from raw_samples import SAMPLES, amazon_2018
from readers.chunks import can_start, use_threads
from readers.dump import meanwhile, read_dump
from readers.json_lines import EventFields, json_events
from readers.other_process import OtherProcess
from readers.records import Item, RawDataset
from readers.registry import FORMATS
from readers.source import Source
from test_data_preprocess import argv_of, files_of, tokenizer_folder  # noqa: F401

ROOT = Path(__file__).parents[2]
# Reads by 300 bytes and saves every block; of the process that reads events, the third part of these is not written.
DIE_AT_THE_THIRD_PART = """
import os, signal, sys
import data_preprocess
from readers import chunks, progress
victim, argv = sys.argv[1], sys.argv[2:]
chunks.CHUNK, progress.SAVE_SECONDS = 300, 0.0
starter = os.getpid()
def die(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("events-2.part"):
        os.kill(os.getpid() if victim == "reader" else starter, signal.SIGKILL)
        if victim == "starter":
            signal.pause()
if victim:
    sys.addaudithook(die)
sys.exit(data_preprocess.main(argv))
"""


@contextmanager
def two_threads() -> Iterator[None]:
    use_threads(2)
    try:
        yield
    finally:
        use_threads(1)


def contents(raw: RawDataset) -> list[object]:
    events = raw.events
    columns = [column.tolist() for column in (events.user, events.item, events.time)]
    rejected = {name: dict(reasons) for name, reasons in raw.rejected.items()}
    return [*columns, events.user_ids, events.item_ids, events.ticks, raw.items, rejected, raw.encodings]


@pytest.mark.parametrize("sample", ["amazon-2018", "amazon-2023", "steam", "yelp", "own json"])
def test_two_processes_read_what_one_reads(tmp_path, sample):
    name, write = SAMPLES[sample]
    write(tmp_path)
    alone = FORMATS[name].read(Source(tmp_path))
    seen: list[Item] = []
    with two_threads(), meanwhile(seen.extend):
        both = FORMATS[name].read(Source(tmp_path))
    assert contents(both) == contents(alone)
    assert {item.id for item in alone.items} <= {item.id for item in seen} or not seen


def test_items_that_are_not_read_while_events_are_follow_them(tmp_path, monkeypatch):
    monkeypatch.setattr("readers.dump._BATCH", 2)
    monkeypatch.setattr("readers.dump._MOST_HELD", 1)
    (tmp_path / "e").write_text("".join(f'{{"u": "u", "i": "{n}", "t": {n}}}\n' for n in range(9)))
    (tmp_path / "i").write_text("")
    batches: list[list[Item]] = []
    with two_threads(), meanwhile(lambda items: batches.append(list(items))):
        raw = read_dump(
            "test", (tmp_path / "e", tmp_path / "i"),
            lambda file: json_events(file, EventFields(("u",), ("i",), ("t",))),
            lambda file: (Item(str(n), f"title {n}") for n in range(9)), may_fork=True,
        )  # fmt: skip
    assert [item.id for item in raw.items] == [str(n) for n in range(9)]
    assert batches[0] == [] and sum(map(len, batches)) <= 2


@pytest.mark.parametrize("error", [ValueError("x is damaged"), FileNotFoundError(2, "not there", "x"), MemoryError()])
def test_an_error_of_the_other_process_is_raised_here(error):
    def fail():
        raise error

    with OtherProcess(fail) as other, pytest.raises(type(error)) as raised:
        other.result()
    assert str(raised.value) == str(error)


class OfTwo(ValueError):
    """Error that pickle cannot make again: it calls the class with one argument."""

    def __init__(self, path: str, line: int) -> None:
        super().__init__(f"{path}, line {line}, is damaged")


class Holding(Exception):
    """Error that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("no reason")
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [(OfTwo("x", 3), ValueError, "x, line 3, is damaged"), (Holding(), RuntimeError, "Holding: no reason")],
)
def test_an_error_that_cannot_be_sent_arrives_as_one_with_its_text(error, kind, text):
    def fail():
        raise error

    with OtherProcess(fail) as other, pytest.raises(kind) as raised:
        other.result()
    assert str(raised.value) == text and "in fail" in raised.value.__notes__[0]


@contextmanager
def no_memory_for_threads() -> Iterator[None]:
    """Stacks of new threads are larger than any memory."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_without_memory_for_threads_the_same_files_are_written(tmp_path, tokenizer_folder, monkeypatch):  # noqa: F811
    (tmp_path / "raw").mkdir()
    amazon_2018(tmp_path / "raw")
    argv, folders = argv_of(tmp_path, tokenizer_folder, "amazon-2018"), (tmp_path / "mine", tmp_path / "unirec")
    assert can_start(2) and data_preprocess.main([*argv, "--threads", "2"]) == 0
    expected = files_of(*folders)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    with no_memory_for_threads():
        assert not can_start(1) and data_preprocess.main([*argv, "--threads", "2"]) == 0
    use_threads(1)
    assert files_of(*folders) == expected and os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_a_killed_process_is_an_error():
    with OtherProcess(lambda: os.kill(os.getpid(), signal.SIGKILL)) as other, pytest.raises(OSError, match="killed"):
        other.result()


def test_an_interrupt_of_the_other_process_is_one_of_this_process():
    def interrupted():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores interrupts
        signal.raise_signal(signal.SIGINT)

    with OtherProcess(interrupted) as other, pytest.raises(KeyboardInterrupt):
        other.result()


def test_a_block_that_is_left_ends_the_process():
    reader, writer = os.pipe()
    with pytest.raises(KeyError), OtherProcess(signal.pause):
        raise KeyError
    os.close(writer)
    assert os.read(reader, 1) == b""  # the process held the other end
    os.close(reader)


@pytest.mark.parametrize("victim", ["reader", "starter"])
def test_a_run_of_two_processes_is_continued_after_a_kill(tmp_path, tokenizer_folder, victim):  # noqa: F811
    (tmp_path / "raw").mkdir()
    amazon_2018(tmp_path / "raw")
    argv = [*argv_of(tmp_path, tokenizer_folder, "amazon-2018"), "--threads", "2", "--no-report"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "preprocess")])

    def run(victim: str) -> subprocess.CompletedProcess:
        # Output is read to its end, which it has when the last process ends that writes to it.
        command = [sys.executable, "-c", DIE_AT_THE_THIRD_PART, victim, *argv]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})

    assert run("").returncode == 0
    folders = [tmp_path / "mine", tmp_path / "unirec"]
    expected = files_of(*folders)
    killed = run(victim)
    if victim == "reader":
        assert killed.returncode == 2 and killed.stderr.splitlines()[-1].startswith("error: the process that reads")
    else:
        assert killed.returncode == -signal.SIGKILL
    again = run("")
    assert again.returncode == 0, again.stderr
    assert "a run before has read" in again.stderr
    assert files_of(*folders) == expected and not (tmp_path / ".mine.reading").exists()


def test_lines_are_counted_as_in_one_process(tmp_path):
    (tmp_path / "x").write_bytes(b'{"u": "1", "i": "x", "t": 1}\n{\n{"u": "\xe4", "i": "x", "t": 1}\n')
    (tmp_path / "y").write_text("")

    def read(may_fork: bool) -> RawDataset:
        return read_dump(
            "test", (tmp_path / "x", tmp_path / "y"),
            lambda file: json_events(file, EventFields(("u",), ("i",), ("t",))),
            lambda file: iter([Item("x", "X")]), may_fork,
        )  # fmt: skip

    with two_threads():
        both = read(True)
    assert contents(both) == contents(read(False)) and both.encodings["x"] != "utf-8" and both.rejected["x"]


def test_a_result_arrives_where_ended_processes_are_reaped_by_the_system():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with OtherProcess(lambda: 42) as other:
            assert other.result() == 42
    finally:
        signal.signal(signal.SIGCHLD, before)
