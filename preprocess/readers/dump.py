"""Dump of two files: events, and the items that they have."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from readers.chunks import LineFile
from readers.progress import add_items
from readers.records import OF_ITEMS, Events, Item, ItemCollector, RawDataset


def read_dump(
    source: str,
    files: tuple[Path, Path],
    read_events: Callable[[LineFile], Events],
    read_items: Callable[[LineFile], Iterable[Item]],
) -> RawDataset:
    """Read a dump: events of the first file, items of the second, rejected lines of both.

    Args:
        source: name of the dump.
        files: files of events and of items.
        read_events: reader of the first file.
        read_items: reader of the second file.

    Raises:
        ValueError: a file has no usable line.
    """
    lines = [LineFile(path, Counter()) for path in files]
    events = read_events(lines[0])
    # Items without an event are not kept in memory: a metadata file may be larger than the reviews.
    rows = ItemCollector(set(events.item_ids), lines[1].rejected)
    add_items(lines[1], rows, read_items)
    for file, usable in zip(lines, (len(events.time), len(rows.items)), strict=True):
        if not usable:
            raise ValueError(f"{file.path} has no usable line ({dict(+file.rejected)}); is it the right file?")
    second = lines[1].path.name if files[1] != files[0] else f"{files[1].name}{OF_ITEMS}"
    rejected = {files[0].name: +lines[0].rejected, second: +lines[1].rejected}
    encodings = {file.path.name: file.encoding for file in lines}
    return RawDataset(source, files, events, list(rows.items.values()), rejected, encodings, rows.shortened)
