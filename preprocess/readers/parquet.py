"""Parquet files, a part of the rows at a time."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from readers.chunks import LineFile
from readers.fields import id_of_any
from readers.progress import blocks_of
from readers.records import EventCollector, Events, add_row
from readers.times import parse_moment

_ROWS = 1_000_000  # rows of a part


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return list(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is a damaged Parquet file ({_first_line(error)}); write it again") from None


def _parts(path: Path, columns: list[str], begin: int = 0) -> Iterator[pl.DataFrame]:
    """Yield the rows from `begin` on in parts, with times as microseconds since 1970.

    Raises:
        ValueError: the file is damaged.
    """
    frame = pl.scan_parquet(path, glob=False).select(columns).with_columns(
        pl.col(pl.Datetime).dt.epoch("us"), pl.col(pl.Date).dt.epoch("s")
    )  # fmt: skip
    try:
        while (part := frame.slice(begin, _ROWS).collect()).height:
            yield part
            begin += part.height
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path} is a damaged Parquet file ({_first_line(error)}); write it again") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def parquet_events(
    file: LineFile, columns: Mapping[str, str], time_of: Callable[[object], Decimal] = parse_moment
) -> Events:
    """Read the events of a Parquet file; rows that are not used are counted in `file.rejected`.

    Args:
        file: the file.
        columns: role -> column; without a time, the position in the file is the time.
        time_of: parser of times that are no integers.
    """
    collector = EventCollector()
    roles = [role for role in ("user", "item", "time", "rating") if role in columns]

    def parts(begin: int) -> Iterator[pl.DataFrame]:
        for part in _parts(file.path, [columns[role] for role in roles], begin):
            file.position = begin = begin + part.height
            yield part

    for part in blocks_of(file, collector, parts):
        named = {role: part[columns[role]] for role in roles}
        if not _add_plain(collector, named, part.height):
            values = [named[role].to_list() if role in named else [None] * part.height for role in
                      ("user", "item", "time", "rating")]  # fmt: skip
            for user, item, time, rating in zip(*values, strict=True):
                moment = time if "time" in named else len(collector)
                add_row(collector, (user, item, moment, rating), file.rejected, id_of_any, time_of)
    return collector.events()


def _add_plain(collector: EventCollector, named: Mapping[str, pl.Series], height: int) -> bool:
    """Add rows of integers and texts; return False, and add none, where a row is another one."""
    user, item, time = named["user"], named["item"], named.get("time")
    are_ids = all(series.dtype == pl.String or series.dtype.is_integer() for series in (user, item))
    if not are_ids or (time is not None and not time.dtype.is_integer()) or any(s.null_count() for s in named.values()):
        return False
    times = range(len(collector), len(collector) + height) if time is None else time.to_numpy()
    rating = named.get("rating")
    if rating is not None and not rating.dtype.is_numeric():
        return False
    ratings = None if rating is None else rating.cast(pl.Float64).to_numpy()
    return collector.extend(user.cast(pl.String).to_list(), item.cast(pl.String).to_list(), times, ratings)


def parquet_records(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows as column -> value, without dates, bytes and other values that are no JSON.

    Raises:
        ValueError: the file is damaged.
    """
    for part in _parts(path, parquet_names(path)):
        yield from part.iter_rows(named=True)
