"""Item vectors from co-occurrence: items that users consume near each other get similar vectors."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import svds

_REACH = 10  # events between which two items count as consumed together


def co_occurrence_vectors(sequences: Sequence[Sequence[int]], n_items: int, size: int = 64) -> np.ndarray:
    """Return item vectors from the singular vectors of the positive pointwise mutual information of item pairs.

    A pair counts 1 / distance where its items are at most ten events apart. Levy and Goldberg (NeurIPS 2014) show that
    word2vec approximates the same factorization.

    Args:
        sequences: item indices of each user's training events, oldest first.
        n_items: number of items.
        size: length of the vectors; shorter for a catalog of fewer items.

    Returns:
        float32 [items, size], rows of length 1; 0 for items without a neighbor.
    """
    pairs = _pairs(sequences, n_items)
    size = min(size, n_items - 2)
    if size < 1 or pairs.nnz == 0:
        return np.zeros((n_items, max(size, 1)), dtype=np.float32)
    rows, columns = pairs.coords
    degree = pairs.sum(axis=1)
    information = np.log(pairs.data * pairs.sum() / (degree[rows] * degree[columns]))
    positive = information > 0
    matrix = csr_array((information[positive], (rows[positive], columns[positive])), shape=pairs.shape)
    if matrix.nnz == 0:
        return np.zeros((n_items, size), dtype=np.float32)
    left, strength, _ = svds(matrix, k=size, v0=np.ones(n_items))
    vectors = left * np.sqrt(strength)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-9).astype(np.float32)


def _pairs(sequences: Sequence[Sequence[int]], n_items: int) -> coo_array:
    """Return the symmetric matrix of pair counts, [items, items]."""
    events = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences])
    user = np.repeat(np.arange(len(sequences)), list(map(len, sequences)))
    one: list[np.ndarray] = []
    other: list[np.ndarray] = []
    weight: list[np.ndarray] = []
    for distance in range(1, _REACH + 1):
        near = (user[distance:] == user[:-distance]) & (events[distance:] != events[:-distance])
        one += [events[:-distance][near], events[distance:][near]]
        other += [events[distance:][near], events[:-distance][near]]
        weight.append(np.full(2 * int(near.sum()), 1 / distance))
    counts = coo_array((np.concatenate(weight), (np.concatenate(one), np.concatenate(other))), shape=(n_items, n_items))
    counts.sum_duplicates()
    return counts
