"""Ranges of years and of other numbers that a message names: "nineties", "before 1980", "price under $20"."""

import copy
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from train_utils.catalog import year_attribute
from train_utils.conversation.annotations import Annotation, masked
from train_utils.conversation.lexicon import RULE, SAID, TAKING_BACK, any_of
from train_utils.conversation.numerals import NAMES, NUMBER, number_of

_STEMS = {
    **{
        stem: 10 * n for n, stem in enumerate(["twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet"], 2)
    },
    **{"fourt": 40, "fivt": 50, "sevnt": 70, "eigth": 80, "eigt": 80, "nint": 90},
}
_DECADE_NAMES = {stem + ending: decade for stem, decade in _STEMS.items() for ending in ("ies", "ees", "ys", "y's")}
_YEAR = r"(?:(?:1[89]|20)\d\d|'\d\d(?!\d|\s?'?s\b))"
_DECADE = (
    r"(?:nineteen[\s-]+)?(?:(?:the\s+)?(?:early|mid|late)[\s-]+)?"
    rf"(?:(?:(?:1[89]|20)?\d0|'\d0)\s?'?(?:s|ies|er)|{'|'.join(_DECADE_NAMES)})"
)
_PERIOD = rf"(?:{_DECADE}|{_YEAR})"
_NUMBER = rf"[$€£]?\s*(\d{{1,12}}(?:\.\d{{1,12}})?(?![\d.]*\d)|{any_of(', '.join(NAMES))}\b)"
# Words for an attribute of the same name, and of each other name that the catalog lacks.
_RATINGS = {"rating": "rating, ratings, rated", "score": "score, scores, scored", "stars": "star, stars"}
# Bounds that leave out the number itself: "under 13 episodes" has at most 12.
_STRICT = re.compile(
    r"(?<!not )(?<!no )\b(?:under|below|over|above|(?:less|fewer|more|higher|lower|better|shorter|longer)\s+than)\b",
    re.I,
)
# Words before a number and after one that make it a bound, and the sign of the bound.
_COMPARE = (
    (
        r"\bunder|\bbelow|less\s+than|fewer\s+than|shorter\s+than|lower\s+than|at\s+most|up\s+to|\bmax(?:imum)?(?:\s+of)?"
        r"|no\s+more\s+than|not\s+more\s+than|not\s+over|not\s+above|no\s+longer\s+than|cheaper\s+than|<=?",
        r"(?:(?:or|and)\s+(?:less|fewer|below|under|lower|shorter|cheaper)|max(?:imum)?|at\s+most|tops)\b",
        -1,
    ),
    (
        r"(?<!not\s)(?:\bover|\babove)|(?<!no\s)(?<!not\s)more\s+than|higher\s+than|(?<!no\s)longer\s+than|better\s+than"
        r"|at\s+least|\bmin(?:imum)?(?:\s+of)?|no\s+less\s+than|not\s+(?:under|below)|starting\s+(?:at|from)|>=?",
        r"(?:\+|(?:(?:or|and)\s+(?:more|over|above|up|higher|longer|better)|min(?:imum)?|at\s+least)\b)",
        1,
    ),
)


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


def hull(one: Range, other: Range) -> Range:
    """Return the smallest range that has the values of both."""
    low = None if one.low is None or other.low is None else min(one.low, other.low)
    high = None if one.high is None or other.high is None else max(one.high, other.high)
    above = all(entry.above for entry in (one, other) if entry.low == low)
    below = all(entry.below for entry in (one, other) if entry.high == high)
    return Range(one.attribute, low, high, above, below)


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


