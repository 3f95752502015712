"""Socket that a server listens on, and its address for clients."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens; ValueError when the address is not to be had."""
    listener = reserve(host, port)
    listen(listener, host, port)
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """Return a bound socket, which refuses clients until `listen`; ValueError when the address is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it an answer waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _closed_where_taken(listener, host, port):
        listener.bind((host, port))
    listener.set_inheritable(True)
    return listener


def listen(listener: socket.socket, host: str, port: int) -> None:
    """Accept clients; ValueError when another program listens by now. `host` and `port` are for its text."""
    with _closed_where_taken(listener, host, port):
        listener.listen(2048)  # clients that come while uvicorn starts wait instead of being refused


@contextmanager
def _closed_where_taken(listener: socket.socket, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"cannot listen on {in_brackets(host)}:{port}: {reason}; choose another host or port"
        ) from error


def address_of(host: str, port: int) -> str:
    """Return the address of a server for clients: an IPv6 host in brackets, any interface as the loopback one."""
    client = host or "127.0.0.1"
    for family, loopback in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with suppress(OSError):
            if not any(socket.inet_pton(family, "0.0.0.0" if client == "0" else client)):
                client = loopback
    return f"http://{in_brackets(client)}:{port}"


def in_brackets(host: str) -> str:
    """Return a host as it is written in an address: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
