"""Promises of the teacher's server: a real process on loopback, judged by brute force with UniRec's class."""

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from sasrec_model import load_checkpoint
from server_app import ServerLimits, build_app
from teacher_model import find_checkpoint, load_teacher
from teacher_running import ALL, HISTORIES, ask, host_port, request_body, running, start, trained
from teacher_world import N_ITEMS

from train_utils.serving.http_limits import HttpLimits
from train_utils.serving.listener import address_of
from train_utils.teacher.http_client import HttpTeacher
from train_utils.teacher.open import open_teacher


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def url(folder):
    with running([folder]) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


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


def test_seen_items_never_return_and_a_list_is_short_only_when_the_catalog_ends(client):
    for history, items in zip(HISTORIES, ask(client, HISTORIES, N_ITEMS)["inference"], strict=True):
        assert sorted(items + list(set(history))) == sorted(ALL)


def test_integers_are_taken_for_ids_and_users_need_not_be_known(client):
    response = client.post("/inference", json={"users": [7], "item_lists": [[7]], "k": 1})
    assert response.status_code == 422 and "'7'" in response.json()["detail"]


def test_an_empty_history_gets_the_popular_items_and_the_answer_says_so(client, folder):
    popularity = load_teacher(find_checkpoint("ring", {}, folder / "output"), folder / "data", "cpu").catalog.popularity
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
    order = [item for item, _ in brute_force(history, ALL)]
    for immediately in (False, True):
        ranks = client.post("/ranking", json=body | {"immediately": immediately}).json()["ranking"]
        assert ranks == [[order.index(item) + 1 for item in candidates]]


BAD_BODIES = [
    b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"users": NaN}',
    *(json.dumps({"users": ["u"], "item_lists": [ALL[:2]], "k": 5} | change).encode() for change in (
        {"k": 0}, {"k": -1}, {"k": N_ITEMS + 1}, {"k": 10**30}, {"k": True}, {"k": 2.5},
        {"k": "5"}, {"k": None},
        {"users": []}, {"users": ["u", "v"]}, {"item_lengths": [3]}, {"item_lengths": [2, 2]},
        {"item_lists": [ALL[:1]], "item_lengths": [True]}, {"immediately": 1}, {"return_scores": "yes"},
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
    teacher = HttpTeacher(*host_port(url))
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda job: teacher.top_k(job, 5), jobs)) == expected
    teacher.close()


def test_a_client_that_hangs_up_half_way_harms_nobody(client, url):
    for part in (
        b"POST /inference HT",
        b"POST /inference HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{",
    ):
        with socket.create_connection(host_port(url)) as connection:
            connection.sendall(part)
    assert ask(client, [ALL[:2]])["inference"]


def test_health_and_metrics_say_what_runs(client):
    ask(client, HISTORIES)
    assert client.get("/health/ready").json()["datasets"]["ring"]["items"] == N_ITEMS
    page = client.get("/metrics").text
    assert 'teacher_requests_total{path="/inference",status="200"}' in page
    assert 'teacher_rows_total{dataset="ring"}' in page
    assert "teacher_queued_rows 0.0" in page
    assert "teacher_requests_in_progress 1.0" in page  # the one that asks


def test_two_datasets_in_one_process_answer_as_each_alone(client, folder, tmp_path_factory):
    other = trained(tmp_path_factory.mktemp("other"), "--seed", "7")
    bodies = [request_body([history], 7, return_scores=True) for history in HISTORIES]
    with running([other]) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as second:
        alone = {
            name: [one.post("/inference", json=body).json() for body in bodies]
            for name, one in (("ring", client), ("knot", second))
        }
    assert alone["ring"] != alone["knot"]
    jobs = [(name, number) for name in alone for number in range(len(bodies))] * 8
    with (
        running([folder, other], "ring,knot") as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as both,
    ):

        def answer(job):
            return both.post("/inference", json=bodies[job[1]] | {"dataset": job[0]}).json()

        with ThreadPoolExecutor(16) as pool:  # batches hold both
            assert list(pool.map(answer, jobs)) == [alone[name][number] for name, number in jobs]
        for more in ({}, {"dataset": "movies"}):
            refused = both.post("/inference", json=bodies[0] | more)
            assert refused.status_code == 422 and "ring, knot" in refused.json()["detail"]
        assert list(both.get("/health/ready").json()["datasets"]) == ["ring", "knot"]
        assert 'teacher_rows_total{dataset="knot"} 40.0' in both.get("/metrics").text


def test_a_taken_port_is_one_line_and_status_2(folder, url):
    process = start([folder], host_port(url)[1])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: cannot listen on 127.0.0.1:") and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("dataset", "output", "complaint"),
    [
        ("ring", b"no checkpoint", "is no archive of torch.save, or damaged"),
        ("ring", None, "scripts/unirec_train.sh ring"),
        ("ring,knot", None, "must name one folder for each of ring, knot, got 1"),
    ],
)
def test_a_server_that_cannot_load_is_one_line_and_status_2(folder, tmp_path, dataset, output, complaint):
    (tmp_path / "data").symlink_to(folder / "data")
    if output is not None:
        (tmp_path / "output" / "run").mkdir(parents=True)
        (tmp_path / "output" / "run" / "SASRec.pth").write_bytes(output)
        (tmp_path / "output" / "run" / "done.json").write_text("{}")
    process = start([tmp_path], 0, dataset)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("error: ") and complaint in errors and errors.count("\n") == 1


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
        (ServerLimits(http=HttpLimits(body_bytes=9)), 413),
    ],
)
def test_overload_deadline_and_body_limit_have_their_status(folder, limits, status):
    teacher = load_teacher(find_checkpoint("ring", {}, folder / "output"), folder / "data", "cpu")
    app = build_app({"ring": teacher}, limits)  # its lifespan is not entered: nothing takes from the queue
    body = json.dumps({"users": [1, 2], "item_lists": [[], []], "k": 1}).encode()

    async def chunks():
        for number in range(len(body)):
            yield body[number : number + 1]

    async def post(content) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            return await client.post("/inference", content=content)

    for content in (body, chunks()):  # declared length, and chunked
        response = asyncio.run(post(content))
        assert response.status_code == status and response.json()["detail"]
        assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:2068"),
        ("::1", "http://[::1]:2068"),
        ("localhost", "http://localhost:2068"),
        ("0", "http://127.0.0.1:2068"),
        ("::0", "http://[::1]:2068"),
        ("0:0:0:0:0:0:0:0", "http://[::1]:2068"),
        ("0.0.0.0", "http://127.0.0.1:2068"),
        ("::", "http://[::1]:2068"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:2068"),
    ],
)
def test_an_address_is_announced_as_a_client_takes_it(host, address):
    assert address_of(host, 2068) == address
    if "%" not in host:
        assert open_teacher(address).url == address


def test_a_server_on_ipv6_is_asked_by_the_address_that_it_announces(folder):
    with running([folder], "ring", "--host", "::1") as url:
        assert url.startswith("http://[::1]:")
        assert len(open_teacher(url).top_k([ALL[:3]], 4)[0]) == 4