class RangeReader:
    """Reader of ranges for the numeric attributes of a catalog.

    Args:
        bounds: attribute -> (least, greatest) value; see `Catalog.numeric_attributes`.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]):
        self.bounds, self.year = bounds, year_attribute(bounds)
        self._latest = int(bounds[self.year][1]) if self.year else 0
        taken = {name.lower() for name in bounds}
        others = (name for name in bounds if name != self.year)
        self._numbered = {name: _patterns(name, taken - {name.lower()}) for name in others}

    def changed(self, bounds: Mapping[str, tuple[float, float]]) -> "RangeReader":
        """Return the reader of other bounds; its patterns are those of before where the attributes are."""
        if bounds.keys() != self.bounds.keys() or year_attribute(bounds) != self.year:
            return RangeReader(bounds)
        reader = copy.copy(self)
        reader.bounds, reader._latest = bounds, int(bounds[self.year][1]) if self.year else 0
        return reader

    def find(self, text: str) -> list[Annotation]:
        """Return the ranges of a message; one per attribute, the last one that it names.

        The bounds of a range of years may be apart ("nothing after 1980, nothing before 1970"); both are annotated with
        the whole range.

        Args:
            text: the message, in which titles are masked.
        """
        last: dict[str, Annotation] = {}
        years = self._years(text)
        for annotation in self._numbers(masked(text, years)):
            assert isinstance(annotation.value, Range)
            last[annotation.value.attribute] = annotation
        return [*years, *last.values()]

    # -- years ---------------------------------------------------------------------------------------------------
    def _years(self, text: str) -> list[Annotation]:
        if not self.year or not _DATED.search(text):
            return []
        if match := _ANY_YEAR.search(text):
            return [Annotation(match.start(), match.end(), Range(self.year, None, None))]
        for match in _LIFE.finditer(text):  # a year of somebody's life dates no film, unless it is compared with
            start, end = match.span(match.lastindex or 0)
            if bounds := _compared_with_life(text, self._life_year(text[start:end])):
                return [Annotation(start, end, Range(self.year, *bounds))]
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        for at, (pattern, bounds_of) in enumerate(_RULES):
            if match := _last_match(pattern, text):
                low, high = bounds_of(self, match)
                other = self._other_bound(masked(text, [Annotation(*match.span(), None)]), at, low, high)
                if other:
                    second, low, high = other
                    return [Annotation(*entry.span(), Range(self.year, low, high)) for entry in (match, second)]
                return [Annotation(match.start(), match.end(), Range(self.year, low, high))]
        return []

    def _other_bound(
        self, text: str, at: int, low: float | None, high: float | None
    ) -> tuple[re.Match[str], float | None, float | None] | None:
        """Return the words with the other bound of a range that has one, and both bounds; None for none.

        Args:
            text: the message, in which the words with the first bound are masked.
            at: index of the rule that read them; those after it have not been tried.
            low: the least year.
            high: the greatest one.
        """
        if low is not None and high is not None:
            return None
        for pattern, bounds_of in _RULES[at:]:
            if match := _last_match(pattern, text):
                least, greatest = bounds_of(self, match)
                if least is not None and greatest is not None:
                    continue
                first, last = (low, greatest) if low is not None else (least, high)
                if first is not None and last is not None and first <= last:
                    return match, first, last
        return None

    def _period(self, text: str) -> tuple[int, int]:
        """Return (first, last) year of a year or a decade."""
        words = text.lower().strip()
        name = next((name for name in _DECADE_NAMES if name in words), "")
        digits = re.search(r"\d+", words)
        decade = _DECADE_NAMES[name] if name else int(digits[0]) if digits else 0
        if decade < 100:
            century = self._latest - self._latest % 100
            decade += century if century + decade <= self._latest else century - 100
        if re.fullmatch(_YEAR, words):
            return decade, decade
        part = next((part for part in ("early", "mid", "late") if part in words), "")
        first, last = {"early": (0, 4), "mid": (3, 6), "late": (5, 9), "": (0, 9)}[part]
        return decade + first, decade + last

    def _life_year(self, text: str) -> int:
        return self._period(f"'{text}" if len(text) == 2 else text)[0]

    def _last_years(self, number: str, decade: str) -> tuple[int, int]:
        years = (number_of(number) if number else 1) * (10 if decade else 1)
        return self._latest - years + 1, self._latest

    # -- other numbers -------------------------------------------------------------------------------------------
    def _numbers(self, text: str) -> list[Annotation]:
        return [
            Annotation(match.start(), match.end(), self._range(name, sign, match))
            for name, (named, patterns) in self._numbered.items()
            if named.search(text)  # first, because it is fast
            for sign, pattern in patterns
            for match in pattern.finditer(text)
        ]

    def _range(self, attribute: str, sign: int, match: re.Match[str]) -> Range:
        texts = [group for group in match.groups() if group]
        numbers = [float(text) if text[0].isdigit() else number_of(text) for text in texts]
        if not sign:
            return Range(attribute, numbers[0], numbers[-1])
        whole = all(isinstance(bound, int) for bound in self.bounds[attribute])
        comparison = ("<" if sign < 0 else ">") + ("" if _STRICT.search(match[0]) else "=")
        return compared(attribute, comparison, numbers[0], whole)


def _patterns(name: str, taken: Collection[str]) -> tuple[re.Pattern[str], list[tuple[int, re.Pattern[str]]]]:
    """Return a pattern of words for an attribute, and (sign, pattern) of what bounds it.

    "Price under 5", "rated above 8", "12+ episodes". The sign is -1 for an upper bound, 1 for a lower one,
    and 0 where the pattern has both.

    Args:
        name: the attribute.
        taken: the catalog's other attributes, in lower case.
    """
    plain = re.sub(r"_count$|^num(?:ber_of)?_|^n_|^(?:average|avg|mean)_", "", name.lower())
    names = [_words(form) for form in dict.fromkeys((name.lower(), plain))]
    if plain in _RATINGS:
        names += [any_of(words) for other, words in _RATINGS.items() if other not in taken]
    words = rf"(?:{'|'.join(names)})"
    is_price = any(word in name.lower() for word in ("price", "cost"))
    unit = (
        rf"\s*(?:{words}|points?\s+{words})"
        + (r"|\s*(?:/\s*10|out\s+of\s+10|points?)\b" if plain in _RATINGS else "")
        + (r"|\s*(?:[$€£]|dollars|bucks|euros?|pounds)" if is_price else "")
    )
    rules = [
        (0, rf"\b{words}\s+(?:of\s+)?(?:between|from)\s+{_NUMBER}\s*(?:and|to|-)\s*{_NUMBER}(?:{unit})?"),
        (0, rf"\b(?:between|from)\s+{_NUMBER}\s*(?:and|to|-)\s*{_NUMBER}(?:{unit})"),
        (0, rf"(?<![\w.]){_NUMBER}\s*(?:to|-)\s*{_NUMBER}(?:{unit})"),
    ]
    for compare, ending, sign in _COMPARE:
        rules += [
            (sign, rf"\b{words}\s+(?:(?:is|of|be|at|are)\s+)?(?:{compare})\s*{_NUMBER}"),
            (sign, rf"\b(?:{compare})\s*(?:an?\s+)?{words}\s+(?:of\s+)?{_NUMBER}"),
            (sign, rf"(?:{compare})\s*{_NUMBER}(?:{unit})(?!\w)"),
            (sign, rf"\b{words}\s+(?:of\s+)?{_NUMBER}\s*{ending}"),
            (sign, rf"(?<![\w.]){_NUMBER}(?:{unit})\s*{ending}"),
            (sign, rf"(?<![\w.]){_NUMBER}\s*{ending}\s*{words}\b"),
        ]
        rules += (
            [(sign, rf"(?:{compare})\s*[$€£]\s*{_NUMBER}"), (sign, rf"[$€£]\s*{_NUMBER}\s*{ending}")]
            if is_price
            else []
        )
    named = re.compile(rf"\b{words}|{unit}", re.IGNORECASE)
    return named, [(sign, re.compile(pattern, re.IGNORECASE)) for sign, pattern in rules]


def _words(name: str) -> str:
    """Return a pattern of an attribute's name, in singular and plural."""
    return re.escape(name.removesuffix("s")).replace("_", r"[\s_]") + "s?"


