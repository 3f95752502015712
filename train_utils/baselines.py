"""Non-neural rankers behind one protocol: popularity, recent popularity, item-kNN.

Items are indices 0..n_items-1. `fit` sees only the sequences it is given: the caller passes training events,
never the validation or test event. `rank` is exact, breaks ties by the smaller index, and works in blocks of
users, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

_BLOCK = 4_000_000  # scores or pairs held at a time (32 MB as float64)


class Ranker(Protocol):
    """What an evaluation needs of a baseline."""

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        """Learn from one sequence of training events a user, oldest first. Returns itself.

        Raises ValueError for an item outside 0..n_items-1.
        """
        ...

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        """Best k items of every user as int64 [users, k], best first; -1 fills up where too few are left.

        histories: the visible events of each user, oldest first. hidden: items that must not come back.
        Raises ValueError before `fit`, for k < 1, or if both lists differ in length.
        """
        ...


@dataclass
class Popularity:
    """Items by their number of training events, the same for everybody."""

    counts: np.ndarray | None = field(default=None, init=False, repr=False)  # [n_items] events

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        items, _ = _flatten(sequences, n_items)
        self.counts = np.bincount(items, minlength=n_items)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        counts = _fitted(self.counts)
        scores = counts.astype(np.float64)
        return _rank_in_blocks(
            lambda block: np.tile(scores, (len(block), 1)), histories, hidden, k, len(scores)
        )


@dataclass
class RecentPopularity:
    """Popularity over the last `window` training events of every user.

    A dataset folder keeps the order of a user's events but not their times, so "recent" is measured along
    each user's own line instead of the calendar. Choose the window on validation events; of 3, 5, 10, 20, 50
    the default had the best NDCG@10 on those of MovieLens-100K.
    """

    window: int = 10
    popularity: Popularity = field(default_factory=Popularity, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window is {self.window}: recent popularity counts at least 1 event a user")

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        self.popularity.fit([sequence[-self.window :] for sequence in sequences], n_items)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        return self.popularity.rank(histories, hidden, k)


@dataclass
class ItemKNN:
    """Items similar to those of the visible history.

    Similarity is the cosine of two items' sets of training users. Each item keeps its `neighbours` most
    similar ones; an item's score for a user sums over the history, the j-th event from the end weighing
    `recency ** j` (j = 0 is the newest; 1 = order does not matter). Choose both on validation events;
    the defaults had the best NDCG@10 on those of MovieLens-100K.
    """

    neighbours: int = 50
    recency: float = 0.4
    nearest: np.ndarray | None = field(default=None, init=False, repr=False)  # [n_items, neighbours] items
    similarity: np.ndarray | None = field(default=None, init=False, repr=False)  # same shape; 0 = none

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not 0 < self.recency <= 1:
            raise ValueError(
                f"neighbours is {self.neighbours} and recency {self.recency}: wanted >= 1 and within (0, 1]"
            )

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        by_user = _Incidence.of(*_distinct_events(sequences, n_items), len(sequences))
        by_item = by_user.transposed(n_items)
        length = np.sqrt(np.maximum(by_item.counts, 1))  # norm of each item's column of users
        width = min(self.neighbours, n_items)
        self.nearest = np.zeros((n_items, width), dtype=np.int64)
        self.similarity = np.zeros((n_items, width), dtype=np.float64)
        for start, stop in _blocks(np.maximum(_pairs_by_item(by_user, by_item), n_items)):
            block = np.arange(start, stop)
            cosine = _co_occurrence(block, by_user, by_item) / (length[block, None] * length)
            cosine[np.arange(len(block)), block] = 0.0  # an item is no neighbour of its own
            self.nearest[block] = _top_k(cosine, width)
            self.similarity[block] = np.take_along_axis(cosine, self.nearest[block], axis=1)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        nearest = _fitted(self.nearest)
        return _rank_in_blocks(self._scores, histories, hidden, k, len(nearest), per_event=nearest.shape[1])

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Scores [users, n_items]."""
        n_items = len(self.nearest)
        items, users = _flatten(histories, n_items)
        lengths = np.bincount(users, minlength=len(histories))
        age = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(items))  # 0 = the newest event
        weights = self.similarity[items] * (self.recency**age)[:, None]  # [events, neighbours]
        cells = users[:, None] * n_items + self.nearest[items]
        scores = np.bincount(cells.ravel(), weights.ravel(), minlength=len(histories) * n_items)
        return scores.astype(np.float64).reshape(len(histories), n_items)  # bincount of nothing is integer


