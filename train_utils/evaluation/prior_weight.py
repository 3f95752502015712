"""Choice of the weight of a prior on validation users."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

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
    """Return the weight of the prior; without a given one, the weight of the best NDCG@10 on the validation split.

    Args:
        catalog: the catalog of the test.
        prior: the prior.
        llm: the model under test, which decodes with this prior.
        processes: the processes of the run.

    Returns:
        {"weight": float}, and where it is chosen {"ndcg@10": {weight: mean}, "validation_users": int}.
    """
    if prior.weight is not None:
        return {"weight": prior.weight}
    drawn = min(prior.users, len(catalog.split("valid")))
    users = eval_cases(catalog, llm.plan.task, replace(llm.plan.split, split="valid", users=drawn))
    scorer = Scorer(catalog)
    shared = batches(users, llm)[processes.process_index :: processes.num_processes]

    def measured(weights: Sequence[float]) -> dict[float, float]:
        """Return the mean NDCG@10 of each weight."""
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
            weight: sum(value for scored_weight, _, value in scores if scored_weight == weight) / len(users)
            for weight in weights
        }

    best, means = best_weight(measured)
    return {
        "weight": best,
        "ndcg@10": {str(weight): mean for weight, mean in means.items()},
        "validation_users": len(users),
    }


def best_weight(measured: Callable[[Sequence[float]], dict[float, float]]) -> tuple[float, dict[float, float]]:
    """Find the best weight, trying larger weights until the best is not the largest; the smallest wins ties.

    Args:
        measured: weights, ascending -> mean of each weight.

    Returns:
        The best weight, and the means of all weights tried.
    """
    means = measured(PRIOR_WEIGHTS)
    while True:
        best, largest = max(means, key=lambda weight: (means[weight], -weight)), max(means)
        if best < largest:
            return best, means
        if largest >= _LARGEST_WEIGHT:
            logger.warning("the best prior weight is %.0f, the last one that is tried: larger ones may be better", best)
            return best, means
        means |= measured((2 * largest, 4 * largest))
