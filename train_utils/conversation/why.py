"""Questions about a list: "why the second one?", and which of its items are meant."""

import re
from collections.abc import Sequence

from train_utils.conversation.lexicon import any_of
from train_utils.prompts.named_titles import NamedTitles, plain_text

_ORDINALS = str.split("first second third fourth fifth sixth seventh eighth ninth tenth")
_WHY = re.compile(
    r"\b(?:why|how come|what made you (?:pick|choose|recommend|suggest)|what makes you (?:pick|think of|recommend))\b",
    re.IGNORECASE,
)
_RANK = re.compile(
    rf"\b(?P<word>{any_of(', '.join(_ORDINALS))}|last)\b(?!\s+(?:time|night|week|year|month))"
    r"|(?:#|\bnumber\s+|\bno\.?\s*)(?P<number>\d{1,3})\b|\b(?P<nth>\d{1,3})(?:st|nd|rd|th)\b",
    re.IGNORECASE,
)
# After "why", these mean the whole list.
_LIST = re.compile(
    r"\b(?:why|how come)\s+(?:did|do|would|are)?\s*(?:you\s+(?:pick|choose|recommend|suggest|list)\s+)?"
    r"(?:these|those|them|this list|that list|this|that|exactly these)\b|^\W*why\W*$",
    re.IGNORECASE,
)


def asked_about(text: str, listed: Sequence[int], titles: NamedTitles) -> list[int]:
    """Return the items of a list whose reason a message asks for; [] where it asks for none.

    Args:
        text: the message.
        listed: items of the last list, in order.
        titles: finder of the catalog's titles.
    """
    plain = plain_text(text)
    if not listed or not _WHY.search(plain):
        return []
    named = [item for mention in titles.locate(plain) for item in mention.items if item in listed]
    ranks = [_rank(match, len(listed)) for match in _RANK.finditer(plain)]
    items = [*named, *(listed[rank - 1] for rank in ranks if 1 <= rank <= len(listed))]
    if not items and _LIST.search(plain):
        items = list(listed)
    return list(dict.fromkeys(items))


def _rank(match: re.Match[str], n: int) -> int:
    word = (match["word"] or "").lower()
    if word == "last":
        return n
    return _ORDINALS.index(word) + 1 if word else int(match["number"] or match["nth"])
