"""Damaged requests to the HTTP servers: bodies to the teacher's application, raw bytes to a connection with limits."""

import asyncio
import json
import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import http_attacks as attacks
import httpx
import limited_server
import numpy as np
from damage import Reader
from fastapi import FastAPI
from server_app import ServerLimits, build_app

from train_utils.serving.http_limits import HttpLimits
from train_utils.teacher.ranking import Catalog

ITEMS = [f"m{number}" for number in range(1, 31)]
BODY = json.dumps(
    {
        "users": ["a", 2], "item_lists": [ITEMS[:3], [*ITEMS[4:6], "m7"]], "item_lengths": [3, 3], "k": 5,
        "candidate_item_lists": [ITEMS[5:9], ITEMS], "target_category": ["+even", None], "dataset": "ring",
        "immediately": True, "return_scores": False,
    }
).encode()  # fmt: skip
WORDS = (b"null", b"NaN", b"1e999", b"-0", b'"\\ud800"', b"[[[[[[[[", b"{}", b'"k":', b'"k" : 7,', b"[]", b'"+even"')
HTTP_WORDS = (
    b"\r\n\r\n", b"\r\n", b"\n", b"Content-Length: 5\r\n", b"content-length: 99999999999\r\n",
    b"Expect: 100-continue\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1", b"HTTP/1.0", b"5;x=y\r\n",
    b"GET /health HTTP/1.1\r\n\r\n", b"0\r\n\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"CONNECT ", b"HEAD ", b"*", b"\0",
)  # fmt: skip
GOOD = b"GET /health HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"


@cache
def application() -> FastAPI:
    """Return the application of a teacher whose queue is never served: 504 is a request that was taken on."""
    catalog = Catalog.build(["[PAD]", *ITEMS], {"even": ITEMS[1::2]}, np.ones(len(ITEMS) + 1))
    return build_app({"ring": SimpleNamespace(catalog=catalog)}, ServerLimits(deadline_s=0.001))


async def post(path: str, body: bytes) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://t") as client:
        return await client.post(path, content=body)


def read_body(folder: Path) -> None:
    for path in ("/inference", "/ranking"):
        response = asyncio.run(post(path, (folder / "body.json").read_bytes()))
        reason = response.json()["detail"]
        assert response.status_code in (413, 422, 503, 504), response.status_code
        assert len(reason) < 3000 and "\n" not in reason, reason


@cache
def served() -> attacks.Address:
    """Return the address of a server in a thread of this process."""
    limits = HttpLimits(slow_s=0.05, keep_alive_s=0, body_bytes=100_000, head_bytes=4096)
    listener = limited_server.listen()
    threading.Thread(target=limited_server.serve, args=(limits, listener), daemon=True).start()
    return listener.getsockname()


def read_request(folder: Path) -> None:
    """Send raw bytes, wait for the end of the connection, then be a good client."""
    answer = attacks.ask(served(), (folder / "request").read_bytes())
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:80]
    assert b"HTTP/1.1 500" not in answer, answer[:80]
    assert attacks.ask(served(), GOOD).endswith(b'"ok"')


def write_requests(folder: Path) -> None:
    """Write several requests on one connection, with both kinds of body."""
    body = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: x\r\n\r\n"
    requests = [attacks.post("/echo", 5) + b"hello", attacks.chunked("/echo") + body, GOOD]
    (folder / "request").write_bytes(b"".join(requests))


READERS = [
    Reader("server: request body", lambda folder: (folder / "body.json").write_bytes(BODY), read_body, WORDS),
    Reader("server: raw request", write_requests, read_request, HTTP_WORDS),
]
