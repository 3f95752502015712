"""Ranges of years: "nineties", "before 1980", "nothing older than 10 years"."""

import re
from collections import deque
from collections.abc import Callable, Iterator

from train_utils.conversation.limits.ranges import Gap, Range
from train_utils.conversation.words.annotations import Annotation, masked
from train_utils.conversation.words.lexicon import RULE, SAID, any_of
from train_utils.conversation.words.numerals import NUMBER, number_of
from train_utils.conversation.words.phrases import Phrases, phrase

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
_THE = r"(?:the\s+|year\s+){0,2}"
_INSIDE = r"(?!(?:and|or|nor|but|no|not|nothing|none|without)\b)\w+"  # a word that begins no other condition
_NAMES = {
    # Captured, for `_Rule.bounds`.
    "PERIOD": rf"({_PERIOD})",
    "THE_PERIOD": rf"{_THE}({_PERIOD})",
    "YEAR": rf"({_YEAR})",
    "DECADE": rf"({_DECADE})",
    "LIFE_YEAR": rf"({_YEAR}|[3-9]\d)",
    "YY": r"([2-9]\d)",
    "YY_AFTER_FROM": r"([3-9]\d)",
    "YY_ALONE": r"([4-9]\d)",
    "TENS": r"([2-9]0)",
    "COUNT": rf"({NUMBER})",
    "YEARS_OR_DECADES": r"(?:years?|(decades?))",
    # Not captured.
    "NUMBER": NUMBER,
    "MORE_PERIODS": rf"(?:\s*,\s*{_PERIOD})*",
    "THE": _THE,
    "TIME": any_of("year, years, decade, decades, era, period, age"),
    "MADE": any_of("old, it was made, they were made, it's from, it is from, they are from, they're from"),
    "LEAD": any_of("and, ok, okay, just, now, so, then, maybe, please, but, only, from, hm, well"),
    "LIVING": r"(?:i|we|he|she|they|(?:my|our)\s+\w+)",
    "SAID": SAID,
    "RULE": RULE,
    # "nothing before 1960", "my kids refuse anything made before 1990"
    "NOTHING": phrase(
        r"(nothing|none|not|no \w+|no|(refuse\w*|reject\w*|hates?|avoids?|skip|without|cut|drop|lose|ditch"
        r"|exclude|omit|remove|scrap|leave out|cut out|take out|get rid of|spare me|forget|ban|filter out|enough"
        r"|tired of|sick of|won'?t|can'?t|cannot|don'?t"
        r"|doesn'?t|never|nobody|enough of) (INSIDE ){0,3}?"
        r"(anything|everything|all|stuff|films?|movies?|ones?|things))",
        {"INSIDE": _INSIDE},
    ),
    "INSIDE": _INSIDE,
    # After "and before": not "and before 1995"
    "UNDATED": rf"(?!\s+than\b)(?!\s*{_THE}{_PERIOD})",
}


def _table(examples: dict[str, str]) -> Phrases:
    return Phrases(examples, _NAMES)


