"""Choice of the weight of a prior on validation users."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from scipy.optimize import minimize, minimize_scalar
from tqdm import tqdm

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Prior, log_shares
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import PriorSpec

logger = logging.getLogger(__name__)

PRIOR_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_LARGEST_WEIGHT = 2.0**20  # by lists
LARGEST_FITTED = 1000.0  # by likelihood
_MOST_SCORES = 20_000_000  # of users and items: 80 MB each for model and prior, and several float64 arrays of the fit


def choose_prior_weight(
    catalog: Catalog, prior: PriorSpec, llm: LLMRecommender, processes: PartialState
) -> dict[str, object]:
    """Return the weight of the prior; without a given one, the best for validation users.

    Where the model scores every item in one pass, that is the weight of the highest likelihood of their next items,
    which distinguishes close weights; for titles that are spelled, that of the best NDCG@10 of their lists.

    Args:
        catalog: the catalog of the test.
        prior: the prior.
        llm: the model under test, which decodes with this prior.
        processes: the processes of the run.

    Returns:
        {"weight": float}, and where it is chosen {"validation_users": int} and {"log_likelihood": {weight: mean}} or
        {"ndcg@10": {weight: mean}}.
    """
    if prior.weight is not None:
        return {"weight": prior.weight}
    drawn = min(prior.users, len(catalog.split("valid")))
    if llm.scores_items:
        drawn = min(drawn, max(1, _MOST_SCORES // len(catalog.items)))
    users = eval_cases(catalog, llm.plan.task, replace(llm.plan.split, split="valid", users=drawn))
    shared = batches(users, llm)[processes.process_index :: processes.num_processes]
    if llm.scores_items:
        best, means = _by_likelihood(users, shared, prior, llm, processes)
        measure = "log_likelihood"
    else:
        best, means = best_weight(lambda weights: _ndcg(users, shared, weights, Scorer(catalog), llm, processes))
        measure = "ndcg@10"
    return {
        "weight": best,
        measure: {str(weight): mean for weight, mean in means.items()},
        "validation_users": len(users),
    }


def _ndcg(
    users: Sequence[EvalCase],
    shared: Sequence[Sequence[EvalCase]],
    weights: Sequence[float],
    scorer: Scorer,
    llm: LLMRecommender,
    processes: PartialState,
) -> dict[float, float]:
    """Return the mean NDCG@10 of each weight; `shared` are the batches of this process."""
    scores = []
    for rows in _with_progress(shared, f"prior weight to {weights[-1]:.0f}", processes):
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


def _by_likelihood(
    users: Sequence[EvalCase],
    shared: Sequence[Sequence[EvalCase]],
    prior: PriorSpec,
    llm: LLMRecommender,
    processes: PartialState,
) -> tuple[float, dict[float, float]]:
    """Return the weight of the highest likelihood, and the mean log-likelihoods of no weight and of this one."""
    mine: list[tuple[str, np.ndarray, np.ndarray]] = []
    for rows in _with_progress(shared, "prior weight", processes):
        # A target that may not be listed can only be missed, whatever the weight.
        asked = [row for row in rows if llm.admits(row, row.target)]
        if asked:
            added = np.array([log_shares(Prior(scores)) for scores in llm.prior_scores(prior, asked)], np.float32)
            mine += zip([row.user for row in asked], llm.item_scores(asked), added, strict=True)
    # Sorted for the rounding of sums; see `_ndcg`.
    scored = sorted(gather_object(mine), key=lambda entry: entry[0])
    if not scored:
        raise ValueError(
            f"no validation user of {len(users)} has a next item that may be listed, which would choose "
            "`prior_weight`; give a number"
        )
    of_model, of_prior = (np.stack([entry[part] for entry in scored]) for part in (1, 2))
    targets = {row.user: row.target for row in users}
    target = np.array([targets[user] for user, *_ in scored])
    best = maximum_likelihood_weight(of_model, of_prior, target)
    return best, {
        weight: max_log_likelihood(of_model + np.float32(weight) * of_prior, target) for weight in sorted({0.0, best})
    }


def maximum_likelihood_weight(of_model: np.ndarray, of_prior: np.ndarray, target: np.ndarray) -> float:
    """Return the weight of a prior at which the next items of users have the highest likelihood.

    Both have a factor in the log-probabilities, so that a model or a prior that is too sure of itself is toned down;
    the order of items depends on their ratio alone, which is the weight. The likelihood is concave in both.

    Args:
        of_model: float [users, items], log-probabilities up to a constant per user; -inf for what may not be listed.
        of_prior: float [users, items], the same of the prior.
        target: int [users], the next items.

    Returns:
        The weight, at most `LARGEST_FITTED`, where the model says nothing.
    """
    open_items = np.isfinite(of_model)
    features = [np.where(open_items, scores, 0.0) for scores in (of_model, of_prior)]
    rows = np.arange(len(target))

    def loss(factors: np.ndarray) -> tuple[float, np.ndarray]:
        scores = np.where(open_items, factors[0] * features[0] + factors[1] * features[1], -np.inf)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        total = shares.sum(axis=1, keepdims=True)
        log_share = scores[rows, target] - scores.max(axis=1) - np.log(total[:, 0])
        slope = [(shares * part / total).sum(axis=1).mean() - part[rows, target].mean() for part in features]
        return -log_share.mean(), np.array(slope)

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (0.0, None)])
    model, prior = found.x
    return float(f"{min(prior / max(model, 1e-9), LARGEST_FITTED):.3g}")


def max_log_likelihood(scores: np.ndarray, target: np.ndarray) -> float:
    """Return the highest mean log-likelihood of the next items over all factors of the scores.

    Args:
        scores: float [users, items], -inf for what may not be listed.
        target: int [users], the next items.
    """
    open_items = np.isfinite(scores)
    centered = np.where(open_items, scores - scores.max(axis=1, keepdims=True), 0.0)
    rows = np.arange(len(target))

    def loss(factor: float) -> float:
        total = np.where(open_items, np.exp(factor * centered), 0.0).sum(axis=1)
        return float((np.log(total) - factor * centered[rows, target]).mean())

    return -float(minimize_scalar(loss, bounds=(0.0, 10.0), method="bounded").fun)


def _with_progress(
    shared: Sequence[Sequence[EvalCase]], what: str, processes: PartialState
) -> "tqdm[Sequence[EvalCase]]":
    return tqdm(shared, desc=what, unit="batch", mininterval=5, disable=not processes.is_local_main_process)


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
