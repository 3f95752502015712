"""What looks like a title: an age ("my son, 7"), a day ("before Friday"), a year of a range, a number of items."""

import re

from train_utils.conversation.titles.evidence import MOST_AFTER, NAMED, after, before
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import NOUNS, any_of
from train_utils.conversation.words.message_words import MessageWords
from train_utils.conversation.words.numerals import NUMBER

_REACH = 30  # characters before a title in which an expression ends that makes it a time
# "for my daughter, 7."
_AGED = re.compile(
    r"\b(?:sons?|daughters?|kids?|boys?|girls?|nephews?|nieces?|grand\w+|child|children|brother|sister|cousin|toddler"
    r"|(?:he|she)(?:'s| is)|aged?)"
    r"(?:,? (?:who is|she is|he is|aged?))?,? \(?$",
    re.IGNORECASE,
)
_DAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|christmas|halloween|easter", re.IGNORECASE)
_ON_DAY = re.compile(
    r"\b(?:before|on|by|until|till|this|next|last|every|for|since|after|come|it's|is) $", re.IGNORECASE
)
_ENDS_LIST = re.compile(r"\s*(?:[.,;!?\n]|->|$)|\splease\b", re.IGNORECASE)  # "Scream and Friday, please"
_MEANT = re.compile(r" (?:i|we) mean", re.IGNORECASE)  # "by Friday I mean the film"
_NUMBER = re.compile(NUMBER, re.IGNORECASE)
_COUNTS = re.compile(
    rf" (?:more|further|additional|extra|other|others|of (?:them|those|these|that kind|that sort)|{any_of(NOUNS)})\b",
    re.IGNORECASE,
)
_YEAR = r"\b(?:1[89]|20)\d\d\s?"
_RANGE_BEGUN = re.compile(
    rf"\b(?:between|from)\s(?:the\syears\s)?{_YEAR}(?:and|&|to|-)\s?$|{_YEAR}(?:to|-|through|until)\s?$", re.IGNORECASE
)


def is_lookalike(msg: MessageWords, position: int, title: Annotation, joined: bool) -> bool:
    """Return whether a title of the catalog, as the message has it, is an age, a day or a number of items.

    Args:
        msg: the message.
        position: of the title's first word.
        title: the title.
        joined: whether a comma or "and" joins it to a title before it.
    """
    return _is_age(msg.text, title) or _is_day(msg, position, title, joined) or _is_number(msg.text, title)


def ends_range(msg: MessageWords, position: int) -> bool:
    """Return whether the word at a position is the last year of a range: "between 1996 and 2001"."""
    start = msg.words[position].start
    return bool(_RANGE_BEGUN.search(msg.text, max(0, start - _REACH), start))


def _is_age(text: str, title: Annotation) -> bool:
    is_number = text[title.start : title.end].isdecimal()
    return is_number and bool(_AGED.search(text, max(0, title.start - _REACH), title.start))


def _is_number(text: str, title: Annotation) -> bool:
    return bool(_NUMBER.fullmatch(text, title.start, title.end) and _COUNTS.match(text, title.end))


def _is_day(msg: MessageWords, position: int, title: Annotation, joined: bool) -> bool:
    """Return whether a title says when something is: "before Friday", "halloween! five slashers"."""
    text, start = msg.text, title.start
    if not _DAY.fullmatch(text, start, title.end) or joined and _ENDS_LIST.match(text, title.end):
        return False
    if _ON_DAY.search(text, max(0, start - _REACH), start):
        return not _MEANT.match(text, title.end)
    return 0 <= before(msg, position, False) < NAMED and after(msg, start, title.end) < MOST_AFTER - 1
