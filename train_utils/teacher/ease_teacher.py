"""Teachers without training: what a dataset's users consumed together, alone or added to another teacher."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, overload

import numpy as np

from train_utils.catalog import Catalog, load_catalog
from train_utils.teacher.ease import EASE, EASE_MAX_ITEMS
from train_utils.teacher.interactions import blocks
from train_utils.teacher.protocol import History, ScoredLists, Teacher, TeacherError, TeacherRefusal

# Factors of the standard scores of EASE in a log-probability, alone and with SASRec's log-probabilities: those of the
# highest likelihood of MovieLens-100K's validation events, ten events shown.
STRENGTH = 0.6
ADDED = 0.16
_FLOOR = 1e-30  # a probability that a server has rounded to 0


class EaseTeacher:
    """`Teacher` that fits EASE to the training events of a dataset when it is made.

    Args:
        dataset: a dataset folder or a catalog.

    Raises:
        ValueError: the dataset is broken, has no training event, or has too many items for EASE.
    """

    def __init__(self, dataset: str | Path | Catalog) -> None:
        self.catalog = dataset if isinstance(dataset, Catalog) else load_catalog(dataset)
        sequences = self.catalog.training_sequences()
        if not any(sequences):
            raise TeacherError(
                f"dataset {self.catalog.name!r} has no training event for EASE to learn from; name another teacher"
            )
        if len(self.catalog.items) > EASE_MAX_ITEMS:
            raise TeacherError(
                f"dataset {self.catalog.name!r} has {len(self.catalog.items)} items, too many for EASE: wanted at most "
                f"{EASE_MAX_ITEMS}; leave `ease:` out"
            )
        self._ease = EASE().fit(sequences, len(self.catalog.items))
        self._sequences = sequences
        self._popularity = np.bincount(np.concatenate(sequences).astype(np.int64), minlength=len(self.catalog.items))

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def digest(self) -> str:
        """Digest of what EASE was fitted to: the items and the training events."""
        ids = self.catalog.ids(range(len(self.catalog.items)))
        return sha256(json.dumps([ids, self._sequences]).encode()).hexdigest()[:16]

    def indices(self, histories: Sequence[History]) -> list[list[int]]:
        """Return the item indices of histories.

        Raises:
            TeacherRefusal: a history has an item that the dataset lacks.
        """
        try:
            return [self.catalog.indices(history) for history in histories]
        except ValueError as error:
            raise TeacherRefusal(f"a history: {error}") from None

    def standard_scores(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the scores of all items after each history, with mean 0 and deviation 1, float64 [histories, items].

        After an empty history all are 0.
        """
        scores = self._ease.scores(histories)
        scores -= scores.mean(axis=1, keepdims=True)
        deviation = scores.std(axis=1, keepdims=True)
        return np.divide(scores, deviation, out=np.zeros_like(scores), where=deviation > 0)

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`. After an empty history the popular items are the most probable."""
        check_k(k, self.catalog)
        everything = np.arange(len(self.catalog.items))

        def of_block(block: Sequence[History]) -> list[tuple[np.ndarray, np.ndarray]]:
            indices = self.indices(block)
            ranked = []
            for history, of_items in zip(indices, STRENGTH * self.standard_scores(indices), strict=True):
                left = np.delete(everything, history)
                ranked.append((left, of_items[left] if history else np.log(self._popularity + 1.0)))
            return ranked

        return _ranked(self.catalog, histories, k, scores, of_block)


class BlendedTeacher:
    """`Teacher` that adds what users consumed together to the log-probabilities of another teacher.

    A sequential recommender learns the order of events, EASE which items occur together. As a ranker the product of
    both is better than either (LOG.md).

    Args:
        first: a teacher of all items of the dataset; it is closed with this one.
        ease: the co-occurrence of the dataset.
        added: factor of its standard scores.

    Attributes:
        item_vectors: that of `first`; None where it has none.
    """

    def __init__(self, first: Teacher, ease: EaseTeacher, added: float = ADDED) -> None:
        self.first, self.ease, self._added = first, ease, added
        self.item_vectors: Callable[[Sequence[str]], np.ndarray] | None = getattr(first, "item_vectors", None)

    def close(self) -> None:
        """See `Teacher.close`."""
        self.first.close()

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`. The first teacher is asked for all items, so that none is missed."""
        catalog = self.ease.catalog
        check_k(k, catalog)

        def of_block(block: Sequence[History]) -> list[tuple[np.ndarray, np.ndarray]]:
            strengths = self._added * self.ease.standard_scores(self.ease.indices(block))
            try:
                lists, probabilities = self.first.top_k(block, len(catalog.items), scores=True)
            except TeacherRefusal as error:
                raise TeacherRefusal(
                    f"the teacher cannot rank the {len(catalog.items)} items of the dataset after `ease:`: {error}; "
                    "name the dataset that it was trained on"
                ) from None
            ranked = []
            for ids, shares, of_items in zip(lists, probabilities, strengths, strict=True):
                try:
                    items = np.array(catalog.indices(ids), dtype=np.int64)
                except ValueError as error:
                    raise TeacherError(f"the teacher has items that the dataset after `ease:` lacks: {error}") from None
                ranked.append((items, np.log(np.maximum(shares, _FLOOR)) + of_items[items]))
            return ranked

        return _ranked(catalog, histories, k, scores, of_block)


def check_k(k: int, catalog: Catalog) -> None:
    """Raise TeacherRefusal unless `k` lies in 1..the size of the catalog."""
    if not 1 <= k <= len(catalog.items):
        raise TeacherRefusal(f"k must lie in 1..{len(catalog.items)}, the size of the catalog, got {k}")


def _ranked(
    catalog: Catalog,
    histories: Sequence[History],
    k: int,
    scores: bool,
    of_block: Callable[[Sequence[History]], list[tuple[np.ndarray, np.ndarray]]],
) -> list[list[str]] | ScoredLists:
    """Return the best k items of each history; ties keep the order of `of_block`.

    Args:
        catalog: the items.
        histories: item ids of each history.
        k: length of the lists.
        scores: see `Teacher.top_k`.
        of_block: histories -> (items, log-probabilities up to a constant) of the items outside each.
    """
    lists: list[list[str]] = []
    probabilities: list[list[float]] = []
    for start, stop in blocks(np.full(len(histories), len(catalog.items))):
        for items, strengths in of_block(histories[start:stop]):
            shares = np.exp(strengths - strengths.max(initial=-np.inf))
            best = np.argsort(-strengths, kind="stable")[:k]
            lists.append(catalog.ids(items[best].tolist()))
            probabilities.append((shares[best] / shares.sum()).tolist())
    return (lists, probabilities) if scores else lists
