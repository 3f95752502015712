"""A server that gets a signal to end finishes its answers; who interrupts twice gets one line."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from train_utils.command import run_cli
from train_utils.serving.listener import bind, reserve
from train_utils.serving.server import run_server

FORK = multiprocessing.get_context("fork")
# What a terminal leaves to a program; a suite in the background ignores some, which its processes would inherit.
AS_IN_A_TERMINAL = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


def app_that_waits(go_on) -> FastAPI:
    """An application whose one answer ends when an event is set."""
    app = FastAPI()

    async def text():
        yield "begun "
        while not go_on.is_set():
            await anyio.sleep(0.01)  # no thread waits, which would keep the process from ending
        yield "ended"

    app.add_api_route("/", lambda: StreamingResponse(text()))
    return app


@contextmanager
def serving(errors: Path, ignored: tuple[int, ...] = ()) -> Iterator[tuple]:
    """Serve in a process of its own, and yield it, its address, and the event that ends its answer."""
    listener, go_on = reserve("127.0.0.1", 0), FORK.Event()
    port = listener.getsockname()[1]

    def serve() -> None:
        for number, handler in AS_IN_A_TERMINAL.items():
            signal.signal(number, signal.SIG_IGN if number in ignored else handler)
        sys.stderr = errors.open("w", buffering=1)
        run_cli(lambda: run_server(app_that_waits(go_on), listener, "127.0.0.1", port))

    process = FORK.Process(target=serve)
    process.start()
    listener.close()
    try:
        yield process, ("127.0.0.1", port), go_on
    finally:
        go_on.set()
        process.kill()
        process.join()


def accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionError:
        return False
    return True


@contextmanager
def begun(address: tuple[str, int]) -> Iterator[Iterator[str]]:
    """Yield the texts of an answer that has begun."""
    while not accepts(address):
        pass
    with httpx.stream("GET", f"http://{address[0]}:{address[1]}/", trust_env=False, timeout=60) as answer:
        texts = answer.iter_text()
        assert next(texts) == "begun "
        yield texts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_was_begun_is_finished_and_nothing_new_is_taken(tmp_path, number):
    with serving(tmp_path / "errors") as (process, address, go_on), begun(address) as texts:
        os.kill(process.pid, number)
        while accepts(address):
            pass
        go_on.set()
        assert "".join(texts) == "ended"
        process.join()
        assert process.exitcode == 0


def test_a_second_interrupt_breaks_answers_off_in_one_line(tmp_path):
    with serving(tmp_path / "errors") as (process, address, _), begun(address) as texts:
        os.kill(process.pid, signal.SIGINT)
        while accepts(address):
            pass
        os.kill(process.pid, signal.SIGINT)
        with pytest.raises(httpx.RemoteProtocolError):
            "".join(texts)
        process.join()
        assert process.exitcode == 130
    assert "Traceback" not in (tmp_path / "errors").read_text()
    assert (tmp_path / "errors").read_text().splitlines()[-1] == "interrupted"


def test_a_server_under_nohup_outlives_its_terminal(tmp_path):
    with serving(tmp_path / "errors", (signal.SIGHUP,)) as (process, address, go_on), begun(address) as texts:
        os.kill(process.pid, signal.SIGHUP)
        go_on.set()
        assert "".join(texts) == "ended"
        with begun(address):
            pass


def test_an_address_that_is_not_to_be_had_is_refused_before_anything_listens():
    taken = bind("127.0.0.1", 0)
    for host, port in (("127.0.0.1", taken.getsockname()[1]), ("256.1.1.1", 0), ("127.0.0.1", 70_000)):
        with pytest.raises(ValueError, match=f"cannot listen on {host}:{port}: .*choose another host or port"):
            reserve(host, port)
    with reserve("127.0.0.1", 0) as reserved:
        assert not accepts(reserved.getsockname())
    taken.close()
