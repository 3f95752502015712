"""Attacks on an HTTP server over raw sockets; used by the tests and by measure_attacks.py. One call is one round."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

Address = tuple[str, int]
MB = 1_000_000
TIMEOUT_S = 60.0  # for the answer to one request; a server that is slower than this hangs


def post(path: str, length: int, more: bytes = b"") -> bytes:
    """Return the head of a POST."""
    return b"POST %s HTTP/1.1\r\nhost: t\r\n%scontent-length: %d\r\n\r\n" % (path.encode(), more, length)


def chunked(path: str) -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode()


@contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, TIMEOUT_S) as connection:
        yield connection


def send_until_refused(connection: socket.socket, pieces: Iterator[bytes]) -> int:
    """Send pieces until the server answers or closes, or they end; return the bytes that the system took."""
    sent = 0
    with suppress(ConnectionError):
        for piece in pieces:
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(piece)
            sent += len(piece)
    return sent


def answers(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    received = b""
    with suppress(ConnectionError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def ask(address: Address, request: bytes) -> bytes:
    """Return all that a server answers to raw bytes, until it closes; asked to close by the request or by a fault."""
    with connected(address) as connection:
        send_until_refused(connection, iter([request]))
        return answers(connection)


def status_of(answer: bytes) -> int:
    """Return the status of the first answer; 0 without one."""
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def wrong_ids(address: Address) -> int:
    """Three million ids of a wrong type, in rows of 10,000; the status."""
    row = b"[" + b",".join([b"null"] * 10_000) + b"]"
    lists = b",".join([row] * 300)
    users = json.dumps(["u"] * 300).encode()
    body = b'{"users":%s,"item_lists":[%s],"k":5}' % (users, lists)
    with connected(address) as connection:
        send_until_refused(connection, iter([post("/inference", len(body), b"connection: close\r\n"), body]))
        return status_of(answers(connection))


def unfinished_bodies(address: Address, count: int = 40, size: int = 31 * MB) -> ExitStack:
    """Bodies that lack their last byte, as far as the server reads them; open until the stack is closed."""
    held = ExitStack()
    left: dict[socket.socket, int] = {}
    for _ in range(count):
        connection = held.enter_context(connected(address))
        connection.sendall(post("/inference", size))
        connection.setblocking(False)
        left[connection] = size - 1
    piece = b" " * MB
    while writable := select.select([], list(left), [], 0.2)[1]:
        for connection in writable:
            try:
                left[connection] -= connection.send(piece[: left[connection]])
            except ConnectionError:
                left[connection] = 0
            if not left[connection]:
                del left[connection]
    return held


def endless_head(address: Address, size: int = 300 * MB) -> tuple[int, int]:
    """Headers without end; returns the bytes that were taken and the status."""
    header = b"x-header: " + b"y" * 1000 + b"\r\n"
    with connected(address) as connection:
        begin = b"GET /health/live HTTP/1.1\r\nhost: t\r\n"
        taken = send_until_refused(connection, (piece for piece in [begin, *[header * 64] * (size // 64_000)]))
        return taken, status_of(answers(connection))


def silent_connections(address: Address, count: int = 400) -> ExitStack:
    """Connections that send nothing; they stay open until the stack is closed."""
    held = ExitStack()
    for _ in range(count):
        with suppress(OSError):
            held.enter_context(connected(address))
    return held


def trickles(address: Address, count: int = 20) -> list[tuple[socket.socket, bytes]]:
    """Connections with half a request, and the byte that each repeats: in the head, in a body, in a chunked body."""
    begun = [
        (b"GET /health/live HTTP/1.1\r\nhost: t\r\nx: ", b"y"),
        (post("/inference", 100_000) + b"[", b" "),
        (chunked("/inference"), b"1\r\n \r\n"),
    ]
    opened = []
    for number in range(count):
        request, drop = begun[number % len(begun)]
        connection = socket.create_connection(address, TIMEOUT_S)
        connection.sendall(request)
        opened.append((connection, drop))
    return opened


def drip(opened: list[tuple[socket.socket, bytes]]) -> list[tuple[socket.socket, bytes]]:
    """Send one more drop on each connection; return those that the server has not closed."""
    left = []
    for connection, drop in opened:
        try:
            connection.sendall(drop)
            left.append((connection, drop))
        except ConnectionError:
            connection.close()
    return left


Attack = Callable[[Address], object]
