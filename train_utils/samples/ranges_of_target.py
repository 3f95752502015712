"""Ranges of numeric attributes that a user may ask for: around the target's value, or such that no item has one."""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from train_utils.catalog import Catalog, Item, year_attribute
from train_utils.prompts.conversation_wordings import NUMBERS, YEARS

_FIRST_YEAR, _LAST_YEAR = 1800, 2099  # years that a message is read for
_LARGEST = 10**12  # numbers of more digits are nobody's wish
_DECADES = {20: "twenties", 30: "thirties", 40: "forties", 50: "fifties", 60: "sixties", 70: "seventies"}
_DECADES |= {80: "eighties", 90: "nineties"}
_FAR = 20  # years from the first or last one of a catalog to the end of a range without items, at most
_DECADE = 0.25  # share of the ranges of years that are a decade
_WIDTH = 10  # years of a range at most, and the parts of an attribute's span that are wide enough for a range


@dataclass(frozen=True, slots=True)
class Bounds:
    """Range of an attribute, with both ends.

    Attributes:
        attribute: the attribute.
        low: least value; None for no bound.
        high: greatest value; None for no bound.
        phrase: the range in words.
    """

    attribute: str
    low: float | None
    high: float | None
    phrase: str

    def admits(self, item: Item) -> bool:
        """Return whether an item has a value within the range."""
        value = item.number(self.attribute)
        return (
            value is not None and (self.low is None or self.low <= value) and (self.high is None or value <= self.high)
        )

    def to_dict(self) -> dict[str, float]:
        """Return the bounds as those of item rules."""
        bounds = {">=": self.low, "<=": self.high}
        return {sign: bound for sign, bound in bounds.items() if bound is not None}


def usable_attributes(catalog: Catalog) -> Mapping[str, tuple[float, float]]:
    """Return (least, greatest) value of each attribute by which users may narrow down."""
    return {
        name: (low, high)
        for name, (low, high) in catalog.numeric_attributes.items()
        if 0 <= low < high < _LARGEST  # NaN compares as false
    }


def leaves_room(catalog: Catalog, attribute: str) -> bool:
    """Return whether `outside` has a range of an attribute to return."""
    usable = usable_attributes(catalog)
    least, greatest = usable[attribute]
    return attribute != year_attribute(usable) or greatest + _FAR <= _LAST_YEAR or least - _FAR >= _FIRST_YEAR


def around(catalog: Catalog, attribute: str, value: float, rng: random.Random) -> Bounds:
    """Return a range that has a value.

    Args:
        catalog: the catalog.
        attribute: one of `usable_attributes`.
        value: the value, that of the target.
        rng: source of randomness.
    """
    usable = usable_attributes(catalog)
    least, greatest = usable[attribute]
    is_year = attribute == year_attribute(usable)
    if is_year and rng.random() < _DECADE:
        decade = int(value) // 10 * 10
        return _bounds(usable, attribute, decade, decade + 9, "decade", rng)
    unit = 1.0 if is_year else _unit(least, greatest, value)
    width = _WIDTH if is_year else (greatest - least) / _WIDTH
    low = max(least, math.floor((value - rng.random() * width) / unit) * unit)
    high = min(greatest, math.ceil((value + rng.random() * width) / unit) * unit)
    # Rounding must not leave the value out.
    low, high = min(round(low, 2), value), max(round(high, 2), value)
    # A bound that every item keeps to says nothing.
    shapes = ["both"] * (low < high) + ["least"] * (low > least) + ["most"] * (high < greatest)
    return _bounds(usable, attribute, low, high, rng.choice(shapes), rng)


def outside(catalog: Catalog, attribute: str, members: Iterable[int] | None, rng: random.Random) -> Bounds:
    """Return a range that no item has, or none of some items.

    Args:
        catalog: the catalog.
        attribute: one of `usable_attributes` that `leaves_room`.
        members: the items that the user has narrowed down to; None for all.
        rng: source of randomness.
    """
    usable = usable_attributes(catalog)
    least, greatest = usable[attribute]
    if attribute != year_attribute(usable):
        unit = _unit(least, greatest)
        low = round(math.ceil(greatest / unit) * unit + unit * rng.randint(1, 10), 2)
        shape = rng.choice(("both", "least"))
        return _bounds(usable, attribute, low, low + 5 * unit, shape, rng)
    if members is not None and rng.random() < 0.5:
        taken = {item.number(attribute) for item in map(catalog.items.__getitem__, members)}
        decades = range(int(least) // 10 * 10, int(greatest) // 10 * 10 + 1, 10)
        if free := [decade for decade in decades if taken.isdisjoint(range(decade, decade + 10))]:
            low = rng.choice(free)
            return _bounds(usable, attribute, low, low + 9, "decade", rng)
    distance = rng.randint(1, _FAR // 2)
    start, end = int(greatest) + distance, int(least) - distance
    sides = [(start, start + _FAR // 2, ("both", "least"))] if greatest + _FAR <= _LAST_YEAR else []
    sides += [(end - _FAR // 2, end, ("both", "most"))] if least - _FAR >= _FIRST_YEAR else []
    first, last, shapes = rng.choice(sides)
    return _bounds(usable, attribute, first, last, rng.choice(shapes), rng)


def _bounds(
    usable: Mapping[str, tuple[float, float]],
    attribute: str,
    low: float,
    high: float,
    shape: str,
    rng: random.Random,
) -> Bounds:
    """Return the range of a shape with one of its phrases."""
    is_year = attribute == year_attribute(usable)
    phrase = rng.choice((YEARS if is_year else NUMBERS)[shape]).format(
        low=_written(low),
        high=_written(high),
        before=_written(low - 1),
        after=_written(high + 1),
        decade=_decade(int(low), usable[attribute][1], rng) if shape == "decade" else "",
        attribute=attribute.replace("_", " "),
    )
    return Bounds(attribute, None if shape == "most" else low, None if shape == "least" else high, phrase)


def _unit(least: float, greatest: float, *others: float) -> float:
    """Return the step between round numbers: from a hundredth to a tenth of a span, and 1 or more for whole numbers."""
    unit = 10.0 ** max(-2, math.floor(math.log10(greatest - least)) - 1)
    return max(1.0, unit) if all(float(number).is_integer() for number in (least, greatest, *others)) else unit


def _written(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else f"{number:.2f}".rstrip("0")


def _decade(first: int, latest: float, rng: random.Random) -> str:
    """Return a decade in words; "nineties" and "90s" are the latest ones."""
    short = first % 100
    if first + 100 <= latest or short not in _DECADES:
        return f"{first}s"
    return rng.choice((f"{first}s", f"{short}s", _DECADES[short]))
