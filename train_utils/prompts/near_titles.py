"""Titles that people write loosely: another spelling of numbers and articles, part of a title, or a typing error.

The words of such a title are found by `NearTitles` where the text makes them a title; `NamedTitles` finds titles that
are written as the catalog does, anywhere in a text.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.templates import in_words

_WORD = re.compile(r"[^\W_]+(?:['.][^\W_]+)*|&")
_ARTICLES = {"the", "a", "an"}
_PARTS = {"part", "pt", "episode", "ep", "volume", "vol", "chapter", "no", "number"}
_ROMAN = str.split("ii iii iv v vi vii viii ix x xi xii")  # without "i", which is a pronoun
_SAME = {
    **{in_words(number): str(number) for number in range(1, 13)},
    **{numeral: str(number) for number, numeral in enumerate(_ROMAN, 2)},
    **{"&": "and", "n": "and", "blvd": "boulevard", "dr": "doctor", "mr": "mister", "vs": "versus", "st": "saint"},
}
_NUMBER_WORDS = frozenset(map(in_words, range(1, 13)))
_INITIALS = re.compile(r"(?:[A-Z][.*]){2,}[A-Z]?(?!\w)")
# Errors that a key of so many characters may have: (least length, errors). Shorter keys are near to other words.
_ERRORS = ((16, 3), (9, 2), (5, 1))
# Characters that stay right at the beginning or the end of a key, and of a long one.
_AFFIX, _LONG_AFFIX, _LONG = 2, 3, 9
_LEAST = 3  # characters of a key
_LEAST_ALONE = 4  # of a word that stands for the title that it is in
_REMEMBERED = 1000  # keys whose nearest title is kept: the conversations of a day repeat themselves
_NOT_LETTERS = re.compile(r"\D+")
_YEAR = re.compile(r" \((?:18|19|20)[0-9]{2}\)$")
_ARTICLE_LAST = re.compile(r"^(.+), (?:the|an?)$", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|an?)\s|, (?:the|an?)\b|[(:-]\s?(?:the|an?)\s", re.IGNORECASE)
_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_SUBTITLE = re.compile(r"\s*:\s+|\s+-\s+|,\s+or\s+|\s+or:\s+")
_COMMA = re.compile(r",\s+")
_NUMERAL = re.compile(r" (?:[IVX]+|\d+)$")
_COMPANY = re.compile(r"\s+and\s+(?:the|his|her|an?)\s+|\s+the\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Word:
    """Word of a text.

    Attributes:
        start: position of its first character.
        end: position after its last character.
        key: the word in the spelling that is compared; "" for an article, which is not compared.
    """

    start: int
    end: int
    key: str


def words_of(text: str, start: int = 0, end: int | None = None) -> list[Word]:
    """Return the words of a part of a text."""
    spans = [match.span() for match in _WORD.finditer(text, start, len(text) if end is None else end)]
    return [Word(first, last, _word_key(text[first:last])) for first, last in spans]


def key_of(words: Sequence[Word]) -> str:
    """Return the key of a title in these words: its letters and digits, without articles and "part" before a number."""
    following = [*[word.key for word in words[1:]], ""]
    kept = [word.key for word, after in zip(words, following, strict=False) if not _counts(word.key, after)]
    return "".join(kept)


class NearTitles:
    """Titles by loose spelling.

    Args:
        titles: the catalog's titles, in item order.
    """

    def __init__(self, titles: Sequence[str]):
        self._titles = titles
        self.nearest = lru_cache(maxsize=_REMEMBERED)(self._nearest)

    def items(self, key: str) -> tuple[int, ...]:
        """Return the items whose title, or a part of it that stands for it, has a key; () for none."""
        return self._items.get(key, ()) if len(key) >= _LEAST and not key.isdigit() else ()

    def is_whole(self, key: str) -> bool:
        """Return whether a title, or what is before its subtitle, has a key, and not only another part of it."""
        return key in self._whole or key in self._heads

    def numbered(self, number: str) -> tuple[int, ...]:
        """Return the item whose title has a number before its subtitle, or is one in words; () for several."""
        return self._numbered.get(number, ())

    def initials(self, key: str) -> tuple[int, ...]:
        """Return the item whose title begins with these initials ("E.T. the Extra-Terrestrial"); () for several."""
        return self._initials.get(key, ())

    def shortened(self, key: str) -> tuple[int, ...]:
        """Return the item of which at least half of the title, from its beginning or to its end, has a key."""
        return self._shortened.get(key, ())

    def of_series(self, key: str, text: str) -> tuple[int, ...]:
        """Return the item with a key for its subtitle whose series a text names; () for none.

        Args:
            key: of the words that may be the subtitle ("First Contact").
            text: the text, in lower case ("we have done all of Star Trek ...").
        """
        head, items = self._subtitles.get(key, ("", ()))
        return items if head and head in text else ()

    def has_article(self, items: Sequence[int]) -> bool:
        """Return whether the title of one of the items begins with an article."""
        return any(_ARTICLE.search(_YEAR.sub("", self._titles[item])) for item in items)

    def begun(self, key: str) -> tuple[int, ...]:
        """Return the item whose title of several words begins with this word, which no other title has; () for none."""
        return self._begun.get(key, ())

    def distinctive(self, key: str) -> tuple[int, ...]:
        """Return the item whose title of several words has this word, which no other title has; () for none."""
        return self._distinctive.get(key, ()) if len(key) >= _LEAST_ALONE else ()

    def _nearest(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        """Return (errors, items) of the title that differs from a key by the fewest typing errors; None for none.

        Numbers must agree: "Rocky 2" is not "Rocky 3".
        """
        errors = next((most for least, most in _ERRORS if len(key) >= least), 0)
        if not errors:
            return None
        digits = _NOT_LETTERS.sub("", key)
        best: tuple[int, tuple[int, ...]] | None = None
        length = _LONG_AFFIX if len(key) >= _LONG else _AFFIX
        for affix in (key[:length], "-" + key[-length:]):
            keys, lengths = self._by_affix.get(affix, ([], []))
            near = keys[bisect_left(lengths, len(key) - errors) : bisect_right(lengths, len(key) + errors)]
            for other, distance, _ in process.extract(key, near, scorer=OSA.distance, score_cutoff=errors, limit=5):
                allowed = next((most for least, most in _ERRORS if len(other) >= least), 0)
                agrees = digits == _NOT_LETTERS.sub("", other)
                if agrees and distance <= allowed and (best is None or distance < best[0]):
                    best = int(distance), self._items[other]
        return best

    @cached_property
    def first_words(self) -> frozenset[str]:
        """Keys of the words with which a title, a part of it, or its end may begin."""
        firsts: set[str] = set()
        for title in self._titles:
            for form in dict.fromkeys(_whole_forms(title)):
                listed = words_of(form)
                firsts.update(word.key for word in listed[: len(listed) // 2 + 1])
                firsts.update(next((word.key for word in words_of(part) if word.key), "") for part in _parts(form))
        return frozenset(firsts - {""})

    @cached_property
    def _items(self) -> dict[str, tuple[int, ...]]:
        """Key -> its items. A whole title comes before a part of another one, and a part must be of one series."""
        parts: dict[str, list[int]] = {}
        for item, title in enumerate(self._titles):
            for part in dict.fromkeys(part for form in dict.fromkeys(_whole_forms(title)) for part in _parts(form)):
                _add(parts, part, item)
        unique = {key: tuple(items) for key, items in parts.items() if len(items) == 1}
        return {**unique, **self._whole}

    @cached_property
    def _heads(self) -> frozenset[str]:
        """Keys of what is before a subtitle."""
        forms = (_SUBTITLE.split(_YEAR.sub("", title)) for title in self._titles)
        return frozenset(key_of(words_of(head)) for head, *subtitle in forms if subtitle)

    @cached_property
    def _subtitles(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Key of a subtitle that one title has -> (its series, in lower case; its item)."""
        subtitles: dict[str, list[tuple[str, int]]] = {}
        for item, title in enumerate(self._titles):
            head, *rest = _SUBTITLE.split(_YEAR.sub("", title))
            if rest and not any(letter.isdigit() for letter in head):
                subtitles.setdefault(key_of(words_of(rest[-1])), []).append((_NUMERAL.sub("", head).lower(), item))
        return {key: (found[0][0], (found[0][1],)) for key, found in subtitles.items() if len(found) == 1}

    @cached_property
    def _whole(self) -> dict[str, tuple[int, ...]]:
        """Key of a whole title -> its items."""
        whole: dict[str, list[int]] = {}
        for item, title in enumerate(self._titles):
            for form in dict.fromkeys(_whole_forms(title)):
                _add(whole, form, item)
        return {key: tuple(items) for key, items in whole.items()}

    @cached_property
    def _numbered(self) -> dict[str, tuple[int, ...]]:
        """Number -> the only item with a title that has it before a subtitle, or is it in words ("Seven")."""
        numbered: dict[str, set[int]] = {}
        for item, title in enumerate(self._titles):
            head = _SUBTITLE.split(_YEAR.sub("", title))[0]
            if head.isdecimal():
                numbered.setdefault(head, set()).add(item)
            elif (form := _PARENTHESES.sub("", head).lower()) in _NUMBER_WORDS:
                numbered.setdefault(form, set()).add(item)
        return {number: tuple(items) for number, items in numbered.items() if len(items) == 1}

    @cached_property
    def _initials(self) -> dict[str, tuple[int, ...]]:
        """Initials, in lower case -> the only item whose title begins with them."""
        items: dict[str, list[int]] = {}
        for item, title in enumerate(self._titles):
            if match := _INITIALS.match(title):
                items.setdefault(re.sub(r"\W", "", match[0]).lower(), []).append(item)
        return {initials: tuple(found) for initials, found in items.items() if len(found) == 1}

    @cached_property
    def _begun(self) -> dict[str, tuple[int, ...]]:
        """Key of a word that only one title has -> the item, whose title begins with it."""
        listed = [[word.key for word in words_of(next(_whole_forms(title))) if word.key] for title in self._titles]
        titles = Counter(key for keys in listed for key in set(keys))
        listed = [keys[1:] if keys[:1] in (["doctor"], ["mister"]) else keys for keys in listed]
        return {
            keys[0]: (item,) for item, keys in enumerate(listed) if len(keys) > 1 and keys[0] and titles[keys[0]] == 1
        }

    @cached_property
    def _distinctive(self) -> dict[str, tuple[int, ...]]:
        """Key of a word that only one title has -> the item, whose title has other words as well."""
        items: dict[str, list[int]] = {}
        for item, title in enumerate(self._titles):
            keys = {word.key for word in words_of(next(_whole_forms(title)))} - {""}
            for key in keys:
                items.setdefault(key, []).extend([item] if len(keys) > 1 else [item, item])
        return {key: tuple(found) for key, found in items.items() if len(found) == 1}

    @cached_property
    def _shortened(self) -> dict[str, tuple[int, ...]]:
        """Key -> the only item with a title that begins or ends so."""
        shortened: dict[str, set[int]] = {}
        for item, title in enumerate(self._titles):
            for form in dict.fromkeys(_whole_forms(title)):
                for part in _ends(form):
                    shortened.setdefault(key_of(words_of(part)), set()).add(item)
        return {key: tuple(items) for key, items in shortened.items() if len(items) == 1 and key not in self._items}

    @cached_property
    def _by_affix(self) -> dict[str, tuple[list[str], list[int]]]:
        """First characters, or "-" and the last ones -> (keys, their lengths), by length."""
        affixes: dict[str, list[str]] = {}
        for key in sorted(self._items, key=len):
            if len(key) >= _ERRORS[-1][0] - 1:
                for length in (_AFFIX, _LONG_AFFIX):
                    affixes.setdefault(key[:length], []).append(key)
                    affixes.setdefault("-" + key[-length:], []).append(key)
        return {affix: (keys, [len(key) for key in keys]) for affix, keys in affixes.items()}


