"""Files of one record per line: JSON, or Python literals as some dumps have them. Nothing is ever evaluated.

Plain lines are decoded in bulk, with only the fields that are needed. A line that this refuses is read again by itself,
by the standard library, which decides whether it is used and, if not, under which reason it is counted.
"""

import ast
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from readers.chunks import LineFile, is_utf8, lines_of
from readers.literals import MAX_LITERAL, json_of_literals, text_columns
from readers.progress import blocks_of
from readers.records import NO_RATING, EventCollector, Events, add_row, parse_id
from readers.times import parse_time, whole_seconds

NOT_JSON, NOT_OBJECT, NOT_LITERAL = "not strict JSON", "not a JSON object", "neither JSON nor a Python literal"

_ALONE = 8  # lines that are read one by one

Record = Mapping[str, Any]


@dataclass(frozen=True)
class EventFields:
    """Names of the fields of an event.

    Without a name of the time, the position in the file is the time.

    Attributes:
        user: names of the user's id; the first one that a record has counts.
        item: names of the item's id.
        time: names of the time.
        rating: names of the rating.
        literals: whether a line may be a Python literal.
        is_text_time: whether times are dates, or numbers in quotes.
        has_number_ids: whether ids are numbers, in part at least.
        id_of: parser of ids.
        time_of: parser of times.
    """

    user: tuple[str, ...]
    item: tuple[str, ...]
    time: tuple[str, ...]
    rating: tuple[str, ...] = ()
    literals: bool = False
    is_text_time: bool = False
    has_number_ids: bool = False
    id_of: Callable[[object], str] = parse_id
    time_of: Callable[[object], Decimal] = parse_time

    def row(self, record: Record) -> tuple[object, ...]:
        """Return (user, item, time, rating) of a record, None for a missing one."""
        names = (self.user, self.item, self.time, self.rating)
        return tuple(next((record[name] for name in group if name in record), None) for group in names)

    def decoder(self) -> Callable[[bytes], Any]:
        """Return the decoder of plain records, which reads the first name of each group alone."""
        kind: Any = int | str if self.has_number_ids else str
        fields: list[tuple] = [
            ("user", kind, msgspec.field(name=self.user[0])),
            ("item", kind, msgspec.field(name=self.item[0])),
        ]
        if self.time:
            fields.append(("time", str if self.is_text_time else int, msgspec.field(name=self.time[0])))
        if self.rating:
            fields.append(("rating", float | None, msgspec.field(name=self.rating[0], default=None)))
        return msgspec.json.Decoder(msgspec.defstruct("Event", fields, gc=False)).decode_lines

    def text_columns(self) -> Callable[[bytes], list[list[str]] | None]:
        """Return the reader of plain literals whose needed fields are texts; elsewhere it takes no line."""
        if not (self.literals and self.is_text_time) or self.rating or self.has_number_ids:
            return lambda lines: None
        return text_columns([self.user[0], self.item[0], self.time[0]])


class _PlainReader:
    """Reader of blocks of lines that are all plain."""

    def __init__(self, fields: EventFields) -> None:
        self._fields, self._decode, self._text_columns = fields, fields.decoder(), fields.text_columns()

    def add(self, block: bytes, collector: EventCollector) -> bool:
        """Add the events of a block; return False, and add none, where a line is not plain."""
        text = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        text = text.rstrip(b"\n")
        ratings = None
        try:
            if not is_utf8(text):  # the decoders do not look into the fields that they skip
                return False
            if (columns := self._text_columns(text)) is not None:
                users, items, times = columns
            else:
                records = self._records(text)
                users, items = [record.user for record in records], [record.item for record in records]
                times = [record.time for record in records] if self._fields.time else []
                if self._fields.rating:
                    ratings = [NO_RATING if record.rating is None else record.rating for record in records]
            if self._fields.is_text_time:
                times = [whole_seconds(self._fields.time_of, moment) for moment in times]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return False
        if self._fields.has_number_ids:
            users, items = list(map(str, users)), list(map(str, items))
        order = range(len(collector), len(collector) + len(users))
        times = times if self._fields.time else order
        return collector.extend(users, items, times, ratings, are_parsed=self._fields.is_text_time)

    def _records(self, text: bytes) -> list[Any]:
        """Return the records of lines of one record each.

        Raises:
            ValueError: a line is another one.
        """
        if self._fields.literals and text[:2] != b'{"' and (in_json := json_of_literals(text)) is not None:
            text = in_json
        records = self._decode(text)
        if records and not _has_one_per_line(text, len(records)):
            raise ValueError("not one record per line")
        return records


