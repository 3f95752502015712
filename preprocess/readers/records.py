"""Readers of the raw dumps, bytes in, plain records out: MovieLens-100K in two layouts, Amazon Reviews 2018.

Sources: https://grouplens.org/datasets/movielens/100k/ (README), https://recbole.io/docs (atomic files),
https://nijianmo.github.io/amazon/ (2018 reviews and metadata, one strict JSON object a line).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import numpy as np

from train_utils.text_files import sniff_encoding

# Name, ticks a second, and the magnitude from which on a file's median is one of it (in seconds the year 5138).
TIME_UNITS = (("seconds", 1, 0), ("milliseconds", 10**3, 10**11), ("microseconds", 10**6, 10**14),
              ("nanoseconds", 10**9, 10**17))  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One catalog entry as the dump has it; the title is not yet cleaned."""

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


def read_dump(
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


def collect(rows: Iterable[list[str]], rejected: Counter[str]) -> Events:
    """Events of rows (user, item, time)."""
    collector = EventCollector()
    for user_id, item_id, time in rows:
        try:
            collector.add(parse_id(user_id), parse_id(item_id), parse_time(time))
        except ValueError as reason:
            rejected[str(reason)] += 1
    return collector.events()
