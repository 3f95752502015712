"""Training throughput compared with TRL's SFTTrainer and the published dense scope mask, on the CPU.

    pip install -r benchmarks/requirements.txt
    python benchmarks/bench_train.py

Each rival trains the same samples in its own process (`train_rival.py`), one after the other, round after round, so
that other load on the machine affects all of them. The last line of the output is JSON.
"""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Threads that spin at barriers block each other on a shared machine; the rivals inherit this setting.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from machine import machine_name
from tqdm import tqdm

from train_utils.command import run_cli
from train_utils.options import option, parse
from train_utils.samples.prefetch import WINDOW_STEPS

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"ours": "ours", "trl": "TRL, plain cross-entropy", "dense_mask": "published dense mask"}
PREFIX = {"ours": "", "trl": "trl_", "dense_mask": "dense_mask_"}
# As train_utils/training/sft.py chooses on a CPU; TRL uses the default of SFTTrainer.
ATTENTION = {"ours": "eager", "dense_mask": "eager", "trl": "sdpa"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Samples per second of an optimizer step, and peak memory."""

    data_path: str = option("data/dataset/ml-100k", "dataset folder")
    backbone: str = option("snap/base/SmolLM2-135M-Instruct", "chat model")
    teacher: str = option("local:unirec/output/ml-100k", "the teacher, as main.py takes it")
    batch: int = option(4, "samples a step")
    warm_up: int = option(2, "steps before the clock")
    steps: int = option(WINDOW_STEPS, f"steps under the clock, a multiple of {WINDOW_STEPS}")
    rounds: int = option(3, "how often each rival runs; medians are shown")
    lora_dropout: float = option(0.0, "dropout of LoRA, of all three")
    max_segment: int = option(128, "tokens that a turn of a chat next to a request may have")


def check(options: Options) -> None:
    """Check packages and numbers.

    Raises:
        ValueError: a package is missing, or a number is out of range.
    """
    for package in ("trl", "datasets"):
        if find_spec(package) is None:
            raise ValueError(f"package {package} is missing; pip install -r benchmarks/requirements.txt")
    for name in ("batch", "warm_up", "rounds"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}, wanted 1 or more")
    if options.steps < 1 or options.steps % WINDOW_STEPS:
        raise ValueError(
            f"--steps is {options.steps}, wanted a multiple of {WINDOW_STEPS}: all rivals then train the "
            "same samples, though ours sorts them by length"
        )


def run_rival(kind: str, options: Options, **train: object) -> dict[str, float]:
    """Run one rival in its own process and return its figures.

    Args:
        kind: "ours", "trl", "dense_mask" or "gap".
        options: the flags.
        train: further fields of TrainOptions.

    Raises:
        ValueError: the run failed.
    """
    fields = {
        "data_path": options.data_path,
        "backbone": options.backbone,
        "teacher": options.teacher,
        "gpu": "cpu",
        "batch_size": options.batch,
        "gradient_accumulation_steps": 1,
        "lora_dropout": options.lora_dropout,
        "max_segment": options.max_segment,
    }
    job = {
        "kind": kind,
        "warm_up": options.warm_up,
        "steps": options.steps,
        "attention": ATTENTION.get(kind, "eager"),
        "train": fields | train,
    }
    ended = subprocess.run(
        [sys.executable, "benchmarks/train_rival.py"], cwd=ROOT, input=json.dumps(job), capture_output=True, text=True
    )
    if ended.returncode < 0:
        raise ValueError(f"{kind} was stopped by signal {-ended.returncode}; out of memory, probably: lower --batch")
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["no message"]
        raise ValueError(f"{kind} ended with status {ended.returncode}: {lines[-1].removeprefix('error: ')}")
    return json.loads(ended.stdout.splitlines()[-1])


def measure(options: Options) -> dict[str, object]:
    order = [kind for _ in range(options.rounds) for kind in NAMES]
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in NAMES}
    for kind in tqdm(order, desc="rounds", unit="run", disable=None):
        runs[kind].append(run_rival(kind, options))
    record: dict[str, object] = {}
    for kind, measured in runs.items():
        prefix = PREFIX[kind]
        record[f"{prefix}samples_per_s"] = statistics.median(run["samples"] / run["seconds"] for run in measured)
        record[f"{prefix}tokens_per_s"] = statistics.median(run["tokens"] / run["seconds"] for run in measured)
        record[f"{prefix}cpu_s_per_sample"] = statistics.median(run["cpu_seconds"] / run["samples"] for run in measured)
        record[f"{prefix}peak_mb"] = statistics.median(run["peak_mb"] for run in measured)
    # Ratios are taken within a round, in which the machine's other load varies least.
    for kind in ("trl", "dense_mask"):
        pairs = list(zip(runs["ours"], runs[kind], strict=True))
        for name, column in (("ratio", "seconds"), ("cpu_ratio", "cpu_seconds")):
            record[f"{PREFIX[kind]}{name}"] = statistics.median(other[column] / own[column] for own, other in pairs)
    record |= run_rival("gap", options, dtype="float32", lora_dropout=0.0)
    record["samples_per_s_of_runs"] = {
        kind: [round(run["samples"] / run["seconds"], 3) for run in measured] for kind, measured in runs.items()
    }
    return record | {"rounds": options.rounds, "batch": options.batch, "machine": machine_name()}


def show(record: dict[str, object]) -> None:
    print(f"{record['machine']}: batches of {record['batch']}, {record['rounds']} round(s)\n")
    print(f"{'':28}{'samples/s':>11}{'tokens/s':>11}{'CPU s/sample':>14}{'peak MB':>11}{'ours is':>11}{'by CPU s':>11}")
    for kind, name in NAMES.items():
        cells = [
            record[f"{PREFIX[kind]}{column}"]
            for column in ("samples_per_s", "tokens_per_s", "cpu_s_per_sample", "peak_mb")
        ]
        ratios = [] if kind == "ours" else [record[f"{PREFIX[kind]}{column}"] for column in ("ratio", "cpu_ratio")]
        print(
            f"{name:28}{cells[0]:11.3f}{cells[1]:11.1f}{cells[2]:14.2f}{cells[3]:11.0f}"
            + "".join(f"{ratio:10.2f}x" for ratio in ratios)
        )
    print(f"\nours against the dense mask in float32: loss {record['loss_gap']:.1e}, gradient {record['grad_gap']:.1e}")
    print(json.dumps(record))


def main() -> None:
    options = parse(Options)
    check(options)
    show(measure(options))


if __name__ == "__main__":
    run_cli(main)
