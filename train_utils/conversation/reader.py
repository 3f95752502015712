"""Reader of requests: the text of a message -> what it changes in the user's preferences."""

import copy
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from train_utils.catalog import Catalog
from train_utils.conversation.allowances import find_allowances, is_idiom
from train_utils.conversation.annotations import GAP, MASK, SPAN, Annotation, masked
from train_utils.conversation.category_words import CategoryReader, CategoryWords, Encoder
from train_utils.conversation.comparisons import find_comparison
from train_utils.conversation.language import is_english
from train_utils.conversation.lexicon import ALSO, CORRECTING, FORGET, NOUNS, RULE, TOGETHER, any_of
from train_utils.conversation.lookalikes import is_no_category, is_of_title, is_verdict, is_year_of
from train_utils.conversation.message_words import Unknown
from train_utils.conversation.numerals import MOST, find_count
from train_utils.conversation.polarity import left_open, rejected
from train_utils.conversation.preferences import Change
from train_utils.conversation.quotas import find_quotas
from train_utils.conversation.ranges import Range, RangeReader
from train_utils.conversation.sentences import (
    ANOTHER,
    Sentence,
    asks_for_more,
    has_asking_words,
    sentences_of,
    takes_any_category,
)
from train_utils.conversation.spelling import with_words_repaired
from train_utils.conversation.title_judgments import (
    expressed_at,
    is_judged,
    is_liked,
    is_of_others,
    is_only_known,
    is_unseen,
    is_watched,
    judgment_before_addition,
    judgment_of_last_message,
    referred,
)
from train_utils.conversation.title_questions import title_in_question
from train_utils.conversation.title_reader import TitleReader, is_joined
from train_utils.conversation.unknowable import Kind, find_unknowable, kinds_unknown_to
from train_utils.prompts.named_titles import Mention, NamedTitles, plain_text

READ = 4000  # characters of a message that are read; patterns over longer texts would take noticeable time

_FORGET = re.compile(
    rf"(?<!\?\s)\b{any_of(FORGET)}(?!\w|\s+(?:the|about|{RULE})\b)", re.I
)  # and not "never mind the year"
_CORRECTS = re.compile(
    r"(?:scratch|scrap|strike)\s+that\s*[,:;-]", re.IGNORECASE
)  # "scratch that, a drama" is no new start
_TOGETHER = re.compile(rf"(?<!\bnot\s)\b{any_of(TOGETHER)}(?!\w)", re.IGNORECASE)
_ALSO = re.compile(
    rf"^{GAP}and\s+(?:the\s+|some\s+)?{SPAN}(?:\s+(?:please|pls|{any_of(NOUNS)}))*{GAP}$|^{GAP}or\b(?![^.!?]*\binstead\b)(?!\s+(?:rather|better|no|else)\b)"
    rf"|\b(?:{any_of(ALSO)}(?!\w)|too(?=\s*(?:[.,;!?]|$|\b(?:please|and|but)\b)))",
    re.IGNORECASE,
)
_BREAK = re.compile(r" ?\n\s*+")
_NEAR = 40  # characters before an annotation that say what it is
_SENTENCE_START = re.compile(r"(?:\A|[.!?]\s|\n)\Z")
_NOT_ONLY = re.compile(rf"\bnot\s+(?:only|just|necessarily)\s+(?:an?\s+)?{MASK}", re.IGNORECASE)
# Between two categories, these make them alternatives.
_OR = re.compile(rf"[,/&.;!?]|\b{any_of('or, and, with, maybe')}\b", re.IGNORECASE)
_SOME = any_of("some, a, an, the, bit, of, lots, lot, little, elements, touch, hint, dash, good, strong")
# "both scary and funny", "a comedy with some romance"
_BOTH = re.compile(
    rf"\bboth\s+(?:an?\s+)?{SPAN}\s*(?:{any_of(NOUNS)}\s+)?and\s+(?:an?\s+)?{SPAN}"
    rf"|{SPAN}\s*(?:{any_of(NOUNS)}\s+)?with\s+(?:{_SOME}\s+)*{SPAN}"
    rf"|{SPAN}\s*(?:{any_of(NOUNS)}\s+)?for\s+(?:(?:the|my|our|small|little|young|all)\s+)*{SPAN}(?!\s*(?:or|and)\s+{SPAN})"
    rf"|\b(?:be|is|are|'s|thats)\s+{SPAN}\s+(?:as\s+well\s+as|(?-i:AND))\s+{SPAN}"
    rf"|\b(?:that|which)(?:'s|s|\s+is|\s+are)\s+{SPAN}\s+and\s+{SPAN}(?!\s*(?:,|or|and)\s*{SPAN})",
    re.IGNORECASE,
)
# "for kids aged 4 that is" narrows what was asked for.
_NARROWING = re.compile(
    rf"{GAP}(?:(?:and|but|oh|ok|sorry|i\s+mean|it'?s)\b{GAP})*for\s+(?:(?:the|my|our|small|little|young|\d+)\s+)*{SPAN}"
    rf"[^.!?{MASK}]{{0,30}}?\b(?:that\s+is|i\s+mean|of\s+course|by\s+the\s+way|btw|i\s+should\s+(?:say|add)){GAP}$",
    re.IGNORECASE,
)
# Between two categories, the second replaces the first.
_CORRECTING = re.compile(
    rf"\b{any_of(CORRECTING)}\b|[.;!?\n\u2013\u2014-]\s*(?:actually|sorry|hmm?|make\s+that|make\s+it|no)\b,?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(?<![A-Za-z0-9.$€£'])\d{1,3}(?![A-Za-z0-9.%€$£])")
