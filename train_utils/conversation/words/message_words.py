"""Words of a message, with what is known of each before titles are read from them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import BAD, BASIC_DISLIKING, GOOD, LIKES, NOUNS
from train_utils.conversation.words.title_contexts import TitleContexts, covered_words, with_series
from train_utils.conversation.words.verdicts import expressions
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.everyday_words import EVERYDAY_WORDS
from train_utils.prompts.near_titles import NearTitles, Word, words_of
from train_utils.prompts.templates import in_words

SHOWN = 80  # characters of an unknown title that are kept
MOST_WORDS = 9  # words of a loosely written title
# Least letters of a single word that may be a misspelled title, in lower case and in capitals after "like": a shorter
# word is near to too many others.
WORD_LENGTH, NAME_LENGTH = 7, 5
GAP = re.compile(r" ?[-/:]? ?|'")  # between the words of a title
CONNECTING = set(str.split("of the in on to a an at for with from de la le der no"))
# What a word of a title counts for its being one: an uncommon word, and an everyday one.
RARE, _EVERYDAY = 2.0, 1.0
_ENDINGS = (("s", ""), ("es", ""), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"), ("er", ""), ("ly", ""), ("'s", ""))
# Of several words, one may be a title ("never bettered", "a work of art").
_JUDGING = {word for phrase in f"{BASIC_DISLIKING},{LIKES}".split(",") for word in phrase.split()}
_JUDGING |= {phrase.strip() for phrase in f"{GOOD},{BAD}".split(",")}
_NOUN_WORDS = {noun.strip() for noun in NOUNS.split(",")}
_WEIGHTLESS = {
    *CONNECTING,
    *_NOUN_WORDS,
    *_JUDGING,
    *COMMON_WORDS,
    *(word.replace("'", "") for word in COMMON_WORDS),
    *map(in_words, range(1, 13)),
}


@dataclass(frozen=True)
class Unknown:
    """Title that the catalog does not have, as typed."""

    text: str


@dataclass(frozen=True)
class MessageWords:
    """Words of a message. The sequences have one entry per word.

    Attributes:
        text: the message.
        words: the words.
        common: whether a word is a common one.
        at: position in the text -> the word that begins there.
        weights: what each counts as a word of a title; 0 for a common one, a noun of the domain, or an article.
        noun: whether it is a noun of the domain, such as "movie".
        capital: whether it begins with a capital letter.
        covered: whether it is part of a title that is written as in the catalog.
        exact: start -> title that is written as in the catalog.
        contexts: where titles may begin.
        mixed: whether most letters are in lower case, so that capitals mean something.
        near: the catalog's titles by loose spelling.
        joined_ends: end of words -> end of the title that is joined to them, where it was looked for.
    """

    text: str
    words: Sequence[Word]
    common: Sequence[bool]
    at: Mapping[int, int]
    weights: Sequence[float]
    noun: Sequence[bool]
    capital: Sequence[bool]
    covered: Sequence[bool]
    exact: Mapping[int, Annotation]
    contexts: TitleContexts
    mixed: bool
    near: NearTitles
    joined_ends: dict[int, int] = field(default_factory=dict)

    @cached_property
    def expressions(self) -> Sequence[tuple[int, int]]:
        """(start, end) of the expressions of liking, dislike or knowledge, by their start."""
        return expressions(self.text)

    @classmethod
    def of(cls, text: str, exact: Sequence[Annotation], near: NearTitles) -> "MessageWords":
        """Return the words of a message, of which the titles that are written as in the catalog are given."""
        words, exact = words_of(text), with_series(text, exact)
        lower = [text[word.start : word.end].lower() for word in words]
        letters = [character for character in text if character.isalpha()]
        return cls(
            text,
            words,
            common=[word in COMMON_WORDS for word in lower],
            at={word.start: number for number, word in enumerate(words)},
            weights=[weight_of_word(word) for word in lower],
            noun=[word in _NOUN_WORDS for word in lower],
            capital=[text[word.start].isupper() for word in words],
            covered=covered_words(words, exact),
            exact={annotation.start: annotation for annotation in exact},
            contexts=TitleContexts.of(text),
            mixed=2 * sum(character.islower() for character in letters) > len(letters),
            near=near,
        )


@lru_cache(maxsize=10_000)
def weight_of_word(word: str) -> float:
    """Return what a word in lower case counts as a word of a title."""
    if word in _WEIGHTLESS:
        return 0.0
    if word.isdigit():
        return _EVERYDAY
    forms = [word, *(word.removesuffix(end) + new for end, new in _ENDINGS if word.endswith(end))]
    return _EVERYDAY if any(form in EVERYDAY_WORDS or form in _WEIGHTLESS for form in forms) else RARE
