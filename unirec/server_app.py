"""The HTTP application around loaded teachers: routes, limits, errors and their documentation."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import get_type_hints

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from micro_batcher import DeadlineExceeded, MicroBatcher, Overloaded
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import ValidationError
from server_metrics import ServerMetrics
from server_wire import (
    MAX_ROWS,
    MAX_VALUES,
    DatasetHealth,
    InferenceAnswer,
    InferenceRequest,
    Live,
    Problem,
    RankingAnswer,
    RankingRequest,
    Ready,
    check_fields,
    inference_content,
    join_answers,
    json_response,
    split_query,
    to_query,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from teacher_model import Query, TeacherAnswer, TeacherModel, by_dataset

from train_utils.serving.http_limits import RETRY_AFTER_S, BodyLimits, HttpLimits
from train_utils.teacher.ranking import SHOWN, RequestError

_COUNTED_PATHS = frozenset({"/inference", "/ranking"})
_REFUSALS: dict[int | str, dict] = {
    413: {"model": Problem, "description": "The body is larger than the server takes."},
    422: {"model": Problem, "description": "The request names something unknown or has a wrong shape."},
    503: {
        "model": Problem,
        "description": "Too many histories are waiting; come back later.",
        "headers": {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}},
    },
    504: {"model": Problem, "description": "The answer would have come too late; it was not computed."},
}


@dataclass(frozen=True)
class ServerLimits:
    """What one server takes on.

    batch_rows: rows the model takes at once. queue_rows: rows that may wait. deadline_s: seconds an answer
    may take. gather_s: seconds a batch may wait to fill while clients are many. http: of requests and connections.
    """

    batch_rows: int = 64
    queue_rows: int = 4 * MAX_ROWS
    deadline_s: float = 30.0
    gather_s: float = 0.002
    http: HttpLimits = HttpLimits(
        json_values=MAX_VALUES, reserved_paths=("/health", "/health/live", "/health/ready", "/metrics")
    )


class BodyRoute(APIRoute):
    """A route whose one parameter is its JSON body: pydantic reads the bytes, and nothing else is solved.

    FastAPI's own way through parsed values and dependencies takes longer than the whole rest of a request.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        endpoint = self.endpoint
        (model,) = (kind for name, kind in get_type_hints(endpoint).items() if name != "return")

        async def handler(request: Request) -> Response:
            body = await request.body()
            check_fields(body)
            try:
                content = model.model_validate_json(body)
            except ValidationError as error:
                raise RequestValidationError(error.errors(include_url=False, include_input=False)[:1]) from None
            return await endpoint(content)

        return handler


class RequestCounter:
    """Counts requests and their latency."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, receive, noted_send)
            finally:
                path = scope["path"] if scope["path"] in _COUNTED_PATHS else "other"
                self.metrics.observe_request(path, status, time.perf_counter() - started)


def answer_all(
    teachers: Mapping[str, TeacherModel], metrics: ServerMetrics, queries: Sequence[Query]
) -> list[TeacherAnswer]:
    """Answers in the order of the queries; one pass of the model for each dataset among them."""
    answers: dict[int, TeacherAnswer] = {}
    for dataset, positions in by_dataset(queries).items():
        started = time.perf_counter()
        own = [queries[position] for position in positions]
        answers.update(zip(positions, teachers[dataset].answer(own), strict=True))
        metrics.observe_batch(dataset, sum(len(query.rows) for query in own), time.perf_counter() - started)
    return [answers[position] for position in range(len(queries))]


def build_app(teachers: Mapping[str, TeacherModel], limits: ServerLimits | None = None) -> FastAPI:
    """Return the application around `teachers`, dataset -> teacher: one batcher and one worker thread for all."""
    limits = limits or ServerLimits()
    metrics = ServerMetrics()

    batcher: MicroBatcher[Query, TeacherAnswer] = MicroBatcher(
        partial(answer_all, teachers, metrics),
        limits.batch_rows,
        limits.queue_rows,
        limits.deadline_s,
        limits.gather_s,
        metrics.queued_rows.set,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.close()

    app = FastAPI(
        title="RecLM-cgen teacher",
        description=f"Next items of histories. Datasets: {', '.join(teachers)}.",
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimits, limits=limits.http)
    app.add_middleware(RequestCounter, metrics=metrics)  # added last: the outermost, it counts refused bodies too

    async def answer(request: RankingRequest) -> tuple[Query, TeacherAnswer]:
        dataset = chosen_dataset(teachers, request.dataset)
        query = to_query(request, dataset, teachers[dataset].catalog)
        answers = await batcher.submit(split_query(query, limits.batch_rows), first=request.immediately)
        return query, join_answers(answers)

    answers = APIRouter(route_class=BodyRoute, responses=_REFUSALS)

    # The answers are sent as they are: checking them against their own models would cost more than they do.
    @answers.post("/inference", response_model=InferenceAnswer, summary="The k best next items")
    async def inference(request: InferenceRequest) -> Response:
        query, ranked = await answer(request)
        return json_response(inference_content(query, ranked, request.return_scores))

    @answers.post("/ranking", response_model=RankingAnswer, summary="Ranks of candidates")
    async def ranking(request: RankingRequest) -> Response:
        return json_response({"ranking": (await answer(request))[1].ranks})

    app.include_router(answers)
    _add_status_routes(app, teachers, metrics)
    _add_error_handlers(app)
    return app


def chosen_dataset(served: Mapping[str, object], named: str | None) -> str:
    """Return the dataset a request means; with one dataset it need not say. RequestError lists the choices."""
    if named is None and len(served) == 1:
        return next(iter(served))
    if named is None or named not in served:
        raise RequestError(f"dataset must be one of {', '.join(served)}, got {named and named[:SHOWN]!r}")
    return named


def _add_status_routes(app: FastAPI, teachers: Mapping[str, TeacherModel], metrics: ServerMetrics) -> None:
    @app.get("/health", summary="Same as /health/ready")
    @app.get("/health/ready", summary="What is served")
    async def ready() -> Ready:
        datasets = {
            name: DatasetHealth(
                items=teacher.catalog.n_items - 1,
                checkpoint=str(teacher.path),
                history_length=teacher.max_seq_len,
            )
            for name, teacher in teachers.items()
        }
        return Ready(status="ok", max_rows=MAX_ROWS, datasets=datasets)

    @app.get("/health/live", summary="Whether the process answers")
    async def live() -> Live:
        return Live(status="ok")

    @app.get(
        "/metrics",
        summary="Counts in Prometheus' text format",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics_page() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error body; characters that UTF-8 cannot hold are shown as escapes."""
    return JSONResponse({"detail": reason.encode("utf-8", "backslashreplace").decode()}, status, headers)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def bad_shape(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part)[:SHOWN] for part in first["loc"])
        return _refusal(422, f"{place}: {first['msg']}")

    @app.exception_handler(RequestError)
    async def bad_content(request: Request, error: RequestError) -> Response:
        return _refusal(422, str(error))

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        return _refusal(503, str(error), {"Retry-After": str(RETRY_AFTER_S)})

    @app.exception_handler(DeadlineExceeded)
    async def too_late(request: Request, error: DeadlineExceeded) -> Response:
        return _refusal(504, str(error))
