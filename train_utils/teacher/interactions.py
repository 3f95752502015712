"""Matrices of users and items, and ranking of many users by blocks. NumPy and SciPy only.

Items are indices 0..n_items-1.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_array

State = TypeVar("State")

BLOCK = 4_000_000  # scores or pairs held at a time (32 MB as float64)


def blocks(load: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges (start, stop) of at least one row whose summed load stays within BLOCK."""
    total = np.cumsum(load)
    start = 0
    while start < len(load):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + BLOCK, side="right")))
        yield start, stop
        start = stop


def incidence(sequences: Sequence[Sequence[int]], n_items: int) -> csr_array:
    """Return the 0/1 matrix float64 [users, n_items]; repeated events of an item count once per user."""
    items, users = flatten(sequences, n_items)
    matrix = csr_array((np.ones(len(items)), (users, items)), shape=(len(sequences), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def co_occurrences(users_items: csr_array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (items, float64 [len(items), n_items]: number of users shared with every item) block by block."""
    n_items, by_item = users_items.shape[1], users_items.T.tocsr()
    for start, stop in blocks(np.full(n_items, n_items)):
        yield np.arange(start, stop), (by_item[start:stop] @ users_items).toarray()


def rank_in_blocks(
    scores_of: Callable[[Sequence[Sequence[int]]], np.ndarray],
    histories: Sequence[Sequence[int]],
    hidden: Sequence[Collection[int] | np.ndarray],
    k: int,
    n_items: int,
    per_event: int = 0,
) -> np.ndarray:
    """Rank users block by block: score, exclude the hidden items, keep the best k.

    Args:
        scores_of: histories -> new float64 array [users, n_items].
        histories: visible events of each user, oldest first.
        hidden: items of each user that must not be listed.
        k: length of the lists.
        n_items: number of items of the catalog.
        per_event: numbers that `scores_of` holds per event of a history; bounds the blocks of long histories.

    Returns:
        int64 [users, k], padded with -1.

    Raises:
        ValueError: k < 1, or `histories` and `hidden` differ in length.
    """
    if k < 1 or len(histories) != len(hidden):
        raise ValueError(
            f"k is {k}, with {len(histories)} histories and {len(hidden)} hidden sets: wanted k >= 1, "
            "and one hidden set a user"
        )
    ranked = np.full((len(histories), k), -1, dtype=np.int64)
    width = min(k, n_items)
    load = np.array([max(n_items, len(history) * per_event) for history in histories], dtype=np.int64)
    for start, stop in blocks(load):
        block = slice(start, stop)
        scores = scores_of(histories[block])
        items, users = flatten([list(items) for items in hidden[block]], n_items)
        scores[users, items] = -np.inf
        best = top_k(scores, width)
        gone = np.isneginf(np.take_along_axis(scores, best, axis=1))
        ranked[block, :width] = np.where(gone, -1, best)
    return ranked


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Return indices [rows, k] of each row's k largest scores, best first; the smaller index wins ties."""
    if k == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]  # the k-th largest of each row
    above, level = scores > last, scores == last
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)  # ascending index in each row
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def flatten(sequences: Sequence[Sequence[int]], n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (items, rows) of all events in order, both int64 [events]."""
    lengths = [len(sequence) for sequence in sequences]
    items = np.fromiter((item for sequence in sequences for item in sequence), np.int64, count=sum(lengths))
    if items.size and (items.min() < 0 or items.max() >= n_items):
        raise ValueError(f"items run from {items.min()} to {items.max()}: wanted indices 0..{n_items - 1}")
    return items, np.repeat(np.arange(len(sequences)), lengths)


def fitted(state: State | None) -> State:
    """Return what a fit has set; ValueError where nothing was fitted."""
    if state is None:
        raise ValueError("the baseline has seen no data: call fit(sequences, n_items) before rank")
    return state
