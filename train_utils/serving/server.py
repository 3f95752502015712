"""The server process: a socket, uvicorn with limits, and an orderly end."""

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from train_utils.serving.http_app import SERVER_LIMITS
from train_utils.serving.http_protocol import limited_uvicorn
from train_utils.serving.listener import address_of, listen

DRAIN_S = 60


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which ends its answers on SIGTERM, SIGINT or SIGHUP, and breaks them off on a second SIGINT."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals from now on; uvicorn would raise them again, so that the process ends by one."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as of nohup
                signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end, or end at once where the user interrupts a second time."""
        if sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
            for name in ("uvicorn.error", "asyncio"):  # a traceback of every answer that is broken off
                logging.getLogger(name).disabled = True
        self.should_exit = True


def run_server(app: FastAPI, listener: socket.socket, host: str, port: int) -> None:
    """Serve an application until SIGTERM, SIGINT or SIGHUP; answers that were begun are finished, within `DRAIN_S`.

    Args:
        app: the application.
        listener: a socket that is bound; see `reserve`.
        host: the host that it was bound to.
        port: the port that was asked for.

    Raises:
        ValueError: another program listens on the port by now.
        KeyboardInterrupt: a second SIGINT broke answers off.
    """
    listen(listener, host, port)
    handler = logging.StreamHandler(sys.stderr)
    requests = logging.getLogger("reclm.requests")
    requests.addHandler(handler)
    requests.setLevel(logging.INFO)
    requests.propagate = False
    settings = limited_uvicorn(SERVER_LIMITS) | {"timeout_graceful_shutdown": DRAIN_S, "proxy_headers": False}
    server = DrainingServer(uvicorn.Config(app, **settings))
    print(f"listening at {address_of(host, listener.getsockname()[1])}", flush=True)
    server.run(sockets=[listener])
    if server.force_exit:
        raise KeyboardInterrupt
