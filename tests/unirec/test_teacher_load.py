"""Promises of the teacher's server under load: 64 clients, hang-ups, memory, draining, worker processes."""

import asyncio
import json
import random
import signal
from pathlib import Path

import httpx
import pytest
from server_app import build_app
from teacher_model import find_checkpoint, load_teacher
from teacher_running import ALL, HISTORIES, address, host_port, request_body, running, start, trained

CLIENTS = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def expected(folder):
    """Request bodies -> answers, computed by the application in this process, one request at a time."""
    teacher = load_teacher(find_checkpoint("ring", {}, folder / "output"), folder / "data", "cpu")

    async def answers(bodies: list[bytes]) -> list[dict]:
        app = build_app({"ring": teacher})
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://t") as one,
        ):
            return [(await one.post("/inference", content=body)).json() for body in bodies]

    return lambda bodies: asyncio.run(answers(bodies))


def message(body: bytes) -> bytes:
    return b"POST /inference HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % len(body) + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict]:
    """Status and body of the next response on the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


def mixed_bodies(count: int, seed: int) -> list[bytes]:
    """Good requests of 1 to 40 rows, various k, some urgent, some with scores."""
    rng = random.Random(seed)
    return [
        json.dumps(
            request_body(
                [rng.choice([*HISTORIES, []]) for _ in range(rng.choice([1, 1, 1, 7, 40]))],
                rng.choice([1, 5, 30]),
                immediately=rng.random() < 0.2,
                return_scores=rng.random() < 0.3,
            )
        ).encode()
        for _ in range(count)
    ]


async def client(position: tuple[str, int], number: int, bodies: list[bytes]) -> list[tuple[int, dict]]:
    """Ask one after the other on one connection; nothing may follow the last answer."""
    reader, writer = await asyncio.open_connection(*position)
    actual = []
    for body in bodies:
        if number % 4 == 1:
            writer.write(message(b'{"users": ["u"], "item_lists": [["gone"]], "k": 5}'))
            status, problem = await read_answer(reader)
            assert status == 422 and "'gone'" in problem["detail"]
        if number % 4 == 2:
            _, leaving = await asyncio.open_connection(*position)
            leaving.write(message(body)[: len(body) // 2] if number % 8 == 2 else message(body))
            leaving.close()  # half way through the request, or before the answer
        writer.write(message(body))
        actual.append(await read_answer(reader))
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    return actual


async def all_clients(position: tuple[str, int], bodies: list[list[bytes]]) -> list[list[tuple[int, dict]]]:
    async with asyncio.timeout(120):
        return await asyncio.gather(*(client(position, number, own) for number, own in enumerate(bodies)))


def test_64_clients_with_good_bad_and_broken_requests_each_get_their_own_answers_once(folder, expected):
    bodies = [mixed_bodies(4, number) for number in range(CLIENTS)]
    with running([folder]) as url:
        actual = asyncio.run(all_clients(host_port(url), bodies))
        page = httpx.get(url + "/metrics", trust_env=False).text
    answers = iter(expected([body for own in bodies for body in own]))
    for own in actual:
        for status, answer in own:
            assert (status, answer) == (200, next(answers))
    assert 'teacher_requests_total{path="/inference",status="422"} 64.0' in page


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_memory_stays_flat_over_thousands_of_requests(folder):
    process = start([folder])
    position = host_port(address(process))
    bodies = [mixed_bodies(16, number) for number in range(CLIENTS)]
    asyncio.run(all_clients(position, bodies))
    before = resident_bytes(process.pid)
    for _ in range(4):
        asyncio.run(all_clients(position, bodies))
    assert resident_bytes(process.pid) - before < 16 * 2**20
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def counted(page: str, name: str) -> float:
    """Sum of a metric over its labels."""
    lines = (line for line in page.splitlines() if line.startswith((name + " ", name + "{")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_answers_what_is_in_flight_and_ends_with_status_0(folder, workers):
    asking = 4
    body = json.dumps(request_body([ALL[:9]] * 2048, 20)).encode()
    process = start([folder], 0, "ring", "--workers", str(workers))
    url = address(process)

    async def scene():
        async def ask():
            reader, writer = await asyncio.open_connection(*host_port(url), limit=2**24)
            writer.write(message(body))
            status, answer = await read_answer(reader)
            return status, len(answer["inference"])

        tasks = [asyncio.create_task(ask()) for _ in range(asking)]
        # A kept connection may be closed by a busy server at the moment at which it is used again.
        no_reuse = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=no_reuse) as watcher:
            received = 0.0
            while received < asking:  # until the server has them all: waiting, in work or answered
                page = (await watcher.get("/metrics")).text
                done = counted(page, 'teacher_request_seconds_count{path="/inference"}')
                received = counted(page, "teacher_requests_in_progress") - 1 + done
        process.send_signal(signal.SIGTERM)
        return await asyncio.gather(*tasks)

    assert asyncio.run(scene()) == [(200, 2048)] * asking
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors == ""


def test_the_metrics_page_covers_all_workers(folder):
    rounds = 20
    with running([folder], "ring", "--workers", "2") as url:
        for _ in range(rounds):  # each on a connection of its own, so that either worker may take it
            answer = httpx.post(url + "/inference", json=request_body([ALL[:3]]), trust_env=False, timeout=60)
            assert answer.status_code == 200
        pages = [httpx.get(url + "/metrics", trust_env=False, timeout=60).text for _ in range(4)]
    for page in pages:
        assert f'teacher_rows_total{{dataset="ring"}} {rounds}.0' in page
        assert "teacher_queued_rows 0.0" in page
