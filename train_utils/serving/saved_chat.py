"""Conversations in files: `/save` writes one, `/load` reads it back. A file of a stranger is data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from train_utils.catalog import Catalog
from train_utils.characters import whole_characters
from train_utils.dialogue.dialogue import Dialogue, Listing
from train_utils.files.atomic import write_json
from train_utils.files.json_files import read_bounded_json
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.serving.saved_preferences import Record, SavedPreferences, restored, saved

MAX_FILE = 8 << 20  # bytes; a conversation has kilobytes
MAX_EXCHANGES = 1000  # of which the model reads the newest; finding how many takes time


class _Item(Record):
    item: str


class _Exchange(Record):
    user: str
    answer: list[str | _Item]


class SavedChat(Record):
    """A conversation in a file, with items by their ids."""

    format: Literal["reclm chat 1"] = "reclm chat 1"
    domain: str
    profile: list[str]
    last: list[str]
    preferences: SavedPreferences
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
    record = SavedChat(
        domain=domain,
        profile=ids(dialogue.profile),
        last=ids(dialogue.last.items),
        preferences=saved(dialogue.preferences, catalog),
        exchanges=exchanges,
    )
    write_json(path, record.model_dump())


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


def resume(record: SavedChat, dialogue: Dialogue) -> None:
    """Set a dialogue to the state of a saved conversation.

    Args:
        record: the conversation.
        dialogue: a dialogue in the catalog of its domain; unchanged where this raises.

    Raises:
        ValueError: the conversation names an item, a category or an attribute that the catalog lacks.
    """
    catalog = dialogue.recommender.catalog
    exchanges = [
        (message("user", whole_characters(turn.user)), Message("assistant", _parts(turn.answer, catalog)))
        for turn in record.exchanges
    ]
    preferences = restored(record.preferences, catalog)
    profile, last = (_indices(ids, catalog) for ids in (record.profile, record.last))
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
