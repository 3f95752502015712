"""What a request for a list asks: its length, category, candidates, and how they are drawn."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.prompts.messages import Message, message
from train_utils.prompts.templates import (
    COLD_START,
    ONLY_CATEGORY_TEST,
    RANKING_TEST,
    SEQREC_TEST,
    SYSTEM,
    WITHOUT_CATEGORY_TEST,
    candidate_parts,
    fill,
    history_parts,
    in_words,
)


@dataclass(frozen=True, slots=True)
class ListSpec:
    """What a request asks for.

    Attributes:
        k: how many items. in_words: the number is spelled out.
        category: the answer keeps to it (`wanted`) or keeps out of it; "" for anything.
        candidates: items to select from, as they are shown; () for the whole catalog.
    """

    k: int
    in_words: bool = False
    category: str = ""
    wanted: bool = True
    candidates: tuple[int, ...] = ()

    def admits(self, item: int, catalog: Catalog) -> bool:
        """Whether an item keeps to it."""
        if self.candidates:
            return item in self.candidates
        return not self.category or (item in catalog.categories[self.category]) == self.wanted

    def admitted(self, catalog: Catalog) -> frozenset[int] | None:
        """All items that keep to it, to make a rule of; None for the whole catalog."""
        if self.candidates or not self.category:
            return frozenset(self.candidates) or None
        members = catalog.categories[self.category]
        return members if self.wanted else frozenset(range(len(catalog.items))) - members

    def to_dict(self, catalog: Catalog) -> dict[str, object]:
        """Return the request in item ids, for a result file."""
        record: dict[str, object] = {"k": self.k}
        if self.category:
            record["only" if self.wanted else "without"] = self.category
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
    """Return the conversation that asks for a list, up to where the model is to answer.

    Args:
        history: item indices, oldest first; may be empty.
        spec: what the list has to hold.
        exchange: earlier messages of the conversation.
        names_symbols: use the wording that names the control symbols.
        marked_history: write items of the history between control tokens.
    """
    wordings = SEQREC_TEST if history else COLD_START
    if spec.candidates:
        wordings = RANKING_TEST
    elif spec.category:
        wordings = ONLY_CATEGORY_TEST if spec.wanted else WITHOUT_CATEGORY_TEST
    asked = fill(
        next(template for template in wordings if template.names_symbols == names_symbols),
        history=history_parts(history, marked_history),
        k=in_words(spec.k) if spec.in_words else spec.k,
        category=spec.category,
        candidates=candidate_parts(spec.candidates, marked_history),
    )
    return [message("system", SYSTEM), *exchange, message("user", *asked)]


def draw_category(catalog: Catalog, target: int, history: Sequence[int], rng: random.Random) -> tuple[str, bool]:
    """(category, whether it is wanted): one of the target, or one to leave out that the target lacks, of the history's
    where it can."""
    own = sorted(set(catalog.items[target].categories))
    shown = {name for item in history for name in catalog.items[item].categories}
    others = sorted(shown - set(own)) or sorted(set(catalog.categories) - set(own))
    wanted = bool(own) and (not others or rng.random() < 0.5)
    return rng.choice(own if wanted else others), wanted


def draw_others(n_items: int, n: int, taken: Iterable[int], rng: random.Random) -> list[int]:
    """`n` different items outside `taken`; fewer where there are no more."""
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
    """Raises ValueError where nothing could be asked for or left out."""
    if len(catalog.categories) < 2:
        raise ValueError(
            f"task {task} needs items of two or more categories, {catalog.name!r} has "
            f"{len(catalog.categories)}; leave it out"
        )
