"""Prompt wordings as frozen records, and the one function that fills them. No branching on tasks here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from train_utils.chat import ControlPart, ItemPart, Part, TitlePart

SYSTEM = "You are an expert recommender and a helpful assistant."


@dataclass(frozen=True, slots=True)
class Template:
    """One wording. `{history}` (which brings its own space), `{k}`,
    `{category}`, `{candidates}`, `{soi}`, `{eoi}` are filled in.

    Attributes:
        text: the user's words.
        names_symbols: whether the wording names the control symbols.
    """

    text: str
    names_symbols: bool = False


# Wordings of training and of testing differ on purpose: a test shall not reward a memorised sentence.
SEQREC = (
    Template("I have enjoyed these, oldest first:{history}\nWhat {k} titles should come next?"),
    Template("My history so far:{history}\nRecommend {k} more."),
    Template("I liked{history}. Can you suggest {k} others?"),
    Template("Hi! Lately it was{history} for me. Please name {k} that fit."),
    Template("Recently, in order:{history}\nList {k} I may like, each between {soi} and {eoi}.", True),
    Template("After{history} I want {k} new suggestions, every title inside {soi} and {eoi}.", True),
)
SEQREC_TEST = (
    Template("These are what I chose lately, in order:{history}\nPlease recommend {k} titles."),
    Template(
        "These are what I chose lately, in order:{history}\nPlease recommend {k} titles, each in {soi} and {eoi}.",
        True,
    ),
)
# Names one title and asks for it: the analysis of RecLM-ret's embeddings.
NAME_ITEM = Template("I am looking for{history}. Please recommend it.")

_SLOT = re.compile(r"\{(\w+)\}")


def fill(template: Template, **values: str | int | Sequence[Part]) -> tuple[Part, ...]:
    """The parts of a wording with its slots filled. Raises ValueError when a slot has no value."""
    parts: list[Part] = []
    for i, piece in enumerate(_SLOT.split(template.text)):
        if i % 2 == 0:
            parts.append(piece)
        elif piece in ("soi", "eoi"):
            parts.append(ControlPart(piece))
        elif piece not in values:
            raise ValueError(f"the wording {template.text!r} needs a value for {piece!r}, got {sorted(values)}")
        elif isinstance(values[piece], (str, int)):
            parts.append(str(values[piece]))
        else:
            parts += values[piece]
    return tuple(part for part in parts if part != "")


def history_parts(items: Sequence[int], marked: bool) -> list[Part]:
    """A history: items between control tokens as in an answer (`marked`), or plain titles joined by arrows."""
    if marked:
        return [ItemPart(item) for item in items]
    parts: list[Part] = []
    for position, item in enumerate(items):
        parts += [" ->"] * (position > 0) + [TitlePart(item)]
    return parts
