"""Latency of good clients while the teacher's server is attacked: PYTHONPATH=. python tests/hostile/measure_attacks.py.

Usual and attacked load alternate on one server with 256 open files, `--repeats` times; an attack repeats its rounds for
as long as a load lasts. Prints a table, then one line of JSON. Not part of the test suite.
"""

import argparse
import json
import multiprocessing
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/hostile", "tests", "preprocess", "unirec", "benchmarks")]

import http_attacks as attacks  # noqa: E402
from http_load import Job  # noqa: E402
from machine import machine_name  # noqa: E402
from teacher_running import ALL, address, host_port, request_body, start, trained  # noqa: E402

FILES = 256
HOLD_S = 1.0  # for which connections of an attack are held before its next round


def hold(make: Callable) -> Callable:
    def attack(position: attacks.Address, begun) -> None:
        while True:
            with make(position):
                begun.set()
                time.sleep(HOLD_S)

    return attack


def repeat(make: Callable) -> Callable:
    def attack(position: attacks.Address, begun) -> None:
        while True:
            begun.set()
            make(position)

    return attack


def trickle(position: attacks.Address, begun) -> None:
    opened = attacks.trickles(position, 60)
    begun.set()
    while True:
        opened = attacks.drip(opened)
        opened += attacks.trickles(position, 60 - len(opened))
        time.sleep(0.05)


ATTACKS = {
    "three million wrong ids": repeat(attacks.wrong_ids),
    "40 unfinished bodies of 31 MB": hold(attacks.unfinished_bodies),
    "300 MB of headers": repeat(attacks.endless_head),
    "400 silent connections": hold(attacks.silent_connections),
    "60 trickling requests": trickle,
}


def load(position: attacks.Address, clients: int, seconds: float) -> dict:
    """Return the figures of a load, or the reason why it ended early."""
    bodies = [json.dumps(request_body([ALL[first : first + 10]])) for first in range(20)]
    job = Job(*position, "/inference", bodies, clients, seconds)
    command = [sys.executable, str(ROOT / "benchmarks" / "http_load.py")]
    try:
        ended = subprocess.run(
            command, input=json.dumps(asdict(job)), capture_output=True, text=True, timeout=10 * seconds + 30
        )
    except subprocess.TimeoutExpired:
        return {"p99_ms": float("inf"), "requests_per_s": 0.0, "failed": "no end"}
    if ended.returncode:
        return {"p99_ms": float("inf"), "requests_per_s": 0.0, "failed": ended.stderr.strip()}
    figures = json.loads(ended.stdout)
    figures.pop("answers")
    return figures


def attacked_load(attack: Callable, position: attacks.Address, clients: int, seconds: float) -> dict:
    begun = multiprocessing.Event()
    process = multiprocessing.get_context("fork").Process(target=quiet, args=(attack, position, begun), daemon=True)
    process.start()
    begun.wait(60)
    try:
        return load(position, clients, seconds)
    finally:
        process.kill()
        process.join()


def quiet(attack: Callable, position: attacks.Address, begun) -> None:
    while True:
        try:
            attack(position, begun)
        except OSError:
            begun.set()


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def measure(position: attacks.Address, pid: int, options: argparse.Namespace) -> list[dict]:
    records = []
    for name, attack in ATTACKS.items():
        usual, attacked = [], []
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        for _ in range(options.repeats):
            usual.append(load(position, options.clients, options.seconds))
            attacked.append(attacked_load(attack, position, options.clients, options.seconds))
        failed = [figures["failed"] for figures in usual + attacked if "failed" in figures]
        columns = {"usual": usual, "attacked": attacked}
        record = {"attack": name, "peak_mib": peak_mib(pid), "failed": failed}
        for column, runs in columns.items():
            for figure in ("p99_ms", "requests_per_s"):
                record[f"{column}_{figure}"] = statistics.median(run[figure] for run in runs)
        ratios = [b["p99_ms"] / a["p99_ms"] for a, b in zip(usual, attacked, strict=True)]
        records.append(record | {"ratios": ratios, "ratio": statistics.median(ratios)})
        print(row(records[-1]), flush=True)
    return records


def row(record: dict) -> str:
    cells = (record["usual_p99_ms"], record["attacked_p99_ms"], record["ratio"])
    rates = (record["usual_requests_per_s"], record["attacked_requests_per_s"], record["peak_mib"])
    numbers = "".join(f"{cell:12.2f}" for cell in cells) + "".join(f"{cell:12.0f}" for cell in rates)
    return f"{record['attack']:32}{numbers}  {'; '.join(record['failed'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        teacher = trained(Path(folder))
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        process = start([teacher])
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        position = host_port(address(process))
        columns = ("usual p99", "attacked p99", "ratio", "usual /s", "attacked /s", "peak MiB")
        print(f"\n{'':32}" + "".join(f"{column:>12}" for column in columns))
        records = measure(position, process.pid, options)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    print(json.dumps({"machine": machine_name(), "options": vars(options), "attacks": records}))


if __name__ == "__main__":
    main()
