"""The teacher's server and hostile requests: a real process answers each in one line, and the next good client."""

import json
import random
import socket
import sys
from pathlib import Path

import httpx
import pytest
from teacher_running import ALL, address, host_port, request_body, start, trained

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hostile"))

import http_attacks as attacks
from damage import damaged
from http_attacks import ask, post, status_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

MEMORY = 200 * 2**20  # growth of the process
SEEDS = 400
WORDS = (
    b"\r\n\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1",
    b"POST /inference ",
    b"[[",
    b"{",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    process = start([trained(tmp_path_factory.mktemp("teacher"))])
    yield host_port(address(process)), process.pid
    assert process.poll() is None
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""


def body_of(**changes) -> bytes:
    return json.dumps(request_body([ALL[:3]]) | changes).encode()


def request_of(body: bytes) -> bytes:
    return post("/inference", len(body), b"connection: close\r\n") + body


def good(position: tuple[str, int]) -> None:
    answer = ask(position, request_of(body_of()))
    assert status_of(answer) == 200 and len(json.loads(answer.partition(b"\r\n\r\n")[2])["inference"][0]) == 5


def peak(pid: int, field: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def rows_of(value: bytes, rows: int, length: int) -> bytes:
    row = b"[" + b",".join([value] * length) + b"]"
    users = json.dumps(["u"] * rows).encode()
    return b'{"users":%s,"item_lists":[%s],"k":5}' % (users, b",".join([row] * rows))


MANY = 250_000  # values, just below what is refused unread
BODIES = {
    "three million ids": (rows_of(b"null", 300, 10_000), 413, "JSON values"),
    "wrong ids": (rows_of(b"null", 25, 10_000), 422, "item_lists.0.0: "),
    "unknown ids": (rows_of(b'"gone"', 25, 10_000), 422, "'gone'"),
    "too many rows": (rows_of(b"1", 4097, 1), 422, "users: "),
    "a long list": (rows_of(b"1", 1, 10_001), 422, "item_lists.0: "),
    "unknown fields": (b"{" + b",".join(b'"k%d" : 1' % n for n in range(MANY)) + b"}", 422, "fields"),
    "one unknown field": (body_of(unknown=1), 422, "unknown"),
    "wrong lengths": (body_of(item_lengths=[None] * MANY), 422, "item_lengths"),
    "wrong categories": (body_of(target_category=[1.5] * MANY), 422, "target_category"),
    "deep arrays": (b"[" * MANY, 422, "recursion"),
    "deep objects": (b'{"a":' * 1000, 422, ""),
    "a huge number": (body_of(k=10**4000), 422, "k"),
    "a number of 100,000 digits": (body_of().replace(b'"k": 5', b'"k": ' + b"9" * 100_000), 422, ""),
    "an id of 100,000 digits": (body_of().replace(b'"nobody"', b"9" * 100_000), 422, ""),
    "a huge exponent": (body_of().replace(b'"k": 5', b'"k": 1e999999'), 422, "k"),
    "not a number": (body_of().replace(b'"k": 5', b'"k": NaN'), 422, "k"),
    "a negative zero": (body_of().replace(b'"k": 5', b'"k": -0'), 422, "k"),
    "keys twice": (body_of().replace(b'"k": 5', b'"k": 5, "k": 0'), 422, "k"),
    "invalid UTF-8": (body_of().replace(b'"nobody"', b'"\xff\xfe"'), 422, "JSON"),
    "half a character": (body_of(item_lists=[["\ud800"]]), 422, "JSON"),
    "a text of megabytes": (body_of(item_lists=[["x" * 10_000_000]]), 422, "item_lists.0.0: "),
    "a field name of megabytes": (body_of(**{"x" * 10_000_000: 1}), 422, "xxx"),
    "a dataset name of 200 characters": (body_of(dataset="x" * 200), 422, "dataset must be one of ring"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_in_one_short_line_and_little_memory(server, name):
    body, status, word = BODIES[name]
    position, pid = server
    before = peak(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # starts VmHWM again
    answer = ask(position, request_of(body))
    assert status_of(answer) == status, answer
    reason = json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert word in reason and "\n" not in reason and len(reason) < 500
    good(position)
    assert peak(pid) - before < MEMORY


def test_a_good_client_is_answered_while_bodies_are_unfinished_and_connections_silent(server):
    position, pid = server
    before = peak(pid, "VmRSS")
    with attacks.unfinished_bodies(position, 20), attacks.silent_connections(position, 100):
        good(position)
        assert status_of(ask(position, b"GET /health/live HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")) == 200
    assert peak(pid) - before < MEMORY


def test_an_answer_of_too_many_ids_is_not_begun():
    from server_wire import MAX_ANSWER, MAX_ROWS, MAX_VALUES

    from train_utils.teacher.http_client import ANSWER_IDS_A_REQUEST, IDS_A_REQUEST, ROWS_A_REQUEST, request_bounds

    # what the client sends fits what the server takes; a request holds some values beside its ids
    assert ROWS_A_REQUEST <= MAX_ROWS and ANSWER_IDS_A_REQUEST <= MAX_ANSWER
    assert IDS_A_REQUEST + 5 * ROWS_A_REQUEST < MAX_VALUES
    lengths = [1000] * 300 + [10_000] * 20 + [1] * 3000
    bounds = list(request_bounds(lengths, 10))
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]] and bounds[-1][1] == len(lengths)
    assert all(sum(lengths[slice(*pair)]) <= IDS_A_REQUEST and pair[1] - pair[0] <= ROWS_A_REQUEST for pair in bounds)
    assert list(request_bounds([3] * 4, ANSWER_IDS_A_REQUEST)) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert list(request_bounds([], 5)) == []


def test_damaged_requests_leave_the_server_able_to_answer_the_next_good_one(server):
    position, pid = server
    before = peak(pid, "VmRSS")
    valid = request_of(body_of())
    for seed in range(SEEDS):
        with socket.create_connection(position, attacks.TIMEOUT_S) as connection:
            attacks.send_until_refused(connection, iter([damaged(valid, random.Random(seed), WORDS)]))
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue
            answer = attacks.answers(connection)
            assert not answer or 200 <= status_of(answer) < 500 or status_of(answer) in (501, 505), (seed, answer)
        if seed % 10 == 0:
            good(position)
    good(position)
    assert peak(pid) - before < MEMORY


def test_a_client_of_httpx_reads_why_its_large_body_was_refused(server):
    position, _ = server
    with httpx.Client(base_url="http://{}:{}".format(*position), trust_env=False, timeout=60) as client:
        assert client.post("/inference", content=b" " * (2**25 + 1)).status_code == 413
        assert client.post("/inference", json=request_body([ALL[:3]])).status_code == 200
