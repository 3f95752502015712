"""Results that are kept, without the cycle of references that a method in `functools.lru_cache` makes with its object.

An object in such a cycle is freed by garbage collection alone, which a server puts off.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Results by argument; all are dropped where they become too many. Threads may share it.

    Args:
        most: number of results that are kept at most.
    """

    def __init__(self, most: int):
        self._most = most
        self._kept: dict[K, tuple[V]] = {}

    def get(self, argument: K, make: Callable[[K], V]) -> V:
        """Return the result for an argument, which is made where it is not kept."""
        kept = self._kept.get(argument)
        if kept is None:
            kept = (make(argument),)
            if len(self._kept) >= self._most:
                self._kept = {}
            self._kept[argument] = kept
        return kept[0]
