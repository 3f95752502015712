"""Index of entries by keys whose versions share what they have in common."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from train_utils.layered_map import LayeredMap

E = TypeVar("E")


class KeyIndex(Generic[E]):
    """Entries by key, ascending and distinct. Immutable: a change returns another index and takes what it changes.

    Args:
        pairs: (key, entry), with ascending entries of each key.
    """

    __slots__ = ("_entries",)

    def __init__(self, pairs: Iterable[tuple[str, E]] = ()):
        self._entries = _frozen(_grouped(pairs))

    @classmethod
    def of_kinds(cls, kinds: Iterable[str], keyed: Iterable[tuple[str, str, E]]) -> "dict[str, KeyIndex[E]]":
        """Return an index per kind.

        Args:
            kinds: the kinds.
            keyed: (kind, key, entry), with ascending entries of each key.
        """
        groups: dict[str, dict[str, list[E]]] = {kind: {} for kind in kinds}
        for kind, key, entry in keyed:
            _append(groups[kind], key, entry)
        indexes = {kind: cls() for kind in groups}
        for kind, index in indexes.items():
            index._entries = _frozen(groups.pop(kind))
        return indexes

    def get(self, key: str) -> tuple[E, ...]:
        """Return the entries of a key; () for none."""
        return self._entries.get(key, ())

    def only(self, key: str) -> tuple[E, ...]:
        """Return the entry of a key that has one; () where it has none or several."""
        entries = self.get(key)
        return entries if len(entries) == 1 else ()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        """Yield the keys, in no order."""
        return iter(self._entries)

    def changed(self, removed: Iterable[tuple[str, E]], added: Iterable[tuple[str, E]]) -> "KeyIndex[E]":
        """Return the index without some entries and with others.

        Args:
            removed: (key, entry) of entries to remove.
            added: (key, entry) of entries to add; one that is there already counts once.
        """
        gone, come = _grouped(removed), _grouped(added)
        lists = {key: list(self.get(key)) for key in gone.keys() | come.keys()}
        for groups, change in ((gone, _remove), (come, _insert)):
            for key, entries in groups.items():
                for entry in entries:
                    change(lists[key], entry)
        after: KeyIndex[E] = KeyIndex()
        put = {key: tuple(entries) for key, entries in lists.items() if entries}
        after._entries = self._entries.changed(put, lists.keys() - put.keys())
        return after


def _frozen(groups: dict[str, list[E]]) -> LayeredMap[str, tuple[E, ...]]:
    return LayeredMap({key: tuple(entries) for key, entries in groups.items()})


def _grouped(pairs: Iterable[tuple[str, E]]) -> dict[str, list[E]]:
    groups: dict[str, list[E]] = {}
    for key, entry in pairs:
        _append(groups, key, entry)
    return groups


def _append(groups: dict[str, list[E]], key: str, entry: E) -> None:
    entries = groups.get(key)
    if entries is None:
        groups[key] = [entry]
    elif entries[-1] != entry:
        entries.append(entry)


def _holds(entries: list[Any], entry: Any, at: int) -> bool:
    return at < len(entries) and entries[at] == entry


def _remove(entries: list[Any], entry: Any) -> None:
    """Remove an entry from sorted ones, where it is one of them."""
    at = bisect_left(entries, entry)
    if _holds(entries, entry, at):
        del entries[at]


def _insert(entries: list[Any], entry: Any) -> None:
    """Add an entry to sorted ones, unless it is one of them."""
    if not _holds(entries, entry, bisect_left(entries, entry)):
        insort(entries, entry)
