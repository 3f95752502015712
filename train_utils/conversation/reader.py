"""Reader of requests: the text of a message -> what it changes in the user's preferences."""

import copy
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from train_utils.catalog import Catalog
from train_utils.conversation.comparisons import find_comparison
from train_utils.conversation.limits.allowances import is_idiom
from train_utils.conversation.limits.category_limits import with_limits
from train_utils.conversation.limits.category_words import CategoryReader, CategoryWords, Encoder
from train_utils.conversation.limits.lookalikes import is_no_category, is_of_title, is_verdict, is_year_of
from train_utils.conversation.limits.quotas import find_quotas
from train_utils.conversation.limits.range_reader import RangeReader
from train_utils.conversation.preferences import Change
from train_utils.conversation.sentence_patterns import ANOTHER
from train_utils.conversation.sentences import asks_for_more, has_asking_words, takes_any_category
from train_utils.conversation.statements import AnnotatedMessage, Statements, category_of, is_of_kind, statements_of
from train_utils.conversation.titles.judgments import judgment_of_last_message
from train_utils.conversation.titles.questions import title_in_question
from train_utils.conversation.titles.reader import TitleReader, is_joined
from train_utils.conversation.titles.years import TitleYears
from train_utils.conversation.unknowable import Kind, find_unknowable, kinds_unknown_to
from train_utils.conversation.words.annotations import GAP, MASK, SPAN, Annotation, masked
from train_utils.conversation.words.asides import without_asides
from train_utils.conversation.words.language import is_english
from train_utils.conversation.words.lexicon import CORRECTING, RULE, TOGETHER, any_of
from train_utils.conversation.words.message_words import Unknown
from train_utils.conversation.words.numerals import MOST, find_count, is_only_number
from train_utils.conversation.words.phrases import Phrases
from train_utils.conversation.words.spelling import with_words_repaired
from train_utils.prompts.named_titles import Mention, NamedTitles
from train_utils.prompts.plain_text import plain_text

READ = 4000  # characters of a message that are read; patterns over longer texts would take noticeable time

