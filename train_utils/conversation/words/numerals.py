"""Numbers in digits and in English words, and how many items a message asks for."""

import re

from train_utils.conversation.words.annotations import SPAN, Annotation
from train_utils.conversation.words.lexicon import NOUNS, any_of
from train_utils.conversation.words.phrases import Phrases, phrase
from train_utils.prompts.templates import in_words

_TEENS = str.split("thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")
NAMES = [*map(in_words, range(1, 13)), *_TEENS]
_AMOUNTS = {
    "single": 1,
    "couple": 2,
    "couple of": 2,
    "dozen": 12,
    "half dozen": 6,
    "trio of": 3,
    "a trio of": 3,
    "a single": 1,
    "a couple": 2,
    "a couple of": 2,
    "a pair of": 2,
    "pair of": 2,
    "half a dozen": 6,
    "a dozen": 12,
    "a double feature of": 2,
    "a double bill of": 2,
    "brace of": 2,
    "a brace of": 2,
    "duo of": 2,
    "a duo of": 2,
    "trilogy of": 3,
    "a trilogy of": 3,
    "quartet of": 4,
    "a quartet of": 4,
    "two dozen": 24,
    "a handful": 5,
    "a handful of": 5,
}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_UNITS = {name: n for n, name in enumerate(NAMES[:9], 1)}
WORDS = {name: n for n, name in enumerate(NAMES, 1)} | _TENS | _AMOUNTS
MOST = 100  # items that a message may ask for; a larger number is a year or a price, or counts items that follow it
_YEARS = range(1000, 2100)
NUMBER = rf"(?:\d{{1,9}}|{any_of(', '.join(_TENS))}[\s-]{any_of(', '.join(_UNITS))}\b|{any_of(', '.join(WORDS))})"

