"""Capitalized words that are a title that the catalog lacks, or a longer name that a title of it is a part of."""

import re

from train_utils.conversation.titles.unknown_words import FIRST_NAMES
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import BAD, GOOD, NAMING, NO_TITLE, NOUNS, any_of, finder
from train_utils.conversation.words.message_words import CONNECTING, GAP, MOST_WORDS, SHOWN, MessageWords, Unknown
from train_utils.conversation.words.title_contexts import CHAIN, DATED, JOINED, KIND
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.named_titles import Mention
from train_utils.prompts.near_titles import Word

# After a title that the sentence is about: "The Dark Knight was great."
_JUDGED = re.compile(
    rf" (?:(?:is|was|were|are)\s(?:[\w']+\s){{0,3}}?{any_of(GOOD + ',' + BAD)}"
    r"|(?:rocks|rocked|sucks|sucked|rules))\s*(?:[.,;!?\n]|$)"
    r"| (?:blew me|made me|scared me|bored me|left me|changed my|is my|was my|are my|were my)\b",
    re.I,
)
_PEOPLE = re.compile(r"\b(?:actors?|actress(?:es)?|directors?|filmmakers?|friends?|kids|family|stars?)\b", re.I)
_NAMING_WORD = finder(NAMING + ", seen, wanted, known, watched, disliked")
# that are titles as well
_FILMMAKER = re.compile(r"\b(?:actors?|actress(?:es)?|directors?|filmmakers?)\b[^.!?\n]*$", re.I)
_LOVED = re.compile(r"\b(?:loves?|likes?|adores?|hates?|bear|stand|enjoys?|misse?s?|fan of|fans of)\s$", re.I)
_FIRST_NAMES = frozenset(
    str.split(
        """
        alice anna annie arthur barbara carrie charlie clara dave eddie emma eva frank frida gigi harry harvey jack jane
        jason jerry jessica joe john julia kate kolya laura lisa lucy marnie marty mary matilda max michael mickey milo
        nadja nell nick nikita norma oliver oscar patton penelope pete peter rachel rebecca robin rocky rosie roger rob
        sabrina sally sam sarah selena simon sophie stella sue susan ted thelma tom tommy tony victor wanda will
        """
    )
)
_LEAST = 2  # characters of a name
_LATEST = 2030  # a later number after a title is a part of it: "Blade Runner 2049"
_LIKENED = re.compile(r"(?:(?:movies|films|stuff|something) )?(?:like|similar to) [^.!?\n]+(?:,| and| or) ", re.I)
_NOUN = re.compile(rf"\s+{any_of(NOUNS)}\b", re.I)
_IS = re.compile(
    r" (?:was|is|had|has|did|didn't|wasn't|isn't|made|gave|left|blew|rocks|sucks|sucked|bored"
    r"|haunts|remains|leaves|gives|makes|gets|holds|blows|rules|still|never|always)\b",
    re.I,
)
_END = re.compile(r"\s*(?:[.,;!?\n)]|$|\s(?:and|or|but)\b)")


def is_in_name(msg: MessageWords, position: int, exact: Annotation, named: bool) -> bool:
    """Return whether a title in one word is only a part of a longer name: "Michael Keaton", "The Iron Giant"."""
    if not msg.mixed or named or not msg.capital[position] or " " in msg.text[exact.start : exact.end]:
        return False
    after, before = position + 1, position - 1
    adjacent = after < len(msg.words) and msg.text[exact.end : msg.words[after].start] == " "
    if adjacent and _is_of_name(msg, after) and exact.start not in msg.contexts.first:
        return True
    if before < 0 or msg.text[msg.words[before].end : exact.start] != " " or not _is_of_name(msg, before):
        return False
    return bool(before and not msg.words[before - 1].key or msg.words[before].start not in msg.contexts.first)


def is_first_name(msg: MessageWords, position: int, exact: Annotation) -> bool:
    """Return whether a title in lower case is only the first name of somebody: "i love michael douglas"."""
    after = position + 1
    return (
        msg.text[exact.start : exact.end] in _FIRST_NAMES
        and after < len(msg.words)
        and msg.text[exact.end : msg.words[after].start] == " "
        and msg.weights[after] > 0
        and not (_IS.match(msg.text, exact.end) or _JUDGED.match(msg.text, exact.end))
        and not msg.text[msg.words[after].start : msg.words[after].end].endswith("ed")
    )


def is_somebody(text: str, start: int, end: int) -> bool:
    """Return whether a name is somebody's: "my favorite director is Kubrick", "she adores Audrey Hepburn"."""
    sentence = max(text.rfind(mark, 0, start) for mark in ".!?\n") + 1
    if _FILMMAKER.search(text, sentence, start):
        return True
    words = text[start:end].lower().split()
    return len(words) == 2 and words[0] in FIRST_NAMES and bool(_LOVED.search(text, max(sentence, start - 20), start))


def _is_of_name(msg: MessageWords, position: int) -> bool:
    """Return whether a word is capitalized and uncommon, and no title of the catalog."""
    return msg.capital[position] and not (msg.common[position] or msg.covered[position] or msg.noun[position])


