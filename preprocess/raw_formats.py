"""Readers of the raw dumps, bytes in, plain records out: MovieLens-100K in two layouts, Amazon Reviews 2018.

Sources: https://grouplens.org/datasets/movielens/100k/ (README), https://recbole.io/docs (atomic files),
https://nijianmo.github.io/amazon/ (2018 reviews and metadata, one strict JSON object a line).
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from tqdm import tqdm

from train_utils.text_files import read_json_lines, sniff_encoding, text_lines

# Name, ticks a second, and the magnitude from which on a file's median is one of it (in seconds the year 5138).
TIME_UNITS = (("seconds", 1, 0), ("milliseconds", 10**3, 10**11), ("microseconds", 10**6, 10**14),
              ("nanoseconds", 10**9, 10**17))  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One catalogue entry as the dump has it; the title is not yet cleaned."""

    id: str
    title: str
    categories: tuple[str, ...] = ()
    description: str = ""
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """Interactions in file order: row n is the n-th accepted line.

    `user`, `item`: int32 [n_events], places in `user_ids` and `item_ids`; `time`: int64 [n_events], of which `ticks`
    make a second, so that no order is lost. `time_unit` is that of most times in the dump, `times_by_unit` counts them.
    """

    user_ids: list[str]
    item_ids: list[str]
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    time_unit: str = "seconds"
    ticks: int = 1
    times_by_unit: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RawDataset:
    """A dump: `rejected` counts, by file name and reason, the lines that were not used; `encodings`, by file name."""

    source: str
    files: tuple[Path, ...]
    events: Events
    items: list[Item]
    rejected: Mapping[str, Mapping[str, int]]
    encodings: Mapping[str, str] = field(default_factory=dict)


class EventCollector:
    """Grows arrays of interned ids: 16 bytes an event, whatever the line held."""

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._user, self._item, self._time = array("i"), array("i"), array("q")
        self._fractions: dict[int, Decimal] = {}  # of the few dumps whose times have one, by row

    def add(self, user_id: str, item_id: str, time: Decimal) -> None:
        whole = int(time)
        if time != whole:
            self._fractions[len(self._time)] = time - whole
        self._user.append(self._users.setdefault(user_id, len(self._users)))
        self._item.append(self._items.setdefault(item_id, len(self._items)))
        self._time.append(whole)

    def events(self) -> Events:
        times = settle_times(np.array(self._time, dtype=np.int64), self._fractions)
        return Events(
            list(self._users),
            list(self._items),
            np.array(self._user, dtype=np.int32),
            np.array(self._item, dtype=np.int32),
            times.values,
            times.unit,
            times.ticks,
            times.by_unit,
        )


@dataclass(frozen=True)
class Times:
    """`values`: int64 [n], `ticks` of which make a second; `unit`: that of most; `by_unit`: how many have which."""

    values: np.ndarray
    unit: str
    ticks: int
    by_unit: Mapping[str, int]


def settle_times(time: np.ndarray, fractions: Mapping[int, Decimal] = MappingProxyType({})) -> Times:
    """Times since 1970 as they were read, int64 [n], and the fractions of some rows -> one unit that keeps every order.

    The unit of the file is that of its median. A time that this unit puts outside 1973 to 2100 and another one inside
    has the other one; then, and where there are fractions, all of them are kept in the finest unit that is needed.
    """
    typical = float(np.median(np.abs(time.astype(np.float64)))) if len(time) else 0.0
    own = max(number for number, (_, _, least) in enumerate(TIME_UNITS) if typical >= least)
    place = np.full(len(time), own)
    in_own = _is_modern(time, TIME_UNITS[own][1])
    for number, (_, ticks, _) in enumerate(TIME_UNITS):
        place[~in_own & _is_modern(time, ticks)] = number
    finest = max(place.max(initial=own), own)
    if fractions:
        # Nanoseconds hold any time up to the year 2262; of times that they cannot hold only the whole part is kept.
        seconds = np.abs(time.astype(np.float64)) / np.array([ticks for _, ticks, _ in TIME_UNITS])[place]
        finest = len(TIME_UNITS) - 1 if seconds.max() < 9e9 else finest
    scale = np.array([TIME_UNITS[finest][1] // ticks if ticks <= TIME_UNITS[finest][1] else 1 for _, ticks, _ in
                      TIME_UNITS], dtype=np.int64)[place]  # fmt: skip
    values = time * scale
    for row, fraction in fractions.items():
        values[row] += int(fraction * int(scale[row]))
    by_unit = {TIME_UNITS[number][0]: int(n) for number, n in enumerate(np.bincount(place)) if n}
    return Times(values, TIME_UNITS[own][0], TIME_UNITS[finest][1], by_unit)


