"""Titles that the catalog lacks, in any case: words where a title must be, in which nothing else was read.

`capitalized` and `lower_case` find those that are certain before anything else is read. Here the
annotations of a message are given, so that what is left of an enumeration, after "films like", or before a judgment is
no category, number, or title of the catalog. A false alarm is worse than a miss.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.titles.capitalized import is_somebody
from train_utils.conversation.titles.evidence import after
from train_utils.conversation.titles.unknown_contexts import CLOSINGS, OPENINGS
from train_utils.conversation.titles.unknown_evidence import CLOSED, SURE, is_near, is_vague, of_content
from train_utils.conversation.titles.unknown_words import FIRST_NAMES, NO_PART
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.message_words import SHOWN, MessageWords, Unknown
from train_utils.conversation.words.title_contexts import JOINED, covered_words
from train_utils.prompts.named_titles import Mention

# ENOUGH makes words a title. Each of the weights below, of `unknown_contexts`, and of `unknown_evidence` is for one
# observation.
ENOUGH = 4.5
_JUDGED = 2.0  # what `after` returns where a judgment follows
# After a title: "and"; a comma, in an enumeration of several, and of one; a question mark.
_JOINED, _LISTED, _AFTER_COMMA, _ASKED_TOO = 2.5, 2.0, 0.5, 2.0
_JOINED_AFTER, _MORE_AFTER = 2.5, 0.5  # a title follows, after a comma or "and"; several do
_BETWEEN = 1.5  # a title on either side
_ENUMERATED = 1.0  # a piece of a sentence that consists of such pieces
_STARTS = 0.5  # a clause begins
_PARALLEL = 1.0  # the word before or after it is also that of a title
_PERSON = -3.5  # it begins with a first name
_VAGUE = -1.5  # an adjective, or a noun that needs no article
_ELSEWHERE, _SHORT = 1.0, 12  # a message of more words than this that is about something else takes more
_MOST_WORDS = 7
_ROUNDS = 4  # an enumeration is read from both its ends
_LEAST_PIECES, _MOST_PIECES = 3, 12
_GAP = re.compile(r"[ -]|'")
_START = re.compile(
    r"(?:^|[.!?,;:\n(]\s*|\s[-\u2013]+\s"
    r"|\b(?:but|and|or|so|well|oh|ooh|because|also|plus|then|yes|yeah|ok|guys|dude|man|mate|bro) )$",
    re.I,
)
_OTHERS = re.compile(r"(?: [\w']+){0,3} (?:and|or) ", re.I)
_SEQUEL = re.compile(r" (?:[2-9]|ii|iii|iv)(?=\s?(?:[.,;!?\n]|$))", re.I)
_FOR_SOMEBODY = re.compile(r" (?:the|a|an|my|our|his|her|their|\w+ (?:people|kids))\b", re.I)
_MEDIUM = re.compile(r" (?:tape|dvd|vhs|video|disc|blu-?ray|telly|tv|here|netflix)\b", re.I)
_BEFORE_ARTICLE = frozenset(str.split("of in on to for from and with at"))
_CONTRACTED = re.compile(r"'(?:ve|ll|re|d|m)$|n't$")
# What titles of a message have in common: two words before them, or one after them.
_PREVIOUS = re.compile(r"(?:[\w']+ )?(?!(?:the|a|an|and|or|of|to|in|is|for|on|with) )[\w']{3,} $", re.I)
_NEXT = re.compile(r" (?:done|seen|watched|yes|no|not|nope|yep|check|finished|too)\b", re.I)
_REACH = 30  # characters before a title in which these are
_OF_OTHER = re.compile(r",? (?:i|we|he|she|they|my|our|all|both)\b[^.!?\n]*$", re.I)  # "night, we love Heat"
# A message with one of these is about films, or what else the catalog has.
_SIGNAL = re.compile(
    r"\b(?:(?:re)?watch\w*|seen|saw|recommend\w*|suggest\w*|recs?|similar|next|vibes?|genre|tonight|favs?|fav[eo]\w*"
    r"|(?:some|any)thing like|stuff like|your (?:list|catalog|collection)|on here)\b",
    re.I,
)
_SENTENCE = re.compile(r"[^.!?\n]+")


@dataclass(frozen=True)
class _Candidate:
    """Words that may be a title.

    Attributes:
        position: of the first of them.
        length: number of them.
        score: what speaks for them.
    """

    position: int
    length: int
    score: float


@dataclass(frozen=True)
class _Titles:
    """Titles of a message by what is around them.

    Attributes:
        at: start -> title.
        starts: all starts, in ascending order.
        joined: position after a title and a comma or "and" -> the title.
        asked: positions after a title and a question mark.
        previous: words before titles.
        following: words after them.
    """

    at: Mapping[int, Annotation]
    starts: Sequence[int]
    joined: Mapping[int, Annotation]
    asked: frozenset[int]
    previous: frozenset[str]
    following: frozenset[str]

    @classmethod
    def of(cls, text: str, titles: Sequence[Annotation]) -> "_Titles":
        joins = [(JOINED.match(text, title.end), title) for title in titles]
        return cls(
            at={title.start: title for title in titles},
            starts=sorted(title.start for title in titles),
            joined={join.end(): title for join, title in joins if join},
            asked=frozenset(title.end + 2 for title in titles if text.startswith("? ", title.end)),
            previous=frozenset(_before(text, title.start) for title in titles) - {""},
            following=frozenset(_behind(text, title.end) for title in titles) - {""},
        )


class _Search:
    """State of the search in one message.

    Args:
        msg: its words.
        found: its annotations, in the order of the text.
    """

    def __init__(self, msg: MessageWords, found: Sequence[Annotation]):
        self.msg, self.text = msg, msg.text
        self.blocked = covered_words(msg.words, found)
        self.lower = [msg.text[word.start : word.end].lower() for word in msg.words]
        self.openings = {match.end(): weight for find, weight in OPENINGS for match in find.finditer(msg.text)}
        self.of_films = any(isinstance(entry.value, CategoryWords) for entry in found) or any(msg.noun)
        self.found = [entry for entry in found if isinstance(entry.value, (Mention, Unknown))]
        self.titles = _Titles.of(msg.text, self.found)

    def run(self) -> list[Annotation]:
        """Return the titles, in the order of the text."""
        known = len(self.found)
        for _ in range(_ROUNDS):
            new = self._round()
            if not new:
                break
            self.found += new
            self.titles = _Titles.of(self.text, self.found)
        return sorted(self.found[known:], key=lambda entry: entry.start)

    def _round(self) -> list[Annotation]:
        """Return the titles that are certain by what was found so far; of those that overlap the most certain."""
        found = []
        for one in sorted(self._candidates(), key=lambda one: (-one.score, -one.length)):
            inside = range(one.position, one.position + one.length)
            if any(self.blocked[at] for at in inside):
                continue
            for at in inside:
                self.blocked[at] = True
            start, end = self._span(one.position, one.length)
            found.append(Annotation(start, end, Unknown(self.text[start:end][:SHOWN])))
        return found

    def _span(self, position: int, length: int) -> tuple[int, int]:
        return self.msg.words[position].start, self.msg.words[position + length - 1].end

    def _candidates(self) -> Iterator[_Candidate]:
        """Yield the words that enough speaks for."""
        elsewhere = len(self.lower) > _SHORT and not (self.found or self.of_films or _SIGNAL.search(self.text))
        least = ENOUGH + (_ELSEWHERE if elsewhere else 0.0)
        for position in range(len(self.msg.words)):
            for length in self._lengths(position):
                opening = self._opening(position, length)
                if not opening:
                    break
                score = self._score(position, length, opening)
                if score < least or is_near(self.msg, position, length, opening):
                    continue
                if not is_somebody(self.text, *self._span(position, length)):
                    yield _Candidate(position, length, score)

    def _score(self, position: int, length: int, opening: float) -> float:
        """Return what speaks for words; 0 where they are no title."""
        start, end = self._span(position, length)
        closing = self._closing(start, end)
        content = of_content(self.msg, self.lower, position, length, closing) if closing > 0 else None
        if content is None:
            return 0.0
        score = opening + closing + content
        if _before(self.text, start) in self.titles.previous or _behind(self.text, end) in self.titles.following:
            score += _PARALLEL
        if self._pieces.get(start) == end:
            score += _ENUMERATED
        if opening < SURE and length == 1 and is_vague(self.lower[position]):
            score += _VAGUE
        if max(opening, closing) < SURE and self.lower[position] in FIRST_NAMES:
            score += _PERSON
        return score

    def _lengths(self, position: int) -> Iterator[int]:
        """Yield the numbers of words from a position on that a title may have."""
        words = self.msg.words
        for length in range(1, min(_MOST_WORDS, len(words) - position) + 1):
            at = position + length - 1
            if self.blocked[at] or length > 1 and not _GAP.fullmatch(self.text, words[at - 1].end, words[at].start):
                return
            word = self.lower[at]
            if word == "to" and self.msg.mixed and self.msg.capital[at + 1 : at + 2] == [True]:
                continue  # "Coming to America"
            if word in NO_PART or self.msg.noun[at] or _CONTRACTED.search(word):
                return
            if word == "on" and _MEDIUM.match(self.text, words[at].end):
                return
            if word == "for" and length > 1 and _FOR_SOMEBODY.match(self.text, words[at].end):
                return
            if word in ("a", "an", "the") and length > 1 and self.lower[at - 1] not in _BEFORE_ARTICLE:
                return
            yield length

    def _opening(self, position: int, length: int) -> float:
        """Return what is before words counts; 0 where no title begins."""
        start, end = self._span(position, length)
        weight = self.openings.get(start, 0.0)
        if title := self.titles.joined.get(start):
            joins = self.text[title.end : start].strip(" ,").isalpha()
            weight = max(weight, _JOINED if joins else self._listed(title, end))
        if start in self.titles.asked and "?" in self.text[end:]:
            weight = max(weight, _ASKED_TOO)
        return weight or (_STARTS if _START.search(self.text, max(0, start - 12), start) else 0.0)

    def _listed(self, title: Annotation, end: int) -> float:
        """Return what a comma after a title counts: "and" before the title ends an enumeration.

        Args:
            title: the title.
            end: where the words after the comma end.
        """
        if self.openings.get(title.start, 0.0) >= SURE and _OTHERS.match(self.text, end):
            return _LISTED
        before = self.titles.joined.get(title.start)
        return _LISTED if before and not self.text[before.end : title.start].strip(" ,").isalpha() else _AFTER_COMMA

    def _closing(self, start: int, end: int) -> float:
        """Return what is after words counts; 0 where no title ends."""
        if _SEQUEL.match(self.text, end):
            return 0.0  # "rambo 2"
        weight = after(self.msg, start, end)
        if CLOSED < weight < _JUDGED:
            weight = CLOSED
        following = bisect_left(self.titles.starts, end)
        if weight >= _JUDGED and following < len(self.titles.starts):
            weight = CLOSED if _OF_OTHER.fullmatch(self.text, end, self.titles.starts[following]) else weight
        weight = max([weight, *(other for find, other in CLOSINGS if other > weight and find.match(self.text, end))])
        if title := self._joined_after(end):
            joined = self._before_title(start, end, title)
            weight = max(weight, joined) if joined > CLOSED else CLOSED
        return weight

    def _joined_after(self, end: int) -> Annotation | None:
        """Return the title that a comma or "and" joins to what ends at a position."""
        joined = JOINED.match(self.text, end)
        return self.titles.at.get(joined.end()) if joined else None

    def _before_title(self, start: int, end: int, title: Annotation) -> float:
        """Return what it counts that a title is joined to words."""
        if start in self.titles.joined:
            return _JOINED_AFTER + _BETWEEN
        if self._joined_after(title.end):
            return _JOINED_AFTER + _MORE_AFTER
        alone = "," in self.text[end : title.start] and " " not in self.text[start:end]
        return CLOSED if alone else _JOINED_AFTER  # "Gosh, Fargo"

    @cached_property
    def _pieces(self) -> Mapping[int, int]:
        """Start -> end of the pieces of sentences that only enumerate: "gladiator, memento, shrek"."""
        pieces: dict[int, int] = {}
        for sentence in _SENTENCE.finditer(self.text):
            parts = re.split(",", sentence[0], maxsplit=_MOST_PIECES)
            if not _LEAST_PIECES <= len(parts) <= _MOST_PIECES:
                continue
            spans, start = [], sentence.start()
            for part in parts:
                spans.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))
                start += len(part) + 1
            contents = [self._of_piece(*span) for span in spans]
            if min(contents) > 0 and max(contents) > _JUDGED - CLOSED:
                pieces |= dict(spans)
        return pieces

    def _of_piece(self, start: int, end: int) -> float:
        """Return what the words of a piece of an enumeration count; 0 where they are no title."""
        position = self.msg.at.get(start)
        if position is None:
            return 0.0
        length = next((n for n in self._lengths(position) if self._span(position, n)[1] == end), 0)
        return length and of_content(self.msg, self.lower, position, length, CLOSED) or 0.0


def _before(text: str, start: int) -> str:
    """Return the words before a title that another title may have as well; "" for none."""
    match = _PREVIOUS.search(text, max(0, start - _REACH), start)
    return match[0].lower() if match else ""


def _behind(text: str, end: int) -> str:
    """Return the word after a title that another title may have as well; "" for none."""
    match = _NEXT.match(text, end)
    return match[0].lower() if match else ""


def find_unknown(msg: MessageWords, found: Sequence[Annotation]) -> list[Annotation]:
    """Return the titles among the words of a message that no annotation explains, in the order of the text.

    Args:
        msg: the words of the message.
        found: its annotations, in the order of the text.
    """
    return _Search(msg, found).run()
