"""Why an item was listed: what its place in the list is due to, found by leaving out what the user likes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.dialogue.dialogue import Listing
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.prompts.named_titles import spoken_title

_SHOWN = 3  # liked titles of a reason
_LEFT_OUT = 20  # newest items of the history that are left out one by one
_NOTABLE = 0.1  # change of a score, in nats, below which an item did not matter


@dataclass(frozen=True)
class Reason:
    """Why an item was listed.

    Attributes:
        item: index of the item.
        because: items of the user's history, by how much the item's score falls without each, the most first.
        conditions: what the user asked for, which the item meets, in words.
        popular: whether nothing is known of the user, so that the item is listed because others like it.
    """

    item: int
    because: tuple[int, ...]
    conditions: tuple[str, ...]
    popular: bool

    def text(self, catalog: Catalog) -> str:
        """Return the reason as a sentence that names only this item and items of the history."""
        liked = _listing([spoken_title(catalog.items[item].title) for item in self.because])
        parts = [f"you like {liked}"] if liked else []
        parts += [f"you asked for {_listing(self.conditions)}"] if self.conditions else []
        if self.popular:
            parts.append("many users like it")
        if not parts:
            parts.append("it follows from the conversation as a whole, no single title decided it")
        return f"{spoken_title(catalog.items[self.item].title)}: {'; '.join(parts)}."


def falls(expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, dict[int, float]]:
    """Return how much the scores of items fall without each item of the user's history.

    The score is what the prior adds to the model's choice in the conversation, which is not asked again.

    Args:
        expectations: makes the prior.
        taste: what was known of the user's taste.
        items: indices of the items to explain.

    Returns:
        item -> {item of the history: fall of its score, in nats}.
    """
    history = tuple(dict.fromkeys((*taste.history, *taste.examples)))[-_LEFT_OUT:]
    if len(history) == 1:  # without it nothing is known of the user, and popularity would rank
        return {item: {history[0]: math.inf} for item in items}
    tastes = [taste, *map(taste.without, history)]
    full, *rest = expectations.scores(tastes)
    return {
        item: {left: float(full[item] - scores[item]) for left, scores in zip(history, rest, strict=True)}
        for item in items
    }


def reasons(expectations: Expectations, listing: Listing, items: Sequence[int], catalog: Catalog) -> list[Reason]:
    """Return why each item was listed.

    Args:
        expectations: made the prior of the list.
        listing: the list.
        items: indices of the items to explain.
        catalog: the catalog.
    """
    fallen = falls(expectations, listing.taste, items)
    known = bool(listing.taste.history or listing.taste.examples)
    return [
        Reason(item, _most(fallen[item]), listing.preferences.met_by(catalog.items[item]), popular=not known)
        for item in items
    ]


def _most(fallen: Mapping[int, float]) -> tuple[int, ...]:
    notable = [item for item, fall in fallen.items() if fall > _NOTABLE]
    return tuple(sorted(notable, key=lambda item: -fallen[item])[:_SHOWN])


def _listing(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
