"""Ranges of years and of other numbers that a message names: "nineties", "before 1980", "price under $20"."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.conversation.annotations import Annotation, masked
from train_utils.conversation.numerals import NUMBER, number_of

_YEARS = (1800, 2100)
_DECADES = {
    word: 10 * n
    for n, word in enumerate(
        ["twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties"], 2
    )
}
_YEAR = r"(?:1[89]|20)\d\d"
_DECADE = rf"(?:(?:the\s+)?(?:early|mid|late)[\s-]+)?(?:(?:(?:1[89]|20)?\d0|'\d0)\s?'?s|{'|'.join(_DECADES)})"
_PERIOD = rf"(?:{_DECADE}|{_YEAR})"
_MONEY = re.compile(r"[$€£]\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*(?:dollars|bucks|euros?|pounds)", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """Interval of an attribute's values, with both ends.

    Attributes:
        attribute: name of the attribute.
        low: least value; None for no bound.
        high: greatest value; None for no bound.
    """

    attribute: str
    low: float | None
    high: float | None


def numeric_attributes(catalog: Catalog) -> Mapping[str, tuple[float, float]]:
    """Return (least, greatest) value of each attribute that is a number for at least half of the items."""
    values: dict[str, list[float]] = {}
    for item in catalog.items:
        for name, value in item.attributes.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                values.setdefault(name, []).append(value)
    return {
        name: (min(numbers), max(numbers)) for name, numbers in values.items() if 2 * len(numbers) >= len(catalog.items)
    }


def year_attribute(bounds: Mapping[str, tuple[float, float]]) -> str:
    """Return the attribute that holds years, the one named so where there are several; "" for none."""
    held = [name for name, (low, high) in bounds.items() if _YEARS[0] <= low and high <= _YEARS[1]]
    return min(held, key=lambda name: ("year" not in name.lower(), name), default="")


class RangeReader:
    """Reader of ranges for the numeric attributes of a catalog.

    Args:
        bounds: attribute -> (least, greatest) value; see `numeric_attributes`.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]):
        self.bounds, self.year = bounds, year_attribute(bounds)
        self._latest = int(bounds[self.year][1]) if self.year else 0

    def find(self, text: str) -> list[Annotation]:
        """Return the ranges of a message; at most one per attribute, the last one that it names.

        Args:
            text: the message, in which titles are masked.
        """
        last = {}
        years = self._years(text)
        for annotation in [*years, *self._numbers(masked(text, years))]:
            assert isinstance(annotation.value, Range)
            last[annotation.value.attribute] = annotation
        return list(last.values())

    # -- years ---------------------------------------------------------------------------------------------------
    def _years(self, text: str) -> list[Annotation]:
        if not self.year:
            return []
        for pattern, bounds in _RULES:
            found = [*pattern.finditer(text)]
            if found:
                match = found[-1]
                low, high = bounds(self, match)
                return [Annotation(match.start(), match.end(), Range(self.year, low, high))]
        return []

    def _period(self, text: str) -> tuple[int, int]:
        """Return (first, last) year of a year or a decade."""
        words = text.lower().strip()
        if re.fullmatch(_YEAR, words):
            return int(words), int(words)
        name = next((name for name in _DECADES if name in words), "")
        digits = re.search(r"\d+", words)
        decade = _DECADES[name] if name else int(digits[0]) if digits else 0
        if decade < 100:
            century = self._latest - self._latest % 100
            decade += century if century + decade <= self._latest else century - 100
        part = next((part for part in ("early", "mid", "late") if part in words), "")
        first, last = {"early": (0, 4), "mid": (3, 6), "late": (5, 9), "": (0, 9)}[part]
        return decade + first, decade + last

    def _last_years(self, number: str, decade: str) -> tuple[int, int]:
        years = (number_of(number) if number else 1) * (10 if decade else 1)
        return self._latest - years + 1, self._latest

    # -- other numbers -------------------------------------------------------------------------------------------
    def _numbers(self, text: str) -> list[Annotation]:
        found = []
        for name in self.bounds:
            if name == self.year:
                continue
            words = re.escape(name.lower()).replace("_", r"[\s_]")
            number = r"[$€£]?\s*(\d+(?:\.\d+)?)"
            for compare, sign in _COMPARE:
                before = rf"\b{words}s?\s+(?:is\s+|of\s+|be\s+)?(?:{compare})\s*{number}"
                between = rf"(?:{compare})\s*(?:a\s+)?{words}\s+(?:of\s+)?{number}"
                after = rf"(?:{compare})\s*{number}\s*(?:{words}s?\b|points?\s+{words})"
                for match in re.finditer(rf"{before}|{between}|{after}", text, re.I):
                    value = next(float(group) for group in match.groups() if group)
                    found.append(Annotation(match.start(), match.end(), _one_sided(name, sign, value)))
            if "price" in name.lower() or "cost" in name.lower():
                for compare, sign in _COMPARE:
                    for match in re.finditer(rf"(?:{compare})\s*(?:{_MONEY.pattern})", text, re.I):
                        value = next(float(group) for group in match.groups() if group)
                        found.append(Annotation(match.start(), match.end(), _one_sided(name, sign, value)))
        return found


