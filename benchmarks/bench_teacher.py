"""SASRec teacher compared with its rivals: training, serving, and ranking quality.

    python benchmarks/bench_teacher.py --dataset ml-100k

Trains with unirec/train.py as a user would, and times one epoch of UniRec's own feeding (`unirec_feed.py`). Then it
puts the same load on unirec/async_server.py and on the published way of serving (`one_at_a_time_server.py`). Requests
hold one history of 10 real items. Answers are checked against a plain ranking of all items; a wrong answer, or a status
other than 200, ends the run. The last line of the output is JSON.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in unirec/train.py

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unirec"))

from http_load import Job
from machine import machine_name
from sasrec_model import Checkpoint, catalog_scores, load_checkpoint
from tqdm import tqdm
from unirec_feed import WORKERS, UniRecFeeding, make_loader, read_events
from unirec_files import UniRecData, read_unirec_data

from train_utils.command import run_cli
from train_utils.options import option, parse
from train_utils.teacher.http_client import HttpTeacher
from train_utils.teacher.inference import DONE_NAME, item_vectors, newest_checkpoint

ROOT = Path(__file__).resolve().parent.parent
HISTORY, K, BULK_K = 10, 10, 50
BULK_HISTORIES, LOAD_HISTORIES, CHECKED = 20_000, 2_000, 512
WARM_UP_BATCHES = 5
STOP_S = 40  # longer than the server takes to drain


@dataclass(frozen=True, kw_only=True)
class Options:
    """Training, serving and ranking of the teacher, and of its rivals."""

    dataset: str = option("ml-100k", "dataset of the teacher, a folder of unirec/data")
    seconds: float = option(10.0, "measured seconds of each load")
    clients: int = option(64, "connections of each load")
    skip_training: bool = option(False, "take the newest finished run of unirec/output instead of training")


@dataclass(frozen=True)
class World:
    """Trained teacher, its data, and distinct histories of 10 real items.

    Attributes:
        data: the UniRec files.
        data_path: their folder.
        output: folder of the teacher's runs.
        checkpoint: the trained model.
        metrics: metrics of the run that wrote the checkpoint.
        config: settings of that run.
        histories: raw ids of each history.
        history_ints: int64 [n, 10], the same histories as item indices.
    """

    data: UniRecData
    data_path: Path
    output: Path
    checkpoint: Checkpoint
    metrics: dict[str, Any]
    config: dict[str, Any]
    histories: list[list[str]]
    history_ints: np.ndarray


def real_histories(data: UniRecData, n: int, seed: int = 0) -> np.ndarray:
    """Return the 10 items before each of `n` events, drawn without replacement.

    Args:
        data: the UniRec files.
        n: number of events.
        seed: seed of the draw.

    Returns:
        int64 [n or fewer, 10].

    Raises:
        ValueError: no user has more than 10 events.
    """
    starts = np.repeat(data.offsets[:-1], np.diff(data.offsets))
    events = np.flatnonzero(np.arange(len(data.items)) - starts >= HISTORY)
    if not len(events):
        raise ValueError(f"no user has more than {HISTORY} events; this benchmark needs longer histories")
    drawn = np.random.default_rng(seed).permutation(events)[:n]
    return data.items[drawn[:, None] + np.arange(-HISTORY, 0)]


def train(options: Options, output: Path) -> None:
    """Train a teacher into `output` by the user's command.

    Raises:
        ValueError: the command failed.
    """
    command = [sys.executable, "unirec/train.py", "--dataset", options.dataset, "--output_path", str(output)]
    ended = subprocess.run(command, cwd=ROOT)
    if ended.returncode:
        raise ValueError(f"{' '.join(command)} ended with status {ended.returncode}; its message is above")


def load_world(options: Options, data: UniRecData, data_path: Path, output: Path) -> World:
    path = newest_checkpoint(output)
    if path is None:
        raise ValueError(
            f"no finished run in {output}; train one with scripts/unirec_train.sh {options.dataset} "
            "or leave --skip_training out"
        )
    done = json.loads(path.with_name(DONE_NAME).read_text(encoding="utf-8"))
    metrics, config = done["metrics"], done["manifest"]["config"]
    if not metrics.get("epoch_seconds"):
        raise ValueError(f"{path.with_name(DONE_NAME)} lacks epoch_seconds; leave --skip_training out")
    ints = real_histories(data, BULK_HISTORIES)
    histories = [[data.raw_ids[item] for item in row] for row in ints.tolist()]
    return World(data, data_path, output, load_checkpoint(path), metrics, config, histories, ints)


def time_feeding(world: World) -> dict[str, float]:
    """Return the seconds of one epoch of UniRec's feeding, and the part of them in the steps.

    Both are measured with its worker processes and without.
    """
    events = read_events(world.data_path, world.checkpoint.model.max_seq_len)
    rival = UniRecFeeding(world.config)
    for batch in islice(make_loader(events, workers=0), WARM_UP_BATCHES):
        rival.step(batch)
    with_workers, without = (rival.epoch(make_loader(events, workers)) for workers in (WORKERS, 0))
    return {
        "unirec_feed_epoch_seconds": with_workers.seconds,
        "unirec_feed_step_seconds": with_workers.step_seconds,
        "unirec_feed_no_workers_epoch_seconds": without.seconds,
        "unirec_feed_no_workers_step_seconds": without.step_seconds,
    }


def check_lists(world: World, rows: Sequence[int], lists: Sequence[Sequence[str]], k: int) -> None:
    """Check that each list holds the k most probable items outside its history, in order.

    Probabilities come from a plain pass over the whole catalog. Items whose probabilities agree to rounding (1e-4 of
    their size, or 3e-7, to which the published server rounds) may swap.

    Args:
        world: the teacher.
        rows: index of each list's history.
        lists: raw item ids.
        k: length of the lists.

    Raises:
        ValueError: a list is wrong.
    """
    inputs = torch.from_numpy(world.history_ints[list(rows)])
    model = world.checkpoint.model
    probability = catalog_scores(model, item_vectors(model), inputs).softmax(1).scatter(1, inputs, 0.0)
    probability[:, 0] = 0.0
    best = probability.topk(k, dim=1).values
    index = {raw: number for number, raw in enumerate(world.data.raw_ids)}
    for row, answer, own, expected in zip(rows, lists, probability, best, strict=True):
        items = [index[raw] for raw in answer]
        right = len(set(items)) == k and torch.allclose(own[items], expected, rtol=1e-4, atol=3e-7)
        if not right:
            raise ValueError(f"a wrong answer to the history {world.histories[row]}: {list(answer)}")


@contextmanager
def serving(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield (host, port) of a server, the last word of its first line of output; stop it at the end."""
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            line = child.stdout.readline()
            if not line:
                raise ValueError(f"{command[0]} ended with status {child.wait()} before it served; see above")
            address = urlsplit(line.split()[-1])
            yield address.hostname, address.port
        finally:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()


