"""What each sentence of a message does: it asks for items, it asks about one, or it states something."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from train_utils.conversation import sentence_patterns as patterns
from train_utils.conversation.asking import ASKING_FOR_ITEMS, INTERROGATIVE
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.message_words import Unknown
from train_utils.conversation.words.verdicts import verdict
from train_utils.prompts.named_titles import Mention

_SHORT = 12  # words
_NEAR = 40  # characters before a title that tell whether a sentence asks about it


@dataclass(frozen=True)
class Sentence:
    """Sentence of a message.

    Attributes:
        start: position of its first character.
        end: position after its last character.
        asks: whether it asks for recommendations.
        informs: whether it asks about a title or the catalog instead.
        names: whether it names a title.
        likes: whether it only says that the user likes something.
    """

    start: int
    end: int
    asks: bool
    informs: bool
    names: bool
    likes: bool


@dataclass(frozen=True)
class _Reading:
    """What was read of one sentence.

    Attributes:
        plain: the message, with its annotations masked.
        start: position of its first character.
        end: position after its last character.
        inside: its annotations.
        count: the number of items, if the sentence names it.
        lifts: whether it takes something back.
    """

    plain: str
    start: int
    end: int
    inside: Sequence[Annotation]
    count: Annotation | None
    lifts: bool

    @property
    def text(self) -> str:
        return self.plain[self.start : self.end]

    @property
    def titles(self) -> list[Annotation]:
        return [entry for entry in self.inside if isinstance(entry.value, (Mention, Unknown))]

    def near(self, position: int) -> int:
        """Return where the words before a position begin that say what it is about."""
        return max(self.start, position - _NEAR)


def _sentence(reading: _Reading) -> Sentence:
    text = reading.text
    of_fans = bool(patterns.OF_FANS.match(text))
    informs = not of_fans and _informs(reading)
    is_statement = _is_statement(reading)
    asks = False
    if not informs and not patterns.NOT_ASKING.search(text):
        asks = (
            _names_something(reading)
            and (not is_statement or _is_worded_as_question(text))
            or not is_statement
            and _is_polite(text)
            or of_fans
            or _is_asked(ASKING_FOR_ITEMS, text)
        )
    likes = not asks and bool(patterns.STATED.match(text))
    return Sentence(reading.start, reading.end, asks, informs, bool(reading.titles), likes)


def _informs(reading: _Reading) -> bool:
    """Return whether a sentence asks about a title or the catalog, instead of for items."""
    text = reading.text
    if patterns.INFORMATION.search(text) or any(
        patterns.INFORMATION_ON_TITLE.search(reading.plain, reading.near(title.start), title.start)
        for title in reading.titles
    ):
        return True
    if reading.titles and len(reading.titles) == len(reading.inside) and patterns.AVAILABLE.search(text):
        return True
    return bool(
        reading.titles
        and patterns.QUERY.match(text)
        and (not patterns.LIKENED.search(text) or patterns.LIKING_QUERY.match(text))
    )


def _names_something(reading: _Reading) -> bool:
    """Return whether a sentence has anything that a request for items may consist of."""
    text = reading.text
    return bool(reading.inside or reading.count or asks_for_more(text) or patterns.ANY_CATEGORY.search(text))


def _is_worded_as_question(text: str) -> bool:
    # The slowest pattern is tried last.
    return "?" in text or bool(INTERROGATIVE.match(text)) or has_asking_words(text)


def _is_statement(reading: _Reading) -> bool:
    """Return whether a sentence only states something; it may still ask in words for it."""
    match = patterns.STATEMENT.match(reading.text)
    # "Heat too", and not "and not animated"
    is_worded = bool(match and (not match["title"] or reading.titles))
    return (is_worded or _judges_titles(reading)) and not _is_condition(reading)


def _judges_titles(reading: _Reading) -> bool:
    """Return whether a sentence says something of titles: "Heat shook me badly", and not "Heat, Alien"."""
    text = reading.text
    if not reading.titles or len(reading.titles) < len(reading.inside) or reading.count:
        return False
    if patterns.LIKENED.search(text) or patterns.VARIED.search(text):
        return False
    return bool(
        patterns.TOLD.search(text)
        or patterns.JUDGING.search(text)
        or verdict(reading.plain, reading.start, reading.end)
        or len(patterns.OTHER_WORD.findall(text)) > 1
    )


def _is_condition(reading: _Reading) -> bool:
    """Return whether a sentence in the form of a statement is a request, or a condition of one."""
    text, plain, count = reading.text, reading.plain, reading.count
    if count and patterns.AMOUNTS_TO.match(plain, count.end):
        return True
    if count and patterns.LEAD.search(plain, reading.near(count.start), count.start) and asks_for_more(text):
        return True
    return bool(
        reading.lifts  # "horror is fine now"
        or patterns.ANY_CATEGORY.search(text)
        or patterns.REFUSED.search(text)
        or patterns.HEADING.match(text)
        or _ends_in_request(_without_titles(reading))
    )


def _is_polite(text: str) -> bool:
    """Return whether a sentence is a short request by "please", and not for something else than items."""
    return (
        bool(patterns.PLEASE.search(text)) and len(text.split()) <= _SHORT and not patterns.OTHER_BUSINESS.search(text)
    )


def _is_asked(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether a sentence has a pattern's words, and not only after "never" or "don't", or in what it reports."""
    reported: list[tuple[int, int]] | None = None
    for match in pattern.finditer(text):
        if patterns.REFUSING.search(text, max(0, match.start() - _NEAR), match.start()):
            continue
        if reported is None:
            reported = [entry.span() for entry in patterns.REPORTED.finditer(text)]
        if not any(low <= match.start() < high for low, high in reported):
            return True
    return False


