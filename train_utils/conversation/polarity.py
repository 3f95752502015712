"""Which annotations of a message are rejected, and which are left open."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation
from train_utils.conversation.clauses import LEAVING, annotated_clauses
from train_utils.conversation.lexicon import (
    BAD,
    NEGATING_AFTER,
    NOUNS,
    OPEN,
    REFUSALS,
    any_of,
    finder,
)
from train_utils.conversation.negation import EXEMPTING, FAR, IN_A_GOOD_WAY, MARK, NOT_BAD, exemption, negations
from train_utils.conversation.ranges import Range
from train_utils.conversation.verdict_phrases import SICK_FACE

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
# "Subtitles and I'm out. Also if it's a drama."
_ALSO_LEAVING = re.compile(
    rf"\bout\b.*(?:^|[.!;,])\s*(?:also|and|or|same)\s+if\s+(?:it|they|there)(?:'?s|'?re|\s+is|\s+are)\s+(?:an?\s+)?"
    rf"(?P<reason>{SPAN})\s*(?=[.!;,]|$)",
    re.IGNORECASE,
)
# "Romance, western or not", "whether it's a comedy or a drama"
_EITHER_WAY = re.compile(
    rf"(?P<span>{SPAN})(?:\s+{any_of(NOUNS)})?\s+or\s+(?:not\b|no\s+{SPAN})|\bwhether\s+(?:or\s+not\s+)?(?:(?:it|they)(?:'?s|'?re|\s+is|\s+are)\s+)?"
    rf"(?:an?\s+)?(?P<other>{SPAN})",
    re.IGNORECASE,
)
_FILLERS = any_of(
    """
    was, is, are, were, a, an, bit, little, so, too, very, really, just, both, quite, rather, pretty, such, the, most,
    one of the most, simply, absolutely, totally, utterly, completely, far too, way too, kind of, sort of, all, total,
    complete, just as, every bit as, equally, as, even, only, about, big, huge, real, major, honestly, incredibly,
    extremely, truly, such a, plain
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
_TROUBLING = any_of(
    """
    depress, bore, annoy, disgust, irritat, tire, exhaust, stress, upset, sadden, drain, repel, appal, frustrat,
    infuriat, offend, nauseat
    """
)
# "Mighty Aphrodite, on the other hand, I couldn't stand"
_INSERTED = r"(?:(?:on\s+the\s+other\s+hand|however|though|by\s+contrast|meanwhile)\b\s*,?\s*)?"
_NEGATING_AFTER = re.compile(
    rf"\s*{SICK_FACE}|{GAP}{_INSERTED}(?:(?:which\s+(?:(?!(?:no|not|nothing|never|but)\b)\w+\s+){{0,5}}?|(?:(?!(?:no|not|nothing|never|nor|and|but|or)\b)\w+,?\s+){{0,2}}?)(?:{_FILLERS}\s+){{0,4}}?{any_of(NEGATING_AFTER)}(?!\w)"
    rf"|(?:{any_of(NOUNS)}\s*\?\s*)?{any_of(REFUSALS)}\b|{LEAVING}"
    rf"|(?:{any_of(NOUNS)}\s+)?(?:\w+ly\s+)?{_TROUBLING}(?:e?s|ed)?\s+(?:me|us|him|her|them)\b|free\s*(?=[.,;!?]|$|(?:please|pls|zone|night|evening)\b)"
    rf"|(?:would\s+)?ma(?:kes?|de)\s+(?:me|us|him|her|them)\s+(?:want\s+to|wanna)\s+(?!{_WELCOME}\b)\w+"
    rf"|what\s+(?:an?\s+)?(?:\w+\s+of\s+)?{any_of(BAD)}(?!\w)|mak(?:e|es)\s+\w+\s+(?:skin|flesh)\s+crawl|bores?\s+the\s+\w+\s+(?:off|out\s+of)|(?:puts?|sen[dt]s?)\s+(?:\w+\s+){{1,3}}to\s+sleep\b"
    r"|(?:which|that)\s+(?:nobody|no\s+one|none\s+of\s+(?:us|them))\s+(?:\w+\s+){0,2}?(?:liked|loved|enjoyed|understood|finished|wanted|got|cared)\b"
    rf"|(?:please\s+)?no\s*(?=[.,;!]|$)|(?:is|was|gets?|got)?\s*(?:an?\s+)?{_LOW_MARK}\b"
    rf"|(?:(?:{any_of(NOUNS)}|stuff)\s+)?(?:out|away|aside)\s*(?=[.,;!?]|$|please\b|from\s+(?:me|us)\b))",
    re.IGNORECASE,
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
_PLUS, _MINUS = re.compile(r"^ ?\+ ?\w*" + MASK, re.MULTILINE), re.compile(r"(?:^|\s) ?- ?$")
_REACH = 5  # words that a negation reaches over
_DATING = """
    , stuff, anything, from, of, in, the, any, more, made, released, like, those, want, to, see, watch, show, me, give,
    be, interested, into, really
    """
# Between a negation and the years that it covers: "nothing from the eighties".
_NOT_DATED = re.compile(
    rf"(?:\s*(?:{any_of(NOUNS + _DATING)}\b|{SPAN}))*\s*",
    re.IGNORECASE,
)
_NEW_THOUGHT = re.compile(
    r"\b(?:something|along|for instance|such as|(?!any\b)\w+\s+more|\w+\s+(?!anything\b)\w+\s+like)\b", re.IGNORECASE
)
# Words between annotations that continue an enumeration.
_JOIN = re.compile(
    rf"(?:\s*(?:{any_of(NOUNS)}(?=\s*(?:,?\s*(?:or|and|nor)\b|[/&]))|[,/&=>\"'()*-]"
    rf"|{any_of('or, and, nor, any, no, the, a, an, too, very, other')}\b|{SPAN}"
    rf"|(?<=or)\s+(?!{any_of('maybe, something, else, give, i, we, just, even, at, if, so')}\b)\w+(?=\s+{MASK})))*\s*",
    re.IGNORECASE,
)

# "Not a comedy, a drama", and not "I don't want a comedy, a drama or a western"
_OTHER_ONE, _GOES_ON = (
    re.compile(r"\s*,\s*an?\s+", re.I),
    re.compile(rf"\s*(?:{any_of(NOUNS)}\s*)?,?\s*(?:or|nor|an?)\b", re.I),
)


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
    if also := _ALSO_LEAVING.search(plain):
        covered |= {i for i, start in enumerate(starts) if start == also.start("reason")}
    has_plus = bool(_PLUS.search(plain))
    for start, end, inside in annotated_clauses(plain, annotations):
        last = inside[-1] + 1 if inside else 0
        cues = [*negations(plain, start, end), *_passed_over(plain, start, end)] if inside else []
        for cue in cues:
            after = range(max(inside[0], bisect_left(starts, cue.end())), last)
            if _is_exception(cue, annotations, inside, covered):
                continue
            # Another negation before the annotation decides by itself.
            if any(cue.end() <= other.start() and after and other.end() <= starts[after[0]] for other in cues):
                continue
            dated = after and isinstance(annotations[after[0]].value, Range)
            if dated and not _NOT_DATED.fullmatch(plain, cue.end(), starts[after[0]]):
                continue  # "no violence from 1990 to 1995"
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
                or NOT_BAD.search(plain, judgment.start(), judgment.end() + MARK)
                or IN_A_GOOD_WAY.match(plain, judgment.end())
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
    open_ = {max(match.start("span"), match.start("other")) for match in _EITHER_WAY.finditer(plain)}
    opened = {i for i, entry in enumerate(annotations) if entry.end in replaced or entry.start in open_}
    for start, end, inside in annotated_clauses(plain, annotations):
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
        if _OTHER_ONE.fullmatch(text, first.end, second.start) and not _GOES_ON.match(text, second.end):
            break
        joined.add(other)
    return joined
