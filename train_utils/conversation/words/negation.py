"""Words that negate what follows in their clause, and those that only look so."""

import re
from collections.abc import Sequence

from train_utils.conversation.words.annotations import SPAN
from train_utils.conversation.words.lexicon import NEGATING, NOT_NEGATING, NOUNS, any_of, finder

# "Enough drama": more of it is not wanted; "scary enough for my kids" negates nothing.
_ENOUGH = rf"(?:(?<![\w\s])|(?<=\bhad\s)|(?<=\bseen\s)|^)\s*enough\s+(?={SPAN})"
_NEGATING = re.compile(rf"\b{any_of(NEGATING)}(?!\w)|{_ENOUGH}", re.IGNORECASE)
_NOT_NEGATING = finder(NOT_NEGATING)
_ANSWER = re.compile(
    r"(?:^|[.!?]\s+)no\s*(?:,|\b(?=\s+(?:i|we|it|that|actually|sorry)\b))", re.IGNORECASE
)  # "no, romantic comedies" rejects what was said before
# "Not as dark as Seven" compares with what is liked.
_NOT_AS = re.compile(r"\bnot\s+(?:quite\s+|nearly\s+)?(?:as|so)\s+\w+\s+as\b", re.IGNORECASE)
# "I don't like anything except comedies": what follows is wanted.
_NOTHING_BUT = re.compile(
    rf"\b(?:nothing|none|no\s+{any_of(NOUNS)}|(?:\w*n'?t|not|never)\s+(?:\w+\s+){{0,3}}?any(?:thing"
    rf"|\s+{any_of(NOUNS)}))"
    rf"(?:\s+else)?\s+(?:but|except(?:\s+for)?|other\s+than|besides|apart\s+from)\b",
    re.IGNORECASE,
)
# Between two negations that cancel each other; of these words none does: "no, no horror", "I don't want no horror".
_LIGHT_WORDS = any_of("say, said, that, i, we, it, its, is, if, mean, means, really, have, has, to, a, like, actually")
_LIGHT = re.compile(rf"(?:\s+{_LIGHT_WORDS})*\s+", re.IGNORECASE)
_EMPHATIC = re.compile(any_of("no, none, nothing, nobody, no one, neither, nor, less, fewer, lose, cut, drop"), re.I)
_EXEMPTING = any_of(
    """
    except, except for, unless, unless it's, unless it is, unless they're, unless they are, other than, apart from,
    besides, aside from
    """
)
EXEMPTING, _EXEMPTS = re.compile(_EXEMPTING, re.IGNORECASE), re.compile(rf"\b{_EXEMPTING}\b", re.IGNORECASE)
NOT_BAD = finder(
    """
    wasn't half bad, isn't half bad, weren't half bad, ain't half bad, ain't bad, wasn't bad, isn't bad, weren't bad,
    aren't bad, not bad, not half bad, not too bad, not that bad, never bad, wasn't as bad, isn't as bad, not as bad,
    wasn't so bad, not so bad
    """
)
IN_A_GOOD_WAY = re.compile(
    r"[^.!?]{0,20}?\bin\s+(?:the\s+(?:best|good|right)|an?\s+(?:very\s+)?good|all\s+the\s+right)\s+ways?\b",
    re.IGNORECASE,
)
MARK = 12  # characters around a clause in which a longer expression may begin or end
FAR = 80  # characters that a negation reaches over


def negations(plain: str, start: int, end: int) -> list[re.Match[str]]:
    """Return the words of a clause that negate, without those that only look so ("not only", "don't mind")."""
    cues = [*_NEGATING.finditer(plain, start, end)]
    if not cues:
        return cues
    near = max(0, start - MARK)  # such words may begin before the clause
    harmless = [
        match.span()
        for pattern in (_NOT_NEGATING, _ANSWER, _NOTHING_BUT, _NOT_AS)
        for match in pattern.finditer(plain, near, end + MARK)
    ]
    return _without_double(plain, [c for c in cues if not any(low <= c.start() < high for low, high in harmless)])


def _without_double(plain: str, cues: Sequence[re.Match[str]]) -> list[re.Match[str]]:
    """Return the cues without pairs that cancel each other: "can't say I don't like", "don't hate"."""
    kept: list[re.Match[str]] = []
    for cue in cues:
        doubled = kept and _LIGHT.fullmatch(plain, kept[-1].end(), cue.start())
        if doubled and not _EMPHATIC.fullmatch(kept[-1][0]) and not _EMPHATIC.fullmatch(cue[0]):
            kept.pop()
        else:
            kept.append(cue)
    return kept


def exemption(plain: str, start: int, at: int, end: int) -> re.Match[str] | None:
    """Return the words that exempt from a negation before them: "no dramas except romantic ones"; None for none.

    Args:
        plain: the message, with its annotations masked.
        start: position where the clause begins.
        at: end of its first annotation.
        end: position where the clause ends.
    """
    match = _EXEMPTS.search(plain, at, end)
    return match if match and negations(plain, start, at) else None
