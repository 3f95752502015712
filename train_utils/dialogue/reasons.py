"""Why an item was listed: what its place in the list is due to, found by leaving out what the user likes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Prior
from train_utils.dialogue.dialogue import Listing
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.prompts.title_forms import spoken_title
from train_utils.recommender import CHAT_HISTORY

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


# Expectations, taste and items -> what moves the items up; see `moved`.
Explain = Callable[[Expectations, Taste, Sequence[int]], dict[int, Moved]]


def moved(expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, Moved]:
    """Return what moves items up for a user; see `moved_each`."""
    return moved_each(expectations, [(taste, items)])[0]


def moved_each(expectations: Expectations, asked: Sequence[tuple[Taste, Sequence[int]]]) -> list[dict[int, Moved]]:
    """Return what moves items up for each of several users; model and teacher are asked once, for all histories.

    The score is what the prior adds to the model's choice in the conversation, which is not asked again.

    Args:
        expectations: makes the prior.
        asked: what was known of each user's taste, and indices of the items to explain.
    """
    left_out = [_left_out(taste) for taste, _ in asked]
    tastes = [
        one
        for (taste, _), without in zip(asked, left_out, strict=True)
        for one in (taste, *map(taste.without, without))
    ]
    parts = iter(expectations.parts(tastes))
    return [
        _moved(expectations, _history(taste), without, list(islice(parts, 1 + len(without))), items)
        for (taste, items), without in zip(asked, left_out, strict=True)
    ]


def items_read(taste: Taste) -> int:
    """Return the number of items of histories that the model reads for `moved`, at least 1."""
    return (1 + len(_left_out(taste))) * max(1, min(len(taste.history), CHAT_HISTORY))


def _history(taste: Taste) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*taste.history, *taste.examples)))[-_LEFT_OUT:]


def _left_out(taste: Taste) -> tuple[int, ...]:
    """Return the items that are left out one by one; none where there is only one.

    Without the only item nothing is known of the user, and popularity would rank.
    """
    history = _history(taste)
    return history if len(history) > 1 else ()


def _moved(
    expectations: Expectations,
    history: Sequence[int],
    left_out: Sequence[int],
    parts: Sequence[Mapping[str, Prior]],
    items: Sequence[int],
) -> dict[int, Moved]:
    """Return what moves items up; `parts` are the prior's with all of the history, and without each of `left_out`."""
    lifts = expectations.lifts(parts[0], items)
    scores, *without = map(expectations.added, parts)
    return {
        item: Moved(
            {left: float(scores[item] - others[item]) for left, others in zip(left_out, without, strict=True)}
            or dict.fromkeys(history, math.inf),
            of_item,
        )
        for item, of_item in zip(items, lifts, strict=True)
    }


def reasons(
    expectations: Expectations, listing: Listing, items: Sequence[int], catalog: Catalog, explain: Explain = moved
) -> list[Reason]:
    """Return why each item was listed.

    Args:
        expectations: made the prior of the list.
        listing: the list.
        items: indices of the items to explain.
        catalog: the catalog.
        explain: as `moved`, which may wait for the model.
    """
    explained = explain(expectations, listing.taste, items)
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