def _is_modern(time: np.ndarray, ticks: int) -> np.ndarray:
    """Which times, of so many ticks a second, are between 1973 and 2100: no time is that in two units."""
    return (time >= 10**8 * ticks) & (time <= 4_102_444_800 * ticks)


def parse_id(value: object) -> str:
    """A usable id: a non-empty printable string without surrounding blanks; ValueError otherwise."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isprintable():
        raise ValueError("id missing or unprintable")
    return text


def parse_time(value: object) -> Decimal:
    """A time since 1970, in any unit, of a number or its text, to its last digit; ValueError when it is not one, or out
    of int64."""
    try:
        is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
        time = Decimal(value.strip() if isinstance(value, str) else value) if is_number else None
    except ArithmeticError:
        time = None
    if time is None or not time.is_finite() or not -(2**62) < time < 2**62:
        raise ValueError("time missing or not a number")
    return time


class ItemCollector:
    """Items by id in file order: the first row of each id among `wanted`; the others are counted."""

    def __init__(self, wanted: set[str], rejected: Counter[str]) -> None:
        self.items: dict[str, Item] = {}
        self._wanted, self._rejected = wanted, rejected

    def add(self, item: Item) -> None:
        if item.id in self.items:
            self._rejected["repeated item id"] += 1
        elif item.id not in self._wanted:
            self._rejected["no event in the dump"] += 1
        else:
            self.items[item.id] = item


# ---------------------------------------------------------------- MovieLens-100K

# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
_TITLE_AND_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})\)\s*", re.DOTALL)


def read_movielens(folder: Path) -> RawDataset:
    """MovieLens-100K in either layout, RecBole atomic files or GroupLens `u.data` + `u.item`.

    FileNotFoundError when the folder holds neither.
    """
    atomic = (folder / "ml-100k.inter", folder / "ml-100k.item")
    grouplens = (folder / "u.data", folder / "u.item")
    if all(path.is_file() for path in atomic):
        return _read_dump("movielens-100k, RecBole atomic files", atomic, _atomic_events, _atomic_items)
    if all(path.is_file() for path in grouplens):
        return _read_dump("movielens-100k, GroupLens", grouplens, _grouplens_events, _grouplens_items)
    raise FileNotFoundError(
        f"{folder} holds neither ml-100k.inter and ml-100k.item nor u.data and u.item; "
        "run scripts/fetch_defaults.py or unpack ml-100k.zip there"
    )


def _read_dump(
    source: str,
    files: tuple[Path, Path],
    read_events: Callable[[Path, Counter[str]], Events],
    read_items: Callable[[Path, Counter[str]], Iterator[Item]],
) -> RawDataset:
    """Events of the first file, items of the second, rejected lines of both."""
    rejected: dict[str, Counter[str]] = {path.name: Counter() for path in files}
    events = read_events(files[0], rejected[files[0].name])
    # Rows of items without an event are not held: a metadata file may be larger than the reviews.
    rows = ItemCollector(set(events.item_ids), rejected[files[1].name])
    for item in read_items(files[1], rejected[files[1].name]):
        rows.add(item)
    for path, usable in zip(files, (len(events.time), len(rows.items)), strict=True):
        if not usable:
            reasons = dict(rejected[path.name])
            raise ValueError(f"{path} has no usable line ({reasons}); is it the right file?")
    encodings = {path.name: sniff_encoding(path, "latin-1") for path in files}
    return RawDataset(source, files, events, list(rows.items.values()), rejected, encodings)


def _atomic_rows(path: Path, wanted: tuple[str, ...], rejected: Counter[str]) -> Iterator[list[str]]:
    """Values of the `wanted` columns, by the typed header `name:type<TAB>...` of a RecBole atomic file."""
    lines = text_lines(path, "latin-1", rejected)
    names = [column.split(":")[0] for column in next(lines, "").split("\t")]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{path} has the columns {names}, but lacks {missing}; is it a RecBole file?")
    places = [names.index(name) for name in wanted]
    for line in lines:
        values = line.split("\t")
        if len(values) != len(names):
            rejected["wrong number of columns"] += 1
            continue
        yield [values[place] for place in places]


def _collect(rows: Iterable[list[str]], rejected: Counter[str]) -> Events:
    """Events of rows (user, item, time)."""
    collector = EventCollector()
    for user_id, item_id, time in rows:
        try:
            collector.add(parse_id(user_id), parse_id(item_id), parse_time(time))
        except ValueError as reason:
            rejected[str(reason)] += 1
    return collector.events()


def _atomic_events(path: Path, rejected: Counter[str]) -> Events:
    return _collect(_atomic_rows(path, ("user_id", "item_id", "timestamp"), rejected), rejected)


def _grouplens_events(path: Path, rejected: Counter[str]) -> Events:
    def rows() -> Iterator[list[str]]:
        for line in text_lines(path, "latin-1", rejected):
            values = line.split("\t")
            if len(values) == 4:
                yield [values[0], values[1], values[3]]
            else:
                rejected["wrong number of columns"] += 1

    return _collect(rows(), rejected)


def _movie(item_id: str, title: str, year: str, genres: tuple[str, ...]) -> Item:
    return Item(parse_id(item_id), title, genres, attributes={"year": int(year)} if year.isdecimal() else {})


def _atomic_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for item_id, title, year, genres in _atomic_rows(
        path, ("item_id", "movie_title", "release_year", "class"), rejected
    ):
        try:
            yield _movie(item_id, title, year, tuple(genres.split()))
        except ValueError as reason:
            rejected[str(reason)] += 1


def _grouplens_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for line in text_lines(path, "latin-1", rejected):
        values = line.split("|")
        if len(values) != 5 + len(GENRES):
            rejected["wrong number of columns"] += 1
            continue
        genres = tuple(genre for genre, flag in zip(GENRES, values[5:], strict=True) if flag == "1")
        dated = _TITLE_AND_YEAR.fullmatch(values[1])
        title, year = (dated["title"], dated["year"]) if dated else (values[1], "")
        try:
            yield _movie(values[0], title, year, genres)
        except ValueError as reason:
            rejected[str(reason)] += 1


# ---------------------------------------------------------------- Amazon Reviews 2018

_PRICE = re.compile(r"\$\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?")


def read_amazon(folder: Path, full_name: str) -> RawDataset:
    """`<full_name>_5.json[.gz]` and `meta_<full_name>.json[.gz]` of the 2018 dump, in `folder`.

    Reviews are streamed: memory holds 16 bytes an event, the interned ids and the items that were reviewed.
    Lines that are not strict JSON are counted, never evaluated. ValueError when no line is usable.
    """
    files = _either_suffix(folder, f"{full_name}_5.json"), _either_suffix(folder, f"meta_{full_name}.json")
    return _read_dump(f"amazon 2018, {full_name}", files, _amazon_events, _amazon_items)


def _either_suffix(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"{folder / name}.gz is not there; download it from https://nijianmo.github.io/amazon/ to that folder"
    )


def json_lines(path: Path, rejected: Counter[str]) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of a file with one a line, gzip or plain; other lines are counted."""
    for _, record in tqdm(read_json_lines(path, rejected), desc=path.name, unit=" lines", disable=None):
        if isinstance(record, dict):
            yield record
        else:
            rejected["not a JSON object"] += 1


