"""Titles that a message names: as the catalog writes them, loosely or with typing errors, and such that it lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.conversation.annotations import Annotation
from train_utils.conversation.lexicon import BAD, GOOD, NAMING, NO_TITLE, NOUNS, any_of, finder
from train_utils.conversation.title_contexts import (
    CHAIN,
    DATED,
    JOINED,
    KIND,
    NO_LOWER_TITLE,
    PRAISE,
    VERB,
    VERDICT,
    TitleContexts,
    covered_words,
    with_series,
)
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.named_titles import Mention, NamedTitles
from train_utils.prompts.near_titles import NearTitles, Word, key_of, words_of

SHOWN = 80  # characters of an unknown title that are kept
_MOST_WORDS = 9  # words of a loosely written title
_MOST_LOOKUPS = 400  # searches for typing errors per message, each tens of microseconds for 20,000 titles
# Least letters of a single word that may be a misspelled title, in lower case and in capitals after "like": a shorter
# word is near to too many others.
_WORD_LENGTH, _NAME_LENGTH = 7, 5
_PRAISED_LENGTH = 4  # of a title in one word before a judgment
# After a title that the sentence is about: "The Dark Knight was great."
_JUDGED = re.compile(
    rf" (?:(?:is|was|were|are)\s(?:[\w']+\s){{0,3}}?{any_of(GOOD + ',' + BAD)}"
    r"|(?:rocks|rocked|sucks|sucked|rules))\s*(?:[.,;!?\n]|$)"
    r"| (?:blew me|made me|scared me|bored me|left me|changed my|is my|was my|are my|were my)\b",
    re.I,
)
_PEOPLE = re.compile(r"\b(?:actors?|actress(?:es)?|directors?|filmmakers?|friends?|kids|family|stars?)\b", re.I)
_NAMING_WORD = finder(NAMING + ", seen, wanted, known, watched, disliked")
_LATEST = 2030  # a later number after a title is a part of it: "Blade Runner 2049"
_LIKENED = re.compile(r"(?:(?:movies|films|stuff|something) )?(?:like|similar to) [^.!?\n]+(?:,| and| or) ", re.I)
_GAP = re.compile(r" ?[-/:]? ?|'")  # between the words of a title
_DOT = re.compile(r"\. ?")
_ABBREVIATED = {"doctor", "mister", "mrs", "ms", "saint", "versus", "vol", "pt"}  # keys of words that end in a dot
_CONNECTING = set(str.split("of the in on to a an at for with from de la le der no"))
_NOUN = re.compile(rf"\s+{any_of(NOUNS)}\b", re.I)
_NOUN_WORDS = {noun.strip() for noun in NOUNS.split(",")}
_IS = re.compile(r" (?:was|is|had|has|did|didn't|wasn't|isn't|made|gave|left|blew|rocks|sucks|sucked|bored)\b", re.I)
_END = re.compile(r"\s*(?:[.,;!?\n)]|$|\s(?:and|or|but)\b)")


@dataclass(frozen=True)
class Unknown:
    """Title that the catalog does not have, as typed."""

    text: str


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
        self.text, self.near, self.lookups = text, near, 0
        self.words = words_of(text)
        exact = with_series(text, exact)
        lower = [text[word.start : word.end].lower() for word in self.words]
        self.common = [word in COMMON_WORDS for word in lower]
        self.noun = [word in _NOUN_WORDS for word in lower]
        self.capital = [text[word.start].isupper() for word in self.words]
        self.exact = {annotation.start: annotation for annotation in exact}
        self.covered = covered_words(self.words, exact)
        self.contexts = TitleContexts.of(text)
        letters = [character for character in text if character.isalpha()]
        self.mixed = 2 * sum(character.islower() for character in letters) > len(letters)

    def run(self) -> list[Annotation]:
        """Return the titles in the order of the text."""
        found: list[Annotation] = []
        position = 0
        while position < len(self.words):
            start = self.words[position].start
            joined = bool(found) and bool(JOINED.fullmatch(self.text, found[-1].end, start))
            title = self._at(position, joined)
            if title:
                found.append(title)
                while position < len(self.words) and self.words[position].start < title.end:
                    position += 1
            else:
                position += 1
        return found

    def _at(self, position: int, joined: bool) -> Annotation | None:
        """Return the title that begins at a word."""
        start = self.words[position].start
        exact = self.exact.get(start)
        named = joined or start in self.contexts.named or self._after_quote(start)
        if start in self.contexts.quoted:
            return self._quotation(position, self.contexts.quoted[start])
        if self.covered[position] and not exact:
            return None
        if not exact and (listed := self._subject(position)):
            return listed
        if loose := self._loose(position, named or start in self.contexts.listed, exact):
            return loose
        if exact:
            if self._is_in_name(position, exact, named):
                return None
            return self._longer(position, exact, named) if self.mixed else exact
        unknown = self._unknown(position, named) if self.mixed else None
        if unknown and (named or start in self.contexts.also or self._is_subject_of(position, unknown.end)):
            return unknown
        return self._in_lower_case(position)

    def _is_in_name(self, position: int, exact: Annotation, named: bool) -> bool:
        """Return whether a title in one word is only a part of a longer name: "Michael Keaton", "The Iron Giant"."""
        if not self.mixed or named or not self.capital[position] or " " in self.text[exact.start : exact.end]:
            return False
        after, before = position + 1, position - 1
        adjacent = after < len(self.words) and self.text[exact.end : self.words[after].start] == " "
        if adjacent and self._is_of_name(after) and exact.start not in self.contexts.first:
            return True
        if before < 0 or self.text[self.words[before].end : exact.start] != " " or not self._is_of_name(before):
            return False
        return bool(before and not self.words[before - 1].key or self.words[before].start not in self.contexts.first)

    def _is_of_name(self, position: int) -> bool:
        """Return whether a word is capitalized and uncommon, and no title of the catalog."""
        return self.capital[position] and not (self.common[position] or self.covered[position] or self.noun[position])

    def _is_subject_of(self, position: int, end: int) -> bool:
        """Return whether a name is in a list ("Fight Club, Heat"), before "type of film", or what a judgment is of."""
        start = self.words[position].start
        if (
            KIND.match(self.text, end)
            or DATED.match(self.text, end)
            and not self._is_common_name(position)
            or CHAIN.match(self.text, end)
            or CHAIN.search(self.text[max(0, start - 4) : start])
        ):
            return True
        if start not in self.contexts.first or " " not in self.text[start:end] or self._is_common_name(position):
            return self._begins_list(position)
        joined = JOINED.match(self.text, end)
        return bool(
            joined and joined.end() in self.exact or _JUDGED.match(self.text, end) and not _PEOPLE.search(self.text)
        ) or self._begins_list(position)

    def _is_common_name(self, position: int) -> bool:
        """Return whether the first word of a name that is no article is a common one."""
        at = position + (not self.words[position].key)
        return at == len(self.words) or self.common[at]

    def _begins_list(self, position: int) -> bool:
        """Return whether an enumeration of several names begins a sentence: "Shrek, Finding Nemo & The Iron Giant"."""
        if self.words[position].start not in self.contexts.first or _PEOPLE.search(self.text):
            return False
        names: list[str] = []
        at: int | None = position
        while at is not None and self.capital[at] and (end := self._name_end(at)):
            names.append(self.text[self.words[at].start : end])
            joined = JOINED.match(self.text, end)
            at = next((i for i in range(at, len(self.words)) if joined and self.words[i].start == joined.end()), None)
        return (
            len(names) > 1
            and any(name.startswith("The ") for name in names)
            or (len(names) > 2 and any(" " in name for name in names))
        )

    def _in_lower_case(self, position: int) -> Annotation | None:
        """Return an unknown title in lower case where the words around it make it one."""
        start = self.words[position].start
        end = self.contexts.lower.get(start, 0)
        if not end:
            end = self.contexts.seen.get(start, 0) or self._enumerated_end(start)
            if end and not self._may_be_watched(position, end):
                return None
        if not self.text[start:end].islower():
            return None
        inside = [at for at in range(position, len(self.words)) if self.words[at].end <= end]
        telling = [at for at in inside if self.words[at].key]
        joined = JOINED.match(self.text, end)
        common = telling and self.common[telling[0]] and not (joined and joined.end() in self.exact)
        if not telling or common or any(self.covered[at] or self.noun[at] for at in inside):
            return None
        least = _PRAISED_LENGTH if start in self.contexts.enumerated else _NAME_LENGTH
        if len(telling) == 1 and len(self.words[telling[0]].key) < least:
            return None
        key = key_of([self.words[at] for at in inside])
        begins = len(telling) == 1 and len(key) >= _WORD_LENGTH
        if items := self.near.items(key) or (self.near.begun(key) if begins else ()):
            return Annotation(start, end, Mention(start, end, items))
        return Annotation(start, end, Unknown(self.text[start:end][:SHOWN]))

    def _enumerated_end(self, start: int) -> int:
        """Return the end of a piece of an enumeration that has a title of the catalog; 0 for none."""
        end, first, last, least = self.contexts.enumerated.get(start, (0, 0, 0, 0))
        words = self.text[start:end].lower().split()
        if len(words) > 1 and words[-1] in COMMON_WORDS:  # "Heat, Fargo and surprise me"
            return 0
        return end if sum(first <= at < last for at in self.exact) >= least else 0

    def _may_be_watched(self, position: int, end: int) -> bool:
        """Return whether words after "watched" may be a title: no person or thing that people watch or love as well."""
        words = self.text[self.words[position].start : end].lower().split()
        if NO_LOWER_TITLE.intersection(words) or words[0] in _OF_SOMEBODY or words[-1].endswith(("ing", "ly")):
            return False
        is_plural = words[-1].endswith("s") and not words[-1].endswith("ss")
        is_doing = words[0].endswith("ing") and words[-1] in COMMON_WORDS  # "growing up"
        return not all(word in COMMON_WORDS for word in words) and not is_plural and not is_doing

    def _subject(self, position: int) -> Annotation | None:
        """Return a title in one word that a sentence or its first enumeration is about ("casablanca was great")."""
        word = self.words[position]
        if not word.key:
            return self._subject_with_article(position)
        if refused := self._refused(position):
            return refused
        end = self._enumeration_end(position)
        praised = bool(PRAISE.match(self.text, end) or VERDICT.match(self.text, end))
        named = word.start in self.contexts.named and len(word.key) == 4  # "films similar to 2001"
        if not named and word.start not in self.contexts.first or self.common[position]:
            return None
        if (praised or named) and word.key.isdigit():
            items = self.near.numbered(word.key)
            return Annotation(word.start, word.end, Mention(word.start, word.end, items)) if items else None
        if len(word.key) < (_PRAISED_LENGTH if praised else _WORD_LENGTH) or self.noun[position]:
            return None
        joined = JOINED.match(self.text, word.end)
        before = joined and joined.end() in self.exact
        if not before and not VERB.match(self.text, end):
            return None
        return self._mention(position)

    def _subject_with_article(self, position: int) -> Annotation | None:
        """Return a title in an article and a word that a sentence judges ("the rock was class")."""
        start, at = self.words[position].start, position + 1
        if start not in self.contexts.first or at == len(self.words) or self.common[at] or self.noun[at]:
            return None
        word = self.words[at]
        plain = self.text[word.start : word.end].lower()
        if len(word.key) < _PRAISED_LENGTH or plain in NO_LOWER_TITLE or not VERDICT.match(self.text, word.end):
            return None
        items = self.near.items(word.key)
        return Annotation(start, word.end, Mention(start, word.end, items)) if items else None

    def _refused(self, position: int) -> Annotation | None:
        """Return a title in one word that a request refuses ("no fargo"); a plural is a kind of thing ("no aliens")."""
        word = self.words[position]
        refused = word.start in self.contexts.refused and not word.key.endswith("s")
        return self._mention(position) if refused and not (self.common[position] or self.noun[position]) else None

    def _mention(self, position: int) -> Annotation | None:
        """Return the title whose name is one word."""
        word = self.words[position]
        items = self.near.items(word.key)
        return Annotation(word.start, word.end, Mention(word.start, word.end, items)) if items else None

    def _enumeration_end(self, position: int) -> int:
        """Return the end of the titles in one word that are joined from a position on."""
        end = self.words[position].end
        for other in self.words[position + 1 : position + _MOST_WORDS]:
            if other.key == "and":
                continue
            if not JOINED.fullmatch(self.text, end, other.start) or not self.near.items(other.key):
                break
            end = other.end
        return end

    def _after_quote(self, start: int) -> bool:
        return self.text[start - 1 : start] in ('"', "'") and start - 1 in self.contexts.named

    def _quotation(self, position: int, end: int) -> Annotation | None:
        """Return the title that a quotation is; a known one inside a longer name is none ("Batman Begins")."""
        start = self.words[position].start
        words = [word for word in self.words[position : position + 2 * _MOST_WORDS] if word.end <= end]
        exact = self.exact.get(start)
        if exact and exact.end >= words[-1].end:
            return exact
        key = key_of(words)
        if items := self.near.items(key) or self.near.shortened(key) or self._nearest(key):
            return Annotation(start, words[-1].end, Mention(start, words[-1].end, items))
        text = self.text[start:end]
        separated = re.search(r"[,;.!?]\s|\s(?:and|or)\s", text)
        if exact and (separated or len(words) > _MOST_WORDS):
            return exact
        is_name = text[:1].isupper() and self.mixed and not separated and not _is_common(text)
        is_name = is_name and (len(words) > 1 or start - 1 in self.contexts.named)
        if is_name and all(
            word[:1].isupper() or word.lower() in _CONNECTING or word[0].isdigit() for word in text.split()
        ):
            return Annotation(start, end, Unknown(text[:SHOWN]))
        return exact

    def _run(self, position: int) -> list[Word]:
        """Return the words from a position on that a title may have."""
        words = [self.words[position]]
        for at in range(position + 1, min(position + _MOST_WORDS, len(self.words))):
            one, other = words[-1], self.words[at]
            gap = self.text[one.end : other.start]
            abbreviated = _DOT.fullmatch(gap) and (one.key in _ABBREVIATED or one.end - one.start == 1)
            if not (_GAP.fullmatch(gap) or abbreviated):
                break
            words.append(other)
        return words

    def _loose(self, position: int, named: bool, exact: Annotation | None) -> Annotation | None:
        """Return the title that the words from a position on spell loosely, and longer than an exact one."""
        start = self.words[position].start
        capital = self.mixed and self.capital[position] and not self._is_sentence_case(position)
        first = start in self.contexts.first
        if not (named or capital or exact or first or start in self.contexts.offered):
            return None
        run = self._run(position)
        best: tuple[int, int, tuple[int, ...]] | None = None
        for length in range(len(run), 0, -1):
            end = run[length - 1].end
            if exact and end <= exact.end or not self._may_be_title(position, length, named, capital, first):
                continue
            offered = start in self.contexts.offered and length == 1
            if not (named or capital or exact or offered) and not self._is_subject(length, end):
                continue
            key = key_of(run[:length])
            if items := self.near.items(key) or (self._in_short(key, position, length) if named or first else ()):
                return Annotation(start, end, Mention(start, end, items))
            if (
                exact
                or any(self.covered[position : position + length])
                or _NO_TITLE_WORDS & {w.key for w in run[:length]}
            ):
                continue
            if (nearest := self._nearest_of(key)) and (best is None or nearest[0] < best[0]):
                best = nearest[0], end, nearest[1]
        return Annotation(start, best[1], Mention(start, best[1], best[2])) if best else None

    def _in_short(self, key: str, position: int, length: int) -> tuple[int, ...]:
        """Return the item of which words are a part that no other title has ("wrath of khan", "like shawshank")."""
        if length > 1:
            return self.near.shortened(key)
        word = self.words[position]
        likened = self.contexts.lower.get(word.start) == word.end and not self.common[position]
        return self.near.begun(key) if likened and len(key) >= _WORD_LENGTH else ()

    def _is_subject(self, length: int, end: int) -> bool:
        """Return whether the first words of a sentence are all that a judgment or a list is about."""
        return bool(VERB.match(self.text, end)) or length > 1 and self.text[end : end + 1] == ","

    def _is_sentence_case(self, position: int) -> bool:
        """Return whether a capital is only that of a sentence's first word."""
        return self.words[position].start in self.contexts.first and not any(self.capital[position + 1 : position + 3])

    def _may_be_title(self, position: int, length: int, named: bool, capital: bool, first: bool) -> bool:
        """Return whether words are no ordinary ones, so that a title that is near to them is meant."""
        words, past = self.words[position : position + length], position + length
        if not words[-1].key or words[0].key in _NOT_FIRST or self.noun[past - 1]:
            return False
        capitals = self.mixed and all(self.capital[position:past])
        if not capitals and past < len(self.words) and self.noun[past] and self._is_next(past):  # "war films"
            return False
        keys = [word.key for word in words if word.key]
        if len(keys) == 1:
            if self.near.items(keys[0]):  # `NamedTitles` left it alone
                offered = words[0].start in self.contexts.offered
                return (named or offered) and (named and capitals or len(keys[0]) >= _WORD_LENGTH)
            least = _NAME_LENGTH if named and capitals else _WORD_LENGTH
            return len(keys[0]) >= least and (named or capital or first)
        return not all(self.common[position:past]) or (named and capitals)

    def _is_next(self, position: int) -> bool:
        """Return whether only a space is before a word."""
        return self.text[self.words[position - 1].end : self.words[position].start] == " "

    def _nearest_of(self, key: str) -> tuple[int, tuple[int, ...]] | None:
        if self.lookups >= _MOST_LOOKUPS:
            return None
        self.lookups += 1
        return self.near.nearest(key)

    def _nearest(self, key: str) -> tuple[int, ...]:
        nearest = self._nearest_of(key)
        return nearest[1] if nearest else ()

    def _longer(self, position: int, exact: Annotation, named: bool) -> Annotation:
        """Return an unknown title that begins with a known one ("Batman Begins"), or the known one."""
        at = next(
            i for i in range(position, len(self.words) + 1) if i == len(self.words) or self.words[i].start >= exact.end
        )
        if at == len(self.words) or self.text[exact.end : self.words[at].start] != " ":
            return exact
        number = self.text[self.words[at].start : self.words[at].end]
        later = number.isdecimal() and len(number) == 4 and int(number) > _LATEST
        end = self.words[at].end if later else self._name_end(at)
        if end is None:
            return exact
        if number == self.text[self.words[at].start :].rstrip(" .!?") and _LIKENED.fullmatch(self.text, 0, exact.start):
            return exact  # "like Clueless or Scream 3" asks for three
        subject = number.isdecimal() or exact.start in self.contexts.first
        if not ((named or later) and _END.match(self.text, end) or subject and _IS.match(self.text, end)):
            return exact
        return Annotation(exact.start, end, Unknown(self.text[exact.start : end][:SHOWN]))

    def _unknown(self, position: int, named: bool) -> Annotation | None:
        """Return the capitalized words at a position as an unknown title; a common word only where `named`."""
        start = self.words[position].start
        if not self.capital[position] or self.words[position].key.isdigit():  # "II" of "Godfather I and II"
            return None
        end = self._name_end(position)
        if end is None and named and start not in self.contexts.first and self._is_whole_name(position):
            end = self.words[position].end
        if end is None or _NOUN.match(self.text, end):
            return None
        words = [word for word in self.words[position : position + 3] if word.end <= end]
        if len(words) == 3 and not words[1].key and (items := self.near.items(words[2].key)):
            return Annotation(start, end, Mention(start, end, items))  # "Leon the Professional"
        return Annotation(start, end, Unknown(self.text[start:end][:SHOWN]))

    def _is_whole_name(self, position: int) -> bool:
        """Return whether a common word with a capital may be a title: "films like Up or Coco"."""
        word = self.words[position]
        plain = self.text[word.start : word.end].lower()
        ordinary = plain in NO_TITLE or self.noun[position] or plain.startswith(("i'", "it")) or plain == "i"
        return bool(word.key) and not ordinary and bool(_END.match(self.text, word.end))

    def _name_end(self, position: int) -> int | None:
        """Return the end of a name of capitalized words; None where they are common ones."""
        end: int | None = None
        last: Word | None = None
        for at in range(position, min(position + _MOST_WORDS, len(self.words))):
            word = self.words[at]
            start, text = word.start, self.text[word.start : word.end]
            if last and not _GAP.fullmatch(self.text, last.end, word.start):
                break
            before = self.text[last.start : last.end].lower() if last and start in self.exact else ""
            if before in _CONNECTING or before.endswith("'s"):
                return None  # "Tom Hanks in Forrest Gump", "Hitchcock's Vertigo"
            if self.capital[at]:
                if _NAMING_WORD.fullmatch(text) and self.text[word.end : word.end + 1] == ":":
                    break  # "Disliked: Titanic"
                if text.lower() not in COMMON_WORDS and text.lower() not in NO_TITLE:
                    end = word.end
                elif text in ("I", "I'm", "I've", "I'd"):
                    break
                elif end and _END.match(self.text, word.end):
                    end = word.end  # "Knives Out"
            elif text.isdigit() and len(text) < 3:
                end = word.end
            elif text.lower() not in _CONNECTING:
                break
            last = word
        return end


_NO_TITLE_WORDS = {"but", "because"}  # of no misspelled title: "I liked Philadelphia but the story was sad"
_NOT_FIRST = {"and", "or", "but", "of"}
_OF_SOMEBODY = set(
    str.split(
        "my your his her our their its how when what that this these those all every some both it him them with in at"
    )
)


def _is_common(text: str) -> bool:
    """Return whether all words of a text are common ones."""
    return all(word in COMMON_WORDS for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower()))
