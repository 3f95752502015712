"""Serve the teacher over HTTP: python unirec/async_server.py --dataset movies --port 2068

POST /inference and /ranking (fields in server_wire.py); GET /health, /health/live, /health/ready, /metrics.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

# Waiting threads must sleep, not spin: on cores shared with the trainer that asks, spinning starves both.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import uvicorn  # noqa: E402
from fastapi import FastAPI, Request, Response  # noqa: E402
from fastapi.exceptions import RequestValidationError  # noqa: E402
from fastapi.responses import JSONResponse, PlainTextResponse  # noqa: E402
from micro_batcher import DeadlineExceeded, MicroBatcher, Overloaded  # noqa: E402
from server_metrics import ServerMetrics  # noqa: E402
from server_wire import (  # noqa: E402
    MAX_ROWS,
    InferenceRequest,
    RankingRequest,
    join_answers,
    split_query,
    to_query,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402
from teacher_model import Answer, Query, TeacherModel, find_checkpoint, load_teacher  # noqa: E402
from teacher_ranking import RequestError, cold_rows  # noqa: E402
from uvicorn.supervisors import Multiprocess  # noqa: E402

# Dataset -> checkpoint to serve. None, or not named here: the newest finished run in unirec/output/NAME.
model_path: dict[str, str | None] = {"ml-100k": None, "movies": None, "toys": None, "steam": None}

HERE = Path(__file__).resolve().parent
RETRY_AFTER_S = 1
DRAIN_S = 30
_ARGUMENTS = "UNIREC_SERVER_ARGUMENTS"  # how worker processes learn the command line


@dataclass(frozen=True)
class ServerLimits:
    """Rows the model takes at once, rows that may wait, seconds an answer may take, bytes of a request."""

    batch_rows: int = 256
    queue_rows: int = 4 * MAX_ROWS
    deadline_s: float = 30.0
    body_bytes: int = 32 * 1024 * 1024


class RequestGuard:
    """Refuse bodies above `limit` bytes with 413 before they are parsed; count requests and their latency."""

    def __init__(self, app: ASGIApp, limit: int, metrics: ServerMetrics) -> None:
        self.app = app
        self.limit = limit
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            body = await self._read(receive)
            if body is None:
                refusal = JSONResponse({"detail": f"the body is larger than {self.limit} bytes"}, 413)
                await refusal(scope, receive, counted_send)
            else:
                await self.app(scope, _replay(body, receive), counted_send)
        finally:
            known = scope["path"] if scope["path"] in ("/inference", "/ranking") else "other"
            self.metrics.observe_request(known, status, time.perf_counter() - started)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body once and then what the connection says."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error body; characters that UTF-8 cannot hold are shown as escapes."""
    return JSONResponse({"detail": reason.encode("utf-8", "backslashreplace").decode()}, status, headers)


