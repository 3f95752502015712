"""Tables in text: CSV, TSV and the `::` of MovieLens. Plain chunks go through Polars, others line by line."""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from readers.chunks import LineFile, lines_of
from readers.progress import blocks_of
from readers.records import EventCollector, Events, add_row, parse_id
from readers.times import parse_time, whole_seconds
from train_utils.characters import shown

COLUMNS, QUOTES = "wrong number of columns", "broken quotes"
MAX_COLUMNS = 10_000
_MAX_ROW_LINES = 1_000  # lines of one row of CSV, whose quoted values may hold line ends
_STAND_IN = "\x1f"  # for a separator of several characters, which Polars has not


@dataclass(frozen=True)
class Table:
    """Layout of a table of events.

    Attributes:
        separator: text between values.
        width: number of columns.
        columns: positions of user, item, time and rating; None for a column that is not there.
        has_header: whether the first line holds names.
        is_quoted: whether values may be in quotation marks.
        id_of: parser of ids.
        time_of: parser of times.
        is_text_time: whether times are dates, in part at least.
    """

    separator: str
    width: int
    columns: tuple[int, int, int | None, int | None]
    has_header: bool = False
    is_quoted: bool = False
    id_of: Callable[[object], str] = parse_id
    time_of: Callable[[object], Decimal] = parse_time
    is_text_time: bool = False


def table_events(file: LineFile, table: Table) -> Events:
    """Read the events of a table; lines that are not used are counted in `file.rejected`.

    Without a column of times, the position in the file is the time.
    """
    collector = EventCollector()
    read = partial(_blocks_of_rows, file) if table.has_header else file.blocks
    for block in blocks_of(file, collector, read):
        if not _add_plain(collector, block, table):
            for values in _rows(file, lines_of(block), table):
                _add(collector, values, table, file)
    return collector.events()


def _blocks_of_rows(file: LineFile, begin: int) -> Iterator[bytes]:
    """Yield the blocks after a position, without the header."""
    is_first = begin == 0
    for block in file.blocks(begin):
        yield block.partition(b"\n")[2] if is_first else block
        is_first = is_first and not block


def _add(collector: EventCollector, values: Sequence[str], table: Table, file: LineFile) -> None:
    user, item, time, rating = (None if at is None else values[at] for at in table.columns)
    row = (user, item, len(collector) if table.columns[2] is None else time, rating)
    add_row(collector, row, file.rejected, table.id_of, table.time_of)


def _add_plain(collector: EventCollector, block: bytes, table: Table) -> bool:
    """Add the events of a block whose lines are all plain; return False, and add none, where one is not."""
    import polars as pl  # here: dumps without tables need none of its 27 MB

    separator = table.separator.encode()
    whole = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    whole = whole.removesuffix(b"\n")
    count = whole.count(b"\n") + 1 if block else 0
    is_plain = b'"' not in whole and whole.count(separator) == count * (table.width - 1)
    if not count or not is_plain or (len(separator) > 1 and _STAND_IN.encode() in whole):
        return not count
    if len(separator) > 1:
        whole = whole.replace(separator, _STAND_IN.encode())
    used = [at for at in table.columns if at is not None]
    names = [f"c{at}" for at in range(table.width)]
    kinds = {table.columns[2]: pl.String if table.is_text_time else pl.Int64, table.columns[3]: pl.Float64}
    schema = {name: kinds.get(at, pl.String) for at, name in enumerate(names)}
    try:
        frame = pl.read_csv(
            io.BytesIO(whole + b"\n"), has_header=False, schema=schema, columns=sorted(used), quote_char=None,
            separator=table.separator if len(separator) == 1 else _STAND_IN,
        )  # fmt: skip
    except pl.exceptions.PolarsError:
        return False
    if frame.height != count or any(frame[names[at]].null_count() for at in used):
        return False
    user, item, time, rating = (None if at is None else frame[names[at]] for at in table.columns)
    ratings = None if rating is None else rating.to_numpy()
    try:
        if table.is_text_time:
            times = [whole_seconds(table.time_of, text) for text in time]  # type: ignore[union-attr]
        else:
            times = range(len(collector), len(collector) + count) if time is None else time.to_numpy()
    except ValueError:
        return False
    return collector.extend(user.to_list(), item.to_list(), times, ratings, table.is_text_time)  # type: ignore[union-attr]


def _rows(file: LineFile, lines: list[bytes], table: Table) -> Iterator[list[str]]:
    """Yield the values of lines; broken ones are counted in `file.rejected`."""
    for line in lines:
        try:
            text = file.text(line)
        except ValueError as reason:
            file.rejected[str(reason)] += 1
            continue
        if table.is_quoted and not text.strip():
            continue
        values = _values(text, table.separator) if table.is_quoted else text.split(table.separator, table.width)
        if values is None:
            file.rejected[QUOTES] += 1
        elif len(values) != table.width:
            file.rejected[COLUMNS] += 1
        else:
            yield values


def _values(row: str, separator: str) -> list[str] | None:
    """Return the values of a row of CSV; None for one that is none."""
    try:
        return next(csv.reader(io.StringIO(row, newline=""), strict=True, delimiter=separator), [])
    except csv.Error:
        return None


def header_of(file: LineFile, separator: str) -> list[str]:
    """Return the names in the first line of a table."""
    first = next(file.lines(), "")
    return [name.strip() for name in (_values(first, separator) or [])[:MAX_COLUMNS]]


def column_of(names: Sequence[str], wanted: str, file: LineFile) -> int:
    """Return the position of a column.

    Raises:
        ValueError: there is no such column.
    """
    if wanted not in names:
        raise ValueError(
            f"{file.path} has the columns {shown(list(names))}, but lacks {wanted!r}; is it the right file?"
        )
    return names.index(wanted)


def table_rows(file: LineFile, separator: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table with a header as column -> value; quoted values may hold line ends.

    The first line of a broken row is counted in `file.rejected`, and reading continues with the line after it.
    """
    lines = file.lines()
    names = [name.strip() for name in _values(next(lines, ""), separator) or []]
    waiting: deque[str] = deque()

    def next_line() -> str | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (line := next_line()) is not None:
        row, is_open = [line], line.count('"') % 2
        while is_open and len(row) < _MAX_ROW_LINES and (line := next_line()) is not None:
            row.append(line)
            is_open ^= line.count('"') % 2
        values = None if is_open else _values("\n".join(row), separator)
        if values is not None and len(values) == len(names):
            yield dict(zip(names, values, strict=True))
            continue
        if row[0].strip():
            file.rejected[QUOTES if values is None else COLUMNS] += 1
        waiting.extendleft(reversed(row[1:]))
