"""Titles that a message names: as the catalog writes them, loosely or with typing errors, and such that it lacks."""

import re
from collections.abc import Sequence

from train_utils.conversation.annotations import Annotation
from train_utils.conversation.capitalized_titles import is_in_name, is_subject_of, longer_name, unknown_at
from train_utils.conversation.lower_case_titles import in_lower_case, subject_at
from train_utils.conversation.message_words import (
    CONNECTING,
    GAP,
    MOST_WORDS,
    NAME_LENGTH,
    SHOWN,
    WORD_LENGTH,
    MessageWords,
    Unknown,
)
from train_utils.conversation.title_contexts import JOINED, VERB
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.named_titles import Mention, NamedTitles
from train_utils.prompts.near_titles import NearTitles, Word, key_of

_MOST_LOOKUPS = 400  # searches for typing errors per message, each tens of microseconds for 20,000 titles
_DOT = re.compile(r"\. ?")
_ABBREVIATED = {"doctor", "mister", "mrs", "ms", "saint", "versus", "vol", "pt"}  # keys of words that end in a dot
_NO_TITLE_WORDS = {"but", "because"}  # of no misspelled title: "I liked Philadelphia but the story was sad"
_NOT_FIRST = {"and", "or", "but", "of"}


class TitleReader:
    """Reader of the titles in a message.

    Args:
        titles: finder of the catalog's titles.
    """

    def __init__(self, titles: NamedTitles):
        self._titles, self._near = titles, NearTitles(titles.titles)

    def find(self, text: str) -> list[Annotation]:
        """Return the titles of a message, in its order: each a `Mention` or an `Unknown`.

        A loosely written or unknown title must be one by the text: in quotation marks, in a list, after words such as
        "similar to", in capitals, or the subject of a judgment.

        Args:
            text: what `plain_text` returned.
        """
        return _Search(text, self.find_exact(text), self._near).run()

    def find_exact(self, text: str) -> list[Annotation]:
        """Return the titles that a message writes as the catalog does, in its order."""
        return [Annotation(mention.start, mention.end, mention) for mention in self._titles.locate(text)]


def is_joined(text: str, title: Annotation, titles: Sequence[Annotation]) -> bool:
    """Return whether a comma or "and" joins a title of the catalog to another one after it."""
    return isinstance(title.value, Mention) and any(
        isinstance(other.value, Mention) and title.end < other.start and JOINED.fullmatch(text, title.end, other.start)
        for other in titles
    )


