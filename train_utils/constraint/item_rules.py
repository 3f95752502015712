"""Item rules in the catalog's words (ids, categories, attributes), and their compilation to a `Constraint`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeGuard

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.attribute_conditions import (
    check_condition,
    is_number,
    operations_of,
    predicate,
    require,
    shown,
)
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.trie import TitleTrie

_LISTS = ("allow", "deny", "seen", "categories", "all_categories", "without_categories")


@dataclass(frozen=True)
class ItemRules:
    """Rules of a request: an item is admissible if it meets every condition that is given.

    Attributes:
        allow: item ids that may be listed; None admits all.
        deny: item ids that may not be listed.
        seen: item ids that the user consumed; ids outside the catalog are ignored.
        categories: an item must be in at least one of these categories; empty admits all.
        without_categories: an item must be in none of these categories.
        where: attribute -> value that it must equal, or attribute -> {operator: value}, all of which must hold.
            An item without the attribute does not match. `<`, `<=`, `>` and `>=` compare numbers with numbers and
            texts with texts; `contains` matches a substring of a text or an element of a list; `outside` takes a list
            of [least, greatest] and matches numbers that are in none of these ranges. A number that the catalog writes
            as text counts as a number where the value in the rule is a number.
        max_per_category: number of items of one category that a turn may list: one limit for every category (0: no
            limit), or category -> limit.
        distinct: list a title at most once per turn.
        all_categories: an item must be in every one of these categories.

    Raises:
        ValueError: a field has the wrong type, an operator is unknown or cannot compare its value.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    without_categories: tuple[str, ...] = ()
    where: Mapping[str, object] = field(default_factory=dict)
    max_per_category: int | Mapping[str, int] = 0
    distinct: bool = True
    all_categories: tuple[str, ...] = ()

    def __post_init__(self):
        for name in _LISTS:
            texts = getattr(self, name)
            require(
                isinstance(texts, (tuple, list)) or name == "allow" and texts is None, name, texts, "a list of texts"
            )
            for text in texts or ():
                require(isinstance(text, str), f"an entry of {name}", text, "a text")
        require(isinstance(self.where, Mapping), "where", self.where, "an object: attribute -> value")
        for attribute, condition in self.where.items():
            check_condition(attribute, condition)
        _check_limits(self.max_per_category)
        require(isinstance(self.distinct, bool), "distinct", self.distinct, "true or false")


def item_rules(raw: Mapping[str, object]) -> ItemRules:
    """Return the item rules of a decoded JSON body, which is fully validated.

    Args:
        raw: attribute of `ItemRules` -> value.

    Raises:
        ValueError: the body is no object, has an unknown key, or a value that `ItemRules` rejects.
    """
    known = [f.name for f in fields(ItemRules)]
    require(isinstance(raw, Mapping), "the body", raw, f"an object with keys among {', '.join(known)}")
    for key in raw:
        require(key in known, "a key", key, f"one of {', '.join(known)}")
    # `ItemRules` checks the types of the values.
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return ItemRules(**values)


def compile_rules(catalog: Catalog, trie: TitleTrie, rules: ItemRules, prior: Prior | None = None) -> Constraint:
    """Compile item rules to a constraint, which admits no retired item.

    Args:
        catalog: the catalog that the rules refer to.
        trie: the titles of `catalog`, in the same order.
        rules: the rules of a request.
        prior: scores that enter decoding; None for no prior.

    Raises:
        ValueError: the trie is of another catalog, or no item has an id in `allow` or `deny`, a category or an
            attribute of the rules.
        ConstraintError: no item meets all conditions; the text gives the number of items that each condition leaves.
    """
    if len(catalog.items) != trie.n_items:
        raise ValueError(
            f"the trie holds {trie.n_items} titles and the catalog {catalog.name!r} "
            f"{len(catalog.items)} items; build it from this catalog's titles"
        )
    met = _conditions(catalog, rules)
    allow = np.flatnonzero(np.logical_and.reduce([one.meets for one in met])) if met else None
    deny = set(catalog.indices(rules.deny))
    seen = {catalog.index[i] for i in rules.seen if i in catalog.index}
    try:
        # Denied items are not folded into `allow`: closing a few titles is faster than counting all the others.
        closed = np.fromiter(deny | seen | catalog.retired, dtype=np.int64)
        return Constraint(trie, allow, closed, rules.distinct, category_caps(catalog, rules), prior)
    except ConstraintError:
        listed = ~_marked(trie.n_items, catalog.retired)
        left = [(one.label, (one.meets & listed).sum()) for one in met]
        left += [
            (label, listed.sum() - len(items - catalog.retired))
            for label, items in (("deny", deny), ("seen", seen))
            if items
        ]
        counts = ", ".join(f"{label} leaves {count}" for label, count in left)
        raise ConstraintError(
            f"the rules admit none of the {listed.sum()} items of {catalog.name!r}; "
            f"by itself {counts}; loosen one of them"
        ) from None


