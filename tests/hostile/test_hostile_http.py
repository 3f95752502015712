"""A server with `HttpLimits` under attack: a real process with 256 open files. A good client is answered throughout."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import http_attacks as attacks
import pytest
from http_attacks import Address, ask, chunked, connected, post, send_until_refused, status_of

from train_utils.serving.http_limits import BodyLimits, HttpLimits
from train_utils.serving.http_protocol import Progress, Stage, is_slow

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory and files are read from /proc")

HERE = Path(__file__).resolve().parent
FILES = 256
MEMORY = 200 * 2**20  # growth of the process; the budget of bodies is 128 MiB
SLOW_S = 0.5
ROUNDS = 100_000  # of requests, until which the server has cut off whom it must
HEALTH = b"GET /health HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True)
class Server:
    address: Address
    pid: int

    def good(self) -> None:
        """Answer a good client on a new connection."""
        body = b"x" * 100
        answer = ask(self.address, post("/echo", len(body), b"connection: close\r\n") + body)
        assert status_of(answer) == 200 and answer.endswith(b'{"length":100}'), answer

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self, field: str) -> int:
        """Return resident bytes: VmRSS now, VmHWM the most since `forget_peak`."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    @contextmanager
    def memory_stays_low(self, growth: int = MEMORY) -> Iterator[None]:
        before = self.memory("VmRSS")
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # starts VmHWM again
        yield
        assert self.memory("VmHWM") - before < growth

    def until(self, over) -> None:
        """Be a good client until something is over."""
        assert any(over() or self.good() for _ in range(ROUNDS))


@contextmanager
def serving(**limits) -> Iterator[Server]:
    command = [sys.executable, str(HERE / "limited_server.py"), json.dumps(limits)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
    )  # fmt: skip
    try:
        yield Server(("127.0.0.1", int(process.stdout.readline())), process.pid)
        assert process.poll() is None
    finally:
        process.kill()
        _, errors = process.communicate()
    assert errors == ""


@pytest.fixture(scope="module")
def server():
    with serving(slow_s=SLOW_S) as server:
        yield server


