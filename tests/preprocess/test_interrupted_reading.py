"""Promises of resumed reading: a killed run ends with the files of an unbroken one, and reads no part twice."""

import gzip
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import data_preprocess
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import SAMPLES, amazon_2018
from readers import chunks, progress
from readers.chunks import LineFile, use_threads
from readers.json_lines import EventFields, json_events
from readers.progress import Progress, saving_in
from readers.records import Events
from readers.registry import FORMATS
from readers.source import Source
from test_data_preprocess import FORK, argv_of, files_of, killed_at, tokenizer_folder  # noqa: F401


@pytest.fixture(autouse=True, scope="module")
def many_parts():
    """Files are read by 300 bytes, and every block is saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 300)
        patch.setattr(progress, "SAVE_SECONDS", 0.0)
        yield


class Interrupted(BaseException):
    """Ends reading at a block, as a kill does."""


class DyingFile(LineFile):
    """File whose reading is interrupted before a block; -1 for never. It was read from `began` to `ended`."""

    def __init__(self, path: Path, before: int = -1) -> None:
        super().__init__(path, Counter())
        self.before, self.began, self.ended = before, -1, -1

    def blocks(self, begin: int = 0) -> Iterator[bytes]:
        self.began = self.ended = begin
        for number, block in enumerate(super().blocks(begin)):
            if number == self.before:
                raise Interrupted
            yield block
            self.ended = self.position


def read(file: LineFile, folder: Path) -> Events:
    """Read events with progress in a folder."""
    with saving_in(Progress(folder, {})):
        return json_events(file, EventFields(("u",), ("i",), ("t",), ("r",)))


def contents(events: Events) -> list[object]:
    rating = [] if events.rating is None else np.nan_to_num(events.rating, nan=-1).tolist()
    columns = [column.tolist() for column in (events.user, events.item, events.time)]
    return [events.user_ids, events.item_ids, events.ticks, events.time_unit, rating, *columns]


LINE = st.one_of(
    st.builds(
        lambda u, i, t: f'{{"u": "{u}", "i": "{i}", "t": {t}}}'.encode(),
        st.integers(0, 9), st.integers(0, 5), st.integers(0, 10**9) | st.floats(0, 1e9),
    ),
    st.sampled_from([b"", b"{", b"[]", b'{"u": "\xe4", "i": "x", "t": 1}', b'{"u": "1", "i": "x", "t": 1, "r": 3}']),
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(LINE, min_size=1, max_size=60), st.lists(st.integers(0, 4), max_size=6), st.booleans(), st.booleans())
def test_reading_that_is_interrupted_again_and_again_gives_the_same_events(tmp_path_factory, lines, kills, gz, two):
    folder = tmp_path_factory.mktemp("raw")
    data = b"\n".join(lines)
    (path := folder / "x.json").write_bytes(gzip.compress(data) if gz else data)
    whole = LineFile(path, Counter())
    expected = contents(read(whole, folder / "unbroken"))
    use_threads(2 if two else 1)
    reached = 0
    for before in kills:
        file = DyingFile(path, before)
        try:
            read(file, folder / "parts")
            break
        except Interrupted:
            assert file.began == reached  # where the run before was
            reached = file.ended
    file = DyingFile(path)
    assert contents(read(file, folder / "parts")) == expected
    use_threads(1)
    assert file.rejected == whole.rejected and file.encoding == whole.encoding
    assert not (folder / "parts").exists()


@pytest.mark.parametrize("sample", ["amazon-2018", "steam", "ml-1m", "ml-25m", "own csv", "own tsv", "own parquet"])
def test_a_dump_that_was_read_is_not_read_again(tmp_path, sample, capsys):
    name, write = SAMPLES[sample]
    (raw := tmp_path / "raw").mkdir()
    write(raw)
    plain = FORMATS[name].read(Source(raw))

    def read_and_die():
        with saving_in(Progress(tmp_path / "parts", {})):
            FORMATS[name].read(Source(raw))
            raise Interrupted

    with pytest.raises(Interrupted):
        read_and_die()
    capsys.readouterr()
    with saving_in(Progress(tmp_path / "parts", {})):
        again = FORMATS[name].read(Source(raw))
    said = capsys.readouterr().err
    assert f"has read {len(plain.events.time)} events" in said and f"has read {len(plain.items)} items" in said
    assert contents(again.events) == contents(plain.events)
    assert (again.items, again.rejected, again.encodings) == (plain.items, plain.rejected, plain.encodings)


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


@pytest.mark.parametrize("change", ["file", "options", "damaged part", "empty part"])
def test_parts_of_other_data_or_options_and_damaged_ones_are_not_used(tmp_path, change):
    lines = [b'{"u": "%d", "i": "%d", "t": %d}' % (n % 7, n % 5, n) for n in range(60)]
    (path := tmp_path / "x.json").write_bytes(b"\n".join(lines))
    parts = tmp_path / "parts"
    with pytest.raises(Interrupted):
        read(DyingFile(path, 5), parts)
    assert len(parts_of(parts)) == 5
    options = {}
    if change == "file":
        lines[0] = lines[0].replace(b'"0"', b'"9"')
        path.write_bytes(b"\n".join(lines))
    elif change == "options":
        options = {"format": "other"}
    else:
        third = parts_of(parts)[2]
        third.write_bytes(third.read_bytes()[:-9] if change == "damaged part" else b"")
    file = DyingFile(path)
    with saving_in(Progress(parts, options)):
        events = json_events(file, EventFields(("u",), ("i",), ("t",), ("r",)))
    assert contents(events) == contents(read(LineFile(path, Counter()), tmp_path / "other"))
    assert (file.began > 0) == change.endswith("part")


def test_a_run_that_is_killed_anywhere_ends_with_the_same_bytes(tmp_path, tokenizer_folder, capfd):  # noqa: F811
    """SIGKILL before one file operation in 13; what was saved is used by the next run."""
    (tmp_path / "raw").mkdir()
    amazon_2018(tmp_path / "raw")
    folders = [tmp_path / "mine", tmp_path / "unirec"]
    argv = [*argv_of(tmp_path, tokenizer_folder, "amazon-2018"), "--threads", "1", "--no-report"]
    assert data_preprocess.main(argv) == 0
    expected = files_of(*folders)
    watched = [*folders, tmp_path / "mine.yaml", tmp_path / ".mine.reading"]
    operation, status, events_used, items_used = 1, -signal.SIGKILL, Counter(), 0
    while status == -signal.SIGKILL:
        status = killed_at(operation, watched, lambda: os._exit(data_preprocess.main(argv)))
        saved = len(parts_of(tmp_path / ".mine.reading"))
        capfd.readouterr()
        process = FORK.Process(target=lambda: os._exit(data_preprocess.main(argv)))
        process.start()
        process.join()
        said = capfd.readouterr().err
        assert process.exitcode == 0 and files_of(*folders) == expected and not (tmp_path / ".mine.reading").exists()
        assert (saved > 0) == ("a run before has read" in said)
        events_used.update(map(int, re.findall(r"has read (\d+) events", said)))
        items_used += "items of it" in said
        operation += 13
    assert status == 0 and operation > 60 and len(events_used) > 1 and max(events_used) == 9 and items_used > 3


def test_two_runs_do_not_write_one_dataset(tmp_path, tokenizer_folder, capsys):  # noqa: F811
    from train_utils.files.atomic import exclusively

    (tmp_path / "raw").mkdir()
    amazon_2018(tmp_path / "raw")
    with exclusively(tmp_path / "mine"):
        assert data_preprocess.main(argv_of(tmp_path, tokenizer_folder, "amazon-2018")) == 2
    assert "is being written by another process" in capsys.readouterr().err
