"""Titles in lower case, which the words around them make titles: "movies like shawshank", "casablanca was great"."""

from train_utils.conversation.titles.unknown_words import NO_LAST, NO_PART
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.message_words import (
    NAME_LENGTH,
    SHOWN,
    WORD_LENGTH,
    MessageWords,
    Unknown,
)
from train_utils.conversation.words.title_contexts import JOINED, NO_LOWER_TITLE
from train_utils.prompts.common_words import COMMON_WORDS
from train_utils.prompts.named_titles import Mention
from train_utils.prompts.near_titles import key_of

_PRAISED_LENGTH = 4  # of a title in one word before a judgment
_CLAUSAL = set(str.split("that that's thats this i im i'm you u we they he she it its it's"))
_OF_SOMEBODY = set(
    str.split(
        "my your his her our their its how when what that this these those all every some both it him them em with in"
        " at"
    )
)


def in_lower_case(msg: MessageWords, position: int) -> Annotation | None:
    """Return an unknown title in lower case where the words around it make it one."""
    start = msg.words[position].start
    end = msg.contexts.lower.get(start, 0)
    if not end:
        end = msg.contexts.seen.get(start, 0) or _enumerated_end(msg, start)
        if end and not _may_be_watched(msg, position, end):
            return None
    if not msg.text[start:end].islower():
        return None
    inside = [at for at in range(position, len(msg.words)) if msg.words[at].end <= end]
    telling = [at for at in inside if msg.words[at].key]
    joined = JOINED.match(msg.text, end)
    common = telling and msg.common[telling[0]] and not (joined and joined.end() in msg.exact)
    if not telling or common or any(msg.covered[at] or msg.noun[at] for at in inside):
        return None
    if _CLAUSAL.intersection(msg.text[start:end].split()):
        return None  # "thats my kind of thing"
    if NO_LOWER_TITLE.intersection(msg.words[at].key for at in telling[-1:]):
        return None  # "films like the latter"
    least = _PRAISED_LENGTH if start in msg.contexts.enumerated else NAME_LENGTH
    if len(telling) == 1 and len(msg.words[telling[0]].key) < least:
        return None
    key = key_of([msg.words[at] for at in inside])
    begins = len(telling) == 1 and len(key) >= WORD_LENGTH
    if items := msg.near.items(key) or (msg.near.begun(key) if begins else ()):
        return Annotation(start, end, Mention(start, end, items))
    return None if msg.near.nearest(key) else Annotation(start, end, Unknown(msg.text[start:end][:SHOWN]))


def _enumerated_end(msg: MessageWords, start: int) -> int:
    """Return the end of a piece of an enumeration that has a title of the catalog; 0 for none."""
    end, first, last, least = msg.contexts.enumerated.get(start, (0, 0, 0, 0))
    words = msg.text[start:end].lower().split()
    if len(words) > 1 and words[-1] in COMMON_WORDS:  # "Heat, Fargo and surprise me"
        return 0
    if words and (words[0] in NO_PART or words[-1] in NO_LAST):  # "Heat, Fargo... love that quiet sort of stuff"
        return 0
    return end if sum(first <= at < last for at in msg.exact) >= least else 0


def _may_be_watched(msg: MessageWords, position: int, end: int) -> bool:
    """Return whether words after "watched" may be a title: no person or thing that people watch or love as well."""
    words = msg.text[msg.words[position].start : end].lower().split()
    if (
        NO_LOWER_TITLE.intersection(words)
        or words[0] in _OF_SOMEBODY
        or words[-1].endswith(("ing", "ly"))
        or words[0].endswith("ed")
    ):
        return False
    is_plural = words[-1].endswith("s") and not words[-1].endswith("ss")
    is_doing = words[0].endswith("ing") and words[-1] in COMMON_WORDS  # "growing up"
    return not all(word in COMMON_WORDS for word in words) and not is_plural and not is_doing
