"""Messages whose text refers to items, and the written form of a numbered list."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ItemPart:
    """An item of the catalog, written as `<SOI>` title `<EOI>`."""

    item: int


@dataclass(frozen=True, slots=True)
class TitlePart:
    """An item of the catalog named in running text, without control tokens."""

    item: int


@dataclass(frozen=True, slots=True)
class ControlPart:
    """A control symbol that a text talks about: "soi" or "eoi"."""

    which: str


Part = str | ItemPart | TitlePart | ControlPart


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    parts: tuple[Part, ...]


def message(role: str, *parts: Part) -> Message:
    return Message(role, parts)


def separator(rank: int, idx: bool) -> str:
    """What stands before the item of this rank (from 1) in a list."""
    return ("" if rank == 1 else "\n") + (f"{rank}. " if idx else "")


def numbered(items: Iterable[int], idx: bool) -> tuple[Part, ...]:
    """The parts of an answer that lists `items`, one a line, numbered when `idx` is set."""
    parts: list[Part] = []
    for rank, item in enumerate(items, 1):
        parts += [separator(rank, idx), ItemPart(item)]
    return tuple(part for part in parts if part != "")
