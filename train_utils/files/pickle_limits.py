"""What a value of a pickle may cost: in references, in depth, and in the time that its keys take to hash.

Standard library only.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, cast

T = TypeVar("T")
Maker = Callable[..., object]  # (reader, *arguments of the file) -> value; ValueError for arguments that do not fit

MAX_DEPTH = 100  # real data nest ten deep; hashing, comparing and freeing recurse in C
MAX_INT_BYTES = 4096  # arithmetic on longer numbers is slow; Python prints at most 4300 digits
MAX_KEY = 1 << 512  # hashing takes time by the digits, and is not remembered
# A value may be referred to many times. The file is refused where it would be much larger with all values written out.
FREE_REFERENCES, REFERENCES_PER_BYTE = 1_000_000, 16
# Seconds that keys other than text may take to enter dictionaries and sets; 20 times the usual time. Their hashes are
# not random, so a file can choose keys that collide.
FREE_HASHING, HASHING_PER_KEY = 1.0, 2e-6

_LEAVES = frozenset({str, int, float, bool, type(None), bytes, bytearray})
_TEXTS = (str, bytes, bytearray)
LONG_TEXT = 64  # characters that count as one more value
_KEYS_AT_A_TIME = 1024


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names. Without a maker it is only compared."""

    text: str
    make: Maker | None


@dataclass(slots=True)
class Unfinished:
    """An object whose contents the file gives afterwards, by BUILD."""

    finish: Callable[[object], object]
    value: object = None


def refuse(reason: str) -> NoReturn:
    """Raise the error of a file that is not plain data."""
    raise ValueError(reason)


class PlainValues:
    """The plain values that one file makes, with what they have cost so far.

    Args:
        size: size of the file, in bytes.

    Attributes:
        leaves: types without contents; makers add theirs.
        children: type -> function from a value to (its contents, its own size); makers add theirs.
        whole: types that can only be the whole value, not part of another.
    """

    def __init__(self, size: int):
        self.leaves = set(_LEAVES)
        self.children: dict[type, Callable] = {
            list: lambda value: (value, 1),
            tuple: lambda value: (value, 1),
            dict: lambda value: (value.values(), 1 + len(value)),  # keys are flat, see `_check_keys`
            set: lambda value: ((), 1 + len(value)),
            frozenset: lambda value: ((), 1 + len(value)),
        }
        self.whole: set[type] = set()
        # id -> (value, size, height) of what was referred to; it may not change any more. The value keeps the id.
        self._measured: dict[int, tuple[object, int, int]] = {}
        self._limit = FREE_REFERENCES + REFERENCES_PER_BYTE * size
        self._hashing = FREE_HASHING

    def spend(self, size: int) -> None:
        """Count values or bytes that the file has others copy or refer to.

        Raises:
            ValueError: they are out of proportion to the file.
        """
        self._limit -= size
        if self._limit < 0:
            refuse("its values refer to one another so often that they would fill a far larger file")

    def measure(self, value: object, keep: bool = True, depth: int = 0) -> tuple[int, int]:
        """Return the number of values in a value, with repetitions, and its height.

        Args:
            value: what is measured. It may not change afterwards, nor may what it contains.
            keep: whether the same value may come again. Otherwise long texts count as one value.
            depth: depth of the value in the one that is measured.

        Raises:
            ValueError: it holds what is not plain data, or is nested too deeply.
        """
        kind = type(value)
        if kind in self.leaves:
            return 1 + (len(value) // LONG_TEXT if isinstance(value, _TEXTS) else 0), 0
        if known := self._measured.get(id(value)):
            return known[1:]
        if kind not in self.children:
            refuse("it holds a class or function, or part of an array or table, which is not plain data")
        if depth >= MAX_DEPTH:
            refuse(f"it is nested more than {MAX_DEPTH} deep")
        items, size = self.children[kind](value)
        size, height = size + len(items), 1
        kinds = set(map(type, items))
        if keep and any(issubclass(kind, _TEXTS) for kind in kinds):
            size += sum([len(item) for item in items if isinstance(item, _TEXTS)]) // LONG_TEXT
        if not kinds <= self.leaves:
            for item in items:
                if type(item) not in self.leaves:
                    of_item, height_of_item = self.measure(item, keep, depth + 1)
                    size, height = size + of_item, max(height, height_of_item + 1)
            if height > MAX_DEPTH:
                refuse(f"it is nested more than {MAX_DEPTH} deep")
        if keep:
            self._measured[id(value)] = value, size, height
        return size, height

    def again(self, value: object) -> object:
        """Return a value that the file refers to again."""
        if type(value) is Name:
            return value
        if type(value) is Unfinished:
            if value.value is None:
                refuse("it refers to an object before it is complete")
            value = value.value
        if type(value) in self.children or type(value) in self.leaves:
            self.spend(self.measure(value)[0])
        return value

    def _check_keys(self, keys: Collection[Any]) -> None:
        """Refuse keys that are not texts, numbers or flat tuples of them: others take long to hash."""
        kinds = set(map(type, keys))
        if tuple in kinds:
            keys = [part for key in keys for part in (key if type(key) is tuple else (key,))]
            kinds = set(map(type, keys))
        if not kinds <= self.leaves or bytearray in kinds:
            refuse("a key is neither a text, nor a number, nor a tuple of them")
        numbers = keys if kinds == {int} else [key for key in keys if type(key) is int]
        if numbers and max(max(numbers), -min(numbers)) >= MAX_KEY:
            refuse("a key is a number of very many digits")

    def _hash_within_time(self, add: Callable[[slice], None], count: int) -> None:
        """Call `add` for slices of `count` keys while their hashes are spread as usual."""
        for start in range(0, count, _KEYS_AT_A_TIME):
            begun = time.thread_time()
            add(slice(start, start + _KEYS_AT_A_TIME))
            seconds = time.thread_time() - begun
            self._hashing -= seconds - HASHING_PER_KEY * min(_KEYS_AT_A_TIME, count - start)
            if self._hashing < 0:
                refuse("its keys were chosen to have equal hashes")

    def set_items(self, target: object, keys: Sequence[object], values: Sequence[object]) -> None:
        """Put entries into a dictionary that the file has made."""
        target = self.changeable(target, dict)
        if len(keys) != len(values):
            refuse("a dictionary has a key without a value")
        if set(map(type, keys)) <= {str}:
            target.update(zip(keys, values, strict=True))
            return
        self._check_keys(keys)
        self._hash_within_time(lambda part: target.update(zip(keys[part], values[part], strict=True)), len(keys))

    def make_set(self, items: Sequence[object]) -> set:
        """Return a set of texts, numbers and flat tuples of them."""
        self._check_keys(items)
        members: set = set()
        self._hash_within_time(lambda part: members.update(items[part]), len(items))
        return members

    def changeable(self, target: object, kind: type[T]) -> T:
        """Return a container to which the file adds; ValueError if it is another one, or was referred to already."""
        if type(target) is not kind or id(target) in self._measured:
            refuse(f"it adds to what is no {kind.__name__}, or to one that contains itself")
        return cast("T", target)
