"""Which annotations of a message are wanted, rejected or merely known."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation
from train_utils.conversation.lexicon import (
    BAD,
    BORED,
    CONTRAST,
    DISLIKING,
    GOOD,
    KNOWING,
    LIKES,
    LIKING,
    MOVED,
    NEGATING_AFTER,
    NEW_CLAUSE,
    NOUNS,
    OPEN,
    PRONOUNS,
    STATING_ALONE,
    any_of,
    finder,
)
from train_utils.conversation.negation import EXEMPTING, FAR, MARK, exemption, negations
from train_utils.conversation.ranges import Range

_CLAUSE_END = re.compile(
    r"[.;!\n]|\?(?!\s*(?:no\s+(?:thanks|thank|way)|(?:\w+\s+)?no\b(?!\s+\w)|not\s+(?:today|tonight|for\s+me)|nope|nah|yuck|ugh|eww)\b)"
    rf"|(?<!nothing)(?<!anything)(?<!everything)(?<!\ball)(?<!genres)(?<!kinds)(?<!types),?\s+(?:and\s+)?{any_of(CONTRAST)}\b(?!\s+(?:than|of)\b)"
    rf"|,\s*(?={any_of(NEW_CLAUSE)}\b)|\sand\s+(?={any_of(STATING_ALONE)}\b)"
    rf"|(?<!n't)(?<!dont)(?<!not)(?<!never)(?<!to)(?<!stop)(?<!please)"
    rf"\s(?=(?:please\s+)?{any_of('give me, show me, recommend, suggest')}\b"
    r"(?!\s+(?:an?\s+headache|headaches|nightmares|the\s+creeps)\b))",
    re.IGNORECASE,
)
_OPEN = finder(OPEN)
# "rather a comedy than a drama", "I prefer comedies to dramas": what follows is passed over.
_PREFERRING = re.compile(r"\b(?:rather|sooner|prefer(?:red)?|take|choose)\b", re.IGNORECASE)
_PASSED_OVER = re.compile(rf"{SPAN}(?:\s+\w+)?\s+(?:than|to|over)\b", re.IGNORECASE)
# "replace action with adventure": the first category is neither wanted nor rejected.
_REPLACED = re.compile(
    rf"\b(?:replac(?:e|ing)|swap(?:ping)?|exchang(?:e|ing)|trad(?:e|ing)|chang(?:e|ing)|switch(?:ing)?)\s+(?:from\s+)?(?:the\s+)?{SPAN}(?=\s+(?:\w+\s+)?(?:with|by|for|to)\b)"
    rf"|\bfrom\s+{SPAN}(?=\s+to\s+{SPAN})",
    re.IGNORECASE,
)
_FILLERS = any_of(
    """
    was, is, are, were, a, an, bit, little, so, too, very, really, just, both, quite, rather, pretty, such, the, most,
    one of the most, simply, absolutely, totally, utterly, completely, far too, way too, kind of, sort of, all, total,
    complete, honestly, incredibly, extremely, truly, such a, plain
    """
)
# "Musicals make me want to run away", and not "want to dance".
_WELCOME = any_of(
    """
    watch, see, rewatch, dance, sing, laugh, smile, travel, love, live, hug, know, be, read, learn, go, visit, find,
    have
    """
)
_LOW_MARK = (
    r"(?:[0-4](?:\.\d)?\s*(?:/|out of)\s*10|[01](?:\.\d)?\s*(?:/|out of)\s*5|(?:one|two|[0-2])\s+stars?)"  # "2/10"
)
_NEGATING_AFTER = re.compile(
    rf"{GAP}(?:(?:which\s+(?:(?!(?:no|not|nothing|never|but)\b)\w+\s+){{0,5}}?|(?:(?!(?:no|not|nothing|never|nor|and|but|or)\b)\w+,?\s+){{0,2}}?)(?:{_FILLERS}\s+){{0,4}}?{any_of(NEGATING_AFTER)}(?!\w)"
    rf"|(?:{any_of(NOUNS)}\s*\?\s*)?{any_of('no thanks, no thank, no way, nope, nah')}\b"
    rf"|(?:would\s+)?makes?\s+(?:me|us|him|her|them)\s+(?:want\s+to|wanna)\s+(?!{_WELCOME}\b)\w+"
    rf"|what\s+(?:an?\s+)?(?:\w+\s+of\s+)?{any_of(BAD)}(?!\w)"
    rf"|(?:please\s+)?no\s*(?=[.,;!]|$)|(?:is|was|gets?|got)?\s*(?:an?\s+)?{_LOW_MARK}\b"
    rf"|(?:(?:{any_of(NOUNS)}|stuff)\s+)?(?:out|away|aside)\s*(?=[.,;!?]|$|please\b))",
    re.IGNORECASE,
)
_NOT_BAD = finder(
    """
    wasn't bad, isn't bad, weren't bad, aren't bad, not bad, not half bad, not too bad, not that bad, never bad, wasn't
    as bad, isn't as bad, not as bad, wasn't so bad, not so bad
    """
)
# "Alien, not so much Heat"
_NOT_SO_MUCH = re.compile(rf"\bnot\s+(?:so\s+much|really)\s+(?:the\s+)?{MASK}", re.IGNORECASE)
_INSTEAD = re.compile(
    rf"(?:\W|{any_of('so, ok, okay, maybe, then, now, but, and, please')}\b)*(?:instead\s+of|rather\s+than)", re.I
)
_LOOKS_FORWARD = re.compile(
    r"(?P<relative>\b(?:that|who)\s+)?(?:isn'?t|is not|aren'?t|are not|wasn'?t|was not|didn'?t|did not|weren'?t)$",
    re.IGNORECASE,
)
_LIKING, _DISLIKING, _KNOWING, _BAD = map(finder, (LIKING, DISLIKING, KNOWING, BAD))
_MOVED, _BORED = finder(MOVED), finder(BORED)
# "we watched that", but no "that" before what it introduces
_AFTER_THAT = any_of("yesterday, already, recently, before, last, too, twice, once, a, just, as well, also, again, one")
_PRONOUN = re.compile(
    rf"\b(?:{any_of(PRONOUNS)}\b|{any_of(KNOWING + ',' + LIKES + ',' + DISLIKING)}\s+(?:that|this)"
    rf"(?=\s*(?:[.,;!?]|$|{_AFTER_THAT}\b)))",
    re.IGNORECASE,
)
# "he was thrilled and so was I"
_PERSON = r"(?:i|we|he|she|they|everyone|everybody|(?:my|our|the)\s+\w+)"
_REACTION = re.compile(
    rf"(?:{GAP}(?:and\s+)?{_PERSON}\s+|[^.;!?]{{0,40}}?\band\s+(?:{_PERSON}\s+)?)"
    rf"{any_of('was, were, got, left, felt')}\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    rf"{GAP}(?:(?:and|but|so|well)\s+)?(?:everyone|everybody|people|critics|most|many|others|he|she|they"
    rf"|(?:my|our|the|some|other|all)\s+\w+(?:\s+\w+)?)\s+(?:\w+\s+)?{any_of(LIKES + ',' + DISLIKING)}\b",
    re.IGNORECASE,
)
_UNSEEN = re.compile(
    r"\b(?:(?:haven'?t|have not|hasn'?t|never|not|didn'?t|yet to)\s+(?:yet\s+|even\s+)?"
    r"(?:seen?|watch(?:ed)?)\s+(?:any\s+of\s+|\w+\s+)?|(?:seen|watched)\s+none\s+of\s+)"
    rf"(?:{GAP}{SPAN}{GAP}(?:and|or|nor)?{GAP})*{GAP}$",
    re.I,
)
# "Heat? Haven't seen it."
_NOT_SEEN = re.compile(
    rf"{GAP}(?:(?:but|and|well|no|nope)\b{GAP})?(?:(?:i|we)\s*)?(?:'?ve\s+)?(?:\w+\s+)?(?:haven'?t|have\s+not|never|not|didn'?t|yet\s+to)\s+(?:yet\s+|even\s+|actually\s+)?"
    r"(?:seen?|watch(?:ed)?)\b(?:\s+(?:it|that|them|those|this|both|either))?(?:\s+(?:yet|so\s+far|though|either|before|myself))*"
    rf"{GAP}$",
    re.IGNORECASE,
)
_WATCHED = re.compile(
    rf"{GAP}(?:(?:and|so|well|yesterday|today|recently)\W+)?(?:i|we)(?:'?ve|\s+have)?\s+(?:just\s+|already\s+|only\s+)?(?:watched|saw|seen)\b"
    rf"|{GAP}you\s+(?:just\s+|only\s+)?(?:gave|showed|listed|recommended|suggested|sent)\b",
    re.I,
)
_JUDGMENT = re.compile(
    rf"{GAP}(?:(?:such|what)\s+)?(?:an?\s+)?(?:(?:really|very|so|pretty|quite|just|absolutely)\s+){{0,3}}"
    rf"(?:(?P<bad>(?:\w+\s+of\s+)?{any_of(BAD)}|{any_of('hated, disliked, loathed, detested, despised')})"
    rf"|{any_of(GOOD)})"
    rf"(?:\s+(?:{any_of(NOUNS)}|it|them|both))?{GAP}$",
    re.IGNORECASE,
)
_DISAGREEING = re.compile(
    rf"{GAP}(?:i|we|me)\s+(?:really\s+|just\s+|personally\s+)?"
    rf"(?:{any_of('dont, did not, do not, didnt, disagree, wasnt, hated')}|don'?t|didn'?t|wasn'?t){GAP}$",
    re.IGNORECASE,
)
# How a message begins that judges the titles of the one before it.
_ON_LAST = re.compile(
    rf"{GAP}(?:{any_of('oh, yes, yeah, well, and, wow, no')}\b{GAP})?(?:(?:i|we)\s+(?:\w+\s+){{0,3}}?)?"
    rf"(?:{any_of('it, that one, they, both')}\s+{any_of('was, were, is, are, bored, blew')}"
    rf"|(?:didn'?t\s+|really\s+)*{any_of('love, loved, like, liked, hate, hated, enjoyed, adore, adored')}"
    rf"\s+{any_of('it, them, both')})\b",
    re.IGNORECASE,
)
# "four films like it", after a question about one
_LIKE_IT = re.compile(
    rf"\b(?:{any_of(NOUNS)}|more|something|anything|others?)\s+(?:just\s+|similar\s+|comparable\s+|close\s+)?(?:like|to)\s+(?:it|that)\b(?!\s+\w)",
    re.I,
)
_PLUS, _MINUS = re.compile(r"^ ?\+ ?\w*" + MASK, re.MULTILINE), re.compile(r"(?:^|\s) ?- ?$")
_REACH = 5  # words that a negation reaches over
_NEW_THOUGHT = re.compile(
    r"\b(?:something|along|for instance|such as|\w+\s+more|\w+\s+(?!anything\b)\w+\s+like)\b", re.IGNORECASE
)
# Words between annotations that continue an enumeration.
_JOIN = re.compile(
    rf"(?:\s*(?:[,/&=>\"'()*-]|{any_of('or, and, nor, any, no, the, a, an, too, very, other')}\b|{SPAN}"
    rf"|(?<=or)\s+(?!{any_of('maybe, something, else, give, i, we, just, even, at, if, so')}\b)\w+(?=\s+{MASK})))*\s*",
    re.IGNORECASE,
)


@lru_cache(maxsize=4)  # each reader of a message asks for those of the same text
def clauses(text: str) -> tuple[tuple[int, int], ...]:
    """Return (start, end) of each clause: up to the next punctuation, contrast, or new request."""
    cuts = [0, *(match.end() for match in _CLAUSE_END.finditer(text)), len(text)]
    return tuple((start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start)


def _annotated_clauses(plain: str, annotations: Sequence[Annotation]) -> Iterator[tuple[int, int, list[int]]]:
    """Yield (start, end, positions in `annotations`) of each clause; both are in the order of the text."""
    position = 0
    for start, end in clauses(plain):
        inside = []
        while position < len(annotations) and annotations[position].start < end:
            inside.append(position)
            position += 1
        yield start, end, inside


def rejected(plain: str, annotations: Sequence[Annotation]) -> set[int]:
    """Return the positions in `annotations` of those that a negation covers.

    A negation covers the next annotation of its clause and what an enumeration joins to it ("no horror, war or
    westerns"); a judgment after an enumeration covers it as well ("westerns bore me").

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    covered: set[int] = set()
    starts = [annotation.start for annotation in annotations]
    has_plus = bool(_PLUS.search(plain))
    for start, end, inside in _annotated_clauses(plain, annotations):
        last = inside[-1] + 1 if inside else 0
        cues = [*negations(plain, start, end), *_passed_over(plain, start, end)] if inside else []
        for cue in cues:
            after = range(max(inside[0], bisect_left(starts, cue.end())), last)
            if _is_exception(cue, annotations, inside, covered):
                continue
            # Another negation before the annotation decides by itself.
            if any(cue.end() <= other.start() and after and other.end() <= starts[after[0]] for other in cues):
                continue
            if after and _reaches(plain, cue.end(), starts[after[0]]):
                # "non-animated children's films", "instead of a comedy, a drama"
                alone = cue[0].lower() == "non" or bool(_INSTEAD.fullmatch(plain, start, cue.end()))
                covered |= {after[0]} if alone else _enumeration(plain, annotations, after)
        for i in inside:
            if has_plus and _MINUS.search(plain, max(0, starts[i] - MARK), starts[i]):
                covered.add(i)
            judgment = _NEGATING_AFTER.match(plain, annotations[i].end, end)
            if (
                not judgment
                or isinstance(annotations[i].value, Range)
                or _NOT_BAD.search(plain, judgment.start(), judgment.end() + MARK)
                or _NOT_SO_MUCH.search(plain, judgment.start(), min(end, judgment.end() + MARK))
            ):
                continue
            after = range(max(inside[0], bisect_left(starts, judgment.end())), last)
            # "An action movie that isn't a thriller": the negation looks forward.
            forward = _LOOKS_FORWARD.search(judgment[0])
            # "A film that isn't on our shelf" says nothing of films.
            if not (forward and (forward["relative"] or after and _reaches(plain, judgment.end(), starts[after[0]]))):
                covered |= _enumeration(plain, annotations, range(i, inside[0] - 1, -1))
    return covered


def _is_exception(
    cue: re.Match[str], annotations: Sequence[Annotation], inside: Sequence[int], covered: Collection[int]
) -> bool:
    """Return whether a cue exempts from an earlier negation of its clause: "no dramas except romantic ones"."""
    return bool(EXEMPTING.fullmatch(cue[0])) and any(i in covered and annotations[i].end <= cue.start() for i in inside)


def left_open(plain: str, annotations: Sequence[Annotation]) -> set[int]:
    """Return the positions of those that a clause leaves open: "I don't mind horror", "replace horror with drama".

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    replaced = [match.end() for match in _REPLACED.finditer(plain)]
    opened = {i for i, annotation in enumerate(annotations) if annotation.end in replaced}
    for start, end, inside in _annotated_clauses(plain, annotations):
        cue = _OPEN.search(plain, start, end) or inside and exemption(plain, start, annotations[inside[0]].end, end)
        after = [i for i in inside if cue and annotations[i].start >= cue.end()]
        if cue and after and _reaches(plain, cue.end(), annotations[after[0]].start):
            opened |= _enumeration(plain, annotations, after)
    return opened


def _passed_over(plain: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """Yield the words of a clause after which the less preferred category follows."""
    before = max(0, start - MARK)  # "rather" itself may begin the clause
    if preferring := _PREFERRING.search(plain, before, end):
        yield from _PASSED_OVER.finditer(plain, max(start, preferring.end()), end)


def _reaches(text: str, start: int, end: int) -> bool:
    """Return whether a negation that ends at `start` reaches over the words up to an annotation at `end`."""
    between = text[start : min(end, start + FAR)]
    # "if there are none, a comedy", "that's not what I meant: a comedy"
    if between.lstrip().startswith(",") or ":" in between and len(between.partition(":")[0].split()) > 1:
        return False
    if end - start >= FAR or len(between.split()) > _REACH or _NEW_THOUGHT.search(between):
        return False
    return len(between.partition(",")[0].split()) < 2 or "," not in between  # "not too long, a comedy"


def _enumeration(text: str, annotations: Sequence[Annotation], positions: Sequence[int]) -> set[int]:
    """Return the first of the positions and those of its kind that an enumeration joins to it, in their order."""
    joined: set[int] = set(positions[:1])
    for one, other in zip(positions, positions[1:], strict=False):
        first, second = sorted((annotations[one], annotations[other]), key=lambda annotation: annotation.start)
        if type(first.value) is not type(second.value) or not _JOIN.fullmatch(text, first.end, second.start):
            break
        joined.add(other)
    return joined


def referred(plain: str, annotations: Sequence[Annotation]) -> dict[int, str]:
    """Return position -> "liked", "disliked", "known" or "unseen" for titles that a later clause judges by a pronoun.

    In "We watched Babe and the kids adored it", the clause after the title has no annotation of its own.

    Args:
        plain: the message, with its annotations masked.
        annotations: its annotations, in the order of the text.
    """
    judged: dict[int, str] = {}
    before: list[int] = []
    for start, end, inside in _annotated_clauses(plain, annotations):
        if inside:
            before, start = inside, annotations[inside[-1]].end
        if before and (kind := _judgment(plain, start, end, not inside)):
            judged |= dict.fromkeys(before, kind)
    return judged


def _judgment(plain: str, start: int, end: int, alone: bool) -> str:
    """Return what a part of a clause says of the titles before it; "" for nothing.

    Args:
        plain: the message, with its annotations masked.
        start: position where the part begins.
        end: position where the clause ends.
        alone: whether the part is a whole clause.
    """
    if alone and (judgment := _JUDGMENT.match(plain, start, end)):
        return "disliked" if judgment["bad"] else "liked"
    if alone and _DISAGREEING.match(plain, start, end):
        return "disliked"
    if _REACTION.match(plain, start, end):
        if _BORED.search(plain, start, end) or _BAD.search(plain, start, end):
            return "disliked"
        if _MOVED.search(plain, start, end) or _LIKING.search(plain, start, end):
            return "disliked" if negations(plain, start, end) else "liked"
    if alone and _NOT_SEEN.match(plain, start, end):
        return "unseen"
    if not _PRONOUN.search(plain, start, end):
        return ""
    if negations(plain, start, end) or _BAD.search(plain, start, end) and not _NOT_BAD.search(plain, start, end):
        return "disliked"
    if _LIKING.search(plain, start, end):
        return "liked"
    return "known" if alone and _KNOWING.search(plain, start, end) else ""


def judgment_of_last_message(plain: str) -> str:
    """Return "liked" or "disliked" where the first clause judges what was named before; "" otherwise.

    Args:
        plain: the message, which names no title.
    """
    if _LIKE_IT.search(plain):
        return "liked"
    spans = clauses(plain)
    kind = _judgment(plain, *spans[0], alone=False) if spans and _ON_LAST.match(plain) else ""
    return kind if kind != "known" else ""


def is_liked(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user likes it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(_LIKING, plain, *_clause(plain, at))


def is_watched(plain: str, at: int) -> bool:
    """Return whether the clause around a category tells what the user has watched ("I saw two westerns").

    Args:
        plain: the message, with its annotations masked.
        at: position of the category.
    """
    return bool(_WATCHED.match(plain, *_clause(plain, at)))


def is_of_others(plain: str, at: int) -> bool:
    """Return whether the clause around a title says what other people think of it ("everyone hated Heat").

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return bool(_OTHERS.match(plain, *_clause(plain, at)))


def is_judged(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user does not like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(_DISLIKING, plain, *_clause(plain, at)) or _says(_BAD, plain, *_clause(plain, at))


def is_only_known(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user knows it, and not that they like it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    return _says(_KNOWING, plain, *_clause(plain, at)) and not _says(_LIKING, plain, *_clause(plain, at))


def is_unseen(plain: str, at: int) -> bool:
    """Return whether the clause around a title says that the user has not seen it.

    Args:
        plain: the message, with its annotations masked.
        at: position of the title.
    """
    start, _ = _clause(plain, at)
    return bool(_UNSEEN.search(plain, max(start, at - FAR), at))


@lru_cache(maxsize=64)  # a clause may have a thousand titles, and each asks the same
def _says(pattern: re.Pattern[str], plain: str, start: int, end: int) -> bool:
    return bool(pattern.search(plain, start, end))


def _clause(plain: str, at: int) -> tuple[int, int]:
    """Return (start, end) of the clause at a position."""
    spans = clauses(plain)
    return spans[bisect_right(spans, (at, len(plain))) - 1]
