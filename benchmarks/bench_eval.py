"""Time of a test by part: forward passes, the rest of decoding with the constraint, prompts, metrics.

Times are CPU seconds, so that other programs on the machine do not count. The last line of the output is JSON.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from machine import machine_name
from torch import nn
from tqdm import tqdm

from train_utils.catalog import load_catalog
from train_utils.command import run_cli
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches, load_llm
from train_utils.evaluation.results import result_of, write_result
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import ModelPlan
from train_utils.options import option, parse
from train_utils.param.evaluation import EvalOptions


@dataclass(frozen=True, kw_only=True)
class Options:
    """Time of a model's test, part by part."""

    model: str = option("snap/ml-100k/cgen/SFT_Epoch2", "model folder")
    data: str = option("data/dataset/ml-100k", "dataset folder")
    users: int = option(0, "users drawn by seed; 0 takes all")
    decoding: str = option("rank", "how titles are found", ("greedy", "best", "rank"))
    batch_size: int = option(16, "users a forward pass")
    gpu: str = option("cpu", "device")


class PassTime:
    """Clock of the model's forward passes, in CPU seconds, summed over threads.

    Args:
        model: the model; it gets hooks.

    Attributes:
        seconds: the sum so far.
    """

    def __init__(self, model: nn.Module):
        self.seconds, self._lock, self._thread = 0.0, threading.Lock(), threading.local()
        model.register_forward_pre_hook(self._begin)
        model.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self._thread.began = time.thread_time()

    def _end(self, *_: object) -> None:
        with self._lock:
            self.seconds += time.thread_time() - self._thread.began


class Parts:
    """Clock of named parts, in CPU seconds of the whole process."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began


def measure(options: Options) -> dict[str, object]:
    """Run the test of `task_test.py` with the quickstart's flags, without keeping its result file."""
    test = EvalOptions(
        data_path=options.data,
        model_name=options.model,
        users=options.users,
        gpu=options.gpu,
        use_CBS=True,
        idx=True,
        decoding=options.decoding,
        batch_size=options.batch_size,
    )
    catalog, plan = load_catalog(options.data), ModelPlan.from_options(test)
    llm, scorer, parts = LLMRecommender(catalog, load_llm(catalog, test), plan), Scorer(catalog), Parts()
    passes = PassTime(llm.engine.model)
    records, began = [], time.perf_counter()
    with parts.part("prompts"):
        users = eval_cases(catalog, plan.task, plan.split)
        cut = batches(users, llm)
    for rows in tqdm(cut, desc="test", unit="batch", mininterval=5):
        with parts.part("decoding"):
            (answers,) = llm.answers(rows)
        with parts.part("metrics"):
            records += [scorer.record(row, answer) for row, answer in zip(rows, answers, strict=True)]
    with parts.part("metrics"), TemporaryDirectory() as folder:
        write_result(Path(folder) / "result.json", result_of({}, records, catalog, plan.split.seed), 0.0)
    wall, seconds = time.perf_counter() - began, parts.seconds
    return {
        "users": len(users),
        "users_per_s": len(users) / wall,
        "model_s": passes.seconds,
        "constraint_s": seconds["decoding"] - passes.seconds,
        "prompts_s": seconds["prompts"],
        "metrics_s": seconds["metrics"],
        "wall_s": wall,
    }


def main() -> None:
    options = parse(Options)
    torch.manual_seed(0)
    record = measure(options)
    names = ("model_s", "constraint_s", "prompts_s", "metrics_s")
    total = sum(record[name] for name in names)
    print(f"{machine_name()}; {record['users']} users, --decoding {options.decoding}")
    print(f"{'part':>12} {'CPU seconds':>12} {'share':>7}")
    for name in names:
        print(f"{name.removesuffix('_s'):>12} {record[name]:>12.2f} {record[name] / total:>7.1%}")
    print(
        f"{record['users_per_s']:.2f} users/s, {record['wall_s']:.1f} s; all but the model: "
        f"{1 - record['model_s'] / total:.1%}"
    )
    print(json.dumps({"machine": machine_name(), **{k: round(v, 3) for k, v in record.items()}}))


if __name__ == "__main__":
    run_cli(main)
