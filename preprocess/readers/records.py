"""Records of the raw dumps: events as columns of integers, items, and the code that builds them."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from readers.chunks import LineFile
from readers.times import MOST, parse_time, settle_times

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
        self, users: Sequence[str], items: Sequence[str], times: Sequence[int], ratings: Sequence[float] | None = None
    ) -> bool:
        """Add events at once. Return False, and add none, where one of them needs a look of its own.

        Such an event has an id that is not as `parse_id` returns it, or a time out of range.
        """
        try:
            time = np.asarray(times, dtype=np.int64)
        except OverflowError:
            return False
        is_plain = self._users.admits(users) and self._items.admits(items)
        if not is_plain or (len(time) and not -MOST < time.min() <= time.max() < MOST):
            return False
        count = len(time)
        self._user.frombytes(np.fromiter(map(self._users.__getitem__, users), np.int32, count).tobytes())
        self._item.frombytes(np.fromiter(map(self._items.__getitem__, items), np.int32, count).tobytes())
        self._time.frombytes(time.tobytes())
        rating = np.full(count, NO_RATING, np.float32) if ratings is None else np.asarray(ratings, dtype=np.float32)
        self._rating.frombytes(rating.tobytes())
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

    def admits(self, ids: Sequence[str]) -> bool:
        """Return whether all ids are as `parse_id` returns them."""
        try:
            return all(key in self or parse_id(key) == key for key in dict.fromkeys(ids))
        except ValueError:
            return False


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
    for item in read_items(lines[1]):
        rows.add(item)
    for file, usable in zip(lines, (len(events.time), len(rows.items)), strict=True):
        if not usable:
            raise ValueError(f"{file.path} has no usable line ({dict(+file.rejected)}); is it the right file?")
    second = lines[1].path.name if files[1] != files[0] else f"{files[1].name}{OF_ITEMS}"
    rejected = {files[0].name: +lines[0].rejected, second: +lines[1].rejected}
    encodings = {file.path.name: file.encoding for file in lines}
    return RawDataset(source, files, events, list(rows.items.values()), rejected, encodings, rows.shortened)


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
        rating = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else NO_RATING
    except (ValueError, OverflowError):
        return NO_RATING
    return rating if abs(rating) < MAX_RATING else NO_RATING
