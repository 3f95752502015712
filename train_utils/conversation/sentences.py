"""What each sentence of a message does: it asks for items, it asks about one, or it states something."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from train_utils.conversation import sentence_patterns as patterns
from train_utils.conversation.annotations import Annotation
from train_utils.conversation.asking import ASKING_FOR_ITEMS, INTERROGATIVE
from train_utils.conversation.message_words import Unknown
from train_utils.conversation.verdicts import verdict
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

    @classmethod
    def of(
        cls,
        plain: str,
        start: int,
        end: int,
        found: Sequence[Annotation],
        count: Annotation | None,
        lifted: Collection[int],
    ) -> "Sentence":
        text = plain[start:end]
        informs = bool(patterns.INFORMATION.search(text)) or any(
            patterns.INFORMATION_ON_TITLE.search(plain, max(start, entry.start - _NEAR), entry.start)
            for entry in found
            if start <= entry.start < end and isinstance(entry.value, (Mention, Unknown))
        )
        of_fans = bool(patterns.OF_FANS.match(text))
        informs = informs and not of_fans
        inside = [entry.value for entry in found if start <= entry.start < end]
        names = any(isinstance(value, (Mention, Unknown)) for value in inside)
        if names and not informs and not of_fans and patterns.QUERY.match(text):
            informs = not patterns.LIKENED.search(text) or bool(patterns.LIKING_QUERY.match(text))
        titles = [isinstance(value, (Mention, Unknown)) for value in inside]
        counts = bool(count and start <= count.start < end)
        says = bool(inside) or counts or bool(asks_for_more(text) or patterns.ANY_CATEGORY.search(text))
        statement = bool(match := patterns.STATEMENT.match(text))
        if match and match["title"] and not any(titles):
            statement = False  # "and not animated"
        if (
            titles
            and all(titles)
            and not counts
            and not (patterns.LIKENED.search(text) or patterns.VARIED.search(text))
        ):
            # "I take Heat back", "Heat shook me badly"; and not "Heat, Alien"
            statement = statement or bool(
                patterns.TOLD.search(text) or patterns.JUDGING.search(text) or verdict(plain, start, end)
            )
            statement = statement or len(patterns.OTHER_WORD.findall(text)) > 1
        if statement and patterns.REFUSED.search(text):
            statement = False
        alone = counts and count and patterns.LEAD.search(plain, max(start, count.start - _NEAR), count.start)
        if count and counts and (patterns.AMOUNTS_TO.match(plain, count.end) or alone and asks_for_more(text)):
            statement = False
        if any(start <= at < end for at in lifted) or patterns.ANY_CATEGORY.search(text):
            statement = False  # "horror is fine now"
        if (
            statement
            and patterns.HEADING.match(text)
            or statement
            and _ends_in_request(_without_titles(text, start, found))
        ):
            statement = False
        # The slowest pattern is tried last.
        wants = (
            not statement or "?" in text or bool(INTERROGATIVE.match(text)) or _is_asked(patterns.ASKING_WORDS, text)
        )
        asks = not informs and not patterns.NOT_ASKING.search(text)
        asks = asks and (
            says and wants or not statement and _is_polite(text) or of_fans or _is_asked(ASKING_FOR_ITEMS, text)
        )
        return cls(start, end, asks, informs, names, not asks and bool(patterns.STATED.match(text)))


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


def _without_titles(text: str, start: int, found: Sequence[Annotation]) -> str:
    """Return a sentence in which the titles are no annotations."""
    characters = list(text)
    for entry in found:
        if isinstance(entry.value, (Mention, Unknown)) and start <= entry.start < start + len(text):
            characters[entry.start - start : entry.end - start] = '"' * (entry.end - entry.start)
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
        Sentence.of(plain, start, end, found, count, lifted)
        for start, end in zip(cuts, cuts[1:], strict=False)
        if end > start
    ]
    answers = zip(sentences, sentences[1:], strict=False)
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
