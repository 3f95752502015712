"""Comparisons of result files, spreads over seeds, and results by groups of users.

Pure functions on results of `task_test.py`: {"manifest", "n_users", "metrics", "users": [{"user", "target", "items",
"metrics": {name: value}, ...}]}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train_utils.catalog import Catalog
from train_utils.dataset_folder import part_of
from train_utils.evaluation.metrics import aggregate, paired_permutation

PRIMARY = "ndcg@10"  # the metric of comparisons that are stated before a measurement
DECIDING = ("metas", "sequential")  # the parts of a dataset that determine users and candidates
_HOW = ("ranker", "use_CBS", "decoding", "prior", "prior_weight", "max_history", "topk")  # how a system makes lists


@dataclass(frozen=True)
class Comparison:
    """Comparison of one metric of systems a and b for the same users.

    Attributes:
        metric: name of the metric.
        mean_a: mean of system a.
        mean_b: mean of system b.
        difference: mean_a - mean_b.
        ci: 95 % percentile bootstrap interval of the difference over the users.
        p: two-sided p-value of the paired permutation test.
        p_holm: p-value adjusted for all comparisons made together with this comparison.
    """

    metric: str
    mean_a: float
    mean_b: float
    difference: float
    ci: tuple[float, float]
    p: float
    p_holm: float


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1) over n runs."""

    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class Bucket:
    """Group of users with a mean metric.

    Attributes:
        label: description of the group.
        n: number of users.
        mean: mean of the metric.
        ci: 95 % percentile bootstrap interval of the mean.
    """

    label: str
    n: int
    mean: float
    ci: tuple[float, float]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm's method (Holm 1979).

    Rejecting the hypotheses with an adjusted value <= alpha bounds the family-wise error by alpha.

    Returns:
        Adjusted p-values in the same order.

    Raises:
        ValueError: a value is outside 0..1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values are {list(p_values)}: wanted numbers within 0..1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted.tolist()


def permutations_for(comparisons: int) -> int:
    """Return a number of permutations with which an adjusted p-value of .001 is possible over all comparisons."""
    return max(10_000, 1000 * comparisons)


def compare(
    a: Mapping, b: Mapping, metrics: Sequence[str], seed: int = 0, permutations: int = 0, bootstrap: int = 1000
) -> list[Comparison]:
    """Compare each metric of result a with result b, paired by user; p_holm is adjusted over these metrics.

    Args:
        a: content of a result file.
        b: content of a result file.
        metrics: metrics to compare.
        seed: seed of the resampling and of the permutations.
        permutations: number of permutations per test; 0 takes `permutations_for` the comparisons.
        bootstrap: number of bootstrap resamples.

    Raises:
        ValueError: the results differ in users, targets, requests, dataset or candidates, or a metric is not in both.
    """
    check_comparable(a, b)
    values_a, values_b = (_values(result, metrics, [row["user"] for row in a["users"]]) for result in (a, b))
    differences = [dict(zip(metrics, row, strict=True)) for row in (values_a - values_b).tolist()]
    intervals = aggregate(differences, bootstrap, seed)
    compared = []
    for column, metric in enumerate(metrics):
        p = paired_permutation(
            values_a[:, column], values_b[:, column], permutations or permutations_for(len(metrics)), seed
        )
        mean_a, mean_b = float(values_a[:, column].mean()), float(values_b[:, column].mean())
        low, high = intervals[metric]["ci"]
        compared.append(Comparison(metric, mean_a, mean_b, mean_a - mean_b, (low, high), p, p))
    return _adjusted(compared)


def compare_all(
    results: Mapping[str, Mapping],
    base: str,
    metrics: Sequence[str],
    seed: int = 0,
    permutations: int = 0,
    bootstrap: int = 1000,
    primary: Sequence[str] = (),
) -> dict[str, list[Comparison]]:
    """Compare every other result (a) with `base` (b).

    p_holm is adjusted over the whole table, or over the primary comparisons and over the others, each by themselves.

    Args:
        results: name -> content of a result file.
        base: name of the base.
        metrics: see `compare`.
        seed: see `compare`.
        permutations: see `compare`.
        bootstrap: see `compare`.
        primary: results whose `PRIMARY` metric was to be compared before anything was measured.

    Returns:
        Name -> comparisons, without the base.

    Raises:
        ValueError: `base` or one of `primary` is not among the results, or as `compare`, with the name of the result.
    """
    for name in (base, *primary):
        if name not in results:
            raise ValueError(f"no result is called {name!r} to compare with; known: {', '.join(results)}")
    table: dict[str, list[Comparison]] = {}
    permutations = permutations or permutations_for(len(metrics) * (len(results) - 1))
    for name, result in results.items():
        if name != base:
            try:
                table[name] = compare(result, results[base], metrics, seed, permutations, bootstrap)
            except ValueError as error:
                raise ValueError(f"{name} against {base}: {error}") from None
    stated = {(name, PRIMARY) for name in primary}
    families = (stated, {(name, one.metric) for name, row in table.items() for one in row} - stated)
    for family in families:
        cells = [(name, at, one.metric) for name, row in table.items() for at, one in enumerate(row)]
        members = [(name, at) for name, at, metric in cells if (name, metric) in family]
        for (name, at), one in zip(members, _adjusted([table[name][at] for name, at in members]), strict=True):
            table[name][at] = one
    return table


