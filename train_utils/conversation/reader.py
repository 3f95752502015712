"""Reader of requests: the text of a message -> what it changes in the user's preferences."""

import copy
import re
from collections.abc import Collection, Sequence

from train_utils.catalog import Catalog
from train_utils.conversation.annotations import MASK, SPAN, Annotation, masked
from train_utils.conversation.category_words import CategoryReader, CategoryWords, Encoder
from train_utils.conversation.language import is_english
from train_utils.conversation.lexicon import ALSO, FORGET, NOUNS, TOGETHER, any_of, finder
from train_utils.conversation.numerals import MOST, find_count
from train_utils.conversation.polarity import (
    is_judged,
    is_liked,
    is_only_known,
    is_unseen,
    is_watched,
    judgment_of_last_message,
    left_open,
    referred,
    rejected,
)
from train_utils.conversation.preferences import Change
from train_utils.conversation.ranges import Range, RangeReader
from train_utils.conversation.sentences import asks_for_more, sentences_of, takes_any_category
from train_utils.conversation.title_reader import TitleReader, Unknown, is_joined
from train_utils.prompts.named_titles import Mention, NamedTitles, plain_text

READ = 4000  # characters of a message that are read; patterns over longer texts would take noticeable time

_FORGET = re.compile(rf"\b{any_of(FORGET)}(?!\w|\s+the\b)", re.IGNORECASE)  # and not "never mind the year"
_TOGETHER = finder(TOGETHER)
_ALSO = re.compile(rf"\b(?:{any_of(ALSO)}(?!\w)|too(?=\s*(?:[.,;!?]|$|\b(?:please|and|but)\b)))", re.IGNORECASE)
_BREAK = re.compile(r" ?\n\s*+")
_NEAR = 40  # characters before an annotation that say what it is
_SENTENCE_START = re.compile(r"(?:\A|[.!?]\s|\n)\Z")
_NOT_ONLY = re.compile(rf"\bnot\s+(?:only|just|necessarily)\s+(?:an?\s+)?{MASK}", re.IGNORECASE)
# Between two categories, these make them alternatives.
_OR = re.compile(rf"[,/&.;!?]|\b{any_of('or, and, with, maybe')}\b", re.IGNORECASE)
_SOME = any_of("some, a, an, bit, of, lots, lot, little, elements, touch, hint, dash, good, strong")
# "both scary and funny", "a comedy with some romance"
_BOTH = re.compile(
    rf"\bboth\s+(?:an?\s+)?{SPAN}\s*(?:{any_of(NOUNS)}\s+)?and\s+(?:an?\s+)?{SPAN}"
    rf"|{SPAN}\s*(?:{any_of(NOUNS)}\s+)?with\s+(?:{_SOME}\s+)*{SPAN}"
    rf"|\b(?:be|is|are|'s)\s+{SPAN}\s+as\s+well\s+as\s+{SPAN}",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(?<![A-Za-z0-9.$€£'])\d{1,3}(?![A-Za-z0-9.%€$£])")
_ONLY_NOT = re.compile(r",? (?:but|though|just|only) (?:not|nothing) (?:too |so |really )?(?:an? )?", re.IGNORECASE)
_ASIDE = re.compile(r"\([^()]*$")
_OWNERS = any_of("my, our, his, her, their, the, have, has, two, three, four")
_STUFF = re.compile(rf"'?s?'?\s+(?:{any_of(NOUNS)}|stuff|content|cartoons?)\b", re.IGNORECASE)
_PERSONS = re.compile(rf"(?:\b{_OWNERS}|\d)\s+(?:(?:little|small|young)\s+)*$", re.IGNORECASE)


class RequestReader:
    """Reader of what messages ask of a catalog.

    Args:
        catalog: the catalog.
        titles: finder of its titles.
        encoder: encodes texts, for words that mean a category without naming it; None reads names only.
    """

    def __init__(self, catalog: Catalog, titles: NamedTitles, encoder: Encoder | None = None):
        self._titles = TitleReader(titles)
        self._categories = CategoryReader(catalog.categories, encoder)
        self._ranges = RangeReader(catalog.numeric_attributes)
        self._names, self._encoder = frozenset(catalog.categories), encoder

    def after(self, catalog: Catalog) -> "RequestReader":
        """Return the reader of a catalog after changes of its items.

        It reads the categories that the catalog has now, and no attribute that is gone. Titles stay as they are, and
        new attributes are not read, since both take long to prepare.
        """
        bounds = {
            name: bound
            for name, bound in self._ranges.bounds.items()
            if any(item.attributes.get(name) is not None for item in catalog.items)
        }
        reader = copy.copy(self)
        if catalog.categories.keys() != self._names:
            reader._names = frozenset(catalog.categories)
            reader._categories = CategoryReader(catalog.categories, self._encoder)
        if len(bounds) < len(self._ranges.bounds):
            reader._ranges = RangeReader(bounds)
        return reader

    def read(self, text: str) -> Change:
        """Return what a message changes.

        Args:
            text: the message; what follows its first `READ` characters is not read.
        """
        # White space is single, so that patterns with `\s+` take linear time.
        plain = _BREAK.sub("\n", plain_text(text[:READ].replace(MASK, " ")))
        titles = self._titles.find(plain)
        if not is_english(masked(plain, [*titles, *self._categories.find_names(masked(plain, titles))])):
            return self._without_words(plain)
        found = [title for title in titles if not self._is_category(plain, title) or is_joined(plain, title, titles)]
        for find in (self._ranges.find, self._categories.find_names, self._categories.find_meanings):
            found += find(masked(plain, found))
        found.sort(key=lambda annotation: annotation.start)
        found = [entry for entry in found if not (_is_about_people(plain, entry) or _is_of_title(plain, entry, found))]
        count = find_count(masked(plain, found))
        return _change(plain, found, count)

    def _without_words(self, plain: str) -> Change:
        """Return what a message in another language says: the catalog's titles, and a number in digits."""
        mentions = self._titles.find_exact(plain)
        numbers = [int(match[0]) for match in _DIGITS.finditer(masked(plain, mentions))]
        count = numbers[0] if len(numbers) == 1 and 1 <= numbers[0] <= MOST else None
        liked = tuple(entry.value.items for entry in mentions if isinstance(entry.value, Mention))
        return Change(asks=count is not None or "?" in plain, count=count, liked=liked)

    def _is_category(self, text: str, title: Annotation) -> bool:
        """Return whether an unknown title, or a title that begins a sentence, is a word for a category in capitals."""
        words = text[title.start : title.end]
        if not isinstance(title.value, Unknown) and (
            " " in words or not _SENTENCE_START.search(text, max(0, title.start - 2), title.start)
        ):
            return False
        return any(name.end - name.start == len(words) for name in self._categories.find_names(words))


def _is_of_title(text: str, annotation: Annotation, found: Sequence[Annotation]) -> bool:
    """Return whether a year only dates the title before it: "Fargo (1996)"."""
    if not isinstance(annotation.value, Range) or text[annotation.start - 1 : annotation.start] != "(":
        return False
    return any(
        isinstance(entry.value, (Mention, Unknown)) and not text[entry.end : annotation.start - 1].strip()
        for entry in found
        if annotation.start - 3 <= entry.end < annotation.start
    )


def _is_about_people(text: str, annotation: Annotation) -> bool:
    """Return whether words for a category mean the people who watch ("my kids are 5 and 7")."""
    words = annotation.value
    return (
        isinstance(words, CategoryWords)
        and text[annotation.start : annotation.end].lower().split()[0] in ("kids", "children", "child", "kid", "family")
        and not _STUFF.match(text, annotation.end)
        and bool(
            _PERSONS.search(text, max(0, annotation.start - _NEAR), annotation.start)
            or text[annotation.end : annotation.end + 4] == " of "
        )
    )


def _change(text: str, found: Sequence[Annotation], count: Annotation | None) -> Change:
    plain = masked(text, found)
    negative, referred_to, opened = rejected(plain, found), referred(plain, found), left_open(plain, found)
    not_only = {match.end() - 1 for match in _NOT_ONLY.finditer(plain)}
    sentences = sentences_of(plain, found, count)
    asks = any(sentence.asks for sentence in sentences)
    titles: dict[str, list[tuple[int, ...]]] = {"liked": [], "disliked": [], "known": []}
    only: list[Annotation] = []
    stated: list[Annotation] = []
    without: list[str] = []
    ranges: list[Range] = []
    unknown: list[str] = []
    about: list[tuple[int, ...]] = []
    for position, annotation in enumerate(found):
        sentence = next(sentence for sentence in sentences if annotation.start < sentence.end)
        match annotation.value:
            case Mention(items=items) if sentence.informs:
                about.append(items)
            case _ if sentence.informs:
                continue
            case Unknown(text=name):
                unknown.append(name)
            case Mention(items=items) if not is_unseen(plain, annotation.start):
                kind = _kind_of_title(plain, annotation.start, position in negative, referred_to.get(position, ""))
                titles[kind].append(items)
            case CategoryWords(category) if _is_aside(text, found, position, negative):
                continue
            case CategoryWords(category) if position in negative or referred_to.get(position) == "disliked":
                without.append(category)
            case CategoryWords() if is_watched(plain, annotation.start):
                continue
            case CategoryWords() if annotation.start not in not_only and sentence.asks and position not in opened:
                only.append(annotation)
            case Range() as entry if position not in negative and not (sentence.names and not sentence.asks):
                ranges.append(entry)  # and not "nothing from the eighties", or "I loved the first Batman from 1989"
            case CategoryWords() if sentence.likes and position not in opened:
                stated.append(annotation)
    if asks and not only and not titles["liked"]:
        only = stated  # "I love horror. Give me three."
    names = tuple(dict.fromkeys(_category(annotation) for annotation in only))
    return Change(
        asks=asks,
        count=count.value if count and isinstance(count.value, int) and asks else None,
        liked=tuple(titles["liked"]),
        disliked=tuple(titles["disliked"]),
        known=tuple(titles["known"]),
        only=tuple(name for name in names if name not in without),
        together=len(names) > 1
        and (bool(_TOGETHER.search(plain) or _BOTH.search(plain)) or _is_compound(plain, only, names)),
        also=bool(_ALSO.search(plain)),
        without=tuple(dict.fromkeys(without)),
        ranges=tuple(ranges),
        any_category=takes_any_category(plain),
        more=asks_for_more(plain) and asks,
        forget=bool(_FORGET.search(plain)),
        unknown=tuple(dict.fromkeys(unknown)),
        about=tuple(about),
        judges="" if any(titles.values()) or only else judgment_of_last_message(plain),
    )


def _is_aside(text: str, found: Sequence[Annotation], position: int, negative: Collection[int]) -> bool:
    """Return whether a category is rejected that is also wanted, so that only a kind of it is meant.

    "A drama, but not a war drama", "scary, but not gory", "a drama that my wife (who hates dramas) likes".

    Args:
        text: the message.
        found: its annotations.
        position: of the category in `found`.
        negative: positions of the rejected ones.
    """
    category, at = _category(found[position]), found[position].start
    if position not in negative:
        return False
    wanted = [
        entry
        for i, entry in enumerate(found[:position])
        if i not in negative and isinstance(entry.value, CategoryWords) and entry.value.category == category
    ]
    gap = text[found[position - 1].end : at] if position else ""
    compound = position - 1 in negative and not gap.strip(" -")
    kind_of = bool(_ONLY_NOT.fullmatch(gap)) and found[position - 1] in wanted
    return bool(wanted) and bool(compound or kind_of or _ASIDE.search(text, max(0, at - _NEAR), at))


def _kind_of_title(plain: str, at: int, negative: bool, later: str) -> str:
    """Return "liked", "disliked" or "known" for a title; `later` is what a later clause says of it, "" for nothing."""
    if later == "known" and not (is_judged(plain, at) if negative else is_liked(plain, at)):
        return "known"
    if negative and is_judged(plain, at):
        return "disliked"
    if later in ("", "known") and is_only_known(plain, at):
        return "known"
    return "disliked" if negative or later == "disliked" else "liked"


def _category(annotation: Annotation) -> str:
    assert isinstance(annotation.value, CategoryWords)
    return annotation.value.category


def _is_compound(text: str, only: Sequence[Annotation], names: Collection[str]) -> bool:
    """Return whether all categories stand together in one expression: "romantic comedy", "war and love story" is none.

    Args:
        text: the message, with its annotations masked.
        only: the categories asked for, in the order of the text.
        names: their names, of which the expression must have each.
    """
    together: set[str] = set()
    for position, annotation in enumerate(only):
        gap = text[only[position - 1].end : annotation.start] if position else ","
        together = set() if len(gap.split()) > 1 or _OR.search(gap) else together
        together.add(_category(annotation))
        if together == {*names}:
            return True
    return False
