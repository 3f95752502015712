"""The teacher's rivals do the same work as the teacher, and the load generator counts what a server answers."""

import asyncio
import json
import math
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from bench_teacher import Options, World, check_lists, real_histories, run
from http_load import Job, percentile, put_load, whole_answer
from hypothesis import given
from hypothesis import strategies as st
from one_at_a_time_server import OneAtATime, build_app
from sasrec_model import Checkpoint, build_model, catalog_scores, default_config
from teacher_world import N_ITEMS, TINY, raw_id, write_ring
from torch.nn import functional
from unirec_feed import OneWindowDataset, UniRecFeeding, make_loader, read_events
from unirec_files import read_unirec_data

from train_utils.dataset_folder import PAD
from train_utils.options import parse
from train_utils.teacher.inference import item_vectors

ROOT = Path(__file__).resolve().parents[2]
RAW_IDS = (PAD, *map(raw_id, range(1, N_ITEMS + 1)))


def tiny_config(**settings):
    small = {
        name.removeprefix("--"): float(value) if "." in value else int(value)
        for name, value in zip(TINY[::2], TINY[1::2], strict=True)
    }
    known = {"exp_name": "SASRec", "n_users": 41, "n_items": N_ITEMS + 1}
    return default_config() | small | known | settings


def fed(events, workers=0):
    """Counter of (user, target, label, window, items in the window) over one epoch."""
    rows = (zip(*(column.tolist() for column in batch), strict=True) for batch in make_loader(events, workers))
    return Counter((*row[:3], tuple(row[3]), row[4]) for batch in rows for row in batch)


def expected_windows(sequences, length):
    """user -> training sequence: what an epoch must feed when no user meets an item twice."""
    return Counter(
        (user, item, 1, (*[0] * (length - len(before)), *before), len(before))
        for user, sequence in sequences.items()
        for position, item in enumerate(sequence)
        for before in [sequence[max(0, position - length) : position]]
    )


def dataset_of(sequences, length):
    events = [(user, item) for user, sequence in sequences.items() for item in sequence]
    users, items = np.array(events).T
    return OneWindowDataset(users, items, {user: np.array(s) for user, s in sequences.items()}, length)


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=25, unique=True), min_size=1, max_size=5),
    st.integers(1, 12),
)
def test_unirec_feeds_each_training_event_once_with_the_window_before_it(lists, length):
    sequences = dict(enumerate(lists, 1))
    assert fed(dataset_of(sequences, length)) == expected_windows(sequences, length)


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return write_ring(tmp_path_factory.mktemp("ring") / "data")


@pytest.mark.parametrize("workers", [0, 2])
def test_unirec_feeds_the_training_events_of_the_files(ring, workers):
    data = read_unirec_data(ring)
    sequences = {
        user: data.items[start : end - 2].tolist()
        for user, (start, end) in enumerate(zip(data.offsets[:-1], data.offsets[1:], strict=True), 1)
    }
    assert fed(read_events(ring, 10), workers) == expected_windows(sequences, 10)


def test_an_item_met_twice_gets_a_window_of_one_of_its_places():
    events = dataset_of({1: [5, 6, 5]}, 3)
    windows = {tuple(events[0][3].tolist()) for _ in range(64)}
    assert windows == {(0, 0, 0), (0, 5, 6)}


def test_unirec_feeding_takes_the_loss_of_the_last_position(ring):
    rival = UniRecFeeding(tiny_config(hidden_dropout_prob=0.0, attn_dropout_prob=0.0))
    batch = next(iter(make_loader(read_events(ring, 10), 0)))
    scores = catalog_scores(rival.model, item_vectors(rival.model), batch[3])
    expected = functional.cross_entropy(scores, batch[1]).item()
    assert rival.step(batch) == pytest.approx(expected, rel=1e-5)
    assert rival.step(batch) < expected