def over_seeds(results: Sequence[Mapping], metrics: Sequence[str]) -> dict[str, Spread]:
    """Compute the spread of every metric's mean over runs that differ in their seed.

    Raises:
        ValueError: there are fewer than two runs, they differ in dataset, candidates or the way of making lists, or a
            metric is missing.
    """
    if len(results) < 2:
        raise ValueError(f"{len(results)} runs have no spread: wanted results of at least 2 seeds")
    for result in results[1:]:
        _check_conditions(results[0], result)
        _check_same_system(results[0], result)
    means = np.array(
        [_values(result, metrics, [row["user"] for row in result["users"]]).mean(axis=0) for result in results]
    )  # [runs, metrics]
    return {
        metric: Spread(float(column.mean()), float(column.std(ddof=1)), len(results))
        for metric, column in zip(metrics, means.T, strict=True)
    }


def mean_result(results: Sequence[Mapping], metrics: Sequence[str]) -> dict:
    """Average metrics per user over runs that differ in their seed; the rest is that of the first run.

    Raises:
        ValueError: the runs differ in users, targets, requests, dataset or candidates, or a metric is missing.
    """
    for result in results[1:]:
        check_comparable(results[0], result)
    users = [row["user"] for row in results[0]["users"]]
    means = np.mean([_values(result, metrics, users) for result in results], axis=0).tolist()
    rows = [
        {**row, "metrics": dict(zip(metrics, values, strict=True))}
        for row, values in zip(results[0]["users"], means, strict=True)
    ]
    return {**results[0], "users": rows}


def buckets(
    result: Mapping, key: Mapping[str, float], edges: Sequence[float], metric: str, seed: int = 0, bootstrap: int = 1000
) -> list[Bucket]:
    """Group a metric by users: below the first edge, from each edge to below the next, from the last edge on.

    Args:
        result: content of a result file.
        key: user -> number to group by, for every user of the result.
        edges: ascending edges of the groups.
        metric: metric to average.
        seed: seed of the resampling.
        bootstrap: number of bootstrap resamples.

    Returns:
        The groups that have users.

    Raises:
        ValueError: the edges do not ascend, or a user has no key.
    """
    if not edges or any(low >= high for low, high in zip(edges, edges[1:], strict=False)):
        raise ValueError(f"edges are {list(edges)}: wanted at least one, each above the one before")
    users = [row["user"] for row in result["users"]]
    if lost := [user for user in users if user not in key]:
        raise ValueError(f"{len(lost)} users, the first {lost[0]!r}, have no number to be grouped by")
    group = np.searchsorted(np.asarray(edges), [key[user] for user in users], side="right")
    values = _values(result, [metric], users)[:, 0]
    labels = [
        f"< {edges[0]:g}",
        *(f"{low:g} to < {high:g}" for low, high in zip(edges, edges[1:], strict=False)),
        f">= {edges[-1]:g}",
    ]
    groups = []
    for number, label in enumerate(labels):
        if (members := values[group == number]).size:
            mean = aggregate([{metric: value} for value in members], bootstrap, seed)[metric]
            low, high = mean["ci"]
            groups.append(Bucket(label, members.size, mean["mean"], (low, high)))
    return groups


def history_lengths(catalog: Catalog, split: str = "test") -> dict[str, int]:
    """Return every user's number of events before the target of the split ("valid" or "test")."""
    return {user: len(consumed) for user, consumed, _ in catalog.split(split)}


def target_popularity(catalog: Catalog, result: Mapping) -> dict[str, int]:
    """Count the training events of every user's target; 0 is a cold item.

    Raises:
        ValueError: a target is not in the catalog.
    """
    rows = result["users"]
    targets = catalog.indices(row["target"] for row in rows)
    return {row["user"]: catalog.training_events[target] for row, target in zip(rows, targets, strict=True)}


