"""Intervals of an attribute's values."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Range:
    """Interval of an attribute's values.

    Attributes:
        attribute: name of the attribute.
        low: least value; None for no bound.
        high: greatest value; None for no bound. Without both, the user takes back a range ("from any year").
        above: whether the values are above `low`, which is none of them.
        below: whether the values are below `high`, which is none of them.
        relative: whether the bounds are those of titles ("newer than these"). They hold for the categories that the
            conversation then asks for, and no longer.
    """

    attribute: str
    low: float | None
    high: float | None
    above: bool = False
    below: bool = False
    relative: bool = False


class Gap(Range):
    """Interval that a message leaves out by naming what lies around it: "before 1950 or after 1996"."""


def hull(one: Range, other: Range) -> Range:
    """Return the smallest range that has the values of both."""
    low = None if one.low is None or other.low is None else min(one.low, other.low)
    high = None if one.high is None or other.high is None else max(one.high, other.high)
    above = all(entry.above for entry in (one, other) if entry.low == low)
    below = all(entry.below for entry in (one, other) if entry.high == high)
    return Range(one.attribute, low, high, above, below)


def narrowed(stated: Range | None, entry: Range) -> Range:
    """Return the range that holds after a message: the one that it names, which replaces the one before.

    A range that titles bound ("older than those") keeps the other bound that was stated before ("from 1985").
    """
    if stated is None or stated.relative or not entry.relative:
        return entry
    low, above = (entry.low, entry.above) if entry.low is not None else (stated.low, stated.above)
    high, below = (entry.high, entry.below) if entry.high is not None else (stated.high, stated.below)
    empty = low is not None and high is not None and (low > high or low == high and (above or below))
    return (
        entry if empty or low is None or high is None else replace(stated, low=low, high=high, above=above, below=below)
    )


def compared(attribute: str, sign: str, value: float, whole: bool) -> Range:
    """Return the range of the values that a comparison admits.

    Args:
        attribute: the attribute.
        sign: "<", "<=", ">", ">=", "=" or "==".
        value: the number that the values are compared with.
        whole: whether the attribute has whole numbers only; "< 1980" is then "<= 1979".
    """
    if whole and sign == "<":
        sign, value = "<=", math.ceil(value) - 1
    elif whole and sign == ">":
        sign, value = ">=", math.floor(value) + 1
    low = value if sign not in ("<", "<=") else None
    high = value if sign not in (">", ">=") else None
    return Range(attribute, low, high, sign == ">", sign == "<")
