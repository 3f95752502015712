"""Search of a domain's items by their titles."""

import re
from collections.abc import Sequence

from rapidfuzz import fuzz, process

from train_utils.catalog import Catalog

_ARTICLES = frozenset(("the", "a", "an"))  # written after a title in a catalog, and typed before it
_SIMILAR = 80  # of 100, from which on a title is found
_NEAR = 200  # titles like the text, from any of their letters on, that are compared by words
_GAP = re.compile(r"\W+")


def found_items(searched: tuple[Sequence[str], Sequence[int]], catalog: Catalog, query: str, limit: int) -> list[int]:
    """Return the items whose titles are most like a text, best first; the most popular ones for an empty text.

    Args:
        searched: titles in lower case, and the items that have them; see `Domain.searched_titles`.
        catalog: the catalog of the items.
        query: the text.
        limit: number of items at most.
    """
    lowered = " ".join(word for word in query[:200].lower().split() if word not in _ARTICLES) or query[:200].lower()
    if not lowered.strip():
        return list(catalog.most_popular[:limit])
    titles, items = searched
    near = process.extract(lowered, titles, scorer=fuzz.partial_ratio, score_cutoff=_SIMILAR, limit=_NEAR + limit)
    found = {i: 100 if lowered in title else round(_likeness(lowered, title)) for title, _, i in near}
    # Titles that have the text in them or, without one, the nearest; of equals, the popular one.
    least = max([_SIMILAR, *(likeness for likeness in found.values() if likeness == 100)])
    enough = (i for i, likeness in found.items() if likeness >= least)
    order = sorted(enough, key=lambda i: (-found[i], -catalog.popularity[items[i]]))
    return [items[i] for i in order[:limit]]


def _likeness(text: str, title: str) -> float:
    """Return how like a title a text is, of 100: the most like part of it that begins with a word."""
    starts = [0, *(match.end() for match in _GAP.finditer(title))]
    return max(fuzz.ratio(text, title[start : start + len(text)]) for start in starts)
