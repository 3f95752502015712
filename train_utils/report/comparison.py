"""Result files of the same users -> what a report tells of them. Computes and reads; shows nothing."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from train_utils.catalog import Catalog, load_catalog
from train_utils.dataset_folder import dataset_paths, part_of
from train_utils.files import digest
from train_utils.report.significance import (
    DECIDING,
    Bucket,
    Comparison,
    buckets,
    compare_all,
    history_lengths,
    list_curve,
    target_popularity,
)
from train_utils.report.tables import ALL_HEADINGS, HIGHLIGHT, mark

COMPARED = ("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10")
EXAMPLES = 12  # users whose lists are shown


@dataclass(frozen=True)
class Timing:
    """How long a test took: `seconds` for `lists` lists, on `machine` ("" where it is not told)."""

    seconds: float
    lists: int
    machine: str = ""


@dataclass(frozen=True)
class ResultSet:
    """Several systems' results for the same users, and what compares them. Mappings go by the system's name."""

    results: Mapping[str, dict]
    base: str
    comparisons: Mapping[str, Sequence[Comparison]]  # with the base; the base itself is not there
    curves: Mapping[str, Sequence[float]]  # hit rate of the first 1, 2, ... 10 items
    by_history: Mapping[str, Sequence[Bucket]]  # NDCG@10 by the length of the user's history; empty without a catalog
    by_popularity: Mapping[str, Sequence[Bucket]]  # NDCG@10 by the target's events in training; empty without one
    catalog: Catalog | None
    timings: Mapping[str, Timing]

    @property
    def config(self) -> Mapping[str, object]:
        """The options of the first result; the others have the same dataset, split and hidden items."""
        return next(iter(self.results.values()))["manifest"]["config"]

    @property
    def dataset(self) -> str:
        return Path(str(self.config.get("data_path", ""))).name

    @property
    def n_users(self) -> int:
        return len(next(iter(self.results.values()))["users"])

    @property
    def ours(self) -> tuple[str, ...]:
        """Names of the systems that the report is about: RecLM's, else all that are no baseline."""
        named = tuple(name for name in self.results if name.startswith(HIGHLIGHT))
        return named or tuple(name for name, result in self.results.items() if not _is_baseline(result))


def load_result_set(paths: Sequence[str | Path], base: str = "", data_path: str = "") -> ResultSet:
    """Reads result files and compares all with `base` ('' takes the best baseline).

    Titles, lengths of histories and popularities come from the folder `data_path` ('' takes that of the results, and
    goes without where it is not there).

    Raises:
        ValueError: a file that is no result, results of other users, hidden items or datasets, a base that is not among
            them, or a dataset folder that is not the one of the results.
    """
    results = read_results(paths)
    base = choose_base(results, base)
    comparisons = compare_all(results, base, COMPARED)
    curves = {name: list_curve(result) for name, result in results.items()}
    catalog = _catalog(results[base], data_path)
    by_history, by_popularity = _by_buckets(results, catalog) if catalog else ({}, {})
    return ResultSet(results, base, comparisons, curves, by_history, by_popularity, catalog, read_timings(paths))


# -- files -----------------------------------------------------------------------------------------------------------


def name_of(path: str | Path) -> str:
    """A system's name: that of its file, or of the folder of a file with a test's default name, and its settings."""
    path = Path(path)
    if not path.stem.startswith("SFTTest"):
        return path.stem
    _, _, settings = re.sub(r"_top\d+(_|$)", "\0", path.stem).partition("\0")
    return f"{path.resolve().parent.name} {settings}".strip()


def read_results(paths: Sequence[str | Path]) -> dict[str, dict]:
    """Name -> what the result file holds. Raises ValueError for a file that is no result, or two of one name."""
    results: dict[str, dict] = {}
    for path in paths:
        if name_of(path) in results:
            raise ValueError(f"two results are named {name_of(path)!r}, the second is {path}; copy one to another name")
        results[name_of(path)] = _read_result(Path(path))
    if not results:
        raise ValueError("no result files: got none, wanted at least 1 of task_test.py")
    return results


def _read_result(path: Path) -> dict:
    if path.is_dir():
        raise ValueError(f"result {str(path)!r} is a folder; give the result files in it, such as {path}/*.json")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"result {path} does not exist; task_test.py writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"result {path} is not JSON ({error}); run task_test.py again") from None
    if not _is_result(value):
        raise ValueError(f"{path} is no result file of task_test.py: wanted manifest, metrics and users; leave it out")
    return value


