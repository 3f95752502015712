"""Catalog titles that a text names."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from train_utils.key_index import KeyIndex
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.plain_text import is_one_word, lower_case, plain_line, plain_text, word_beginnings
from train_utils.prompts.title_forms import ARTICLE_LAST, DIGITS, other_forms, unnumbered

_WHOLE, _OTHER, _BARE = range(3)  # kinds of forms of a title
_FIRST = 4  # length of the prefix by which titles are looked up
_COMMON = COMMON_WORDS | DIGITS.keys()
_WITHOUT_APOSTROPHES = _COMMON | {word.replace("'", "") for word in _COMMON}  # "cant sleep"
_CONNECTING = frozenset(str.split("of the a an and in on to for"))
_JOINER = 6  # characters between two titles of an enumeration
_NEAR = 24  # characters before a title that tell whether it is one
_LONG_PHRASE = 5  # spaces; so many words in the order of a title are no coincidence
_ENDS_LIST = re.compile(r"\s*(?:[.,;!?\n]|->|$)|\s(?:please|were|are|was|is)\b", re.IGNORECASE)  # "Fargo and M were"
# After these a common word is a title, and after those a capital is no sign of one.
_BEFORE_TITLE = re.compile(
    r"\b(?:like|liked|love|loved|loves|saw|seen|watch|watched|watching|rewatch|rewatched|rewatching|enjoyed|hated|"
    r"hates|disliked|dislikes|adores?|adored|finish|finished|rented|borrowed|than|titled|similar to|comparable to|"
    r"fan of|vein of|style of|lines of|reminds me of|such as|swears? by|lent (?:me|us)|showed (?:me|us)|a?round to|"
    r"glued to|"
    r"(?:sit|sat|sitting) through|(?:grew|brought) up on|enough of|sick of|tired of|nuts about|so (?:was|is|did)|"
    r"(?:'ve|have|has) (?:already )?done|hooked on|couldn't (?:stand|finish)|fell asleep (?:during|in|watching)|"
    r"raves? about|obsessed with|cared? for|thumbs up for|thumbs down for|close to|soft spot for|weakness for|"
    r"thing for|fond of|crazy about|mad about|keen on|bored by|impressed by|moved by)\s(?:the\s)?$",
    re.IGNORECASE,
)
# Words that precede a title where a question ends after it ("what is next after Fargo and Casino?", "do you have Up?").
_BEFORE_ASKED = re.compile(r"\b(?:after|do you (?:also )?have|have you got)\s(?:the\s)?$", re.IGNORECASE)
_ASKED = re.compile(r"\?|,? (?:and|or|&) [^.,;!?\n]{2,40}\?")
# "is Fargo any good?", "is scream scary?"
_BEFORE_DOUBTED = re.compile(r"\b(?:is|was|are)\s(?:the\s)?$", re.IGNORECASE)
_DOUBTED = re.compile(
    r" (?:any good|worth (?:it|a watch|watching|seeing)"
    r"|(?:(?:too|very|really|that|so|as) )?(?!a\b|the\b|in\b|on\b|it\b)[\w-]+(?: for [\w' ]{1,20})?\?)",
    re.IGNORECASE,
)
_DATED = re.compile(r" \((?:18|19|20)[0-9]{2}\)")  # after a title: "twister (1996)"
_BEFORE_NAME = re.compile(
    r"\b(?:in|at|on|for|from|near|by|friend|brother|sister|son|daughter|cousin|uncle|aunt|named|called|"
    r"name is|i'?m|i am|it's|this is|every|this|next|last)\s$",
    re.IGNORECASE,
)
# After a capitalized word that begins a sentence, these say that it is an ordinary word ("Contact me") or a name
# ("Eddie, my dog,").
_AFTER_WORD = re.compile(r" (?:me|us|him|them|you|my|your|our|up|out|and i|of us|of them)\b", re.IGNORECASE)
_PERSON = (
    r"dog|cat|pet|wife|husband|son|daughter|kid|child|baby|boy|girl|brother|sister|friend|boyfriend|girlfriend|partner|"
    r"roommate|cousin|nephew|niece|uncle|aunt|neighbou?r|colleague|boss|teacher|mom|mum|dad|mother|father|grand[mp]a"
)
_AFTER_NAME = re.compile(
    rf", (?:(?:my|our|his|her|their|the)(?: \w+)? (?:{_PERSON})\b(?!')|an? friend of)", re.IGNORECASE
)
_GREETED = re.compile(r"\W*(?:(?:hi|hello|hey)(?: (?:there|all|everyone))?\W+)?", re.IGNORECASE)
_GREETING = re.compile(r"good (?:morning|afternoon|evening|night|day)", re.IGNORECASE)
# What joins a title in one word, at the beginning of a sentence or with a capital, to the title after it.
_JOINING = re.compile(r"(?:^|[.!?:\s(])([^\s.!?:(]+?)(?:,| and| or| &|, and) $")
# Characters allowed next to a title in a list, a quotation or markup; letters and digits are not.
_BEFORE = "\"'*_,;:>|([{-+/=\u2022\u300c\u300e\u3001\u3002\uff0c"
_AFTER = "\"'*_,;:<|)]}-+/=.?!\u2022\u300d\u300f\u3001\u3002\uff0c"


@dataclass(frozen=True)
class Mention:
    """Title in a text.

    Attributes:
        start: position of its first character in the plain text.
        end: position after its last character.
        items: indices of the items with this title.
    """

    start: int
    end: int
    items: tuple[int, ...]


class _Form(NamedTuple):
    """Form in which a text may write a title.

    Attributes:
        item: the item.
        kind: `_WHOLE`, `_OTHER`, or `_BARE`: a title without the article at its end, which then is what the form means.
        form: the form.
        title: the whole title, which other items may share.
    """

    item: int
    kind: int
    form: str
    title: str


class NamedTitles:
    """Finder of the items whose titles a text names, as whole words, the longest title at each position.

    Case, white space, and the kinds of quotation marks and dashes are ignored, with one exception: a single-word title
    is often a common word ("It", "Heat"). In running text it must start with a capital letter where the catalog writes
    one. A title of a single character must be between control tokens, quotation marks, commas, arrows or line ends.
    A year in parentheses at the end of a title may be missing in the text, and "Matrix, The" is also "The Matrix",
    unless another item has exactly that title.

    Args:
        titles: the catalog's titles, in item order.
    """

    def __init__(self, titles: Sequence[str]):
        self.titles = titles

    def changed(self, titles: Sequence[str], items: Collection[int]) -> "NamedTitles":
        """Return the finder after changes of some titles, at the cost of these where the index is made.

        Args:
            titles: all titles, in item order; those beyond the last one before are added.
            items: items whose titles are new.
        """
        after = NamedTitles(titles)
        if 2 * len(items) > len(titles):
            _ = after._lengths  # made here, and not by the first message
        elif "_forms" in vars(self):
            gone = [pair for item in items if item < len(self.titles) for pair in _forms_of(item, self.titles[item])]
            come = [pair for item in items for pair in _forms_of(item, titles[item])]
            after._forms = self._forms.changed(gone, come)
            if "_lengths" in vars(self):  # a length that no form has any more costs a look-up
                new = {key for key, _ in come if len(key) not in self._lengths.get(key[:_FIRST], ())}
                after._lengths = self._lengths | _with_lengths(self._lengths, new) if new else self._lengths
        return after

    @cached_property
    def _forms(self) -> KeyIndex[_Form]:
        """Lower-case form -> the titles that may be written so."""
        return KeyIndex(pair for item, title in enumerate(self.titles) for pair in _forms_of(item, title))

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        """First characters -> the lengths of the forms, longest first: few, where a catalog has very many titles."""
        return _with_lengths({}, self._forms)

    def _form(self, key: str) -> tuple[str, list[int]]:
        """Return a lower-case form as its first title writes it, and the items; ("", []) where no title has it."""
        entries = self._forms.get(key)
        if not entries:
            return "", []
        if whole := [entry for entry in entries if entry.kind == _WHOLE]:
            taken = whole
        else:
            taken = [entry for entry in entries if entry.kind == _OTHER]
        # "Godfather" is the first one, and not "Godfather: Part II".
        if bare := [entry.title for entry in entries if entry.kind == _BARE]:
            taken = [entry for entry in taken if entry.title == bare[-1]]
        return (taken[0].form, list(dict.fromkeys(entry.item for entry in taken))) if taken else ("", [])

    def find(self, text: str) -> list[int]:
        """Return the item indices in the order of the text, each once.

        Of a title that several items share, all of them are returned.
        """
        return list(dict.fromkeys(item for items in self.mentions(text) for item in items))

    def with_title(self, text: str) -> list[int]:
        """Return the items with this title in any of its forms, such as "the lion king" for "Lion King, The"."""
        key = lower_case(plain_line(text).strip()) if text.isprintable() else ""
        return self._form(key)[1]

    def mentions(self, text: str) -> list[list[int]]:
        """Return the items of each title in the text, in its order: several where they share the title."""
        return [list(mention.items) for mention in self.locate(plain_text(text))]

    def locate(self, text: str) -> list[Mention]:
        """Return the titles in a text, in its order.

        Args:
            text: what `plain_text` returned.
        """
        found: list[Mention] = []
        start = 0
        for line in text.split("\n"):
            lower, last = lower_case(line), -1
            for at in word_beginnings(line):
                if at < last:
                    continue
                joined = 0 <= last >= at - _JOINER and line[last:at].strip(" ,").lower() in ("and", "or", "&", "")
                length, items = self._at(line, lower, at, joined)
                if items:
                    titles = [*self._before(line, at, last), (at, at + length, items)]
                    found += [Mention(start + low, start + high, tuple(of)) for low, high, of in titles]
                    last = at + length
            start += len(line) + 1
        return found

    def _before(self, text: str, at: int, last: int) -> list[tuple[int, int, list[int]]]:
        """Return (start, end, items) of the titles in one word that an enumeration joins to a title at a position.

        In "Aliens, Heat and Blade Runner" and "M and The Third Man", the last title says what the first words are.

        Args:
            text: the line.
            at: the position.
            last: where the title before ends; -1 for none.
        """
        titles: list[tuple[int, int, list[int]]] = []
        while match := _JOINING.search(text, max(0, last, at - _NEAR), at):
            low, high = match.span(1)
            word = match[1]
            form, items = self._form(lower_case(word))
            begins = not text[:low].strip() or text[:low].rstrip()[-1] in ".!?:"
            if not items or not (
                word == form and word[0].isupper() or begins and len(word) > 1 and word.lower() not in _COMMON
            ):
                break
            titles.insert(0, (low, high, items))
            at = low
        return titles

    def _at(self, text: str, lower: str, at: int, joined: bool) -> tuple[int, list[int]]:
        """Return (characters, items) of the longest title at a position of a line; (1, []) for none.

        Args:
            text: the line.
            lower: the line in lower case.
            at: the position, where a word begins.
            joined: whether "and" or a comma joins it to a title before it.
        """
        best: tuple[int, list[int]] = (1, [])
        for n in range(1, _FIRST + 1):
            for length in self._lengths.get(lower[at : at + n], ()):
                end, (form, items) = at + length, self._form(lower[at : at + length])
                if (
                    items
                    and end <= len(text)
                    and length >= best[0]
                    and not (end < len(text) and is_one_word(text[end - 1], text[end]))
                    and _is_meant(text, at, end, form, joined)
                ):
                    best = (length, items)
        return best


def _forms_of(item: int, title: str) -> Iterator[tuple[str, _Form]]:
    """Yield (lower-case form, entry) of a title."""
    whole = plain_line(title).strip()
    shared = unnumbered(whole)
    keys = {lower_case(whole), ""}
    if whole:
        yield lower_case(whole), _Form(item, _WHOLE, whole, whole)
    if shared != whole:
        keys.add(lower_case(shared))
        yield lower_case(shared), _Form(item, _WHOLE, shared, whole)
    for form in other_forms(shared):
        if (key := lower_case(form)) not in keys:
            keys.add(key)
            yield key, _Form(item, _OTHER, form, shared)
    if moved := ARTICLE_LAST.match(shared):
        yield lower_case(moved[1]), _Form(item, _BARE, moved[1], shared)


def _with_lengths(lengths: Mapping[str, list[int]], keys: Iterable[str]) -> dict[str, list[int]]:
    """Return the lengths of further keys by their first characters, with those that these have already."""
    known: dict[str, set[int]] = {}
    for key in keys:
        known.setdefault(key[:_FIRST], set()).add(len(key))
    return {begin: sorted({*lengths.get(begin, ()), *found}, reverse=True) for begin, found in known.items()}


def _is_meant(text: str, at: int, end: int, form: str, joined: bool) -> bool:
    """Return whether words that match a title are meant as a title."""
    words, single = text[at:end], form.isalnum()
    near = max(0, at - _NEAR)
    named = joined or _BEFORE_TITLE.search(text, near, at) or _DATED.match(text, end)
    named = named or _BEFORE_ASKED.search(text, near, at) and _ASKED.match(text, end)
    named = named or _BEFORE_DOUBTED.search(text, near, at) and _DOUBTED.match(text, end)
    possessive = text[end : end + 2] == "' " and text[at - 1 : at] != "'"
    # Spaces are single.
    before, after = text[max(0, at - 2) : at].rstrip(" "), text[end : end + 2].lstrip(" ")
    # "nothing to lose, surprise me": a phrase at the beginning of a text is apart without being meant.
    opens = not before and after[:1] == "," and words != form and (len(form) == 1 or not single and _is_common(words))
    greets = words != form and _GREETING.fullmatch(words) and _GREETED.fullmatch(text, 0, at)
    if greets or single and _AFTER_NAME.match(text, end):
        return False
    # 'I love "Alien", hate "Casino"'
    verb = single and words != form and words in COMMON_WORDS and before[-1:] == "," and after[:1] in ('"', "'")
    if _is_apart(before, after) and not possessive and not opens and not verb:
        return True
    if not single:
        return bool(words == form or named or not _is_common(words) or words.count(" ") >= _LONG_PHRASE)
    if len(form) == 1:
        return bool((joined or named) and words == form and _ENDS_LIST.match(text, end))
    if possessive:
        return False
    if named and len(form) > 2 and words.lower() not in COMMON_WORDS:
        return True
    capital = words == form or words[0] == form[0] != words[0].lower()
    first = not before or before[-1] in ".!?\n"
    return capital and not (first and _AFTER_WORD.match(text, end)) and not _BEFORE_NAME.search(text, near, at)


def _is_common(words: str) -> bool:
    """Return whether half of the words of a phrase are common ones, so that it is an expression of its own."""
    listed = words.lower().split()
    telling = [word for word in listed if word not in _CONNECTING]
    if len(telling) > 1 and len(telling) < len(listed) and not _WITHOUT_APOSTROPHES.intersection(telling):
        return False  # "silence of the lambs"
    return 2 * sum({word, word.removesuffix("s")} & _WITHOUT_APOSTROPHES != set() for word in listed) >= len(listed)


def _is_apart(before: str, after: str) -> bool:
    """Return whether what surrounds a word sets it apart: quotation marks, commas, arrows, or nothing."""
    return (not before or before[-1] in _BEFORE + "\n") and (not after or after[0] in _AFTER + "\n")