def _has_one_per_line(text: bytes, records: int) -> bool:
    """Return whether every line begins and ends with a brace, so that no record has two lines, and none has two."""
    characters = np.frombuffer(text, np.uint8)
    at = np.flatnonzero(characters == ord("\n"))
    return (
        (text[:1], text[-1:]) == (b"{", b"}")
        and len(at) == records - 1
        and bool((characters[at - 1] == ord("}")).all())
        and bool((characters[at + 1] == ord("{")).all())
    )


def json_events(file: LineFile, fields: EventFields) -> Events:
    """Read the events of a file of records; lines that are not used are counted in `file.rejected`."""
    collector, plain = EventCollector(), _PlainReader(fields)
    for block in blocks_of(file, collector):
        _add_block(block, collector, plain, fields, file)
    return collector.events()


def _add_block(
    block: bytes, collector: EventCollector, plain: _PlainReader, fields: EventFields, file: LineFile
) -> None:
    """Add the events of a block: of its halves where a line is not plain, and of single lines in the end."""
    if plain.add(block, collector):
        return
    lines = lines_of(block)
    if len(lines) > _ALONE:
        for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
            _add_block(b"\n".join(half), collector, plain, fields, file)
        return
    for line in lines:
        record = read_record(file, line, fields.literals)
        if record is not None:
            user, item, time, rating = fields.row(record)
            time = time if fields.time else len(collector)
            add_row(collector, (user, item, time, rating), file.rejected, fields.id_of, fields.time_of)


def records(file: LineFile, literals: bool = False) -> Iterator[Record]:
    """Yield the objects of a file with one per line; other lines are counted in `file.rejected`."""
    for lines in file.chunks():
        for line in lines:
            record = read_record(file, line, literals)
            if record is not None:
                yield record


def json_lines(path: Path, rejected: Counter[str]) -> Iterator[Record]:
    """Yield the JSON objects of a file with one per line, gzip or plain; count other lines in `rejected`."""
    yield from records(LineFile(path, rejected))


def read_record(file: LineFile, line: bytes, literals: bool = False) -> Record | None:
    """Return the object of a line; None for a blank line, and for one that is none, which is counted."""
    try:
        value: object = _plain_value(line, literals)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            text = file.text(line).removeprefix("\ufeff")
            if not text.strip():
                return None
            value = _value(text, literals)
        except ValueError as reason:
            file.rejected[str(reason)] += 1
            return None
    if isinstance(value, dict):
        return value
    file.rejected[NOT_OBJECT] += 1
    return None


def _plain_value(line: bytes, literals: bool) -> object:
    """Return the value of a line of JSON or, where `literals` admits them, of a plain Python literal.

    Raises:
        msgspec.MsgspecError: it is neither.
    """
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if not literals or (in_json := json_of_literals(line)) is None:
            raise
    return msgspec.json.decode(in_json)


def _value(text: str, literals: bool) -> object:
    """Return the value of a line.

    Raises:
        ValueError: it is no JSON and, where `literals` admits them, no Python literal; the text is the reason.
    """
    try:
        return json.loads(text, parse_int=_number)
    except (ValueError, RecursionError):
        if not literals:
            raise ValueError(NOT_JSON) from None
    try:
        if len(text) > MAX_LITERAL:
            raise ValueError
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(NOT_LITERAL) from None


def _number(digits: str) -> int | float:
    """Return a whole number, as a float where Python makes no integer of so many digits."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)