_NOUN = any_of(NOUNS)
_ASKING = any_of(
    """
    give, give me, gimme, get, lemme get, lemme have, list of, happy with, content with, meant, show, show me,
    recommend, recommend me, suggest, suggest me, name, name me, list, pick, pick me, find, find me, tell me, send me,
    send over, send, bring me, throw me, got, want, need, top, best, make it, make that, only, just, exactly, maybe, how
    about, what about, up to, at most, at least, any, take, another, other, next, i'd like, we'd like, shoot me, shoot
    us, hand me, hand us, give him, give her, give them, find him, find her, find us, find them, show him, show her,
    show us, show them, get me, get us, i'll take, i'd take, we'll take, i would like, we would like, let me have, i
    could use, limit it to, this time, keep it to, narrow it down to, let's say, say, let's do, better, i said, we said,
    i asked for, i want, can i have, can we have, could i have, could we have, may i have, can you do, could you do, can
    we do, no more than, not more than, no fewer than, not fewer than, no less than, at the most, no more, change that
    to, change it to, i'll have, we'll have, go with, wants, needs, asked
    for, asks for, said, says, choose, choose me, requires, ordered, let it be, cut it down to, cut it to, cut down to,
    reduce it to, bring it down to, raise it to, up it to, whittle it down to, boil it down to, stick to, a total of,
    trim it to, settle for, make do with
    """
)
_ASK = (
    rf"(?:(?:which|what)(?=\s+(?!one\b|1\b))|[^\W\d]+\s+(?:me|us)(?:\s+(?:off|up))?\s+with"  # "surprise me with two"
    rf"|{_ASKING})"
)
_AFTER_ASK = any_of("like, me, us, the, your, some, maybe, about, around, exactly, top, best, please")
_UNIT = any_of(
    """
    hour, hours, hrs, h, minute, minutes, mins, min, year, years, yrs, yr, day, days, week, weeks, month, months,
    nights, evenings, people, persons, kids, children, friends, star, stars, times, dollars, bucks, euro, euros,
    percent, %, of us, of my, out of, points, point, season, seasons, episodes, o'clock, am, pm, and a half, sons,
    daughters, boys, girls, brothers, sisters, roommates
    """
)
# Before a number that counts something else: "my 3 kids", "aged 9", "$20".
_OWNER = any_of(
    """
    my, our, his, their, these, those, all, all of, of the, the first, the last, the other, both in, all in, age, aged,
    rated, part, season, chapter, number, there are, there'll be, there will be, there were, we are, we're, they are,
    they're, he is, he's, she is, she's, i am, i'm, turned, turns, into
    """
)
_NOT_A_COUNT_PHRASES = Phrases(
    {
        "aged ": r"\bOWNER[\s-]*$",
        "as for her ": r"(?<!find\s)(?<!give\s)(?<!show\s)(?<!get\s)\bher[\s-]*$",
        "Heat and Fargo are ": r"(?<!what\s)(?<!which\s)(?<!there\s)\b(are|were)[\s-]*$",
        "my all-time top ": r"\b(my|our) (all[\s-]time )?(top|best|favou?rite)[\s-]*$",
        "$": r"[$€£#][\s-]*$",
        "born in ": r"(?<!interested\s)\bin[\s-]*$",
    },
    {"OWNER": _OWNER},
)
_NOT_A_COUNT = _NOT_A_COUNT_PHRASES.compiled()
# "not five, three", "gimme four, not just one"
_PASSED_OVER = re.compile(r"\b(?:not|instead\s+of|rather\s+than)\s+(?:just\s+|only\s+|merely\s+)?$", re.IGNORECASE)
_NEAR = 40  # characters before a number that say what it counts
_FOLLOWING = any_of(
    """
    of them, of those, of these, of your best, of your favorites, of your favourites, or so, like, please, pls, plz,
    possible, of the best, at a time, tops, to choose from, to start with, that are, that have, of em, of 'em, of
    whatever, of anything, of any, of your choice, of your choosing, of the same, of that kind, max, maximum, at most,
    instead, numbers, nos, for tonight, for today, for this evening, for the weekend, for starters, suffice, pcs of,
    pieces of
    """
)
_ENOUGH = any_of(
    "do, suffice, be enough, be plenty, be fine, be good, be great, be nice, be ok, be perfect, be better, be best, "
    "be lovely, be ideal, be sufficient, be super, be brilliant, be wonderful, be ample"
)
_SATISFIES = any_of("enough, plenty, fine, good, perfect, better, best, ok, okay, ideal, sufficient")
# "five will do", "three is plenty"
_AFTER_COUNT = rf"(?:{_FOLLOWING}|(?:'ll|will|would|should|shall|might)\s+{_ENOUGH}|(?:is|are)\s+{_SATISFIES})"
_ADJECTIVE = rf"(?:(?!(?:{_UNIT}|and|or|is|are|was|were|has|have|had|who|that|which)\b)[^\W\d_][\w'-]*\s+|{SPAN}\s*)"
# Between a number and what it counts: "a couple of sad but beautiful dramas", and not "2 who love dramas".
_NO_ADJECTIVE = any_of(
    """
    and, or, a, an, the, i, we, you, he, she, they, it, who, that, which, of, in, on, at, to, for, from, with, by, is,
    are, was, were, like, likes, love, loves, want, wants, need, hate, hates, prefer, watched, saw, seen, if, my, our,
    about
    """
)
# A sentence that begins with a number and one of these asks for so many: "10 from the sixties".
_FRAGMENT = any_of(
    "like, similar to, from, "
    "for, with, without, about, set in, starring, directed, by, that, where, of your, made, based on"
)
_COUNTED = (
    rf"\s+(?:{any_of('more, further, additional, other, new, similar, good, great')}\b(?!\s+{_UNIT}\b)"
    rf"|{_ADJECTIVE}{{0,3}}?{_NOUN}\b"
    rf"|(?:or\s+so\s+)?(?:(?!(?:{_UNIT}|{_NO_ADJECTIVE})\b)[^\W\d_][\w'-]*\s+){{1,4}}{SPAN})"
)
_COUNT = re.compile(
    phrase(
        r"((?P<ask>\bASK[\s-]+(AFTER_ASK ){0,4}))?"
        # No part of a number, a name or a range; not "that one", "one last thing", "3 hours", "the 80's".
        r"(?<![\w.$€£])(?<!(?<!top)(?<!\d)-)(?!((?<=that\s)|(?<=this\s))one\b)(?!one (more|last"
        r"|other) thing\b)(?!single one\b)(?!(?<=the\s)one (film|movie|picture|thing|title) (that )?(i|we)\b)"
        r"(?P<number>NUMBER)(?![\w.:/-]*\d)(?!\s*-?UNIT\b)(?!'?s\b(?! (enough|plenty|fine|good|perfect|ok"
        r"|okay)\b))(\s*\(\d{1,2}\))?"
        r"(?P<noun>COUNTED|\s*TITLE| AFTER_COUNT\b|'s (enough|plenty|fine|good|perfect|ok|okay)\b"
        r"|(?<=\bof) (those|these|them|your)\b)?",
        {
            "ASK": _ASK,
            "AFTER_ASK": _AFTER_ASK,
            "NUMBER": NUMBER,
            "UNIT": _UNIT,
            "COUNTED": _COUNTED,
            "AFTER_COUNT": _AFTER_COUNT,
        },
    ),
    re.IGNORECASE,
)
_ANOTHER = re.compile(rf"\banother(?=\s+(?:{_NOUN}|like|please|from|in)\b|\s*{SPAN}|\s*[.?!,]|\s*$)", re.IGNORECASE)
# "I don't need another drama"
_NO_OTHER = re.compile(r"(?:n'?t|\bnot|\bnever|\bwithout)\s+(?:\w+\s+)?$", re.IGNORECASE)
_LEAD = any_of(
    """
    max, maximum, like, about, around, roughly, say, double it, make that, and, ok, okay, just, now, so, then, maybe,
    please, but, only
    """
)
_ALONE_PHRASES = Phrases(
    {
        "ok, not five, three please": (
            r"(^|(?<=[.!?\n]))(?<!\d\.)\s*(LEAD\W+){0,3}((not )?NUMBER\s*(,|or|-)\s*)?(?P<number>NUMBER)(?!\s*-?UNIT\b)"
            r"\s*,?\s*((please|pls|plz|thanks|then|maybe|perhaps|or so|tops|max|if possible)?\s*(?=[.!?]*\s*$)"
            r"|(please|pls|plz)(?=\s*,)"
            r"|(?=FRAGMENT\b|in TITLE|,\s*(one|1) (per|for|each|every|a)\b))"
        )
    },
    {"LEAD": _LEAD, "NUMBER": NUMBER, "UNIT": _UNIT, "FRAGMENT": _FRAGMENT},
)
_ALONE = _ALONE_PHRASES.compiled()
_LAST_PHRASES = Phrases(
    {
        "animated movies please, 3": (
            r"(\bNOUNS|please|pls|plz|TITLE)\s*[,;:.-]\s*((about|around|roughly|maybe|perhaps|say|some) )?"
            r"(?P<number>NUMBER)\s*(please|pls|plz|max|tops|or so|of them|if (possible|you can|that'?s ok))?"
            r"\s*[.!?]*\s*$"
        ),
        "anything comparable, perhaps five?": (
            r",\s*(about|around|roughly|maybe|perhaps|say|preferably|ideally) (?P<hedged>NUMBER)"
            r"\s*(please|pls|of them)?\s*[.!?]*\s*$"
        ),
        # and not "1. Heat. 2. Fargo"
        "romcoms. 4. no cartoons": r"[.!?]\s(?P<between>NUMBER)\.\s(?!\s*(TITLE|\d|the\b))",
    },
    {"NUMBER": NUMBER},
)
_LAST = _LAST_PHRASES.compiled()
# "like Clueless or Scream 3"
_LIKED = re.compile(
    rf"^\W*(?:{_NOUN}\s+)?(?:like|similar\s+to)\s[^.!?\n]*{SPAN}\s+(?P<number>\d{{1,2}})\s*[.!?]*\s*$", re.IGNORECASE
)
_ONLY = re.compile(rf"\W*({NUMBER})(?:\s+(?:please|pls|max|tops|then|thanks))?\W*", re.IGNORECASE)
_TIMES = re.compile(r"(?<!\w)(?:x\s?(?P<number>\d{1,2})|(?P<before>\d{1,2})\s?x)(?!\w)", re.IGNORECASE)  # "comedies x3"
# Between the numbers of two kinds of items, which add up.
_ADDED = re.compile(rf"\s*(?:{_NOUN}\s*)?(?:and|&|plus|\+)\s*", re.IGNORECASE)
# "one" is often a pronoun: "recommend one that ..."; after these it is a number.
_ONE_ENDS = re.compile(
    r"\s*(?:please|pls|for\s+(?:tonight|me|us|him|her|them))?\s*(?:[,.!?]|$)", re.IGNORECASE
)  # "name me one."
_KIND_OF_ONE = re.compile(rf"\b(?:an?|the|that|this|which|any|no|every|each)\s+(?:\w+\s+|{SPAN}\s*){{1,3}}$", re.I)
_ONE_OF = re.compile(r"\s+of\s+(?:those|these|the|them|my|our)\b", re.IGNORECASE)  # "it is one of those films"
# "we do one film a month"
_RATE = re.compile(
    rf"\s+(?:{_NOUN}\s+|{SPAN}\s*)?(?:an?|per|every|each)\s+(?:day|week|month|year|night|weekend|evening|fortnight)\b",
    re.I,
)
_COUNTS_ONE = ("just", "only", "exactly", "make")


