"""Titles that a message names: as the catalog writes them, loosely or with typing errors, and such that it lacks."""

import copy
import re
from collections.abc import Collection, Iterator, Sequence

from train_utils.conversation.titles.capitalized import (
    is_first_name,
    is_in_name,
    is_subject_of,
    longer_name,
    unknown_at,
)
from train_utils.conversation.titles.evidence import (
    BARE,
    DISTINCT,
    ENOUGH,
    EXPRESSED,
    EXTENDING,
    FAMOUS,
    MOST_AFTER,
    NAMED,
    NUMERIC,
    OF_SERIES,
    ONE_WORD,
    OTHER_ARTICLE,
    SHORTENED,
    TOO_LITTLE,
    WHOLE,
    Renown,
    after,
    before,
    is_bare,
    is_expressed,
    of_errors,
    of_words,
)
from train_utils.conversation.titles.lookalikes import ends_range, is_lookalike
from train_utils.conversation.titles.lower_case import in_lower_case
from train_utils.conversation.titles.unknown import find_unknown
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.message_words import (
    CONNECTING,
    GAP,
    MOST_WORDS,
    RARE,
    SHOWN,
    WORD_LENGTH,
    MessageWords,
    Unknown,
)
from train_utils.conversation.words.title_contexts import JOINED
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.named_titles import Mention, NamedTitles
from train_utils.prompts.near_titles import NearTitles, Word, key_of, words_of

_MOST_LOOKUPS = 400  # searches for typing errors per message, each tens of microseconds for 20,000 titles
_DOT = re.compile(r"\. ?")
_ABBREVIATED = {"doctor", "mister", "mrs", "ms", "saint", "versus", "vol", "pt"}  # keys of words that end in a dot
# "home alone 7" is not "Home Alone"
_SEQUEL = re.compile(
    r" (?:part )?(?:[2-9]|ii|iii|iv)\b"
    r"(?!\s?(?:[/.:-]|out of|stars?|times|more|movies|films|of|or|and|is|days|nights|hours))",
    re.I,
)
_ONE_MORE = re.compile(r"\s(?:more|time|last|day|of|that|who|with|for)\b", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:\d|\b[ivIV]+)$")
_AFTER_PART = re.compile(
    r"\s*(?:[.,;!?]|$)|\s(?:and|or|are|is|were|was|rules?|rocks?|both|all|the|my|i|we|done|seen|please)\b",
    re.IGNORECASE,
)
_NO_TITLE_WORDS = {"but", "because"}  # of no misspelled title: "I liked Philadelphia but the story was sad"
_NOT_FIRST = {"and", "or", "but", "of"}


