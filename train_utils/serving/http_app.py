"""The HTTP application: OpenAI's APIs, lists for machines, catalogs, and the page."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as Dependency
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.events import TextDelta
from train_utils.manifest import package_version
from train_utils.serving import http_answers, openai_wire
from train_utils.serving.access import Keys
from train_utils.serving.catalog_journal import JournalError
from train_utils.serving.catalog_routes import CatalogBodies, add_catalog_routes
from train_utils.serving.domains import StillLoading
from train_utils.serving.exchange import (
    ChatRequest,
    Finished,
    Listed,
    NotFound,
    RequestError,
    ServiceEvent,
    TeacherUnavailable,
)
from train_utils.serving.host_names import LoopbackNames, is_loopback
from train_utils.serving.http_answers import REFUSED, documented, documented_stream
from train_utils.serving.http_limits import MIB, RETRY_AFTER_S, HttpLimits
from train_utils.serving.http_misuse import PageFiles, reason_of, refusal_of
from train_utils.serving.http_observed import Metrics, Observer
from train_utils.serving.http_status import add_status_routes
from train_utils.serving.http_wire import Completions, Feedback, Recommend, Responses, Why
from train_utils.serving.listener import in_brackets
from train_utils.serving.remote_scheduler import ModelUnavailable
from train_utils.serving.scheduler import CallerLeft, DeadlineExceeded, Draining, Overloaded
from train_utils.serving.service import Service
from train_utils.serving.waiting_threads import Threads

PAGE = Path(__file__).parent / "page"
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found",
    408: "timeout",
    503: "overloaded",
}


def _problem(text: str, kind: str) -> dict[str, object]:
    """Return an error in OpenAI's form."""
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def _refusal(status: int, reason: str) -> dict[str, object]:
    return _problem(reason, _KINDS.get(status, "invalid_request_error"))


SERVER_LIMITS = HttpLimits(
    body_bytes=2 * MIB,
    json_values=50_000,
    reserved_paths=("/health/live", "/health/ready", "/metrics"),
    problem=_refusal,
)
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_STATUS: dict[type[Exception], tuple[int, str]] = {
    NotFound: (404, "not_found"),
    RequestError: (400, "invalid_request_error"),
    ConstraintError: (400, "invalid_request_error"),
    Overloaded: (503, "overloaded"),
    StillLoading: (503, "loading"),
    Draining: (503, "overloaded"),
    CallerLeft: (499, "client_left"),  # for the metrics, as nginx counts it: nobody reads the answer
    DeadlineExceeded: (504, "deadline_exceeded"),
    ModelUnavailable: (502, "model_unavailable"),
    TeacherUnavailable: (502, "teacher_unavailable"),
    JournalError: (507, "not_durable"),
}


class CountedRoute(Route):
    """Route whose path is counted and logged, as FastAPI's own routes are."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for this route, and what is added to its scope."""
        match, child = super().matches(scope)
        return match, {**child, "route": self}