def is_article(text: str) -> bool:
    """Return whether a text says one item by an article."""
    return text.lower() in ("a", "an", "another")


def number_of(text: str) -> int:
    """Return the number that digits, words or an article name."""
    words = "one" if is_article(text) else " ".join(text.lower().split())
    tens, _, unit = words.replace("-", " ").partition(" ")
    if tens in _TENS:
        return _TENS[tens] + _UNITS.get(unit, 0)
    return WORDS[words] if words in WORDS else int(words)


def is_only_number(text: str) -> bool:
    """Return whether a message is a number of items and nothing else: "7", which is no title then."""
    match = _ONLY.fullmatch(text)
    return match is not None and 1 <= number_of(match[1]) <= MOST


def find_count(text: str) -> Annotation | None:
    """Return the number of items that a message asks for; the last one where it names several.

    A number counts items if it stands before a noun for them ("5 movies", "two more"), before an annotated category or
    after a word that asks ("give me 5"), or if the message is nothing else.

    Args:
        text: the message, in which titles, categories and ranges are masked.
    """
    matches = [match for match in _COUNT.finditer(text) if _counts_items(match, text)]
    others = (match for pattern in (_ALONE, _LAST, _LIKED) for match in pattern.finditer(text))
    counts = [*map(_annotation, matches), *map(_annotation, others), *map(_times, _TIMES.finditer(text))]
    if len(matches) > 1 and _ADDED.fullmatch(text, matches[-2].end(), matches[-1].start()):
        return _sum(*map(_annotation, matches[-2:]))
    if counts := [count for count in counts if count]:
        return counts[-1]
    another = _ANOTHER.search(text)
    if not another or _NO_OTHER.search(text, max(0, another.start() - _NEAR), another.start()):
        return None
    return Annotation(another.start(), another.end(), 1)


