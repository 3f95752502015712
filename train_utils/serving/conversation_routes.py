"""HTTP routes of conversations, in the forms of OpenAI's APIs."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import chain

from fastapi import FastAPI, Request, Response
from fastapi.params import Depends as Dependency
from fastapi.responses import JSONResponse, StreamingResponse

from train_utils.decoding.events import TextDelta
from train_utils.serving import http_answers, openai_wire
from train_utils.serving.exchange import ChatRequest, Finished, Listed, ServiceEvent
from train_utils.serving.hang_ups import stopped_when_gone
from train_utils.serving.http_answers import documented_stream
from train_utils.serving.http_errors import STATUS, problem, status_of
from train_utils.serving.http_observed import Metrics
from train_utils.serving.http_wire import Completions, Responses
from train_utils.serving.service import Service
from train_utils.serving.waiting_threads import Threads


def add_conversation_routes(
    app: FastAPI, service: Service, threads: Threads, metrics: Metrics, max_new_tokens: int, reader: Dependency
) -> None:
    """Add `/v1/chat/completions` and `/v1/responses`.

    Args:
        app: the application.
        service: what answers.
        threads: threads that wait for answers.
        metrics: what counts them.
        max_new_tokens: length limit of an answer for which a request names none.
        reader: what refuses a request without the right to read.
    """
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
            async with stopped_when_gone(http, stop):
                return JSONResponse(await threads.run(lambda: whole[form](events, service.model)))
        # The first event comes before the head of the answer, so that an error still has its status.
        async with stopped_when_gone(http, stop):
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
        async with stopped_when_gone(http, stop):
            while piece := await threads.run(lambda: next(pieces, ""), begun=True):
                yield piece
    except tuple(STATUS) as error:
        _, kind = status_of(error)
        yield openai_wire.sent_line(problem(str(error), kind))
