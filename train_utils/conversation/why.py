"""Questions about a list: "why the second one?", and which of its items are meant."""

import re
from collections.abc import Sequence

from train_utils.conversation.list_references import references
from train_utils.conversation.reader import plain_message
from train_utils.conversation.words.numerals import MOST
from train_utils.prompts.named_titles import NamedTitles

_WHY = re.compile(
    r"\b(?:why|how come|what made you (?:pick|choose|recommend|suggest)|what makes you (?:pick|think of|recommend))\b",
    re.IGNORECASE,
)
# After "why", these mean the whole list.
_LIST = re.compile(
    r"\b(?:why|how come)\s+(?:did|do|would|are)?\s*(?:you\s+(?:pick|choose|recommend|suggest|list)\s+)?"
    r"(?:these|those|them|this list|that list|this|that|exactly these)\b|^\W*why\W*$",
    re.IGNORECASE,
)


def asks_why(text: str) -> bool:
    """Return whether a message asks for the reason of a list or of a place in one: "why the second one?"."""
    plain = plain_message(text)
    return bool(_WHY.search(plain)) and (bool(_LIST.search(plain)) or bool(references(plain, MOST)))


def asked_about(text: str, listed: Sequence[int], titles: NamedTitles) -> list[int]:
    """Return the items of a list whose reason a message asks for; [] where it asks for none.

    Args:
        text: the message; its first `reader.READ` characters are read.
        listed: items of the last list, in order.
        titles: finder of the catalog's titles.
    """
    plain = plain_message(text)
    if not listed or not _WHY.search(plain):
        return []
    named = [item for mention in titles.locate(plain) for item in mention.items if item in listed]
    items = [*named, *(listed[i] for entry in references(plain, len(listed)) for i in entry.places)]
    if not items and _LIST.search(plain):
        items = list(listed)
    return list(dict.fromkeys(items))