def _amazon_events(path: Path, rejected: Counter[str]) -> Events:
    rows = (
        [record.get("reviewerID"), record.get("asin"), record.get("unixReviewTime")]
        for record in json_lines(path, rejected)
    )
    return _collect(rows, rejected)


def _strings(value: object) -> list[str]:
    """The non-blank strings of a list, and of the lists in it (the dump of 2014 nests categories); a lone string counts
    as a list of one (old rows hold `""`)."""
    values = value if isinstance(value, list) else [value]
    flat = [text for one in values for text in (one if isinstance(one, list) else [one])]
    return [text.strip() for text in flat if isinstance(text, str) and text.strip()]


def _amazon_attributes(record: Mapping[str, Any]) -> dict[str, str | float]:
    """`brand` and `price` (US dollars) where the row has them; a style sheet in `price` does not parse."""
    attributes: dict[str, str | float] = {}
    if brand := " ".join(_strings(record.get("brand"))):
        attributes["brand"] = brand
    price = record.get("price")
    if isinstance(price, str) and (match := _PRICE.fullmatch(price.strip())):
        attributes["price"] = float(match[1].replace(",", "") + (match[2] or ""))
    return attributes


def _amazon_items(path: Path, rejected: Counter[str]) -> Iterator[Item]:
    for record in json_lines(path, rejected):
        title = record.get("title")
        try:
            yield Item(
                parse_id(record.get("asin")),
                title if isinstance(title, str) else "",
                tuple(_strings(record.get("category"))),
                " ".join(_strings(record.get("description"))),
                _amazon_attributes(record),
            )
        except ValueError as reason:
            rejected[str(reason)] += 1
