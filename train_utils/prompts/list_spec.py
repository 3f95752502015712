"""List specification: what a list request asks for, its wording, and random categories and candidates."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from train_utils.catalog import Catalog
from train_utils.prompts.messages import Message, message
from train_utils.prompts.templates import (
    COLD_START,
    ONLY_CATEGORY_TEST,
    RANKING_TEST,
    SEQREC_TEST,
    SYSTEM,
    WITHOUT_CATEGORY_TEST,
    Template,
    candidate_parts,
    fill,
    history_parts,
    in_words,
)

LIST_LENGTH = 5  # items of a list where a message of the chat asks for recommendations and names no number


@dataclass(frozen=True, slots=True)
class ListSpec:
    """What a list request asks for.

    Attributes:
        k: number of items.
        in_words: whether the number is spelled out.
        category: the category that the list keeps to or avoids; "" for any item.
        inside: whether the items of the list have the category, or must not have it.
        candidates: items to select from, in the order shown; () for the whole catalog.
    """

    CONDITIONS: ClassVar = ("only", "without", "candidates")  # keys of `to_dict` that restrict the items

    k: int
    in_words: bool = False
    category: str = ""
    inside: bool = True
    candidates: tuple[int, ...] = ()

    def admits(self, item: int, catalog: Catalog) -> bool:
        """Return whether an item satisfies the specification."""
        if self.candidates:
            return item in self.candidates
        return not self.category or (item in catalog.categories[self.category]) == self.inside

    def admitted(self, catalog: Catalog) -> frozenset[int] | None:
        """Return all items that satisfy the specification, for an item rule; None for the whole catalog."""
        if self.candidates or not self.category:
            return frozenset(self.candidates) or None
        members = catalog.categories[self.category]
        return members if self.inside else frozenset(range(len(catalog.items))) - members

    def to_dict(self, catalog: Catalog) -> dict[str, object]:
        """Return the request in item ids, for a result file."""
        record: dict[str, object] = {"k": self.k}
        if self.category:
            record["only" if self.inside else "without"] = self.category
        if self.candidates:
            record["candidates"] = catalog.ids(self.candidates)
        return record


def list_messages(
    history: Sequence[int],
    spec: ListSpec,
    *,
    exchange: Sequence[Message] = (),
    names_symbols: bool = False,
    marked_history: bool = False,
) -> list[Message]:
    """Return the conversation that asks for a list, up to the model's answer.

    Args:
        history: item indices, oldest first; may be empty.
        spec: the list specification.
        exchange: earlier messages of the conversation.
        names_symbols: whether the wording names the control symbols.
        marked_history: whether items of the history are written between control tokens.
    """
    wordings = SEQREC_TEST if history else COLD_START
    if spec.candidates:
        wordings = RANKING_TEST
    elif spec.category:
        wordings = ONLY_CATEGORY_TEST if spec.inside else WITHOUT_CATEGORY_TEST
    template = next(template for template in wordings if template.names_symbols == names_symbols)
    return [message("system", SYSTEM), *exchange, request_message(template, history, spec, marked_history)]


def request_message(template: Template, history: Sequence[int], spec: ListSpec, marked: bool) -> Message:
    """Return the user message that asks for a list.

    Args:
        template: the wording.
        history: item indices, oldest first.
        spec: the list specification.
        marked: whether the items shown are written between control tokens.
    """
    return message(
        "user",
        *fill(
            template,
            history=history_parts(history, marked),
            k=in_words(spec.k) if spec.in_words else spec.k,
            category=spec.category,
            candidates=candidate_parts(spec.candidates, marked),
        ),
    )


def draw_category(catalog: Catalog, target: int, history: Sequence[int], rng: random.Random) -> tuple[str, bool]:
    """Draw a category for a request: one of the target, or one to avoid that the target lacks.

    A category to avoid is one of the history where possible.

    Args:
        catalog: the catalog.
        target: index of the target.
        history: item indices.
        rng: source of randomness.

    Returns:
        (category, whether the list keeps to it rather than avoids it).
    """
    own = sorted(set(catalog.items[target].categories))
    shown = {name for item in history for name in catalog.items[item].categories}
    others = sorted(shown - set(own)) or sorted(set(catalog.categories) - set(own))
    inside = bool(own) and (not others or rng.random() < 0.5)
    return rng.choice(own if inside else others), inside


def draw_others(n_items: int, n: int, taken: Iterable[int], rng: random.Random) -> list[int]:
    """Draw `n` distinct items outside `taken`; fewer where the catalog has no more."""
    had = set(taken)
    n = min(n, n_items - len(had))
    drawn: list[int] = []
    while len(drawn) < n:
        item = rng.randrange(n_items)
        if item not in had:
            had.add(item)
            drawn.append(item)
    return drawn


def check_categories(task: str, catalog: Catalog) -> None:
    """Check that a catalog has categories to ask for and to avoid.

    Raises:
        ValueError: the catalog has fewer than two categories.
    """
    if len(catalog.categories) < 2:
        raise ValueError(
            f"task {task} needs items of two or more categories, {catalog.name!r} has "
            f"{len(catalog.categories)}; leave it out"
        )