def _one_sided(attribute: str, sign: int, value: float) -> Range:
    return Range(attribute, None, value) if sign < 0 else Range(attribute, value, None)


_COMPARE = (
    (
        r"under|below|less\s+than|at\s+most|up\s+to|max(?:imum)?(?:\s+of)?|no\s+more\s+than|not\s+more\s+than|cheaper\s+than|<=?",
        -1,
    ),
    (r"over|above|more\s+than|at\s+least|min(?:imum)?(?:\s+of)?|no\s+less\s+than|not\s+under|starting\s+at|>=?", 1),
)
_Bounds = Callable[[RangeReader, re.Match[str]], tuple[float | None, float | None]]


def _rule(pattern: str, bounds: _Bounds) -> tuple[re.Pattern[str], _Bounds]:
    return re.compile(pattern.replace("PERIOD", _PERIOD).replace("YEAR", _YEAR), re.IGNORECASE), bounds


_THE = r"(?:the\s+|year\s+)*"
# The first rule that matches decides: longer forms stand before the forms that they contain.
_RULES: Sequence[tuple[re.Pattern[str], _Bounds]] = (
    _rule(
        rf"\b(?:between\s+|from\s+|in\s+)?{_THE}(?<![\w-])(PERIOD)(?:\s*,\s*PERIOD)*,?\s*(?:-|to|and|or|until|through|till|up\s+to)\s*{_THE}(PERIOD)(?![\w-])",
        lambda reader, match: (reader._period(match[1])[0], reader._period(match[2])[1]),
    ),
    _rule(
        rf"\b(?:last|past|latest)\s+(?:({NUMBER})\s+)?(?:years?|(decades?))\b",
        lambda reader, match: reader._last_years(match[1], match[2]),
    ),
    _rule(
        rf"\b(?:nothing|none|not|no\s+\w+|no)\s+(?:\w+\s+)?(?:before|older\s+than|earlier\s+than|prior\s+to|pre-?)\s*{_THE}(PERIOD)\b"
        rf"|\bsince\s+{_THE}(PERIOD)\b|\b(?:from\s+|in\s+)?{_THE}(PERIOD)\s+(?:on\b|onwards?|and\s+(?:newer|later|up|after|onwards?)|or\s+(?:newer|later|younger|after)|to\s+(?:now|today|the\s+present))"
        rf"|\bstarting\s+(?:in|from|with)\s+{_THE}(PERIOD)\b|\bno\s+(?:earlier|older)\s+than\s+{_THE}(PERIOD)\b",
        lambda reader, match: (reader._period(_first(match))[0], None),
    ),
    _rule(
        rf"\b(?:nothing|none|not|no\s+\w+|no)\s+(?:\w+\s+)?(?:after|newer\s+than|later\s+than|more\s+recent\s+than|past)\s+{_THE}(PERIOD)\b"
        rf"|\b(?:until|up\s+to|till|through|by)\s+{_THE}(PERIOD)\b|\b{_THE}(PERIOD)\s+(?:and|or)\s+(?:older|earlier|before)\b"
        rf"|\bno\s+(?:later|newer)\s+than\s+{_THE}(PERIOD)\b|\b(?:from\s+|in\s+)?{_THE}(PERIOD)\s+at\s+the\s+latest",
        lambda reader, match: (None, reader._period(_first(match))[1]),
    ),
    _rule(
        rf"\b(?:before|older\s+than|earlier\s+than|prior\s+to|pre-?|predating)\s*{_THE}(PERIOD)\b",
        lambda reader, match: (None, reader._period(match[1])[0] - 1),
    ),
    _rule(
        rf"\b(?:after|newer\s+than|later\s+than|more\s+recent\s+than|younger\s+than|post-?|past)\s*{_THE}(PERIOD)\b",
        lambda reader, match: (reader._period(match[1])[1] + 1, None),
    ),
    _rule(
        rf"(?<![\w-]){_THE}({_DECADE})(?![\w-])|(?<!born in )(?<![\w$€£.-])(YEAR)(?![\w-]|\s*(?:dollars|bucks|euros?))",
        lambda reader, match: reader._period(_first(match)),
    ),
)


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)