_ANY_YEAR_PHRASES = _table(
    {
        "whatever release year": r"\b(any|whatever|whichever|every|all) (release )?TIME\b",
        "the year doesn't matter": (
            r"\bTIME (of release )?(doesn'?t|does not|don'?t|isn'?t|is not) (really )?(matter|important|relevant)"
        ),
        "the decade is irrelevant": r"\bTIME is (irrelevant|unimportant)",
        "forget about the year": (
            r"\bTAKING_BACK (SAID |about )*(the|that|my) (RULE (on|about|for|with) (the )?)?TIME\b"
        ),
        "no particular year range": r"\bno (specific |particular )?TIME (limit|limits|restriction|range|preference)",
        "don't care how old": (r"\b(no matter|do(n'?t| not) care) (about )?(the|which|what|when|how) (TIME|MADE)\b"),
        "old or new": r"\b(old or new|new or old)\b",
    }
)
_ANY_YEAR = _ANY_YEAR_PHRASES.compiled()
# The year of somebody's life dates no film.
_LIFE_PHRASES = _table(
    {
        "I was born in 1975": (
            r"\bLIVING('m|'re|'s| was| were| am| is| got)? "
            r"(born|made|married|graduated|met|divorced|retired|hatched) (\w+ ){0,3}?(in )?LIFE_YEAR\b"
        ),
        "born in 1968, surprise me": r"(^|[.!?,\n])~((also|and|so|well|hi|hello|hey|oh)\b~)*born in LIFE_YEAR\b",
        "my dad was ten in 1975": r"\bLIVING (was|were) (only |just )?NUMBER (years old )?in YEAR\b",
        "she has worked here since 1971": (
            r"\b((i|we|they)('ve| have)|(he|she|(my|our) \w+)('s| has)) (\w+ ){0,6}?since YEAR\b"
        ),
    }
)
_LIFE = _LIFE_PHRASES.compiled()
# "I'm a 90s kid"
_RAISED = re.compile(
    rf"\b{_DECADE}[\s-](?:kid|child|baby|girl|boy|teen|teenager|born|music|nostalgia)s?\b", re.IGNORECASE
)
# Unless films are compared with it.
_LIKE_ME_PHRASES = _table(
    {
        "not older than me": (
            r"(?P<no>\b(not?|nothing|none|never|isn'?t|aren'?t) (\w+ )?)?"
            r"((?P<older>\bolder)|\b(younger|newer)) than (me|i\b|us|we\b|him|her|my \w+)"
        ),
        "as old as me": (
            r"(?P<same>\b(as old as (me|i\b|us|him|her)|(my|our|his|her) age\b|(my|our|his|her) birth\s*year"
            r"|(from|of|in) (that|the same) (very |exact |same )?year|(my|our|his|her) year of birth|same year"
            r"|(from|of) (back |around )?then|(the|that) year (i|he|she|we) (was|were) born))"
        ),
    }
)
_LIKE_ME = _LIKE_ME_PHRASES.compiled()
# Fast: without any of these, a message names no year.
_DATED = re.compile(phrase(rf"\d|{'|'.join(_DECADE_NAMES)}|TIME|MADE|old or new|new or old", _NAMES), re.IGNORECASE)
# "no horror or anything before 1960"
_OR_ANYTHING = re.compile(
    r"(\b(?:no|not|without|nothing)\b[^.!?;\n]{1,60}?\b(?:or|nor|and)\s+)anything(?=\s)", re.IGNORECASE
)
_OUTSIDE_PHRASES = _table(
    {
        "before 1950 or after 1996": (
            r"\b(before|older than|pre-?)\s*THE_PERIOD,? or (after|newer than|post-?)\s*THE_PERIOD\b"
        ),
        "after 1996 or before 1950": (
            r"\b(after|newer than|post-?)\s*THE_PERIOD,? or (before|older than|pre-?)\s*THE_PERIOD\b"
        ),
    }
)
_OUTSIDE = _OUTSIDE_PHRASES.compiled()
_AROUND = 2  # years before and after "around 1980"
_Bounds = tuple[float | None, float | None]


class YearReader:
    """Reader of ranges of years.

    Args:
        attribute: the attribute that holds years.
        latest: the latest year of the catalog.
    """

    def __init__(self, attribute: str, latest: int):
        self._attribute, self.latest = attribute, latest

    def find(self, text: str) -> list[Annotation]:
        """Return the ranges of years of a message.

        Where it names years and decades alone, each has an annotation: one may be asked for and others excluded. Any
        other message has one range, in one annotation or, where its bounds are apart, in two.

        Args:
            text: the message, in which titles are masked.
        """
        if not _DATED.search(text):
            return []
        if match := _ANY_YEAR.search(text):
            return [self._annotation(match.span(), (None, None))]
        text = _RAISED.sub(lambda match: " " * len(match[0]), text)
        text = _OR_ANYTHING.sub(r"\1nothing ", text)  # of the same length
        for match in _LIFE.finditer(text):
            start, end = match.span(match.lastindex or 0)
            if compared := _compared_with_life(text, self._life_year(text[start:end])):
                return [self._annotation((start, end), compared)]
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        if match := _OUTSIDE.search(text):
            first, last = (match[1], match[2]) if match[1] else (match[4], match[3])
            low, high = self.period(first)[0], self.period(last)[1]
            if low < high:
                return [Annotation(*match.span(), Gap(self._attribute, low, high))]
        for at, rule in enumerate(RULES):
            if match := rule.last_match(text):
                if rule is RULES[-1]:  # "from the nineties, but not from 1996 and not from 1998"
                    return [self._annotation(one.span(), rule.bounds(self, one)) for one in rule.matches(text)]
                bounds = rule.bounds(self, match)
                other = self._other_bound(masked(text, [Annotation(*match.span(), None)]), at, bounds)
                if other:
                    second, bounds = other
                    return [self._annotation(match.span(), bounds), self._annotation(second.span(), bounds)]
                return [self._annotation(match.span(), bounds)]
        return []

    def _annotation(self, span: tuple[int, int], bounds: _Bounds) -> Annotation:
        return Annotation(*span, Range(self._attribute, *bounds))

    def _other_bound(self, text: str, at: int, bounds: _Bounds) -> tuple[re.Match[str], _Bounds] | None:
        """Return the words with the other bound of a range that has one, and both bounds; None for none.

        Args:
            text: the message, in which the words with the first bound are masked.
            at: index of the rule that read them; those after it have not been tried.
            bounds: the least and the greatest year.
        """
        low, high = bounds
        if low is not None and high is not None:
            return None
        for rule in RULES[at:]:
            if match := rule.last_match(text):
                least, greatest = rule.bounds(self, match)
                if least is not None and greatest is not None:
                    continue
                first, last = (low, greatest) if low is not None else (least, high)
                if first is not None and last is not None and first <= last:
                    return match, (first, last)
        return None

    def period(self, text: str) -> tuple[int, int]:
        """Return (first, last) year of a year or a decade."""
        words = text.lower().strip()
        name = next((name for name in _DECADE_NAMES if name in words), "")
        digits = re.search(r"\d+", words)
        decade = _DECADE_NAMES[name] if name else int(digits[0]) if digits else 0
        if decade < 100:
            century = self.latest - self.latest % 100
            decade += century if century + decade <= self.latest else century - 100
        if re.fullmatch(_YEAR, words):
            return decade, decade
        part = next((part for part in ("early", "mid", "late") if part in words), "")
        first, last = {"early": (0, 4), "mid": (3, 6), "late": (5, 9), "": (0, 9)}[part]
        return decade + first, decade + last

    def _life_year(self, text: str) -> int:
        return self.period(f"'{text}" if len(text) == 2 else text)[0]

    def last_years(self, count: str, decades: str) -> tuple[int, int]:
        """Return the range that a number of years or decades up to the latest year is; no number is one."""
        years = (number_of(count) if count else 1) * (10 if decades else 1)
        return self.latest - years + 1, self.latest