def test_an_epoch_is_timed_with_its_steps_inside(ring):
    actual = UniRecFeeding(tiny_config()).epoch(make_loader(read_events(ring, 10), 0))
    assert 0 < actual.step_seconds <= actual.seconds
    assert actual.loss == pytest.approx(math.log(N_ITEMS + 1), rel=0.1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return build_model(tiny_config(init_std=0.5)).eval()


@pytest.fixture(scope="module")
def world(ring, model):
    data = read_unirec_data(ring)
    ints = real_histories(data, 50)
    histories = [[data.raw_ids[item] for item in row] for row in ints.tolist()]
    return World(data, ring, ring, Checkpoint(model, {}, ring), {}, {}, histories, ints)


def test_histories_are_the_items_before_an_event(world):
    steps = (world.history_ints[:, 1:] - world.history_ints[:, :-1]) % N_ITEMS
    assert (steps == 1).all()  # everyone walks the ring
    assert len(np.unique(world.history_ints, axis=0)) <= len(world.history_ints) <= 50


def test_the_one_at_a_time_server_answers_with_the_best_items(model, world):
    async def ask(histories):
        transport = httpx.ASGITransport(build_app(OneAtATime(model, RAW_IDS)))
        async with httpx.AsyncClient(transport=transport, base_url="http://rival") as client:
            bodies = [{"users": ["u"], "item_lists": [history], "k": 10} for history in histories]
            return [(await client.post("/inference", json=body)).json()["inference"][0] for body in bodies]

    check_lists(world, range(len(world.histories)), asyncio.run(ask(world.histories)), 10)


def test_the_one_at_a_time_server_reads_the_last_ten_and_hides_all(model):
    teacher = OneAtATime(model, RAW_IDS)
    long = [raw_id(item) for item in range(1, 16)]
    actual, short = teacher.top_k(long, 15), teacher.top_k(long[5:], 20)
    assert set(actual) == {raw_id(item) for item in range(16, N_ITEMS + 1)}
    assert actual == [item for item in short if item not in long]
    assert len(teacher.top_k(long[:2], 28)) == 28


def test_a_wrong_list_is_refused(model, world):
    right = OneAtATime(model, RAW_IDS).top_k(world.histories[0], 10)
    check_lists(world, [0], [right], 10)
    for wrong in (right[::-1], right[:9], [right[0], *right[:9]], [*right[:9], world.histories[0][0]]):
        with pytest.raises(ValueError, match="wrong answer"):
            check_lists(world, [0], [wrong], 10)


def answer_bytes(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


@given(st.text("xyz\r\n", max_size=30), st.data())
def test_an_answer_is_read_when_all_of_it_has_come(body, data):
    whole = answer_bytes(body, "503 busy")
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert whole_answer(whole[:cut]) is None
    assert whole_answer(whole) == (503, body.encode())


def test_an_answer_without_a_length_is_refused():
    with pytest.raises(ValueError, match="Content-Length"):
        whole_answer(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.99, 4), (0.25, 1), (1.0, 4)])
def test_percentile_counted_by_hand(share, expected):
    assert percentile([4, 2, 1, 3], share) == expected


async def loaded(answer, **settings):
    """Figures of a load on a server that echoes each body through `answer` (bytes -> chunks), and its connections."""
    opened = 0

    async def talk(reader, writer):
        nonlocal opened
        opened += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                for chunk in answer(await reader.readexactly(size)):
                    writer.write(chunk)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        job = Job("127.0.0.1", port, "/inference", ["a", "bb", "ccc"], 4, 0.2, warm_up_s=0.05)
        return await put_load(Job(**asdict(job) | settings)), opened


def halves(body):
    whole = answer_bytes(body.decode() * 2)
    return whole[:30], whole[30:]


def test_the_load_keeps_its_connections_and_keeps_the_answers():
    figures, opened = asyncio.run(loaded(halves))
    assert opened == 4
    assert figures["answers"] == {"0": "aa", "1": "bbbb", "2": "cccccc"}
    assert figures["requests_per_s"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([answer_bytes("full", "503 busy")], "answered 503: full"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "Content-Length"),
    ],
)
def test_the_load_ends_at_the_first_bad_answer(chunks, reason):
    with pytest.raises(ValueError, match=reason):
        asyncio.run(loaded(lambda body: chunks))


def test_the_command_reports_a_missing_server_in_one_line():
    with socket.socket() as bound:  # bound, but nobody listens
        bound.bind(("127.0.0.1", 0))
        job = Job(*bound.getsockname(), "/inference", ["{}"], 1, 0.1)
        ended = subprocess.run(
            [sys.executable, "benchmarks/http_load.py"],
            cwd=ROOT,
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_the_benchmark_names_the_script_that_makes_missing_files():
    with pytest.raises(ValueError, match=r"scripts/unirec_train\.sh"):
        run(parse(Options, ["--dataset", "no-such-dataset"]))


@pytest.mark.parametrize("flags", [["--clients", "0"], ["--seconds", "0"]])
def test_the_benchmark_refuses_an_empty_load(flags):
    with pytest.raises(ValueError, match="--clients must be 1 or more"):
        run(parse(Options, flags))
