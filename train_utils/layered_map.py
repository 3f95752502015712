"""Immutable mapping whose versions share what they have in common."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")
# Changed keys are kept apart, and copied by each change, up to so many, or to this part of all keys; then they are
# merged into a new dict of all.
_LEAST_CHANGES, _SHARE = 2000, 8
_GONE: Any = object()


class LayeredMap(Mapping[K, V]):
    """Immutable mapping; a change returns another one and takes the time of what changes.

    Args:
        base: the mapping, which must not change any more.
    """

    __slots__ = ("_base", "_changed", "_length")

    def __init__(self, base: Mapping[K, V]):
        self._base = base
        self._changed: dict[K, V] = {}
        self._length = len(base)

    def get(self, key: K, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        value = self._changed.get(key)
        if value is None:
            return self._base.get(key, default)
        return default if value is _GONE else value

    def __getitem__(self, key: K) -> V:
        value = self.get(key, _GONE)
        if value is _GONE:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return self.get(key, _GONE) is not _GONE  # type: ignore[arg-type]  # no key equals an object of another type

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._base if key not in self._changed)
        yield from (key for key, value in self._changed.items() if value is not _GONE)

    def changed(self, put: Mapping[K, V], gone: Collection[K] = ()) -> "LayeredMap[K, V]":
        """Return the mapping after a change.

        Args:
            put: keys with their new values; None is no value.
            gone: keys that are removed, unless they are put; unknown ones are ignored.
        """
        removed: list[K] = [key for key in gone if key in self and key not in put]
        after: LayeredMap[K, V] = LayeredMap({})
        after._base, after._changed = self._base, {**self._changed, **dict.fromkeys(removed, _GONE), **put}
        after._length = self._length - len(removed) + sum(key not in self for key in put)
        if len(after._changed) > max(_LEAST_CHANGES, len(self._base) // _SHARE):
            after._base, after._changed = after.merged(), {}
        return after

    def merged(self) -> dict[K, V]:
        """Return the mapping as a dict, which takes less than to iterate over it."""
        merged = {**self._base, **self._changed}
        for key, value in self._changed.items():
            if value is _GONE:
                del merged[key]
        return merged