_ONLY_NOT = re.compile(r",? (?:but|though|just|only) (?:not|nothing) (?:too |so |really )?(?:an? )?", re.IGNORECASE)
_ASIDE = re.compile(r"\([^()]*$")


class Reader(Protocol):
    """Reader of what messages ask of a catalog."""

    def read(self, text: str) -> Change:
        """Return what a message changes."""


def plain_message(text: str) -> str:
    """Return the first `READ` characters of a message as `plain_text` writes them, with single white space.

    Patterns that repeat white space take linear time then.
    """
    return _BREAK.sub("\n", plain_text(text[:READ])[:READ])  # NFKC may write one character as eighteen


class RequestReader:
    """Reader by rules.

    Args:
        catalog: the catalog.
        titles: finder of its titles.
        encoder: encodes texts, for words that mean a category without naming it; None reads names only.
    """

    def __init__(self, catalog: Catalog, titles: NamedTitles, encoder: Encoder | None = None):
        self._titles = TitleReader(titles, catalog.popularity)
        self._categories = CategoryReader(catalog.categories, encoder)
        self._ranges = RangeReader(catalog.numeric_attributes)
        self._unknown_kinds = kinds_unknown_to(catalog)
        self._names = frozenset(catalog.categories)

    def changed(self, catalog: Catalog, titles: NamedTitles, items: Collection[int]) -> "RequestReader":
        """Return the reader of a catalog after changes of its items, at the cost of these.

        Args:
            catalog: the catalog after them.
            titles: finder of its titles.
            items: items whose titles are new.
        """
        reader = copy.copy(self)
        reader._titles = self._titles.changed(titles, items, catalog.popularity)
        reader._unknown_kinds = kinds_unknown_to(catalog)
        if catalog.categories.keys() != self._names:
            reader._names = frozenset(catalog.categories)
            reader._categories = self._categories.changed(catalog.categories)
        if catalog.numeric_attributes != self._ranges.bounds:
            reader._ranges = self._ranges.changed(catalog.numeric_attributes)
        return reader

    def prepare(self) -> None:
        """Build the indexes that the first message would wait for: seconds for 100,000 titles."""
        self._titles.prepare()
        self.read("I like that.")

    def read(self, text: str) -> Change:
        """Return what a message changes.

        Args:
            text: the message; what follows its first `READ` characters is not read.
        """
        plain = plain_message(with_words_repaired(text[:READ].replace(MASK, " ")))
        titles = self._titles.find(plain)
        if not is_english(masked(plain, [*titles, *self._categories.find_names(masked(plain, titles))])):
            return self._without_words(plain)
        titles = [title for title in titles if not is_idiom(plain, title)]
        found = [title for title in titles if not self._is_category(plain, title) or is_joined(plain, title, titles)]
        named = {entry.value.items for entry in found if isinstance(entry.value, Mention)}
        kept = {entry.start for entry in found}
        # "Alien, not Aliens. Aliens was bad.": what is once a title is no category elsewhere.
        found = [t for t in titles if t.start in kept or isinstance(t.value, Mention) and t.value.items in named]
        for find in (self._ranges.find, self._categories.find_names, self._categories.find_meanings):
            found += find(masked(plain, found))
        found.sort(key=lambda annotation: annotation.start)
        found = [
            entry
            for at, entry in enumerate(found)
            if not (
                is_no_category(plain, entry)
                or is_of_title(plain, entry, found)
                or at
                and is_verdict(plain, entry, found[at - 1])
            )
        ]
        count = find_count(masked(plain, found))
        if count and any(is_year_of(entry.value, count.value) for entry in found):
            count = None
        change = _change(plain, found, count, self._unknown_kinds)
        if change == Change() and (title := title_in_question(plain)):
            return Change(unknown=(title,))
        return change

    def _without_words(self, plain: str) -> Change:
        """Return what a message in another language says: the catalog's titles, and a number in digits."""
        mentions = self._titles.find_exact(plain)
        numbers = [int(match[0]) for match in _DIGITS.finditer(masked(plain, mentions))]
        count = numbers[0] if len(numbers) == 1 and 1 <= numbers[0] <= MOST else None
        liked = tuple(entry.value.items for entry in mentions if isinstance(entry.value, Mention))
        asks = count is not None or "?" in plain
        return Change(asks=asks, count=count, liked=liked, foreign=not (asks or liked))

    def _is_category(self, text: str, title: Annotation) -> bool:
        """Return whether an unknown title, or a title that begins a sentence, is a word for a category in capitals."""
        words = text[title.start : title.end]
        if not isinstance(title.value, Unknown) and (
            " " in words or not _SENTENCE_START.search(text, max(0, title.start - 2), title.start)
        ):
            return False
        names = self._categories.find_names(words)
        return bool(names) and (words.islower() or any(name.end - name.start == len(words) for name in names))


