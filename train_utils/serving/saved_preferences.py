"""What a conversation has asked for, as JSON with items by their ids. What comes from outside is data."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat

from train_utils.catalog import Catalog
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.preferences import Preferences
from train_utils.conversation.words.numerals import MOST
from train_utils.serving.field_errors import OnlyKnown


class Record(OnlyKnown):
    """Part of a saved conversation: no other keys, no conversion of types."""

    model_config = ConfigDict(strict=True)


class SavedRange(Record):
    """`Range` of an attribute; None is no bound, and a bound itself is outside where `above` or `below` says so."""

    attribute: str
    low: FiniteFloat | None
    high: FiniteFloat | None
    above: bool = False
    below: bool = False
    relative: bool = False


class SavedPreferences(Record):
    """`Preferences` with items by their ids; a title is the list of the ids that share it."""

    count: int | None = Field(None, ge=1, le=MOST)
    liked: list[list[str]] = []
    disliked: list[list[str]] = []
    known: list[list[str]] = []
    only: list[str] = []
    together: bool = False
    without: list[str] = []
    quotas: dict[str, Annotated[int, Field(ge=1, le=MOST)]] = {}
    limits: dict[str, Annotated[int, Field(ge=1, le=MOST)]] = {}
    ranges: list[SavedRange] = []
    excluded: list[SavedRange] = []
    listed: list[str] = []
    mentioned: list[list[str]] = []


def saved(asked: Preferences, catalog: Catalog | None) -> SavedPreferences:
    """Return preferences in the form to save.

    Args:
        asked: the preferences.
        catalog: their catalog; None for none, in which case they hold no items.
    """

    def ids(items: Sequence[int]) -> list[str]:
        return catalog.ids(items) if catalog else []

    return SavedPreferences(
        count=asked.count,
        liked=list(map(ids, asked.liked)),
        disliked=list(map(ids, asked.disliked)),
        known=list(map(ids, asked.known)),
        only=list(asked.only),
        together=asked.together,
        without=list(asked.without),
        quotas=dict(asked.quotas),
        limits=dict(asked.limits),
        ranges=[SavedRange(**asdict(entry)) for entry in asked.ranges.values()],
        excluded=[SavedRange(**asdict(entry)) for entry in asked.excluded],
        listed=ids(asked.listed),
        mentioned=list(map(ids, asked.mentioned)),
    )


def restored(record: SavedPreferences, catalog: Catalog | None) -> Preferences:
    """Return the preferences of a record.

    Raises:
        ValueError: it names an item, a category or an attribute that the catalog lacks.
    """
    if catalog is None:
        return Preferences()
    for name in (*record.only, *record.without, *record.quotas, *record.limits):
        catalog.in_category(name)
    attributes = {name for item in catalog.items for name in item.attributes}
    if unknown := {entry.attribute for entry in (*record.ranges, *record.excluded)} - attributes:
        raise ValueError(f"no item of {catalog.name!r} has attribute {min(unknown)[:80]!r}")
    liked, disliked, known, mentioned = (
        tuple(tuple(catalog.indices(ids)) for ids in titles if ids)
        for titles in (record.liked, record.disliked, record.known, record.mentioned)
    )
    return Preferences(
        count=record.count,
        liked=liked,
        disliked=disliked,
        known=known,
        only=tuple(record.only),
        together=record.together,
        without=tuple(record.without),
        quotas=tuple(record.quotas.items()),
        limits=record.limits,
        excluded=tuple(Range(**entry.model_dump()) for entry in record.excluded),
        ranges={entry.attribute: Range(**entry.model_dump()) for entry in record.ranges},
        listed=tuple(catalog.indices(record.listed)),
        mentioned=mentioned,
    )
