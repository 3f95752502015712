"""Explanations of `/v1/why`: what moved an item up, and which rules and preferences hold for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.item_rules import Condition, item_conditions, item_rules
from train_utils.dialogue.reasons import Moved
from train_utils.serving.saved_preferences import SavedPreferences, restored


def explanation(catalog: Catalog, item: int, why: Moved, rules: list[dict[str, object]]) -> dict[str, object]:
    """Return the explanation of an item as a JSON object.

    Args:
        catalog: the catalog.
        item: index of the item.
        why: what moves it up.
        rules: which rules hold for it; see `held_rules`.
    """
    causes = sorted(why.falls.items(), key=lambda pair: -pair[1])
    return {
        "item_id": catalog.items[item].id,
        "title": catalog.items[item].title,
        "because": [
            {
                "item_id": catalog.items[left].id,
                "title": catalog.items[left].title,
                "score_change": None if np.isinf(fall) else round(-fall, 4),
            }
            for left, fall in causes
            if fall > 0
        ],
        "parts": {name: round(lift, 4) for name, lift in why.lifts.items()},
        "rules": rules,
    }


def held_rules(
    catalog: Catalog, items: Sequence[int], rules: Mapping[str, object], preferences: SavedPreferences | None
) -> dict[int, list[dict[str, object]]]:
    """Return the rules and preferences by item, each with whether the item meets it.

    What was listed or named before is no condition here: an item that a list has is among it afterwards.

    Args:
        catalog: the catalog.
        items: indices of the items.
        rules: item rules of a request.
        preferences: what a conversation had asked for; None for nothing.

    Returns:
        item -> {"source": "rules" or "preferences", "rule", "value", "holds"}.

    Raises:
        ValueError: the rules or the preferences are invalid, or name what the catalog lacks.
    """
    conditions = [("rules", condition) for condition in item_conditions(catalog, item_rules(rules))]
    if preferences is not None:
        conditions += [("preferences", condition) for condition in _of_preferences(catalog, preferences)]
    return {
        item: [
            {"source": source, "rule": one.rule, "value": one.value, "holds": bool(one.meets[item])}
            for source, one in conditions
        ]
        for item in items
    }


def _of_preferences(catalog: Catalog, preferences: SavedPreferences) -> list[Condition]:
    asked = restored(preferences, catalog)
    conditions = [
        # With quotas, the items that count once are allowed; preferences allow no others by their ids.
        replace(one, rule="quotas", value=dict(asked.quotas)) if one.rule == "allow" else one
        for one in item_conditions(catalog, replace(asked.rules(catalog), deny=()))
    ]
    if disliked := {item for items in asked.disliked for item in items}:
        meets = np.ones(len(catalog.items), dtype=bool)
        meets[list(disliked)] = False
        conditions.append(Condition("disliked", None, meets, "disliked"))
    return conditions