def _change(text: str, found: Sequence[Annotation], count: Annotation | None, unknown_kinds: Sequence[Kind]) -> Change:
    plain = masked(text, found)
    lifted = find_allowances(plain, found)
    negative, referred_to = rejected(plain, found) - lifted.all, referred(plain, found)
    opened = left_open(plain, found) | lifted.allowed
    not_only = {match.end() - 1 for match in _NOT_ONLY.finditer(plain)}
    sentences = sentences_of(plain, found, count, lifted.asked(found))
    asks = any(sentence.asks for sentence in sentences)
    titles: dict[str, list[tuple[int, ...]]] = {"liked": [], "disliked": [], "known": []}
    only: list[Annotation] = []
    stated: list[Annotation] = []
    rejections: dict[str, Annotation] = {}  # category -> where it is last rejected
    ranges: list[Range] = []
    widening: list[Range] = []
    withdrawn: list[tuple[int, ...]] = []
    unknown: list[str] = []
    about: list[tuple[int, ...]] = []
    last_kind = ""
    for position, annotation in enumerate(found):
        sentence = next(sentence for sentence in sentences if annotation.start < sentence.end)
        match annotation.value:
            case Mention(items=items) if sentence.informs and referred_to.get(position) != "liked":
                about.append(items)
            case value if sentence.informs and not isinstance(value, Mention):
                continue
            case Unknown(text=name):
                unknown.append(name)
            case Mention(items=items) if position in lifted.taken_back and position not in referred_to:
                withdrawn.append(items)
            case Range(attribute=name) if position in lifted.taken_back:
                ranges.append(Range(name, None, None))
            case Range() as entry if position in lifted.widening:
                widening.append(entry)
            case CategoryWords() if position in lifted.taken_back | lifted.included:
                continue
            case Mention() if referred_to.get(position) == "unseen":
                continue
            case Mention(items=items) if not is_unseen(plain, annotation.start):
                kind = _kind_of_title(plain, annotation.start, position in negative, referred_to.get(position, ""))
                if added := judgment_before_addition(plain, sentence.start, sentence.end):
                    kind = kind if kind != "liked" else last_kind or added
                last_kind = kind
                titles[kind].append(items)
            case CategoryWords(category) if _is_aside(text, found, position, negative):
                continue
            case CategoryWords(category) if position in negative or referred_to.get(position) == "disliked":
                if category not in rejections or not annotation.value.of_kind:
                    rejections[category] = annotation
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
    only = _corrected(plain, only)
    names = tuple(dict.fromkeys(_category(annotation) for annotation in only))
    # "No horror fan, but my friends are: two scary ones": the last word counts.
    last = {_category(annotation): annotation.start for annotation in only}
    without = [
        name
        for name, entry in rejections.items()
        if entry.start > last.get(name, -1) or not has_asking_words(plain[entry.start : last[name]])
    ]
    titles["disliked"] = [items for items in titles["disliked"] if items not in titles["liked"]]
    narrows = bool(_NARROWING.match(plain)) and len(names) == 1
    also = narrows or bool(_ALSO.search(plain))
    quotas = find_quotas(plain, only) if not set(names) & set(without) else ()
    examples = any(titles.values())
    if count and examples and ANOTHER.match(plain, count.start):
        count = None  # "I loved Scream, another slasher please" names no number
    number = count.value if count and isinstance(count.value, int) and asks else None
    return Change(
        asks=asks,
        count=sum(n for _, n in quotas) if quotas else number,
        quotas=quotas,
        liked=tuple(titles["liked"]),
        disliked=tuple(titles["disliked"]),
        known=tuple(titles["known"]),
        only=tuple(name for name in names if name not in without),
        together=(len(names) > 1 or bool(names) and also)
        and not quotas
        and (
            narrows
            or bool(_TOGETHER.search(plain) or _BOTH.search(plain))
            or len(names) > 1
            and _is_compound(plain, only, names)
        ),
        also=also,
        without=tuple(without),
        kinds=tuple(name for name in without if _is_of_kind(rejections[name])),
        allowed=_categories(found, lifted.allowed),
        included=_categories(found, lifted.included),
        taken_back=_categories(found, lifted.taken_back),
        withdrawn=tuple(withdrawn),
        ranges=tuple(dict.fromkeys(ranges)),
        widening=tuple(widening),
        any_category=takes_any_category(plain),
        more=asks_for_more(plain, examples) and asks,
        forget=any(not _CORRECTS.fullmatch(plain, match.start(), match.end() + 1) for match in _FORGET.finditer(plain)),
        unknown=tuple(dict.fromkeys(unknown)),
        unknowable=find_unknowable(_asking(plain, found, sentences), unknown_kinds),
        about=tuple(about),
        compared=find_comparison(plain) if asks else "",
        judges="" if only else judgment_of_last_message(plain, found[0].start if found else len(plain)),
    )


