"""Result files: content, dependencies, default path, and writing without losing earlier results."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from itertools import count
from pathlib import Path
from types import MappingProxyType

from train_utils.catalog import Catalog, dataset_files
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.metrics import aggregate, coverage
from train_utils.evaluation.result_reader import read_manifest
from train_utils.files.atomic import exclusively, write_json
from train_utils.models.backbone import model_files
from train_utils.models.trained import backbone_of
from train_utils.param.evaluation import EvalOptions
from train_utils.teacher_address import address_parts, local_path

logger = logging.getLogger(__name__)

# Options that a result does not depend on.
_NOT_OF_THE_RESULT = ("output", "gpu", "trie_cache", "trust_remote_code")
# Options that are not in a file's name as name and value.
_IN_THE_PATH = ("SFT_test_task", "data_path", "topk", "model_name", "ranker", "run_file")
_LONGEST_NAME = 160  # characters of a file's name


def result_identity(options: EvalOptions) -> dict[str, object]:
    """Return the options that a result depends on."""
    return {k: v for k, v in asdict(options).items() if k not in _NOT_OF_THE_RESULT}


def teacher_files(teacher: str) -> list[Path]:
    """Return the files of a teacher, by its address: a recording, checkpoints or a dataset; none of a server."""
    first, dataset = address_parts(teacher)
    if dataset:
        return [*teacher_files(first), *dataset_files(dataset)]
    path = local_path(teacher)
    if not path:
        return []
    return sorted(Path(path).rglob("*.pth")) if Path(path).is_dir() else [Path(path)]


def result_inputs(options: EvalOptions) -> Iterator[Path]:
    """Yield the files that a result depends on: of the dataset, run file, exchanges, teacher, model and backbone."""
    yield from dataset_files(options.data_path)
    named = [options.run_file, options.GSM8K_data_path]
    if EvalTask.parse(options.SFT_test_task).exchange:
        named.append(options.share_chat_gpt)
    if "teacher" in (options.ranker, options.prior):
        yield from teacher_files(options.teacher)
    yield from map(Path, filter(None, named))
    if options.model_name:
        yield from model_files(options.model_name)
        if base := backbone_of(options.model_name, options.backbone):
            yield from model_files(base)


def default_output(options: EvalOptions, test: str = "") -> Path:
    """Return the path of a result without `--output`: in the model's folder, with the settings in its name.

    Args:
        options: options of the test.
        test: name of the test; '' takes the task.
    """
    dataset = Path(os.path.abspath(options.data_path)).name
    stem = "_".join([test or options.SFT_test_task, dataset, f"top{options.topk}", *_settings(options)])
    if len(stem) > _LONGEST_NAME:
        stem = f"{stem[: _LONGEST_NAME - 9]}-{_short(stem)}"
    if other := options.ranker or options.run_file and f"{Path(options.run_file).stem}-{_short(options.run_file)}":
        return Path("snap/results") / other / f"{stem}.json"
    folder = Path(options.model_name)
    if not folder.is_dir():
        folder = Path("snap/results") / options.model_name.replace("/", "_")
    return folder / f"{stem}.json"


def _settings(options: EvalOptions) -> Iterator[str]:
    """Yield the settings that differ from their defaults, each as a part of a file's name."""
    for f in fields(options):
        value = getattr(options, f.name)
        if f.name in (*_NOT_OF_THE_RESULT, *_IN_THE_PATH) or f.default is MISSING or value == f.default:
            continue
        text = f.name if value is True else f"no_{f.name}" if value is False else f"{f.name}-{value}"
        name = re.sub(r"[^\w.+-]+", "-", text)
        yield name if name == text else f"{name}-{_short(text)}"  # replaced characters may make two paths equal


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


@contextmanager
def result_file(output: Path, options: EvalOptions, is_writer: bool = True) -> Iterator[None]:
    """Lock the path of a result until it is written, for one process or the processes of one launch.

    Args:
        output: the result file.
        options: options of the test.
        is_writer: whether this process writes the result; the others only check the path.

    Raises:
        ValueError: the path is a folder, is locked by another process, cannot be written, or has a file that is not a
            result.
    """
    if output.is_dir():
        raise ValueError(f"`output` is the folder {output}, wanted a file, such as {output / 'result.json'}")
    if not is_writer:
        yield
        return
    with exclusively(output):
        if output.exists():
            _read_result(output)
        yield


def _read_result(output: Path) -> dict:
    """Return the manifest of a result file.

    Raises:
        ValueError: the file is not a result.
    """
    try:
        return read_manifest(output)
    except (OSError, ValueError):
        raise ValueError(f"{output} is there and no result file; give another `output`, or delete it") from None


def keep_other(output: Path, made_from: dict) -> None:
    """Keep a result of other settings or inputs as `<output>.old1.json` and so on, with its timing file.

    Call it right before `output` is replaced: a run that ends earlier changes nothing. The kept result is a copy, so a
    kill leaves `output` unchanged.
    """
    if not output.exists():
        return
    output = Path(os.path.realpath(output))
    before, now = _read_result(output), json.loads(json.dumps(made_from))
    defaults = {f.name: f.default for f in fields(EvalOptions)}
    different = sorted(
        name for name, value in now["config"].items() if before["config"].get(name, defaults.get(name)) != value
    )
    if before["inputs"] != now["inputs"]:
        paths = before["inputs"].keys() | now["inputs"].keys()
        different += sorted(path for path in paths if before["inputs"].get(path) != now["inputs"].get(path))
    if different:
        aside = next(path for n in count(1) if not os.path.lexists(path := output.with_suffix(f".old{n}.json")))
        if timing_of(output).exists():
            shutil.copy2(timing_of(output), timing_of(aside))
        shutil.copy2(output, aside)
        logger.warning("%s held a result of other settings (%s): it is kept as %s", output, ", ".join(different), aside)


def timing_of(output: Path) -> Path:
    """Return the path of a result's timing file."""
    return output.with_suffix(".timing.json")


def write_result(output: Path, result: dict, seconds: float) -> None:
    """Write the result file, and its time to a file next to it.

    Args:
        output: the result file.
        result: content of the file.
        seconds: time of the test.
    """
    keep_other(output, result["manifest"])
    write_json(timing_of(output), {"seconds": seconds, "lists": result["n_users"]})
    write_json(output, result)


def result_of(
    made_from: dict,
    records: Sequence[dict],
    catalog: Catalog,
    seed: int,
    more: Mapping[str, object] = MappingProxyType({}),
) -> dict:
    """Build the content of a result file.

    Args:
        made_from: manifest of the result.
        records: one record per user.
        catalog: the catalog of the test.
        seed: seed of the bootstrap.
        more: further entries.
    """
    lists = [[i for i in record["items"] if i is not None][:10] for record in records]
    return {
        "manifest": made_from,
        "n_users": len(records),
        "metrics": aggregate([record["metrics"] for record in records], seed=seed),
        "coverage@10": coverage(lists, len(catalog.items)),
        **more,
        "users": list(records),
    }


def summary_row(name: str, result: dict) -> dict:
    """Return the table row of a result."""
    metrics = result["metrics"]
    shown = (
        "hr@1",
        "hr@5",
        "hr@10",
        "ndcg@5",
        "ndcg@10",
        "mrr@10",
        "ood@10",
        "repeat@10",
        "in_history@10",
        "correct_count",
        "short",
    )
    row = {"model": name, **{key: metrics[key]["mean"] for key in shown}}
    return row | {f"{key}_ci": metrics[key]["ci"] for key in ("hr@10", "ndcg@10")}
