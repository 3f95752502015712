"""Records of the raw dumps: events as columns of integers, items, and the code that builds them."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count as count_from
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from readers.dates import LEAST, MOST
from readers.times import parse_time, settle_times

# Limits of the fields of a dump, far above what shops write; text beyond them is cut before it is cleaned.
MAX_ID = 1_000  # characters
MAX_TITLE = 2_000  # characters of a title, a category or an attribute
MAX_DESCRIPTION = 100_000  # characters
MAX_CATEGORIES = 1_000  # of one item
MAX_RATING = 1e9
NO_RATING = float("nan")
OF_ITEMS = ", items"  # after the name of a file that holds both events and items


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
        rating: float32 [n_events], NaN where an event has none; None where no event has one.
    """

    user_ids: list[str]
    item_ids: list[str]
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    time_unit: str = "seconds"
    ticks: int = 1
    times_by_unit: Mapping[str, int] = field(default_factory=dict)
    rating: np.ndarray | None = None


@dataclass(frozen=True)
class RawDataset:
    """Dump of a dataset.

    Attributes:
        source: name of the dump.
        files: files of events and of items.
        events: the accepted events.
        items: the accepted items.
        rejected: file name -> reason -> number of unused lines; the name of the file of items has `OF_ITEMS` after it
            where the file of events is the same.
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


class Columns(msgspec.Struct):
    """Events that follow others, as they are saved.

    Attributes:
        first: number of the events before them.
        users: user ids that are not among those of the events before them.
        items: item ids, likewise.
        user: int32 [n], bytes of the machine's order, as the three after it.
        item: int32 [n].
        time: int64 [n], as read.
        rating: float32 [n].
        fractions: row -> fraction of its time.
    """

    first: int
    users: list[str]
    items: list[str]
    user: bytes
    item: bytes
    time: bytes
    rating: bytes
    fractions: dict[int, str]


class EventCollector:
    """Builder of `Events` that grows arrays of interned ids: 20 bytes per event."""

    def __init__(self) -> None:
        self._users, self._items = _IdTable(), _IdTable()
        self._user, self._item, self._time, self._rating = array("i"), array("i"), array("q"), array("f")
        self._fractions: dict[int, Decimal] = {}  # row -> fraction; few dumps have any

    def __len__(self) -> int:
        return len(self._time)

    def add(self, user_id: str, item_id: str, time: Decimal, rating: float = NO_RATING) -> None:
        """Add an event. The ids are those of `parse_id`."""
        whole = int(time)
        if time != whole:
            self._fractions[len(self._time)] = time - whole
        self._user.append(self._users[user_id])
        self._item.append(self._items[item_id])
        self._time.append(whole)
        self._rating.append(rating)

    def extend(
        self,
        users: Sequence[str],
        items: Sequence[str],
        times: Sequence[int],
        ratings: Sequence[float] | None = None,
        are_parsed: bool = False,
    ) -> bool:
        """Add events at once. Return False, and add none, where one of them needs a look of its own.

        Such an event has an id that is not as `parse_id` returns it, or a time out of range.

        Args:
            users: the user ids.
            items: the item ids.
            times: the times.
            ratings: numbers of any size, and NaN for none, as `parse_rating` takes them; None where no event has one.
            are_parsed: whether the times were parsed from texts, and may be dates as `settle_dates` reads them.
        """
        count = len(users)
        try:
            time = np.fromiter(times, np.int64, count)
        except OverflowError:
            return False
        if count and not (LEAST if are_parsed else -MOST) < time.min() <= time.max() < MOST:
            return False
        marks = self.marks()
        user, item = self._users.numbers(users), self._items.numbers(items)
        if not (self._users.are_usable(marks[1]) and self._items.are_usable(marks[2])):
            self._users.forget(marks[1])
            self._items.forget(marks[2])
            return False
        rating = np.full(count, NO_RATING) if ratings is None else np.fromiter(ratings, np.float64, count)
        rating[~(np.abs(rating) < MAX_RATING)] = NO_RATING
        for array_, column in (
            (self._user, user), (self._item, item), (self._time, time), (self._rating, rating.astype(np.float32))
        ):  # fmt: skip
            array_.frombytes(column.tobytes())
        return True

    def marks(self) -> tuple[int, int, int]:
        """Return the numbers of events, user ids and item ids."""
        return len(self), len(self._users), len(self._items)

    def columns(self, marks: tuple[int, int, int]) -> Columns:
        """Return what was added after `marks`."""
        first, n_users, n_items = marks
        return Columns(
            first, list(islice(self._users, n_users, None)), list(islice(self._items, n_items, None)),
            *(array_[first:].tobytes() for array_ in (self._user, self._item, self._time, self._rating)),
            {row: str(fraction) for row, fraction in self._fractions.items() if row >= first},
        )  # fmt: skip

    def add_columns(self, columns: Columns) -> bool:
        """Add what `columns` returned. Return False, and add none, where it does not continue these events."""
        count = len(columns.time) // 8
        sizes = [len(column) for column in (columns.user, columns.item, columns.rating)]
        new = (self._users.keys().isdisjoint(columns.users), self._items.keys().isdisjoint(columns.items))
        if columns.first != len(self) or sizes != [4 * count] * 3 or not all(new):
            return False
        for table, ids in ((self._users, columns.users), (self._items, columns.items)):
            table.update(zip(ids, count_from(len(table))))
        for array_, column in zip(
            (self._user, self._item, self._time, self._rating),
            (columns.user, columns.item, columns.time, columns.rating), strict=True,
        ):  # fmt: skip
            array_.frombytes(column)
        self._fractions.update((row, Decimal(text)) for row, text in columns.fractions.items())
        return True

    def events(self) -> Events:
        """Return the events; the collector is empty afterwards."""
        user, item = (np.frombuffer(array_, dtype=np.int32) for array_ in (self._user, self._item))
        rating = np.frombuffer(self._rating, dtype=np.float32)
        times = settle_times(np.frombuffer(self._time, dtype=np.int64), self._fractions)
        users, items = list(self._users), list(self._items)
        self._users, self._items = _IdTable(), _IdTable()  # the tables take more memory than all the events
        has_ratings = not np.isnan(rating).all()
        return Events(
            users, items, user, item, times.values, times.unit, times.ticks, times.by_unit,
            rating if has_ratings else None,
        )  # fmt: skip


class _IdTable(dict[str, int]):
    """Id -> number, in order of first appearance."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number

    def numbers(self, ids: Sequence[str]) -> np.ndarray:
        """Return the numbers of ids, int32 [n]; new ids are added."""
        return np.fromiter(map(self.__getitem__, ids), np.int32, len(ids))

    def are_usable(self, first: int) -> bool:
        """Return whether the ids from number `first` on are as `parse_id` returns them."""
        new = list(islice(reversed(self), len(self) - first))
        is_printable = all(map(str.isprintable, new)) and list(map(str.strip, new)) == new
        return is_printable and all(new) and max(map(len, new), default=0) <= MAX_ID

    def forget(self, first: int) -> None:
        """Delete the ids from number `first` on."""
        while len(self) > first:
            self.popitem()


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
    texts = [item.title, *item.categories, *(value for value in item.attributes.values() if isinstance(value, str))]
    is_within = len(item.categories) <= MAX_CATEGORIES and len(item.description) <= MAX_DESCRIPTION
    if is_within and max(map(len, texts)) <= MAX_TITLE:
        return item
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


def collect(rows: Iterable[Sequence[object]], rejected: Counter[str]) -> Events:
    """Return the events of rows (user, item, time[, rating]); count unusable rows in `rejected`."""
    collector = EventCollector()
    for row in rows:
        add_row(collector, row, rejected)
    return collector.events()


def add_row(
    collector: EventCollector,
    row: Sequence[object],
    rejected: Counter[str],
    id_of: Callable[[object], str] = parse_id,
    time_of: Callable[[object], Decimal] = parse_time,
) -> None:
    """Add the event of a row (user, item, time[, rating]); count an unusable one in `rejected`."""
    try:
        collector.add(id_of(row[0]), id_of(row[1]), time_of(row[2]), parse_rating(row[3] if len(row) > 3 else None))
    except ValueError as reason:
        rejected[str(reason)] += 1


def parse_rating(value: object) -> float:
    """Return a rating, a finite number or its text; `NO_RATING` for another value."""
    try:
        rating = (
            float(value) if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool) else NO_RATING
        )
    except (ValueError, OverflowError):
        return NO_RATING
    return rating if abs(rating) < MAX_RATING else NO_RATING
