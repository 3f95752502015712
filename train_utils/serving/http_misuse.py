"""What clients commonly get wrong, said with its remedy: a body that is no JSON, and a path without /v1."""

from pathlib import Path

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from train_utils.printable import one_line
from train_utils.serving.field_errors import field_error

_LONGEST = 500  # characters of a reason


def reason_of(request: Request, error: RequestValidationError) -> str:
    """Return what is wrong with a request, in one line."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = f"the body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
    elif first["loc"] == ("body",) and not _is_json(sent := request.headers.get("content-type", "")):
        reason = (
            f"Content-Type is {sent[:80]!r}, wanted application/json; send the header Content-Type: application/json"
        )
    else:  # keys of a client are among the parts
        reason = field_error(first)
    return one_line(reason, _LONGEST)


def refusal_of(request: Request, error: HTTPException) -> str:
    """Return why a request is refused, also where FastAPI gives no reason: wrong methods, bodies that are no text."""
    if error.status_code == 405:
        wanted = (error.headers or {}).get("Allow", "GET")
        return one_line(f"{request.method} is no method of {request.url.path[:80]}, wanted {wanted}", _LONGEST)
    if error.detail != "There was an error parsing the body":
        return str(error.detail)
    if coding := request.headers.get("content-encoding", ""):
        return one_line(f"Content-Encoding {coding[:80]} is not read; send the body as it is", _LONGEST)
    return "the body is no text in UTF-8; send JSON in UTF-8"


def _is_json(content_type: str) -> bool:
    subtype = content_type.partition(";")[0].strip().lower()
    return subtype == "application/json" or subtype.endswith("+json")


class PageFiles(StaticFiles):
    """Files of the page, for the paths that no route has.

    Args:
        folder: folder of the files.
    """

    def __init__(self, folder: Path):
        super().__init__(directory=folder, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file. Raises HTTPException where there is none."""
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code not in (404, 405) or self._has(path):
                raise
            asked = one_line(scope["path"], 80)
            reason = f"there is no {asked}; the API is below /v1 (a client's base URL ends with it), see /openapi.json"
            raise HTTPException(404, reason) from None

    def _has(self, path: str) -> bool:
        """Return whether a path is the page or one of its files."""
        try:
            return path == "." or self.lookup_path(path)[1] is not None
        except (OSError, ValueError):  # a name that no file can have, such as one with a null byte
            return False