class _Search:
    """State of the search in one message.

    Args:
        text: the message.
        exact: the titles that are written as in the catalog.
        near: the catalog's titles by loose spelling.
    """

    def __init__(self, text: str, exact: Sequence[Annotation], near: NearTitles):
        self.msg = MessageWords.of(text, exact, near)
        self.lookups = 0

    def run(self) -> list[Annotation]:
        """Return the titles in the order of the text."""
        found: list[Annotation] = []
        position = 0
        while position < len(self.msg.words):
            start = self.msg.words[position].start
            joined = bool(found) and bool(JOINED.fullmatch(self.msg.text, found[-1].end, start))
            title = self._at(position, joined)
            if title:
                found.append(title)
                while position < len(self.msg.words) and self.msg.words[position].start < title.end:
                    position += 1
            else:
                position += 1
        return found

    def _at(self, position: int, joined: bool) -> Annotation | None:
        """Return the title that begins at a word."""
        start = self.msg.words[position].start
        exact = self.msg.exact.get(start)
        named = joined or start in self.msg.contexts.named or self._after_quote(start)
        if start in self.msg.contexts.quoted:
            return self._quotation(position, self.msg.contexts.quoted[start])
        if self.msg.covered[position] and not exact:
            return None
        if not exact and (listed := subject_at(self.msg, position)):
            return listed
        if loose := self._loose(position, named or start in self.msg.contexts.listed, exact):
            return loose
        if exact:
            if is_in_name(self.msg, position, exact, named):
                return None
            return longer_name(self.msg, position, exact, named) if self.msg.mixed else exact
        unknown = unknown_at(self.msg, position, named) if self.msg.mixed else None
        if unknown and (named or start in self.msg.contexts.also or is_subject_of(self.msg, position, unknown.end)):
            return unknown
        return in_lower_case(self.msg, position)

    def _after_quote(self, start: int) -> bool:
        return self.msg.text[start - 1 : start] in ('"', "'") and start - 1 in self.msg.contexts.named

    def _quotation(self, position: int, end: int) -> Annotation | None:
        """Return the title that a quotation is; a known one inside a longer name is none ("Batman Begins")."""
        start = self.msg.words[position].start
        words = [word for word in self.msg.words[position : position + 2 * MOST_WORDS] if word.end <= end]
        exact = self.msg.exact.get(start)
        if exact and exact.end >= words[-1].end:
            return exact
        key = key_of(words)
        if items := self.msg.near.items(key) or self.msg.near.shortened(key) or self._nearest(key):
            return Annotation(start, words[-1].end, Mention(start, words[-1].end, items))
        text = self.msg.text[start:end]
        separated = re.search(r"[,;.!?]\s|\s(?:and|or)\s", text)
        if exact and (separated or len(words) > MOST_WORDS):
            return exact
        is_name = text[:1].isupper() and self.msg.mixed and not separated and not _is_common(text)
        is_name = is_name and (len(words) > 1 or start - 1 in self.msg.contexts.named)
        if is_name and all(
            word[:1].isupper() or word.lower() in CONNECTING or word[0].isdigit() for word in text.split()
        ):
            return Annotation(start, end, Unknown(text[:SHOWN]))
        return exact

    def _run(self, position: int) -> list[Word]:
        """Return the words from a position on that a title may have."""
        words = [self.msg.words[position]]
        for at in range(position + 1, min(position + MOST_WORDS, len(self.msg.words))):
            one, other = words[-1], self.msg.words[at]
            gap = self.msg.text[one.end : other.start]
            abbreviated = _DOT.fullmatch(gap) and (one.key in _ABBREVIATED or one.end - one.start == 1)
            if not (GAP.fullmatch(gap) or abbreviated):
                break
            words.append(other)
        return words

    def _loose(self, position: int, named: bool, exact: Annotation | None) -> Annotation | None:
        """Return the title that the words from a position on spell loosely, and longer than an exact one."""
        start = self.msg.words[position].start
        capital = self.msg.mixed and self.msg.capital[position] and not self._is_sentence_case(position)
        first = start in self.msg.contexts.first
        if not (named or capital or exact or first or start in self.msg.contexts.offered):
            return None
        run = self._run(position)
        best: tuple[int, int, tuple[int, ...]] | None = None
        for length in range(len(run), 0, -1):
            end = run[length - 1].end
            if exact and end <= exact.end or not self._may_be_title(position, length, named, capital, first):
                continue
            offered = start in self.msg.contexts.offered and length == 1
            if not (named or capital or exact or offered) and not self._is_subject(length, end):
                continue
            key = key_of(run[:length])
            if items := self.msg.near.items(key) or (self._in_short(key, position, length) if named or first else ()):
                return Annotation(start, end, Mention(start, end, items))
            if (
                exact
                or any(self.msg.covered[position : position + length])
                or _NO_TITLE_WORDS & {w.key for w in run[:length]}
            ):
                continue
            if (nearest := self._nearest_of(key)) and (best is None or nearest[0] < best[0]):
                best = nearest[0], end, nearest[1]
        return Annotation(start, best[1], Mention(start, best[1], best[2])) if best else None

    def _in_short(self, key: str, position: int, length: int) -> tuple[int, ...]:
        """Return the item of which words are a part that no other title has ("wrath of khan", "like shawshank")."""
        if length > 1:
            return self.msg.near.shortened(key)
        word = self.msg.words[position]
        likened = self.msg.contexts.lower.get(word.start) == word.end and not self.msg.common[position]
        return self.msg.near.begun(key) if likened and len(key) >= WORD_LENGTH else ()

    def _is_subject(self, length: int, end: int) -> bool:
        """Return whether the first words of a sentence are all that a judgment or a list is about."""
        return bool(VERB.match(self.msg.text, end)) or length > 1 and self.msg.text[end : end + 1] == ","

    def _is_sentence_case(self, position: int) -> bool:
        """Return whether a capital is only that of a sentence's first word."""
        return self.msg.words[position].start in self.msg.contexts.first and not any(
            self.msg.capital[position + 1 : position + 3]
        )

    def _may_be_title(self, position: int, length: int, named: bool, capital: bool, first: bool) -> bool:
        """Return whether words are no ordinary ones, so that a title that is near to them is meant."""
        words, past = self.msg.words[position : position + length], position + length
        if not words[-1].key or words[0].key in _NOT_FIRST or self.msg.noun[past - 1]:
            return False
        capitals = self.msg.mixed and all(self.msg.capital[position:past])
        if not capitals and past < len(self.msg.words) and self.msg.noun[past] and self._is_next(past):  # "war films"
            return False
        keys = [word.key for word in words if word.key]
        if len(keys) == 1:
            if self.msg.near.items(keys[0]):  # `NamedTitles` left it alone
                offered = words[0].start in self.msg.contexts.offered
                return (named or offered) and (named and capitals or len(keys[0]) >= WORD_LENGTH)
            least = NAME_LENGTH if named and capitals else WORD_LENGTH
            return len(keys[0]) >= least and (named or capital or first)
        return not all(self.msg.common[position:past]) or (named and capitals)

    def _is_next(self, position: int) -> bool:
        """Return whether only a space is before a word."""
        return self.msg.text[self.msg.words[position - 1].end : self.msg.words[position].start] == " "

    def _nearest_of(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        if self.lookups >= _MOST_LOOKUPS:
            return None
        self.lookups += 1
        return self.msg.near.nearest(key)

    def _nearest(self, key: str) -> tuple[int, ...]:
        nearest = self._nearest_of(key)
        return nearest[1] if nearest else ()


def _is_common(text: str) -> bool:
    """Return whether all words of a text are common ones."""
    return all(word in COMMON_WORDS for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower()))
