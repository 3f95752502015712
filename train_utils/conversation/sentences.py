"""What each sentence of a message does: it asks for items, it asks about one, or it states something."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.conversation.annotations import GAP, SPAN, Annotation
from train_utils.conversation.lexicon import (
    ADVERBS,
    ANY_CATEGORY,
    ASKING,
    ASKING_BEFORE_NOUN,
    ASKING_FOR_ITEMS,
    BAD,
    GOOD,
    INFORMATION,
    INFORMATION_ON_TITLE,
    MORE,
    NOT_MORE,
    NOUNS,
    OPENINGS,
    STATING,
    STATING_ALONE,
    any_of,
    finder,
)
from train_utils.conversation.title_reader import Unknown
from train_utils.prompts.named_titles import Mention

_ASKING = finder(ASKING)
# A sentence that is nothing else: "a movie please", "older movies", "films rated above 8".
_NOUN_PHRASE = (
    rf"(?!(?:an?\s+)?{any_of(GOOD + ',' + BAD)}\s+{any_of(NOUNS)}\s*[!.])"
    rf"(?:(?:just|only|and|ok)\s+)?(?:(?:an?|one|the|some|any)\s+)?"
    rf"(?:(?!{any_of(STATING)}\b)[^\W\d][\w-]*\s+){{0,3}}?{any_of(NOUNS)}"
    rf"(?:{GAP}(?:please|pls|thanks)?{GAP}$|\s*,"
    rf"|\s+{any_of('like, with, of, from, about, for, that, rated, under, over, below, above, made, released, in')}\b"
    r"|\s+without\b)"
)
_ASKING_FOR_ITEMS = re.compile(
    rf"\b(?:{any_of(ASKING_FOR_ITEMS)}|{any_of(ASKING_BEFORE_NOUN)}\s+(?:[\w'-]+\s+){{0,3}}?{any_of(NOUNS)})\b"
    rf"|^{GAP}(?:and\s+)?(?:even\s+)?(?:more|next){GAP}$"
    rf"|^{GAP}(?:{any_of(NOUNS)}\s*\?|(?:something|anything)\b|{_NOUN_PHRASE})|(?:->|=>)\s*\?",
    re.IGNORECASE,
)
_SUBJECT = (
    rf"(?:i|we|my\s+\w+(?:\s+\w+){{0,2}}|he|she|they|it|that|this"
    rf"|(?:the\s+)?(?:\w+\s+of\s+)?(?:{SPAN}|\w+)(?:\s*(?:and|,)\s*{SPAN})*{GAP})"
)
_JUDGED = any_of("seen, saw, know, watched, own, loved, liked, hated")
_STATEMENT = re.compile(
    rf"{GAP}(?:{any_of(OPENINGS)}\b{GAP}){{0,4}}(?!(?:{SPAN}|{any_of(NOUNS)})\s+like\b)"
    rf"(?:{_SUBJECT}\s*(?:{any_of(ADVERBS)}\s+){{0,4}}{any_of(STATING)}\b"
    rf"|{any_of(STATING_ALONE)}\b"
    rf"|{SPAN}{GAP}(?:i|we)(?:'?ve|\s+have)?\s+(?:already\s+)?{_JUDGED}\b"
    rf"|(?P<title>and\s+(?:not\s+)?(?:so\s+much\s+)?(?:the\s+)?{SPAN}{GAP}$))",
    re.IGNORECASE,
)
_MORE = re.compile(
    rf"(?<!no\s)(?<!any\s)(?<!once\s)\b(?!{any_of(NOT_MORE)}\b){any_of(MORE)}\b"
    r"|\bany\s+others\b|\bnext\s+\d|^\W*(?:and\s+)?even\s+more\W*$",
    re.IGNORECASE,
)
_ANY_CATEGORY = finder(ANY_CATEGORY)
_INFORMATION = finder(INFORMATION)
_INFORMATION_ON_TITLE = re.compile(
    rf"(?:^|[.!?]\s|\b(?:(?<!and\s)so|and|but|hey|say),?\s){any_of(INFORMATION_ON_TITLE)}\s+(?:the\s+)?[\"']?$",
    re.IGNORECASE,
)
_STATED = re.compile(
    rf"{GAP}(?:i|we)(?:'m|'re|\s+am|\s+are)?\s+(?:\w+\s+){{0,3}}?{any_of('love, like, enjoy, adore, fan, into')}\b",
    re.I,
)
_NEAR = 40  # characters before a title that tell whether a sentence asks about it
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n")


@dataclass(frozen=True)
class Sentence:
    """Sentence of a message.

    Attributes:
        end: position after its last character.
        asks: whether it asks for recommendations.
        informs: whether it asks about a title or the catalog instead.
        names: whether it names a title.
        likes: whether it only says that the user likes something.
    """

    end: int
    asks: bool
    informs: bool
    names: bool
    likes: bool

    @classmethod
    def of(cls, plain: str, start: int, end: int, found: Sequence[Annotation], count: Annotation | None) -> "Sentence":
        text = plain[start:end]
        informs = bool(_INFORMATION.search(text)) or any(
            _INFORMATION_ON_TITLE.search(plain, max(start, entry.start - _NEAR), entry.start)
            for entry in found
            if start <= entry.start < end and isinstance(entry.value, (Mention, Unknown))
        )
        content = any(start <= entry.start < end for entry in (*found, *([count] if count else [])))
        says = content or bool(_MORE.search(text) or _ANY_CATEGORY.search(text))
        statement = _STATEMENT.match(text)
        names = any(start <= entry.start < end and isinstance(entry.value, (Mention, Unknown)) for entry in found)
        if statement and statement["title"] and not names:
            statement = None  # "and not animated"
        wants = bool(_ASKING.search(text)) or "?" in text or not statement
        asks = not informs and (bool(_ASKING_FOR_ITEMS.search(text)) or says and wants)
        return cls(end, asks, informs, names, not asks and bool(_STATED.match(text)))


def sentences_of(plain: str, found: Sequence[Annotation], count: Annotation | None) -> list[Sentence]:
    """Return the sentences of a message.

    Args:
        plain: the message, with its annotations masked.
        found: its annotations.
        count: the number of items that it names.
    """
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(plain)), len(plain)]
    return [
        Sentence.of(plain, start, end, found, count) for start, end in zip(cuts, cuts[1:], strict=False) if end > start
    ]


def asks_for_more(plain: str) -> bool:
    """Return whether a message asks for further items of the same kind."""
    return bool(_MORE.search(plain))


def takes_any_category(plain: str) -> bool:
    """Return whether a message takes back a restriction to categories."""
    return bool(_ANY_CATEGORY.search(plain))
