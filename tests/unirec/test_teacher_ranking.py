"""Promises of the teacher's server that need no server: ranking, batching, SASRec's short way."""

import asyncio
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from async_server import named_datasets
from hypothesis import given
from hypothesis import strategies as st
from micro_batcher import DeadlineExceeded, MicroBatcher, Overloaded
from sasrec_model import build_model, catalog_scores, default_config
from server_app import chosen_dataset
from server_metrics import forget_dead_workers

from train_utils.teacher.checkpoint import MODELS
from train_utils.teacher.inference import item_vectors, next_item_scores
from train_utils.teacher.ranking import Catalog, RequestError, Row, admissible, candidate_ranks, to_ints, top_k


@given(data=st.data())
def test_top_k_equals_sorting_by_score_then_item(data):
    rows, items = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 12))
    grid = st.integers(-3, 3)  # few values: many ties
    scores = torch.tensor([[float(data.draw(grid)) for _ in range(items)] for _ in range(rows)])
    allowed = np.array([[data.draw(st.booleans()) for _ in range(items)] for _ in range(rows)])
    k = np.array([data.draw(st.integers(1, items + 2)) for _ in range(rows)])
    actual, probabilities = top_k(scores, allowed, k)
    for row in range(rows):
        order = sorted(np.flatnonzero(allowed[row]), key=lambda item: (-scores[row, item], item))
        assert actual[row].tolist() == order[: k[row]]
        if len(order) <= k[row]:
            assert abs(sum(probabilities[row]) - bool(order)) < 1e-6


def test_a_candidate_s_rank_breaks_ties_by_item_and_skips_the_history():
    scores = torch.tensor([[9.0, 1.0, 3.0, 3.0, 5.0]])
    row = Row((4,), candidates=(1, 2, 3, 4))
    catalog = Catalog.build(["[PAD]", "a", "b", "c", "d"], {}, np.zeros(5))
    assert candidate_ranks(scores, admissible([Row((4,))], catalog), [row]) == [[3, 1, 2, 1]]


def test_the_padding_is_not_an_item():
    catalog = Catalog.build(["[PAD]", "a"], {}, np.zeros(2))
    with pytest.raises(RequestError, match="PAD"):
        to_ints(catalog, [["[PAD]"]], "item_lists")
    assert admissible([Row(())], catalog).tolist() == [[False, True]]


def test_the_batcher_keeps_order_drops_the_late_and_outlives_a_failing_batch():
    gate, ran = threading.Event(), []

    def run(jobs):
        gate.wait(10)
        ran.append(list(jobs))
        if "bad" in jobs:
            raise ArithmeticError("bad")
        return [f"answer {job}" for job in jobs]

    async def scene():
        batcher = MicroBatcher(run, max_batch=2, max_queue=4, deadline_s=5)
        batcher.start()
        first = asyncio.create_task(batcher.submit([("a", 1)]))
        await asyncio.sleep(0)  # `a` is queued
        await asyncio.sleep(0)  # and taken: the worker waits at the gate
        late = asyncio.create_task(batcher.submit([("late", 1)]))
        pair = asyncio.create_task(batcher.submit([("b", 1), ("c", 1)]))
        urgent = asyncio.create_task(batcher.submit([("urgent", 1)], first=True))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.submit([("d", 1)])
        late.cancel()
        gate.set()
        assert await first == ["answer a"]
        assert await pair == ["answer b", "answer c"]
        assert await urgent == ["answer urgent"]
        with pytest.raises(ArithmeticError):
            await batcher.submit([("bad", 1)])
        assert await batcher.submit([("e", 1)]) == ["answer e"]
        await batcher.close()
        with pytest.raises(Overloaded):
            await batcher.submit([("f", 1)])

    asyncio.run(scene())
    assert ran[:3] == [["a"], ["urgent", "b"], ["c"]]


def test_the_batcher_s_deadline_drops_what_was_not_begun():
    ran = []

    def run(jobs):
        ran.append(list(jobs))
        return jobs

    async def scene():
        batcher = MicroBatcher(run, max_batch=2, max_queue=4, deadline_s=0.01)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit([("a", 1)])
        batcher.start()
        await batcher.close()
        return batcher.queued

    assert asyncio.run(scene()) == 0
    assert ran == []


def test_the_batcher_says_how_many_rows_wait():
    heard = []

    async def scene():
        batcher = MicroBatcher(list, max_batch=2, max_queue=9, deadline_s=5, on_queue=heard.append)
        batcher.start()
        await asyncio.gather(batcher.submit([("a", 2), ("b", 2)]), batcher.submit([("c", 1)]))
        await batcher.close()

    asyncio.run(scene())
    assert max(heard) == 5 and heard[-1] == 0


def test_the_short_way_through_the_layers_gives_the_library_s_scores():
    sizes = {"n_users": 3, "n_items": 20, "embedding_size": 16, "hidden_size": 16, "inner_size": 32}
    sizes |= {"exp_name": "test", "device": "cpu"}
    others = [{"model": name} for name in MODELS if name != "SASRec"]
    for more in ({}, {"n_layers": 1}, {"use_position_emb": 0}, {"has_item_bias": True, "tau": 0.5}, *others):
        torch.manual_seed(1)
        config = default_config(more.get("model", "SASRec")) | sizes | more
        model = build_model(config).eval()
        inputs = torch.randint(1, 20, (9, 10))
        inputs[:4, :7] = 0
        short = next_item_scores(model, item_vectors(model), inputs)
        torch.testing.assert_close(short, catalog_scores(model, item_vectors(model), inputs))


def test_with_one_dataset_a_request_need_not_name_it():
    assert chosen_dataset({"a": 0}, None) == chosen_dataset({"a": 0}, "a") == "a"
    assert chosen_dataset({"a": 0, "b": 0}, "b") == "b"
    for served, named in (({"a": 0, "b": 0}, None), ({"a": 0, "b": 0}, "c"), ({"a": 0}, "")):
        with pytest.raises(RequestError, match=f"one of {', '.join(served)}, got {named!r}"):
            chosen_dataset(served, named)


@pytest.mark.parametrize("text", ["", ",", "a,", "a,,b", "../a", "a,..", "a/b", "a,a", "-a"])
def test_a_wrong_list_of_datasets_is_refused(text):
    with pytest.raises(ValueError, match="--dataset"):
        named_datasets(text)


def test_a_list_of_datasets_keeps_its_order():
    assert named_datasets("toys,movies,ml-100k") == ["toys", "movies", "ml-100k"]


def test_a_dead_worker_s_gauges_are_forgotten_and_a_living_one_s_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"gauge_livesum_{pid}.db").touch()
        (tmp_path / f"counter_{pid}.db").touch()
    forget_dead_workers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"gauge_livesum_{os.getpid()}.db",
        f"counter_{os.getpid()}.db",
        f"counter_{dead.pid}.db",
    }
