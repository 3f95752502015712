"""Promises of the teacher's server: a real process on loopback, judged by brute force with UniRec's class."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
import train
from async_server import ServerLimits, build_app
from hypothesis import given
from hypothesis import strategies as st
from micro_batcher import DeadlineExceeded, MicroBatcher, Overloaded
from sasrec_model import load_checkpoint
from teacher_model import find_checkpoint, load_teacher
from teacher_ranking import Catalogue, RequestError, Row, admissible, candidate_ranks, to_ints, top_k
from teacher_world import N_ITEMS, TINY, raw_id, write_ring

from train_utils.teacher import HttpTeacher

SERVER = Path(__file__).resolve().parent.parent / "unirec" / "async_server.py"
ALL = [raw_id(number) for number in range(1, N_ITEMS + 1)]
HISTORIES = [ALL[:1], ALL[3:9], ALL[::-1][:25], ALL[5:8] * 5, ALL[:28]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`data` and `output` of a teacher trained for two epochs: neither uniform nor sure of itself."""
    folder = tmp_path_factory.mktemp("teacher")
    write_ring(folder / "data")
    assert (
        train.main(["--dataset", "ring", *places(folder), *TINY, "--epochs", "2", "--batch_size", "32"]) == 0
    )
    return folder


def places(folder: Path) -> list[str]:
    return ["--data_path", str(folder / "data"), "--output_path", str(folder / "output")]


