"""Progress of reading raw files, on disk: after a kill, a run with the same files and options continues from there.

Reading is the longest step of a large dump. Its events are saved in parts, each with the position in the file after
them, and its items once all are read; of a dump that is read within `SAVE_SECONDS` nothing is saved. A part is used
only if the contents of the file, the options and the code of the readers are those that it was made with.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from readers.chunks import LineFile
from readers.records import Columns, EventCollector, Item, ItemCollector
from train_utils.files.atomic import digest, write_bytes

T = TypeVar("T")

SAVE_SECONDS = 30.0  # of reading that a kill may cost, about
_EVENTS, _ITEMS = "events-{}.part", "items.part"


class FilePart(msgspec.Struct):
    """Part of a file that was read.

    Attributes:
        key: what the part was made from, see `Progress`.
        position: position in the file after the part; None after the last one.
        rejected: reason -> number of unused lines up to there.
        saw_other: whether a line up to there is not UTF-8.
    """

    key: str
    position: int | None
    rejected: dict[str, int]
    saw_other: bool


class EventPart(FilePart):
    """Events of a part of a file."""

    columns: Columns


class ItemPart(FilePart):
    """Items of a file; `shortened` is as in `ItemCollector`."""

    items: list[Item]
    shortened: dict[str, int]


class Progress:
    """Parts of what a run has read, in a folder.

    Args:
        folder: the folder; it is made when the first part is saved.
        options: what decides what the readers make of a file.
    """

    def __init__(self, folder: Path, options: Mapping[str, object]) -> None:
        self.folder, self._options = folder, repr(sorted(options.items()))
        self._parts = 0
        self._began = time.monotonic()

    def blocks(self, file: LineFile, collector: EventCollector, read: Callable[[int], Iterator[T]]) -> Iterator[T]:
        """Yield the blocks of a file of events that are not read yet, and save what the caller collects from them.

        Args:
            file: the file.
            collector: what the caller adds the events to; those that are saved are added here.
            read: position -> blocks after it; it keeps `file.position`.
        """
        begin = self._restore_events(file, collector)
        if begin is None:
            return
        marks = collector.marks()
        for block in read(begin):
            yield block
            if file.position is not None and self._is_due():
                self._save_events(file, collector, marks, file.position)
                marks = collector.marks()
        if self._parts or self._is_due():
            self._save_events(file, collector, marks, None)

    def _save_events(
        self, file: LineFile, collector: EventCollector, marks: tuple[int, int, int], position: int | None
    ) -> None:
        part = EventPart(self._key(file), position, dict(file.rejected), file.saw_other, collector.columns(marks))
        write_bytes(self.folder / _EVENTS.format(self._parts), msgspec.msgpack.encode(part))
        self._parts += 1
        self._began = time.monotonic()

    def _restore_events(self, file: LineFile, collector: EventCollector) -> int | None:
        """Add the saved events; return the position after them, 0 for none, and None where no event is left to read."""
        position: int | None = 0
        while position is not None and (path := self.folder / _EVENTS.format(self._parts)).is_file():
            part = self._load(path, EventPart, file)
            if part is None or not collector.add_columns(part.columns):
                break
            self._apply(part, file)
            position = part.position
            self._parts += 1
        if self._parts:
            print(f"{file.path.name}: a run before has read {len(collector):,} events of it", file=sys.stderr)
        if position is not None:
            self._forget(self._parts)
        return position

    def restore_items(self, file: LineFile, rows: ItemCollector) -> bool:
        """Add the saved items; return whether there are any. After that, reading them begins."""
        path = self.folder / _ITEMS
        self._began = time.monotonic()
        if path.is_file() and (part := self._load(path, ItemPart, file)) is not None:
            self._apply(part, file)
            rows.items.update((item.id, item) for item in part.items)
            rows.shortened.update(part.shortened)
            print(f"{file.path.name}: a run before has read {len(rows.items):,} items of it", file=sys.stderr)
            return True
        return False

    def save_items(self, file: LineFile, rows: ItemCollector) -> None:
        """Save the items of a file, if reading them took long."""
        path = self.folder / _ITEMS
        if self._is_due():
            items = list(rows.items.values())
            part = ItemPart(self._key(file), None, dict(file.rejected), file.saw_other, items, dict(rows.shortened))
            try:
                content = msgspec.msgpack.encode(part)
            except UnicodeEncodeError:  # half of a surrogate pair in a title
                return
            write_bytes(path, content)

    def _is_due(self) -> bool:
        return time.monotonic() - self._began >= SAVE_SECONDS

    def _load(self, path: Path, kind: type[T], file: LineFile) -> T | None:
        """Return a saved part; None for one that is damaged, or made from other files, options or code."""
        try:
            part = msgspec.msgpack.decode(path.read_bytes(), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return part if part.key == self._key(file) else None  # type: ignore[attr-defined]

    @staticmethod
    def _apply(part: FilePart, file: LineFile) -> None:
        file.rejected.clear()
        file.rejected.update(part.rejected)
        file.saw_other = part.saw_other

    def _forget(self, first: int) -> None:
        """Delete the parts that cannot be used: those from `first` on, and the items."""
        for path in self.folder.glob("*.part") if self.folder.is_dir() else ():
            if path.name not in {_EVENTS.format(number) for number in range(first)}:
                path.unlink()

    def _key(self, file: LineFile) -> str:
        made_from = (raw_digest(file.path), str(file.path.resolve()), self._options, _code_digest())
        return sha256(repr(made_from).encode("utf-8", "surrogateescape")).hexdigest()


_current: Progress | None = None


@contextmanager
def saving_in(progress: Progress) -> Iterator[None]:
    """Use a folder for the progress of the readers in the block; delete it when the block succeeds."""
    global _current
    _current = progress
    try:
        yield
    finally:
        _current = None
    shutil.rmtree(progress.folder, ignore_errors=True)


def blocks_of(
    file: LineFile, collector: EventCollector, read: Callable[[int], Iterator[T]] | None = None
) -> Iterator[T]:
    """Yield the blocks of a file of events that are to be read, see `Progress.blocks`; all where nothing is saved."""
    read = read or file.blocks  # type: ignore[assignment]
    return read(0) if _current is None else _current.blocks(file, collector, read)


def add_items(file: LineFile, rows: ItemCollector, read: Callable[[LineFile], Iterable[Item]]) -> None:
    """Add the items of a file, or those that a run before has read."""
    if _current is not None and _current.restore_items(file, rows):
        return
    for item in read(file):
        rows.add(item)
    if _current is not None:
        _current.save_items(file, rows)


def raw_digest(path: Path) -> str:
    """Return the SHA-256 of a raw file, which is computed once for a file that does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, _size: int, _changed: int) -> str:
    return digest(path)


@cache
def _code_digest() -> str:
    """Return a digest of the code of the readers."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256("".join(map(digest, files)).encode()).hexdigest()
