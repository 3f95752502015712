"""The server process: a socket, uvicorn with limits, and an orderly end."""

import logging
import signal
import socket
import sys
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from train_utils.serving.http_app import SERVER_LIMITS
from train_utils.serving.http_protocol import limited_uvicorn
from train_utils.serving.listener import address_of, listen

DRAIN_S = 60


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens.

    Attributes:
        host: address to bind; 127.0.0.1 is this machine only.
        port: 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 7861


def run_server(app: FastAPI, address: Address, reserved: socket.socket) -> None:
    """Serve an application until SIGTERM or SIGINT; answers that were begun are finished, within `DRAIN_S`.

    Args:
        app: the application.
        address: where it is served.
        reserved: the socket that is bound to this address.

    Raises:
        ValueError: another program listens there by now.
    """
    listener = listen(reserved)
    handler = logging.StreamHandler(sys.stderr)
    requests = logging.getLogger("reclm.requests")
    requests.addHandler(handler)
    requests.setLevel(logging.INFO)
    requests.propagate = False
    settings = limited_uvicorn(SERVER_LIMITS) | {"timeout_graceful_shutdown": DRAIN_S, "proxy_headers": False}
    server = uvicorn.Server(uvicorn.Config(app, **settings))
    # uvicorn drains on a signal and then raises it again: caught here, the process ends with status 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    print(f"listening at {address_of(address.host, listener.getsockname()[1])}", flush=True)
    server.run(sockets=[listener])
