"""Numbers in digits and in English words, and how many items a message asks for."""

import re

from train_utils.conversation.annotations import SPAN, Annotation
from train_utils.conversation.lexicon import NOUNS, any_of
from train_utils.prompts.templates import in_words

_TEENS = str.split("thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty")
_NAMES = [*map(in_words, range(1, 13)), *_TEENS]
_AMOUNTS = {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "a single": 1,
    "a couple": 2,
    "a couple of": 2,
    "a pair of": 2,
    "half a dozen": 6,
    "a dozen": 12,
    "a handful": 5,
    "a handful of": 5,
}
WORDS = {name: n for n, name in enumerate(_NAMES, 1)} | _AMOUNTS
MOST = 100  # items that a message may ask for; a larger number is a year or a price
NUMBER = rf"(?:\d{{1,9}}|{any_of(', '.join(WORDS))})"

_NOUN = any_of(NOUNS)
_ASK = any_of(
    """
    give, give me, gimme, show, show me, recommend, recommend me, suggest, suggest me, name, name me, list, pick, pick
    me, find, find me, tell me, send me, bring me, throw me, got, want, need, top, best, make it, make that, only,
    just, exactly, maybe, how about, what about, up to, at most, at least, any, take, hit me with, another, other,
    next
    """
)
_AFTER_ASK = any_of("me, us, the, your, some, maybe, about, around, exactly, top, best, please")
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
    "my, our, his, her, their, these, those, the first, the last, age, aged, rated, part, season, chapter, number"
)
_NOT_A_COUNT = re.compile(rf"(?:\b{_OWNER}|[$€£#])\s*$", re.IGNORECASE)
_AFTER_COUNT = any_of("will do, would do, of them, of those, of these, like, please, pls, is enough, are enough")
_ADJECTIVE = rf"(?:(?!{_UNIT}\b)[^\W\d_][\w'-]*\s+|{SPAN}\s*)"
_COUNTED = (
    rf"\s+(?:{any_of('more, further, additional, other, new, similar, good, great')}\b|{_ADJECTIVE}{{0,3}}?{_NOUN}\b)"
)
_COUNT = re.compile(
    rf"(?:(?P<ask>\b{_ASK}\s+(?:{_AFTER_ASK}\s+)*))?"
    rf"(?<![\w.$€£-])(?P<number>{NUMBER})(?![\w.:/-]*\d)(?!\s*-?{_UNIT}\b)(?!'?s\b)"
    rf"(?P<noun>{_COUNTED}|\s*{SPAN}|\s+{_AFTER_COUNT}\b)?",
    re.IGNORECASE,
)
_ANOTHER = re.compile(rf"\banother(?=\s+(?:{_NOUN}|like|please|from|in)\b|\s*{SPAN}|\s*[.?!,]|\s*$)", re.IGNORECASE)
_ALONE = re.compile(
    rf"(?:^|(?<=[.!?\n]))\s*(?:(?:and|ok|okay|just)\W+)?(?P<number>{NUMBER})\s*(?:please|pls|thanks)?\s*(?=[.!]*\s*$)",
    re.IGNORECASE,
)
# "one" is often a pronoun: "recommend one that ..."; after these it is a number.
_COUNTS_ONE = ("just", "only", "exactly", "make")


def number_of(text: str) -> int:
    """Return the number that digits or words name."""
    words = " ".join(text.lower().split())
    return WORDS[words] if words in WORDS else int(words)


def find_count(text: str) -> Annotation | None:
    """Return the number of items that a message asks for; the last one where it names several.

    A number counts items if it stands before a noun for them ("5 movies", "two more"), before an annotated category or
    after a word that asks ("give me 5"), or if the message is nothing else.

    Args:
        text: the message, in which titles, categories and ranges are masked.
    """
    counts = [_annotation(match) for match in _COUNT.finditer(text) if _counts_items(match, text)]
    counts += [_annotation(alone) for alone in _ALONE.finditer(text)]
    if counts := [count for count in counts if count]:
        return counts[-1]
    another = _ANOTHER.search(text)
    return Annotation(another.start(), another.end(), 1) if another else None


def _counts_items(match: re.Match[str], text: str) -> bool:
    if not (match["ask"] or match["noun"]) or _NOT_A_COUNT.search(text[: match.start("number")]):
        return False
    return match["number"].lower() != "one" or bool(match["noun"]) or match["ask"].split()[0].lower() in _COUNTS_ONE


def _annotation(match: re.Match[str]) -> Annotation | None:
    count = number_of(match["number"])
    return Annotation(match.start("number"), match.end("number"), count) if 1 <= count <= MOST else None
