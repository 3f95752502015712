"""Messages that refer to items, and numbered lists."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemPart:
    """Item of the catalog, written as `<SOI>` title `<EOI>`.

    Attributes:
        item: its index.
    """

    item: int


@dataclass(frozen=True, slots=True)
class TitlePart:
    """Item of the catalog that running text names, without control tokens.

    Attributes:
        item: its index.
    """

    item: int


@dataclass(frozen=True, slots=True)
class ControlPart:
    """Control symbol that a text mentions.

    Attributes:
        which: "soi" or "eoi".
    """

    which: str


Part = str | ItemPart | TitlePart | ControlPart


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    parts: tuple[Part, ...]


def message(role: str, *parts: Part) -> Message:
    return Message(role, parts)


def separator(rank: int, idx: bool) -> str:
    """Return the text before the item of this rank (from 1) in a list."""
    return ("" if rank == 1 else "\n") + (f"{rank}. " if idx else "")


def numbered(items: Iterable[int], idx: bool) -> tuple[Part, ...]:
    """Return the parts of an answer that lists `items`, one per line, numbered when `idx` is set."""
    parts: list[Part] = []
    for rank, item in enumerate(items, 1):
        parts += [separator(rank, idx), ItemPart(item)]
    return tuple(part for part in parts if part != "")
