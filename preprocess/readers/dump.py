"""Dump of two files: events, and the items that they have."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from readers.chunks import LineFile, are_two_threads
from readers.other_process import OtherProcess
from readers.progress import add_items, raw_digest
from readers.records import OF_ITEMS, Events, Item, ItemCollector, RawDataset

ReadEvents = Callable[[LineFile], Events]
ReadItems = Callable[[LineFile], Iterable[Item]]

_BATCH = 1000  # items that are read while events are; after each batch it is seen whether these are complete
_MOST_HELD = 1 << 28  # bytes of items that wait for the events, about
_ITEM = 500  # bytes of an item without its texts, about


def _no_work(items: Sequence[Item]) -> None:
    """Ignore the items."""


_meanwhile: Callable[[Sequence[Item]], None] = _no_work


@contextmanager
def meanwhile(work: Callable[[Sequence[Item]], None]) -> Iterator[None]:
    """Call `work` in the block with the first items of a dump while its events are read, where this takes two threads.

    The first call has no items.
    """
    global _meanwhile
    _meanwhile = work
    try:
        yield
    finally:
        _meanwhile = _no_work


def read_dump(
    source: str, files: tuple[Path, Path], read_events: ReadEvents, read_items: ReadItems, may_fork: bool = False
) -> RawDataset:
    """Read a dump: events of the first file, items of the second, rejected lines of both.

    Args:
        source: name of the dump.
        files: files of events and of items.
        read_events: reader of the first file.
        read_items: reader of the second file.
        may_fork: whether events may be read in a forked process, in which libraries with threads of their own cannot
            be used.

    Raises:
        ValueError: a file has no usable line.
    """
    forks = may_fork and are_two_threads()
    lines = [LineFile(path, Counter(), bar) for path, bar in zip(files, (0, int(forks)), strict=True)]
    events, items = (_read_both if forks else _read_events)(*lines, read_events, read_items)
    # Items without an event are not kept in memory: a metadata file may be larger than the reviews.
    rows = ItemCollector(set(events.item_ids), lines[1].rejected)
    add_items(lines[1], rows, items)
    for file, usable in zip(lines, (len(events.time), len(rows.items)), strict=True):
        if not usable:
            raise ValueError(f"{file.path} has no usable line ({dict(+file.rejected)}); is it the right file?")
    second = lines[1].path.name if files[1] != files[0] else f"{files[1].name}{OF_ITEMS}"
    # In an order of their own: which reason is met first depends on how far the other process is.
    rejected = {
        name: Counter(dict(sorted((+file.rejected).items())))
        for name, file in ((files[0].name, lines[0]), (second, lines[1]))
    }
    encodings: dict[str, str] = {}
    for file in lines:  # of one file for both, that which the reader of events has seen
        encodings.setdefault(file.path.name, file.encoding)
    return RawDataset(source, files, events, list(rows.items.values()), rejected, encodings, rows.shortened)


def _read_events(
    event_file: LineFile, item_file: LineFile, read_events: ReadEvents, read_items: ReadItems
) -> tuple[Events, ReadItems]:
    return read_events(event_file), read_items


def _read_both(
    event_file: LineFile, item_file: LineFile, read_events: ReadEvents, read_items: ReadItems
) -> tuple[Events, ReadItems]:
    """Read the events in another process and, until they are complete, items in this one.

    Returns:
        (events, reader that yields the items that were read, and then the others).
    """
    items = iter(read_items(item_file))
    held: list[Item] = []
    size = 0
    with OtherProcess(lambda: _packed(read_events(event_file), event_file)) as other:
        _meanwhile([])
        while size < _MOST_HELD and not other.is_done() and (batch := list(islice(items, _BATCH))):
            held += batch
            size += sum(_ITEM + len(item.title) + len(item.description) for item in batch)
            _meanwhile(batch)
        for file in (event_file, item_file):
            raw_digest(file.path)  # the audit needs it
        events = _unpacked(other.result(), event_file)
    return events, lambda file: chain(held, items)


_Packed = tuple[Events, tuple[bytes, bytes], Counter[str], bool]


def _packed(events: Events, file: LineFile) -> _Packed:
    """Return what the other process sends of a file: millions of ids as one text."""
    users, items = ("\n".join(ids).encode() for ids in (events.user_ids, events.item_ids))
    return replace(events, user_ids=[], item_ids=[]), (users, items), file.rejected, file.saw_other


def _unpacked(packed: _Packed, file: LineFile) -> Events:
    """Return the events that were sent; update the file with the counts of the process that read it."""
    events, ids, rejected, file.saw_other = packed
    file.rejected.update(rejected)
    users, items = (text.decode().split("\n") if text else [] for text in ids)
    return replace(events, user_ids=users, item_ids=items)
