"""References to the last list ("the second one", "number 3", "the first two"), read as its titles."""

import re
from collections.abc import Sequence

from train_utils.conversation.lexicon import any_of

_ORDINALS = str.split("first second third fourth fifth sixth seventh eighth ninth tenth")
_AMOUNTS = str.split("one two three four five six seven eight nine ten")
_THING = r"(?:ones?|movies?|films?|titles?|items?|books?|games?|shows?|series|songs?|suggestions?|picks?)"
_OF_THEM = r"(?:\s+of\s+(?:these|those|them|your\s+list|the\s+list))?"
# "the first time" and "the second half" are no places in a list.
_END = r"(?=\s*(?:$|[^\w\s]|(?:and|or|but|was|were|is|are|looks?|sounds?|because|please|again|too|already)\b))"
_PLACE = re.compile(
    rf"\b(?:the\s+)(?P<order>{any_of(', '.join(_ORDINALS))}|last)"
    rf"(?:\s+(?P<amount>{any_of(', '.join(_AMOUNTS[1:]))}|[2-9]))?(?:\s+{_THING})?{_OF_THEM}{_END}"
    rf"|(?:\bthe\s+)?(?:#\s?|\b(?:number|nr\.?|no\.)\s*)(?P<number>\d{{1,3}}|{any_of(', '.join(_AMOUNTS))})\b"
    rf"|\bthe\s+(?P<nth>\d{{1,3}})(?:st|nd|rd|th)\b(?:\s+{_THING})?{_OF_THEM}{_END}"
    rf"|\b(?P<all>(?:all|both)\s+of\s+(?:them|these|those)|them\s+all)\b",
    re.IGNORECASE,
)


def places(text: str, n: int) -> list[tuple[re.Match[str], range]]:
    """Return the references of a message to a list, in its order.

    Args:
        text: the message.
        n: number of items of the list.

    Returns:
        (match, places in the list, from 0) of each reference; those beyond the list are left out.
    """
    found = [(match, _places(match, n)) for match in _PLACE.finditer(text)]
    return [(match, at) for match, at in found if at and at.stop <= n]


def _places(match: re.Match[str], n: int) -> range:
    if match["all"]:
        return range(n)
    amount = _number(match["amount"] or "1", _AMOUNTS)
    if (match["order"] or "").lower() == "last":
        return range(max(0, n - amount), n)
    first = _number(match["order"] or match["number"] or match["nth"], _ORDINALS if match["order"] else _AMOUNTS)
    return range(first - 1, first - 1 + amount) if first > 0 else range(0)


def _number(word: str, words: Sequence[str]) -> int:
    return int(word) if word.isdecimal() else words.index(word.lower()) + 1


def with_titles(text: str, titles: Sequence[str]) -> str:
    """Return a message in which references to the last list are the titles, in quotation marks.

    Args:
        text: the message.
        titles: titles of the list, in its order.
    """
    pieces: list[str] = []
    end = 0
    for match, at in places(text, len(titles)):
        pieces += [text[end : match.start()], " and ".join(f'"{titles[i]}"' for i in at)]
        end = match.end()
    return "".join([*pieces, text[end:]])