def start(folder: Path, port: int) -> subprocess.Popen:
    command = [sys.executable, str(SERVER), "--dataset", "ring", "--port", str(port), *places(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def url(folder):
    """Address of a running server; at the end SIGTERM must end it with status 0."""
    process = start(folder, 0)
    yield process.stdout.readline().strip().rpartition(" ")[2]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def client(url):
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


def ask(client: httpx.Client, histories: list, k: int = 5, **more) -> dict:
    body = {"users": ["nobody"] * len(histories), "item_lengths": [len(h) for h in histories], "k": k}
    response = client.post("/inference", json=body | {"item_lists": histories, "immediately": False} | more)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture(scope="module")
def brute_force(folder):
    """(history, allowed raw ids) -> [(raw id, probability)], best first, by the library's class."""
    model = load_checkpoint(find_checkpoint("ring", {}, folder / "output")).model

    def answer(history: list[str], allowed: list[str]) -> list[tuple[str, float]]:
        ints = [ALL.index(item) + 1 for item in history][-10:]
        window = torch.tensor([[0] * (10 - len(ints)) + ints])
        with torch.no_grad():
            scores = model.forward_user_emb(item_seq=window)[0] @ model.item_embedding.weight.T
        ids = [item for item in allowed if item not in history]
        weights = torch.softmax(scores[[ALL.index(item) + 1 for item in ids]].double(), 0).tolist()
        return sorted(zip(ids, weights, strict=True), key=lambda pair: -pair[1])

    return answer


def test_answers_are_those_of_brute_force_scoring(client, brute_force):
    answer = ask(client, HISTORIES, 7, return_scores=True)
    for history, items, scores in zip(HISTORIES, answer["inference"], answer["scores"], strict=True):
        expected = brute_force(history, ALL)[:7]
        assert items == [item for item, _ in expected]
        np.testing.assert_allclose(scores, [weight for _, weight in expected], rtol=1e-4)
    assert "cold" not in answer


def test_a_history_gets_the_same_answer_alone_and_in_any_batch(client):
    together = ask(client, HISTORIES * 60, 9, return_scores=True)
    for number, history in enumerate(HISTORIES):
        alone = ask(client, [history], 9, return_scores=True)
        for row in range(number, len(HISTORIES) * 60, len(HISTORIES)):
            assert together["inference"][row] == alone["inference"][0]
            assert together["scores"][row] == alone["scores"][0]


def test_seen_items_never_return_and_a_list_is_short_only_when_the_catalogue_ends(client):
    for history, items in zip(HISTORIES, ask(client, HISTORIES, N_ITEMS)["inference"], strict=True):
        assert sorted(items + list(set(history))) == sorted(ALL)


def test_integers_are_taken_for_ids_and_users_need_not_be_known(client):
    response = client.post("/inference", json={"users": [7], "item_lists": [[7]], "k": 1})
    assert response.status_code == 422 and "'7'" in response.json()["detail"]


def test_an_empty_history_gets_the_popular_items_and_the_answer_says_so(client, folder):
    popularity = load_teacher(
        find_checkpoint("ring", {}, folder / "output"), folder / "data", "cpu"
    ).catalogue.popularity
    order = np.lexsort((np.arange(1, N_ITEMS + 1), -popularity[1:]))
    answer = ask(client, [ALL[:2], []], 6)
    assert answer["cold"] == [1]
    assert answer["inference"][1] == [ALL[number] for number in order[:6]]


def test_categories_and_candidates_limit_the_list(client, brute_force):
    even, odd, few = ALL[1::2], ALL[::2], ALL[10:14]
    history = ALL[4:8]
    rows = {"+even": even, "-even": odd}
    answer = ask(client, [history, history], 4, target_category=list(rows))
    for items, allowed in zip(answer["inference"], rows.values(), strict=True):
        assert items == [item for item, _ in brute_force(history, allowed)][:4]
    answer = ask(client, [history], 4, candidate_item_lists=[[*few, history[0]]])
    assert answer["inference"][0] == [item for item, _ in brute_force(history, few)]
    answer = ask(client, [history], 4, candidate_item_lists=[few], target_category="+even")
    assert set(answer["inference"][0]) == set(few) & set(even)


def test_ranking_counts_the_better_items_outside_the_history(client, brute_force):
    history, candidates = ALL[4:8], [ALL[0], ALL[20], ALL[9]]
    body = {"users": ["u"], "item_lists": [history], "candidate_item_lists": [candidates]}
    ranks = client.post("/ranking", json=body).json()["ranking"][0]
    order = [item for item, _ in brute_force(history, ALL)]
    assert ranks == [order.index(item) + 1 for item in candidates]


BAD_BODIES = [
    b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"users": NaN}',
    *(json.dumps({"users": ["u"], "item_lists": [ALL[:2]], "k": 5} | change).encode() for change in (
        {"k": 0}, {"k": -1}, {"k": N_ITEMS + 1}, {"k": 10**30}, {"k": True}, {"k": 2.5},
        {"k": "5"}, {"k": None},
        {"users": []}, {"users": ["u", "v"]}, {"item_lengths": [3]}, {"item_lengths": [2, 2]},
        {"item_lists": [[]], "users": []}, {"item_lists": [["[PAD]"]]}, {"item_lists": [["\ud800"]]},
        {"item_lists": [[True]]}, {"item_lists": ["m101"]}, {"item_lists": [[ALL[0]] * 10_001]},
        {"candidate_item_lists": [["x"]]}, {"candidate_item_lists": []}, {"target_category": "even"},
        {"target_category": "+nothing"}, {"target_category": ["+even", None]},
        {"\ud800": 1}, {"unknown_field": 1},
    )),
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_bad_request_is_a_4xx_with_its_reason_and_the_server_goes_on(client, body):
    response = client.post("/inference", content=body, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500
    assert response.json()["detail"]
    assert client.get("/health/live").status_code == 200


def test_unknown_items_are_named(client):
    body = {"users": ["u"], "item_lists": [["m101", "gone", "lost"]], "k": 5}
    response = client.post("/inference", json=body)
    assert response.status_code == 422
    assert "'gone'" in response.json()["detail"] and "'lost'" in response.json()["detail"]


def test_many_clients_at_once_each_get_their_own_answer(client, url):
    jobs = [HISTORIES[number % 5 :][: 1 + number % 3] for number in range(60)]
    expected = [ask(client, job)["inference"] for job in jobs]
    teacher = HttpTeacher(*_host_port(url))
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda job: teacher.top_k(job, 5), jobs)) == expected
    teacher.close()


def test_a_client_that_hangs_up_half_way_harms_nobody(client, url):
    for part in (
        b"POST /inference HT",
        b"POST /inference HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{",
    ):
        with socket.create_connection(_host_port(url)) as connection:
            connection.sendall(part)
    assert ask(client, [ALL[:2]])["inference"]


def test_health_and_metrics_say_what_runs(client):
    ask(client, HISTORIES)
    assert client.get("/health/ready").json()["items"] == N_ITEMS
    page = client.get("/metrics").text
    assert 'teacher_requests_total{path="/inference",status="200"}' in page
    assert "teacher_queued_rows 0" in page
    assert client.get("/openapi.json").status_code == 200


def test_a_taken_port_is_one_line_and_status_2(folder, url):
    process = start(folder, _host_port(url)[1])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: cannot listen on 127.0.0.1:") and errors.count("\n") == 1


def test_a_missing_checkpoint_names_the_command_that_makes_one(folder, tmp_path):
    with pytest.raises(ValueError, match="scripts/unirec_train.sh movies"):
        find_checkpoint("movies", {"movies": None}, tmp_path)
    with pytest.raises(ValueError, match="nowhere.pth"):
        find_checkpoint("movies", {"movies": "nowhere.pth"}, folder / "output")


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (ServerLimits(queue_rows=1), 503),
        (ServerLimits(deadline_s=0.01), 504),
        (ServerLimits(body_bytes=9), 413),
    ],
)
def test_overload_deadline_and_body_limit_have_their_status(folder, limits, status):
    teacher = load_teacher(find_checkpoint("ring", {}, folder / "output"), folder / "data", "cpu")
    app = build_app(teacher, "ring", limits)  # its lifespan is not entered: nothing takes from the queue

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            return await client.post("/inference", json={"users": [1, 2], "item_lists": [[], []], "k": 1})

    response = asyncio.run(post())
    assert response.status_code == status and response.json()["detail"]
    assert ("Retry-After" in response.headers) == (status == 503)


