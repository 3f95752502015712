"""Clauses of a message, in which a negation or a judgment has its reach."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.phrases import Phrases

# "If it's a musical, I'm out."
LEAVING = (
    r"(?:then\s+)?(?:(?:i|we)(?:'?m|'?re|\s+am|\s+are)|(?:count|leave)\s+(?:me|us))"
    r"\s+(?:out\b(?!\s+of\b)|gone\b)"
)
_CLAUSE_ENDS = Phrases(
    {
        "I liked it. More": r"[.;!\n)]|\?(?!\s*(what an?\s|(\w+ )?no\b(?! \w)|REFUSALS\b))",
        "funny, but dark": (
            r"(?<!nothing)(?<!anything)(?<!everything)(?<!\ball)(?<!genres)(?<!kinds)(?<!types),? "
            r"(and )?CONTRAST\b(?! (than|of)\b)"
        ),
        "seen it, a [western] instead": r",\s*(?=(an? |some )?TITLE (now|instead|this time)\b)",
        "I loved it, while she slept": r",\s*(?=(while|whilst)\b)",
        "[Heat], so boring.": (
            r",\s*(?=((so|very|really|quite|pretty|just|and|what an?|an?) )?(BAD|GOOD)( NOUNS)?\s*([.!?;]|$))"
        ),
        "[Heat] bored me, we saw it": r",\s*(?=NEW_CLAUSE\b)(?!LEAVING)",
        "[Babe] we loved, [Heat] we hated": (
            r"(?<!MASK),\s*((and|but|while|whereas) )?(?=(the )?TITLE\s*(WHO\b(?! (have|has|own|know)\b)"
            r"|(is|was|were|are|isn'?t|wasn'?t|had|has|made|left|put|gave|bored|scared|ruined|blew|kept|never"
            r"|always|did|didn'?t)\b"
            r"|((so|very|really|even|pretty|just|an?|absolute|total|utter|pure|such) )*(GOOD|BAD|top|class|flop"
            r"|meh|better|worse)\b))"
        ),
        "not [Heat] it was [Casino] that I": (
            r"(?<=MASK),?\s(?=(it|that)('s| is| was) (the )?TITLE\s*(that |which )?WHO\b)"
        ),
        "I saw it and now": r"\sand (?=(STATING_ALONE|now|today|tonight|this time)\b)",
        "I liked it show me": (  # and not "please show me", "it gave me a headache"
            r"(?<!n't)(?<!dont)(?<!not)(?<!never)(?<!to)(?<!stop)(?<!please)"
            r"\s(?=(please )?(give me|show me|recommend|suggest)\b"
            r"(?! (an? headache|headaches|nightmares|the creeps)\b))"
        ),
    },
    {"LEAVING": LEAVING},
)
_CLAUSE_END = _CLAUSE_ENDS.compiled()


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
