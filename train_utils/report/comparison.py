"""Result files of the same users -> data of a report. Reads and computes; displays nothing."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from train_utils.catalog import Catalog, load_catalog
from train_utils.dataset_folder import dataset_paths
from train_utils.evaluation.result_reader import COMPARED, Timing, read_result, read_timing
from train_utils.files.atomic import digest
from train_utils.printable import one_line
from train_utils.report.significance import (
    DECIDING,
    Bucket,
    Comparison,
    buckets,
    compare_all,
    dataset_digests,
    history_lengths,
    list_curve,
    target_popularity,
)
from train_utils.report.tables import ALL_HEADINGS, HIGHLIGHT, mark

EXAMPLES = 12  # users whose lists are shown


@dataclass(frozen=True)
class ResultSet:
    """Results of several systems for the same users, with their comparisons. Mappings are keyed by system name.

    Attributes:
        results: content of each result file.
        base: the system that the others are compared with.
        comparisons: comparisons with the base, without the base itself.
        curves: hit rate of the first 1, 2, ... 10 items.
        by_history: NDCG@10 by the length of the user's history; empty without a catalog.
        by_popularity: NDCG@10 by the target's number of training events; empty without a catalog.
        catalog: the dataset of the results; None without its folder.
        timings: time of each test, where known.
        primary: systems whose NDCG@10 was to be compared before anything was measured.
    """

    results: Mapping[str, dict]
    base: str
    comparisons: Mapping[str, Sequence[Comparison]]
    curves: Mapping[str, Sequence[float]]
    by_history: Mapping[str, Sequence[Bucket]]
    by_popularity: Mapping[str, Sequence[Bucket]]
    catalog: Catalog | None
    timings: Mapping[str, Timing]
    primary: tuple[str, ...] = ()

    @property
    def config(self) -> Mapping[str, object]:
        """Options of the first result; the others have the same dataset, split and hidden items."""
        return next(iter(self.results.values()))["manifest"]["config"]

    @property
    def dataset(self) -> str:
        return one_line(Path(str(self.config.get("data_path", ""))).name, 80)

    @property
    def n_users(self) -> int:
        return len(next(iter(self.results.values()))["users"])

    @property
    def ours(self) -> tuple[str, ...]:
        """Names of the systems to highlight: those of RecLM, else all systems that are not baselines."""
        named = tuple(name for name in self.results if name.startswith(HIGHLIGHT))
        return named or tuple(name for name, result in self.results.items() if not _is_baseline(result))


def load_result_set(
    paths: Sequence[str | Path], base: str = "", data_path: str = "", primary: Sequence[str] = ()
) -> ResultSet:
    """Load result files and compare all systems with a base.

    Args:
        paths: result files.
        base: name of the base; '' takes the best baseline.
        data_path: dataset folder, for titles, history lengths and popularity; '' takes the folder of the results, or
            none if it does not exist.
        primary: see `ResultSet`; their comparisons are corrected among themselves.

    Raises:
        ValueError: a file is not a result, the results differ in users, hidden items or dataset, the base is not among
            them, or the dataset folder is not that of the results.
    """
    results = read_results(paths)
    base = choose_base(results, base)
    comparisons = compare_all(results, base, COMPARED, primary=primary)
    curves = {name: list_curve(result) for name, result in results.items()}
    catalog = catalog_of(results[base], data_path)
    by_history, by_popularity = _by_buckets(results, catalog) if catalog else ({}, {})
    timings = read_timings(paths)
    return ResultSet(results, base, comparisons, curves, by_history, by_popularity, catalog, timings, tuple(primary))


# -- files -----------------------------------------------------------------------------------------------------------


def name_of(path: str | Path) -> str:
    """Return a system's name: the file's stem, or for a default file name the folder and the settings.

    A name is printable and on one line, whatever the file is called.
    """
    path = Path(path)
    stem = one_line(path.stem)
    if not stem.startswith("SFTTest"):
        return stem
    _, _, settings = re.sub(r"_top\d+(_|$)", "\0", stem).partition("\0")
    return f"{one_line(path.resolve().parent.name)} {settings}".strip()


def read_results(paths: Sequence[str | Path]) -> dict[str, dict]:
    """Load result files.

    Returns:
        Name -> content of the file.

    Raises:
        ValueError: there are no files, a file is not a result, or two have the same name.
    """
    results: dict[str, dict] = {}
    for path in paths:
        if name_of(path) in results:
            raise ValueError(f"two results are named {name_of(path)!r}, the second is {path}; copy one to another name")
        results[name_of(path)] = read_result(Path(path))
    if not results:
        raise ValueError("no result files: got none, wanted at least 1 of task_test.py")
    return results


def read_timings(paths: Sequence[str | Path]) -> dict[str, Timing]:
    """Load the timing files NAME.timing.json next to the results.

    Returns:
        Name -> time, where the file exists and is valid.
    """
    timings = {name_of(path): read_timing(Path(path).with_suffix(".timing.json")) for path in paths}
    return {name: timing for name, timing in timings.items() if timing is not None}


# -- systems and datasets --------------------------------------------------------------------------------------------


def _is_baseline(result: dict) -> bool:
    config = result["manifest"]["config"]
    return bool(config.get("ranker") or config.get("run_file"))


def choose_base(results: Mapping[str, dict], requested: str = "") -> str:
    """Return the base of the comparison: `requested`, else the baseline with the best NDCG@10, else the first system.

    Raises:
        ValueError: `requested` is not among the results.
    """
    if requested and requested not in results:
        raise ValueError(f"`base` is {requested!r}, wanted one of {', '.join(results)}")
    baselines = [name for name, result in results.items() if _is_baseline(result)]
    best = max(baselines, key=lambda name: results[name]["metrics"]["ndcg@10"]["mean"], default=next(iter(results)))
    return requested or best


def catalog_of(result: dict, data_path: str) -> Catalog | None:
    """Load the dataset of a result; None without `data_path` if the result's folder does not exist.

    Raises:
        ValueError: the folder is not the dataset of the result.
    """
    folder = Path(data_path or str(result["manifest"]["config"].get("data_path", "")))
    if not data_path and not folder.is_dir():
        return None
    catalog = load_catalog(folder)
    made_from = dataset_digests(result)
    for part, path in dataset_paths(folder).items():
        if part in DECIDING and made_from.get(part, sha := digest(path)) != sha:
            raise ValueError(
                f"{path} is not the file that the results were made from; give the folder of "
                "that dataset as `data_path`"
            )
    return catalog


def _by_buckets(results: Mapping[str, dict], catalog: Catalog) -> tuple[dict, dict]:
    """Group NDCG@10 of every system by history length, and by target popularity with cold items separate."""
    result = next(iter(results.values()))
    lengths = history_lengths(catalog, result["manifest"]["config"].get("split", "test"))
    if lost := [row["user"] for row in result["users"] if row["user"] not in lengths]:
        raise ValueError(
            f"user {lost[0][:80]!r} of the results is not tested in the dataset {catalog.name!r}; give the folder of "
            "their dataset as `data_path`"
        )
    events = target_popularity(catalog, result)
    return (
        _by(results, lengths, quarters([lengths[row["user"]] for row in result["users"]])),
        _by(results, events, sorted({1, *quarters([n for n in events.values() if n])})),
    )


def _by(results: Mapping[str, dict], key: Mapping[str, int], edges: Sequence[int]) -> dict[str, list[Bucket]]:
    """Group NDCG@10 of every system by the edges, with labels in events."""
    return {name: with_events(buckets(result, key, edges, "ndcg@10")) for name, result in results.items()}


def with_events(groups: Sequence[Bucket]) -> list[Bucket]:
    """Return groups by numbers of events with labels that say so."""
    return [replace(group, label=_events(group.label)) for group in groups]


def _events(label: str) -> str:
    return "cold: no events" if label == "< 1" else f"{label.replace('>=', '≥')} events"


def quarters(values: Sequence[float]) -> list[int]:
    """Return edges that cut the values into four parts of similar size, fewer if many values are equal."""
    return sorted({int(np.ceil(edge)) for edge in np.quantile(values, [0.25, 0.5, 0.75])}) if len(values) else []


# -- one system, one user --------------------------------------------------------------------------------------------


def report_rows(result_set: ResultSet) -> list[dict]:
    """Return one row per system: all metrics of the long table, intervals, and marks of differences from the base."""
    rows = []
    for name, result in result_set.results.items():
        row = {"model": name}
        for metric in ALL_HEADINGS:
            if metric in result["metrics"]:
                row |= {metric: result["metrics"][metric]["mean"]}
            elif isinstance(result.get(metric), float):
                row |= {metric: result[metric]}
        row |= {f"{metric}_ci": result["metrics"][metric]["ci"] for metric in COMPARED}
        rows.append(row | {f"{c.metric}_mark": mark(c) for c in result_set.comparisons.get(name, ())})
    return rows


def example_users(result_set: ResultSet, seed: int = 0) -> list[str]:
    """Draw example users by seed, independent of the quality of their lists."""
    users = [row["user"] for row in next(iter(result_set.results.values()))["users"]]
    return random.Random(seed).sample(users, min(EXAMPLES, len(users)))
