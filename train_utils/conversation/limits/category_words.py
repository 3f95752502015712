"""Categories that a message names: by name, by inflection, and by meaning."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from train_utils.conversation.limits.category_thesaurus import names_kind, thesaurus
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import BAD, BORED, GOOD, MOVED, NO_TITLE, NOUNS, VAGUE, any_of
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.remembered import Remembered

# Categories that say nothing about an item.
_NO_MEANING = {"unknown", "other", "others", "misc", "miscellaneous", "none", "n/a", "na", "no genres listed", "all"}
_NOUN = re.compile(any_of(NOUNS))
# Judgments ("all horrible"), and what happened to somebody ("I've laughed enough"), mean no category.
_VAGUE = re.compile(any_of(f"{VAGUE}, {GOOD}, {BAD}, {MOVED}, {BORED}"))
_DONE = re.compile(
    r"\b(?:i|we|he|she|they|you)(?:'ve|'d|\s+have|\s+had|\s+has)?\s+(?:\w+ly\s+|just\s+)?(?=\w+ed\b)", re.I
)
_NAME = re.compile(r"(?<=[^.!?\s] )[A-Z](?=[a-z])")  # a capital within a sentence
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
# Only where a word describes what is wanted may its meaning count: before a noun for items ("chilling movies"), after
# "something really", "not too" or "in the mood for", or where it is the whole sentence; and not in "I am french".
_WISHED = re.compile(
    rf"(?:\b{any_of('something, anything, nothing, somethin, sth, smth, stuff')}\s+(?:that\s+is\s+|that's\s+)?"
    rf"|\b{any_of('mood for, feel like, feeling like, fancy, craving, up for')}\s+"
    rf"|\b{any_of('with some, with a bit of, with lots of')}\s+"
    rf"|\b{any_of('too, more, less, should be, must be, has to be, make it, nothing but')}\s+"
    rf"|(?:^|[.!?\n])\s*(?:and\s+|but\s+|now\s+|ok\s+)?)"
    rf"(?:{any_of('a, an, some, really, very, truly, properly, quite, more, so, less, bit, little, good')}\s+)*$",
    re.IGNORECASE,
)
_WISH_ENDS = re.compile(r"\s*(?:[.,;!?\n]|$|(?:please|pls|and|or|but|for|from|with|tonight|instead)\b)", re.IGNORECASE)
# At most two words, and no category, stand before the noun: in "a brutal war film", the category says what is wanted.
_DESCRIBES = re.compile(
    rf"(?:,?\s+(?:and\s+|or\s+|but\s+)?(?!{any_of(NOUNS)}\b)[^\W\d_][\w-]*){{0,2}}\s+{any_of(NOUNS)}\b", re.IGNORECASE
)
_NEAR = 40  # characters before a word that say whether it describes what is wanted
# Cosine of a word's vector and a category's from which on the word means the category, and its least lead over the
# second category. With a smaller lead, nearly every second adjective means another thing ("random", "cozy").
_LEAST, _LEAD = 0.66, 0.1
# Words are compared before these: "funny" alone is as near to Mystery as to Comedy.
_NOUNS = ("movie", "film", "story")
_ONLY_IN_PAIRS = {"love"}  # "love story", and not "I love"
_LONG_WORD = 5  # letters; a shorter word is near to too many words to be a misspelled category
_REMEMBERED = 20_000  # phrases whose meaning is kept, and words of which it is known what they misspell
_TEXTS = 64  # texts whose names are kept: those of one message, which are read more than once

# texts -> float [texts, d], of length 1
Encoder = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class CategoryWords:
    """Words that name a category.

    Attributes:
        category: the category.
        by_meaning: whether the words are not its name.
        of_kind: whether they name only a kind of it ("slapstick").
    """

    category: str
    by_meaning: bool = False
    of_kind: bool = False


class CategoryReader:
    """Reader of the categories of a catalog.

    Args:
        categories: their names.
        encoder: encodes texts for the comparison of meanings; None reads names and their inflections only.
    """

    def __init__(self, categories: Iterable[str], encoder: Encoder | None = None):
        self.categories = [name for name in categories if name.lower().strip("() ") not in _NO_MEANING]
        # Longer names first: "Action & Adventure" before "Action".
        self._patterns = [
            (name, _pattern(name)) for name in sorted(self.categories, key=len, reverse=True) if _WORD.search(name)
        ]
        self._named: Remembered[str, list[Annotation]] = Remembered(_TEXTS)
        self._misspelled: Remembered[str, str] = Remembered(_REMEMBERED)
        self._forms: dict[str, dict[str, str]] = {}  # first letter -> category's form -> category
        for name in self.categories:
            for form in _plain_forms(name):
                if len(form) > _LONG_WORD:
                    self._forms.setdefault(form[0], {})[form] = name
        self._thesaurus = thesaurus(self.categories)
        self._encoder = encoder
        self._nearest: dict[str, str] = {}  # phrase -> the category that it means; "" for none
        self._vectors: dict[str, np.ndarray] = {}  # category -> its vectors, float [nouns, d]

    def changed(self, categories: Iterable[str]) -> "CategoryReader":
        """Return the reader of other categories, of which only new ones are encoded."""
        reader = CategoryReader(categories, self._encoder)
        reader._vectors = self._vectors
        return reader

    def find_names(self, text: str) -> list[Annotation]:
        """Return the categories that a message names, also in another inflection, by a usual word, or misspelled.

        Args:
            text: the message, in which titles are masked.
        """
        return self._named.get(text, self._find_names)

    def _find_names(self, text: str) -> list[Annotation]:
        found: list[Annotation] = []
        for name, pattern in self._patterns:
            for match in pattern.finditer(text):
                _add(found, match.start(), match.end(), name)
        for names, pattern in self._thesaurus:
            for match in pattern.finditer(text):
                # "rom-com" stands for two categories: each gets a part of it.
                cuts = [match.start() + (match.end() - match.start()) * n // len(names) for n in range(len(names) + 1)]
                for start, end, name in zip(cuts, cuts[1:], names, strict=False):
                    _add(found, start, end, name, names_kind(match[0]))
        words = [(match.start(), match.end(), match[0].lower()) for match in _WORD.finditer(text)]
        misspelled = {word: self._misspelled.get(word, self._find_misspelled) for word in {word for *_, word in words}}
        for start, end, word in words:
            if misspelled[word]:
                _add(found, start, end, misspelled[word])
        return sorted(found, key=lambda annotation: annotation.start)

    def _find_misspelled(self, word: str) -> str:
        """Return the category that a word misspells by one letter; "" for none."""
        if len(word) < _LONG_WORD or word in COMMON_WORDS or _NOUN.fullmatch(word) or word.endswith("ed"):
            return ""
        forms = self._forms.get(word[0], {})
        near = process.extractOne(word, forms.keys(), scorer=OSA.distance, score_cutoff=1)
        return forms[near[0]] if near and near[1] else ""

    def find_meanings(self, text: str) -> list[Annotation]:
        """Return the words that mean a category without naming it ("funny", "love story").

        Args:
            text: the message, in which titles, names of categories and ranges are masked. Words that do not describe
                what is wanted mean nothing.
        """
        if self._encoder is None or not self.categories:
            return []
        passed = {match.end() for match in _DONE.finditer(text)} | {match.start() for match in _NAME.finditer(text)}
        words = [
            match
            for match in _WORD.finditer(text)
            if match.start() not in passed and (_may_mean(match[0]) or match[0].lower() in _ONLY_IN_PAIRS)
        ]
        pairs = zip(words, words[1:], strict=False)
        spans = [match.span() for match in words if match[0].lower() not in _ONLY_IN_PAIRS]
        spans += [(one.start(), other.end()) for one, other in pairs if text[one.end() : other.start()] in (" ", "-")]
        spans = [span for span in spans if _describes_a_wish(text, *span)]
        meanings = self._compare({text[start:end].lower() for start, end in spans})
        found: list[Annotation] = []
        for start, end in spans:
            category = meanings[text[start:end].lower()]
            if category and not any(start < other.end and other.start < end for other in found):
                found.append(Annotation(start, end, CategoryWords(category, by_meaning=True)))
        return sorted(found, key=lambda annotation: annotation.start)

    def _compare(self, phrases: Collection[str]) -> dict[str, str]:
        """Return the category that each phrase means, "" for none; one call of the encoder is for all new phrases."""
        if len(self._nearest) > _REMEMBERED:
            self._nearest = {}
        nearest = self._nearest
        if new := sorted(set(phrases) - nearest.keys()):
            cosines = np.einsum("npd,ncd->pc", self._in_phrases(new), self._category_vectors) / len(_NOUNS)
            best = cosines.argmax(axis=1)
            second = np.sort(cosines, axis=1)[:, -2] if cosines.shape[1] > 1 else np.full(len(new), -1.0)
            for phrase, category, first, next_one in zip(new, best, cosines.max(axis=1), second, strict=True):
                clear = first >= _LEAST and first - next_one >= _LEAD
                nearest[phrase] = self.categories[category] if clear else ""
        return {phrase: nearest[phrase] for phrase in phrases}

    @cached_property
    def _category_vectors(self) -> np.ndarray:
        """Vectors of the categories, float [nouns, categories, d]."""
        if new := [name for name in self.categories if name not in self._vectors]:
            self._vectors |= zip(new, self._in_phrases(new).swapaxes(0, 1), strict=True)
        return np.stack([self._vectors[name] for name in self.categories], axis=1)

    def _in_phrases(self, words: Sequence[str]) -> np.ndarray:
        """Return the vectors of words before each of `_NOUNS`, float [nouns, words, d]."""
        assert self._encoder is not None
        return np.stack([self._encoder([f"{word} {noun}" for word in words]) for noun in _NOUNS])


def _add(found: list[Annotation], start: int, end: int, category: str, of_kind: bool = False) -> None:
    """Add an annotation, unless another one has a part of its span."""
    if not any(start < other.end and other.start < end for other in found):
        found.append(Annotation(start, end, CategoryWords(category, of_kind=of_kind)))


def _describes_a_wish(text: str, start: int, end: int) -> bool:
    """Return whether words stand where a message describes the items that it wants."""
    if _DESCRIBES.match(text, end):
        return True
    return bool(_WISHED.search(text, max(0, start - _NEAR), start) and _WISH_ENDS.match(text, end))


def _may_mean(word: str) -> bool:
    plain = word.lower()
    return (
        len(plain) > 2
        and plain not in COMMON_WORDS | NO_TITLE
        and not (_NOUN.fullmatch(plain) or _VAGUE.fullmatch(plain))
    )


def _plain_forms(name: str) -> Iterator[str]:
    """Yield a category's name in lower case, in singular and plural."""
    plain = name.lower()
    yield from (plain, f"{plain}s", f"{plain[:-1]}ies" if plain.endswith("y") else plain)


@lru_cache(maxsize=_REMEMBERED)
def _pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a category's name in a message."""
    return re.compile(rf"(?<!\w)(?<!pre-)(?<!post-){_inflected(name)}(?!\w)", re.IGNORECASE)


def _inflected(name: str) -> str:
    """Return a pattern of a category's name in singular, plural and possessive, with any separators."""
    words = [re.sub(r"'s$", "", word) for word in re.findall(r"[^\W_]+(?:'s)?", name.lower())]
    return r"[\s\-'/&,]*(?:and\s+)?".join([*map(re.escape, words[:-1]), _forms(words[-1])])


def _forms(word: str) -> str:
    stem = re.escape(word)
    if word.endswith("ies"):
        return f"{re.escape(word[:-3])}(?:ies|y)"
    if word.endswith("y") and len(word) > 3:
        return f"(?:{stem}s?|{re.escape(word[:-1])}ies)"
    if word.endswith("s") and not word.endswith("ss"):
        return f"(?:{stem}|{re.escape(word[:-1])})(?:'s?)?"
    return f"{stem}(?:'?e?s)?'?"
