"""Errors of the HTTP API: their status, their form, and the handlers that answer with them."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from train_utils.constraint.constraint import ConstraintError
from train_utils.serving.catalog_journal import JournalError
from train_utils.serving.domains import StillLoading
from train_utils.serving.exchange import NotFound, RequestError, TeacherUnavailable
from train_utils.serving.http_limits import RETRY_AFTER_S
from train_utils.serving.http_misuse import reason_of, refusal_of
from train_utils.serving.remote_scheduler import ModelUnavailable
from train_utils.serving.scheduler import CallerLeft, DeadlineExceeded, Draining, Overloaded

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found",
    408: "timeout",
    503: "overloaded",
}
STATUS: dict[type[Exception], tuple[int, str]] = {
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


def problem(text: str, kind: str) -> dict[str, object]:
    """Return an error in OpenAI's form."""
    return {"error": {"message": text, "type": kind, "param": None, "code": None}}


def refusal(status: int, reason: str) -> dict[str, object]:
    """Return an error of a status in OpenAI's form."""
    return problem(reason, _KINDS.get(status, "invalid_request_error"))


def status_of(error: Exception) -> tuple[int, str]:
    """Return the status and the kind of an error that is an instance of a class in `STATUS`."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def add_error_handlers(app: FastAPI) -> None:
    """Let an application answer errors in OpenAI's form."""

    async def known(request: Request, error: Exception) -> Response:
        status, kind = status_of(error)
        seconds = error.retry_after_s if isinstance(error, StillLoading) else RETRY_AFTER_S
        headers = {"Retry-After": str(seconds)} if status == 503 else None
        return JSONResponse(problem(str(error), kind), status, headers)

    async def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse(problem(reason_of(request, error), "invalid_request_error"), 422)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse(refusal(error.status_code, refusal_of(request, error)), error.status_code, error.headers)

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(problem("the server failed; its log says why", "server_error"), 500)

    app.add_exception_handler(Exception, failed)
    for kind in STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, refused)
