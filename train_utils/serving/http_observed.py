"""What an HTTP server counts and logs of its requests; texts of users are never among it."""

import json
import logging
import re
import time
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from train_utils.serving.impressions import ImpressionLog
from train_utils.serving.remote_scheduler import AnyScheduler

logger = logging.getLogger("reclm.requests")
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class Metrics:
    """Counts of one server, for Prometheus.

    Args:
        scheduler: its queue and its running answers are shown.
        impressions: what it wrote and lost is shown; None for no log.
    """

    def __init__(self, scheduler: AnyScheduler, impressions: ImpressionLog | None = None):
        self._registry = own = CollectorRegistry()
        self.requests = Counter("reclm_requests", "Answered requests.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "reclm_request_seconds",
            "From the head to the end of the answer.",
            ["route"],
            registry=own,
            buckets=_BUCKETS_S,
        )
        self.first_token = Histogram(
            "reclm_first_token_seconds", "Until an answer's first text or item.", registry=own, buckets=_BUCKETS_S
        )
        self.tokens = Counter("reclm_tokens", "Tokens of conversations that ended.", ["kind"], registry=own)
        self.items = Counter("reclm_items", "Items listed in conversations.", ["domain"], registry=own)
        self.lists = Counter("reclm_lists", "Lists of /v1/recommend.", ["domain"], registry=own)
        self.off_catalog = Counter(
            "reclm_off_catalog_items", "Items that are not spelled as in the catalog; 0 by construction.", registry=own
        )
        self.feedback = Counter("reclm_feedback", "Feedback of users.", ["event"], registry=own)
        if impressions:
            Gauge("reclm_impressions_written", "Records of the impression log.", registry=own).set_function(
                lambda: impressions.written
            )
            Gauge("reclm_impressions_dropped", "Records that the impression log lost.", registry=own).set_function(
                lambda: impressions.dropped
            )
        Gauge("reclm_waiting", "Requests that wait for the model.", registry=own).set_function(
            lambda: scheduler.waiting
        )
        Gauge("reclm_running", "Answers in the running batch.", registry=own).set_function(lambda: scheduler.running)
        Gauge("reclm_passes", "Passes of the running batch; lists are ranked between two.", registry=own).set_function(
            lambda: scheduler.passes
        )

    def page(self) -> bytes:
        """Return the body of GET /metrics."""
        return generate_latest(self._registry)


class Observer:
    """ASGI middleware that gives each request an id, counts it, and logs one JSON line."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, request_id = time.perf_counter(), 500, _given_id(scope) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def noted_send(sent: Message) -> None:
            nonlocal status
            if sent["type"] == "http.response.start":
                status = sent["status"]
                sent["headers"] = [*sent.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(sent)

        try:
            await self._app(scope, receive, noted_send)
        finally:
            seconds = time.perf_counter() - begun
            # The route's pattern, not the path: paths hold ids, and would be without number.
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = {"time": now, "request_id": request_id, "method": scope["method"], "route": route, "status": status}
            logger.info(json.dumps(line | {"seconds": round(seconds, 4)}))


def _given_id(scope: Scope) -> str:
    """Return the id that a proxy gave a request in `X-Request-Id`; "" for none, and for more than a short name."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _ID.fullmatch(given) else ""
