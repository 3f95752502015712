"""Non-neural rankers with a common protocol: random, popularity, recent popularity, item-kNN, Markov chain, EASE.

Items are indices 0..n_items-1. The caller passes only training events to `fit`, never validation or test events.
`rank` is exact, breaks ties by the smaller index, and works in blocks of users, so memory does not grow with their
number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, Self, TypeVar

import numpy as np
from scipy.sparse import csr_array

EASE_MAX_ITEMS = 20_000

State = TypeVar("State")

_BLOCK = 4_000_000  # scores or pairs held at a time (32 MB as float64)


class Ranker(Protocol):
    """Protocol of a baseline."""

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        """Fit to training events.

        Args:
            sequences: one sequence of training events per user, oldest first.
            n_items: number of items of the catalog.

        Returns:
            The ranker itself.

        Raises:
            ValueError: an item is outside 0..n_items-1.
        """
        ...

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        """Return the best k items of every user.

        Args:
            histories: visible events of each user, oldest first.
            hidden: items of each user that must not be listed.
            k: length of the lists.

        Returns:
            int64 [users, k], best first, padded with -1 where too few items remain.

        Raises:
            ValueError: the ranker is not fitted, k < 1, or both lists differ in length.
        """
        ...


@dataclass
class Random:
    """Random ranking per user, the floor of a result table; drawn by `seed` and the user's index in `rank`."""

    seed: int = 0
    n_items: int | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: rankings are drawn by a seed of 0 or more")

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        _flatten(sequences, n_items)
        self.n_items = n_items
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        n_items, places = _fitted(self.n_items), count()

        def drawn(block: Sequence[Sequence[int]]) -> np.ndarray:
            return np.stack([np.random.default_rng([self.seed, next(places)]).random(n_items) for _ in block])

        return _rank_in_blocks(drawn, histories, hidden, k, n_items)


@dataclass
class Popularity:
    """Ranking by the number of training events, the same for every user."""

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
        return _rank_in_blocks(lambda block: np.tile(scores, (len(block), 1)), histories, hidden, k, len(scores))


@dataclass
class RecentPopularity:
    """Popularity over the last `window` training events of every user.

    A dataset folder keeps the order of a user's events but not their times, so "recent" is measured in events per
    user, not in calendar time. Choose the window on validation events; the default had the best NDCG@10 on the
    validation events of MovieLens-100K, shown history hidden.
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
    """Item-based k-nearest neighbors of the visible history.

    Similarity is the cosine of two items' sets of training users. Each item keeps its `neighbors` most similar items.
    An item's score for a user sums over the history, the j-th event from the end weighted by `recency ** j` (j = 0 is
    the newest event; a recency of 1 ignores the order). Choose both on validation events; the defaults are within 0.002
    of the best NDCG@10 on the validation events of MovieLens-100K, shown history hidden.
    """

    neighbors: int = 50
    recency: float = 0.4
    nearest: np.ndarray | None = field(default=None, init=False, repr=False)  # [n_items, neighbors] items
    similarity: np.ndarray | None = field(default=None, init=False, repr=False)  # same shape; 0 = none

    def __post_init__(self) -> None:
        if self.neighbors < 1 or not 0 < self.recency <= 1:
            raise ValueError(f"neighbors is {self.neighbors} and recency {self.recency}: wanted >= 1 and within (0, 1]")

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        users_items = _incidence(sequences, n_items)
        length = np.sqrt(np.maximum(users_items.sum(axis=0), 1))  # norm of each item's column of users
        width = min(self.neighbors, n_items)
        self.nearest = np.zeros((n_items, width), dtype=np.int64)
        self.similarity = np.zeros((n_items, width), dtype=np.float64)
        for block, shared in _co_occurrences(users_items):
            cosine = shared / (length[block, None] * length)
            cosine[np.arange(len(block)), block] = 0.0  # an item is no neighbor of itself
            self.nearest[block] = _top_k(cosine, width)
            self.similarity[block] = np.take_along_axis(cosine, self.nearest[block], axis=1)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        nearest = _fitted(self.nearest)
        return _rank_in_blocks(self._scores, histories, hidden, k, len(nearest), per_event=nearest.shape[1])

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return scores [users, n_items]."""
        nearest, similarity = _fitted(self.nearest), _fitted(self.similarity)
        n_items = len(nearest)
        items, users = _flatten(histories, n_items)
        ages = _ages(users, len(histories))
        weights = similarity[items] * (self.recency**ages)[:, None]  # [events, neighbors]
        cells = users[:, None] * n_items + nearest[items]
        scores = np.bincount(cells.ravel(), weights.ravel(), minlength=len(histories) * n_items)
        return scores.astype(np.float64).reshape(len(histories), n_items)  # bincount of empty arrays is integer