def list_curve(result: Mapping, k_max: int = 10) -> list[float]:
    """Compute HR@k for k = 1..k_max.

    Raises:
        ValueError: k_max < 1, or the result has no users.
    """
    rows = result["users"]
    if k_max < 1 or not rows:
        raise ValueError(f"k_max is {k_max}, for {len(rows)} users: wanted at least 1 of each")
    return [sum(row["target"] in row["items"][:k] for row in rows) / len(rows) for k in range(1, k_max + 1)]


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm([comparison.p for comparison in comparisons])
    return [replace(comparison, p_holm=p) for comparison, p in zip(comparisons, adjusted, strict=True)]


def _values(result: Mapping, metrics: Sequence[str], users: Sequence[str]) -> np.ndarray:
    """Return values float64 [users, metrics] in the order of `users`.

    Raises:
        ValueError: a user has no value of a metric.
    """
    of = {row["user"]: row["metrics"] for row in result["users"]}
    for metric in metrics:
        if lacking := [user for user in users if metric not in of[user]]:
            known = ", ".join(of[lacking[0]])
            raise ValueError(f"user {lacking[0]!r} has no metric {metric!r}; known: {known}")
    return np.array([[of[user][metric] for metric in metrics] for user in users], dtype=np.float64)


def check_comparable(a: Mapping, b: Mapping) -> None:
    """Check that two results can be compared by user.

    Raises:
        ValueError: they differ in users, targets, requests, dataset or candidates.
    """
    targets_a, targets_b = ({row["user"]: row["target"] for row in result["users"]} for result in (a, b))
    if other := targets_a.keys() ^ targets_b.keys():
        raise ValueError(
            f"two results of other users cannot be compared: {len(targets_a)} and {len(targets_b)} users, "
            f"{len(other)} of them (as {min(other)!r}) in one only; test both on the same users"
        )
    if differ := [user for user in targets_a if targets_a[user] != targets_b[user]]:
        raise ValueError(
            f"two results of other targets cannot be compared: user {differ[0]!r} has "
            f"{targets_a[differ[0]]!r} and {targets_b[differ[0]]!r}; test both on the same split"
        )
    requests_a, requests_b = ({row["user"]: row.get("asked") for row in result["users"]} for result in (a, b))
    if differ := [user for user in requests_a if requests_a[user] != requests_b[user]]:
        raise ValueError(
            f"two results of other requests cannot be compared: user {differ[0]!r} was asked for "
            f"{requests_a[differ[0]]} and {requests_b[differ[0]]}; test both by task_test.py with "
            "one --SFT_test_task and --topk"
        )
    _check_conditions(a, b)


def _check_conditions(a: Mapping, b: Mapping) -> None:
    """Verify that both results rank the same candidates of the same dataset.

    Raises:
        ValueError: a condition differs.
    """
    first, second = _conditions(a), _conditions(b)
    for name in first:
        if first[name] != second[name]:
            raise ValueError(
                f"two results with other {name} cannot be compared: {first[name]!r} and {second[name]!r}; "
                "test both under the same conditions"
            )


def _check_same_system(a: Mapping, b: Mapping) -> None:
    """Verify that both results may be runs of one system: models may differ, but not how they make lists.

    Raises:
        ValueError: an option differs.
    """
    first, second = a["manifest"]["config"], b["manifest"]["config"]
    for name in _HOW:
        if first.get(name) != second.get(name):
            raise ValueError(
                f"two results with other `{name}` are no runs of one system: {first.get(name)!r} and "
                f"{second.get(name)!r}; give results that differ in the seed of their model alone"
            )


def dataset_digests(result: Mapping) -> dict[str, str]:
    """Return part -> digest of the dataset that a result was measured on, without those of a teacher's (`ease:`)."""
    inputs = {Path(path): digest for path, digest in result["manifest"]["inputs"].items() if part_of(path)}
    folder = Path(str(result["manifest"]["config"].get("data_path", "")))
    own = {path: digest for path, digest in inputs.items() if path.parent == folder}
    return {part_of(path): digest for path, digest in (own or inputs).items()}


def _conditions(result: Mapping) -> dict[str, object]:
    """Return the conditions that determine the candidates. File digests identify a dataset, not its path."""
    config = result["manifest"]["config"]
    digests = dataset_digests(result)
    conditions = {
        "dataset": {part: digests[part][:12] for part in DECIDING if part in digests} or config.get("data_path"),
        "split": config.get("split"),
        "hide_seen": config.get("hide_seen"),
        "enforce_request": config.get("enforce_request", False),
    }
    if config.get("hide_seen") == "visible":  # max_history then determines the hidden items
        conditions["max_history"] = config.get("max_history")
    return conditions
