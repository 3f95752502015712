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


def with_rows(vectors: np.ndarray, n_items: int) -> np.ndarray:
    """Return vectors with rows of 0 for further items, [n_items, d]."""
    return np.pad(vectors, ((0, n_items - len(vectors)), (0, 0)))


class ItemSimilarity:
    """Which items are like others: by the mean of the cosines of several kinds of vectors.

    Args:
        words: vectors of the items' texts, [items, words], rows of length 1 or 0.
        learned: vectors from events and from a teacher, [items, d] each, rows of length 1, or 0 for an item without.
        n_items: number of items; None for that of the vectors. Items beyond them are like no other.
    """

    def __init__(self, words: csr_array, learned: Sequence[np.ndarray] = (), n_items: int | None = None):
        self._learned = list(learned)
        self._sources = [words, *self._learned]
        self._n_known = words.shape[0]
        self._n_items = self._n_known if n_items is None else n_items

    def of_more(self, n_items: int) -> "ItemSimilarity":
        """Return the similarity of the same items and of added ones, which are like no other."""
        return ItemSimilarity(self._sources[0], self._learned, n_items)

    def reworded(self, catalog: Catalog) -> "ItemSimilarity":
        """Return the similarity of a changed catalog: texts are read again, the events and the teacher are the same."""
        n_items = len(catalog.items)
        return ItemSimilarity(item_words(catalog), [with_rows(vectors, n_items) for vectors in self._learned])

    @classmethod
    def of(cls, catalog: Catalog, vectors: np.ndarray | None = None) -> "ItemSimilarity":
        """Return the similarity of a catalog's items by co-occurrence, where it has events, and by words.

        Args:
            catalog: the items and their training events.
            vectors: a teacher's item vectors, float [items, d]; None for none. Added items may lack theirs.
        """
        n_items = len(catalog.items)
        learned: list[np.ndarray] = []
        if any(catalog.training_sequences()):
            learned.append(co_occurrence_vectors(catalog.training_sequences(), n_items))
        if vectors is not None:
            learned.append(with_rows(unit_rows(vectors), n_items))
        return cls(item_words(catalog), learned)

    def cosines(self, items: Sequence[int]) -> np.ndarray:
        """Return the mean cosine of every item to the given ones, float64 [items]."""
        cosines = np.zeros(self._n_items)
        if known := [item for item in items if item < self._n_known]:
            # The mean cosine is that to the mean vector; all cosines would take memory of items times given items.
            mean = sum(source @ np.asarray(source[known].mean(axis=0)).reshape(-1) for source in self._sources)
            cosines[: self._n_known] = np.asarray(mean, dtype=np.float64) / len(self._sources)
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
