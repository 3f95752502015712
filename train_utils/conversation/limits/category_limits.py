"""Limits of categories in a list of other items: "six films, at most two dramas", "but no more than one western"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.words.annotations import Annotation, masked
from train_utils.conversation.words.lexicon import NOUNS, any_of
from train_utils.conversation.words.numerals import MOST, NUMBER, find_count, number_of

_AT_MOST = any_of(
    """
    at most, at the most, at the very most, no more than, not more than, never more than, max, max., maximum, a maximum
    of, maximum of, a max of, max of, up to
    """
)
_LESS = any_of("fewer than, less than")
_OF_THEM = r"(?:\s+of\s+(?:them|these|those|which|whom)(?:\s+(?:is|are|being|(?:can|may|should)\s+be))?)?(?:\s+an?)?\s+"
_BEFORE = re.compile(
    rf"(?<!\w)(?:{_AT_MOST}|(?P<less>{_LESS}))\s+(?P<n>{NUMBER}|an?){_OF_THEM}$", re.IGNORECASE
)  # "at most two of them dramas"
_COUNTED = re.compile(rf"(?<![\w.-])(?P<n>{NUMBER}){_OF_THEM}$", re.IGNORECASE)
_NOUN = rf"(?:\s*{any_of(NOUNS)}\b)?"
_AFTER = re.compile(
    rf"{_NOUN}\s*,?\s*{any_of('at most, at the most, at the very most, max, maximum, tops')}(?!\w)", re.I
)
_NUMBER_AFTER = re.compile(rf"{_NOUN}\s*,?\s*{_AT_MOST}\s+(?P<n>{NUMBER})(?!\w)", re.IGNORECASE)  # "dramas at most two"
# What makes it a part of a list: "films, but at most one western", "at most two of them dramas"
_PART = re.compile(rf"\b{any_of('but, with, of which, including, among them, and only, where')}\W*$", re.IGNORECASE)
_OF_A_LIST = re.compile(r"\bof\s+(?:them|these|those|which|whom)\b", re.IGNORECASE)
_NEAR = 60  # characters before a category that may limit it


@dataclass(frozen=True)
class CategoryLimit:
    """Number of items of a category that a list may have."""

    category: str
    most: int


def with_limits(plain: str, found: Sequence[Annotation]) -> list[Annotation]:
    """Return annotations in which a category and the words that limit it are one annotation, of a `CategoryLimit`.

    "At most two comedies" alone asks for two comedies. It is a limit where the rest of the message has a number of
    items, and where it follows "but" or "with".

    Args:
        plain: the message.
        found: its annotations, in the order of the text.
    """
    text = masked(plain, found)
    limits = [_limited(text, entry) for entry in found]
    if limits == list(found):
        return limits
    counted = find_count(masked(text, limits)) is not None
    return [
        limit
        if counted
        or _PART.search(text, max(0, limit.start - _NEAR), limit.start)
        or _OF_A_LIST.search(text, limit.start, limit.end)
        else entry
        for entry, limit in zip(found, limits, strict=True)
    ]


def _limited(text: str, entry: Annotation) -> Annotation:
    """Return the annotation of a limit; the annotation of a category that has none.

    Args:
        text: the message, with its annotations masked.
        entry: one of them.
    """
    if not isinstance(entry.value, CategoryWords):
        return entry
    start, end, number = entry.start, entry.end, 0
    near = max(0, start - _NEAR)
    if before := _BEFORE.search(text, near, start):
        start, number = before.start(), number_of(before["n"]) - bool(before["less"])
    elif (counted := _COUNTED.search(text, near, start)) and (after := _AFTER.match(text, end)):
        start, end, number = counted.start(), after.end(), number_of(counted["n"])
    elif after := _NUMBER_AFTER.match(text, end):
        end, number = after.end(), number_of(after["n"])
    if not 1 <= number <= MOST:
        return entry
    return replace(entry, start=start, end=end, value=CategoryLimit(entry.value.category, number))