def _compared_with_life(text: str, year: int) -> tuple[int | None, int | None] | None:
    """Return the bounds of a wish that compares films with somebody's age ("not older than me"); None for none."""
    match = _LIKE_ME.search(text)
    if not match:
        return None
    if match["same"]:
        return year, year
    older = bool(match["older"])
    if match["no"]:
        return (year, None) if older else (None, year)
    return (None, year - 1) if older else (year + 1, None)


_Bounds = Callable[[RangeReader, re.Match[str]], tuple[float | None, float | None]]


def _rule(pattern: str, bounds: _Bounds) -> tuple[re.Pattern[str], _Bounds]:
    return re.compile(pattern.replace("PERIOD", _PERIOD).replace("YEAR", _YEAR), re.IGNORECASE), bounds


_TIME = any_of("year, years, decade, decades, era, period, age")
_MADE = any_of("old, it was made, they were made, it's from, it is from, they are from, they're from")
_ANY_YEAR = re.compile(
    rf"\b(?:any|whatever|whichever|every|all)\s+(?:release\s+)?{_TIME}\b"
    rf"|\b{_TIME}\s+(?:of\s+release\s+)?(?:doesn'?t|does\s+not|don'?t|isn'?t|is\s+not)\s+(?:really\s+)?(?:matter|important|relevant)"
    rf"|\b{_TIME}\s+is\s+(?:irrelevant|unimportant)|\b{any_of(TAKING_BACK)}\s+(?:{SAID}\s+|about\s+)*(?:the|that|my)\s+(?:{RULE}\s+(?:on|about|for|with)\s+(?:the\s+)?)?{_TIME}\b"
    rf"|\bno\s+(?:specific\s+|particular\s+)?{_TIME}\s+(?:limit|limits|restriction|range|preference)"
    rf"|\b(?:no\s+matter|do(?:n'?t|\s+not)\s+care)\s+(?:about\s+)?(?:the|which|what|when|how)\s+(?:{_TIME}|{_MADE})\b"
    r"|\b(?:old\s+or\s+new|new\s+or\s+old)\b",
    re.IGNORECASE,
)
# "I was born in 1975", "she has worked here since 1971"
_LIFE_YEAR = rf"(?:{_YEAR}|[3-9]\d)"
_LIFE = re.compile(
    rf"\b(?:i|we|he|she|they|(?:my|our)\s+\w+)(?:'m|'re|'s|\s+was|\s+were|\s+am|\s+is|\s+got)?\s+"
    rf"(?:born|made|married|graduated|met|divorced|retired|hatched)\s+(?:\w+\s+){{0,3}}?(?:in\s+)?({_LIFE_YEAR})\b"
    rf"|\b(?:i|we|he|she|they|(?:my|our)\s+\w+)\s+(?:was|were)\s+(?:only\s+|just\s+)?{NUMBER}\s+(?:years\s+old\s+)?in\s+({_YEAR})\b"
    rf"|\b(?:(?:i|we|they)(?:'ve|\s+have)|(?:he|she|(?:my|our)\s+\w+)(?:'s|\s+has))\s+(?:\w+\s+){{0,6}}?since\s+({_YEAR})\b",
    re.IGNORECASE,
)
_LIKE_ME = re.compile(
    r"(?P<no>\b(?:not?|nothing|none|never|isn'?t|aren'?t)\s+(?:\w+\s+)?)?(?:(?P<older>\bolder)|\b(?:younger|newer))\s+than\s+(?:me|i\b|us|we\b|him|her|my\s+\w+)"
    r"|(?P<same>\b(?:as\s+old\s+as\s+(?:me|i\b|us|him|her)|(?:my|our|his|her)\s+age\b|(?:my|our|his|her)\s+birth\s*year"
    r"|(?:from|of|in)\s+(?:that|the\s+same)\s+(?:very\s+|exact\s+|same\s+)?year|(?:my|our|his|her)\s+year\s+of\s+birth|same\s+year|(?:from|of)\s+(?:back\s+|around\s+)?then"
    r"|(?:the|that)\s+year\s+(?:i|he|she|we)\s+(?:was|were)\s+born))",
    re.IGNORECASE,
)
_DATED = re.compile(rf"\d|{'|'.join(_DECADE_NAMES)}|{_TIME}|{_MADE}|old or new|new or old", re.IGNORECASE)  # fast
_LEAD = any_of("and, ok, okay, just, now, so, then, maybe, please, but, only, from, hm, well")
# "nothing before 1960", "my kids refuse anything made before 1990"
_NOTHING = (
    r"(?:nothing|none|not|no\s+\w+|no|(?:refuse\w*|reject\w*|hates?|avoids?|skip|without|won'?t|can'?t|cannot|don'?t|doesn'?t"
    r"|never|nobody|enough\s+of)\s+(?:\w+\s+){0,3}?(?:anything|stuff|films?|movies?|ones?|things))"
)
_AROUND = 2  # years before and after "around 1980"
_THE = r"(?:the\s+|year\s+){0,2}"
# The first rule that matches decides: longer forms stand before the forms that they contain.
_RULES: Sequence[tuple[re.Pattern[str], _Bounds]] = (
    _rule(
        rf"\b(?:between\s+|from\s+|in\s+)?{_THE}(?<![\w-])(PERIOD)(?:\s*,\s*PERIOD)*,?\s*(?:-|to|and|or|until|through|till|up\s+to)\s*{_THE}(PERIOD)(?![\w-])",
        lambda reader, match: (reader._period(match[1])[0], reader._period(match[2])[1]),
    ),
    _rule(
        r"\b(?:between|from)\s+([2-9]\d)\s*(?:and|to|-)\s*([2-9]\d)\b(?!\s*(?:[^\W\d]|[$€£%]))",
        lambda reader, match: (reader._period(f"'{match[1]}")[0], reader._period(f"'{match[2]}")[1]),
    ),
    _rule(
        rf"(?:(?:^|[.!?\n])\s*(?:{_LEAD}\W+){{0,3}}|\b(?:like|say|maybe|around)\s+)'?([4-9]\d)\s*(?:or|and|to|/|-)\s*'?([4-9]\d)(?=\s*(?:please|pls|then)?\s*[.!?]*\s*$)",
        lambda reader, match: (reader._period(f"'{match[1]}")[0], reader._period(f"'{match[2]}")[1]),
    ),
    _rule(
        r"\b(?:the\s+)?years\s+'?([2-9]0)\b",
        lambda reader, match: reader._period(f"{match[1]}s"),
    ),
    _rule(  # "98 only", "just 95 please"
        rf"(?:^|[.!?\n])\s*(?:{_LEAD}\W+){{0,3}}'?([4-9]\d)\s+(?:only|alone)\b|\b(?:only|just|year)\s+(?:from\s+)?'?([4-9]\d)(?=\s*(?:please|pls)?\s*[.!?]*\s*$)",
        lambda reader, match: reader._period(f"'{_first(match)}"),
    ),
    _rule(
        r"\b(?:it\s+was|it'?s\s+from|made\s+in|was\s+from|from)\s+([3-9]\d)(?=\s*(?:[.,;!?]|$))",
        lambda reader, match: reader._period(f"'{match[1]}"),
    ),
    _rule(
        r"\b(?:this|the\s+current|the\s+present)\s+decade\b",
        lambda reader, match: (reader._latest - reader._latest % 10, reader._latest),
    ),
    _rule(
        rf"\b(?:last|past|latest)\s+(?:({NUMBER})\s+)?(?:years?|(decades?))\b",
        lambda reader, match: reader._last_years(match[1], match[2]),
    ),
    _rule(
        rf"\b(?:nothing|none|not|no\s+\w+|no)\s+(?:\w+\s+)?(?:older|earlier)\s+than\s+({NUMBER})\s+(?:years?|(decades?))\b"
        rf"|\b(?:less\s+than|at\s+most|under|no\s+more\s+than|max(?:imum)?)\s+({NUMBER})\s+(?:years?|(decades?))\s+old\b",
        lambda reader, match: reader._last_years(match[1] or match[3], match[2] or match[4]),
    ),
    _rule(
        rf"\b{_NOTHING}\s+(?:\w+\s+){{0,3}}?(?:before|older\s+than|earlier\s+than|prior\s+to|pre-?)\s*{_THE}(PERIOD)\b"
        rf"|\bsince\s+{_THE}(PERIOD)\b|\b(?:from\s+|in\s+)?{_THE}(PERIOD)\s+(?:on\b|onwards?|(?:and|or)\s+(?:newer|later|up|above|after|onwards?|younger|more\s+recent)\b(?!\s+than)|(?:to|till|until)\s+(?:now|today|the\s+present))"
        rf"|(?<![\w-])(PERIOD)\s?\+|\b(?:min(?:imum)?|at\s+least)\s+(?:from\s+)?{_THE}(PERIOD)\b"
        rf"|\bstarting\s+(?:in|from|with)\s+{_THE}(PERIOD)\b|\b{_THE}(PERIOD)\s+at\s+the\s+earliest\b|\bno\s+(?:earlier|older)\s+than\s+{_THE}(PERIOD)\b",
        lambda reader, match: (reader._period(_first(match))[0], None),
    ),
    _rule(
        rf"\b{_NOTHING}\s+(?:\w+\s+){{0,3}}?(?:after|newer\s+than|later\s+than|more\s+recent\s+than|past)\s+{_THE}(PERIOD)\b"
        rf"|\b(?:until|up\s+(?:to|until|till)|till|through|by)\s+(?:and\s+including\s+)?{_THE}(PERIOD)\b|\b{_THE}(PERIOD)\s+(?:and|or)\s+(?:older|earlier|before|below|under)\b(?!\s+than)"
        rf"|\bno\s+(?:later|newer)\s+than\s+{_THE}(PERIOD)\b|\b(?:from\s+|in\s+)?{_THE}(PERIOD)\s+(?:at\s+the\s+latest|at\s+most|max(?:imum)?\b)"
        rf"|\b(?:max(?:imum)?|at\s+most)\s+(?:from\s+)?{_THE}(PERIOD)\b",
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
        rf"\b(?:around|circa|roughly|approximately)\s+{_THE}(YEAR)(?![\w-])|\b(YEAR)[\s-]?ish\b",
        lambda reader, match: _around(reader._period(_first(match))[0]),
    ),
    _rule(
        rf"(?<![\w-]){_THE}({_DECADE})(?![\w-])|(?<!born in )(?<![\w$€£.-])(YEAR)(?![\w-]|\s*(?:dollars|bucks|euros?))",
        lambda reader, match: reader._period(_first(match)),
    ),
)


def _around(year: int) -> tuple[int, int]:
    """Return the years that "around 1980" means."""
    return year - _AROUND, year + _AROUND


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    match = None
    for match in pattern.finditer(text):  # noqa: B007
        pass
    return match


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)