def _is_result(value: Any) -> bool:
    """Whether the parts that a report reads are there."""
    try:
        made_from, metrics, users = value["manifest"], value["metrics"], value["users"]
        return (
            isinstance(made_from["config"], dict)
            and isinstance(made_from["inputs"], dict)
            and bool(users)
            and all(isinstance(one["mean"], float) and len(one["ci"]) == 2 for one in metrics.values())
            and set(COMPARED) <= metrics.keys()
            and all(
                isinstance(row["user"], str)
                and isinstance(row["target"], str)
                and isinstance(row["items"], list)
                and set(COMPARED) <= row["metrics"].keys()
                for row in users
            )
        )
    except (TypeError, KeyError, AttributeError):
        return False


def read_timings(paths: Sequence[str | Path]) -> dict[str, Timing]:
    """Name -> the time told in NAME.timing.json beside the result, where that is there and whole."""
    found = {}
    for path in map(Path, paths):
        try:
            told = json.loads(path.with_suffix(".timing.json").read_text(encoding="utf-8"))
            timing = Timing(float(told["seconds"]), int(told["lists"]), str(told.get("machine", "")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # the time is an extra: a report without it is whole
        if timing.lists > 0:
            found[name_of(path)] = timing
    return found


# -- systems and datasets --------------------------------------------------------------------------------------------


def _is_baseline(result: dict) -> bool:
    config = result["manifest"]["config"]
    return bool(config.get("ranker") or config.get("run_file"))


def choose_base(results: Mapping[str, dict], asked: str = "") -> str:
    """The system that the others are compared with: the one asked for, else the baseline of the best NDCG@10, else
    the first. Raises ValueError if the one asked for is not there."""
    if asked and asked not in results:
        raise ValueError(f"--base is {asked!r}, wanted one of {', '.join(results)}")
    baselines = [name for name, result in results.items() if _is_baseline(result)]
    best = max(baselines, key=lambda name: results[name]["metrics"]["ndcg@10"]["mean"], default=next(iter(results)))
    return asked or best


def _catalog(result: dict, data_path: str) -> Catalog | None:
    """The dataset of a result; None where its folder is not there and no other is named."""
    folder = Path(data_path or str(result["manifest"]["config"].get("data_path", "")))
    if not data_path and not folder.is_dir():
        return None
    catalog = load_catalog(folder)
    made_from = {part_of(path): sha256 for path, sha256 in result["manifest"]["inputs"].items()}
    for part, path in dataset_paths(folder).items():
        if part in DECIDING and made_from.get(part, sha := digest(path)) != sha:
            raise ValueError(
                f"{path} is not the file that the results were made from; give the folder of "
                "that dataset as --data_path"
            )
    return catalog


def _by_buckets(results: Mapping[str, dict], catalog: Catalog) -> tuple[dict, dict]:
    """NDCG@10 of every system by history length, and by target popularity with the cold items apart."""
    one = next(iter(results.values()))
    lengths = history_lengths(catalog, one["manifest"]["config"].get("split", "test"))
    events = target_popularity(catalog, one)
    return (
        _by(results, lengths, quarters([lengths[row["user"]] for row in one["users"]])),
        _by(results, events, sorted({1, *quarters([n for n in events.values() if n])})),
    )


def _by(results: Mapping[str, dict], key: Mapping[str, int], edges: Sequence[int]) -> dict[str, list[Bucket]]:
    """NDCG@10 of every system in the groups that the edges cut, labeled in events."""
    found = {name: buckets(result, key, edges, "ndcg@10") for name, result in results.items()}
    return {name: [replace(group, label=_events(group.label)) for group in groups] for name, groups in found.items()}


def _events(label: str) -> str:
    return "cold: no events" if label == "< 1" else f"{label.replace('>=', '≥')} events"


def quarters(values: Sequence[float]) -> list[int]:
    """Edges that cut the values into four parts of like size, fewer where many values are equal."""
    return sorted({int(np.ceil(edge)) for edge in np.quantile(values, [0.25, 0.5, 0.75])}) if len(values) else []


# -- one system, one user --------------------------------------------------------------------------------------------


def report_rows(study: ResultSet) -> list[dict]:
    """A row for each system: every metric of the long table, intervals, and marks of what differs from the base."""
    rows = []
    for name, result in study.results.items():
        row = {"model": name}
        for metric in ALL_HEADINGS:
            if metric in result["metrics"]:
                row |= {metric: result["metrics"][metric]["mean"]}
            elif isinstance(result.get(metric), float):
                row |= {metric: result[metric]}
        row |= {f"{metric}_ci": result["metrics"][metric]["ci"] for metric in COMPARED}
        rows.append(row | {f"{c.metric}_mark": mark(c) for c in study.comparisons.get(name, ())})
    return rows


def example_users(study: ResultSet, seed: int = 0) -> list[str]:
    """Users drawn by seed, whatever their lists are worth."""
    users = [row["user"] for row in next(iter(study.results.values()))["users"]]
    return random.Random(seed).sample(users, min(EXAMPLES, len(users)))
