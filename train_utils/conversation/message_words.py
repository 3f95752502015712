"""Words of a message, with what is known of each before titles are read from them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train_utils.conversation.annotations import Annotation
from train_utils.conversation.lexicon import NOUNS
from train_utils.conversation.title_contexts import TitleContexts, covered_words, with_series
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.near_titles import NearTitles, Word, words_of

SHOWN = 80  # characters of an unknown title that are kept
MOST_WORDS = 9  # words of a loosely written title
# Least letters of a single word that may be a misspelled title, in lower case and in capitals after "like": a shorter
# word is near to too many others.
WORD_LENGTH, NAME_LENGTH = 7, 5
GAP = re.compile(r" ?[-/:]? ?|'")  # between the words of a title
CONNECTING = set(str.split("of the in on to a an at for with from de la le der no"))
_NOUN_WORDS = {noun.strip() for noun in NOUNS.split(",")}


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
        noun: whether it is a noun of the domain, such as "movie".
        capital: whether it begins with a capital letter.
        covered: whether it is part of a title that is written as in the catalog.
        exact: start -> title that is written as in the catalog.
        contexts: where titles may begin.
        mixed: whether most letters are in lower case, so that capitals mean something.
        near: the catalog's titles by loose spelling.
    """

    text: str
    words: Sequence[Word]
    common: Sequence[bool]
    noun: Sequence[bool]
    capital: Sequence[bool]
    covered: Sequence[bool]
    exact: Mapping[int, Annotation]
    contexts: TitleContexts
    mixed: bool
    near: NearTitles

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
            noun=[word in _NOUN_WORDS for word in lower],
            capital=[text[word.start].isupper() for word in words],
            covered=covered_words(words, exact),
            exact={annotation.start: annotation for annotation in exact},
            contexts=TitleContexts.of(text),
            mixed=2 * sum(character.islower() for character in letters) > len(letters),
            near=near,
        )
