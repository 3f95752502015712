"""Reader of your own data: CSV, TSV, JSON lines or Parquet, with columns of any names.

Events and items are two files, or one file whose events hold the title of their item.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from readers.chunks import LineFile
from readers.columns import guess_columns, need_columns, said, with_title
from readers.dates import UnclearDates
from readers.dump import read_dump
from readers.fields import categories_of, id_of_any, plain_value, text_or_empty
from readers.json_lines import EventFields, json_events, read_record, records
from readers.records import Events, Item, RawDataset
from readers.source import Source
from readers.tables import Table, header_of, table_events, table_rows
from readers.times import NO_MOMENT, parse_moment
from train_utils.characters import shown
from train_utils.feed_fields import PRICES, price_of

SUFFIXES = (".csv", ".tsv", ".txt", ".inter", ".item", ".json", ".jsonl", ".ndjson", ".parquet")
_SEPARATORS = "\t,;|"
_MAX_ATTRIBUTE = 200  # characters of a text that becomes an attribute; longer ones describe


@dataclass(frozen=True)
class OwnFile:
    """File whose kind and columns are known.

    Attributes:
        path: the file.
        kind: "table", "json" or "parquet".
        names: names of its columns.
        separator: of a table.
    """

    path: Path
    kind: str
    names: tuple[str, ...]
    separator: str = ""


def read_own(source: Source) -> RawDataset:
    """Read events and items of files of any layout. The roles of the columns are printed.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no column is known for a role, or a file has no usable line.
    """
    events, items = _files_of(source)
    columns = _event_columns(events, source)
    _check_given(items or events, source, ("title", "category", "description"))
    of_items = guess_columns(items.names, source.columns, only_id=True) if items else columns
    of_items = with_title(of_items, source.columns)
    need_columns(of_items, ("item", "title"), items.names if items else events.names, (items or events).path)
    print(said(events.path, columns if items else of_items), file=sys.stderr)
    if items:
        print(said(items.path, of_items), file=sys.stderr)
    if "time" not in columns:
        print(f"{events.path}: no column of times; the order of the file is the order of events", file=sys.stderr)
    read_items = _items if items else _titles_of_events
    return read_dump(
        f"own data, {events.path.name}", (events.path, (items or events).path),
        partial(own_events, own=events, columns=columns, date_order=source.date_order),
        partial(read_items, own=items or events, columns=of_items),
        may_fork=events.kind == "json",
    )  # fmt: skip


def events_of_file(path: Path, given: Mapping[str, str]) -> tuple[OwnFile, dict[str, str]]:
    """Return a file of events with the roles of its columns, which are printed."""
    own = open_own(path)
    columns = _event_columns(own, Source(path.parent, columns=given))
    print(said(path, columns), file=sys.stderr)
    return own, columns


def _event_columns(events: OwnFile, source: Source) -> dict[str, str]:
    _check_given(events, source, ("time", "user", "item", "rating"))
    columns = guess_columns(events.names, source.columns)
    need_columns(columns, ("user", "item"), events.names, events.path)
    return columns


def _check_given(file: OwnFile, source: Source, roles: Sequence[str]) -> None:
    """Check that a file has the columns that were named for roles.

    Raises:
        ValueError: it lacks one.
    """
    for role in roles:
        if (name := source.columns.get(role)) and name not in file.names:
            listed = shown(list(file.names))
            raise ValueError(f"{file.path} has no column {name!r} (--{role}), but {listed}; correct the name")


def _files_of(source: Source) -> tuple[OwnFile, OwnFile | None]:
    """Return the file of events, and the file of items where there is one: those given, else those of the folder."""
    if source.events:
        return open_own(source.events), open_own(source.items) if source.items else None
    if source.folder.is_file():
        return open_own(source.folder), open_own(source.items) if source.items else None
    paths = [path for path in _candidates(source.folder) if path != source.items]
    files = [open_own(path) for path in paths]
    held = [guess_columns(file.names, source.columns) for file in files]
    events = [file for file, roles in zip(files, held, strict=True) if {"user", "item"} <= roles.keys()]
    if len(events) != 1:
        listed = ", ".join(path.name for path in paths) or "no file"
        raise ValueError(
            f"{source.folder} holds {listed}, of which {len(events)} have columns of users and items; name the file "
            "of events by --events, and its columns by --user and --item"
        )
    if source.items:
        return events[0], open_own(source.items)
    others = [file for file in files if file is not events[0]]
    items = [f for f in others if {"item", "title"} <= guess_columns(f.names, source.columns, only_id=True).keys()]
    if len(items) > 1:
        listed = ", ".join(file.path.name for file in items)
        raise ValueError(f"{source.folder} has several files with titles, {listed}; name one by --items")
    return events[0], items[0] if items else None


def _candidates(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; name a folder or file by --raw_path, or files by --events")
    return sorted(path for path in folder.iterdir() if Path(path.name.removesuffix(".gz")).suffix in SUFFIXES)


def open_own(path: Path) -> OwnFile:
    """Return the kind and the columns of a file.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it has no columns.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; correct the path")
    if is_parquet(path):
        from readers.parquet import parquet_names  # here: other files need no Polars

        return OwnFile(path, "parquet", tuple(parquet_names(path)))
    file = LineFile(path, Counter())
    first = next((line for lines in file.chunks() for line in lines if line.strip()), b"")
    if first.lstrip()[:1] == b"{":
        return OwnFile(path, "json", tuple(map(str, read_record(file, first, literals=True) or ())))
    text = file.text(first)
    separator = max(_SEPARATORS, key=text.count)
    names = header_of(LineFile(path, Counter()), separator)
    if len(names) < 2 or len({*names}) < len(names):
        raise ValueError(
            f"{path} begins with {shown(text)}, wanted names of columns, JSON lines or Parquet; add a line with names"
        )
    return OwnFile(path, "table", tuple(names), separator)


