"""Fields of raw records as text, lists and numbers."""

import re
from decimal import Decimal, InvalidOperation

from readers.records import parse_id
from train_utils.characters import without_entities
from train_utils.feed_fields import levels

_MOST = 1e15
_SEPARATORS = re.compile(r"\s*[|;>]\s*")


def strings(value: object) -> list[str]:
    """Return the non-blank strings of a list and of the lists in it; a single string counts as a list.

    Amazon's dump of 2014 nests categories; old rows hold `""`.
    """
    values = value if isinstance(value, list) else [value]
    if any(isinstance(entry, list) for entry in values):
        values = [text for entry in values for text in (entry if isinstance(entry, list) else [entry])]
    return [text for entry in values if isinstance(entry, str) and (text := entry.strip())]


def text_or_empty(value: object) -> str:
    """Return a text as it is, a whole number in digits, and "" for another value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # of 4,300 digits at most: no reader makes an integer of more
    return value if isinstance(value, str) else ""


def number_or_none(value: object) -> float | None:
    """Return a number of 0 or more, or its text, as a number; None for another value."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        or (isinstance(value, str) and len(value) > 40)
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= _MOST else None


def id_of_any(value: object) -> str:
    """Return the id of a text, or of a whole number.

    Raises:
        ValueError: the value is neither; see `parse_id`.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return parse_id(text_or_empty(value))


def categories_of(value: object) -> tuple[str, ...]:
    """Return the categories of a list, or of a text with bars, semicolons, ">" or commas between them.

    In a list, ">" separates the levels of a category. HTML entities are read first, since they end with semicolons.
    """
    if isinstance(value, str):
        value = without_entities(value)
        parts = _SEPARATORS.split(value) if _SEPARATORS.search(value) else value.split(",")
        value = [part.strip(" []'\"") for part in parts]
    return tuple(dict.fromkeys(level for name in strings(value) for level in levels(name)))


def plain_value(text: str) -> str | int | float:
    """Return the number that a text of digits is, or the text."""
    stripped = text.strip()
    if not stripped or len(stripped) > 25 or not (stripped[0].isdigit() or stripped[0] in "+-."):
        return text
    try:
        number = Decimal(stripped)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number) > _MOST or "_" in stripped:
        return text
    return int(number) if stripped.lstrip("+-").isdecimal() else float(number)
