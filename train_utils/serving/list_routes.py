"""HTTP routes of lists for machines, of items, models and feedback."""

import threading
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.params import Depends as Dependency

from train_utils.serving import http_answers
from train_utils.serving.exchange import NotFound
from train_utils.serving.hang_ups import stopped_when_gone
from train_utils.serving.http_answers import documented
from train_utils.serving.http_observed import Metrics
from train_utils.serving.http_wire import Feedback, Recommend, Why
from train_utils.serving.service import Service
from train_utils.serving.waiting_threads import Threads


def add_list_routes(app: FastAPI, service: Service, threads: Threads, metrics: Metrics, reader: Dependency) -> None:
    """Add the routes of lists, items, catalogs and models; `reader` refuses a request without the right to read."""

    @app.post(
        "/v1/recommend",
        dependencies=[reader],
        **documented(http_answers.RecommendedList, "The next items of a user"),
    )
    async def recommend(body: Recommend, http: Request) -> dict[str, object]:
        stop = threading.Event()
        async with stopped_when_gone(http, stop):
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
        async with stopped_when_gone(http, stop):
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
        return {"object": "list", "data": [await model(service.model)]}

    @app.get(
        "/v1/models/{name}",
        dependencies=[reader],
        **documented(http_answers.Model, "The model, in OpenAI's form"),
    )
    async def model(name: str) -> dict[str, object]:
        if name != service.model:
            raise NotFound(f"no model {name[:80]!r}; there is {service.model}")
        return {"id": service.model, "object": "model", "created": 0, "owned_by": "reclm"}


def add_feedback_route(app: FastAPI, service: Service, metrics: Metrics, giver: Dependency) -> None:
    """Add `/v1/feedback`; `giver` refuses a request without the right to give feedback."""

    @app.post("/v1/feedback", dependencies=[giver], status_code=204, summary="What a user did with an item of a list")
    async def feedback(body: Feedback) -> None:
        service.feedback(body.recommendation_id, body.item_id, body.event, body.value, body.at)
        metrics.feedback.labels(body.event).inc()