def is_parquet(path: Path) -> bool:
    """Return whether a file begins as a Parquet file does."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def own_events(file: LineFile, own: OwnFile, columns: Mapping[str, str], date_order: str = "") -> Events:
    """Read the events of a file; unusable ones are counted in `file.rejected`.

    Args:
        file: the file.
        own: its kind and columns.
        columns: role -> column.
        date_order: as in `Source`.

    Raises:
        ValueError: the dates do not show whether day or month is first, or no time can be read.
    """
    time_of = partial(parse_moment, date_order=date_order)
    try:
        events = _events_of_kind(file, own, columns, time_of)
    except UnclearDates as reason:
        raise ValueError(f"{file.path}, column {columns['time']}: {reason}") from None
    if not len(events.time) and file.rejected[NO_MOMENT] > file.rejected.total() / 2:
        raise ValueError(
            f"{file.path}, column {columns['time']}: {shown(_first_value(own, columns['time']))} is neither a number "
            "nor a date, and no other value is; name another column by --time, or write dates as 2024-03-01 or "
            "2024-03-01 12:30:00, or seconds since 1970"
        )
    return events


def _first_value(own: OwnFile, name: str) -> object:
    """Return the first value of a column that is not empty; None where all are."""
    values = (record.get(name) for record in _records_of(LineFile(own.path, Counter()), own))
    return next((value for value in values if value not in (None, "")), None)


def _events_of_kind(
    file: LineFile, own: OwnFile, columns: Mapping[str, str], time_of: Callable[[object], Decimal]
) -> Events:
    if own.kind == "parquet":
        from readers.parquet import parquet_events

        return parquet_events(file, columns, time_of)
    if own.kind == "json":
        time, rating = (((columns[role],) if role in columns else ()) for role in ("time", "rating"))
        return json_events(file, _fields(file, time_of, (columns["user"],), (columns["item"],), time, rating))
    at = [own.names.index(columns[role]) if role in columns else None for role in ("user", "item", "time", "rating")]
    is_text_time = "time" in columns and not str(_first_value(own, columns["time"])).strip().lstrip("+-").isdecimal()
    return table_events(
        file,
        Table(
            own.separator, len(own.names), tuple(at), has_header=True, is_quoted=True,  # type: ignore[arg-type]
            id_of=id_of_any, time_of=time_of, is_text_time=is_text_time,
        ),
    )  # fmt: skip


def _fields(file: LineFile, time_of: Callable[[object], Decimal], *names: tuple[str, ...]) -> EventFields:
    """Return the fields of a file of records, with the types of its first one."""
    probe = LineFile(file.path, Counter())
    first: Mapping[str, Any] = next(records(probe, literals=True), {})
    user, item, time = (first.get(group[0]) if group else None for group in names[:3])
    return EventFields(
        *names, literals=True, has_number_ids=isinstance(user, int) or isinstance(item, int),
        is_text_time=isinstance(time, str), id_of=id_of_any, time_of=time_of,
    )  # fmt: skip


def _records_of(file: LineFile, own: OwnFile) -> Iterator[Mapping[str, Any]]:
    if own.kind == "parquet":
        from readers.parquet import parquet_records

        return parquet_records(file.path)
    return records(file, literals=True) if own.kind == "json" else table_rows(file, own.separator)


def _items(file: LineFile, own: OwnFile, columns: Mapping[str, str]) -> Iterator[Item]:
    others = [name for name in own.names if name not in columns.values()]
    for record in _records_of(file, own):
        try:
            yield own_item(record, columns, others)
        except ValueError as reason:
            file.rejected[str(reason)] += 1


def _titles_of_events(file: LineFile, own: OwnFile, columns: Mapping[str, str]) -> Iterator[Item]:
    """Yield the item of the first event of each item. Lines without one were counted when the events were read."""
    seen: set[str] = set()
    quiet = LineFile(file.path, Counter())
    for record in _records_of(quiet, own):
        try:
            item = own_item(record, columns, ())
        except ValueError:
            continue
        if item.id not in seen:
            seen.add(item.id)
            yield item


def own_item(record: Mapping[str, Any], columns: Mapping[str, str], others: Sequence[str]) -> Item:
    """Return the item of a record; short values of other columns become attributes.

    Raises:
        ValueError: it has no usable id.
    """
    attributes: dict[str, str | int | float] = {}
    for name in others:
        value = record.get(name)
        value = plain_value(value) if isinstance(value, str) else value
        if name in PRICES and (price := price_of(value)) is not None:  # "$1,299.00", as in feeds
            value = price[0]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
        if is_number or (isinstance(value, str) and 0 < len(value.strip()) <= _MAX_ATTRIBUTE):
            attributes[name.partition(":")[0]] = value  # type: ignore[assignment]
    described = record.get(columns.get("description", ""), "")
    return Item(
        id_of_any(record.get(columns["item"])),
        text_or_empty(record.get(columns["title"])),
        categories_of(record.get(columns.get("category", ""))),
        " ".join(described) if isinstance(described, list) and all(isinstance(t, str) for t in described)
        else text_or_empty(described),
        attributes,
    )  # fmt: skip