def build_app(teacher: TeacherModel, dataset: str, limits: ServerLimits | None = None) -> FastAPI:
    """The HTTP application around a loaded teacher."""
    limits = limits or ServerLimits()
    metrics = ServerMetrics()

    def run(queries: Sequence[Query]) -> list[Answer]:
        started = time.perf_counter()
        answers = teacher.answer(queries)
        metrics.observe_batch(sum(len(query.rows) for query in queries), time.perf_counter() - started)
        return answers

    batcher: MicroBatcher[Query, Answer] = MicroBatcher(
        run, limits.batch_rows, limits.queue_rows, limits.deadline_s
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.close()

    app = FastAPI(title="RecLM-cgen teacher", lifespan=lifespan)
    app.add_middleware(RequestGuard, limit=limits.body_bytes, metrics=metrics)

    async def answer(request: RankingRequest) -> tuple[Query, Answer]:
        query = to_query(request, teacher.catalogue)
        answers = await batcher.submit(split_query(query, limits.batch_rows), first=request.immediately)
        return query, join_answers(answers)

    @app.post("/inference")
    async def inference(request: InferenceRequest) -> dict:
        query, found = await answer(request)
        body: dict = {"inference": found.items}
        if request.return_scores:
            body["scores"] = found.probabilities
        if cold := cold_rows(query.rows):
            body["cold"] = cold
        return body

    @app.post("/ranking")
    async def ranking(request: RankingRequest) -> dict:
        return {"ranking": (await answer(request))[1].ranks}

    _add_status_routes(app, teacher, dataset, metrics, batcher)
    _add_error_handlers(app)
    return app


def _add_status_routes(
    app: FastAPI, teacher: TeacherModel, dataset: str, metrics: ServerMetrics, batcher: MicroBatcher
) -> None:
    @app.get("/health")
    @app.get("/health/ready")
    async def ready() -> dict:
        return {
            "status": "ok",
            "dataset": dataset,
            "items": teacher.catalogue.n_items - 1,
            "checkpoint": str(teacher.checkpoint.path),
            "history_length": teacher.checkpoint.model.max_seq_len,
            "max_rows": MAX_ROWS,
        }

    @app.get("/health/live")
    async def live() -> dict:
        return {"status": "ok"}

    @app.get("/metrics")
    async def metrics_page() -> PlainTextResponse:
        return PlainTextResponse(metrics.render(batcher.queued), media_type="text/plain; version=0.0.4")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def bad_shape(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _refusal(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.exception_handler(RequestError)
    async def bad_content(request: Request, error: RequestError) -> Response:
        return _refusal(422, str(error))

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        return _refusal(503, str(error), {"Retry-After": str(RETRY_AFTER_S)})

    @app.exception_handler(DeadlineExceeded)
    async def too_late(request: Request, error: DeadlineExceeded) -> Response:
        return _refusal(504, str(error))


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the SASRec teacher over HTTP.")
    parser.add_argument("--dataset", required=True, help="name of the dataset, such as ml-100k")
    parser.add_argument("--port", type=int, default=2068)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1: this machine only)")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a copy of the model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data_path", type=Path, help="folder of the UniRec files (unirec/data/NAME)")
    parser.add_argument("--output_path", type=Path, help="folder of the runs (unirec/output/NAME)")
    return parser.parse_args(argv)


def load_from(args: argparse.Namespace) -> TeacherModel:
    checkpoint = find_checkpoint(args.dataset, model_path, args.output_path or HERE / "output" / args.dataset)
    return load_teacher(checkpoint, args.data_path or HERE / "data" / args.dataset, args.device)


def worker_app() -> FastAPI:
    """The application of one of several worker processes."""
    args = parse_args(json.loads(os.environ[_ARGUMENTS]))
    return build_app(load_from(args), args.dataset)


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; ValueError when the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it an answer waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)  # clients that come while uvicorn starts wait instead of being refused
    except (OSError, OverflowError) as error:
        listener.close()
        raise ValueError(f"cannot listen on {host}:{port}: {error}; choose another port") from error
    listener.set_inheritable(True)
    return listener


def serve(argv: Sequence[str]) -> None:
    args = parse_args(argv)
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}")
    teacher = load_from(args)
    listener = bind(args.host, args.port)
    # uvicorn drains on SIGTERM and then raises the signal again; ours ends the process quietly with status 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    print(
        f"teacher of {args.dataset} ({teacher.checkpoint.path}) at http://{args.host}:{listener.getsockname()[1]}",
        flush=True,
    )
    settings = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": DRAIN_S}
    if args.workers == 1:
        uvicorn.Server(uvicorn.Config(build_app(teacher, args.dataset), **settings)).run(sockets=[listener])
        return
    os.environ[_ARGUMENTS] = json.dumps(list(argv))
    config = uvicorn.Config("async_server:worker_app", factory=True, workers=args.workers, **settings)
    Multiprocess(config, sockets=[listener]).run()


def main(argv: Sequence[str]) -> int:
    try:
        serve(argv)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
