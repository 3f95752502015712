"""Titles that people write loosely: another spelling of numbers and articles, part of a title, or a typing error.

The words of such a title are found by `NearTitles` where the text makes them a title; `NamedTitles` finds titles that
are written as the catalog does, anywhere in a text.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from train_utils.key_index import KeyIndex
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.remembered import Remembered
from train_utils.prompts.templates import in_words
from train_utils.prompts.title_forms import unnumbered

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
_LEAST_PART = 8  # characters of a key that only the beginning or the end of a title has
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
_CONTINUED = {"and", "&", "or", "of"}  # no title ends so, not even half of one
_KINDS = str.split("whole part head subtitle number initials end word among begin first")
_SPELLED = ("whole", "part")  # kinds of keys whose misspellings are read
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
        self._remembered: Remembered[str, tuple[int, tuple[int, ...]] | None] = Remembered(_REMEMBERED)

    def changed(self, titles: Sequence[str], items: Collection[int]) -> "NearTitles":
        """Return the finder after changes of some titles, at the cost of these where the indexes are made.

        Args:
            titles: all titles, in item order; those beyond the last one before are added.
            items: items whose titles are new.
        """
        after = NearTitles(titles)
        if 2 * len(items) > len(titles):
            after.prepare()
        elif "_indexes" in vars(self):
            gone = _by_kind((item, self._titles[item]) for item in items if item < len(self._titles))
            come = _by_kind((item, titles[item]) for item in items)
            after._indexes = {kind: index.changed(gone[kind], come[kind]) for kind, index in self._indexes.items()}
            if "_by_affix" in vars(self):
                keys = {key for kind in _SPELLED for entries in (gone, come) for key, _ in entries[kind]}
                left = [key for key in keys if self._known(key) and not after._known(key)]
                joined = [key for key in keys if after._known(key) and not self._known(key)]
                after._by_affix = self._by_affix.changed(_affixes(left), _affixes(joined))
        return after

    def prepare(self) -> None:
        """Make the indexes, instead of at the first look-up."""
        _ = self._by_affix

    def items(self, key: str) -> tuple[int, ...]:
        """Return the items whose title, or a part of it that stands for it, has a key; () for none."""
        return self._known(key) if len(key) >= _LEAST and not key.isdigit() else ()

    def is_whole(self, key: str) -> bool:
        """Return whether a title, or what is before its subtitle, has a key, and not only another part of it."""
        return key in self._indexes["whole"] or key in self._indexes["head"]

    def numbered(self, number: str) -> tuple[int, ...]:
        """Return the item whose title has a number before its subtitle, or is one in words; () for several."""
        return self._indexes["number"].only(number)

    def initials(self, key: str) -> tuple[int, ...]:
        """Return the item whose title begins with these initials ("E.T. the Extra-Terrestrial"); () for several."""
        return self._indexes["initials"].only(key)

    def shortened(self, key: str) -> tuple[int, ...]:
        """Return the item of which at least half of the title, from its beginning or to its end, has a key."""
        return () if self._known(key) else self._indexes["end"].only(key)

    def of_series(self, key: str, text: str) -> tuple[int, ...]:
        """Return the item with a key for its subtitle whose series a text names; () for none.

        Args:
            key: of the words that may be the subtitle ("First Contact").
            text: the text, in lower case ("we have done all of Star Trek ...").
        """
        items = self._indexes["subtitle"].only(key)
        head = _NUMERAL.sub("", _subtitled(self._titles[items[0]])[0]).lower() if items else ""
        last = head.rpartition(" ")[2]  # "a trek rewatch"
        telling = head if last in COMMON_WORDS or len(last) < _LEAST_ALONE else last
        return items if head and telling in text else ()

    def has_article(self, items: Sequence[int]) -> bool:
        """Return whether the title of one of the items begins with an article."""
        return any(_ARTICLE.search(_YEAR.sub("", self._titles[item])) for item in items)

    def begun(self, key: str) -> tuple[int, ...]:
        """Return the item whose title of several words begins with this word, which no other title has; () for none."""
        return self._indexes["begin"].get(key) if self._indexes["word"].only(key) else ()

    def may_begin(self, key: str) -> bool:
        """Return whether a title, a part of it, or its end may begin with the word of a key."""
        return key in self._indexes["first"]

    def distinctive(self, key: str) -> tuple[int, ...]:
        """Return the item whose title of several words has this word, which no other title has; () for none."""
        unique = len(key) >= _LEAST_ALONE and self._indexes["word"].only(key)
        return self._indexes["among"].get(key) if unique else ()

    def has_word(self, key: str) -> bool:
        """Return whether a title has this word."""
        return key in self._indexes["word"]

    def is_part(self, key: str) -> bool:
        """Return whether a title begins or ends with a long key, where not all of it is written."""
        if len(key) < _LEAST_PART:
            return False
        begun = (other for _, other in self._by_affix.get(key[:_LONG_AFFIX]))
        ended = (other for _, other in self._by_affix.get("-" + key[-_LONG_AFFIX:]))
        return any(other.startswith(key) for other in begun) or any(other.endswith(key) for other in ended)

    def nearest(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        """Return (errors, items) of the title that differs from a key by the fewest typing errors; None for none.

        Numbers must agree: "Rocky 2" is not "Rocky 3".
        """
        return self._remembered.get(key, self._nearest)

    def _nearest(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        errors = next((most for least, most in _ERRORS if len(key) >= least), 0)
        if not errors:
            return None
        digits = _NOT_LETTERS.sub("", key)
        best: tuple[int, tuple[int, ...]] | None = None
        length = _LONG_AFFIX if len(key) >= _LONG else _AFFIX
        for affix in (key[:length], "-" + key[-length:]):
            entries = self._by_affix.get(affix)
            low, high = bisect_left(entries, (len(key) - errors,)), bisect_left(entries, (len(key) + errors + 1,))
            near = [other for _, other in entries[low:high]]
            for other, distance, _ in process.extract(key, near, scorer=OSA.distance, score_cutoff=errors, limit=5):
                allowed = next((most for least, most in _ERRORS if len(other) >= least), 0)
                agrees = digits == _NOT_LETTERS.sub("", other)
                if agrees and distance <= allowed and (best is None or distance < best[0]):
                    best = int(distance), self._known(other)
        return best

    def _known(self, key: str) -> tuple[int, ...]:
        """Return the items of a key: of whole titles, else of the only title that has it as a part."""
        return self._indexes["whole"].get(key) or self._indexes["part"].only(key)

    @cached_property
    def _indexes(self) -> dict[str, KeyIndex[int]]:
        """Kind of key -> items by key; see `_keys`."""
        return KeyIndex.of_kinds(_KINDS, _keyed(enumerate(self._titles)))

    @cached_property
    def _by_affix(self) -> KeyIndex[tuple[int, str]]:
        """First characters of keys, or "-" and the last ones -> (length, key)."""
        keys = sorted(
            (key for key in {*self._indexes["whole"], *self._indexes["part"]} if self._known(key)), key=_order
        )
        return KeyIndex(_affixes(keys))


def _order(key: str) -> tuple[int, str]:
    return len(key), key


def _affixes(keys: Iterable[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield (affix, (length, key)) of the keys that may be misspelled."""
    for key in keys:
        if len(key) >= _ERRORS[-1][0] - 1:
            for length in (_AFFIX, _LONG_AFFIX):
                yield key[:length], _order(key)
                yield "-" + key[-length:], _order(key)


