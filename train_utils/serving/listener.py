"""Socket that a server listens on, and its address for clients."""

import socket
from contextlib import suppress


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that listens; ValueError when the port is not to be had."""
    return listen(reserve(host, port))


def reserve(host: str, port: int) -> socket.socket:
    """Return a bound socket, of which clients are refused until it listens; ValueError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it an answer waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise _taken(listener, host, port, error) from error
    listener.set_inheritable(True)
    return listener


def listen(listener: socket.socket) -> socket.socket:
    """Let a bound socket listen and return it; ValueError where another program listens on the port by now."""
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(2048)  # clients that come while uvicorn starts wait instead of being refused
    except OSError as error:
        raise _taken(listener, host, port, error) from error
    return listener


def _taken(listener: socket.socket, host: str, port: int, error: Exception) -> ValueError:
    listener.close()
    return ValueError(f"cannot listen on {in_brackets(host)}:{port}: {error}; choose another port")


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
