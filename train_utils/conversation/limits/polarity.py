"""Which annotations of a message are rejected, and which are left open."""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.words.annotations import MASK, SPAN, Annotation
from train_utils.conversation.words.blame_phrases import SICK_FACE
from train_utils.conversation.words.clauses import LEAVING, annotated_clauses
from train_utils.conversation.words.lexicon import NOUNS, OPEN, any_of, finder
from train_utils.conversation.words.message_words import Unknown
from train_utils.conversation.words.negation import EXEMPTING, FAR, IN_A_GOOD_WAY, MARK, NOT_BAD, exemption, negations
from train_utils.conversation.words.phrases import Phrases, phrase
from train_utils.prompts.named_titles import Mention

_OPEN = finder(OPEN)
# "rather a comedy than a drama", "I prefer comedies to dramas": what follows is passed over.
_PREFERRING = re.compile(r"\b(?:rather|sooner|prefer(?:red)?|take|choose)\b", re.IGNORECASE)
_PASSED_OVER = re.compile(rf"{SPAN}(?:\s+\w+)?\s+(?:than|to|over)\b", re.IGNORECASE)
# The first category is neither wanted nor rejected.
_REPLACED_PHRASES = Phrases(
    {
        "replace the [action] with [adventure]": (
            r"\b(replac(e|ing)|swap(ping)?|exchang(e|ing)|trad(e|ing)|chang(e|ing)|switch(ing)?) (from )?(the )?TITLE"
            r"(?= (\w+ )?(with|by|for|to)\b)"
        ),
        "from [action] to [adventure]": r"\bfrom TITLE(?= to TITLE)",
    }
)
_REPLACED = _REPLACED_PHRASES.compiled()
_ALSO_LEAVING_PHRASES = Phrases(
    {
        "Subtitles and I'm out. Also if it's a [drama].": (
            r"\bout\b.*(^|[.!;,])\s*(also|and|or|same) if (it|they|there)('?s|'?re| is| are) (an? )?"
            r"(?P<reason>TITLE)\s*(?=[.!;,]|$)"
        )
    }
)
_ALSO_LEAVING = _ALSO_LEAVING_PHRASES.compiled()
_EITHER_WAY_PHRASES = Phrases(
    {
        "[western] or not": r"(?P<span>TITLE)( NOUNS)? or (not\b|no TITLE)",
        "whether it's a [comedy]": r"\bwhether (or not )?((it|they)('?s|'?re| is| are) )?(an? )?(?P<other>TITLE)",
    }
)
_EITHER_WAY = _EITHER_WAY_PHRASES.compiled()
_NAMES = {
    "FILLERS": any_of(
        """
        was, is, are, were, a, an, bit, little, so, too, very, really, just, both, quite, rather, pretty, such, the,
        most, one of the most, simply, absolutely, totally, utterly, completely, far too, way too, kind of, sort of,
        all, total, complete, far, way, just as, every bit as, equally, as, even, only, about, big, huge, real, major,
        honestly, incredibly, extremely, truly, such a, plain
        """
    ),
    "WELCOME": any_of(
        """
        watch, see, rewatch, dance, sing, laugh, smile, travel, love, live, hug, know, be, read, learn, go, visit, find,
        have
        """
    ),
    "TROUBLING": any_of(
        """
        depress, bore, annoy, disgust, irritat, tire, exhaust, stress, upset, sadden, drain, repel, appal, frustrat,
        infuriat, offend, nauseat
        """
    ),
    "LEAVING": LEAVING,
}
# What rejects the annotation before it.
_REJECTING = Phrases(
    {
        "just bores me": (
            r"(which ((?!(no|not|nothing|never|but)\b)\w+ ){0,5}?"
            r"|((?!(no|not|nothing|never|nor|and|but|or)\b)\w+,? ){0,2}?)(FILLERS ){0,4}?NEGATING_AFTER(?!\w)"
        ),
        "films? no thanks": r"(NOUNS\s*\?\s*)?REFUSALS\b(?! mind\b)",
        "and I'm out": r"LEAVING",
        "movies really depress me": r"(NOUNS )?(\w+ly )?TROUBLING(e?s|ed)? (me|us|him|her|them)\b",
        "free please": r"free\s*(?=[.,;!?]|$|(please|pls|zone|night|evening)\b)",
        "make me want to run": r"(would )?ma(kes?|de) (me|us|him|her|them) (want to|wanna) (?!WELCOME\b)\w+",
        "what a load of rubbish": r"what (an? )?(\w+ of )?BAD(?!\w)",
        "makes my skin crawl": r"makes? \w+ (skin|flesh) crawl",
        "bores the pants off": r"bores? the \w+ (off|out of)",
        "puts me right to sleep": r"(puts?|sen[dt]s?) (\w+ ){1,3}to sleep\b",
        "that nobody really liked": (
            r"(which|that) (nobody|no one|none of (us|them)) (\w+ ){0,2}?"
            r"(liked|loved|enjoyed|understood|finished|wanted|got|cared)\b"
        ),
        "my mother could not endure": (
            r"WHO( (in|of|at|on) (my|our|the|this) \w+)? ((both|all|just|really|absolutely|simply|also"
            r"|once) )?DISLIKING(?!\w)"
        ),
        "nobody in the room liked": (
            r"(nobody|no one|none of (us|them|my \w+))( (in|of|at|on) (my|our|the|this) \w+)? (\w+ )?"
            r"((could|can|would) (stand|bear|stomach|endure|take|watch|finish|like|get into)|liked|loved|enjoyed"
            r"|cared for|got|finished)"
        ),
        "please no": r"(please )?no\s*(?=[.,;!]|$)",
        "gets a 2/10": (
            r"(is|was|gets?|got)?\s*(an? )?"
            r"([0-4](\.\d)?\s*(/|out\sof)\s*10|[01](\.\d)?\s*(/|out\sof)\s*5|(one|two|[0-2]) stars?)\b"
        ),
        "stuff out please": r"((NOUNS|stuff) )?(out|away|aside)\s*(?=[.,;!?]|$|please\b|from (me|us)\b)",
    },
    _NAMES,
)
# "Mighty Aphrodite, on the other hand, I couldn't stand"
_NEGATING_AFTER = re.compile(
    phrase(
        r"\s*SICK_FACE|\s*=\s*(REJECTING)|~((on the other hand|however|though|by contrast"
        r"|meanwhile)\b\s*,?\s*)?(REJECTING)",
        {"SICK_FACE": SICK_FACE, "REJECTING": _REJECTING.pattern},
    ),
    re.IGNORECASE,
)
# "like Alien, skip the musicals"
_OBJECT = re.compile(
    phrase(
        r"( on| with| of| for)( (the|any|all|your|those|these))? TITLE| (the|any|all|your|those|these) TITLE"
        r"|((?<=skip)|(?<=hate)|(?<=avoid)|(?<=like)) TITLE"
    ),
    re.IGNORECASE,
)
# "Alien, not so much Heat"
_NOT_SO_MUCH = re.compile(rf"\bnot\s+(?:so\s+much|really)\s+(?:the\s+)?{MASK}", re.IGNORECASE)
_NOT_ONLY = re.compile(r"(?:\bnot|n'?t) (?:only|just|merely|simply)\b", re.IGNORECASE)
_INSTEAD = re.compile(
    rf"(?:\W|{any_of('so, ok, okay, maybe, then, now, but, and, please')}\b)*(?:instead\s+of|rather\s+than)", re.I
)
_LOOKS_FORWARD = re.compile(
    r"(?P<relative>\b(?:that|who)\s+)?(?:isn'?t|is not|aren'?t|are not|wasn'?t|was not|didn'?t|did not|weren'?t)$",
    re.IGNORECASE,
)
_PLUS, _MINUS = re.compile(r"^ ?\+ ?\w*" + MASK, re.MULTILINE), re.compile(r"(?:^|\s) ?- ?$")
_REACH = 5  # words that a negation reaches over, besides "the"
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
    rf"|{any_of('or, and, nor, any, no, the, a, an, too, very, other, from, in')}\b|{SPAN}"
    rf"|(?<=or)\s+(?!{any_of('maybe, something, else, give, i, we, just, even, at, if, so')}\b)\w+(?=\s+{MASK})))*\s*",
    re.IGNORECASE,
)