def _compared_with_life(text: str, year: int) -> tuple[int | None, int | None] | None:
    """Return the bounds of a request that compares films with somebody's age ("not older than me"); None for none."""
    match = _LIKE_ME.search(text)
    if not match:
        return None
    if match["same"]:
        return year, year
    older = bool(match["older"])
    if match["no"]:
        return (year, None) if older else (None, year)
    return (None, year - 1) if older else (year + 1, None)


class _Rule:
    """What words say of years.

    Args:
        examples: see `Phrases`; phrases capture what `bounds` reads.
        bounds: returns the least and the greatest year of a match; None for no bound.
    """

    def __init__(self, examples: dict[str, str], bounds: Callable[[YearReader, re.Match[str]], _Bounds]):
        self.phrases, self.bounds = _table(examples), bounds
        self._pattern = self.phrases.compiled()

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Yield the matches in a text, in its order."""
        return self._pattern.finditer(text)

    def last_match(self, text: str) -> re.Match[str] | None:
        """Return the last match in a text; None for none."""
        return next(iter(deque(self.matches(text), maxlen=1)), None)


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _spanned(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Return the years from the first to the last of two periods, which a user may name in any order."""
    return min(one[0], other[0]), max(one[1], other[1])


def _around(year: int) -> tuple[int, int]:
    return year - _AROUND, year + _AROUND