@dataclass
class MarkovChain:
    """First-order Markov chain over the training sequences, applied to the items of the visible history.

    A transition from an item to the d-th item after it counts 1/d, for d up to `window`. Its score is its share of the
    item's transitions, with `shrinkage` added to their number so that rare items weigh little. An item's score for a
    user sums over the history, the j-th event from the end weighted by `recency ** j`. Choose all three on validation
    events; the defaults are near the best NDCG@10 on the validation events of MovieLens-100K, shown history hidden.
    """

    window: int = 10
    shrinkage: float = 100.0
    recency: float = 0.6
    counts: csr_array | None = field(default=None, init=False, repr=False)  # transitions, float64 [n_items, n_items]
    totals: np.ndarray | None = field(default=None, init=False, repr=False)  # of each item, float64 [n_items]

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.shrinkage < np.inf or not 0 < self.recency <= 1:
            raise ValueError(
                f"window is {self.window}, shrinkage {self.shrinkage} and recency {self.recency}: wanted "
                ">= 1, >= 0 and within (0, 1]"
            )

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        items, users = _flatten(sequences, n_items)
        counted = csr_array((n_items, n_items), dtype=np.float64)
        for distance in range(1, min(self.window, max(map(len, sequences), default=1) - 1) + 1):
            same = users[:-distance] == users[distance:]
            pairs = (items[:-distance][same], items[distance:][same])
            counted += csr_array((np.full(same.sum(), 1 / distance), pairs), shape=counted.shape)
        self.counts, self.totals = counted, counted.sum(axis=1)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        return _rank_in_blocks(self._scores, histories, hidden, k, len(_fitted(self.totals)))

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return scores [users, n_items]."""
        of_items = _fitted(self.totals)
        n_items = len(of_items)
        items, users = _flatten(histories, n_items)
        totals = of_items[items] + self.shrinkage
        weights = self.recency ** _ages(users, len(histories)) / np.where(totals > 0, totals, 1.0)
        return (csr_array((weights, (users, items)), shape=(len(histories), n_items)) @ self.counts).toarray()


@dataclass
class EASE:
    """Linear item-to-item weights in closed form (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data").

    With X the 0/1 matrix of users and items and P = (X'X + l2 I)^-1, the weights are B[i, j] = -P[i, j] / P[j, j] and
    0 on the diagonal: the ridge regression of each item on all other items. An item's score for a user sums the weights
    of the history, the j-th event from the end weighted by `recency ** j` (1 ignores the order, as published); a
    repeated item counts by its newest event. Choose both on validation events; the defaults had the best NDCG@10 on the
    validation events of MovieLens-100K, shown history hidden.
    """

    l2: float = 1000.0
    recency: float = 0.5
    weights: np.ndarray | None = field(default=None, init=False, repr=False)  # B: float64 [n_items, n_items]

    def __post_init__(self) -> None:
        if not 0 < self.l2 < np.inf or not 0 < self.recency <= 1:
            raise ValueError(f"l2 is {self.l2} and recency {self.recency}: wanted a number > 0 and within (0, 1]")

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        """Fit to training events; see `Ranker.fit`.

        Raises:
            ValueError: there are more than EASE_MAX_ITEMS items, too many for dense matrices.
        """
        if n_items > EASE_MAX_ITEMS:
            raise ValueError(
                f"EASE for {n_items} items needs {24 * n_items**2 / 1e9:.0f} GB, three dense matrices of items by "
                f"items: wanted at most {EASE_MAX_ITEMS} items; use item-kNN"
            )
        users_items = _incidence(sequences, n_items)
        gram = np.empty((n_items, n_items), dtype=np.float64)
        for block, shared in _co_occurrences(users_items):
            gram[block] = shared
        gram[np.diag_indices(n_items)] += self.l2
        weights = np.linalg.inv(gram)
        weights /= -np.diag(weights)
        np.fill_diagonal(weights, 0.0)
        self.weights = weights
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        return _rank_in_blocks(self._scores, histories, hidden, k, len(_fitted(self.weights)))

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return scores [users, n_items], computed per user: rounding of one product would depend on the block size."""
        _flatten(histories, len(_fitted(self.weights)))
        return np.stack([self._score(history) for history in histories])

    def _score(self, history: Sequence[int]) -> np.ndarray:
        """Return scores [n_items] of one history."""
        newest = {item: self.recency ** (len(history) - 1 - position) for position, item in enumerate(history)}
        rows = _fitted(self.weights)[np.fromiter(newest, np.int64)]  # [distinct events, n_items]
        return np.fromiter(newest.values(), np.float64) @ rows


BASELINES: dict[str, type[Ranker]] = {
    "random": Random,
    "popularity": Popularity,
    "recent-popularity": RecentPopularity,
    "item-knn": ItemKNN,
    "markov": MarkovChain,
    "ease": EASE,
}


def baseline(name: str, seed: int = 0) -> Ranker:
    """Construct an unfitted baseline with its default settings.

    Args:
        name: key of BASELINES.
        seed: seed of "random".

    Raises:
        ValueError: the name is unknown.
    """
    if name not in BASELINES:
        raise ValueError(f"no baseline is called {name!r}; known: {', '.join(BASELINES)}")
    return Random(seed) if name == "random" else BASELINES[name]()


def _blocks(load: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges (start, stop) of at least one row whose summed load stays within _BLOCK."""
    total = np.cumsum(load)
    start = 0
    while start < len(load):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _BLOCK, side="right")))
        yield start, stop
        start = stop


def _incidence(sequences: Sequence[Sequence[int]], n_items: int) -> csr_array:
    """Return the 0/1 matrix float64 [users, n_items]; repeated events of an item count once per user."""
    items, users = _flatten(sequences, n_items)
    matrix = csr_array((np.ones(len(items)), (users, items)), shape=(len(sequences), n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def _co_occurrences(users_items: csr_array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (items, float64 [len(items), n_items]: number of users shared with every item) block by block."""
    n_items, by_item = users_items.shape[1], users_items.T.tocsr()
    for start, stop in _blocks(np.full(n_items, n_items)):
        yield np.arange(start, stop), (by_item[start:stop] @ users_items).toarray()


def _rank_in_blocks(
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
        histories: see `Ranker.rank`.
        hidden: see `Ranker.rank`.
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


def _flatten(sequences: Sequence[Sequence[int]], n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (items, rows) of all events in order, both int64 [events]."""
    lengths = [len(sequence) for sequence in sequences]
    items = np.fromiter((item for sequence in sequences for item in sequence), np.int64, count=sum(lengths))
    if items.size and (items.min() < 0 or items.max() >= n_items):
        raise ValueError(f"items run from {items.min()} to {items.max()}: wanted indices 0..{n_items - 1}")
    return items, np.repeat(np.arange(len(sequences)), lengths)


def _ages(users: np.ndarray, n_users: int) -> np.ndarray:
    """Count the later events of the same user for each event, given the users in order: [1, 1, 2] -> [1, 0, 0]."""
    lengths = np.bincount(users, minlength=n_users)
    return np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(users))


def _fitted(state: State | None) -> State:
    if state is None:
        raise ValueError("the baseline has seen no data: call fit(sequences, n_items) before rank")
    return state