def put_load(world: World, options: Options, address: tuple[str, int], immediately: bool) -> dict[str, float]:
    """Return the figures of a load of single histories from its own process, after checking the answers."""
    bodies = [
        json.dumps({"users": [str(number)], "item_lengths": [HISTORY], "item_lists": [history], "k": K,
                    "immediately": immediately})
        for number, history in enumerate(world.histories[:LOAD_HISTORIES])
    ]  # fmt: skip
    job = Job(*address, "/inference", bodies, options.clients, options.seconds)
    ended = subprocess.run(
        [sys.executable, "benchmarks/http_load.py"], cwd=ROOT, input=json.dumps(asdict(job)), capture_output=True,
        text=True,
    )  # fmt: skip
    if ended.returncode:
        raise ValueError(f"the load ended early: {ended.stderr.strip().removeprefix('error: ')}")
    figures = json.loads(ended.stdout)
    answers = figures.pop("answers")
    lists = [json.loads(answer)["inference"][0] for answer in answers.values()]
    check_lists(world, list(map(int, answers)), lists, K)
    return figures


def bulk_rate(world: World, address: tuple[str, int], k: int, scores: bool) -> float:
    """Return the histories per second of one call of our client over all histories.

    A sample of the lists is checked.
    """
    teacher = HttpTeacher(*address)
    try:
        teacher.top_k(world.histories[:64], k)
        begun = time.perf_counter()
        answer = teacher.top_k(world.histories, k, scores=scores)
        seconds = time.perf_counter() - begun
    finally:
        teacher.close()
    lists = answer[0] if scores else answer
    rows = range(min(CHECKED, len(world.histories)))
    check_lists(world, rows, lists[: len(rows)], k)
    return len(world.histories) / seconds


def named(figures: dict[str, float], prefix: str) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in figures.items()}


def time_serving(world: World, options: Options) -> dict[str, float]:
    ours = [
        "unirec/async_server.py", "--dataset", options.dataset, "--port", "0",
        "--data_path", str(world.data_path), "--output_path", str(world.output),
    ]  # fmt: skip
    rival = [
        "benchmarks/one_at_a_time_server.py", "--checkpoint", str(world.checkpoint.path),
        "--data", str(world.data_path),
    ]  # fmt: skip
    steps = tqdm(total=5, desc="serving", unit="load", disable=None)
    figures: dict[str, float] = {}
    with steps:
        with serving(ours) as address:
            for prefix, immediately in (("", False), ("immediate_", True)):
                figures |= named(put_load(world, options, address, immediately), prefix)
                steps.update()
            for name, k, scores in (
                ("histories_per_s_bulk", K, False),
                (f"histories_per_s_bulk_k{BULK_K}_scores", BULK_K, True),
            ):
                figures[name] = bulk_rate(world, address, k, scores)
                steps.update()
        with serving(rival) as address:
            figures |= named(put_load(world, options, address, immediately=True), "one_at_a_time_")
            steps.update()
    return figures


