"""Scores of items that enter a list next to the model's own choice: a teacher's, the popularity, and their weights."""

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Prior, product
from train_utils.teacher.protocol import Teacher, TeacherError

TEACHER_DEPTH = 2000  # items of a large catalog that the teacher scores; the others count as 0
# Weights of a teacher's scores at which validation users of the quickstart's models have about their best NDCG@10.
PRIOR_WEIGHT = {"titles": 32.0, "codes": 2.0, "sequences": 8.0}
# Weight of the items' popularity in a catalog without training events, at which models that never saw the catalog have
# about their best NDCG@10; see docs/decoding.md.
POPULARITY_WEIGHT = 2.0
# Weight of what the model expects after the bare history, relative to its choice in the conversation, at which
# validation users have about their best NDCG@10: training has far more histories than conversations.
SEQUENCE_WEIGHT = 3.0


def check_weight(name: str, weight: object) -> None:
    """Raise ValueError for a weight of a prior that is no finite number of 0 or more."""
    if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
        raise ValueError(f"`{name}` is {weight!r}, wanted a finite number, 0 or more")


def combined(first: Prior | None, second: Prior | None) -> Prior | None:
    """Return both priors as one; see `product`."""
    if first is None or second is None:
        return second if first is None else first
    return product(first, second)


def teacher_scores(teacher: Teacher, catalog: Catalog, histories: Sequence[Sequence[int]], k: int) -> list[np.ndarray]:
    """Return the teacher's probability of each item after each history.

    Args:
        teacher: scores all histories in one call.
        catalog: the items to score.
        histories: item indices, oldest first.
        k: length of the lists that use the scores.

    Returns:
        float64 [items] for each history; 0 for items beyond the teacher's `TEACHER_DEPTH` best, the mean for items that
        were added since the dataset was loaded.

    Raises:
        TeacherError: the teacher fails, or ranks an item that the catalog lacks.
    """
    n_known = len(catalog.items) - catalog.added
    known = [[item for item in history if item < n_known] for history in histories]
    left = n_known - max(map(len, map(set, known)))
    # A user who consumed almost all items must not reduce the scores of the others: then all items are requested, and
    # the list of a history lacks the items of the history.
    depth = max(1, min(TEACHER_DEPTH, left if left > k else n_known - 1))
    # Of a history that has added items alone the teacher can say nothing: all items are equal.
    asked = [i for i, (history, ours) in enumerate(zip(histories, known, strict=True)) if ours or not history]
    scores = np.zeros((len(histories), len(catalog.items)))
    scores[sorted({*range(len(histories))} - {*asked})] = 1.0 / n_known
    lists, probabilities = (
        teacher.top_k([catalog.ids(known[i]) for i in asked], depth, scores=True) if asked else ([], [])
    )
    for i, ids, values in zip(asked, lists, probabilities, strict=True):
        try:
            ranked = catalog.indices(ids)
        except ValueError as error:
            raise TeacherError(
                f"the teacher ranks items that the catalog lacks: {error}; name a teacher of this dataset"
            ) from None
        scores[i, ranked] = values
        scores[i, n_known:] = scores[i].sum() / n_known
    return list(scores)