_ANOTHER_RANGE = re.compile(r"\b(?:or|and|nor)\b|/", re.IGNORECASE)  # and not "not the eighties, the nineties"
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
                or _OBJECT.match(plain, judgment.end(), end)
                or _NOT_ONLY.search(plain, judgment.start(), min(end, judgment.end() + MARK))
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
    words = sum(word != "the" for word in between.lower().split())
    if end - start >= FAR or words > _REACH or _NEW_THOUGHT.search(between):
        return False
    return len(between.partition(",")[0].split()) < 2 or "," not in between  # "not too long, a comedy"


def _kind(annotation: Annotation) -> type:
    """Return what an enumeration has one kind of: titles are one, whether or not the catalog has them."""
    return Mention if isinstance(annotation.value, Unknown) else type(annotation.value)


def _enumeration(text: str, annotations: Sequence[Annotation], positions: Sequence[int]) -> set[int]:
    """Return the first of the positions and those of its kind that an enumeration joins to it, in their order."""
    joined: set[int] = set(positions[:1])
    for one, other in zip(positions, positions[1:], strict=False):
        first, second = sorted((annotations[one], annotations[other]), key=lambda annotation: annotation.start)
        if _kind(first) is not _kind(second) or not _JOIN.fullmatch(text, first.end, second.start):
            break
        if isinstance(first.value, Range) and not _ANOTHER_RANGE.search(text, first.end, second.start):
            break
        if _OTHER_ONE.fullmatch(text, first.end, second.start) and not _GOES_ON.match(text, second.end):
            break
        joined.add(other)
    return joined