class TitleReader:
    """Reader of the titles in a message.

    Args:
        titles: finder of the catalog's titles.
        popularity: of each item; () where it is not known.
    """

    def __init__(self, titles: NamedTitles, popularity: Sequence[float] = ()):
        self._titles, self._near, self._renown = titles, NearTitles(titles.titles), Renown(popularity)

    def prepare(self) -> None:
        """Build the indexes that the first message would wait for."""
        self._near.prepare()

    def changed(self, titles: NamedTitles, items: Collection[int], popularity: Sequence[float] = ()) -> "TitleReader":
        """Return the reader after changes of some titles.

        Args:
            titles: the finder after them.
            items: items whose titles are new.
            popularity: of each item; () where it is not known.
        """
        reader = copy.copy(self)
        reader._titles, reader._renown = titles, Renown(popularity)
        if items:
            reader._near = self._near.changed(titles.titles, items)
        return reader

    def find(self, text: str) -> list[Annotation]:
        """Return the titles of a message, in its order: each a `Mention` or an `Unknown`.

        A loosely written or unknown title must be one by the text: in quotation marks, in a list, after words such as
        "similar to", in capitals, or the subject of a judgment.

        Args:
            text: what `plain_text` returned.
        """
        return _Search(text, self.find_exact(text), self._near, self._renown).run()

    def find_unknown(self, text: str, found: Sequence[Annotation]) -> list[Annotation]:
        """Return the titles that the catalog lacks among the words of a message that no annotation explains.

        Args:
            text: what `plain_text` returned.
            found: the annotations of the message.
        """
        titles = [entry for entry in found if isinstance(entry.value, (Mention, Unknown))]
        return find_unknown(MessageWords.of(text, titles, self._near), found)

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
        renown: how popular its items are.
    """

    def __init__(self, text: str, exact: Sequence[Annotation], near: NearTitles, renown: Renown):
        self.msg, self.renown = MessageWords.of(text, exact, near), renown
        self.lookups, self.lower = 0, text.lower()

    def run(self) -> list[Annotation]:
        """Return the titles in the order of the text."""
        found: list[Annotation] = []
        position = 0
        while position < len(self.msg.words):
            start = self.msg.words[position].start
            joined = bool(found) and bool(JOINED.fullmatch(self.msg.text, found[-1].end, start))
            title = (self._next_part(found[-1], position) if joined else None) or self._at(position, joined)
            if title:
                found.append(title)
                while position < len(self.msg.words) and self.msg.words[position].start < title.end:
                    position += 1
            else:
                position += 1
        return found

    def _next_part(self, title: Annotation, position: int) -> Annotation | None:
        """Return the part of a title's series that a number names after it: "home alone 1 and 3"."""
        word = self.msg.words[position]
        if not word.key.isdigit() or not _NUMBERED.search(self.msg.text, max(0, title.end - 4), title.end):
            return None
        base = key_of(words_of(self.msg.text, title.start, title.end)).rstrip("0123456789")
        items = self.msg.near.items(base + word.key) if base else ()
        if not items or not _AFTER_PART.match(self.msg.text, word.end):
            return None
        return Annotation(word.start, word.end, Mention(word.start, word.end, items))

    def _at(self, position: int, joined: bool) -> Annotation | None:
        """Return the title that begins at a word."""
        start = self.msg.words[position].start
        exact = self.msg.exact.get(start)
        named = joined or start in self.msg.contexts.named or self._after_quote(start)
        if start in self.msg.contexts.quoted:
            return self._quotation(position, self.msg.contexts.quoted[start])
        if self.msg.covered[position] and not exact:
            return None
        if candidate := self._candidate(position, joined, exact):
            return candidate
        if exact:
            if is_in_name(self.msg, position, exact, named) or is_first_name(self.msg, position, exact):
                return None
            if self._is_phrase(position, joined, exact) or is_lookalike(self.msg, position, exact, joined):
                return None
            return longer_name(self.msg, position, exact, named) if self.msg.mixed else self._or_sequel(exact)
        unknown = unknown_at(self.msg, position, named) if self.msg.mixed else None
        if unknown and (named or start in self.msg.contexts.also or is_subject_of(self.msg, position, unknown.end)):
            return unknown
        return in_lower_case(self.msg, position)

    def _or_sequel(self, exact: Annotation) -> Annotation:
        """Return a title, or where the message names a part of its series that the catalog lacks ("jaws 3"), that."""
        text = self.msg.text
        key = key_of(words_of(text, exact.start, exact.end))
        sequel = _SEQUEL.match(text, exact.end) if self.msg.near.items(f"{key}2") else None
        return (
            Annotation(exact.start, sequel.end(), Unknown(text[exact.start : sequel.end()][:SHOWN]))
            if sequel
            else exact
        )

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

    def _candidate(self, position: int, joined: bool, exact: Annotation | None) -> Annotation | None:
        """Return the title that the words from a position on spell, and longer than an exact one.

        The longest that enough speaks for; a misspelled one only where no other is, with the fewest typing errors.
        """
        context = before(self.msg, position, joined)
        first = position + (not self.msg.words[position].key and position + 1 < len(self.msg.words))
        if context <= 0 and not exact and not self.msg.near.may_begin(self.msg.words[first].key):
            return None
        run, start = self._run(position), self.msg.words[position].start
        best: tuple[int, Annotation] | None = None
        for length in range(len(run), 0, -1):
            end, key = run[length - 1].end, key_of(run[:length])
            if exact and end <= exact.end or not self._may_be_title(run[:length]):
                continue
            words = of_words(self.msg, position, length)
            spelled = list(self._spelled(key, position, length))
            likely = context + words + MOST_AFTER + FAMOUS + of_errors(1, len(key)) >= ENOUGH
            misspelled = likely and context > 0 and not (exact or any(self.msg.covered[position : position + length]))
            if not spelled and not misspelled:
                continue
            evidence = context + words + after(self.msg, start, end) - ENOUGH
            evidence += EXTENDING if exact else 0.0
            # what names a title ("I have seen") is no second observation
            if -MOST_AFTER <= evidence < 0 and 0 <= context < NAMED and words and is_expressed(self.msg, start, end):
                evidence += EXPRESSED
            for items, weight in spelled:
                if weight < 0 and self._cuts_title(start, end):
                    continue  # "Ghost and Mrs. Doubtfire" begins as "The Ghost and Mrs. Muir" does
                if not run[0].key and not self.msg.near.has_article(items):
                    weight += OTHER_ARTICLE
                renown = self.renown.of(items, words)
                if length == 1 and words >= RARE and renown >= 0 and self.msg.near.is_whole(key):
                    weight += DISTINCT
                if length == 1 and -BARE <= evidence + weight + renown < 0 and is_bare(self.msg, position, context):
                    weight += BARE
                if evidence + weight + renown >= 0:
                    if sequel := _SEQUEL.match(self.msg.text, end):
                        return Annotation(start, sequel.end(), Unknown(self.msg.text[start : sequel.end()][:SHOWN]))
                    return Annotation(start, end, Mention(start, end, items))
            if not misspelled or evidence + of_errors(1, len(key)) + FAMOUS < 0:
                continue
            nearest = self._nearest_of(key)
            if nearest is None or nearest[0] == 0 or best and nearest[0] >= best[0]:
                continue
            if evidence + of_errors(nearest[0], len(key)) + self.renown.of(nearest[1], words) >= 0:
                best = nearest[0], Annotation(start, end, Mention(start, end, nearest[1]))
        return best[1] if best else None

    def _is_phrase(self, position: int, joined: bool, exact: Annotation) -> bool:
        """Return whether words in lower case only look like a title of the catalog: "he is a taxi driver"."""
        if not self.msg.text[exact.start : exact.end].islower() or not isinstance(exact.value, Mention):
            return False
        words = [word for word in self.msg.words[position : position + MOST_WORDS] if word.end <= exact.end]
        weight = of_words(self.msg, position, len(words))
        evidence = before(self.msg, position, joined) + weight + after(self.msg, exact.start, exact.end)
        return evidence + _further(words) + self.renown.of(exact.value.items, weight) < TOO_LITTLE

    def _spelled(self, key: str, position: int, length: int) -> Iterator[tuple[tuple[int, ...], float]]:
        """Yield (items, weight) of the titles that a key spells: as a whole, by their number, or shortened."""
        near = self.msg.near
        if items := near.items(key):
            words = self.msg.words[position : position + length]
            yield items, _further(words) if near.is_whole(key) else SHORTENED
        word = self.lower[self.msg.words[position].start : self.msg.words[position].end]
        is_number = length == 1 and key.isdigit() and word.strip("ivx")  # "another 2", and not "II" or "part 2"
        if not is_number and (items := near.of_series(key, self.lower)):
            yield items, OF_SERIES
        if length > 1:
            if items := near.shortened(key):
                yield items, SHORTENED
            if self._is_first_part(position + length - 1) and (items := near.items(key.removesuffix("1"))):
                yield items, 0.0  # "godfather 1"
        elif items := near.numbered(key) or near.initials(key):
            if not ends_range(self.msg, position):
                yield items, 0.0
        elif items := near.numbered(word):
            yield items, NUMERIC
        elif len(key) >= WORD_LENGTH and (items := near.begun(key)):
            yield items, 0.0 if near.is_whole(key) else SHORTENED
        elif self._is_apart(position) and (items := near.distinctive(key)):
            yield items, ONE_WORD

    def _is_apart(self, position: int) -> bool:
        """Return whether a rare word is between common ones, so that it is no part of a name ("Audrey Hepburn")."""
        words, weights = self.msg.words, self.msg.weights
        if weights[position] < RARE:
            return False
        follows = position + 1 < len(words) and self.msg.text[words[position].end : words[position + 1].start] == " "
        precedes = position > 0 and self.msg.text[words[position - 1].end : words[position].start] == " "
        return not (
            follows
            and weights[position + 1] >= RARE
            or precedes
            and weights[position - 1] >= RARE
            and not self.msg.covered[position - 1]
        )

    def _cuts_title(self, start: int, end: int) -> bool:
        """Return whether words end within a title, after them, that the message writes as the catalog does."""
        return any(start < at < end < title.end for at, title in self.msg.exact.items())

    def _is_first_part(self, position: int) -> bool:
        """Return whether a word numbers a title as the first of its series: "godfather 1", not "heat one more time"."""
        word = self.msg.words[position]
        return word.key == "1" and (self.msg.text[word.start].isdigit() or not _ONE_MORE.match(self.msg.text, word.end))

    def _may_be_title(self, words: Sequence[Word]) -> bool:
        """Return whether a title may consist of these words."""
        return bool(words[-1].key) and words[0].key not in _NOT_FIRST and not _NO_TITLE_WORDS & {w.key for w in words}

    def _nearest_of(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        if self.lookups >= _MOST_LOOKUPS:
            return None
        self.lookups += 1
        return self.msg.near.nearest(key)

    def _nearest(self, key: str) -> tuple[int, ...]:
        nearest = self._nearest_of(key)
        return nearest[1] if nearest else ()


def _further(words: Sequence[Word]) -> float:
    """Return what the number of words of a whole title counts."""
    return WHOLE * (sum(bool(word.key) for word in words) - 1)


def _is_common(text: str) -> bool:
    """Return whether all words of a text are common ones."""
    return all(word in COMMON_WORDS for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower()))
