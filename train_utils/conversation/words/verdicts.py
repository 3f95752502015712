"""Expressions that judge a title without a word of praise or blame: "three bucks down the drain", "I can recite it"."""

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import islice

from train_utils.conversation.words.annotations import SPAN
from train_utils.conversation.words.blame_phrases import ENDURED
from train_utils.conversation.words.clauses import clause_at
from train_utils.conversation.words.negation import IN_A_GOOD_WAY
from train_utils.conversation.words.verdict_phrases import FAMILIAR, POSSESSED, THRILLED

_TITLE = re.compile(SPAN)
# "It never moved me", "nothing in it thrilled me"
_DENIED = re.compile(
    r"(?:\b(?:never|not|hardly|barely|nothing|nobody|no one|neither|cannot)|n'?t)\s(?:(?!only\b)\w+\s){0,2}$",
    re.IGNORECASE,
)
_NEAR = 30  # characters before an expression that may deny it
_MOST_EXPRESSIONS = 20  # of one kind that are read in a clause; each looks at all its titles
_SO_BAD = re.compile(r"\bso\s+bad\s+(?:it'?s|its|they'?re)\s+(?:\w+\s+)?(?:good|great|fun)", re.IGNORECASE)
# "We cannot sit through it again"
_TOO_OFTEN = re.compile(
    r"\b(?:sit|get|go)\s+through\b[^.!?]{0,20}\b(?:again|another|any\s?more|one\s+more)\b",
    re.IGNORECASE,
)

JOINED = re.compile(r"\s*(?:,|/|&|,?\s(?:and|or|nor|then))?\s*(?:both\s+|also\s+|the\s+|a\s+)*", re.IGNORECASE)
# "X was a hit and so was Y"
_SAME = re.compile(
    r"[^.!?]{0,20}?\b(?:(?:so|neither|nor|as)\s+(?:was|were|is|are|did|does|do)|same\s+(?:for|with|goes\s+for)|ditto"
    r"|likewise|as\s+well\s+as|along\s+with|plus|and\s+also)\s+(?:the\s+)?",
    re.IGNORECASE,
)


def expressions(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the expressions of liking, dislike or knowledge in a text, by their start.

    Possession is none: "we have heat".
    """
    return sorted(match.span() for pattern in (ENDURED, THRILLED, FAMILIAR) for match in pattern.finditer(text))


def verdict(plain: str, start: int, end: int, at: int | None = None) -> str:
    """Return what an expression between two positions says of a title: "liked", "disliked" or "known"; "" for none.

    Args:
        plain: the message, with its annotations masked.
        start: where the clause begins.
        end: where it ends.
        at: position of the title; None for any.
    """
    for kind, spans in _verdicts(plain, start, end):
        if at is None or any(low <= at < high for low, high in spans):
            return kind
    return ""


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _verdicts(plain: str, start: int, end: int) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """Return (kind, spans of the titles that it is about) of the first expressions of each kind in a clause."""
    found = []
    for kind, pattern in (("disliked", ENDURED), ("liked", THRILLED), ("known", FAMILIAR), ("known", POSSESSED)):
        so_bad = kind == "disliked" and _SO_BAD.search(plain, start, end)
        for match in islice(pattern.finditer(plain, start, end), _MOST_EXPRESSIONS):
            good = kind == "disliked" and (IN_A_GOOD_WAY.match(plain, match.end()) or so_bad)
            too_often = kind == "disliked" and not good and _TOO_OFTEN.search(plain, match.start(), end)
            denied = kind == "liked" and _DENIED.search(plain, max(start, match.start() - _NEAR), match.start())
            said = "liked" if good else "known" if too_often else "disliked" if denied else kind
            found.append((said, _subjects(plain, start, end, match)))
    return tuple(found)


def segment_at(plain: str, at: int) -> tuple[int, int]:
    """Return (start, end) of the words around a title: from the end of the title before it to the next title's start.

    Titles that an enumeration joins have the same words around them. Words between two titles belong to both.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    groups = _title_groups(plain, *clause_at(plain, at))
    own = bisect_right(groups, (at, len(plain))) - 1
    return groups[own - 1][1], groups[own + 1][0]


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _title_groups(plain: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return (start, end) of the titles of a clause that enumerations join, between its empty beginning and end."""
    groups = [(start, start)]
    for title in _TITLE.finditer(plain, start, end):
        low, high = title.span()
        if len(groups) > 1 and JOINED.fullmatch(plain, groups[-1][1], low):
            low = groups.pop()[0]
        groups.append((low, high))
    return [*groups, (end, end)]


def _subjects(plain: str, start: int, end: int, match: re.Match[str]) -> tuple[tuple[int, int], ...]:
    """Return the spans of the titles that an expression of a clause is about: all of them, or those of an enumeration.

    It is about the titles that it contains, else about those before it, else about those after it; of several, about
    those that an enumeration joins ("Fargo was great, Heat a waste of time").
    """
    titles = [title.span() for title in _TITLE.finditer(plain, start, end)]
    if len(titles) < 2:
        return ((start, end),)
    subjects = [match.span()]
    earlier = [title for title in titles if title[1] <= match.start()]
    later = titles[len(earlier) :]
    if earlier:
        low, high = earlier.pop()
        while earlier and JOINED.fullmatch(plain, earlier[-1][1], low):
            low = earlier.pop()[0]
        subjects.append((low, high))
        low = match.end()
        later = later if later and _SAME.fullmatch(plain, low, later[0][0]) else []
    if later:
        low, high = later[0]
        for title in later[1:]:
            if not JOINED.fullmatch(plain, high, title[0]):
                break
            high = title[1]
        subjects.append((low, high))
    return tuple(subjects)