class SafeHeaders:
    """ASGI middleware that adds the headers that protect a page's visitors."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""

        async def safe_send(sent: Message) -> None:
            if sent["type"] == "http.response.start":
                given = {name.lower() for name, _ in sent.get("headers", ())}
                sent["headers"] = [*sent.get("headers", ()), *(h for h in _HEADERS.items() if h[0] not in given)]
            await send(sent)

        await self._app(scope, receive, safe_send)


def build_app(
    service: Service,
    keys: Keys | None = None,
    *,
    max_new_tokens: int = 512,
    limits: HttpLimits = SERVER_LIMITS,
    cors: tuple[str, ...] = (),
    host: str | None = None,
    mcp: bool = False,
) -> FastAPI:
    """Return the application around a service.

    Args:
        service: what is served.
        keys: who may do what; None lets everybody read and give feedback.
        max_new_tokens: length limit of an answer for which a request names none.
        limits: limits of bodies and connections.
        cors: origins of pages of other sites that may use the API; none unless named.
        host: address that the server binds. On a loopback address, only requests to loopback names are answered: all
            of them where there are no keys, and those of /mcp in any case. None checks no names but those of /mcp.
        mcp: whether /mcp has the tools of assistants.
    """
    keys = keys or Keys()
    metrics, threads = Metrics(service.scheduler, service.impressions), Threads(service.scheduler.limits)

    tools = None
    if mcp:
        from train_utils.serving.mcp_server import McpEndpoint  # its package is optional

        allowed = partial(_allowed, keys, "read")
        tools = McpEndpoint(service, threads, keys, allowed, host=host or "127.0.0.1", origins=cors)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with tools.running() if tools else nullcontext():
            yield
        await anyio.to_thread.run_sync(service.scheduler.drain)

    app = FastAPI(
        title="RecLM-cgen",
        description="A chat that recommends only items of its catalogs.",
        version=package_version() or "unknown",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts of other sites
        redoc_url=None,
        responses=REFUSED,
        redirect_slashes=False,  # a redirect would go to whatever the header Host names
    )
    app.add_middleware(CatalogBodies, limits=limits, keys=keys)
    if host is not None and is_loopback(in_brackets(host)) and not keys.needed:
        app.add_middleware(LoopbackNames, limits=limits)
    app.add_middleware(SafeHeaders)
    if cors:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["GET", "POST"], allow_headers=["*"])
    app.add_middleware(Observer, metrics=metrics)  # added last: the outermost, it counts refused bodies too
    reader = Depends(partial(_allowed, keys, "read"))
    _add_conversation_routes(app, service, threads, metrics, max_new_tokens, reader)
    _add_list_routes(app, service, threads, metrics, reader)
    _add_feedback_route(app, service, metrics, Depends(partial(_allowed, keys, "feedback")))
    add_catalog_routes(app, service, threads.run, reader, Depends(partial(_allowed, keys, "catalogue")))
    add_status_routes(app, service, metrics)
    _add_error_handlers(app)
    if tools:
        app.router.routes.append(CountedRoute("/mcp", tools))
    # For paths that no route has. Mounted, it would take the place of the routes for their wrong methods as well.
    app.router.default = PageFiles(PAGE)
    return app


def _allowed(keys: Keys, right: str, request: Request) -> None:
    """Refuse a request without the right."""
    given = request.headers.get("authorization", "")
    rights = keys.rights(given)
    if rights is None:
        reason = "the server does not have this key" if given else "a key is needed"
        raise HTTPException(401, f"{reason}: send the header Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
    if right not in rights and not keys.needed:
        raise HTTPException(
            403,
            f"without keys nobody has the right {right}; start the server with --api_keys FILE and a line KEY {right}",
        )
    if right not in rights:
        raise HTTPException(403, f"this key has no right to {right}")


def _add_conversation_routes(
    app: FastAPI, service: Service, threads: Threads, metrics: Metrics, max_new_tokens: int, reader: Dependency
) -> None:
    whole: dict[str, Callable[[Iterator[ServiceEvent], str], openai_wire.Json]] = {
        "chat": openai_wire.completion,
        "responses": openai_wire.response,
    }

    async def answer(
        http: Request,
        request: ChatRequest,
        form: str,
        chunks: Callable[[Iterator[ServiceEvent], str], Iterator[str]] | None,
    ) -> Response:
        stop = threading.Event()
        events = _counted(service, request, stop, metrics)
        if chunks is None:
            async with _stopped_when_gone(http, stop):
                return JSONResponse(await threads.run(lambda: whole[form](events, service.model)))
        # The first event comes before the head of the answer, so that an error still has its status.
        async with _stopped_when_gone(http, stop):
            first = await threads.run(lambda: next(events))
        pieces = chunks(chain([first], events), service.model)
        return StreamingResponse(_streamed(http, pieces, threads, stop), media_type="text/event-stream")

    @app.post(
        "/v1/chat/completions",
        dependencies=[reader],
        **documented_stream(http_answers.ChatCompletion, "Chat, in OpenAI's form"),
    )
    async def completions(body: Completions, http: Request) -> Response:
        usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = partial(openai_wire.completion_chunks, usage=usage) if body.stream else None
        return await answer(http, body.request(max_new_tokens), "chat", chunks)

    @app.post(
        "/v1/responses",
        dependencies=[reader],
        **documented_stream(http_answers.ResponseObject, "Chat, in the form of OpenAI's responses"),
    )
    async def responses(body: Responses, http: Request) -> Response:
        chunks = openai_wire.response_events if body.stream else None
        return await answer(http, body.request(max_new_tokens), "responses", chunks)


def _counted(service: Service, request: ChatRequest, stop: threading.Event, metrics: Metrics) -> Iterator[ServiceEvent]:
    """Yield the events of an answer, and count them."""
    begun, silent, domain = time.perf_counter(), True, request.domain or service.first
    for event in service.chat(request, stop):
        if silent and isinstance(event, (TextDelta, Listed)):
            metrics.first_token.observe(time.perf_counter() - begun)
            silent = False
        if isinstance(event, Listed):
            metrics.items.labels(domain).inc()
        if isinstance(event, Finished):
            metrics.tokens.labels("prompt").inc(event.prompt_tokens)
            metrics.tokens.labels("completion").inc(event.completion_tokens)
        yield event


async def _streamed(
    http: Request, pieces: Iterator[str], threads: Threads, stop: threading.Event
) -> AsyncIterator[str]:
    """Yield the pieces of an answer; a client that leaves stops it."""
    try:
        async with _stopped_when_gone(http, stop):
            while piece := await threads.run(lambda: next(pieces, ""), begun=True):
                yield piece
    except tuple(_STATUS) as error:
        _, kind = _status_of(error)
        yield openai_wire.sent_line(_problem(str(error), kind))


@asynccontextmanager
async def _stopped_when_gone(http: Request, stop: threading.Event) -> AsyncIterator[None]:
    """Set `stop` as soon as the client leaves, and where the block fails.

    A thread that waits for the next text cannot be cancelled, and the model may write for minutes what shows no text.
    """

    async def watch() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass
        stop.set()

    watcher = asyncio.ensure_future(watch())
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


def _add_list_routes(app: FastAPI, service: Service, threads: Threads, metrics: Metrics, reader: Dependency) -> None:
    @app.post(
        "/v1/recommend",
        dependencies=[reader],
        **documented(http_answers.RecommendedList, "The next items of a user"),
    )
    async def recommend(body: Recommend, http: Request) -> dict[str, object]:
        stop = threading.Event()
        async with _stopped_when_gone(http, stop):
            answer = await threads.run(lambda: service.recommend_list(body.request(), stop))
        metrics.lists.labels(answer.domain).inc()
        return {
            "domain": answer.domain,
            "recommendation_id": answer.recommendation_id,
            "items": answer.items,
            "reclm": {"variant": answer.variant} if answer.variant else {},
        }

    @app.post(
        "/v1/why",
        dependencies=[reader],
        **documented(http_answers.Reasons, "What moves items up for a user"),
    )
    async def why(body: Why, http: Request) -> dict[str, object]:
        stop = threading.Event()
        asked = body.history, body.item_ids, body.domain, body.rules, body.preferences
        async with _stopped_when_gone(http, stop):
            explained = await threads.run(lambda: service.why(*asked, stop))
        return {"items": explained}

    @app.get(
        "/v1/items/search",
        dependencies=[reader],
        **documented(http_answers.FoundItems, "Items by title"),
    )
    async def search(
        q: Annotated[str, Query(max_length=200)] = "",
        domain: Annotated[str, Query(max_length=200)] = "",
        limit: int = 10,
    ) -> dict[str, object]:
        return {"items": await threads.run(lambda: service.search(q, domain, limit))}

    @app.get(
        "/v1/items/{domain}/{item_id:path}",
        dependencies=[reader],
        **documented(http_answers.Card, "An item"),
    )
    async def item(domain: str, item_id: str) -> dict[str, object]:
        return await threads.run(lambda: service.item(domain, item_id))

    @app.get("/v1/catalogues", dependencies=[reader], **documented(http_answers.Catalogs, "The catalogs"))
    async def catalogues() -> dict[str, object]:
        described = await threads.run(service.catalogs)
        return {
            "data": described,
            "first": service.first,
            "feedback": service.impressions is not None,
            "loading": service.domains.state().loading,
        }

    @app.get(
        "/v1/models",
        dependencies=[reader],
        **documented(http_answers.Models, "The model, in OpenAI's form"),
    )
    async def models() -> dict[str, object]:
        entry = {"id": service.model, "object": "model", "created": 0, "owned_by": "reclm"}
        return {"object": "list", "data": [entry]}

    @app.get(
        "/v1/models/{name}",
        dependencies=[reader],
        **documented(http_answers.Model, "The model, in OpenAI's form"),
    )
    async def model(name: str) -> dict[str, object]:
        if name != service.model:
            raise NotFound(f"no model {name[:80]!r}; there is {service.model}")
        return {"id": service.model, "object": "model", "created": 0, "owned_by": "reclm"}


def _add_feedback_route(app: FastAPI, service: Service, metrics: Metrics, giver: Dependency) -> None:
    @app.post("/v1/feedback", dependencies=[giver], status_code=204, summary="What a user did with an item of a list")
    async def feedback(body: Feedback) -> None:
        service.feedback(body.recommendation_id, body.item_id, body.event, body.value, body.at)
        metrics.feedback.labels(body.event).inc()


def _status_of(error: Exception) -> tuple[int, str]:
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def _add_error_handlers(app: FastAPI) -> None:
    async def known(request: Request, error: Exception) -> Response:
        status, kind = _status_of(error)
        seconds = error.retry_after_s if isinstance(error, StillLoading) else RETRY_AFTER_S
        headers = {"Retry-After": str(seconds)} if status == 503 else None
        return JSONResponse(_problem(str(error), kind), status, headers)

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(_problem(reason_of(request, error), "invalid_request_error"), 422)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse(_refusal(error.status_code, refusal_of(request, error)), error.status_code, error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(_problem("the server failed; its log says why", "server_error"), 500)

    app.add_exception_handler(Exception, failed)
    for kind in _STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, refused)
