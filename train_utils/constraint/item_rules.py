"""Item rules in the catalog's words (ids, categories, attributes), and their compilation to a `Constraint`."""

import math
import operator
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, TypeGuard, cast

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.trie import TitleTrie

# `_check_condition` passes only numbers and texts to these operators.
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = ("==", "!=", *_ORDER, "in", "not in", "contains", "outside")
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
            _require(
                isinstance(texts, (tuple, list)) or name == "allow" and texts is None, name, texts, "a list of texts"
            )
            for text in texts or ():
                _require(isinstance(text, str), f"an entry of {name}", text, "a text")
        _require(isinstance(self.where, Mapping), "where", self.where, "an object: attribute -> value")
        for attribute, condition in self.where.items():
            _check_condition(attribute, condition)
        _check_limits(self.max_per_category)
        _require(isinstance(self.distinct, bool), "distinct", self.distinct, "true or false")


def item_rules(raw: Mapping[str, object]) -> ItemRules:
    """Return the item rules of a decoded JSON body, which is fully validated.

    Args:
        raw: attribute of `ItemRules` -> value.

    Raises:
        ValueError: the body is no object, has an unknown key, or a value that `ItemRules` rejects.
    """
    known = [f.name for f in fields(ItemRules)]
    _require(isinstance(raw, Mapping), "the body", raw, f"an object with keys among {', '.join(known)}")
    for key in raw:
        _require(key in known, "a key", key, f"one of {', '.join(known)}")
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
            conditions.append(Condition(name, list(chosen), meets, f"{name} {_shown(chosen)}"))
    for attribute, condition in rules.where.items():
        column = _column(catalog, attribute)
        for name, value in _operations(condition).items():
            holds = _predicate(name, value)
            meets = np.fromiter((held is not None and holds(held) for held in column), dtype=bool, count=n)
            label = f"where {_shown(attribute)} {name} {_shown(value)}"
            conditions.append(Condition("where", {attribute: {name: value}}, meets, label))
    return conditions


def _marked(n: int, indices: Iterable[int]) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[np.fromiter(indices, dtype=np.int64)] = True
    return mask


def _column(catalog: Catalog, attribute: str) -> list[object]:
    """Return the value of an attribute for every item, None for items without it."""
    column = [item.attributes.get(attribute) for item in catalog.items]
    column = [None if _is_number(value) and value != value else value for value in column]
    if all(value is None for value in column):
        known = sorted({str(name) for item in catalog.items for name in item.attributes})
        raise ValueError(
            f"no item of {catalog.name!r} has attribute {_shown(attribute)}; known: {', '.join(known[:20]) or 'none'}"
        )
    return column


# -- comparison of an attribute with the value of a rule -------------------------------------------------------------


def _operations(condition: object) -> Mapping[str, object]:
    return condition if isinstance(condition, Mapping) else {"==": condition}


def _predicate(name: str, operand: object) -> Callable[[object], bool]:
    """Return a function that compares a catalog value with `operand` by operator `name`.

    Values of different types are unequal.
    """
    if name in _ORDER:
        compare = _ORDER[name]
        if isinstance(operand, str):
            return lambda held: isinstance(held, str) and compare(held, operand)
        return lambda held: (number := _number(held)) is not None and compare(number, operand)
    if name == "outside":
        ranges = cast("Collection[tuple[float, float]]", operand)
        return lambda held: (
            (number := _number(held)) is not None and not any(low <= number <= high for low, high in ranges)
        )
    # `_check_condition` accepts only a list for these two operators.
    is_one_of = _membership(cast("Collection[object]", operand) if name in ("in", "not in") else (operand,))
    if name in ("!=", "not in"):
        return lambda held: not is_one_of(held)
    if name == "contains":
        return lambda held: (
            isinstance(operand, str) and operand in held
            if isinstance(held, str)
            else isinstance(held, (list, tuple, set, frozenset)) and any(map(is_one_of, held))
        )
    return is_one_of


def _membership(values: Collection[object]) -> Callable[[object], bool]:
    # True == 1 in Python, but not in a request.
    texts = frozenset(value for value in values if isinstance(value, str))
    flags = frozenset(value for value in values if isinstance(value, bool))
    numbers = frozenset(value for value in values if _is_number(value))

    def is_one_of(held: object) -> bool:
        if isinstance(held, bool):
            return held in flags
        return isinstance(held, str) and held in texts or bool(numbers) and _number(held) in numbers

    return is_one_of


def _number(held: object) -> int | float | None:
    """Return a catalog value as a finite number, also if it is written as text; None if it is no finite number."""
    number: int | float
    if isinstance(held, str):
        try:
            number = float(held)
        except ValueError:
            return None
    elif _is_number(held):
        number = int(held) if isinstance(held, Integral) else float(held)
    else:
        return None
    return number if _is_finite(number) else None


def _is_finite(number: float) -> bool:
    """Return whether the number is finite as a float."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


# -- validation of a request -----------------------------------------------------------------------------------------


def _check_condition(attribute: object, condition: object) -> None:
    _require(isinstance(attribute, str), "an attribute in where", attribute, "a text")
    where = f"where {_shown(attribute)}"
    _require(
        isinstance(condition, Mapping) or _is_plain(condition),
        where,
        condition,
        "a text, a finite number, true or false, or {operator: value}",
    )
    operations = _operations(condition)
    _require(bool(operations), where, operations, f"one of the operators {', '.join(OPERATORS)}")
    for name, value in operations.items():
        _require(name in OPERATORS, f"an operator of {where}", name, f"one of {', '.join(OPERATORS)}")
        if name in ("in", "not in"):
            _require(
                isinstance(value, (tuple, list)) and all(map(_is_plain, value)),
                f"{where} {name}",
                value,
                "a list of texts, finite numbers, true or false",
            )
        elif name == "outside":
            _require(
                isinstance(value, (tuple, list)) and all(map(_is_range, value)),
                f"{where} {name}",
                value,
                "a list of [least, greatest], which are finite numbers",
            )
        elif name in _ORDER:
            _require(
                _is_plain(value) and not isinstance(value, bool), f"{where} {name}", value, "a text or a finite number"
            )
        else:
            _require(_is_plain(value), f"{where} {name}", value, "a text, a finite number, true or false")


def _check_limits(limits: object) -> None:
    if not isinstance(limits, Mapping):
        _require(
            _is_whole(limits) and limits >= 0,
            "max_per_category",
            limits,
            "0 (no limit), a whole number above it, or an object: category -> limit",
        )
        return
    for category, limit in limits.items():
        _require(isinstance(category, str), "a category of max_per_category", category, "a text")
        _require(
            _is_whole(limit) and limit >= 1,
            f"max_per_category {_shown(category)}",
            limit,
            "a whole number from 1 on (without_categories leaves a category out)",
        )


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, bool)) or _is_number(value) and _is_finite(value)


def _is_range(value: object) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(_is_number(bound) and _is_finite(bound) for bound in value)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(holds: bool, what: str, got: object, wanted: str) -> None:
    if not holds:
        raise ValueError(f"rules: {what} is {_shown(got)}, wanted {wanted}")


def _shown(value: object) -> str:
    """Return the value on one line, shortened, because a request may contain a value of any length."""
    shown = reprlib.repr(value)
    return shown if len(shown) <= 120 else shown[:117] + "..."
