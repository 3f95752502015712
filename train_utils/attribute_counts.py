"""Attributes of a catalog's items: how many items have each, and between which numbers they lie."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class HasAttributes(Protocol):
    """Item with attributes."""

    @property
    def attributes(self) -> Mapping[str, object]: ...


def number_of(value: object) -> float | None:
    """Return a value that is a number, and None for another one; a truth value is none."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _finite(value: object) -> float | None:
    """Return a finite number as a float, and None for another value."""
    number = number_of(value)
    try:
        return float(number) if number is not None and math.isfinite(number) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


@dataclass(frozen=True)
class AttributeCounts:
    """What is known of the attributes of items. A change takes the time of the changed items, not of all.

    Attributes:
        named: attribute -> number of items that have it.
        numbers: attribute -> number of items for which it is a finite number.
        bounds: attribute that is a number for at least half of the items -> its (least, greatest) value.
    """

    named: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    # Of the attributes of `bounds`: the number by item, NaN for an item without; items beyond the last have none.
    _columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, items: Sequence[HasAttributes]) -> "AttributeCounts":
        """Return the counts of all items."""
        return cls().changed((), items, range(len(items)))

    def changed(
        self, before: Sequence[HasAttributes], after: Sequence[HasAttributes], places: Iterable[int]
    ) -> "AttributeCounts":
        """Return the counts after changes.

        Args:
            before: all items before them.
            after: all items after them.
            places: indices of the items that changed or were added.
        """
        named, numbers = dict(self.named), dict(self.numbers)
        touched: dict[str, dict[int, float]] = {}  # attribute -> its numbers at the places where they may be others
        for place in places:
            for name, value in before[place].attributes.items() if place < len(before) else ():
                named[name] -= 1
                if _finite(value) is not None:
                    numbers[name] -= 1
                    touched.setdefault(name, {})[place] = math.nan
            for name, value in after[place].attributes.items():
                named[name] = named.get(name, 0) + 1
                if (number := _finite(value)) is not None:
                    numbers[name] = numbers.get(name, 0) + 1
                    touched.setdefault(name, {})[place] = number
        columns, bounds = {}, {}
        for name, n_numbers in numbers.items():
            if not n_numbers or 2 * n_numbers < len(after):
                continue
            column = self._columns.get(name)
            if column is None:
                columns[name] = _column(after, name)
            else:
                columns[name] = _with_values(column, touched[name]) if name in touched else column
            bounds[name] = self.bounds[name] if columns[name] is column else _bounds(after, name, columns[name])
        return AttributeCounts(
            {name: n for name, n in named.items() if n}, {name: n for name, n in numbers.items() if n}, bounds, columns
        )


def _column(items: Sequence[HasAttributes], name: str) -> np.ndarray:
    values = (_finite(item.attributes.get(name)) for item in items)
    return np.fromiter((math.nan if value is None else value for value in values), dtype=np.float64, count=len(items))


def _with_values(column: np.ndarray, values: Mapping[int, float]) -> np.ndarray:
    places = np.fromiter(values, dtype=np.int64, count=len(values))
    grown = np.pad(column, (0, max(0, int(places.max()) + 1 - len(column))), constant_values=math.nan)
    grown[places] = np.fromiter(values.values(), dtype=np.float64, count=len(values))
    return grown


def _bounds(items: Sequence[HasAttributes], name: str, column: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest value of an attribute, as the items have them."""
    low, high = (number_of(items[int(at)].attributes[name]) for at in (np.nanargmin(column), np.nanargmax(column)))
    assert low is not None and high is not None  # the column has numbers only where the items do
    return low, high
