"""Which annotations of a message are wanted, rejected or merely known."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from train_utils.conversation.annotations import GAP, SPAN, Annotation
from train_utils.conversation.lexicon import (
    CONTRAST,
    KNOWING,
    LIKING,
    NEGATING,
    NEGATING_AFTER,
    NEW_CLAUSE,
    NOT_NEGATING,
    PRONOUNS,
    STATING_ALONE,
    any_of,
    finder,
)

_CLAUSE_END = re.compile(
    r"[.;!\n]|\?(?!\s*no\s+(?:thanks|thank|way))"
    rf"|(?<!nothing)(?<!anything)(?<!everything)(?<!\ball),?\s+(?:and\s+)?{any_of(CONTRAST)}\b"
    rf"|,\s*(?={any_of(NEW_CLAUSE)}\b)|\sand\s+(?={any_of(STATING_ALONE)}\b)"
    rf"|\s(?=(?:please\s+)?{any_of('give me, show me, recommend, suggest')}\b)",
    re.IGNORECASE,
)
_NEGATING, _NOT_NEGATING = finder(NEGATING), finder(NOT_NEGATING)
_NEGATING_AFTER = re.compile(rf"{GAP}(?:(?:\w+\s+){{0,2}}?{any_of(NEGATING_AFTER)}\b|no\s*(?=[.,;!]|$))", re.IGNORECASE)
_ANSWER = re.compile(r"(?:^|[.!?]\s+)no\s*,", re.IGNORECASE)  # "no, romantic comedies" rejects what was said before
_LIKING, _KNOWING, _PRONOUN = finder(LIKING), finder(KNOWING), finder(PRONOUNS)
_REACH = 5  # words that a negation reaches over
_NEW_THOUGHT = re.compile(r"\b(?:something|along|for instance|such as|\w+\s+\w+\s+like)\b", re.IGNORECASE)
# Words between annotations that continue an enumeration.
_JOIN = re.compile(
    rf"(?:\s*(?:[,/&=>\"'()*-]|{any_of('or, and, nor, any, no, the, a, an, too, very, other')}\b|{SPAN}))*\s*",
    re.IGNORECASE,
)


@lru_cache(maxsize=4)  # each reader of a message asks for those of the same text
def clauses(text: str) -> tuple[tuple[int, int], ...]:
    """Return (start, end) of each clause: up to the next punctuation, contrast, or new request."""
    cuts = [0, *(match.end() for match in _CLAUSE_END.finditer(text)), len(text)]
    return tuple((start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start)


def rejected(plain: str, annotations: Sequence[Annotation]) -> set[int]:
    """Return the positions in `annotations` of those that a negation covers.

    A negation covers the next annotation of its clause and what an enumeration joins to it ("no horror, war or
    westerns"); a judgment after an enumeration covers it as well ("westerns bore me").

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    covered: set[int] = set()
    for start, end in clauses(plain):
        inside = [i for i, annotation in enumerate(annotations) if start <= annotation.start < end]
        for cue in negations(plain, start, end):
            after = [i for i in inside if annotations[i].start >= cue.end()]
            if after and _reaches(plain[cue.end() : annotations[after[0]].start]):
                covered |= _enumeration(plain, annotations, after)
        for i in inside:
            judgment = _NEGATING_AFTER.match(plain, annotations[i].end, end)
            after = [j for j in inside if judgment and annotations[j].start >= judgment.end()]
            # "An action movie that isn't a thriller": the negation looks forward.
            if judgment and not (after and _reaches(plain[judgment.end() : annotations[after[0]].start])):
                covered |= _enumeration(plain, annotations, [j for j in inside if j <= i][::-1])
    return covered


def negations(plain: str, start: int, end: int) -> list[re.Match[str]]:
    """Return the words of a clause that negate, without those that only look so ("not only", "don't mind")."""
    harmless = [match.span() for pattern in (_NOT_NEGATING, _ANSWER) for match in pattern.finditer(plain)]
    return [
        cue
        for cue in _NEGATING.finditer(plain, start, end)
        if not any(low <= cue.start() < high for low, high in harmless)
    ]


def _reaches(between: str) -> bool:
    """Return whether a negation reaches over the words between it and an annotation."""
    return len(between.split()) <= _REACH and not _NEW_THOUGHT.search(between)


def _enumeration(text: str, annotations: Sequence[Annotation], positions: Sequence[int]) -> set[int]:
    """Return the first of the positions and those of its kind that an enumeration joins to it, in their order."""
    joined: set[int] = set(positions[:1])
    for one, other in zip(positions, positions[1:], strict=False):
        first, second = sorted((annotations[one], annotations[other]), key=lambda annotation: annotation.start)
        if type(first.value) is not type(second.value) or not _JOIN.fullmatch(text, first.end, second.start):
            break
        joined.add(other)
    return joined


def referred(plain: str, annotations: Sequence[Annotation]) -> dict[int, bool]:
    """Return position -> whether it is liked, for the titles that a later clause judges by a pronoun.

    In "We watched Babe and the kids adored it", the clause after the title has no annotation of its own.

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    judged: dict[int, bool] = {}
    before: list[int] = []
    for start, end in clauses(plain):
        inside = [i for i, annotation in enumerate(annotations) if start <= annotation.start < end]
        if inside:
            before = inside
            start = annotations[inside[-1]].end
        if before and _PRONOUN.search(plain, start, end):
            if negations(plain, start, end):
                judged |= dict.fromkeys(before, False)
            elif _LIKING.search(plain, start, end):
                judged |= dict.fromkeys(before, True)
    return judged


def is_only_known(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user knows it, and not that they like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    spans = clauses(plain)
    start, end = spans[bisect_right(spans, (at, len(plain))) - 1]
    return bool(_KNOWING.search(plain, start, end)) and not _LIKING.search(plain, start, end)
