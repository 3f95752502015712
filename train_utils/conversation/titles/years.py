"""Titles that a message names with their year: "Sabrina (1954)", "the 1962 Cape Fear"."""

import re

from train_utils.catalog import Catalog, year_attribute
from train_utils.conversation.words.annotations import Annotation
from train_utils.prompts.named_titles import Mention

_YEAR = r"((?:18|19|20)\d\d)"
_AFTER = re.compile(rf",? \((?:from |of )?{_YEAR}\)|,? {_YEAR}(?![\w'-]|\s?(?:to|through|until|-)\s?\d)")
_FROM = re.compile(rf"(?:,? the one)? from {_YEAR}(?![\w'-])", re.IGNORECASE)
_BEFORE = re.compile(rf"\b{_YEAR}(?:'s)? $")


class TitleYears:
    """Finder of the years next to titles.

    Args:
        catalog: the catalog; without an attribute that holds years, no year is found.
    """

    def __init__(self, catalog: Catalog):
        self._catalog, self._attribute = catalog, year_attribute(catalog.numeric_attributes)

    def with_year(self, text: str, title: Annotation) -> Annotation:
        """Return a title with the year next to it, if that is the year of its item, and of several items of that one.

        "from 1962" is taken only where it chooses between items; elsewhere it is left to `RangeReader`.

        Args:
            text: the message.
            title: a title of the message.
        """
        if not isinstance(title.value, Mention) or not self._attribute:
            return title
        start, end, items = title.start, title.end, title.value.items
        after = _AFTER.match(text, end) or (_FROM.match(text, end) if len(items) > 1 else None)
        before = _BEFORE.search(text, max(0, start - len("1962's ")), start)
        for found in filter(None, (after, before)):
            year = int(next(filter(None, found.groups())))
            if chosen := tuple(i for i in items if self._catalog.items[i].number(self._attribute) == year):
                start, end = min(start, found.start()), max(end, found.end())
                return Annotation(start, end, Mention(start, end, chosen))
        return title