def _add(forms: dict[str, list[int]], form: str, item: int) -> None:
    items = forms.setdefault(key_of(words_of(form)), [])
    if item not in items[-1:]:
        items.append(item)


def _whole_forms(title: str) -> Iterator[str]:
    """Yield a title, without its year, without and in its parentheses."""
    short = _YEAR.sub("", title)
    for form in (short, _PARENTHESES.sub("", short), *_PARENTHESES.findall(short)):
        yield _ARTICLE_LAST.sub(r"\1", form)


def _parts(form: str) -> Iterator[str]:
    """Yield what people call a title in short: before or after a colon or a comma, and before "and the"."""
    pieces = _SUBTITLE.split(form)
    for parts in (pieces, _COMPANY.split(pieces[0]), _COMMA.split(pieces[0])):
        for part in parts if len(parts) > 1 else ():
            if _is_telling(part.split()):
                yield part


def _ends(form: str) -> Iterator[str]:
    """Yield the beginnings and the ends of a title that have at least half of its words."""
    listed = form.split()
    for length in range((len(listed) + 1) // 2, len(listed)):
        for part in (listed[:length], listed[-length:]):
            if _is_telling(part):
                yield " ".join(part)


def _is_telling(words: Sequence[str]) -> bool:
    """Return whether most of several words are no common ones."""
    return len(words) > 1 and 2 * sum(word.lower() in COMMON_WORDS for word in words) <= len(words)


@lru_cache(maxsize=_REMEMBERED)
def _word_key(word: str) -> str:
    plain = unicodedata.normalize("NFD", word.lower())
    letters = "".join(character for character in plain if character.isalnum() or character == "&")
    return "" if letters in _ARTICLES else _SAME.get(letters, letters)


def _counts(word: str, following: str) -> bool:
    """Return whether a word only introduces the number of a part ("part 2")."""
    return word in _PARTS and following.isdigit()