# And not "never mind the year".
_FORGET_PHRASES = Phrases(
    {
        "forget it all": r"(?<!\?\s)\bFORGET(?!\w| (the|about|RULE)\b)",
        "bin the whole lot": (
            r"\bFORGETTING (the (whole )?(lot|thing)|it all|them all|(all (of )?)?(that|this|the above|those))"
            r"(?=\s*([.,;:!?()-]|$|(and|so|but|i|my|we|let'?s|please|pls|then|now)\b))"
        ),
        "delete what I just said": (  # and not "forget all dramas"
            r"\bFORGETTING ((everything|all|whatever|what) (that )?(i|we)('ve| have)? (just |ever )?"
            r"(said|told|asked|wrote|typed|mentioned)( you)?|(everything|all)( (so far|above|before|until now|again))?)"
            r"(?=\s*([.,;:!?()-]|$|(and|so|but|please|pls|then|now|earlier|before)\b))"
        ),
        "start again from zero": (
            r"\b(start(ing)?|begin(ning)?|go|going) (all )?((again|over|afresh|fresh)( from \w+)?"
            r"|from (scratch|zero|nothing|nil|the (top|start|beginning)|square one))\b"
        ),
        "back to square one": (
            r"\bfrom scratch\b|\bback to (square one|the (start|beginning|drawing board)|zero)\b"
            r"|\btake it from the top\b"
        ),
    },
    {"RULE": RULE},
)
_FORGET = _FORGET_PHRASES.compiled()
_CORRECTS = re.compile(
    r"(?:scratch|scrap|strike)\s+that\s*[,:;-]", re.IGNORECASE
)  # "scratch that, a drama" is no new start
_TOGETHER = re.compile(rf"(?<!\bnot\s)\b{any_of(TOGETHER)}(?!\w)", re.IGNORECASE)
_ALSO_PHRASES = Phrases(
    {
        "And some [westerns] please": r"^~and (the |some )?TITLE( (please|pls|NOUNS))*~$",
        "or [westerns]": r"^~or\b(?![^.!?]*\binstead\b)(?! (rather|better|no|else)\b)",
        "[westerns] too, please": r"\b(ALSO(?!\w)|too(?=\s*([.,;!?]|$|\b(please|and|but)\b)))",
    }
)
_ALSO = _ALSO_PHRASES.compiled()
_BREAK = re.compile(r" ?\n\s*+")
_NEAR = 40  # characters before an annotation that say what it is
_SENTENCE_START = re.compile(r"(?:\A|[.!?]\s|\n)\Z")
# Between two categories, these make them alternatives.
_OR = re.compile(rf"[,/&.;!?]|\b{any_of('or, and, with, maybe')}\b", re.IGNORECASE)
# Of two categories, both are wanted.
_BOTH_PHRASES = Phrases(
    {
        "both [scary] and [funny]": r"\bboth (an? )?TITLE\s*(NOUNS )?and (an? )?TITLE",
        "a [comedy] with some [romance]": r"TITLE\s*(NOUNS )?with (SOME )*TITLE",
        "[thrillers] for [kids]": (
            r"TITLE\s*(NOUNS )?for ((the|my|our|small|little|young|all) )*TITLE(?!\s*(or|and) TITLE)"
        ),
        "[scary] AND [funny]": r"TITLE\s*(NOUNS )?(?-i:[A][N][D]) (an? )?TITLE",
        "[scary] and [funny], both": (
            r"TITLE[^.!?MASK]{0,20}\band (an? )?TITLE[^.!?MASK]{0,30}?,\s*both\b(?! (are|were|of|good|fine))"
        ),
        "must be a [western] and must be [funny]": (
            r"MUST be (an? )?TITLE\s*(NOUNS )?,?\s*(and|but) (also |it )*MUST (also )?be (an? )?TITLE"
        ),
        "it is [scary] as well as [funny]": r"\b(be|is|are|'s|thats) TITLE (as well as|(?-i:[A][N][D])) TITLE",
        "that is [scary] and also [funny]": (
            r"\b(that|which)('s|s| is| are) TITLE and (also )?TITLE(?!\s*(,|or|and)\s*TITLE)"
        ),
        "a [western] that's also [funny]": r"TITLE\s*(NOUNS )?(that|which)('s|s| is| are) also (an? )?TITLE",
    },
    {
        "SOME": any_of("some, a, an, the, bit, of, lots, lot, little, elements, touch, hint, dash, good, strong"),
        "MUST": r"(?:must|should|(?:has|have|needs?|ought)\s+to)",
    },
)
_BOTH = _BOTH_PHRASES.compiled()
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
_IS_TITLE = re.compile(r"\s*(?:[>=]|(?:is|was|has)\b)", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![A-Za-z0-9.$€£'])\d{1,3}(?![A-Za-z0-9.%€$£])")


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
        self._named = titles
        self._titles = TitleReader(titles, catalog.popularity)
        self._categories = CategoryReader(catalog.categories, encoder)
        self._ranges, self._years = RangeReader(catalog.numeric_attributes), TitleYears(catalog)
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
        reader._named = titles
        reader._titles = self._titles.changed(titles, items, catalog.popularity)
        reader._unknown_kinds = kinds_unknown_to(catalog)
        if catalog.categories.keys() != self._names:
            reader._names = frozenset(catalog.categories)
            reader._categories = self._categories.changed(catalog.categories)
        reader._ranges, reader._years = RangeReader(catalog.numeric_attributes), TitleYears(catalog)
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
        plain = plain_message(without_asides(with_words_repaired(text[:READ].replace(MASK, " "))))
        titles = [] if is_only_number(plain) else self._titles.find(plain)
        if not is_english(masked(plain, [*titles, *self._categories.find_names(masked(plain, titles))])):
            return self._without_words(plain)
        titles = [self._years.with_year(plain, title) for title in titles if not is_idiom(plain, title)]
        found = [title for title in titles if not self._is_category(plain, title) or is_joined(plain, title, titles)]
        named = {entry.value.items for entry in found if isinstance(entry.value, Mention)}
        kept = {entry.start for entry in found}
        # "Alien, not Aliens. Aliens was bad.": what is once a title is no category elsewhere.
        found = [t for t in titles if t.start in kept or isinstance(t.value, Mention) and t.value.items in named]
        for find in (self._ranges.find, self._categories.find_names, self._categories.find_meanings):
            found += find(masked(plain, found))
        found.sort(key=lambda annotation: annotation.start)
        if not is_only_number(plain):
            found = sorted([*found, *self._titles.find_unknown(plain, found)], key=lambda annotation: annotation.start)
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
        found = with_limits(plain, found)
        count = find_count(masked(plain, found))
        if count and any(is_year_of(entry.value, count.value) for entry in found):
            count = None
        change = _change(AnnotatedMessage.of(plain, found, count), count, self._unknown_kinds)
        if change in (Change(), Change(asks=True)) and (title := title_in_question(plain)):
            return Change(unknown=tuple(title.split(" or ")) if title.islower() else (title,))
        return change

    def _without_words(self, plain: str) -> Change:
        """Return what a message in another language says: the catalog's titles, and a number in digits."""
        mentions = self._titles.find_exact(plain)
        numbers = [int(match[0]) for match in _DIGITS.finditer(masked(plain, mentions))]
        count = numbers[0] if len(numbers) == 1 and 1 <= numbers[0] <= MOST else None
        liked = tuple(entry.value.items for entry in mentions if isinstance(entry.value, Mention))
        asks = count is not None or "?" in plain
        return Change(asks=asks, count=count, liked=liked, foreign=True)

    def _is_category(self, text: str, title: Annotation) -> bool:
        """Return whether what was found as a title is a word for a category in capitals.

        It may be an unknown title, one that begins a sentence, or a word that one title alone has ("Animation").
        """
        words = text[title.start : title.end]
        begins = _SENTENCE_START.search(text, max(0, title.start - 2), title.start)
        if not isinstance(title.value, Unknown) and (" " in words or not begins and self._named.find(words)):
            return False
        names = self._categories.find_names(words)
        if _IS_TITLE.match(text, title.end) and words[-1:] == "s":
            return False  # "Aliens is the best", "Aliens > everything"
        return bool(names) and (words.islower() or any(name.end - name.start == len(words) for name in names))


def _change(message: AnnotatedMessage, count: Annotation | None, unknown_kinds: Sequence[Kind]) -> Change:
    plain, found, lifted = message.plain, message.found, message.lifted
    stated = statements_of(message)
    examples = any(stated.titles.values())
    categories = _categories_asked(message, stated)
    if count and examples and ANOTHER.match(plain, count.start):
        count = None  # "I loved Scream, another slasher please" names no number
    forgetting = [m[0] for m in _FORGET.finditer(plain) if not _CORRECTS.fullmatch(plain, m.start(), m.end() + 1)]
    number = count.value if count and isinstance(count.value, int) and message.asks else None
    return replace(
        categories,
        asks=message.asks,
        count=sum(n for _, n in categories.quotas) if categories.quotas else number,
        liked=tuple(stated.titles["liked"]),
        disliked=tuple(items for items in stated.titles["disliked"] if items not in stated.titles["liked"]),
        known=tuple(stated.titles["known"]),
        allowed=_categories(found, lifted.allowed),
        included=_categories(found, lifted.included),
        taken_back=_categories(found, lifted.taken_back),
        withdrawn=tuple(stated.withdrawn),
        limits=tuple(stated.limits.items()),
        ranges=tuple(dict.fromkeys(stated.ranges)),
        excluded=tuple(dict.fromkeys(stated.excluded)),
        widening=tuple(stated.widening),
        any_category=takes_any_category(plain),
        more=asks_for_more(plain, examples) and message.asks,
        forget=bool(forgetting),
        unknown=tuple(dict.fromkeys(stated.unknown)),
        unknowable=find_unknowable(_asking(message), unknown_kinds),
        about=tuple(stated.about),
        compared=find_comparison(plain) if message.asks else "",
        judges=""
        if categories.only
        else judgment_of_last_message(
            plain, next((entry.start for entry in found if isinstance(entry.value, (Mention, Unknown))), len(plain))
        ),
    )


def _categories_asked(message: AnnotatedMessage, stated: Statements) -> Change:
    """Return the categories that a message asks for and those that it rejects."""
    plain = message.plain
    wanted = stated.wanted
    if message.asks and not wanted and not stated.titles["liked"]:
        wanted = stated.favorites  # "I love horror. Give me three."
    wanted = _corrected(plain, wanted)
    names = tuple(dict.fromkeys(map(category_of, wanted)))
    # "No horror fan, but my friends are: two scary ones": the last word counts.
    last = {category_of(annotation): annotation.start for annotation in wanted}
    without = tuple(
        name
        for name, entry in stated.rejections.items()
        if entry.start > last.get(name, -1) or not has_asking_words(plain[entry.start : last[name]])
    )
    narrows = bool(_NARROWING.match(plain)) and len(names) == 1
    both = _BOTH.search(plain)
    also = narrows or bool(_ALSO.search(masked(plain, [Annotation(*both.span(), None)]) if both else plain))
    quotas = find_quotas(plain, wanted) if not set(names) & set(without) else ()
    several = len(names) > 1 or bool(names) and also
    joined = narrows or bool(both or _TOGETHER.search(plain)) or len(names) > 1 and _is_compound(plain, wanted, names)
    return Change(
        quotas=quotas,
        only=tuple(name for name in names if name not in without),
        together=several and joined and not quotas,
        also=also,
        without=without,
        kinds=tuple(name for name in without if is_of_kind(stated.rejections[name])),
    )


def _asking(message: AnnotatedMessage) -> list[str]:
    """Return the sentences that ask, with titles as "": "Notorious with Cary Grant" wishes for no actor."""
    text = list(message.plain)
    for entry in message.found:
        if isinstance(entry.value, (Mention, Unknown)):
            text[entry.start : entry.end] = '"' * (entry.end - entry.start)
    return ["".join(text[entry.start : entry.end]) for entry in message.sentences if entry.asks]


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
    return tuple(dict.fromkeys(category_of(entry) for entry in chosen if isinstance(entry.value, CategoryWords)))


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
        together.add(category_of(annotation))
        if together == {*names}:
            return True
    return False
