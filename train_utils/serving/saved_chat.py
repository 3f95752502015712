"""Conversations in files: `/save` writes one, `/load` reads it back. A file of a stranger is data."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from train_utils.catalog import Catalog
from train_utils.conversation.numerals import MOST
from train_utils.conversation.preferences import Preferences
from train_utils.conversation.ranges import Range
from train_utils.dialogue.dialogue import Dialogue, Listing
from train_utils.files import write_json
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.text_files import read_bounded_json, whole_characters

MAX_FILE = 8 << 20  # bytes; a conversation has kilobytes
MAX_EXCHANGES = 1000  # of which the model reads the newest; finding how many takes time


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Item(_Record):
    item: str


class _Range(_Record):
    attribute: str
    low: FiniteFloat | None
    high: FiniteFloat | None
    above: bool = False
    below: bool = False


class _Preferences(_Record):
    count: int | None = Field(ge=1, le=MOST)
    liked: list[list[str]]
    disliked: list[list[str]]
    known: list[list[str]]
    only: list[str]
    together: bool
    without: list[str]
    quotas: dict[str, Annotated[int, Field(ge=1, le=MOST)]] = Field(default_factory=dict)
    ranges: list[_Range]
    listed: list[str]
    mentioned: list[list[str]]


class _Exchange(_Record):
    user: str
    answer: list[str | _Item]


class SavedChat(_Record):
    """A conversation in a file, with items by their ids."""

    format: Literal["reclm chat 1"] = "reclm chat 1"
    domain: str
    profile: list[str]
    last: list[str]
    preferences: _Preferences
    exchanges: list[_Exchange] = Field(max_length=MAX_EXCHANGES)


def save_chat(path: str | Path, dialogue: Dialogue, domain: str) -> None:
    """Write a conversation to a file, atomically.

    Args:
        path: the file, which is replaced.
        dialogue: the conversation.
        domain: name of its catalog.
    """
    catalog = dialogue.recommender.catalog

    def ids(items: Sequence[int]) -> list[str]:
        return catalog.ids(items) if catalog else []

    asked = dialogue.preferences
    preferences = _Preferences(
        count=asked.count,
        liked=list(map(ids, asked.liked)),
        disliked=list(map(ids, asked.disliked)),
        known=list(map(ids, asked.known)),
        only=list(asked.only),
        together=asked.together,
        without=list(asked.without),
        quotas=dict(asked.quotas),
        ranges=[_Range(**asdict(entry)) for entry in asked.ranges.values()],
        listed=ids(asked.listed),
        mentioned=list(map(ids, asked.mentioned)),
    )
    exchanges = [
        _Exchange(
            user="".join(part for part in user.parts if isinstance(part, str)),
            answer=[
                _Item(item=ids([part.item])[0]) if isinstance(part, ItemPart) else part
                for part in answer.parts
                if isinstance(part, (str, ItemPart))
            ],
        )
        for user, answer in dialogue.exchanges[-MAX_EXCHANGES:]
    ]
    saved = SavedChat(
        domain=domain,
        profile=ids(dialogue.profile),
        last=ids(dialogue.last.items),
        preferences=preferences,
        exchanges=exchanges,
    )
    write_json(path, saved.model_dump())


def check_replaceable(path: str | Path) -> None:
    """Check that a conversation may be saved to a path.

    Raises:
        ValueError: it is a folder, its folder does not exist, or it is a file that is no saved conversation.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{path} is {'a folder' if path.is_dir() else 'in no existing folder'}, wanted a file to write"
        )
    if path.exists():
        try:
            read_chat(path)
        except (ValueError, OSError):
            raise ValueError(f"{path} exists and is no saved conversation; give another name") from None


def read_chat(path: str | Path) -> SavedChat:
    """Read a saved conversation.

    Raises:
        ValueError: the file is no saved conversation, in one line.
        OSError: the file cannot be read.
    """
    try:
        return SavedChat.model_validate(read_bounded_json(path, MAX_FILE))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{path} is no saved conversation ({where}: {first['msg']}); /save writes one") from None


def resume(saved: SavedChat, dialogue: Dialogue) -> None:
    """Set a dialogue to the state of a saved conversation.

    Args:
        saved: the conversation.
        dialogue: a dialogue in the catalog of its domain; unchanged where this raises.

    Raises:
        ValueError: the conversation names an item, a category or an attribute that the catalog lacks.
    """
    catalog = dialogue.recommender.catalog
    exchanges = [
        (message("user", whole_characters(turn.user)), Message("assistant", _parts(turn.answer, catalog)))
        for turn in saved.exchanges
    ]
    preferences = _preferences(saved.preferences, catalog)
    profile, last = (_indices(ids, catalog) for ids in (saved.profile, saved.last))
    dialogue.begin()
    dialogue.exchanges, dialogue.preferences = exchanges, preferences
    dialogue.profile = profile
    dialogue.last = Listing(last, dialogue.taste, preferences)


def _indices(ids: Sequence[str], catalog: Catalog | None) -> tuple[int, ...]:
    return tuple(catalog.indices(ids)) if catalog else ()


def _parts(answer: Sequence[str | _Item], catalog: Catalog | None) -> tuple[Part, ...]:
    parts: list[Part] = []
    for part in answer:
        parts += [whole_characters(part)] if isinstance(part, str) else map(ItemPart, _indices([part.item], catalog))
    return tuple(parts)


def _preferences(saved: _Preferences, catalog: Catalog | None) -> Preferences:
    if catalog is None:
        return Preferences()
    for name in (*saved.only, *saved.without, *saved.quotas):
        catalog.in_category(name)
    attributes = {name for item in catalog.items for name in item.attributes}
    if unknown := {entry.attribute for entry in saved.ranges} - attributes:
        raise ValueError(f"no item of {catalog.name!r} has attribute {min(unknown)[:80]!r}")
    liked, disliked, known, mentioned = (
        tuple(_indices(ids, catalog) for ids in titles if ids)
        for titles in (saved.liked, saved.disliked, saved.known, saved.mentioned)
    )
    return Preferences(
        count=saved.count,
        liked=liked,
        disliked=disliked,
        known=known,
        only=tuple(saved.only),
        together=saved.together,
        without=tuple(saved.without),
        quotas=tuple(saved.quotas.items()),
        ranges={entry.attribute: Range(**entry.model_dump()) for entry in saved.ranges},
        listed=_indices(saved.listed, catalog),
        mentioned=mentioned,
    )
