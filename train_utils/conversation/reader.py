"""Reader of requests: the text of a message -> what it changes in the user's preferences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation, masked
from train_utils.conversation.category_words import CategoryReader, CategoryWords, Encoder
from train_utils.conversation.lexicon import (
    ADVERBS,
    ALSO,
    ANY_CATEGORY,
    ASKING,
    ASKING_BEFORE_NOUN,
    ASKING_FOR_ITEMS,
    FORGET,
    INFORMATION,
    INFORMATION_ON_TITLE,
    MORE,
    NOT_MORE,
    NOUNS,
    OPENINGS,
    STATING,
    STATING_ALONE,
    TOGETHER,
    any_of,
    finder,
)
from train_utils.conversation.numerals import find_count
from train_utils.conversation.polarity import is_only_known, referred, rejected
from train_utils.conversation.preferences import Change
from train_utils.conversation.ranges import Range, RangeReader, numeric_attributes
from train_utils.prompts.named_titles import Mention, NamedTitles, plain_text

READ = 4000  # characters of a message that are read; patterns over longer texts would take noticeable time

_ASKING = finder(ASKING)
_ASKING_FOR_ITEMS = re.compile(
    rf"\b(?:{any_of(ASKING_FOR_ITEMS)}|{any_of(ASKING_BEFORE_NOUN)}\s+(?:[\w'-]+\s+){{0,3}}?{any_of(NOUNS)})\b"
    rf"|^{GAP}(?:{any_of(NOUNS)}\s*\?|(?:something|anything)\b)|(?:->|=>)\s*\?",
    re.IGNORECASE,
)
_SUBJECT = (
    rf"(?:i|we|my\s+\w+(?:\s+\w+)?|he|she|they|it|that|this|(?:the\s+)?(?:{SPAN}|\w+)(?:\s*(?:and|,)\s*{SPAN})*{GAP})"
)
_STATEMENT = re.compile(
    rf"{GAP}(?:{any_of(OPENINGS)}\b{GAP})*(?:{_SUBJECT}\s*(?:{any_of(ADVERBS)}\s+)*{any_of(STATING)}\b"
    rf"|{any_of(STATING_ALONE)}\b"
    rf"|and\s+(?:not\s+)?(?:so\s+much\s+)?(?:the\s+)?{SPAN}{GAP}$)",
    re.IGNORECASE,
)
_MORE = re.compile(
    rf"(?<!no\s)(?<!any\s)(?<!once\s)\b(?!{any_of(NOT_MORE)}\b){any_of(MORE)}\b|\bany\s+others\b|\bnext\s+\d",
    re.IGNORECASE,
)
_FORGET, _ANY_CATEGORY, _ALSO, _TOGETHER = map(finder, (FORGET, ANY_CATEGORY, ALSO, TOGETHER))
_INFORMATION = finder(INFORMATION)
_INFORMATION_ON_TITLE = re.compile(
    rf"(?:^|[.!?]\s|\b(?:so|and|but|hey|say),?\s){any_of(INFORMATION_ON_TITLE)}\s+(?:the\s+)?$", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n")
_NOT_ONLY = re.compile(rf"\bnot\s+(?:only|just|necessarily)\s+(?:an?\s+)?{MASK}", re.IGNORECASE)
# Between two categories, these make them alternatives.
_OR = re.compile(rf"[,/&.;!?]|\b{any_of('or, and, with, maybe')}\b", re.IGNORECASE)
_OWNERS = any_of("my, our, his, her, their, the, have, has, two, three, four")
_PERSONS = re.compile(rf"(?:\b{_OWNERS}|\d)\s+(?:(?:little|small|young)\s+)*$", re.IGNORECASE)


class RequestReader:
    """Reader of what messages ask of a catalog.

    Args:
        catalog: the catalog.
        titles: finder of its titles.
        encoder: encodes texts, for words that mean a category without naming it; None reads names only.
    """

    def __init__(self, catalog: Catalog, titles: NamedTitles, encoder: Encoder | None = None):
        self._titles = titles
        self._categories = CategoryReader(catalog.categories, encoder)
        self._ranges = RangeReader(numeric_attributes(catalog))

    def read(self, text: str) -> Change:
        """Return what a message changes.

        Args:
            text: the message; what follows its first `READ` characters is not read.
        """
        plain = plain_text(text[:READ].replace(MASK, " "))
        found = [Annotation(mention.start, mention.end, mention) for mention in self._titles.locate(plain)]
        for find in (self._ranges.find, self._categories.find_names, self._categories.find_meanings):
            found += find(masked(plain, found))
        found.sort(key=lambda annotation: annotation.start)
        found = [entry for entry in found if not _is_about_people(plain, entry)]
        count = find_count(masked(plain, found))
        return _change(plain, found, count)


def _is_about_people(text: str, annotation: Annotation) -> bool:
    """Return whether words for a category mean the people who watch ("my kids are 5 and 7")."""
    words = annotation.value
    return (
        isinstance(words, CategoryWords)
        and text[annotation.start : annotation.end].lower().split()[0] in ("kids", "children", "child", "kid")
        and bool(_PERSONS.search(text[: annotation.start]))
    )


def _change(text: str, found: Sequence[Annotation], count: Annotation | None) -> Change:
    plain = masked(text, found)
    negative, referred_to = rejected(plain, found), referred(plain, found)
    not_only = {match.end() - 1 for match in _NOT_ONLY.finditer(plain)}
    sentences = [_Sentence.of(plain, start, end, found, count) for start, end in _sentences(plain)]
    asks = any(sentence.asks for sentence in sentences)
    titles: dict[str, list[tuple[int, ...]]] = {"liked": [], "disliked": [], "known": []}
    only: list[Annotation] = []
    without: list[str] = []
    ranges: list[Range] = []
    for position, annotation in enumerate(found):
        sentence = next(sentence for sentence in sentences if annotation.start < sentence.end)
        match annotation.value:
            case _ if sentence.informs:
                continue
            case Mention(items=items):
                titles[_kind_of_title(plain, annotation.start, position in negative, referred_to.get(position))].append(
                    items
                )
            case CategoryWords(category) if position in negative or referred_to.get(position) is False:
                without.append(category)
            case CategoryWords() if annotation.start not in not_only and sentence.asks:
                only.append(annotation)
            case Range() as entry if position not in negative:  # "nothing from the eighties" is no range
                ranges.append(entry)
    names = tuple(dict.fromkeys(_category(annotation) for annotation in only))
    return Change(
        asks=asks,
        count=count.value if count and isinstance(count.value, int) and asks else None,
        liked=tuple(titles["liked"]),
        disliked=tuple(titles["disliked"]),
        known=tuple(titles["known"]),
        only=tuple(name for name in names if name not in without),
        together=len(names) > 1 and (bool(_TOGETHER.search(plain)) or _is_compound(plain, only)),
        also=bool(_ALSO.search(plain)),
        without=tuple(dict.fromkeys(without)),
        ranges=tuple(ranges),
        any_category=bool(_ANY_CATEGORY.search(plain)),
        more=bool(_MORE.search(plain)) and asks,
        forget=bool(_FORGET.search(plain)),
    )


def _kind_of_title(plain: str, at: int, negative: bool, liked: bool | None) -> str:
    """Return "liked", "disliked" or "known" for a title; `liked` is what a later clause says of it."""
    if liked is None and is_only_known(plain, at):
        return "known"
    return "disliked" if negative or liked is False else "liked"


@dataclass(frozen=True)
class _Sentence:
    """Sentence of a message.

    Attributes:
        end: position after its last character.
        asks: whether it asks for recommendations.
        informs: whether it asks about a title or the catalog instead.
    """

    end: int
    asks: bool
    informs: bool

    @classmethod
    def of(cls, plain: str, start: int, end: int, found: Sequence[Annotation], count: Annotation | None) -> "_Sentence":
        text = plain[start:end]
        informs = bool(_INFORMATION.search(text)) or any(
            _INFORMATION_ON_TITLE.search(plain, start, entry.start)
            for entry in found
            if start <= entry.start < end and isinstance(entry.value, Mention)
        )
        content = any(start <= entry.start < end for entry in (*found, *([count] if count else [])))
        says = content or bool(_MORE.search(text) or _ANY_CATEGORY.search(text))
        wants = bool(_ASKING.search(text)) or "?" in text or not _STATEMENT.match(text)
        return cls(end, not informs and (bool(_ASKING_FOR_ITEMS.search(text)) or says and wants), informs)


def _sentences(plain: str) -> list[tuple[int, int]]:
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(plain)), len(plain)]
    return [(start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start]


def _category(annotation: Annotation) -> str:
    assert isinstance(annotation.value, CategoryWords)
    return annotation.value.category


def _is_compound(text: str, only: Sequence[Annotation]) -> bool:
    """Return whether categories stand together as one expression: "romantic comedy", "war and love story" is none."""
    gaps = [text[one.end : other.start] for one, other in zip(only, only[1:], strict=False)]
    return all(len(gap.split()) <= 1 and not _OR.search(gap) for gap in gaps)
