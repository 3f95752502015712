"""Non-neural rankers with a common protocol: random, popularity, recent popularity, item-kNN, Markov chain, EASE.

Items are indices 0..n_items-1. The caller passes only training events to `fit`, never validation or test events.
`rank` is exact, breaks ties by the smaller index, and works in blocks of users, so memory does not grow with their
number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, Self

import numpy as np
from scipy.sparse import csr_array

from train_utils.teacher.ease import EASE
from train_utils.teacher.interactions import co_occurrences, fitted, flatten, incidence, rank_in_blocks, top_k


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
        flatten(sequences, n_items)
        self.n_items = n_items
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        n_items, places = fitted(self.n_items), count()

        def drawn(block: Sequence[Sequence[int]]) -> np.ndarray:
            return np.stack([np.random.default_rng([self.seed, next(places)]).random(n_items) for _ in block])

        return rank_in_blocks(drawn, histories, hidden, k, n_items)


@dataclass
class Popularity:
    """Ranking by the number of training events, the same for every user."""

    counts: np.ndarray | None = field(default=None, init=False, repr=False)  # [n_items] events

    def fit(self, sequences: Sequence[Sequence[int]], n_items: int) -> Self:
        items, _ = flatten(sequences, n_items)
        self.counts = np.bincount(items, minlength=n_items)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        counts = fitted(self.counts)
        scores = counts.astype(np.float64)
        return rank_in_blocks(lambda block: np.tile(scores, (len(block), 1)), histories, hidden, k, len(scores))


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
        users_items = incidence(sequences, n_items)
        length = np.sqrt(np.maximum(users_items.sum(axis=0), 1))  # norm of each item's column of users
        width = min(self.neighbors, n_items)
        self.nearest = np.zeros((n_items, width), dtype=np.int64)
        self.similarity = np.zeros((n_items, width), dtype=np.float64)
        for block, shared in co_occurrences(users_items):
            cosine = shared / (length[block, None] * length)
            cosine[np.arange(len(block)), block] = 0.0  # an item is no neighbor of itself
            self.nearest[block] = top_k(cosine, width)
            self.similarity[block] = np.take_along_axis(cosine, self.nearest[block], axis=1)
        return self

    def rank(
        self, histories: Sequence[Sequence[int]], hidden: Sequence[Collection[int] | np.ndarray], k: int
    ) -> np.ndarray:
        nearest = fitted(self.nearest)
        return rank_in_blocks(self._scores, histories, hidden, k, len(nearest), per_event=nearest.shape[1])

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return scores [users, n_items]."""
        nearest, similarity = fitted(self.nearest), fitted(self.similarity)
        n_items = len(nearest)
        items, users = flatten(histories, n_items)
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
        items, users = flatten(sequences, n_items)
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
        return rank_in_blocks(self._scores, histories, hidden, k, len(fitted(self.totals)))

    def _scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return scores [users, n_items]."""
        of_items = fitted(self.totals)
        n_items = len(of_items)
        items, users = flatten(histories, n_items)
        totals = of_items[items] + self.shrinkage
        weights = self.recency ** _ages(users, len(histories)) / np.where(totals > 0, totals, 1.0)
        return (csr_array((weights, (users, items)), shape=(len(histories), n_items)) @ self.counts).toarray()


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


def _ages(users: np.ndarray, n_users: int) -> np.ndarray:
    """Count the later events of the same user for each event, given the users in order: [1, 1, 2] -> [1, 0, 0]."""
    lengths = np.bincount(users, minlength=n_users)
    return np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(users))
