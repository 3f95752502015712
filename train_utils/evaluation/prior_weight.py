"""Choice of the weight of a prior on validation users."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from train_utils.catalog import Catalog
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import PriorSpec

logger = logging.getLogger(__name__)

PRIOR_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_LARGEST_WEIGHT = 2.0**20


def choose_prior_weight(
    catalog: Catalog, prior: PriorSpec, llm: LLMRecommender, processes: PartialState
) -> dict[str, object]:
    """Return the weight of the prior; without a given one, the weight that validation users choose by NDCG@10.

    See `chosen_weight`.

    Args:
        catalog: the catalog of the test.
        prior: the prior.
        llm: the model under test, which decodes with this prior.
        processes: the processes of the run.

    Returns:
        {"weight": float}, and where it is chosen {"best": the weight of the best mean, "ndcg@10": {weight: mean},
        "validation_users": int}.
    """
    if prior.weight is not None:
        return {"weight": prior.weight}
    drawn = min(prior.users, len(catalog.split("valid")))
    users = eval_cases(catalog, llm.plan.task, replace(llm.plan.split, split="valid", users=drawn))
    scorer = Scorer(catalog)
    shared = batches(users, llm)[processes.process_index :: processes.num_processes]

    def measured(weights: Sequence[float]) -> dict[float, np.ndarray]:
        """Return the NDCG@10 of each user for each weight."""
        scores = []
        for rows in tqdm(
            shared,
            desc=f"prior weight to {weights[-1]:.0f}",
            unit="batch",
            mininterval=5,
            disable=not processes.is_local_main_process,
        ):
            for weight, answers in zip(weights, llm.answers(rows, weights), strict=True):
                scores += [
                    (weight, row.user, scorer.record(row, answer)["metrics"]["ndcg@10"])
                    for row, answer in zip(rows, answers, strict=True)
                ]
        # Sorted, because the rounding of a sum depends on its order, and the order on the number of processes.
        scores = sorted(gather_object(scores))
        return {
            weight: np.array([value for scored_weight, _, value in scores if scored_weight == weight])
            for weight in weights
        }

    best, scores = best_weight(measured)
    return {
        "weight": chosen_weight(best, scores),
        "best": best,
        "ndcg@10": {str(weight): float(of_users.mean()) for weight, of_users in scores.items()},
        "validation_users": len(users),
    }


def chosen_weight(best: float, scores: Mapping[float, np.ndarray]) -> float:
    """Return the (upper) middle one of the weights that are worse than the best by one standard error at most.

    Where the curve is flat, chance says which weight is the best, and it may lie at either end of what is as good. The
    standard error is that of the paired difference.

    Args:
        best: the weight of the best mean.
        scores: weight -> score of each user, in the same order.
    """

    def is_near(weight: float) -> bool:
        lost = scores[best] - scores[weight]
        return lost.mean() <= (lost.std(ddof=1) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0)

    near = sorted(filter(is_near, scores))
    return near[len(near) // 2]


def best_weight(
    measured: Callable[[Sequence[float]], dict[float, np.ndarray]],
) -> tuple[float, dict[float, np.ndarray]]:
    """Find the weight of the best mean, trying larger weights until it is not the largest; the smallest wins ties.

    Args:
        measured: weights, ascending -> score of each user for each weight.

    Returns:
        The best weight, and the scores of all weights tried.
    """
    scores = measured(PRIOR_WEIGHTS)
    while True:
        best, largest = max(scores, key=lambda weight: (scores[weight].mean(), -weight)), max(scores)
        if best < largest:
            return best, scores
        if largest >= _LARGEST_WEIGHT:
            logger.warning("the best prior weight is %.0f, the last one that is tried: larger ones may be better", best)
            return best, scores
        scores |= measured((2 * largest, 4 * largest))
