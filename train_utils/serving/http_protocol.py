"""uvicorn's HTTP/1.1 protocol with limits on heads, slow clients and connections.

The parser that uvicorn uses (llhttp) bounds neither the number nor the length of headers, and uvicorn closes idle
connections only after an answer.
"""

import asyncio
import resource
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from train_utils.serving.http_limits import HttpLimits, Receive, Refused, Scope, Send

OTHER_FILES = 64  # listener, event loop, logs, metrics of worker processes, and files that a request opens


def limited_uvicorn(limits: HttpLimits) -> dict[str, Any]:
    """Return the settings of `uvicorn.Config` that apply `limits`; picklable, for worker processes.

    The application must have the middleware `BodyLimits` as well.
    """
    return {
        "http": LimitedHttp(limits),
        "ws": "none",
        "timeout_keep_alive": limits.keep_alive_s,
        "log_level": "error",  # uvicorn warns of every malformed request, and so lets a client fill the log
        "access_log": False,
    }


class LimitedHttp:
    """Connections of one server: a factory for uvicorn.

    Attributes:
        limits: what holds for each of them.
        most: connections at a time, without the reserve.
        newcomers: connections that have not sent a whole request, the longest open first.
        idle: connections whose requests are answered, the longest idle first.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            files = limits.connections + limits.reserved_connections + OTHER_FILES
        self.most = max(1, min(limits.connections, files - OTHER_FILES - limits.reserved_connections))
        self.newcomers: dict[LimitedProtocol, None] = {}
        self.idle: dict[LimitedProtocol, None] = {}

    def __call__(self, **uvicorn_arguments: Any) -> "LimitedProtocol":
        """Return the protocol of a new connection."""
        return LimitedProtocol(self, **uvicorn_arguments)

    def leave(self, connection: "LimitedProtocol") -> None:
        """Take a connection out of those that may be dropped."""
        self.newcomers.pop(connection, None)
        self.idle.pop(connection, None)

    def droppable(self) -> "LimitedProtocol | None":
        """Return the connection that makes room for a new one."""
        return next(iter(self.newcomers), None) or next(iter(self.idle), None)


class Stage(Enum):
    """What a connection waits for."""

    SILENT = auto()  # the first byte
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()  # the application, or the end of an earlier request
    IDLE = auto()  # the next request
    LINGER = auto()  # the client, to read a refusal before its request was whole


@dataclass(frozen=True)
class Progress:
    """How far a connection is.

    Attributes:
        stage: what it waits for.
        requests: requests begun.
        received: bytes received.
        unread: bytes of answers that the client did not take yet.
    """

    stage: Stage
    requests: int
    received: int
    unread: int


def is_slow(before: Progress, now: Progress, least_bytes: int) -> bool:
    """Return whether a client did too little between two looks at it."""
    if now.unread:
        return 0 < before.unread <= now.unread
    if (now.stage, now.requests) != (before.stage, before.requests):
        return False
    if now.stage is Stage.BODY:
        return now.received - before.received < least_bytes
    return now.stage is not Stage.ANSWER


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, server: LimitedHttp, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._server = server
        self._limits = server.limits
        self._refusal: Refused | None = None
        self._stage = Stage.SILENT
        self._requests = 0
        self._received = 0
        self._head_bytes = 0  # request line, headers and trailers of the current request
        self._unparsed = 0  # bytes since the parser last reported a part of a request
        self._timer: asyncio.TimerHandle | None = None
        self._before: Progress | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        server, most = self._server, self._server.most
        if len(self.connections) > most and (dropped := server.droppable()):
            dropped.abort()
        if len(self.connections) > most + self._limits.reserved_connections:
            self.abort()
            return
        if len(self.connections) > most:
            self.app = self._busy
        server.newcomers[self] = None
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._server.leave(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection, whatever is unsent."""
        self._server.leave(self)
        self.connections.discard(self)  # its place is free now, not at the next turn of the event loop
        self.transport.abort()

    async def _busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer health checks only, while the server is full: the application of a reserved connection."""
        if len(self.connections) <= self._server.most or scope["path"] in self._limits.reserved_paths:
            await self.config.loaded_app(scope, receive, send)
        else:
            await Refused(503, f"{self._server.most} connections are open, the server takes no more").send(
                send, self._limits
            )

    # Slow clients

    def _look(self) -> None:
        """Cut off a slow client; look again later."""
        unread = self.transport.get_write_buffer_size()
        now = Progress(self._waits_for(), self._requests, self._received, unread)
        if self._before and is_slow(self._before, now, self._limits.slow_bytes):
            self._cut_off(now)
        self._before = now
        self._timer = self.loop.call_later(self._limits.slow_s, self._look)

    def _waits_for(self) -> Stage:
        if self._stage is not Stage.LINGER and self.flow.read_paused:
            return Stage.ANSWER
        if self._stage is Stage.ANSWER and self.cycle.response_complete:
            return Stage.IDLE
        return self._stage

    def _cut_off(self, now: Progress) -> None:
        if self.transport.is_closing() or now.unread or now.stage not in (Stage.HEAD, Stage.BODY):
            self.abort()
            return
        self._refuse(Refused(408, f"the request did not arrive within {self._limits.slow_s:g} s; send it faster"))

    def _refuse(self, refusal: Refused) -> None:
        """Answer what the application did not get, and close; where an earlier answer is due, only close."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.transport.is_closing():
            return
        if answering and (self._stage is Stage.HEAD or self.cycle.response_started):
            self.abort()
            return
        if answering:
            self.cycle.disconnected = True  # the application gets no more of the request, and its answer goes nowhere
            self.cycle.message_event.set()
        own, body = refusal.response(self._limits)
        headers = [*self.server_state.default_headers, *own, (b"connection", b"close")]
        lines = [STATUS_LINE[refusal.status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body]
        self.transport.write(b"".join(lines))
        self.transport.close()

    # Heads

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > self._limits.head_bytes and not self.transport.is_closing():
            self._refuse(_head_too_large(self._limits))

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or Refused(400, msg))

    def on_message_begin(self) -> None:
        self._stage = Stage.HEAD
        self._requests += 1
        self._head_bytes = self._unparsed = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def _count_head(self, more: int) -> None:
        self._unparsed = 0
        self._head_bytes += more + 4  # ": " and the end of the line
        if self._head_bytes > self._limits.head_bytes:
            self._refusal = _head_too_large(self._limits)
            raise self._refusal

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            raise Refused(429, f"more than {self._limits.pipelined} requests wait on the connection")
        super().on_headers_complete()
        self._stage = Stage.BODY

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._stage = Stage.ANSWER
        self._server.leave(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self.cycle.more_body:
            # Closed now, the connection would be reset by what is still on its way, and the answer lost with it.
            self.flow.pause_reading()
            self._stage, self._before = Stage.LINGER, None
        else:
            self._server.idle[self] = None


def _head_too_large(limits: HttpLimits) -> Refused:
    return Refused(431, f"the head of the request is larger than {limits.head_bytes} bytes; send less")