def test_forty_unfinished_bodies_share_a_budget_and_end(server):
    with server.memory_stays_low(), attacks.unfinished_bodies(server.address):
        server.good()
        server.until(lambda: server.files() < FILES // 8)


def test_endless_headers_are_refused(server):
    with server.memory_stays_low(32 * 2**20):
        taken, status = attacks.endless_head(server.address)
        server.good()
    assert taken < 50 * attacks.MB and status in (431, 0)  # 0: the reset overtook the answer


def test_more_silent_connections_than_files_keep_nobody_out_and_end(server):
    with attacks.silent_connections(server.address, 400):
        assert server.files() < FILES
        server.good()
        server.until(lambda: server.files() < FILES // 8)


def test_requests_that_trickle_in_end(server):
    opened = attacks.trickles(server.address)

    def all_closed() -> bool:
        opened[:] = attacks.drip(opened)
        return not opened

    server.until(all_closed)


def test_a_request_that_stops_half_way_is_told_why(server):
    for part in (b"GET /health HTTP/1.1\r\nx: ", post("/echo", 5) + b"x"):
        assert status_of(ask(server.address, part)) == 408


def test_an_answer_that_nobody_takes_is_dropped(server):
    with connected(server.address) as one, connected(server.address) as other:
        for connection in (one, other):
            connection.sendall(b"GET /large HTTP/1.1\r\nhost: t\r\n\r\n")
        assert one.recv(1)
        before = server.files()
        server.until(lambda: server.files() <= before - 2)
    server.good()


CLOSE = b"connection: close\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post("/echo", 5, b"content-length: 4\r\n") + b"hello", 400),
        (post("/echo", -5) + b"hello", 400),
        (post("/echo", 2**64) + b"hello", 400),
        (post("/echo", 2**63) + b"hello", 413),
        (post("/echo", 2**25 + 1), 413),
        (post("/echo", 5, b"transfer-encoding: chunked\r\n") + b"hello", 400),
        (b"POST /echo HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked, gzip\r\n\r\nhello", 400),
        (b"POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length : 5\r\n\r\nhello", 400),
        (b"GET /health HTTP/1.1\r\nhost: t\r\n folded: x\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 400),
        (b"CONNECT t:443 HTTP/1.1\r\nhost: t\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nx: a\0b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (chunked("/echo") + b"ffffffffffffffffff\r\n", 400),
        (chunked("/echo") + b"-5\r\nhello", 400),
        (chunked("/echo") + b"5;" + b"e" * 1_000_000, 431),
        (chunked("/echo") + b"0\r\n" + b"t: x\r\n" * 20_000, 431),
        (b"\r\n" * 50_000, 431),
        (b"GET /" + b"u" * 100_000, 431),
        (b"GET /health HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 200),
        (chunked("/echo").replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n") + b"3;a=b\r\nabc\r\n0\r\nt: x\r\n\r\n", 200),
    ],
)  # fmt: skip
def test_odd_requests_get_one_status(server, request_bytes, status):
    answer = ask(server.address, request_bytes)
    assert status_of(answer) in (status, 0 if len(request_bytes) > 65536 else status), answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    server.good()


def test_a_chunked_body_without_end_is_refused(server):
    with server.memory_stays_low(), connected(server.address) as connection:
        connection.settimeout(5 * SLOW_S)
        chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        try:
            taken = send_until_refused(connection, iter([chunked("/echo"), *[chunk] * 300]))
        except TimeoutError:
            taken = 0  # the server reads no more
        server.good()
    assert taken < 300 * 2**20


def test_pipelined_requests_are_answered_in_order_and_a_flood_of_them_ends(server):
    requests = b"".join(post("/echo", n) + b"x" * n for n in range(10)) + HEALTH
    answer = ask(server.address, requests)
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert bodies == [b'{"length":%d}' % n for n in range(10)] + [b'"ok"']
    with server.memory_stays_low(32 * 2**20):
        ask(server.address, HEALTH.replace(CLOSE, b"") * 10_000)
        server.good()


def test_a_server_full_of_requests_still_answers_health_checks():
    with (
        serving(connections=4, reserved_connections=2) as server,
        attacks.silent_connections(server.address, 4) as held,
    ):
        waiting = [held.enter_context(connected(server.address)) for _ in range(4)]
        for connection in waiting:
            connection.sendall(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        refused = b""

        def full() -> bool:
            nonlocal refused
            refused = ask(server.address, post("/echo", 0, CLOSE))
            return status_of(refused) == 503

        assert any(full() for _ in range(ROUNDS))
        assert b"retry-after" in refused and b"4 connections are open" in refused
        assert status_of(ask(server.address, HEALTH)) == 200


async def through(middleware: BodyLimits, *chunks: bytes) -> int:
    """Return the status that a body of these chunks gets; 503 must say when to come again."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await middleware({"type": "http", "headers": []}, receive, send)
    start = sent[0]
    assert (b"retry-after" in dict(start["headers"])) == (start["status"] == 503)
    return start["status"]


async def echo(scope, receive, send) -> None:
    assert not (await receive())["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_values_of_json_are_counted_before_the_body_is_whole():
    middleware = BodyLimits(echo, HttpLimits(json_values=100))
    assert asyncio.run(through(middleware, b"[" + b"1," * 40, b"1," * 40 + b"[]]")) == 200
    endless = iter(lambda: b"1," * 60, None)
    assert asyncio.run(through(middleware, *(next(endless) for _ in range(50)))) == 413
    assert asyncio.run(through(middleware, b"[" * 101)) == 413


def test_the_budget_is_given_back_however_a_request_ends():
    middleware = BodyLimits(echo, HttpLimits(body_bytes=150, budget_bytes=100, small_body_bytes=10))
    for _ in range(3):
        assert asyncio.run(through(middleware, b"x" * 60)) == 200
        assert asyncio.run(through(middleware, b"x" * 60, b"x" * 60)) == 503
        assert asyncio.run(through(middleware, b"x" * 99, b"x" * 60)) == 413


@pytest.mark.parametrize(
    ("before", "now", "slow"),
    [
        (Progress(Stage.SILENT, 0, 0, 0), Progress(Stage.SILENT, 0, 0, 0), True),
        (Progress(Stage.SILENT, 0, 0, 0), Progress(Stage.HEAD, 1, 9, 0), False),
        (Progress(Stage.HEAD, 1, 9, 0), Progress(Stage.HEAD, 1, 10, 0), True),
        (Progress(Stage.HEAD, 1, 9, 0), Progress(Stage.HEAD, 2, 99, 0), False),
        (Progress(Stage.BODY, 1, 0, 0), Progress(Stage.BODY, 1, 99, 0), True),
        (Progress(Stage.BODY, 1, 0, 0), Progress(Stage.BODY, 1, 100, 0), False),
        (Progress(Stage.ANSWER, 1, 9, 0), Progress(Stage.ANSWER, 1, 9, 0), False),
        (Progress(Stage.IDLE, 1, 9, 5), Progress(Stage.IDLE, 1, 9, 5), True),
        (Progress(Stage.IDLE, 1, 9, 5), Progress(Stage.IDLE, 1, 9, 4), False),
        (Progress(Stage.IDLE, 1, 9, 0), Progress(Stage.IDLE, 1, 9, 0), True),
        (Progress(Stage.ANSWER, 1, 9, 5), Progress(Stage.ANSWER, 1, 9, 4), False),
    ],
)
def test_a_client_is_slow_that_did_not_do_its_part_between_two_looks(before, now, slow):
    assert is_slow(before, now, 100) == slow