def is_subject_of(msg: MessageWords, position: int, end: int) -> bool:
    """Return whether a name is in a list ("Fight Club, Heat"), before "type of film", or what a judgment is of."""
    start = msg.words[position].start
    if (
        KIND.match(msg.text, end)
        or DATED.match(msg.text, end)
        and not _is_common_name(msg, position)
        or CHAIN.match(msg.text, end)
        or CHAIN.search(msg.text[max(0, start - 4) : start])
    ):
        return True
    if start not in msg.contexts.first or " " not in msg.text[start:end] or _is_common_name(msg, position):
        return _begins_list(msg, position)
    joined = JOINED.match(msg.text, end)
    return bool(
        joined and joined.end() in msg.exact or _JUDGED.match(msg.text, end) and not _PEOPLE.search(msg.text)
    ) or _begins_list(msg, position)


def _is_common_name(msg: MessageWords, position: int) -> bool:
    """Return whether the first word of a name that is no article is a common one."""
    at = position + (not msg.words[position].key)
    return at == len(msg.words) or msg.common[at]


def _begins_list(msg: MessageWords, position: int) -> bool:
    """Return whether an enumeration of several names begins a sentence: "Shrek, Finding Nemo & The Iron Giant"."""
    if msg.words[position].start not in msg.contexts.first or _PEOPLE.search(msg.text):
        return False
    names: list[str] = []
    at: int | None = position
    while at is not None and msg.capital[at] and (end := _name_end(msg, at)):
        names.append(msg.text[msg.words[at].start : end])
        joined = JOINED.match(msg.text, end)
        at = next((i for i in range(at, len(msg.words)) if joined and msg.words[i].start == joined.end()), None)
    return (
        len(names) > 1
        and any(name.startswith("The ") for name in names)
        or (len(names) > 2 and any(" " in name for name in names))
    )


def longer_name(msg: MessageWords, position: int, exact: Annotation, named: bool) -> Annotation:
    """Return an unknown title that begins with a known one ("Batman Begins"), or the known one."""
    at = next(i for i in range(position, len(msg.words) + 1) if i == len(msg.words) or msg.words[i].start >= exact.end)
    if at == len(msg.words) or msg.text[exact.end : msg.words[at].start] != " ":
        return exact
    number = msg.text[msg.words[at].start : msg.words[at].end]
    later = number.isdecimal() and len(number) == 4 and int(number) > _LATEST
    end = msg.words[at].end if later else _name_end(msg, at)
    if number == "with":
        return exact  # "Seven with Brad Pitt"
    if end is None:
        return exact
    if number == msg.text[msg.words[at].start :].rstrip(" .!?") and _LIKENED.fullmatch(msg.text, 0, exact.start):
        return exact  # "like Clueless or Scream 3" asks for three
    subject = number.isdecimal() or exact.start in msg.contexts.first
    if not ((named or later) and _END.match(msg.text, end) or subject and _IS.match(msg.text, end)):
        return exact
    return Annotation(exact.start, end, Unknown(msg.text[exact.start : end][:SHOWN]))


def unknown_at(msg: MessageWords, position: int, named: bool) -> Annotation | None:
    """Return the capitalized words at a position as an unknown title; a common word only where `named`."""
    start = msg.words[position].start
    if not msg.capital[position] or msg.words[position].key.isdigit():  # "II" of "Godfather I and II"
        return None
    if start in msg.contexts.first and _NAMING_WORD.fullmatch(msg.text, start, msg.words[position].end):
        return None  # "Rewatched Vertigo"
    end = _name_end(msg, position)
    if end is None and named and start not in msg.contexts.first and _is_whole_name(msg, position):
        end = msg.words[position].end
    if end is None or _NOUN.match(msg.text, end) or end - start < _LEAST or is_somebody(msg.text, start, end):
        return None
    words = [word for word in msg.words[position : position + 3] if word.end <= end]
    if len(words) == 3 and not words[1].key and (items := msg.near.items(words[2].key)):
        return Annotation(start, end, Mention(start, end, items))  # "Leon the Professional"
    return Annotation(start, end, Unknown(msg.text[start:end][:SHOWN]))


def _is_whole_name(msg: MessageWords, position: int) -> bool:
    """Return whether a common word with a capital may be a title: "films like Up or Coco"."""
    word = msg.words[position]
    plain = msg.text[word.start : word.end].lower()
    ordinary = plain in NO_TITLE or msg.noun[position] or plain.startswith(("i'", "it")) or plain == "i"
    return bool(word.key) and not ordinary and bool(_END.match(msg.text, word.end))


def _name_end(msg: MessageWords, position: int) -> int | None:
    """Return the end of a name of capitalized words; None where they are common ones."""
    end: int | None = None
    last: Word | None = None
    for at in range(position, min(position + MOST_WORDS, len(msg.words))):
        word = msg.words[at]
        start, text = word.start, msg.text[word.start : word.end]
        if last and not GAP.fullmatch(msg.text, last.end, word.start):
            break
        before = msg.text[last.start : last.end].lower() if last and start in msg.exact else ""
        if before in CONNECTING or before.endswith("'s"):
            return None  # "Tom Hanks in Forrest Gump", "Hitchcock's Vertigo"
        if msg.capital[at]:
            if _NAMING_WORD.fullmatch(text) and msg.text[word.end : word.end + 1] == ":":
                break  # "Disliked: Titanic"
            if text.lower() not in COMMON_WORDS and text.lower() not in NO_TITLE:
                end = word.end
            elif text in ("I", "I'm", "I've", "I'd"):
                break
            elif end and _END.match(msg.text, word.end):
                end = word.end  # "Knives Out"
        elif text.isdigit() and len(text) < 3:
            end = word.end
        elif text.lower() not in CONNECTING:
            break
        last = word
    return end
