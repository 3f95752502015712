"""Counts of attributes after changes equal those of all items."""

import math
import random
from dataclasses import dataclass

from train_utils.attribute_counts import AttributeCounts

VALUES = (1, 2, 3.5, -7, 10**400, math.inf, math.nan, True, "5", None, [1])


@dataclass
class Thing:
    attributes: dict[str, object]


def random_thing(rng: random.Random) -> Thing:
    return Thing(
        {name: rng.choice(VALUES[:4] if rng.random() < 0.8 else VALUES) for name in "abcd" if rng.random() < 0.6}
    )


def test_counts_after_changes_are_those_of_all_items():
    rng = random.Random(0)
    things = [random_thing(rng) for _ in range(8)]
    counts = AttributeCounts.of(things)
    for _ in range(200):
        places = {rng.randrange(len(things)), *range(len(things), len(things) + rng.randint(0, 1))}
        after = [*things, *places][: len(things) + sum(place >= len(things) for place in places)]
        for place in places:
            after[place] = random_thing(rng)
        counts = counts.changed(things, after, places)
        again = AttributeCounts.of(after)
        assert (counts.named, counts.numbers, counts.bounds) == (again.named, again.numbers, again.bounds)
        things = after[:30] if len(after) > 40 else after
        if things is not after:
            counts = AttributeCounts.of(things)


def test_bounds_are_the_items_own_numbers_of_attributes_that_half_of_them_have():
    things = [Thing({"year": 1990, "rare": 1}), Thing({"year": 2000.5}), Thing({"year": "unknown"})]
    counts = AttributeCounts.of(things)
    assert counts.bounds == {"year": (1990, 2000.5)} and isinstance(counts.bounds["year"][0], int)
    assert counts.named == {"year": 3, "rare": 1}
    assert AttributeCounts.of([]).bounds == {}
