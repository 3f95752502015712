"""HTTP routes that say how the server is: for load balancers, Prometheus and clients that wait for a model."""

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from train_utils.serving import openai_wire
from train_utils.serving.domains import StillLoading
from train_utils.serving.http_answers import documented_ready
from train_utils.serving.http_observed import Metrics
from train_utils.serving.service import Service


def add_status_routes(app: FastAPI, service: Service, metrics: Metrics) -> None:
    """Add the routes to an application, which need no key.

    Args:
        app: the application.
        service: what is served.
        metrics: what is counted.
    """

    @app.head("/health/live", include_in_schema=False)  # what load balancers ask with
    @app.get("/health/live", summary="Whether the process answers")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.head("/health/ready", include_in_schema=False)
    @app.get("/health/ready", **documented_ready())
    async def ready() -> JSONResponse:
        state = service.domains.state()
        answer = {
            "status": "loading" if state.loading else "ready",
            "model": service.model,
            "domains": state.ready,
            "loading": state.loading,
            "failed": state.failed,
        }
        if state.loading:
            return JSONResponse(answer, 503, {"Retry-After": str(StillLoading.retry_after_s)})
        return JSONResponse(answer)

    @app.post("/load_model", summary="Says that the model is loaded, which `transformers chat` asks first")
    async def load_model() -> StreamingResponse:
        ready = openai_wire.sent_line({"status": "ready", "cached": True})
        return StreamingResponse(iter([ready]), media_type="text/event-stream")

    @app.get("/metrics", summary="Counts, for Prometheus")
    async def counts() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
