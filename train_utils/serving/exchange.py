"""Requests to the service, the events of its answers, and its errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from train_utils.decoding.events import TextDelta
from train_utils.dialogue.answers import Notice
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.serving.saved_preferences import SavedPreferences


class RequestError(ValueError):
    """A request that cannot be answered as it stands; the text is one line for the client."""


class NotFound(RequestError):
    """There is no such domain or item."""


class TeacherUnavailable(Exception):
    """The teacher, whose scores are a part of lists, does not answer as wanted."""


# Addresses and paths are for those who run the server.
NO_TEACHER = "it does not answer as wanted, and the log of this server has the reason"


@dataclass(frozen=True, kw_only=True)
class ServiceLimits:
    """Limits of requests.

    Attributes:
        items: items of a list at most.
        history: items of a history at most.
        messages: messages of a conversation at most.
        characters: characters of a message at most.
        found: items of a search at most.
    """

    items: int = 100
    history: int = 1000
    messages: int = 200
    characters: int = 100_000
    found: int = 50

    def check_history(self, history: Sequence[str]) -> None:
        """Raise RequestError for a history that is too long."""
        if len(history) > self.history:
            raise RequestError(f"the history has {len(history)} items, wanted {self.history} or fewer")


def check_size(name: str, value: int, most: int) -> None:
    """Raise RequestError for a number that is not within 1 and `most`."""
    if not 1 <= value <= most:
        raise RequestError(f"{name} is {str(value)[:80]}, wanted 1 to {most}")


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """Conversation to answer.

    Attributes:
        messages: (role, text), oldest first; roles are system, user and assistant, and the last one is the user's.
        domain: name of the catalog; "" for the server's first.
        history: item ids or titles that the user consumed before, oldest first.
        rules: item rules that hold in addition to what the user asks.
        k: items of a list for which the user names no number.
        decoding: how titles are decoded, one of `train_utils.recommender.DECODING`; "" for the variant's, or rank.
        max_new_tokens: length limit of the answer. A list that was asked for is added to it.
        cuts_lists: whether the limit also holds for lists, which may then end early.
        preferences: what the conversation asked before its last message; None reads the messages.
        notices_in_text: whether what a terminal would print next to the answer is a line of the answer's text.
        user: any name of the user, which is hashed; "" for none.
    """

    messages: Sequence[tuple[str, str]]
    domain: str = ""
    history: Sequence[str] = ()
    rules: Mapping[str, object] = field(default_factory=dict)
    k: int = LIST_LENGTH
    decoding: str = ""
    max_new_tokens: int = 512
    cuts_lists: bool = False
    preferences: SavedPreferences | None = None
    notices_in_text: bool = True
    user: str = ""


@dataclass(frozen=True)
class Listed:
    """Item of an answer, with its place in the text.

    Attributes:
        card: the item as a JSON object.
    """

    card: Mapping[str, object]


@dataclass(frozen=True)
class Understood:
    """What was understood, before the answer.

    Attributes:
        text: in words; "" for nothing.
        preferences: as data, which the next request may send back.
        recommendation_id: names the list of the answer in feedback.
        variant: name of the user's variant; None without variants.
    """

    text: str
    preferences: SavedPreferences
    recommendation_id: str = ""
    variant: str | None = None


@dataclass(frozen=True)
class Finished:
    """End of an answer.

    Attributes:
        finish: as in `train_utils.decoding.request.Completion`.
        prompt_tokens: tokens that the model read; 0 where it was not needed.
        completion_tokens: tokens that it wrote.
        preferences: what the conversation asked so far, its answer included.
    """

    finish: str
    prompt_tokens: int
    completion_tokens: int
    preferences: SavedPreferences


ServiceEvent = TextDelta | Listed | Notice | Understood | Finished
