"""Messages of a request as the turns of a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from train_utils.characters import whole_characters
from train_utils.serving.exchange import RequestError, ServiceLimits


@dataclass(frozen=True)
class Turns:
    """A conversation up to the message to answer.

    Attributes:
        system: texts of the system.
        begun: what the assistant said before the user said anything; "" for nothing.
        exchanges: (user, assistant), oldest first.
        text: the message to answer.
    """

    system: str
    begun: str
    exchanges: list[tuple[str, str]]
    text: str


def turns_of(messages: Sequence[tuple[str, str]], limits: ServiceLimits) -> Turns:
    """Return the turns of messages; what one side said in several messages is joined.

    Clients split what was said at once, for instance around calls of tools.

    Args:
        messages: (role, text), oldest first; roles are system, user and assistant.
        limits: numbers of messages and of their characters.

    Raises:
        RequestError: the last message is not the user's, or a limit is exceeded.
    """
    if not messages or messages[-1][0] != "user" or not messages[-1][1].strip():
        raise RequestError("the last message must be the user's and have a text; add one with role user")
    if len(messages) > limits.messages:
        raise RequestError(f"{len(messages)} messages, wanted {limits.messages} or fewer; leave out old ones")
    if (longest := max(len(text) for _, text in messages)) > limits.characters:
        raise RequestError(f"a message has {longest} characters, wanted {limits.characters} or fewer; shorten it")
    whole = [(role, whole_characters(text)) for role, text in messages]
    spoken = groupby((one for one in whole if one[0] != "system"), key=lambda one: one[0])
    sides = [(role, "\n".join(text for _, text in of_role)) for role, of_role in spoken]
    begun = sides.pop(0)[1] if sides[0][0] == "assistant" else ""
    said = [text for _, text in sides]
    return Turns(
        system="\n".join(text for role, text in whole if role == "system"),
        begun=begun,
        exchanges=list(zip(said[:-1:2], said[1::2], strict=True)),
        text=said[-1],
    )
