"""Reader of result files and timing files, which may come from another machine or person. Verifies every part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_utils.command import MOST
from train_utils.files.json_files import read_bounded_json
from train_utils.printable import one_line

COMPARED = ("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10")
MAX_RESULT_BYTES = 1 << 30  # about 500,000 users with their answers
MAX_TIMING_BYTES = 1 << 16  # three entries
_MANIFEST_LEVELS = 6  # of dictionaries and lists, more than any manifest has
_HIGHEST = 1 + 1e-9  # of a rate, with the rounding of a mean


@dataclass(frozen=True)
class Timing:
    """Time of a test.

    Attributes:
        seconds: time of all lists.
        lists: number of lists.
        machine: name of the machine; "" if unknown.
    """

    seconds: float
    lists: int
    machine: str = ""


def read_result(path: Path) -> dict[str, Any]:
    """Load a result file.

    Raises:
        ValueError: there is no such file, it has more than `MAX_RESULT_BYTES`, or it is not a result; the error names
            the first part that is wrong.
        OSError: the file cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"result {str(path)!r} is a folder; give the result files in it, such as {path}/*.json")
    if not path.exists():
        raise ValueError(f"result {path} does not exist; task_test.py writes it")
    try:
        value = read_bounded_json(path, MAX_RESULT_BYTES)
    except ValueError as error:
        raise ValueError(f"result {error}; run task_test.py again") from None
    if wrong := next(_wrong_parts(value), ""):
        raise ValueError(
            f"{path} is no result file of task_test.py: wanted manifest, metrics and users, {wrong}; leave it out"
        )
    assert isinstance(value, dict)
    return value


def read_manifest(path: Path) -> dict[str, Any]:
    """Load the manifest of a result file, whatever else it has.

    Raises:
        ValueError: the file is not a result.
        OSError: the file cannot be read.
    """
    value = read_bounded_json(path, MAX_RESULT_BYTES)
    if not isinstance(value, dict) or not is_manifest(value.get("manifest")):
        raise ValueError(f"{path} has no manifest")
    return value["manifest"]


def read_timing(path: Path) -> Timing | None:
    """Load a timing file; None if it is missing or broken, because the time is optional."""
    try:
        value: Any = read_bounded_json(path, MAX_TIMING_BYTES)
    except (OSError, ValueError):
        return None
    match value:
        case {"seconds": seconds, "lists": int(lists)} if is_number(seconds, 0) and is_number(lists, 1):
            return Timing(float(seconds), lists, one_line(str(value.get("machine", "")), 80))
    return None


def is_number(value: object, least: float = -MOST, most: float = MOST) -> bool:
    """Return whether a JSON value is a finite number within the bounds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def is_user_record(value: Any) -> bool:
    """Return whether a JSON value is the record of one user."""
    match value:
        case {"user": str(), "target": str(), "items": list(items), "metrics": dict(metrics)}:
            return (
                all(item is None or isinstance(item, str) for item in items)
                and all(map(is_number, metrics.values()))
                and all(is_number(metrics.get(name), 0, _HIGHEST) for name in COMPARED)
                and _is_texts(value.get("history", []))
                and isinstance(value.get("completion"), str | None)
                and all(isinstance(title, dict) and isinstance(title.get("text"), str) for title in _titles(value))
            )
    return False


def is_manifest(value: Any) -> bool:
    """Return whether a JSON value is a manifest: plain settings, digests of inputs, and few levels in all."""
    match value:
        case {"config": dict(config), "inputs": dict(inputs)}:
            return (
                not any(isinstance(setting, dict | list) for setting in config.values())
                and _is_texts(list(inputs.values()))
                and _has_levels(value, _MANIFEST_LEVELS)
            )
    return False


def _wrong_parts(value: Any) -> Iterator[str]:
    """Yield what is wrong with the content of a result file."""
    match value:
        case {"manifest": made_from, "metrics": dict(metrics), "users": [_, *_] as users}:
            if not is_manifest(made_from) or made_from["config"].get("split", "test") not in ("test", "valid"):
                yield "got another manifest"
            if wrong := next((name for name, metric in metrics.items() if not _is_metric(name, metric)), None):
                yield f"got no mean and interval for {one_line(wrong, 80)!r}"
            if lacking := [name for name in COMPARED if name not in metrics]:
                yield f"got no metric {lacking[0]}"
            if any(isinstance(number, float) and not is_number(number) for number in value.values()):
                yield "got a number that is not finite"
            if (index := next((i for i, row in enumerate(users) if not is_user_record(row)), None)) is not None:
                yield f"got another record of user number {index}"
            if len({row["user"] for row in users}) < len(users):
                yield "got two records of one user"
        case _:
            yield "got something else"


def _is_metric(name: str, value: object) -> bool:
    least, most = (0, _HIGHEST) if name in COMPARED else (-MOST, MOST)
    match value:
        case {"mean": float(mean), "ci": [low, high]}:
            return all(is_number(number, least, most) for number in (mean, low, high)) and low <= high
    return False


def _titles(row: dict) -> list:
    titles = row.get("titles", [])
    return titles if isinstance(titles, list) else [None]


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _has_levels(value: object, levels: int) -> bool:
    """Return whether dictionaries and lists are nested at most so deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is None or levels > 0 and all(_has_levels(one, levels - 1) for one in inner)
