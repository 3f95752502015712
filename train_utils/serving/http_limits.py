"""Limits of an HTTP server, and the middleware that applies them to bodies. Needs the standard library alone.

`http_protocol` applies the others, on the connections of uvicorn.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MIB = 2**20
RETRY_AFTER_S = 1
# Every value of a JSON text but the first one follows one of these; in a string they count too.
_BEFORE_VALUES = b",[{"


def fastapi_problem(status: int, reason: str) -> object:
    """Return an error in FastAPI's form."""
    return {"detail": reason}


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of one server process.

    Attributes:
        body_bytes: one body.
        budget_bytes: all bodies under way that are larger than `small_body_bytes`, until they are answered.
        small_body_bytes: a body up to this size is outside the budget, so that large ones never keep it out.
        json_values: values of one JSON body, counted while it arrives; None counts none.
        head_bytes: request line and headers of one request, trailers included.
        pipelined: requests that may wait for an earlier one on their connection.
        slow_s: seconds between two looks at a connection. A client that did not do its part from one look to the next
            is cut off: complete a head, send `slow_bytes` of a body, take some of its answer.
        slow_bytes: see `slow_s`.
        keep_alive_s: whole seconds that a connection may be idle between two requests.
        connections: connections; at most what the limit of open files leaves (`OTHER_FILES` in http_protocol).
        reserved_connections: connections beyond these, which are answered on `reserved_paths` only.
        reserved_paths: paths of health checks.
        problem: (status, reason) -> JSON of a refusal, in the form of the server's other errors.
    """

    body_bytes: int = 32 * MIB
    budget_bytes: int = 128 * MIB
    small_body_bytes: int = MIB // 16
    json_values: int | None = None
    head_bytes: int = MIB // 32
    pipelined: int = 16
    slow_s: float = 5.0
    slow_bytes: int = MIB // 16
    keep_alive_s: int = 5
    connections: int = 1024
    reserved_connections: int = 16
    reserved_paths: tuple[str, ...] = ("/health",)
    problem: Callable[[int, str], object] = fastapi_problem


class Refused(Exception):
    """A request that is not taken on.

    Attributes:
        status: HTTP status.
        reason: one line for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def response(self, limits: HttpLimits) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body of the answer."""
        body = json.dumps(limits.problem(self.status, self.reason)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if self.status == 503:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
        return headers, body

    async def send(self, send: Send, limits: HttpLimits) -> None:
        """Answer an ASGI request."""
        headers, body = self.response(limits)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class BodyLimits:
    """ASGI middleware that reads a body whole, within limits, before the application gets the request.

    A refused body is answered with 413 or 503, as soon as it is too large, and the rest of it is not read.
    """

    def __init__(self, app: App, limits: HttpLimits) -> None:
        self._app = app
        self._limits = limits
        self._held = 0  # bytes of the budget that are taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self._limits)
        try:
            try:
                self._check_declared(scope)
                while body.more:
                    body.add(await receive())
                    self._charge(body)
            except Refused as refusal:
                await refusal.send(send, self._limits)
                return
            whole: list[Message] = [{"type": "http.request", "body": body.joined(), "more_body": False}]

            async def receive_again() -> Message:
                return whole.pop() if whole else await receive()

            await self._app(scope, receive_again, send)
        finally:
            self._held -= body.charged

    def _check_declared(self, scope: Scope) -> None:
        """Refuse by the length that the head declares; what is no length is left to the count of what arrives."""
        values = [value for name, value in scope["headers"] if name == b"content-length"]
        declared = int(values[0]) if values and values[0].isdigit() and len(values[0]) < 20 else 0
        if declared > self._limits.body_bytes:
            raise _too_large(self._limits)
        if declared > self._limits.small_body_bytes:
            self._check_budget(declared)

    def _charge(self, body: "_Body") -> None:
        if body.size > self._limits.small_body_bytes:
            self._check_budget(body.size - body.charged)
            self._held += body.size - body.charged
            body.charged = body.size

    def _check_budget(self, more: int) -> None:
        if self._held + more > self._limits.budget_bytes:
            raise Refused(503, f"large bodies of other requests fill {self._limits.budget_bytes} bytes; send it again")


class _Body:
    """What arrived of one body.

    Attributes:
        size: bytes.
        charged: bytes of the budget that it takes.
        more: whether more is to come.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._chunks: list[bytes] = []
        self._values = 1
        self.size = 0
        self.charged = 0
        self.more = True

    def add(self, message: Message) -> None:
        """Take a chunk; raise Refused where it is one too many, or the client left."""
        if message["type"] == "http.disconnect":
            raise Refused(400, "the client left before its request was whole")  # for the metrics: nobody reads it
        chunk: bytes = message.get("body", b"")
        self.more = message.get("more_body", False)
        self.size += len(chunk)
        if self.size > self._limits.body_bytes:
            raise _too_large(self._limits)
        most = self._limits.json_values
        if most is not None:
            self._values += len(chunk) - len(chunk.translate(None, _BEFORE_VALUES))
            if self._values > most:
                raise Refused(413, f"the body holds more than {most} JSON values; send fewer in a request")
        self._chunks.append(chunk)

    def joined(self) -> bytes:
        """Return the whole body and drop the chunks."""
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limits: HttpLimits) -> Refused:
    return Refused(413, f"the body is larger than {limits.body_bytes} bytes; send less in a request")
