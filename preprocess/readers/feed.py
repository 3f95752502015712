"""Reader of product feeds in the fields of OpenAI and Google merchants: CSV, TSV, XML, JSON lines.

The files are read by `train_utils.feed_files`, and their fields by `train_utils.item_record`, as the server reads them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from readers.chunks import LineFile
from readers.dump import read_dump
from readers.own import events_of_file, own_events
from readers.records import Item, ItemCollector, RawCatalog, RawDataset, parse_id
from readers.source import Source
from train_utils.feed_files import read_feed
from train_utils.item_record import item_of

SUFFIXES = (".csv", ".tsv", ".txt", ".xml", ".json", ".jsonl", ".ndjson")
NO_ITEM = "no item of a feed: id or title missing, or a field of another type"


def read_feed_dump(source: Source) -> RawCatalog | RawDataset:
    """Read a feed: a catalog without users, or with those of `source.events`, a file of your own layout.

    Raises:
        FileNotFoundError: there is no feed.
        ValueError: the feed is broken or holds no usable item, or the folder holds several files.
    """
    path = source.items or (source.folder if source.folder.is_file() else _only_file(source.folder, source.events))
    if source.events is None:
        rejected: Counter[str] = Counter()
        kept = ItemCollector(None, rejected)
        for item in _feed_items(LineFile(path, rejected)):
            kept.add(item)
        if not kept.items:
            raise ValueError(f"{path} has no usable item ({dict(rejected)}); is it a product feed?")
        return RawCatalog(
            f"product feed {path.name}", path, list(kept.items.values()), rejected, "utf-8", kept.shortened
        )
    own, columns = events_of_file(source.events, source.columns)
    events = partial(own_events, own=own, columns=columns, date_order=source.date_order)
    return read_dump(f"product feed {path.name}", (source.events, path), events, _feed_items)


def _only_file(folder: Path, besides: Path | None) -> Path:
    paths = sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if Path(path.name.removesuffix(".gz")).suffix in SUFFIXES and path != besides
    )
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths) or "no file"
        raise FileNotFoundError(f"{folder} holds {listed}; name the feed by --items")
    return paths[0]


def _feed_items(file: LineFile) -> Iterator[Item]:
    for record in read_feed(file.path):
        try:
            yield _feed_item(record)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _feed_item(record: Mapping[str, object]) -> Item:
    """Return the item of a record, without links to pictures and pages, which no rule compares."""
    try:
        item = item_of(record)
    except ValueError:
        raise ValueError(NO_ITEM) from None
    attributes = {
        name: value
        for name, value in item.attributes.items()
        if isinstance(value, (str, int, float)) and "link" not in name and "url" not in name
    }
    return Item(parse_id(item.id), item.title, item.categories, item.description, attributes)