@dataclass(frozen=True)
class _Incidence:
    """Sparse 0/1 matrix by rows: row r holds the columns `columns[starts[r] : starts[r + 1]]`."""

    starts: np.ndarray  # [rows + 1]
    columns: np.ndarray  # [entries]

    @classmethod
    def of(cls, columns: np.ndarray, rows: np.ndarray, n_rows: int) -> Self:
        order = np.argsort(rows, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
        return cls(starts, columns[order])

    @property
    def counts(self) -> np.ndarray:
        """Entries of each row."""
        return np.diff(self.starts)

    def transposed(self, n_columns: int) -> _Incidence:
        return _Incidence.of(np.repeat(np.arange(len(self.counts)), self.counts), self.columns, n_columns)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Columns of the rows, one row after the other."""
        counts = self.counts[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.columns[np.repeat(self.starts[rows], counts) + within]


def _blocks(load: np.ndarray) -> Iterator[tuple[int, int]]:
    """Consecutive ranges (start, stop) of rows whose summed load stays within _BLOCK; one row at least."""
    total = np.cumsum(load)
    start = 0
    while start < len(load):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _BLOCK, side="right")))
        yield start, stop
        start = stop


def _pairs_by_item(by_user: _Incidence, by_item: _Incidence) -> np.ndarray:
    """Number of co-occurring pairs of each item, repetitions included: [n_items]."""
    pairs = np.concatenate([[0], np.cumsum(by_user.counts[by_item.columns])])
    return np.diff(pairs[by_item.starts])


def _co_occurrence(block: np.ndarray, by_user: _Incidence, by_item: _Incidence) -> np.ndarray:
    """Number of users shared by each item of the block and every item: [len(block), n_items]."""
    n_items = len(by_item.counts)
    users = by_item.gather(block)
    row = np.repeat(np.arange(len(block)), by_item.counts[block])  # the block's item that each user came from
    pairs = np.repeat(row, by_user.counts[users]) * n_items + by_user.gather(users)
    return np.bincount(pairs, minlength=len(block) * n_items).reshape(len(block), n_items).astype(np.float64)


def _rank_in_blocks(
    scores_of: Callable[[Sequence[Sequence[int]]], np.ndarray],
    histories: Sequence[Sequence[int]],
    hidden: Sequence[Collection[int] | np.ndarray],
    k: int,
    n_items: int,
    per_event: int = 0,
) -> np.ndarray:
    """Rank users block by block: score, take the hidden items out, keep the best k.

    scores_of: histories -> new float64 array [users, n_items].
    per_event: numbers that `scores_of` holds for one event of a history; it bounds the blocks of long ones.
    """
    if k < 1 or len(histories) != len(hidden):
        raise ValueError(
            f"k is {k}, with {len(histories)} histories and {len(hidden)} hidden sets: wanted k >= 1, "
            "and one hidden set a user"
        )
    ranked = np.full((len(histories), k), -1, dtype=np.int64)
    width = min(k, n_items)
    load = np.array([max(n_items, len(history) * per_event) for history in histories], dtype=np.int64)
    for start, stop in _blocks(load):
        block = slice(start, stop)
        scores = scores_of(histories[block])
        items, users = _flatten([list(items) for items in hidden[block]], n_items)
        scores[users, items] = -np.inf
        best = _top_k(scores, width)
        gone = np.isneginf(np.take_along_axis(scores, best, axis=1))
        ranked[block, :width] = np.where(gone, -1, best)
    return ranked


def _top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices [rows, k] of each row's k largest scores, best first, equal scores by the smaller index."""
    if k == scores.shape[1]:
        return np.argsort(-scores, axis=1, kind="stable")
    last = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]  # the k-th largest of each row
    above, level = scores > last, scores == last
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(len(scores), k)  # ascending index in each row
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _distinct_events(sequences: Sequence[Sequence[int]], n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """(items, users) of the distinct pairs: a user counts once for an item, however often it was consumed."""
    items, users = _flatten(sequences, n_items)
    cells = np.unique(users * n_items + items)
    return cells % n_items, cells // n_items


def _flatten(sequences: Sequence[Sequence[int]], n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """(items, rows) of all the events, one sequence after the other, both int64 [events]."""
    lengths = [len(sequence) for sequence in sequences]
    items = np.fromiter((item for sequence in sequences for item in sequence), np.int64, count=sum(lengths))
    if items.size and (items.min() < 0 or items.max() >= n_items):
        raise ValueError(f"items run from {items.min()} to {items.max()}: wanted indices 0..{n_items - 1}")
    return items, np.repeat(np.arange(len(sequences)), lengths)


def _fitted(state: np.ndarray | None) -> np.ndarray:
    if state is None:
        raise ValueError("the baseline has seen no data: call fit(sequences, n_items) before rank")
    return state
