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


@dataclass(frozen=True)
class Moved:
    """What moves an item up for a user.

    Attributes:
        falls: item of the user's history -> fall of the score without it, in nats; infinite for the only one.
        lifts: part of the prior -> what it adds to the score beyond an equal share, in nats.
    """

    falls: Mapping[int, float]
    lifts: Mapping[str, float]


def moved(expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, Moved]:
    """Return what moves items up for a user; model and teacher are asked once, for all histories.

    The score is what the prior adds to the model's choice in the conversation, which is not asked again.

    Args:
        expectations: makes the prior.
        taste: what was known of the user's taste.
        items: indices of the items to explain.
    """
    history = tuple(dict.fromkeys((*taste.history, *taste.examples)))[-_LEFT_OUT:]
    # Without the only item nothing is known of the user, and popularity would rank.
    left_out = history if len(history) > 1 else ()
    full, *rest = expectations.parts([taste, *map(taste.without, left_out)])
    lifts = expectations.lifts(full, items)
    scores, *without = map(expectations.added, (full, *rest))
    return {
        item: Moved(
            {left: float(scores[item] - others[item]) for left, others in zip(left_out, without, strict=True)}
            or dict.fromkeys(history, math.inf),
            of_item,
        )
        for item, of_item in zip(items, lifts, strict=True)
    }


def reasons(expectations: Expectations, listing: Listing, items: Sequence[int], catalog: Catalog) -> list[Reason]:
    """Return why each item was listed.

    Args:
        expectations: made the prior of the list.
        listing: the list.
        items: indices of the items to explain.
        catalog: the catalog.
    """
    explained = moved(expectations, listing.taste, items)
    known = bool(listing.taste.history or listing.taste.examples)
    return [
        Reason(item, _most(explained[item].falls), listing.preferences.met_by(catalog.items[item]), popular=not known)
        for item in items
    ]


def _most(fallen: Mapping[int, float]) -> tuple[int, ...]:
    notable = [item for item, fall in fallen.items() if fall > _NOTABLE]
    return tuple(sorted(notable, key=lambda item: -fallen[item])[:_SHOWN])


def _listing(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
