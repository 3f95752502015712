"""Settings of the baselines, chosen by the users of the validation split."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType

import numpy as np

from train_utils.asking import EvalUser, eval_users
from train_utils.baselines import Ranker, baseline
from train_utils.catalog import Catalog
from train_utils.param import EvalOptions

CUTOFF = 10
_RECENCY = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Grid:
    """Values to try: all combinations. `fit` settings change what is learned; `rank` settings only how it is used."""

    fit: Mapping[str, Sequence[float]]
    rank: Mapping[str, Sequence[float]] = field(default_factory=dict)


GRIDS: Mapping[str, Grid] = MappingProxyType({
    "recent-popularity": Grid({"window": (1, 2, 3, 5, 10, 20, 50, 100)}),
    "item-knn": Grid({"neighbours": (10, 20, 50, 100, 200, 500)}, {"recency": _RECENCY}),
    "ease": Grid({"l2": (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)}, {"recency": _RECENCY}),
})


def tuned(name: str, catalog: Catalog, options: EvalOptions) -> tuple[Ranker, list[dict]]:
    """The baseline of that name, fitted on the training events with the best settings of its grid, and what was tried.

    Settings are compared on all users of the validation split, who see and hide what `options` says
    (`max_history`, `hide_seen`); what a request asks for plays no part. A baseline without settings has an empty log.

    Returns:
        The fitted ranker, and {"settings": {name: value}, "ndcg@10": float} of every combination in the grid's order.

    Raises:
        ValueError: an unknown name, or no user with a validation event.
    """
    training = [list(sequence) for sequence in catalog.training_sequences()]
    ranker = baseline(name, options.seed)
    if name not in GRIDS:
        return ranker.fit(training, len(catalog.items)), []
    users = eval_users(catalog, replace(options, SFT_test_task="SFTTestSeqRec", split="valid", users=0))
    if not users:
        raise ValueError(f"no user of {catalog.name!r} has a validation event to choose the settings of {name} by")
    return tune(ranker, GRIDS[name], training, len(catalog.items), users, options.hide_seen)


def tune(ranker: Ranker, grid: Grid, training: Sequence[Sequence[int]], n_items: int, users: Sequence[EvalUser],
         hide_seen: str) -> tuple[Ranker, list[dict]]:
    """The fitted ranker with the best mean NDCG@10 for `users`, the first of equal ones, and the log of `tuned`."""
    histories = [list(user.shown) for user in users]
    hidden = [user.hidden(hide_seen) for user in users]
    targets = np.array([user.target for user in users])
    best, log = ranker, []
    for learned in _combinations(grid.fit):
        # Deep, so that no two fits share what they learned; the fitted one is copied flat, to share it.
        fitted = _with(copy.deepcopy(ranker), learned).fit(training, n_items)
        for used in _combinations(grid.rank):
            candidate = _with(copy.copy(fitted), used)
            value = ndcg(candidate.rank(histories, hidden, CUTOFF), targets)
            if not log or value > max(row["ndcg@10"] for row in log):
                best = candidate
            log.append({"settings": learned | used, "ndcg@10": value})
    return best, log


def ndcg(lists: np.ndarray, targets: np.ndarray) -> float:
    """Mean NDCG of lists [users, k] of distinct items with one target each [users]."""
    discounts = 1 / np.log2(np.arange(lists.shape[1]) + 2)
    return float(((lists == targets[:, None]) @ discounts).mean())


def _combinations(values: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def _with(ranker: Ranker, settings: Mapping[str, float]) -> Ranker:
    """The same ranker, now with these settings."""
    for name, value in settings.items():
        setattr(ranker, name, value)
    return ranker
