"""Bodies of the HTTP API, checked by pydantic: the OpenAI forms, and those of this server."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    model_validator,
)

from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.serving.exchange import ChatRequest, RequestError
from train_utils.serving.field_errors import OnlyKnown
from train_utils.serving.lists import ListRequest
from train_utils.serving.saved_preferences import SavedPreferences

T = TypeVar("T")


def _no_truth_or_text(value: T) -> T:
    """Return a value. Raises ValueError for true, false and texts, which pydantic takes for numbers."""
    if isinstance(value, (bool, str)):
        raise ValueError(f"it is {value if isinstance(value, bool) else 'a text'}, wanted a number")
    return value


def _only_text(value: T) -> T:
    """Return a text. Raises ValueError for another value, such as a number, which pydantic takes for seconds."""
    if not isinstance(value, (str, datetime)):
        raise ValueError("it is no text, wanted a time with its zone, such as 2026-01-31T12:00:00Z")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_or_text)]
Number = Annotated[FiniteFloat, BeforeValidator(_no_truth_or_text)]
Seed = Annotated[Whole, Field(ge=0, lt=2**53)]
Time = Annotated[AwareDatetime, BeforeValidator(_only_text)]
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
Name = Annotated[str, Field(max_length=200)]
ItemId = Annotated[str, Field(max_length=10_000)]
User = Annotated[str, Field(max_length=10_000)]


class Open(BaseModel):
    """Body of an OpenAI form, as its clients expect: unknown fields are ignored, and null is a field left out."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: object) -> object:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}


class Closed(OnlyKnown):
    """Body of this server's own form: an unknown field is an error, because it would silently have no effect."""


class Options(Closed):
    """The server's own options of a conversation, under the key `reclm`.

    Attributes:
        domain: name of the catalog; "" for the server's first.
        history: item ids or titles that the user consumed before, oldest first.
        rules: item rules, as in docs/decoding.md.
        k: items of a list for which the user names no number.
        seed: taken as that of lists is; answers are equal for every seed.
        decoding: "rank", "best" or "greedy"; "" is the user's variant's, or rank.
        preferences: what was understood before, as an earlier answer returned it; the conversation is not read again.
        notices: "text" writes into the answer what a terminal would print next to it; "data" only returns it.
    """

    domain: Name = ""
    history: list[ItemId] = []
    rules: dict[str, object] = {}
    k: Whole = LIST_LENGTH
    seed: Seed | None = None
    decoding: Name = ""
    preferences: SavedPreferences | None = None
    notices: Literal["text", "data"] = "text"


class TextPart(Open):
    type: str = "text"
    text: str = ""


class ChatMessage(Open):
    role: Name
    content: str | list[TextPart] | None = None
    tool_calls: object = None

    def text(self) -> str:
        """Return the text of a message; parts that are no text are left out."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type in ("text", "input_text", "output_text"))
        return self.content or ""


def _pairs(messages: Sequence[ChatMessage]) -> list[tuple[str, str]]:
    """Return (role, text) of the messages; calls of tools, and what tools answered, are left out."""
    said = ((entry, entry.text()) for entry in messages if entry.role in _ROLES)
    return [(_ROLES[entry.role], text) for entry, text in said if text or not entry.tool_calls]


class StreamOptions(Open):
    include_usage: StrictBool = False


class Completions(Open):
    """Body of `POST /v1/chat/completions`. Answers are greedy: temperature and its kin have no effect."""

    messages: list[ChatMessage]
    model: Name = ""
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    user: User | None = None
    reclm: Options = Options()

    def request(self, default_tokens: int) -> ChatRequest:
        """Return the request to the service."""
        given = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return _chat_request(_pairs(self.messages), given, default_tokens, self.reclm, self.user)


class InputItem(ChatMessage):
    """Message of a conversation, or another item, such as one of an earlier response, which has no role."""

    type: Name = "message"
    role: Name = ""


# What OpenAI keeps between requests, by the field of a request that names it.
_KEPT = {
    "previous_response_id": "send the whole conversation as input",
    "conversation": "send the whole conversation as input",
    "prompt": "send its text as instructions",
}


class Responses(Open):
    """Body of `POST /v1/responses`. No conversation is kept between requests.

    Attributes:
        previous_response_id, conversation, prompt: refused, as an item of the input that is a reference is, because
            without what they name the answer would be another one.
    """

    input: str | list[InputItem]
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: object = None
    prompt: object = None
    model: Name = ""
    stream: StrictBool = False
    max_output_tokens: Whole | None = None
    user: User | None = None
    reclm: Options = Options()

    def request(self, default_tokens: int) -> ChatRequest:
        """Return the request to the service."""
        for name, remedy in _KEPT.items():
            if getattr(self, name) is not None:
                raise RequestError(f"{name} is not kept here; {remedy}")
        if isinstance(self.input, list) and any(item.type == "item_reference" for item in self.input):
            raise RequestError("the items of earlier responses are not kept here; send the item, not an item_reference")
        said = [("user", self.input)] if isinstance(self.input, str) else _pairs(self.input)
        messages = [("system", self.instructions), *said] if self.instructions else said
        return _chat_request(messages, self.max_output_tokens, default_tokens, self.reclm, self.user)


def _chat_request(
    messages: list[tuple[str, str]], given: int | None, default_tokens: int, options: Options, user: str | None
) -> ChatRequest:
    """Return a request to the service; a limit that the client has given holds for lists as well."""
    return ChatRequest(
        messages=messages,
        domain=options.domain,
        history=options.history,
        rules=options.rules,
        k=options.k,
        decoding=options.decoding,
        max_new_tokens=default_tokens if given is None else given,
        cuts_lists=given is not None,
        preferences=options.preferences,
        notices_in_text=options.notices == "text",
        user=user or "",
    )


class ListOptions(Closed):
    """The server's own options of a list, under the key `reclm`.

    Attributes:
        explore: temperature at which the list is drawn; 0 lists the most probable items.
        seed: seed of the draw; None draws one.
    """

    explore: Number | None = None
    seed: Seed | None = None


class Recommend(Closed):
    """Body of `POST /v1/recommend`."""

    history: list[ItemId] = []
    k: Whole = LIST_LENGTH
    rules: dict[str, object] = {}
    domain: Name = ""
    max_history: Whole | None = None
    user: User | None = None
    reclm: ListOptions = ListOptions()

    def request(self) -> ListRequest:
        """Return the request to the service."""
        return ListRequest(
            history=self.history,
            k=self.k,
            rules=self.rules,
            domain=self.domain,
            max_history=self.max_history,
            explore=self.reclm.explore,
            seed=self.reclm.seed,
            user=self.user or "",
        )


class Feedback(Closed):
    """Body of `POST /v1/feedback`: what a user did with an item of a list or of an answer.

    Attributes:
        value: such as a price or a rating.
        at: when it happened, if not now: a time with its zone.
    """

    recommendation_id: Name
    item_id: ItemId
    event: Literal["impression", "click", "like", "dislike", "purchase", "hide"]
    value: Number | None = None
    at: Time | None = None


class Why(Closed):
    """Body of `POST /v1/why`.

    Attributes:
        rules: item rules of the list, of which the answer says which hold.
        preferences: what a conversation had asked for, as its answer returned it; the same.
    """

    history: list[ItemId] = []
    item_ids: list[ItemId]
    domain: Name = ""
    rules: dict[str, object] = {}
    preferences: SavedPreferences | None = None
