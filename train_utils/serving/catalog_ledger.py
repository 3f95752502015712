"""What happened to a catalog: its items now, its versions, and what takes each of them back. Plain data.

A ledger is changed by one thread at a time. A change is planned first, which checks it; it counts once it is applied.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256

from train_utils.catalog import Catalog, Item
from train_utils.item_record import canonical, item_of, record_of

KEPT_VERSIONS = 100  # newest versions that can be returned to
# Items of older versions in memory, some hundred megabytes; the last change can be taken back however large it is.
KEPT_STATES = 200_000
MAX_PLACES = 2_000_000  # items with retired ones; each costs about a kilobyte for as long as the process runs
_DIGITS = 12  # of a digest in a version's name
_MODULUS = 2**256


class UnknownVersion(ValueError):
    """A version that is not kept."""


@dataclass(frozen=True)
class Delta:
    """Change of a catalog, checked.

    Attributes:
        put: index -> item that may be listed from now on; new indices follow the last one.
        retired: indices of items that may no longer be listed, whether they were put or not.
    """

    put: Mapping[int, Item] = field(default_factory=dict)
    retired: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Version:
    """Version of a catalog.

    Attributes:
        number: 1 for the dataset as it was loaded, one more for each change.
        digest: hexadecimal digits that are the same for the same items.
        items: number of items that may be listed.
        added: items that the change added or brought back.
        changed: items that it changed.
        retired: items that it retired.
    """

    number: int
    digest: str
    items: int
    added: int = 0
    changed: int = 0
    retired: int = 0

    @property
    def name(self) -> str:
        return version_name(self.number, self.digest)


# What a place held: the item, and whether it could be listed; None where there was no such place.
_Held = tuple[Item, bool] | None


def version_name(number: int, digest: str) -> str:
    """Return the name of a version, such as "2-0a1b2c3d4e5f"."""
    return f"{number}-{digest}"


def content_digest(catalog: Catalog) -> str:
    """Return the digest of the items of a catalog that may be listed, whatever their order."""
    return _digits(sum(_hash(item) for i, item in enumerate(catalog.items) if i not in catalog.retired) % _MODULUS)


class Ledger:
    """Items of a catalog and its versions.

    Args:
        catalog: the catalog as it was loaded.

    Attributes:
        base: see `catalog`.
        dataset: digest of the catalog as it was loaded.
        versions: the versions that are kept, oldest first.
    """

    def __init__(self, catalog: Catalog):
        self.base = catalog
        self._items = list(catalog.items)
        self._index = dict(catalog.index)
        self._retired: set[int] = set()
        self._titles = {item.title: i for i, item in enumerate(catalog.items)}
        self._sum = sum(map(_hash, catalog.items)) % _MODULUS
        self.dataset = _digits(self._sum)
        self.versions = [Version(1, self.dataset, len(catalog.items))]
        self._undo: deque[Mapping[int, _Held]] = deque()  # of every version but the oldest
        self._last: tuple[Delta, object, tuple[Version, int]] | None = None

    @property
    def version(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    # -- plans ---------------------------------------------------------------------------------------------------

    def put(self, records: Sequence[object], whole: bool = False) -> Delta:
        """Plan to add or change items.

        Args:
            records: the items; see `item_of`.
            whole: whether they are the whole catalog, so that items that are missing are retired.

        Raises:
            ValueError: an item is broken or is there twice, or two items that may be listed would have one title.
        """
        put: dict[int, Item] = {}
        new: dict[str, int] = {}
        for record in records:
            item = item_of(record)
            place = self._index.get(item.id)
            if place is None:
                place = new.setdefault(item.id, len(self._items) + len(new))
            if place in put:
                raise ValueError(f"item {item.id[:80]!r} is there twice; send it once")
            put[place] = item
        if len(self._items) + len(new) > MAX_PLACES:
            raise ValueError(
                f"the catalog would have {len(self._items) + len(new)} items with retired ones, wanted {MAX_PLACES} or "
                "fewer; write a dataset folder of those that are left, and restart"
            )
        retired = frozenset(range(len(self._items))).difference(put, self._retired) if whole else frozenset()
        return self._checked(Delta(self._differing(put), retired))

    def retire(self, ids: Sequence[str]) -> Delta:
        """Plan to retire items; those that are retired already stay so.

        Raises:
            ValueError: an item is unknown, or none would be left.
        """
        if unknown := next((item_id for item_id in ids if item_id not in self._index), None):
            raise ValueError(f"no item has the id {unknown[:80]!r}; leave it out")
        return self._checked(Delta(retired=frozenset(self._index[item_id] for item_id in ids) - self._retired))

    def rollback(self, number: int) -> Delta:
        """Plan to return to the items of an earlier version.

        Raises:
            UnknownVersion: the version is not kept.
        """
        held = self._held_at(number)
        put = {place: was[0] for place, was in held.items() if was is not None and was[1]}
        gone = frozenset(place for place, was in held.items() if was is None or not was[1])
        return self._checked(Delta(self._differing(put), gone - self._retired))

    def _held_at(self, number: int) -> dict[int, _Held]:
        """Return what the places that were changed since a version held then."""
        oldest, newest = self.versions[0].number, self.version.number
        if not oldest <= number <= newest:
            raise UnknownVersion(f"version {number} is not kept; there are {oldest} to {newest}")
        held: dict[int, _Held] = {}
        for undo in list(self._undo)[number - oldest :]:
            for place, was in undo.items():
                held.setdefault(place, was)
        return held

    def _differing(self, put: Mapping[int, Item]) -> dict[int, Item]:
        """Return the items that differ from what may be listed now."""
        return {
            place: item
            for place, item in put.items()
            if place >= len(self._items) or place in self._retired or _text(self._items[place]) != _text(item)
        }

    def _checked(self, delta: Delta) -> Delta:
        """Return a delta after which an item is left and no two have one title."""
        if self._n_listed_after(delta) < 1:
            raise ValueError("no item would be left; a catalog needs one or more")
        titles: dict[str, int] = {}
        for place, item in delta.put.items():
            held = titles.setdefault(item.title, place)
            if held == place:
                held = self._titles.get(item.title, place)
                held = place if held in delta.put or held in delta.retired else held
            if held != place:
                other = delta.put[held] if held in delta.put else self._items[held]
                raise ValueError(
                    f"items {other.id[:80]!r} and {item.id[:80]!r} would share the title {item.title[:80]!r} and could "
                    "not be told apart; change one of the titles"
                )
        return delta

    def _n_listed_after(self, delta: Delta) -> int:
        places = max(len(self._items), *(place + 1 for place in delta.put), 0)
        return places - len((self._retired - delta.put.keys()) | delta.retired)

    # -- changes -------------------------------------------------------------------------------------------------

    def after(self, delta: Delta, number: int | None = None) -> Version:
        """Return the version after a change.

        Args:
            delta: the change.
            number: number of the version; None for the next one.
        """
        return self._outcome(delta, number)[0]

    def _outcome(self, delta: Delta, number: int | None) -> tuple[Version, int]:
        """Return the version after a change, and the sum of the hashes of its items.

        The last outcome is kept: the change is asked about first, and then applied.
        """
        if self._last is not None and self._last[0] is delta and self._last[1] == (self.version, number):
            return self._last[2]
        counts = {"added": 0, "changed": 0, "retired": 0}
        for place in delta.put.keys() | delta.retired:
            was = self._held(place)
            was_listed = was is not None and was[1]
            if place not in delta.retired:
                counts["changed" if was_listed else "added"] += 1
            elif was_listed:
                counts["retired"] += 1
        total = self._sum_after(delta)
        named = self.version.number + 1 if number is None else number
        outcome = Version(named, _digits(total), self._n_listed_after(delta), **counts), total
        self._last = delta, (self.version, number), outcome
        return outcome

    def apply(self, delta: Delta, number: int | None = None) -> Version:
        """Make a change, and return its version; see `after`."""
        version, total = self._outcome(delta, number)
        self._last = None
        undo: dict[int, _Held] = {}
        for place in sorted(delta.put.keys() | delta.retired):
            undo[place] = was = self._held(place)
            if was is not None and self._titles.get(was[0].title) == place:
                del self._titles[was[0].title]
            if place in delta.put:
                self._items[place : place + 1] = [delta.put[place]]
                self._index[delta.put[place].id] = place
        for place, item in delta.put.items():
            if place not in delta.retired:
                self._titles[item.title] = place
        self._retired = (self._retired - delta.put.keys()) | delta.retired
        self._sum = total
        if version.number == self.version.number + 1:
            self.versions.append(version)
            self._undo.append(undo)
            self._forget()
        else:  # a snapshot: what came before it is not known
            self.versions, self._undo = [version], deque()
        return version

    def _held(self, place: int) -> _Held:
        return (self._items[place], place not in self._retired) if place < len(self._items) else None

    def _sum_after(self, delta: Delta) -> int:
        held = (was for place in delta.put.keys() | delta.retired if (was := self._held(place)) is not None)
        gone = sum(_hash(item) for item, listed in held if listed)
        come = sum(_hash(item) for place, item in delta.put.items() if place not in delta.retired)
        return (self._sum - gone + come) % _MODULUS

    def _forget(self) -> None:
        """Drop the oldest versions that are too many, or whose items are."""
        while len(self._undo) > 1 and (len(self.versions) > KEPT_VERSIONS or sum(map(len, self._undo)) > KEPT_STATES):
            self._undo.popleft()
            del self.versions[0]

    def frozen(self) -> "Ledger":
        """Return a copy for `delta_since_base` and `record`, which another thread may ask while this ledger changes."""
        other = copy(self)
        other._items, other.versions, other._undo = list(self._items), list(self.versions), deque(self._undo)
        return other

    # -- records -------------------------------------------------------------------------------------------------

    def record(self, delta: Delta) -> dict[str, object]:
        """Return a change as JSON; `delta_of` returns the change again.

        Items of the dataset are named by their ids, since their attributes may be no JSON.
        """
        base = self.base.items
        same = {place for place, item in delta.put.items() if place < len(base) and base[place] is item}
        ids = [delta.put[place].id if place in delta.put else self._items[place].id for place in sorted(delta.retired)]
        return {
            "put": [record_of(item) for place, item in delta.put.items() if place not in same],
            "restored": [base[place].id for place in sorted(same)],
            "retired": ids,
        }

    def delta_of(self, record: Mapping[str, object]) -> Delta:
        """Return the change that a record of a journal holds.

        Raises:
            ValueError: it is none of this ledger.
        """
        put: dict[int, Item] = {}
        new: dict[str, int] = {}
        for entry in _list(record, "put"):
            item = item_of(entry)
            place = self._index.get(item.id)
            put[new.setdefault(item.id, len(self._items) + len(new)) if place is None else place] = item
        for item_id in _list(record, "restored"):
            place = self.base.index.get(str(item_id))
            if place is None:
                raise ValueError(f"the dataset has no item {str(item_id)[:80]!r}")
            put[place] = self.base.items[place]
        retired: set[int] = set()
        for item_id in map(str, _list(record, "retired")):
            place = new.get(item_id, self._index.get(item_id))
            if place is None:
                raise ValueError(f"no item has the id {item_id[:80]!r}")
            retired.add(place)
        return Delta(dict(sorted(put.items())), frozenset(retired))

    def delta_since_base(self, number: int) -> Delta:
        """Return the change from the dataset as it was loaded to a version that is kept."""
        held = self._held_at(number)
        put: dict[int, Item] = {}
        retired: set[int] = set()
        for place in range(len(self._items)):
            was = held.get(place, self._held(place))
            if was is None:
                continue
            if place >= len(self.base.items) or was[0] is not self.base.items[place]:
                put[place] = was[0]
            if not was[1]:
                retired.add(place)
        return Delta(put, frozenset(retired))


def _list(record: Mapping[str, object], name: str) -> list[object]:
    value = record.get(name)
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    return value


def _text(item: Item) -> str:
    return canonical(record_of(item))


def _hash(item: Item) -> int:
    return int.from_bytes(sha256(_text(item).encode()).digest(), "big")


def _digits(total: int) -> str:
    return f"{total:064x}"[:_DIGITS]