# The first rule that matches decides: longer forms come before the forms that they contain.
RULES = (
    _Rule(
        {
            "between 1980 and the late nineties": (
                r"\b(between |from |in )?THE(?<![\w-])PERIOD(MORE_PERIODS),?"
                r"\s*(-|to|and|or|until|through|till|up to)\s*THE_PERIOD(?![\w-])"
            ),
        },
        lambda reader, match: _spanned(reader.period(match[1]), reader.period(match[2])),
    ),
    _Rule(
        {"between 80 and 85": r"\b(between|from) YY\s*(and|to|-)\s*YY\b(?!\s*([^\W\d]|[$€£%]))"},
        lambda reader, match: _spanned(reader.period(f"'{match[1]}"), reader.period(f"'{match[2]}")),
    ),
    _Rule(
        {
            "maybe 85 or 86 please": (
                r"((^|[.!?\n])\s*(LEAD\W+){0,3}|\b(like|say|maybe|around) )'?YY_ALONE\s*(or|and|to|/|-)\s*'?YY_ALONE"
                r"(?=\s*(please|pls|then)?\s*[.!?]*\s*$)"
            )
        },
        lambda reader, match: _spanned(reader.period(f"'{match[1]}"), reader.period(f"'{match[2]}")),
    ),
    _Rule({"the years 80": r"\b(the )?years '?TENS\b"}, lambda reader, match: reader.period(f"{match[1]}s")),
    _Rule(
        {
            "98 only": r"(^|[.!?\n])\s*(LEAD\W+){0,3}'?YY_ALONE (only|alone)\b",
            "just 95 please": r"\b(only|just|year) (from )?'?YY_ALONE(?=\s*(please|pls)?\s*[.!?]*\s*$)",
        },
        lambda reader, match: reader.period(f"'{_first(match)}"),
    ),
    _Rule(
        {"it was made in 82": (r"\b(it was|it'?s from|made in|was from|from) YY_AFTER_FROM(?=\s*([.,;!?]|$))")},
        lambda reader, match: reader.period(f"'{match[1]}"),
    ),
    _Rule(
        {"of this decade": r"\b(this|the current|the present) decade\b"},
        lambda reader, match: (reader.latest - reader.latest % 10, reader.latest),
    ),
    _Rule(
        {
            "the last two decades": (
                r"\b(last|past|latest) (COUNT )?YEARS_OR_DECADES\b(?!\s*,?\s*(i|we|he|she|they|my|our|someone"
                r"|somebody)\b)"
            )
        },
        lambda reader, match: reader.last_years(match[1], match[2]),
    ),
    _Rule(
        {
            "nothing older than 10 years": (
                r"\b(nothing|none|not|no \w+|no) (\w+ )?(older|earlier) than COUNT YEARS_OR_DECADES\b"
            ),
            "at most two decades old": (
                r"\b(less than|at most|under|no more than|max(imum)?) COUNT YEARS_OR_DECADES old\b"
            ),
        },
        lambda reader, match: reader.last_years(match[1] or match[3], match[2] or match[4]),
    ),
    _Rule(
        {
            "nothing made before 1960": (
                r"\bNOTHING (INSIDE ){0,3}?(before|older than|earlier than|prior to|pre-?)\s*THE_PERIOD\b"
            ),
            "since the eighties": r"\bsince THE_PERIOD\b",
            "from 1980 onwards": (
                r"\b(from |in )?THE_PERIOD (on\b"
                r"|(and|or) (newer|later|up|above|after|onwards?|younger|more recent)\bUNDATED"
                r"|onwards?|(to|till|until) (now|today|the present))"
            ),
            "1980+": r"(?<![\w-])PERIOD\s?\+",
            "at least from 1980": r"\b(min(imum)?|at least) (from )?THE_PERIOD\b",
            "starting in 1980": r"\bstarting (in|from|with) THE_PERIOD\b",
            "1980 at the earliest": r"\bTHE_PERIOD at the earliest\b",
            "no older than 1980": r"\bno (earlier|older) than THE_PERIOD\b",
            "year >= 1980": r">=\s*THE_PERIOD\b",
        },
        lambda reader, match: (reader.period(_first(match))[0], None),
    ),
    _Rule(
        {
            "nothing made after 1990": (
                r"\bNOTHING (INSIDE ){0,3}?(after|newer than|later than|more recent than|past) THE_PERIOD\b"
            ),
            "up to and including 1990": (r"\b(until|up (to|until|till)|till|through|by) (and including )?THE_PERIOD\b"),
            "the eighties or earlier": r"\bTHE_PERIOD (and|or) (older|earlier|before|below|under)\bUNDATED",
            "no newer than 1990": r"\bno (later|newer) than THE_PERIOD\b",
            "from 1990 at the latest": r"\b(from |in )?THE_PERIOD (at the latest|at most|max(imum)?\b)",
            "at most from 1990": r"\b(max(imum)?|at most) (from )?THE_PERIOD\b",
            "year <= 1990": r"<=\s*THE_PERIOD\b",
        },
        lambda reader, match: (None, reader.period(_first(match))[1]),
    ),
    _Rule(
        {
            "before the nineties": r"\b(before|older than|earlier than|prior to|pre-?|predating)\s*THE_PERIOD\b",
            "year < 1990": r"<\s*THE_PERIOD\b",
        },
        lambda reader, match: (None, reader.period(_first(match))[0] - 1),
    ),
    _Rule(
        {
            "after 1990": r"\b(after|newer than|later than|more recent than|younger than|post-?|past)\s*THE_PERIOD\b",
            "year > 1990": r"(?<![-=])>\s*THE_PERIOD\b",
        },
        lambda reader, match: (reader.period(_first(match))[1] + 1, None),
    ),
    _Rule(
        {
            "around 1980": r"\b(around|circa|roughly|approximately) (THE)YEAR(?![\w-])",
            "1980-ish": r"\bYEAR[\s-]?ish\b",
        },
        lambda reader, match: _around(reader.period(_first(match))[0]),
    ),
    _Rule(
        {
            "the late nineties": r"(?<![\w-])(THE)DECADE(?![\w-])",
            "from 1995": r"(?<!born\sin\s)(?<![\w$€£.-])YEAR(?![\w-]|\s*(dollars|bucks|euros?))",
        },
        lambda reader, match: reader.period(_first(match)),
    ),
)
