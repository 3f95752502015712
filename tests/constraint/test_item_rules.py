"""A request's rules promise what filtering the items one by one would give, and tell what is wrong with a body."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.attribute_conditions import OPERATORS
from train_utils.constraint.constraint import ConstraintError
from train_utils.constraint.item_rules import ItemRules, category_caps, compile_rules, item_rules
from train_utils.constraint.trie import build_trie

SOI, EOI = 100, 101
MOVIES = make_catalog(
    "movies",
    [
        Item("a", "A", ("War",), attributes={"year": 1995, "price": "9.50", "tags": ["old", "long"], "hit": True}),
        Item("b", "B", ("War", "Drama"), attributes={"year": "1999", "price": 20, "studio": "Blue Sky"}),
        Item("c", "C", ("Drama",), attributes={"year": 2001, "studio": "Sky", "hit": False, "tags": ["new"]}),
        Item("d", "D", attributes={"year": None, "price": float("nan"), "studio": "none"}),
    ],
)


def trie_of(catalog):
    return build_trie([[i // 7, i % 7] for i in range(len(catalog.items))], SOI, EOI)


def kept(rules, catalog=MOVIES):
    return catalog.ids(np.flatnonzero(compile_rules(catalog, trie_of(catalog), rules).admitted).tolist())


# -- a slow and obvious oracle ---------------------------------------------------------------------------------------


def as_number(value):
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if number != number or abs(number) == float("inf") else number


def equal(held, operand):
    if isinstance(held, bool) or isinstance(operand, bool):
        return held is operand
    if isinstance(operand, str):
        return held == operand
    return as_number(held) == operand


def ordered(held, operand):
    """(held, wanted) as two things that can be ordered, or None."""
    if isinstance(operand, str):
        return (held, operand) if isinstance(held, str) else None
    return None if as_number(held) is None else (as_number(held), operand)


def contains(held, operand):
    if isinstance(held, str):
        return isinstance(operand, str) and operand in held
    return isinstance(held, list) and any(equal(element, operand) for element in held)


RELATIONS = {
    "==": equal,
    "!=": lambda held, operand: not equal(held, operand),
    "<": lambda held, operand: (pair := ordered(held, operand)) is not None and pair[0] < pair[1],
    "<=": lambda held, operand: (pair := ordered(held, operand)) is not None and pair[0] <= pair[1],
    ">": lambda held, operand: (pair := ordered(held, operand)) is not None and pair[0] > pair[1],
    ">=": lambda held, operand: (pair := ordered(held, operand)) is not None and pair[0] >= pair[1],
    "in": lambda held, operand: any(equal(held, value) for value in operand),
    "not in": lambda held, operand: not any(equal(held, value) for value in operand),
    "contains": contains,
    "outside": lambda held, operand: (
        (number := as_number(held)) is not None and not any(low <= number <= high for low, high in operand)
    ),
}


def is_missing(value):
    return value is None or isinstance(value, float) and value != value


def admits(rules, item):
    if rules.allow is not None and item.id not in rules.allow:
        return False
    if item.id in rules.deny or item.id in rules.seen:
        return False
    if rules.categories and not any(c in item.categories for c in rules.categories):
        return False
    if any(c in item.categories for c in rules.without_categories):
        return False
    if any(c not in item.categories for c in rules.all_categories):
        return False
    for attribute, condition in rules.where.items():
        held = item.attributes.get(attribute)
        for name, value in (condition if isinstance(condition, dict) else {"==": condition}).items():
            if is_missing(held) or not RELATIONS[name](held, value):
                return False
    return True


small_texts = st.sampled_from(["", "1", "2.0", "-1", "1e999", "x", "xy", "nan"])
plain = st.one_of(st.integers(-1, 2), st.sampled_from([0.5, 1.0, 2.0]), st.booleans(), small_texts)
held_values = st.one_of(plain, st.none(), st.sampled_from([float("nan"), float("inf")]), st.lists(plain, max_size=3))
ranges = st.lists(st.lists(st.integers(-1, 2), min_size=2, max_size=2), max_size=2)
order_values = plain.filter(lambda value: not isinstance(value, bool))
conditions = st.one_of(
    plain,
    st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(plain, max_size=3)
            if "in" in name.split()
            else ranges
            if name == "outside"
            else order_values
            if name[0] in "<>"
            else plain
            for name in OPERATORS
        },
    ).filter(bool),
)


@settings(max_examples=300)
@given(st.data())
def test_rules_admit_exactly_the_items_that_pass_one_by_one(data):
    n = data.draw(st.integers(1, 6))
    ids, categories, attributes = [str(i) for i in range(n)], ("P", "Q", "R"), ("s", "t")
    some_categories = st.lists(st.sampled_from(categories), unique=True).map(tuple)
    catalog = make_catalog(
        "some",
        [
            Item(
                i,
                f"title {i}",
                data.draw(some_categories),
                attributes=data.draw(st.dictionaries(st.sampled_from(attributes), held_values)),
            )
            for i in ids
        ],
    )
    known = [c for c in categories if any(c in item.categories for item in catalog.items)]
    present = [a for a in attributes if any(not is_missing(item.attributes.get(a)) for item in catalog.items)]
    some_ids = st.lists(st.sampled_from(ids), max_size=4).map(tuple)
    known_categories = st.lists(st.sampled_from(known), max_size=2).map(tuple) if known else st.just(())
    rules = ItemRules(
        allow=data.draw(st.none() | some_ids),
        deny=data.draw(some_ids),
        seen=(*data.draw(some_ids), "gone"),
        categories=data.draw(known_categories),
        without_categories=data.draw(known_categories),
        where=data.draw(st.dictionaries(st.sampled_from(present), conditions)) if present else {},
        all_categories=data.draw(known_categories),
    )
    expected = [item.id for item in catalog.items if admits(rules, item)]
    if expected:
        assert kept(rules, catalog) == expected
    else:
        with pytest.raises(ConstraintError, match="admit none"):
            kept(rules, catalog)


# -- the same by example ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where,expected",
    [
        ({"year": 1999}, "b"),
        ({"year": {">=": 1995, "<": 2001}}, "ab"),
        ({"year": {"!=": 1995}}, "bc"),
        ({"price": {"<": 10}}, "a"),
        ({"price": {">": "1"}}, "a"),
        ({"studio": {"contains": "Sky"}}, "bc"),
        ({"studio": {"not in": ["none", "Sky"]}}, "b"),
        ({"tags": {"contains": "old"}}, "a"),
        ({"hit": True}, "a"),
        ({"hit": {"in": [0, False]}}, "c"),
        ({"year": {"in": [2001.0, "1999"]}, "studio": {">=": "A"}}, "bc"),
    ],
)
def test_operators_compare_numbers_as_numbers_and_pass_over_items_without_the_attribute(where, expected):
    assert kept(ItemRules(where=where)) == list(expected)


def test_numpy_numbers_of_a_pickled_catalog_compare_as_numbers():
    catalog = make_catalog(
        "np",
        [
            Item(str(i), f"T{i}", attributes={"x": x})
            for i, x in enumerate([np.float32(2), np.int64(2), np.float32("nan"), "9" * 400, 3])
        ],
    )
    assert kept(ItemRules(where={"x": 2}), catalog) == ["0", "1"]
    assert kept(ItemRules(where={"x": {">=": 2}}), catalog) == ["0", "1", "4"]


def test_without_conditions_everything_is_admitted_and_distinct_is_handed_on():
    rules = compile_rules(MOVIES, trie_of(MOVIES), ItemRules(distinct=False))
    assert rules.admitted.all() and not rules.distinct
    assert compile_rules(MOVIES, trie_of(MOVIES), ItemRules()).distinct


def test_a_log_may_hold_removed_items_but_a_wish_may_not():
    assert kept(ItemRules(seen=("a", "removed"))) == ["b", "c", "d"]
    for name in ("allow", "deny"):
        with pytest.raises(ValueError, match="'removed' is not in the catalog 'movies'"):
            kept(ItemRules(**{name: ("a", "removed")}))


def test_unknown_names_are_answered_with_the_known_ones():
    for rules in (
        ItemRules(categories=("Wra",)),
        ItemRules(without_categories=("Wra",)),
        ItemRules(max_per_category={"Wra": 1}),
    ):
        with pytest.raises(ValueError, match="has category 'Wra'; known: Drama, War"):
            kept(rules)
    with pytest.raises(ValueError, match="has attribute 'yaer'; known: hit, price, studio, tags, year"):
        kept(ItemRules(where={"yaer": 1}))


def test_an_empty_choice_tells_what_each_condition_leaves():
    with pytest.raises(ConstraintError) as error:
        kept(ItemRules(deny=("a",), categories=("War",), where={"year": {">": 1990, "<": 1999}}))
    assert str(error.value) == (
        "the rules admit none of the 4 items of 'movies'; by itself categories ('War',) leaves 2, "
        "where 'year' > 1990 leaves 3, where 'year' < 1999 leaves 1, deny leaves 3; loosen one of them"
    )
    with pytest.raises(ConstraintError, match="allow leaves 0"):
        kept(ItemRules(allow=()))


def test_conditions_that_look_alike_when_shortened_all_hold():
    long, also = "x" * 50, "x" * 20 + "y" + "x" * 29
    catalog = make_catalog(
        "long", [Item("1", "A", attributes={long: 1, also: 1}), Item("2", "B", attributes={long: 2, also: 1})]
    )
    assert kept(ItemRules(where={long: 1, also: 1}), catalog) == ["1"]


def test_a_trie_of_another_catalog_is_refused():
    with pytest.raises(ValueError, match="the trie holds 1 titles"):
        compile_rules(MOVIES, build_trie([[1]], SOI, EOI), ItemRules())


# -- limits for a category -------------------------------------------------------------------------------------------


def test_one_limit_caps_every_category_that_can_exceed_it():
    assert category_caps(MOVIES, ItemRules(max_per_category=1)) == [([0, 1], 1), ([1, 2], 1)]
    assert category_caps(MOVIES, ItemRules(max_per_category=2)) == []
    assert category_caps(MOVIES, ItemRules(max_per_category=2, distinct=False)) == [([0, 1], 2), ([1, 2], 2)]
    assert category_caps(MOVIES, ItemRules()) == category_caps(MOVIES, ItemRules(max_per_category={})) == []


def test_a_limit_may_name_its_category():
    assert category_caps(MOVIES, ItemRules(max_per_category={"Drama": 1, "War": 5})) == [([1, 2], 1), ([0, 1], 5)]


def test_an_item_that_names_a_category_twice_counts_once():
    twice = make_catalog("twice", [Item("1", "A", ("x", "x")), Item("2", "B", ("x",))])
    assert category_caps(twice, ItemRules(max_per_category=1)) == [([0, 1], 1)]


# -- a JSON body -----------------------------------------------------------------------------------------------------


def test_a_body_says_the_same_as_the_record():
    body = {
        "allow": ["a", "b"],
        "deny": ["c"],
        "seen": [],
        "categories": ["War"],
        "without_categories": [],
        "where": {"year": {"in": [1, 2]}},
        "max_per_category": {"War": 2},
        "distinct": False,
        "all_categories": ["War"],
    }
    assert item_rules(json.loads(json.dumps(body))) == ItemRules(
        ("a", "b"), ("c",), (), ("War",), (), {"year": {"in": [1, 2]}}, {"War": 2}, False, ("War",)
    )
    assert item_rules({}) == item_rules({"allow": None}) == ItemRules()


@pytest.mark.parametrize(
    "body,complaint",
    [
        ("[]", "the body is [], wanted an object with keys among allow, deny, "),
        ("null", "the body is None"),
        ('{"allows": []}', "a key is 'allows', wanted one of allow, deny, "),
        ('{"__class__": 1}', "a key is '__class__'"),
        ('{"allow": "abc"}', "allow is 'abc', wanted a list of texts"),
        ('{"deny": null}', "deny is None, wanted a list of texts"),
        ('{"seen": [1]}', "an entry of seen is 1, wanted a text"),
        ('{"categories": {"War": 1}}', "categories is {'War': 1}"),
        ('{"categories": [["War"]]}', "an entry of categories is ['War']"),
        ('{"where": ["year"]}', "where is ('year',), wanted an object"),
        ('{"where": {"year": null}}', "where 'year' is None, wanted a text, a finite number"),
        ('{"where": {"year": [1]}}', "where 'year' is [1]"),
        ('{"where": {"year": NaN}}', "where 'year' is nan"),
        ('{"where": {"year": {}}}', "where 'year' is {}, wanted one of the operators =="),
        ('{"where": {"year": {"__lt__": 1}}}', "an operator of where 'year' is '__lt__', wanted one of ==, !="),
        ('{"where": {"year": {"<": true}}}', "where 'year' < is True, wanted a text or a finite number"),
        ('{"where": {"year": {"<": 1e999}}}', "where 'year' < is inf"),
        ('{"where": {"year": {"==": %s}}}' % ("9" * 400), "where 'year' == is 9"),
        ('{"where": {"year": {"in": "199"}}}', "where 'year' in is '199', wanted a list"),
        ('{"where": {"year": {"not in": [[1]]}}}', "where 'year' not in is [[1]]"),
        ('{"where": {"year": {"contains": {"a": 1}}}}', "where 'year' contains is {'a': 1}"),
        ('{"where": {"year": {"==": %s}}}' % ("[" * 500 + "]" * 500), "where 'year' == is [["),
        ('{"max_per_category": -1}', "max_per_category is -1, wanted 0 (no limit), a whole number"),
        ('{"max_per_category": true}', "max_per_category is True"),
        ('{"max_per_category": 1.5}', "max_per_category is 1.5"),
        ('{"max_per_category": {"War": 0}}', "max_per_category 'War' is 0, wanted a whole number from 1 on"),
        ('{"distinct": 1}', "distinct is 1, wanted true or false"),
        ('{"a\\nb\\ud800": 1}', "a key is 'a\\nb\\ud800'"),
        ('{"%s": 1}' % ("k" * 100_000), "a key is 'kkk"),
    ],
)
def test_a_wrong_body_is_refused_in_one_short_line(body, complaint):
    with pytest.raises(ValueError) as error:
        item_rules(json.loads(body))
    text = str(error.value)
    assert complaint in text and text.startswith("rules: ")
    assert "\n" not in text and len(text) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
names = st.sampled_from([*ItemRules.__dataclass_fields__, "other"])
wheres = st.dictionaries(
    st.sampled_from(["year", "price", "tags"]),
    st.dictionaries(st.sampled_from([*OPERATORS, "~"]), json_values, max_size=2) | json_values,
)


@settings(max_examples=300)
@given(
    json_values
    | st.dictionaries(names, json_values | st.lists(st.sampled_from("abcd")), max_size=3)
    | st.fixed_dictionaries({"where": wheres})
)
def test_whatever_the_body_it_is_compiled_or_refused_in_one_line(body):
    try:
        rules = item_rules(body)
        compile_rules(MOVIES, trie_of(MOVIES), rules)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 500


def test_a_retired_item_is_admitted_by_no_rules():
    catalog = MOVIES.changed({}, [1])
    assert kept(ItemRules(), catalog) == ["a", "c", "d"]
    assert kept(ItemRules(allow=("a", "b"), seen=("b",), deny=("b",)), catalog) == ["a"]
    with pytest.raises(ConstraintError, match="none of the 3 items .* all_categories .* leaves 0"):
        kept(ItemRules(all_categories=("War", "Drama")), catalog)
    assert kept(ItemRules(categories=("Drama",)), catalog.changed({1: MOVIES.items[1]})) == ["b", "c"]
