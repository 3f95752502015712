"""The HTTP application: OpenAI's APIs, lists for machines, catalogs, and the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

import anyio
from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from train_utils.manifest import package_version
from train_utils.serving.access import Keys
from train_utils.serving.catalog_routes import CatalogBodies, add_catalog_routes
from train_utils.serving.conversation_routes import add_conversation_routes
from train_utils.serving.host_names import LoopbackNames, is_loopback
from train_utils.serving.http_answers import REFUSED
from train_utils.serving.http_errors import add_error_handlers, refusal
from train_utils.serving.http_limits import MIB, HttpLimits
from train_utils.serving.http_misuse import PageFiles
from train_utils.serving.http_observed import Metrics, Observer
from train_utils.serving.http_status import add_status_routes
from train_utils.serving.list_routes import add_feedback_route, add_list_routes
from train_utils.serving.listener import in_brackets
from train_utils.serving.service import Service
from train_utils.serving.waiting_threads import Threads

PAGE = Path(__file__).parent / "page"
SERVER_LIMITS = HttpLimits(
    body_bytes=2 * MIB,
    json_values=50_000,
    reserved_paths=("/health/live", "/health/ready", "/metrics"),
    problem=refusal,
)
_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
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
    add_conversation_routes(app, service, threads, metrics, max_new_tokens, reader)
    add_list_routes(app, service, threads, metrics, reader)
    add_feedback_route(app, service, metrics, Depends(partial(_allowed, keys, "feedback")))
    add_catalog_routes(app, service, threads.run, reader, Depends(partial(_allowed, keys, "catalogue")))
    add_status_routes(app, service, metrics)
    add_error_handlers(app)
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