def _asking(plain: str, found: Sequence[Annotation], sentences: Iterable[Sentence]) -> list[str]:
    """Return the sentences that ask, with titles as "": "Notorious with Cary Grant" wishes for no actor."""
    titles = [entry for entry in found if isinstance(entry.value, (Mention, Unknown))]
    text = list(plain)
    for entry in titles:
        text[entry.start : entry.end] = '"' * (entry.end - entry.start)
    return ["".join(text[entry.start : entry.end]) for entry in sentences if entry.asks]


def _is_aside(text: str, found: Sequence[Annotation], position: int, negative: Collection[int]) -> bool:
    """Return whether a category is rejected that is also wanted, so that only a kind of it is meant.

    "A drama, but not a war drama", "scary, but not gory", "war films except Vietnam ones",
    "a drama that my wife (who hates dramas) likes".

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
    if wanted and _is_of_kind(found[position]):
        return True
    compound = position - 1 in negative and not gap.strip(" -")
    kind_of = bool(_ONLY_NOT.fullmatch(gap)) and found[position - 1] in wanted
    return bool(wanted) and bool(compound or kind_of or _ASIDE.search(text, max(0, at - _NEAR), at))


def _kind_of_title(plain: str, at: int, negative: bool, later: str) -> str:
    """Return "liked", "disliked" or "known" for a title; `later` is what a later clause says of it, "" for nothing."""
    if later in ("liked", "disliked") and is_of_others(plain, at):
        return later
    if later == "known" and not (is_judged(plain, at) if negative else is_liked(plain, at)):
        return "known"
    expressed = expressed_at(plain, at)
    if negative and is_judged(plain, at) or expressed == "disliked" and later != "liked":
        return "disliked"
    if expressed == "liked" and later in ("", "liked"):
        return "liked"
    if later in ("", "known") and is_only_known(plain, at):
        return "known"
    return "disliked" if negative or later == "disliked" else "liked"


def _category(annotation: Annotation) -> str:
    assert isinstance(annotation.value, CategoryWords)
    return annotation.value.category


def _is_of_kind(annotation: Annotation) -> bool:
    """Return whether an annotation names only a kind of a category."""
    return isinstance(annotation.value, CategoryWords) and annotation.value.of_kind


def _corrected(plain: str, only: Sequence[Annotation]) -> list[Annotation]:
    """Return the categories asked for without those that the message itself corrects ("a comedy, no wait, a drama")."""
    first = 0
    for position, (one, other) in enumerate(zip(only, only[1:], strict=False), 1):
        if _CORRECTING.search(plain, one.end, other.start):
            first = position
    return list(only[first:])


def _categories(found: Sequence[Annotation], positions: Collection[int]) -> tuple[str, ...]:
    """Return the categories among the annotations at some positions, in the order of the text."""
    chosen = (found[position] for position in sorted(positions))
    return tuple(dict.fromkeys(_category(entry) for entry in chosen if isinstance(entry.value, CategoryWords)))


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
