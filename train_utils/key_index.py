"""Index of entries by keys whose versions share what they have in common."""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

E = TypeVar("E")
_LEAST_CHANGES = 2000  # changed keys up to which they are kept apart, whatever the size of the index
_SHARE = (
    32  # part of all keys, beyond which changed keys are merged: copying a dict of all takes as long as many changes
)


class KeyIndex(Generic[E]):
    """Entries by key, ascending and distinct. Immutable: a change returns another index and takes what it changes.

    Args:
        pairs: (key, entry), with ascending entries of each key.
    """

    __slots__ = ("_base", "_changed")

    def __init__(self, pairs: Iterable[tuple[str, E]] = ()):
        self._base = {key: tuple(entries) for key, entries in _grouped(pairs).items()}
        self._changed: dict[str, tuple[E, ...]] = {}

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
            index._base = {key: tuple(entries) for key, entries in groups.pop(kind).items()}
        return indexes

    def get(self, key: str) -> tuple[E, ...]:
        """Return the entries of a key; () for none."""
        entries = self._changed.get(key)
        return self._base.get(key, ()) if entries is None else entries

    def only(self, key: str) -> tuple[E, ...]:
        """Return the entry of a key that has one; () where it has none or several."""
        entries = self.get(key)
        return entries if len(entries) == 1 else ()

    def __contains__(self, key: str) -> bool:
        return bool(self.get(key))

    def __iter__(self) -> Iterator[str]:
        """Yield the keys, in no order."""
        yield from (key for key in self._base if key not in self._changed)
        yield from (key for key, entries in self._changed.items() if entries)

    def changed(self, removed: Iterable[tuple[str, E]], added: Iterable[tuple[str, E]]) -> "KeyIndex[E]":
        """Return the index without some entries and with others.

        Args:
            removed: (key, entry) of entries to remove.
            added: (key, entry) of entries to add; one that is there already counts once.
        """
        gone, come = _grouped(removed), _grouped(added)
        after: KeyIndex[E] = KeyIndex()
        after._base, after._changed = self._base, dict(self._changed)
        for key in gone.keys() | come.keys():
            left = gone.get(key, ())
            entries = [entry for entry in self.get(key) if entry not in left]
            for entry in come.get(key, ()):
                if entry not in entries:
                    insort(entries, entry)  # type: ignore[type-var]  # entries of one index can be compared
            after._changed[key] = tuple(entries)
        if len(after._changed) > max(_LEAST_CHANGES, len(self._base) // _SHARE):
            after._base, after._changed = after._merged(), {}
        return after

    def _merged(self) -> dict[str, tuple[E, ...]]:
        merged = {**self._base, **self._changed}
        for key, entries in self._changed.items():
            if not entries:
                del merged[key]
        return merged


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