def _keyed(titles: Iterable[tuple[int, str]]) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, key, item) of titles; see `_keys`."""
    for item, title in titles:
        for kind, key in _keys(title):
            yield kind, key, item


def _by_kind(titles: Iterable[tuple[int, str]]) -> dict[str, list[tuple[str, int]]]:
    """Return (key, item) of titles by the kind of key."""
    entries: dict[str, list[tuple[str, int]]] = {kind: [] for kind in _KINDS}
    for kind, key, item in _keyed(titles):
        entries[kind].append((key, item))
    return entries


def _keys(title: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, key) of a title.

    "whole" is a title, "part" what stands for it, "head" what is before its subtitle, "subtitle" what follows, "number"
    a number that is the title, "initials" its first letters, "end" half of its words or more, "word" each word, "among"
    each of several words, "begin" the first of them, "first" each word with which the title or a part of it may begin.
    """
    forms = list(dict.fromkeys(_whole_forms(title)))
    spelled = [words_of(form) for form in forms]
    for form, words in zip(forms, spelled, strict=True):
        yield "whole", key_of(words)
        yield from (("first", word.key) for word in words[: len(words) // 2 + 1] if word.key)
        yield from (("end", key_of(words_of(part))) for part in _ends(form))
        for part in dict.fromkeys(_parts(form)):
            listed = words_of(part)
            yield "part", key_of(listed)
            if first := next((word.key for word in listed if word.key), ""):
                yield "first", first
    head, *rest = _subtitled(title)
    if rest:
        yield "head", key_of(words_of(head))
        if not any(letter.isdigit() for letter in head):
            yield "subtitle", key_of(words_of(rest[-1]))
    if head.isdecimal():
        yield "number", head
    elif (number := _PARENTHESES.sub("", head).lower()) in _NUMBER_WORDS:
        yield "number", number
    if match := _INITIALS.match(title):
        yield "initials", re.sub(r"\W", "", match[0]).lower()
    keys = [word.key for word in spelled[0] if word.key]
    yield from (("word", key) for key in dict.fromkeys(keys))
    if len(set(keys)) > 1:
        yield from (("among", key) for key in dict.fromkeys(keys))
    keys = keys[1:] if keys[:1] in (["doctor"], ["mister"]) else keys
    if len(keys) > 1:
        yield "begin", keys[0]


def _subtitled(title: str) -> list[str]:
    """Return what is before the subtitle of a title, and its subtitles."""
    return _SUBTITLE.split(_YEAR.sub("", unnumbered(title)))


def _whole_forms(title: str) -> Iterator[str]:
    """Yield a title, without its year, without and in its parentheses."""
    short = _YEAR.sub("", unnumbered(title))
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
            if _is_telling(part) and part[-1].lower() not in _CONTINUED:
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