def category_caps(catalog: Catalog, rules: ItemRules) -> list[tuple[list[int], int]]:
    """Return (item indices of a category, number of them that a turn may list) for each limited category.

    A category that cannot exceed the common limit is left out.

    Raises:
        ValueError: a limit is given for a category that no item has.
    """
    limits = rules.max_per_category
    if not limits:
        return []
    if isinstance(limits, Mapping):
        return [(sorted(catalog.in_category(category)), limit) for category, limit in limits.items()]
    return [
        (sorted(group), limits) for group in catalog.categories.values() if len(group) > limits or not rules.distinct
    ]


def tighter(catalog: Catalog, one: int | Mapping[str, int], other: int | Mapping[str, int]) -> int | Mapping[str, int]:
    """Return the limits of `ItemRules.max_per_category` that two such limits set together.

    Args:
        catalog: its categories are those that a common limit is for.
        one: limits.
        other: further limits.
    """
    if not one or not other:
        return one or other
    if not isinstance(one, Mapping) and not isinstance(other, Mapping):
        return min(one, other)
    both = [
        limits if isinstance(limits, Mapping) else dict.fromkeys(catalog.categories, limits) for limits in (one, other)
    ]
    names = {name: None for limits in both for name in limits}
    return {name: min(limits[name] for limits in both if name in limits) for name in names}


# -- conditions on the items -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """Condition of item rules on each item.

    Attributes:
        rule: attribute of `ItemRules`.
        value: its part of the attribute's value; None for lists of ids, which may be long.
        meets: bool [items], True for items that meet it.
        label: its wording in an error.
    """

    rule: str
    value: object
    meets: np.ndarray
    label: str


def item_conditions(catalog: Catalog, rules: ItemRules) -> list[Condition]:
    """Return the conditions of rules on each item; limits of a list as a whole are none.

    Raises:
        ValueError: as `compile_rules`.
    """
    n, conditions = len(catalog.items), _conditions(catalog, rules)
    if rules.deny:
        conditions.append(Condition("deny", None, ~_marked(n, catalog.indices(rules.deny)), "deny"))
    if rules.seen:
        seen = (catalog.index[i] for i in rules.seen if i in catalog.index)
        conditions.append(Condition("seen", None, ~_marked(n, seen), "seen"))
    return conditions


def _conditions(catalog: Catalog, rules: ItemRules) -> list[Condition]:
    """Return the conditions of rules but for `deny` and `seen`."""
    conditions: list[Condition] = []
    n = len(catalog.items)
    if rules.allow is not None:
        conditions.append(Condition("allow", None, _marked(n, catalog.indices(rules.allow)), "allow"))
    for name in ("categories", "all_categories", "without_categories"):
        if chosen := getattr(rules, name):
            # A request may name a category ten thousand times, and each mask takes a byte per item.
            members = [_marked(n, catalog.in_category(category)) for category in dict.fromkeys(chosen)]
            meets = np.logical_and.reduce(members) if name == "all_categories" else np.logical_or.reduce(members)
            meets = ~meets if name == "without_categories" else meets
            conditions.append(Condition(name, list(chosen), meets, f"{name} {shown(chosen)}"))
    for attribute, condition in rules.where.items():
        column = _column(catalog, attribute)
        for name, value in operations_of(condition).items():
            holds = predicate(name, value)
            meets = np.fromiter((held is not None and holds(held) for held in column), dtype=bool, count=n)
            label = f"where {shown(attribute)} {name} {shown(value)}"
            conditions.append(Condition("where", {attribute: {name: value}}, meets, label))
    return conditions


def _marked(n: int, indices: Iterable[int]) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[np.fromiter(indices, dtype=np.int64)] = True
    return mask


def _column(catalog: Catalog, attribute: str) -> list[object]:
    """Return the value of an attribute for every item, None for items without it."""
    column = [item.attributes.get(attribute) for item in catalog.items]
    column = [None if is_number(value) and value != value else value for value in column]
    if all(value is None for value in column):
        known = sorted({str(name) for item in catalog.items for name in item.attributes})
        raise ValueError(
            f"no item of {catalog.name!r} has attribute {shown(attribute)}; known: {', '.join(known[:20]) or 'none'}"
        )
    return column


# -- validation of a request -----------------------------------------------------------------------------------------


def _check_limits(limits: object) -> None:
    if not isinstance(limits, Mapping):
        require(
            _is_whole(limits) and limits >= 0,
            "max_per_category",
            limits,
            "0 (no limit), a whole number above it, or an object: category -> limit",
        )
        return
    for category, limit in limits.items():
        require(isinstance(category, str), "a category of max_per_category", category, "a text")
        require(
            _is_whole(limit) and limit >= 1,
            f"max_per_category {shown(category)}",
            limit,
            "a whole number from 1 on (without_categories leaves a category out)",
        )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
