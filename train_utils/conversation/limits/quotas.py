"""Numbers of items per category: "two comedies and a drama", "two of each"."""

import re
from collections.abc import Sequence

from train_utils.conversation.limits.category_words import CategoryWords
from train_utils.conversation.words.annotations import Annotation
from train_utils.conversation.words.lexicon import NOUNS, any_of
from train_utils.conversation.words.numerals import MOST, NUMBER, is_article, number_of

_ADJECTIVE = r"(?:(?!(?:and|or|of|but|with|not|no)\b)[^\W\d_][\w'-]*\s+){0,2}"
_COUNTED = rf"(?P<n>{NUMBER}|another|an?)\s+{_ADJECTIVE}"
_FIRST = re.compile(rf"(?:^|[^\w.-]){_COUNTED}$", re.IGNORECASE)
_NEXT = re.compile(
    rf"\s*(?:{any_of(NOUNS)}\s*)?(?:,\s*(?:(?:and|plus)\s+)?|(?:and|plus|&|\+)\s*)(?:also\s+|then\s+)?{_COUNTED}",
    re.IGNORECASE,
)
_EACH = re.compile(rf"(?<![\w.-])(?P<n>{NUMBER})\s+(?:(?:of|from)\s+)?each\b", re.IGNORECASE)
_NEAR = 60  # characters before a category that may say how many


def find_quotas(plain: str, only: Sequence[Annotation]) -> tuple[tuple[str, int], ...]:
    """Return (category, number of its items) for each category asked for; () where a message does not number them all.

    Args:
        plain: the message, with its annotations masked.
        only: the categories asked for, in the order of the text.
    """
    names = [entry.value.category for entry in only if isinstance(entry.value, CategoryWords)]
    if len(names) < 2 or len(set(names)) < len(names):
        return ()
    if each := _EACH.search(plain):
        numbers = [each["n"]] * len(names)
    else:
        before = max(0, only[0].start - _NEAR)
        gaps = [plain[one.end : other.start] for one, other in zip(only, only[1:], strict=False)]
        counted = [_FIRST.search(plain[before : only[0].start]), *map(_NEXT.fullmatch, gaps)]
        numbers = [match["n"] for match in counted if match]
    if len(numbers) < len(names) or all(map(is_article, numbers)):
        return ()
    amounts = list(map(number_of, numbers))
    fits = min(amounts) >= 1 and sum(amounts) <= MOST
    return tuple(zip(names, amounts, strict=True)) if fits else ()
