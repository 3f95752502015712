"""Metrics of one list against one target, and their means and intervals over users.

Lists and targets are catalog ids. Pure functions on plain data: no tensors, no network, no printing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TypedDict

import numpy as np

HIT_CUTOFFS = (1, 5, 10)
NDCG_CUTOFFS = (5, 10)
WINDOW = 10  # the rates ("@10") and MRR use the first ten emitted items

_BLOCK = 4_000_000  # numbers held at a time while resampling (32 MB), independent of the number of users


class Aggregate(TypedDict):
    """Metric over many users.

    Attributes:
        mean: mean over users.
        ci: 95 % interval [low, high] of the mean.
    """

    mean: float
    ci: list[float]


def score_list(
    items: Sequence[str | None],
    target: str,
    *,
    history: Collection[str],
    k_asked: int,
    category: Collection[str] | None = None,
    candidates: Collection[str] | None = None,
) -> dict[str, float]:
    """Score one user's list.

    The rank of an item is its position in the emitted list, from 1: a repeat or an unknown title wastes a position.
    Rates divide by the number of items emitted in the first ten positions and are 0 for an empty list.

    Args:
        items: ids as emitted, in order; None for a title that is not in the catalog.
        target: the held-out item.
        history: the items shown in the prompt.
        k_asked: number of items requested.
        category: ids that satisfy the requested category; adds "target_category".
        candidates: ids that the prompt allowed; adds "not_in_candidate".

    Returns:
        Values by metric.

    Raises:
        ValueError: k_asked < 1.
    """
    if k_asked < 1:
        raise ValueError(f"k_asked is {k_asked}: a list is scored against at least 1 item asked for")
    window = items[:WINDOW]
    rank = next((position for position, item in enumerate(window, start=1) if item == target), None)
    scores = {f"hr@{k}": float(rank is not None and rank <= k) for k in HIT_CUTOFFS}
    scores |= {f"ndcg@{k}": 1 / math.log2(rank + 1) if rank and rank <= k else 0.0 for k in NDCG_CUTOFFS}
    scores[f"mrr@{WINDOW}"] = 1 / rank if rank else 0.0

    scores[f"ood@{WINDOW}"] = _share(item is None for item in window)
    scores[f"repeat@{WINDOW}"] = _share(
        item is not None and item in window[:position] for position, item in enumerate(window)
    )
    seen = frozenset(history)
    scores[f"in_history@{WINDOW}"] = _share(item in seen for item in window)
    scores["correct_count"] = float(len(items) == k_asked)
    scores["short"] = float(len(set(items) - {None}) < k_asked)
    if category is not None:
        scores["target_category"] = _share(item in category for item in window)
    if candidates is not None:
        scores["not_in_candidate"] = _share(item not in candidates for item in window)
    return scores


def aggregate(rows: Sequence[Mapping[str, float]], bootstrap: int = 1000, seed: int = 0) -> dict[str, Aggregate]:
    """Compute mean over users and 95 % percentile bootstrap interval of every metric.

    All metrics are computed on the same resamples of users.

    Args:
        rows: one mapping per user, all with the same metrics.
        bootstrap: number of resamples.
        seed: seed of the resampling.

    Returns:
        {metric: {"mean": m, "ci": [low, high]}}.

    Raises:
        ValueError: there are no rows, or their metrics differ.
    """
    if not rows:
        raise ValueError("no users to aggregate: got 0 rows, wanted at least 1")
    names = list(rows[0])
    for index, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise ValueError(f"row {index} has the metrics {sorted(row)}, wanted {sorted(names)} as in row 0")
    values = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)  # [users, metrics]
    low, high = np.percentile(_resampled_means(values, bootstrap, seed), [2.5, 97.5], axis=0)
    return {
        name: {"mean": float(mean), "ci": [float(low[column]), float(high[column])]}
        for column, (name, mean) in enumerate(zip(names, values.mean(axis=0), strict=True))
    }


def coverage(lists: Iterable[Sequence[str | None]], n_items: int) -> float:
    """Return the share of a catalog of n_items that occurs in the lists; unknown titles do not count."""
    if n_items < 1:
        raise ValueError(f"n_items is {n_items}: a catalog holds at least 1 item")
    return len({item for items in lists for item in items if item is not None}) / n_items


def self_information(events: Mapping[str, int]) -> dict[str, float]:
    """Compute -log2 p of every item in bits, with p = (its training events + 1) / (all events + number of items).

    Args:
        events: number of training events of every catalog item; 0 for an item without events.
    """
    total = sum(events.values()) + len(events)
    return {item: math.log2(total / (n + 1)) for item, n in events.items()}


def novelty(items: Sequence[str | None], information: Mapping[str, float]) -> float:
    """Compute the mean self-information, in bits, of the first ten items (Vargas and Castells 2011).

    Args:
        items: ids as emitted; None for unknown titles, which do not count.
        information: self-information of every catalog item; see `self_information`.

    Returns:
        The mean, 0 for a list without known items.
    """
    bits = [information[item] for item in items[:WINDOW] if item is not None]
    return sum(bits) / len(bits) if bits else 0.0


def diversity(items: Sequence[str | None], categories: Mapping[str, frozenset[str]]) -> float:
    """Compute intra-list diversity (Ziegler et al. 2005): 1 - Jaccard index of categories over pairs of items.

    Args:
        items: ids as emitted; the first ten are used. None for unknown titles, which do not count.
        categories: categories of every catalog item; two items without categories do not differ.

    Returns:
        The mean over pairs, 0 for fewer than two known items.
    """
    pairs = list(combinations((categories[item] for item in items[:WINDOW] if item is not None), 2))
    return sum(len(a ^ b) / max(len(a | b), 1) for a, b in pairs) / len(pairs) if pairs else 0.0


def paired_permutation(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, permutations: int = 10_000, seed: int = 0
) -> float:
    """Compute the two-sided p-value of the paired sign-flip test of mean(a) = mean(b).

    If all users who differ do so by the same amount, as in hits, the value is exact: that of the sign test. Otherwise
    it is estimated from random permutations plus the observed assignment, so it is at least 1 / (permutations + 1).

    Args:
        a: one metric of system a, one value per user.
        b: the same metric of system b, for the same users in the same order.
        permutations: number of random permutations.
        seed: seed of the permutations.

    Raises:
        ValueError: the lengths differ, or there are no users.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired lists have {len(a)} and {len(b)} users: wanted the same users, at least 1")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    difference = difference[difference != 0]  # a tie contributes 0 under either sign
    if not difference.size:
        return 1.0
    if np.ptp(np.abs(difference)) < 1e-12:  # 0.3 - 0.2 and 0.1 - 0 are the same amount
        from scipy.stats import binomtest  # half a second of import that no test of a model needs

        return float(binomtest(int((difference > 0).sum()), difference.size, 0.5).pvalue)
    rng = np.random.default_rng(seed)
    observed = abs(difference.sum()) - 1e-9  # the rounding of a sum depends on its order
    as_large = 0
    for size in _blocks(permutations, difference.size):
        signs = rng.integers(0, 2, size=(size, difference.size), dtype=np.int8) * 2.0 - 1.0
        as_large += int((np.abs(signs @ difference) >= observed).sum())
    return (1 + as_large) / (1 + permutations)


def _share(flags: Iterable[bool]) -> float:
    """Return the share of true flags, 0 if there are no flags."""
    flags = list(flags)
    return sum(flags) / len(flags) if flags else 0.0


def _resampled_means(values: np.ndarray, bootstrap: int, seed: int) -> np.ndarray:
    """Return means [bootstrap, metrics] over users drawn with replacement from `values` [users, metrics]."""
    rng = np.random.default_rng(seed)
    users = len(values)
    # A mean needs only the number of times that each user is drawn: one matrix product serves every metric.
    counts = (rng.multinomial(users, np.full(users, 1 / users), size=n) for n in _blocks(bootstrap, users))
    return np.concatenate([block @ values for block in counts]) / users


def _blocks(total: int, width: int) -> Iterable[int]:
    """Cut `total` rows of `width` numbers into block sizes of at most _BLOCK numbers each."""
    size = max(1, _BLOCK // width)
    return (min(size, total - start) for start in range(0, total, size))
