"""HTTP routes that change catalogs while they are served."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, Field, StrictBool, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from train_utils.serving import http_answers
from train_utils.serving.access import Keys
from train_utils.serving.catalog_ledger import UnknownVersion, Version
from train_utils.serving.http_answers import documented
from train_utils.serving.http_limits import MIB, BodyLimits, HttpLimits
from train_utils.serving.http_wire import Closed, ItemId, Whole
from train_utils.serving.living_domains import Changed, LivingDomains
from train_utils.serving.service import NotFound, RequestError, Service

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)
Json = dict[str, object]

MAX_ITEMS = 1_000_000  # of a request; its body is full before
# Some 100,000 items of a feed. Only who may change catalogs may send so much.
_BODY_BYTES, _JSON_VALUES = 64 * MIB, 3_000_000
_PREFIX = "/v1/catalogues/"
_IN_MEMORY = "this change ends with the process; start the server with --catalogue_journal FOLDER to keep changes"


class Run(Protocol):
    """Runs a function in a thread of its own."""

    async def __call__(self, function: Callable[[], T]) -> T: ...


class PutItems(Closed):
    """Body of `PUT /v1/catalogues/{domain}/items`.

    Attributes:
        items: the items; see `train_utils.item_record.item_of`.
        replace: whether they are the whole catalog, so that items that are missing are retired.
    """

    items: list[dict[str, object]] = Field(max_length=MAX_ITEMS)
    replace: StrictBool = False


class RetireItems(Closed):
    """Body of `DELETE /v1/catalogues/{domain}/items`."""

    item_ids: list[ItemId] = Field(max_length=MAX_ITEMS)


class Rollback(Closed):
    """Body of `POST /v1/catalogues/{domain}/rollback`."""

    version: Whole


class CatalogBodies:
    """ASGI middleware that limits bodies, those of changes of catalogs less where the key may make them.

    Args:
        app: the application.
        limits: limits of the other bodies.
        keys: who may change catalogs.
    """

    def __init__(self, app: ASGIApp, limits: HttpLimits, keys: Keys):
        self._usual = BodyLimits(app, limits)
        self._large = BodyLimits(app, replace(limits, body_bytes=_BODY_BYTES, json_values=_JSON_VALUES))
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        is_large = scope["type"] == "http" and scope["path"].startswith(_PREFIX) and self._may_change(scope)
        await (self._large if is_large else self._usual)(scope, receive, send)

    def _may_change(self, scope: Scope) -> bool:
        key = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return "catalogue" in (self._keys.rights(key.decode("latin-1")) or ())


def add_catalog_routes(
    app: FastAPI,
    service: Service,
    run: Run,
    reader: Dependency,
    changer: Dependency,
) -> None:
    """Add the routes to an application.

    Args:
        app: the application.
        service: what is served.
        run: runs a function in a thread.
        reader: lets those pass who may read.
        changer: lets those pass who may change catalogs.
    """

    @app.put(
        _PREFIX + "{domain}/items",
        dependencies=[changer],
        **documented(http_answers.ChangedCatalog, "Add and change items"),
        openapi_extra=_documented(PutItems),
    )
    async def put(domain: str, http: Request) -> Json:
        body = await http.body()

        def change() -> Json:
            asked = _parsed(PutItems, body)
            return _changed(domain, lambda: _living(service, domain).put(domain, asked.items, asked.replace))

        return await run(change)

    @app.delete(
        _PREFIX + "{domain}/items",
        dependencies=[changer],
        **documented(http_answers.ChangedCatalog, "Retire items"),
        openapi_extra=_documented(RetireItems),
    )
    async def delete(domain: str, http: Request) -> Json:
        body = await http.body()

        def change() -> Json:
            asked = _parsed(RetireItems, body)
            return _changed(domain, lambda: _living(service, domain).retire(domain, asked.item_ids))

        return await run(change)

    @app.post(
        _PREFIX + "{domain}/rollback",
        dependencies=[changer],
        **documented(http_answers.ChangedCatalog, "Return to an earlier version"),
    )
    async def rollback(domain: str, body: Rollback) -> Json:
        return await run(lambda: _changed(domain, lambda: _living(service, domain).rollback(domain, body.version)))

    @app.get(
        _PREFIX + "{domain}/versions",
        dependencies=[reader],
        **documented(http_answers.Versions, "Versions that can be returned to"),
    )
    async def versions(domain: str) -> Json:
        kept = await run(lambda: _living(service, domain).versions(domain))
        return {"domain": domain, "catalogue_version": kept[-1].name, "versions": [_described(one) for one in kept]}


def _living(service: Service, name: str) -> LivingDomains:
    """Return the domains, of which one has this name. Raises NotFound where none has, else as `Service.domain`."""
    domains = service.domains
    if name not in domains.folders:
        raise NotFound(f"domain {name[:80]!r} is unknown; there are: {', '.join(domains.folders)}")
    if not isinstance(domains, LivingDomains):
        raise RequestError("the catalogs of this server do not change")
    service.domain(name)  # raises where it is not loaded
    return domains


def _changed(name: str, change: Callable[[], Changed]) -> Json:
    """Return the answer to a change."""
    try:
        made = change()
    except UnknownVersion as error:
        raise NotFound(str(error)) from None
    except RequestError:
        raise
    except ValueError as error:
        raise RequestError(str(error)) from None
    answer = {
        "domain": name,
        "catalogue_version": made.version.name,
        **_described(made.version),
        "durable": made.durable,
    }
    return answer if made.durable else {**answer, "note": _IN_MEMORY}


def _described(version: Version) -> Json:
    return {
        "version": version.number,
        "digest": version.digest,
        "items": version.items,
        "added": version.added,
        "changed": version.changed,
        "retired": version.retired,
    }


def _parsed(model: type[B], body: bytes) -> B:
    """Return a body that may be large; it is read in a thread of its own, not where connections are served."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def _documented(model: type[BaseModel]) -> Json:
    """Return the description of a body that is read by `_parsed`."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
