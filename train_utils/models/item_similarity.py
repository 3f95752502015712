"""Similarity of items, for "more like these": from co-occurrence, a teacher's vectors, and the items' texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from train_utils.catalog import Catalog, Item
from train_utils.models.co_occurrence import co_occurrence_vectors

# Cosine that multiplies an item's share by e. Shares are relative, so this sets how far the nearest items stand out.
_TEMPERATURE = 0.1
_NO_EVENTS = 1e-9


def words_of_item(item: Item) -> list[str]:
    """Return the words of an item's title and the names of its categories, each of these as one word.

    Descriptions do not count, whose length differs between items.
    """
    words = item.title.lower().replace(",", " ").split()
    return [*words, *(f"category {name}" for name in item.categories)]


class ItemWords:
    """What items are called and belong to, as TF-IDF vectors.

    Args:
        counts: how often each item has each word, [items, words].
        columns: word -> column. Versions of a catalog share it, and later ones add words.
        changed: index -> words of items that changed since; indices beyond the last row are added items.
    """

    def __init__(self, counts: csr_array, columns: dict[str, int], changed: Mapping[int, Sequence[str]] | None = None):
        self._counted, self._columns, self._changed = counts, columns, changed or {}

    @classmethod
    def of(cls, items: Sequence[Item]) -> "ItemWords":
        """Return the words of items."""
        counter = CountVectorizer(analyzer=words_of_item)
        counts = csr_array(counter.fit_transform(items))
        return cls(counts, {word: int(column) for word, column in counter.vocabulary_.items()})

    def changed(self, items: Mapping[int, Item]) -> "ItemWords":
        """Return the words after changes of items, by index; the vectors are made when they are first needed."""
        new = {i: words_of_item(item) for i, item in items.items()}
        for word in chain.from_iterable(new.values()):
            self._columns.setdefault(word, len(self._columns))
        if "_counts" in vars(self):
            return ItemWords(self._counts, self._columns, new)
        return ItemWords(self._counted, self._columns, {**self._changed, **new})

    @cached_property
    def _counts(self) -> csr_array:
        return _with_rows(self._counted, self._columns, self._changed) if self._changed else self._counted

    @cached_property
    def vectors(self) -> csr_array:
        """The vectors, float64 [items, words], rows of length 1."""
        return csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(self._counts))


def _with_rows(counts: csr_array, columns: Mapping[str, int], changed: Mapping[int, Sequence[str]]) -> csr_array:
    """Return counts of words with other rows, and with rows that follow the last one."""
    n_rows, indptr = counts.shape[0], counts.indptr
    indices: list[np.ndarray] = []
    values: list[np.ndarray] = []
    lengths = np.append(np.diff(indptr), np.zeros(max(0, max(changed) + 1 - n_rows), dtype=indptr.dtype))
    begin = 0
    for row, words in sorted(changed.items()):
        end = indptr[min(row, n_rows)]
        counted = Counter(columns[word] for word in words)
        indices += [counts.indices[begin:end], np.fromiter(counted, dtype=counts.indices.dtype)]
        values += [counts.data[begin:end], np.fromiter(counted.values(), dtype=counts.data.dtype)]
        lengths[row] = len(counted)
        begin = indptr[min(row + 1, n_rows)]
    indices.append(counts.indices[begin:])
    values.append(counts.data[begin:])
    ends = np.append(0, np.cumsum(lengths)).astype(indptr.dtype)
    n_columns = max(counts.shape[1], *(columns[word] + 1 for words in changed.values() for word in words), 0)
    return csr_array((np.concatenate(values), np.concatenate(indices), ends), shape=(len(lengths), n_columns))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return vectors around their mean, with rows of length 1: float32 [items, d]."""
    centered = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centered, axis=1, keepdims=True)
    return np.divide(centered, lengths, out=np.zeros_like(centered), where=lengths > _NO_EVENTS).astype(np.float32)


class ItemSimilarity:
    """Which items are like others: by the mean of the cosines of several kinds of vectors.

    Args:
        words: the items' words.
        learned: vectors from events and from a teacher, [items, d] each, rows of length 1, or 0 for an item without.
            Items beyond their rows have none.
    """

    def __init__(self, words: ItemWords, learned: Sequence[np.ndarray] = ()):
        self._words, self._learned = words, list(learned)

    def changed(self, items: Mapping[int, Item]) -> "ItemSimilarity":
        """Return the similarity after changes of items, by index: the events and the teacher are the same."""
        return ItemSimilarity(self._words.changed(items), self._learned)

    @classmethod
    def of(cls, catalog: Catalog, vectors: np.ndarray | None = None) -> "ItemSimilarity":
        """Return the similarity of a catalog's items by co-occurrence, where it has events, and by words.

        Args:
            catalog: the items and their training events.
            vectors: a teacher's item vectors, float [items, d]; None for none. Added items may lack theirs.
        """
        learned: list[np.ndarray] = []
        if any(catalog.training_sequences()):
            learned.append(co_occurrence_vectors(catalog.training_sequences(), len(catalog.items)))
        if vectors is not None:
            learned.append(unit_rows(vectors))
        return cls(ItemWords.of(catalog.items), learned)

    def cosines(self, items: Sequence[int]) -> np.ndarray:
        """Return the mean cosine of every item to the given ones, float64 [items]."""
        sources = [self._words.vectors, *self._learned]
        cosines = np.zeros(sources[0].shape[0])
        for source in sources:
            if known := [item for item in items if item < source.shape[0]]:
                # The mean cosine is that to the mean vector; all cosines would take memory of items times given items.
                mean = np.asarray(source[known].sum(axis=0)).reshape(-1) / len(items)
                cosines[: source.shape[0]] += source @ mean
        return cosines / len(sources)

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
