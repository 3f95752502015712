"""Years relative to titles: "like Alien, but newer", "an older one", "nothing older than those"."""

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low
from typing import Literal

from train_utils.catalog import Catalog, year_attribute
from train_utils.conversation.limits.ranges import compared
from train_utils.conversation.preferences import Change
from train_utils.conversation.words.lexicon import NOUNS, any_of

Direction = Literal["", "newer", "older", "not newer", "not older"]
_SIGNS = {"newer": ">", "older": "<", "not newer": "<=", "not older": ">="}

_NOT_SO = r"(?:less|not\s+(?:so|that|as|too|quite\s+so|quite\s+as))"
_NEWER = rf"newer|more\s+(?:recent|modern|current|contemporary)|{_NOT_SO}\s+old"
_OLDER = rf"older|{_NOT_SO}\s+(?:new|recent|modern)"
_DENIED = r"nothing|none|not|no|don'?t\s+(?:want|need|like)|isn'?t|aren'?t"
# Words before a comparison of items. Others compare people: "my older brother", "now that we are older".
_BEFORE = (
    r"(?:^|[,.;:!?(\n-]|\b(?:but|and|or|something|anything|some|any|thing|maybe|perhaps|only|just|please|the|bit"
    r"|little|slightly"
    r"|somewhat|much|way|far|even|rather|preferably|ideally|want|like|show|give|got|have|about|try|be|that(?:'s"
    r"|\s+is|\s+are)"
    rf"|which\s+(?:is|are)|an?|me|us|them|stuff|{any_of(NOUNS)}|{_DENIED}))\s*"
)
_AFTER = (
    rf"(?=\s*(?:$|[,.;:!?)\n-]|\b(?:than\s+(?:that|those|these|this|it|them|the\s+(?:last|first|others?|ones?)|all"
    rf"|any)|{any_of(NOUNS)}|stuff|though|please"
    r"|pls|plz|but|and|or|if|with|for|from|instead|now|then|would|tho|than\s*\ue000)))"
)
_COMPARISON = re.compile(
    rf"(?P<before>{_BEFORE})(?:(?P<newer>{_NEWER})|(?P<older>{_OLDER})){_AFTER}",
    re.IGNORECASE,
)
_IS_DENIED = re.compile(
    rf"\b(?:{_DENIED})\s+(?:\w+\s+)?(?:that(?:'s|\s+is|\s+are)\s+)?(?:any\s+|much\s+|even\s+)*$", re.IGNORECASE
)
# "It doesn't have to be newer"
_IS_OPEN = re.compile(r"n'?t\s+(?:have|need)\s+to\s+be\s+$|\bgetting\s+$", re.IGNORECASE)
_EITHER = re.compile(r"\b(?:newer\s+or\s+older|older\s+or\s+newer)\b", re.IGNORECASE)


def find_comparison(text: str) -> Direction:
    """Return whether a message asks for newer or older items than others, or for none of them.

    It is "" where the message compares nothing, or asks for both.

    Args:
        text: the message, in which titles and ranges of years are masked.
    """
    if _EITHER.search(text):
        return ""
    found: set[Direction] = set()
    for match in _COMPARISON.finditer(text):
        start = match.end("before")
        if _IS_OPEN.search(text, 0, start):
            continue
        denied = _IS_DENIED.search(text, 0, start)
        if match["newer"]:
            found.add("not newer" if denied else "newer")
        else:
            found.add("not older" if denied else "older")
    return found.pop() if len(found) == 1 else ""


def with_compared_years(change: Change, catalog: Catalog, listed: Sequence[int]) -> Change:
    """Return a change whose comparison is a range of years.

    Titles that the message names are compared with the newest or oldest of them, a list with the one in its middle.
    "Nothing older than Alien" is a limit like "from 1979", which holds until another year is named.

    Args:
        change: what a message changes.
        catalog: the catalog that it was read for.
        listed: items of the last list.
    """
    year = year_attribute(catalog.numeric_attributes)
    if not change.compared or not year:
        return change
    named = [item for titles in (change.liked, change.known, change.disliked) for items in titles for item in items]
    years = [value for item in named or listed if (value := catalog.items[item].number(year)) is not None]
    if not years:
        return change
    sign = _SIGNS[change.compared]
    outer = max(years) if sign in (">", "<=") else min(years)
    bound = outer if named else median_low(years)
    entry = compared(year, sign, bound, whole=True)
    is_limit = bool(named) and sign in ("<=", ">=")  # "nothing older than Alien"
    return replace(change, ranges=(*change.ranges, replace(entry, relative=not is_limit)))
