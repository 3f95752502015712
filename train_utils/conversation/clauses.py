"""Clauses of a message, in which a negation or a judgment has its reach."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

from train_utils.conversation.annotations import SPAN, Annotation
from train_utils.conversation.lexicon import BAD, CONTRAST, GOOD, NEW_CLAUSE, REFUSALS, STATING_ALONE, any_of

# "If it's a musical, I'm out."
LEAVING = (
    r"(?:then\s+)?(?:(?:i|we)(?:'?m|'?re|\s+am|\s+are)|(?:count|leave)\s+(?:me|us))"
    r"\s+(?:out\b(?!\s+of\b)|gone\b)"
)
_CLAUSE_END = re.compile(
    rf"[.;!\n)]|\?(?!\s*(?:what\s+an?\s|(?:\w+\s+)?no\b(?!\s+\w)|{any_of(REFUSALS)}\b))"
    rf"|(?<!nothing)(?<!anything)(?<!everything)(?<!\ball)(?<!genres)(?<!kinds)(?<!types),?\s+(?:and\s+)?{any_of(CONTRAST)}\b(?!\s+(?:than|of)\b)"
    rf"|,\s*(?=(?:an?\s+|some\s+)?{SPAN}\s+(?:now|instead|this\s+time)\b)"
    rf"|,\s*(?=(?:while|whilst)\b)"
    rf"|,\s*(?=(?:{any_of('so, very, really, quite, pretty, just, and')}\s+)?{any_of(BAD + ',' + GOOD)}\s*(?:[.!?;]|$))"
    rf"|,\s*(?={any_of(NEW_CLAUSE)}\b)(?!{LEAVING})|\sand\s+(?=(?:{any_of(STATING_ALONE)}|now|today|tonight|this\s+time)\b)"
    rf"|(?<!n't)(?<!dont)(?<!not)(?<!never)(?<!to)(?<!stop)(?<!please)"
    rf"\s(?=(?:please\s+)?{any_of('give me, show me, recommend, suggest')}\b"
    r"(?!\s+(?:an?\s+headache|headaches|nightmares|the\s+creeps)\b))",
    re.IGNORECASE,
)


@lru_cache(maxsize=4)  # each reader of a message asks for those of the same text
def clauses(text: str) -> tuple[tuple[int, int], ...]:
    """Return (start, end) of each clause: up to the next punctuation, contrast, or new request."""
    cuts = [0, *(match.end() for match in _CLAUSE_END.finditer(text)), len(text)]
    return tuple((start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start)


def annotated_clauses(plain: str, annotations: Sequence[Annotation]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (start, end, positions in `annotations`) of each clause; both are in the order of the text."""
    position = 0
    for start, end in clauses(plain):
        inside = []
        while position < len(annotations) and annotations[position].start < end:
            inside.append(position)
            position += 1
        yield start, end, inside


def clause_at(plain: str, at: int) -> tuple[int, int]:
    """Return (start, end) of the clause at a position."""
    spans = clauses(plain)
    return spans[bisect_right(spans, (at, len(plain))) - 1]
