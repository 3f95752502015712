"""A run that is killed at any moment, as often as it may be, ends with the weights of an unbroken one."""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import killed_run
import pytest
import torch

KILLS = 100


@pytest.fixture(scope="module")
def nursery():
    """Processes are forked from one that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_run"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        process = context.Process(target=killed_run.nothing)
        process.start()
        process.join()
    assert process.exitcode == 0
    return context


def unbroken(nursery, folder: Path) -> tuple[dict, str, float]:
    """Weights and log of a run that nobody kills, and the seconds that it took."""
    started = time.monotonic()
    process = nursery.Process(target=killed_run.run_once, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == 0
    seconds = time.monotonic() - started
    return torch.load(folder / "weights.pt", weights_only=True), (folder / "log.jsonl").read_text(), seconds


def attempt(nursery, folder: Path, rng: random.Random, seconds: float) -> bool:
    """One start of the run, killed at a random moment or before a random file operation; whether it was killed."""
    at_operation = rng.random() < 0.5
    process = nursery.Process(target=killed_run.run_once, args=(folder, rng.randint(1, 60) if at_operation else 0))
    process.start()
    process.join(None if at_operation else rng.uniform(0, seconds))
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_run_killed_100_times_ends_with_the_weights_of_an_unbroken_one(nursery, tmp_path):
    weights, log, seconds = unbroken(nursery, tmp_path / "unbroken")
    rng, kills, runs, killed = random.Random(0), 0, 0, True
    while kills < KILLS or killed:
        folder = tmp_path / f"run{runs}"
        killed = attempt(nursery, folder, rng, seconds)
        kills += killed
        if not killed:
            runs += 1
            actual = torch.load(folder / "weights.pt", weights_only=True)
            assert weights.keys() == actual.keys() and all(torch.equal(weights[name], actual[name]) for name in weights)
            assert (folder / "log.jsonl").read_text() == log
            left = [path.name for path in folder.rglob("*") if path.name.startswith(".")]
            assert not left, "nothing of the killed attempts is left behind"
