"""Search of a domain's items by their titles."""

from rapidfuzz import fuzz, process

from train_utils.catalog import Catalog
from train_utils.serving.domains import Domain

_ARTICLES = frozenset(("the", "a", "an"))  # written after a title in a catalog, and typed before it
_SIMILAR = 80  # of 100, from which on a title is found


def found_items(domain: Domain, catalog: Catalog, query: str, limit: int) -> list[int]:
    """Return the items whose titles are most like a text, best first; the most popular ones for an empty text.

    Args:
        domain: the domain.
        catalog: its catalog.
        query: the text.
        limit: number of items at most.
    """
    lowered = " ".join(word for word in query[:200].lower().split() if word not in _ARTICLES) or query[:200].lower()
    if not lowered.strip():
        return list(catalog.most_popular[:limit])
    titles, items = domain.searched_titles
    found = process.extract(lowered, titles, scorer=fuzz.partial_ratio, score_cutoff=_SIMILAR, limit=4 * limit)
    # A title that has the text in it comes first, then the nearest; of equals, the popular one.
    order = sorted(found, key=lambda one: (lowered not in one[0], -round(one[1]), -catalog.popularity[items[one[2]]]))
    return [items[i] for _, _, i in order[:limit]]