def _sum(one: Annotation | None, other: Annotation | None) -> Annotation | None:
    """Return the number of items of two kinds: "two comedies and a single drama"."""
    if not (one and other and isinstance(one.value, int) and isinstance(other.value, int)):
        return other or one
    return Annotation(one.start, other.end, one.value + other.value) if one.value + other.value <= MOST else other


def _counts_items(match: re.Match[str], text: str) -> bool:
    at = match.start("number")
    if _RATE.match(text, match.end("number")):
        return False
    before = max(0, at - _NEAR)
    if not (match["ask"] or match["noun"]) or _NOT_A_COUNT.search(text, before, at):
        return False
    if _PASSED_OVER.search(text, before, at):
        return False
    if match["number"].lower() != "one":
        return True
    if not match["ask"] and _ONE_OF.match(text, match.end("number")):
        return False
    if _KIND_OF_ONE.search(text, before, at):
        return False
    ends = _ONE_ENDS.match(text, match.end("number")) and match["ask"]
    return bool(match["noun"] or ends) or match["ask"].split()[0].lower() in _COUNTS_ONE


def _times(match: re.Match[str]) -> Annotation | None:
    count = int(match["number"] or match["before"])
    return Annotation(match.start(), match.end(), count) if 1 <= count <= MOST else None


def _annotation(match: re.Match[str]) -> Annotation | None:
    group = next(name for name in ("number", "between", "hedged") if match.groupdict().get(name))
    count = number_of(match[group])
    if match.groupdict().get("noun") and count > MOST and count not in _YEARS:
        count = MOST  # "150 dramas": as many as a list may have, which the chat shows
    return Annotation(*match.span(group), count) if 1 <= count <= MOST else None
