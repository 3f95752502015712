"""Annotated spans of a user's message. Each reader marks what it understood, and later readers skip those spans."""

from collections.abc import Iterable
from dataclasses import dataclass

MASK = "\ue000"  # stands for each character of an annotated span; the reader takes it out of messages
# Patterns for a whole masked span, and for what is neither that nor a word. Both are possessive: what they match is not
# tried again in parts, so that patterns with several of them take linear time.
SPAN = rf"{MASK}++"
GAP = rf"[^\w{MASK}]*+"


@dataclass(frozen=True)
class Annotation:
    """Span of a text and what it means.

    Attributes:
        start: position of its first character.
        end: position after its last character.
        value: a `Mention`, `CategoryWords`, a `Range`, or the number of items.
    """

    start: int
    end: int
    value: object


def masked(text: str, annotations: Iterable[Annotation]) -> str:
    """Return a text of the same length in which annotated spans cannot match a word or a number."""
    characters = list(text)
    for annotation in annotations:
        characters[annotation.start : annotation.end] = MASK * (annotation.end - annotation.start)
    return "".join(characters)