def ranking(metrics: dict[str, Any]) -> dict[str, float]:
    """Return NDCG@10 and HR@10: test with all consumed items hidden, test with the window hidden, validation."""
    columns = (("", "test", "hide_all"), ("hide_visible_", "test", "hide_visible"), ("valid_", "valid", "hide_all"))
    return {
        f"{prefix}{name}": metrics[split][rule][name]
        for prefix, split, rule in columns
        for name in ("ndcg@10", "hr@10")
    }


def measure(options: Options, world: World) -> dict[str, Any]:
    record = {
        "dataset": options.dataset,
        "clients": options.clients,
        "seconds": options.seconds,
        "train_seconds": world.metrics["seconds"],
        "epochs": world.metrics["epochs"],
        "best_epoch": world.metrics["best_epoch"],
        **ranking(world.metrics),
        "our_epoch_seconds": statistics.median(world.metrics["epoch_seconds"]),
    }
    record |= time_feeding(world)
    record |= time_serving(world, options)
    quicker = min(record["unirec_feed_epoch_seconds"], record["unirec_feed_no_workers_epoch_seconds"])
    record["epoch_ratio"] = quicker / record["our_epoch_seconds"]
    record["requests_ratio"] = record["requests_per_s"] / record["one_at_a_time_requests_per_s"]
    record["immediate_requests_ratio"] = record["immediate_requests_per_s"] / record["one_at_a_time_requests_per_s"]
    return record | {"trained_here": not options.skip_training, "machine": machine_name()}


def run(options: Options) -> dict[str, Any]:
    if options.clients < 1 or options.seconds <= 0:
        raise ValueError(
            f"--clients must be 1 or more and --seconds above 0, got {options.clients} and {options.seconds:g}"
        )
    data_path = ROOT / "unirec" / "data" / options.dataset
    data = read_unirec_data(data_path)
    with tempfile.TemporaryDirectory(prefix="bench-teacher-") as temporary:
        output = Path(temporary)
        if options.skip_training:
            output = ROOT / "unirec" / "output" / options.dataset
        else:
            train(options, output)
        return measure(options, load_world(options, data, data_path, output))


def show(record: dict[str, Any]) -> None:
    print(f"\n{record['machine']}: {record['dataset']}, {record['clients']} clients")
    print(f"trained in {record['train_seconds']:.1f} s, {record['epochs']} epochs, best {record['best_epoch']}")
    print(f"\n{'':34}{'NDCG@10':>10}{'HR@10':>10}")
    for prefix, what in (
        ("", "test, all consumed hidden"),
        ("hide_visible_", "test, window hidden"),
        ("valid_", "validation, all consumed hidden"),
    ):
        print(f"{what:34}{record[f'{prefix}ndcg@10']:10.4f}{record[f'{prefix}hr@10']:10.4f}")
    print(f"\n{'an epoch':34}{'seconds':>10}{'steps':>10}")
    print(f"{'ours':34}{record['our_epoch_seconds']:10.2f}")
    for prefix, what in (("", f", {WORKERS} workers"), ("no_workers_", ", no workers")):
        seconds, steps = (record[f"unirec_feed_{prefix}{name}_seconds"] for name in ("epoch", "step"))
        print(f"{f'feeding as UniRec{what}':34}{seconds:10.2f}{steps:10.2f}")
    print(f"\n{'one history a request':34}{'requests/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'client CPU':>12}")
    for prefix, what in (
        ("", "ours, queued"),
        ("immediate_", "ours, immediately"),
        ("one_at_a_time_", "published manner, one at a time"),
    ):
        cells = (record[f"{prefix}{name}"] for name in ("requests_per_s", "p50_ms", "p99_ms"))
        print(f"{what:34}" + "".join(f"{cell:10.1f}" for cell in cells) + f"{record[f'{prefix}client_cpu']:12.2f}")
    print(
        f"\nbulk, histories/s: {record['histories_per_s_bulk']:.0f} (k {K}), "
        f"{record[f'histories_per_s_bulk_k{BULK_K}_scores']:.0f} (k {BULK_K} with scores)"
    )
    print(json.dumps(record))


def main() -> None:
    warnings.filterwarnings("ignore", "This DataLoader will create")  # 4 workers are the rival's setting, not ours
    # SIGTERM must also stop the child processes, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    show(run(parse(Options)))


if __name__ == "__main__":
    run_cli(main)
