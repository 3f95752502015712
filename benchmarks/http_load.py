"""Load on an HTTP server from its own process: python benchmarks/http_load.py < JOB, one JSON line out.

JOB is a `Job` as JSON. Every connection stays open and sends its next request when the previous answer has arrived. It
uses raw HTTP/1.1 on asyncio's protocols: a client library would cost more than the server that it measures.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from train_utils.command import run_cli


@dataclass(frozen=True)
class Job:
    """Load: POST requests over open connections.

    Attributes:
        host: host of the server.
        port: port of the server.
        path: path of the requests.
        bodies: bodies of the requests, sent in turn.
        connections: number of connections.
        seconds: measured seconds.
        warm_up_s: seconds before the measurement.
    """

    host: str
    port: int
    path: str
    bodies: list[str]
    connections: int
    seconds: float
    warm_up_s: float = 1.0


def request_bytes(job: Job, body: str) -> bytes:
    content = body.encode()
    head = (
        f"POST {job.path} HTTP/1.1\r\nHost: {job.host}:{job.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def whole_answer(received: bytes) -> tuple[int, bytes] | None:
    """Return (status, body) of an answer; None while it is incomplete.

    Raises:
        ValueError: the answer has no Content-Length.
    """
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    status, *fields = head.split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(b":") for field in fields)}
    if b"content-length" not in headers:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    size = int(headers[b"content-length"])
    return (int(status.split()[1]), body) if len(body) >= size else None


class Load:
    """State that the connections share: requests, clock, and the answer to the first request of each body.

    Attributes:
        messages: the requests.
        opens: start of the measurement, by `time.perf_counter`.
        closes: its end.
        latencies: seconds of each measured request.
        answers: number of a body -> its first answer.
    """

    def __init__(self, job: Job) -> None:
        self.messages = [request_bytes(job, body) for body in job.bodies]
        self.opens = time.perf_counter() + job.warm_up_s
        self.closes = self.opens + job.seconds
        self.latencies: list[float] = []
        self.answers: dict[int, str] = {}
        self._turn = count()

    def next_body(self) -> int | None:
        """Return the number of the body to send; None when time is over."""
        return None if time.perf_counter() >= self.closes else next(self._turn) % len(self.messages)

    def note(self, body: int, sent: float, status: int, answer: bytes) -> None:
        """Count one answer.

        Raises:
            ValueError: its status is not 200.
        """
        if status != 200:
            raise ValueError(f"the server answered {status}: {answer[:200].decode(errors='replace')}")
        now = time.perf_counter()
        if self.opens <= now < self.closes:
            self.latencies.append(now - sent)
        if body not in self.answers:
            self.answers[body] = answer.decode()


class Connection(asyncio.Protocol):
    """One client.

    Attributes:
        finished: done when the connection ends; holds the error that ended it, if any.
        received: bytes of the current answer.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.body = self.load.next_body()
        if self.body is None:
            self.finished.set_result(None)
            self.transport.close()
            return
        self.sent = time.perf_counter()
        self.transport.write(self.load.messages[self.body])

    def data_received(self, data: bytes) -> None:
        self.received += data
        try:
            answer = whole_answer(self.received)
            if answer is None:
                return
            self.load.note(self.body, self.sent, *answer)
        except ValueError as error:
            self.finished.set_exception(error)
            self.transport.close()
            return
        self.received = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(ValueError(f"the server closed a connection: {error or 'no reason'}"))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; NaN for no values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


async def put_load(job: Job) -> dict[str, Any]:
    """Run a load and return its figures.

    Returns:
        requests_per_s, p50_ms and p99_ms over the measured seconds; client_cpu, the client's share of a core; and
        answers, which maps the number of a body, as text, to the text of its first answer.

    Raises:
        ValueError: an answer is not 200, or a connection breaks.
        OSError: no server listens.
    """
    load = Load(job)
    loop = asyncio.get_running_loop()
    begun, busy = time.perf_counter(), time.process_time()
    made = [await loop.create_connection(lambda: Connection(load), job.host, job.port) for _ in range(job.connections)]
    await asyncio.gather(*(connection.finished for _, connection in made))
    return {
        "requests_per_s": len(load.latencies) / job.seconds,
        "p50_ms": 1000 * percentile(load.latencies, 0.5),
        "p99_ms": 1000 * percentile(load.latencies, 0.99),
        "client_cpu": (time.process_time() - busy) / (time.perf_counter() - begun),
        "answers": {str(body): answer for body, answer in load.answers.items()},
    }


def main() -> None:
    print(json.dumps(asyncio.run(put_load(Job(**json.load(sys.stdin))))))


if __name__ == "__main__":
    run_cli(main)
