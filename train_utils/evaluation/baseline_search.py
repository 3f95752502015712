"""Search for the baselines' settings on the validation split."""

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from train_utils.catalog import Catalog
from train_utils.evaluation.baselines import Ranker, baseline
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.specs import SplitSpec
from train_utils.param.evaluation import HideSeen

logger = logging.getLogger(__name__)

CUTOFF = 10
_RECENCY = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Grid:
    """Grid of settings; all combinations are tried.

    Attributes:
        fit: setting -> values, ascending. A new value requires a new fit.
        rank: setting -> values, ascending. A new value only changes the ranking of a fitted baseline.
        bounds: setting -> (minimum, maximum). While the best value of such a setting is the first or last tried, the
            search tries a further value, at the ratio of the two before. A bound of 1 is inherent in the setting
            (a share, a count); any other bound only ends the search.
    """

    fit: Mapping[str, Sequence[float]]
    rank: Mapping[str, Sequence[float]] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def at_bounds(self, best: Mapping[str, float]) -> list[str]:
        """Return the settings whose search ended at a bound, though values beyond it could be better."""
        return [name for name, bounds in self.bounds.items() if best.get(name) in bounds and best[name] != 1]

    def beyond(self, best: Mapping[str, float]) -> "Grid | None":
        """Return the grid with one more value beyond the best settings; None if they lie inside the grid."""
        for name, bounds in self.bounds.items():
            part = "fit" if name in self.fit else "rank"
            values = getattr(self, part)[name]
            if (value := next_value(values, best[name], bounds)) is not None:
                return replace(self, **{part: {**getattr(self, part), name: sorted([*values, value])}})
        return None


def next_value(values: Sequence[float], best: float, bounds: tuple[float, float]) -> float | None:
    """Return the next value to try beyond `values`.

    Args:
        values: values tried, ascending.
        best: the best value tried.
        bounds: minimum and maximum of the setting.

    Returns:
        The next value, or None if `best` is neither the first nor the last value, or is a bound.
    """
    for end, neighbor in ((values[0], values[1]), (values[-1], values[-2])):
        if best == end:
            value = float(f"{end * end / neighbor:.3g}")
            if isinstance(end, int):
                value = min(math.floor(value), end - 1) if end < neighbor else max(math.ceil(value), end + 1)
            value = type(end)(min(max(value, bounds[0]), bounds[1]))
            if value != end:
                return value
    return None


_UP_TO_ONE = (0.05, 1.0)
_MANY = 10_000
GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        "recent-popularity": Grid({"window": (1, 2, 3, 5, 10, 20, 50, 100)}, bounds={"window": (1, _MANY)}),
        "item-knn": Grid(
            {"neighbors": (10, 20, 50, 100, 200, 500)},
            {"recency": _RECENCY},
            {"neighbors": (1, _MANY), "recency": _UP_TO_ONE},
        ),
        "markov": Grid(
            {"window": (2, 5, 10, 20)},
            {"shrinkage": (10.0, 30.0, 100.0, 300.0), "recency": _RECENCY},
            {"window": (1, 200), "shrinkage": (0.1, 1e5), "recency": _UP_TO_ONE},
        ),
        "ease": Grid(
            {"l2": (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)},
            {"recency": _RECENCY},
            {"l2": (1e-3, 1e7), "recency": _UP_TO_ONE},
        ),
    }
)


def tuned(name: str, catalog: Catalog, split: SplitSpec) -> tuple[Ranker, list[dict]]:
    """Fit a baseline on the training events with the best settings of its grid.

    Settings are compared on all users of the validation split, with the test's `max_history` and `hide_seen`; list
    specifications are ignored. A baseline without settings has an empty log.

    Args:
        name: name of the baseline.
        catalog: the catalog with its split.
        split: the users under test.

    Returns:
        The fitted ranker, and {"settings": {name: value}, "ndcg@10": float} of every combination in the order tried:
        those of the grid, then those beyond it.

    Raises:
        ValueError: the name is unknown, or no user is tested.
    """
    training = [list(sequence) for sequence in catalog.training_sequences()]
    ranker = baseline(name, split.seed)
    if name not in GRIDS:
        return ranker.fit(training, len(catalog.items)), []
    users = eval_cases(catalog, EvalTask.parse("SFTTestSeqRec"), replace(split, split="valid", users=0))
    return tune(ranker, GRIDS[name], training, len(catalog.items), users, split.hide_seen)


def tune(
    ranker: Ranker,
    grid: Grid,
    training: Sequence[Sequence[int]],
    n_items: int,
    users: Sequence[EvalCase],
    hide_seen: HideSeen,
) -> tuple[Ranker, list[dict]]:
    """Fit a ranker with every combination of the grid and keep the best mean NDCG@10; the first wins ties.

    Args:
        ranker: unfitted ranker.
        grid: settings to try.
        training: training sequences, oldest event first.
        n_items: number of items of the catalog.
        users: evaluation cases of the validation split.
        hide_seen: the items to hide; see `EvalCase.hidden`.

    Returns:
        The best fitted ranker, and the log; see `tuned`.
    """
    histories = [list(user.shown) for user in users]
    hidden = [user.hidden(hide_seen) for user in users]
    targets = np.array([user.target for user in users])
    best: Ranker = ranker
    best_settings: dict[str, Any] = {}
    log: list[dict[str, Any]] = []
    while True:
        tried = [row["settings"] for row in log]
        for learned in _combinations(grid.fit):
            left = [used for used in _combinations(grid.rank) if learned | used not in tried]
            if not left:
                continue
            # A deep copy per fit, so that fits share no state; shallow copies of the fitted ranker share its state.
            fitted = _with(copy.deepcopy(ranker), learned).fit(training, n_items)
            for used in left:
                candidate = _with(copy.copy(fitted), used)
                value = ndcg(candidate.rank(histories, hidden, CUTOFF), targets)
                if not log or value > max(row["ndcg@10"] for row in log):
                    best, best_settings = candidate, learned | used
                log.append({"settings": learned | used, "ndcg@10": value})
        further = grid.beyond(best_settings)
        if further is None:
            for setting in grid.at_bounds(best_settings):
                logger.warning(
                    "the best %s of %s is %s, the last value that is tried: values beyond it may be better",
                    setting,
                    type(ranker).__name__,
                    best_settings[setting],
                )
            return best, log
        grid = further


def ndcg(lists: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean NDCG of lists of distinct items.

    Args:
        lists: int64 [users, k].
        targets: int64 [users], one target per list.
    """
    discounts = 1 / np.log2(np.arange(lists.shape[1]) + 2)
    return float(((lists == targets[:, None]) @ discounts).mean())


def _combinations(values: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def _with(ranker: Ranker, settings: Mapping[str, float]) -> Ranker:
    """Set the settings of a ranker in place and return it."""
    for name, value in settings.items():
        setattr(ranker, name, value)
    return ranker