def _without_titles(reading: _Reading) -> str:
    """Return a sentence in which the titles are no annotations."""
    characters = list(reading.text)
    for title in reading.titles:
        characters[title.start - reading.start : title.end - reading.start] = '"' * (title.end - title.start)
    return "".join(characters)


def _ends_in_request(text: str) -> bool:
    """Return whether a sentence ends in a request without a verb; "I own comedies, dramas" only enumerates."""
    match = patterns.BARE_END.match(text)
    return bool(match and (match["lead"] or match["then"] or not patterns.THING.search(match["before"])))


def sentences_of(
    plain: str, found: Sequence[Annotation], count: Annotation | None, lifted: Collection[int] = ()
) -> list[Sentence]:
    """Return the sentences of a message.

    Args:
        plain: the message, with its annotations masked.
        found: its annotations.
        count: the number of items that it names.
        lifted: positions of what it takes back.
    """
    cuts = [0, *(match.end() for match in patterns.SENTENCE_END.finditer(plain)), len(plain)]
    sentences = [
        _sentence(
            _Reading(
                plain,
                start,
                end,
                inside=[entry for entry in found if start <= entry.start < end],
                count=count if count and start <= count.start < end else None,
                lifts=any(start <= position < end for position in lifted),
            )
        )
        for start, end in zip(cuts, cuts[1:], strict=False)
        if end > start
    ]
    for at, (one, after) in enumerate(pairwise(sentences), 1):
        if one.informs and one.names and after.asks and _is_topic(plain, after):  # "Have you got Dune? Up?"
            sentences[at] = replace(after, asks=False, informs=True)
    # "Which one? Yes! Heat.": what follows an exclamation is the answer as well.
    beyond = [
        (one, after)
        for one, between, after in zip(sentences, sentences[1:], sentences[2:], strict=False)
        if patterns.EXCLAIMED.fullmatch(plain, between.start, between.end)
    ]
    answers = [*pairwise(sentences), *beyond]
    asked = {
        one
        for one, answer in answers
        if _is_topic(plain, one)
        and not answer.asks
        and (patterns.VERDICT.match(plain, answer.start) or verdict(plain, answer.start, answer.end))
    }
    return [replace(entry, asks=False) if entry in asked else entry for entry in sentences]


def _is_topic(plain: str, sentence: Sentence) -> bool:
    """Return whether a sentence only names the title that the next one judges ("Heat? Seen it.")."""
    return sentence.names and bool(patterns.TOPIC.fullmatch(plain, sentence.start, sentence.end))


def asks_for_more(plain: str, names_titles: bool = False) -> bool:
    """Return whether a message asks for further items of the same kind.

    Args:
        plain: the message, with its annotations masked.
        names_titles: whether it names examples, which "another film" then follows, and no list before.
    """
    plain = patterns.ANOTHER.sub(" ", plain) if names_titles else plain
    return not patterns.SHIFTED.search(plain) and any(
        not patterns.MORE_OFTEN.search(plain, max(0, match.start() - _NEAR), match.start())
        for match in patterns.MORE.finditer(plain)
    )


def has_asking_words(text: str) -> bool:
    """Return whether a text has words with which a statement asks for something."""
    return _is_asked(patterns.ASKING_WORDS, text)


def takes_any_category(plain: str) -> bool:
    """Return whether a message takes back a restriction to categories."""
    return bool(patterns.ANY_CATEGORY.search(plain))
