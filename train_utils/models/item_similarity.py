"""Similarity of items, for "more like these": from co-occurrence, a teacher's vectors, and the items' texts."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from train_utils.catalog import Catalog
from train_utils.models.co_occurrence import co_occurrence_vectors

# Cosine that multiplies an item's share by e. Shares are relative, so this sets how far the nearest items stand out.
_TEMPERATURE = 0.1
_NO_EVENTS = 1e-9


def item_words(catalog: Catalog) -> csr_array:
    """Return TF-IDF vectors of what items are called and belong to, float64 [items, words], rows of length 1.

    The words of titles and the names of categories count, a category as one word; descriptions do not, whose length
    differs between items.
    """
    texts = [
        [*item.title.lower().replace(",", " ").split(), *(f"category {name}" for name in item.categories)]
        for item in catalog.items
    ]
    return csr_array(TfidfVectorizer(analyzer=lambda words: words, sublinear_tf=True).fit_transform(texts))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return vectors around their mean, with rows of length 1: float32 [items, d]."""
    centered = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centered, axis=1, keepdims=True)
    return np.divide(centered, lengths, out=np.zeros_like(centered), where=lengths > _NO_EVENTS).astype(np.float32)


class ItemSimilarity:
    """Which items are like others.

    Args:
        sources: vectors of all items, of several kinds, [items, d]; the mean of their cosines counts. A row has length
            1, or 0 for an item that the source knows nothing of.
        n_items: number of items; None for that of the sources. Of items beyond them nothing is known.
    """

    def __init__(self, sources: Sequence[np.ndarray | csr_array], n_items: int | None = None):
        self._sources = list(sources)
        self._n_known = self._sources[0].shape[0]
        self._n_items = self._n_known if n_items is None else n_items

    def of_more(self, n_items: int) -> "ItemSimilarity":
        """Return the similarity of the same items and of added ones, of which nothing is known."""
        return ItemSimilarity(self._sources, n_items)

    @classmethod
    def of(cls, catalog: Catalog, vectors: np.ndarray | None = None) -> "ItemSimilarity":
        """Return the similarity of a catalog's items by co-occurrence, where it has events, and by words.

        Args:
            catalog: the items and their training events.
            vectors: a teacher's item vectors, float [items, d]; None for none. Added items may lack theirs.
        """
        sources: list[np.ndarray | csr_array] = [item_words(catalog)]
        if any(catalog.training_sequences()):
            sources.append(co_occurrence_vectors(catalog.training_sequences(), len(catalog.items)))
        if vectors is not None:
            rows = unit_rows(vectors)
            sources.append(np.pad(rows, ((0, len(catalog.items) - len(rows)), (0, 0))))
        return cls(sources)

    def cosines(self, items: Sequence[int]) -> np.ndarray:
        """Return the mean cosine of every item to the given ones, float64 [items]."""
        cosines = np.zeros(self._n_items)
        if known := [item for item in items if item < self._n_known]:
            mean = sum((source @ source[known].T).mean(axis=1) for source in self._sources)
            cosines[: self._n_known] = np.asarray(mean, dtype=np.float64).reshape(-1) / len(self._sources)
        return cosines

    def shares(self, liked: Sequence[int], disliked: Sequence[int] = ()) -> np.ndarray:
        """Return the share of each item in "like these", float64 [items], which sum to 1.

        Args:
            liked: item indices to be like; not empty.
            disliked: item indices to be unlike, which count half.
        """
        cosines = self.cosines(liked)
        if len(disliked):
            cosines = cosines - self.cosines(disliked) / 2
        shares = np.exp((cosines - cosines.max()) / _TEMPERATURE)
        return shares / shares.sum()
