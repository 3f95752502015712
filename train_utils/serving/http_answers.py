"""Forms of the answers of the HTTP API and of the tools, for documentation: clients are generated from them."""

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # before Python 3.12 pydantic cannot read the one of typing

from train_utils.serving.saved_preferences import SavedPreferences

# Further keys are allowed: what a catalog holds besides, and what later versions add.
_more = with_config(ConfigDict(extra="allow"))


@_more
class Card(TypedDict):
    """An item; keys that the catalog lacks are missing.

    Attributes:
        rank: 1 is the best; of listed items.
        score: log-probability among the admissible items; of listed items.
        span: [start, end) of the title in the text of an answer.
    """

    item_id: str
    title: str
    domain: str
    url: str
    image_url: NotRequired[str]
    price: NotRequired[float | str]
    availability: NotRequired[float | str]
    brand: NotRequired[float | str]
    product_category: NotRequired[str]
    categories: NotRequired[list[str]]
    attributes: NotRequired[dict[str, Any]]
    description: NotRequired[str]
    rank: NotRequired[int]
    score: NotRequired[float]
    catalogue_version: NotRequired[str]
    recommendation_id: NotRequired[str]
    span: NotRequired[list[int]]


class Own(TypedDict):
    """The server's own part of a list."""

    variant: NotRequired[str]


class RecommendedList(TypedDict):
    """Answer of `POST /v1/recommend`."""

    domain: str
    recommendation_id: str
    items: list[Card]
    reclm: Own


class Cause(TypedDict):
    """Item of the history that moved an item up; `score_change` without it, in nats, null for out of the list."""

    item_id: str
    title: str
    score_change: float | None


class HeldRule(TypedDict):
    """Rule of a list, or preference of a conversation, and whether the item meets it; null as the value of id lists."""

    source: Literal["rules", "preferences"]
    rule: str
    value: Any
    holds: bool


class Reason(TypedDict):
    """What moved an item up, the largest cause first, what each part of the prior adds, and which rules hold."""

    item_id: str
    title: str
    because: list[Cause]
    parts: dict[str, float]
    rules: list[HeldRule]


class Reasons(TypedDict):
    """Answer of `POST /v1/why`."""

    items: list[Reason]


class FoundItems(TypedDict):
    """Answer of `GET /v1/items/search`, best first."""

    items: list[Card]


@_more
class Described(TypedDict):
    """A catalog: its size, the items per category, and (least, largest) of each numeric attribute."""

    domain: str
    catalogue_version: str
    items: int
    categories: dict[str, int]
    ranges: dict[str, list[float]]
    events: int


class Catalogs(TypedDict):
    """Answer of `GET /v1/catalogues`."""

    data: list[Described]
    first: str
    feedback: bool
    loading: list[str]


class Version(TypedDict):
    """Version of a catalog, and the numbers of items that the change to it added, changed and retired."""

    version: int
    digest: str
    items: int
    added: int
    changed: int
    retired: int


class ChangedCatalog(Version):
    """Answer to a change of a catalog; `durable`: whether it outlives the process."""

    domain: str
    catalogue_version: str
    durable: bool
    note: NotRequired[str]


class Versions(TypedDict):
    """Answer of `GET /v1/catalogues/{domain}/versions`, oldest first."""

    domain: str
    catalogue_version: str
    versions: list[Version]


class UrlCitation(TypedDict):
    """An item as a citation: its place in the text, title and address."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(TypedDict):
    """Annotation of a chat message, which standard clients keep."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class AssistantMessage(TypedDict):
    """Message of a chat completion."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]
    items: list[Card]


class Choice(TypedDict):
    """The one choice of a chat completion."""

    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None


class Usage(TypedDict):
    """Numbers of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class OwnOfAnswer(TypedDict):
    """The server's own part of an answer: what was understood, and what a terminal would print besides."""

    understood: str
    notices: list[str]
    recommendation_id: NotRequired[str]
    variant: NotRequired[str]
    preferences: NotRequired[SavedPreferences]


class ChatCompletion(TypedDict):
    """Answer of `POST /v1/chat/completions` without `stream`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    reclm: OwnOfAnswer


@_more
class ResponseObject(TypedDict):
    """Answer of `POST /v1/responses` without `stream`; the other fields are OpenAI's."""

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: str
    output: list[dict[str, Any]]
    reclm: OwnOfAnswer


class Model(TypedDict):
    """A model, in OpenAI's form."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(TypedDict):
    """Answer of `GET /v1/models`."""

    object: Literal["list"]
    data: list[Model]


class Ready(TypedDict):
    """Answer of `GET /health/ready`, with status 503 while catalogs are loading."""

    status: Literal["ready", "loading"]
    model: str
    domains: list[str]
    loading: list[str]
    failed: list[str]


class ProblemText(TypedDict):
    """What is wrong, and how to mend it."""

    message: str
    type: str
    param: None
    code: None


class Problem(TypedDict):
    """Answer to a request that is refused, in OpenAI's form."""

    error: ProblemText


REFUSED: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request is refused"},
    "5XX": {"model": Problem, "description": "The server is overloaded, or failed"},
}


def documented(answer: object, summary: str) -> dict[str, Any]:
    """Return the description of a route for FastAPI, which does not check answers against it."""
    return {"summary": summary, "responses": {200: {"model": answer}}}


def documented_ready() -> dict[str, Any]:
    """Return the description of the route that says whether the server is ready."""
    described = documented(Ready, "What is served, and whether all of it is loaded")
    described["responses"][503] = {"model": Ready, "description": "Catalogs are loading"}
    return described


def documented_stream(answer: object, summary: str) -> dict[str, Any]:
    """Return the description of a route whose answer comes whole, or as server-sent events."""
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {200: {"model": answer, "content": events}}}