def _host_port(url: str) -> tuple[str, int]:
    parts = httpx.URL(url)
    return parts.host, parts.port


# The decisions, without a server.


@given(data=st.data())
def test_top_k_equals_sorting_by_score_then_item(data):
    rows, items = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 12))
    grid = st.integers(-3, 3)  # few values: many ties
    scores = torch.tensor([[float(data.draw(grid)) for _ in range(items)] for _ in range(rows)])
    allowed = np.array([[data.draw(st.booleans()) for _ in range(items)] for _ in range(rows)])
    k = data.draw(st.integers(1, items + 2))
    found, probabilities = top_k(scores, allowed, k)
    for row in range(rows):
        order = sorted(np.flatnonzero(allowed[row]), key=lambda item: (-scores[row, item], item))
        assert found[row] == order[:k]
        if len(order) <= k:
            assert abs(sum(probabilities[row]) - bool(order)) < 1e-6


def test_a_candidate_s_rank_breaks_ties_by_item_and_skips_the_history():
    scores = torch.tensor([[9.0, 1.0, 3.0, 3.0, 5.0]])
    row = Row((4,), candidates=(1, 2, 3, 4))
    catalogue = Catalogue.build(["[PAD]", "a", "b", "c", "d"], {}, np.zeros(5))
    assert candidate_ranks(scores, admissible([Row((4,))], catalogue), [row]) == [[3, 1, 2, 1]]


def test_the_padding_is_not_an_item():
    catalogue = Catalogue.build(["[PAD]", "a"], {}, np.zeros(2))
    with pytest.raises(RequestError, match="PAD"):
        to_ints(catalogue, [["[PAD]"]], "item_lists")
    assert admissible([Row(())], catalogue).tolist() == [[False, True]]


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
    async def scene():
        batcher = MicroBatcher(list, max_batch=2, max_queue=4, deadline_s=0.01)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit([("a", 1)])
        batcher.start()
        await batcher.close()
        return batcher.queued

    assert asyncio.run(scene()) == 0
