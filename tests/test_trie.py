"""The tree promises what a set of titles would: exact children, distinct items, rules by counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.trie import FREE, ROOT, ConstraintError, Cursor, Rules, build_tree

SOI, EOI = 100, 101
titles = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=30)


def oracle_allowed(catalogue, prefix, barred):
    """Slow and obvious: look at every title that is not barred and starts with the prefix."""
    after = set()
    for title in catalogue:
        if tuple(title) in barred:
            continue
        closed = [*title, EOI]
        if closed[: len(prefix)] == list(prefix):
            after.add(closed[len(prefix)])
    return sorted(after)


def node_behind(tree, tokens):
    node = ROOT
    for token in tokens:
        node = tree.child(node, token)
    return node


@settings(max_examples=150, deadline=None)
@given(titles, st.data())
def test_walk_offers_exactly_what_a_set_of_titles_offers(catalogue, data):
    tree = build_tree(catalogue, SOI, EOI)
    denied = set(data.draw(st.lists(st.integers(0, len(catalogue) - 1), max_size=len(catalogue) - 1)))
    distinct = data.draw(st.booleans())
    # A title is barred when every item that carries it is denied.
    free_titles = {tuple(t) for i, t in enumerate(catalogue) if i not in denied}
    if not free_titles:
        with pytest.raises(ConstraintError):
            Rules(tree, deny=denied)
        return
    barred = {tuple(t) for t in catalogue} - free_titles
    cursor = Cursor(Rules(tree, deny=denied, distinct=distinct))
    for _ in range(6):
        if not free_titles - barred:
            assert cursor.exhausted and SOI in cursor.barred()
            with pytest.raises(ConstraintError):
                cursor.advance(SOI)
            return
        cursor.advance(SOI)
        prefix = []
        while cursor.node != FREE:
            expected = oracle_allowed(catalogue, prefix, barred)
            assert cursor.allowed().tolist() == expected
            for token in {0, 1, 2, 3, EOI, SOI} - set(expected):
                with pytest.raises(ConstraintError):
                    cursor.copy().advance(token)
            token = data.draw(st.sampled_from(expected))
            leaf = cursor.advance(token)
            prefix.append(token)
        items = tree.items_of_leaf(leaf)
        assert items == [i for i, t in enumerate(catalogue) if t == prefix[:-1]]
        assert cursor.rules.first_item(leaf) in set(items) - denied
        if distinct:
            barred = barred | {tuple(prefix[:-1])}


@settings(max_examples=100, deadline=None)
@given(titles, st.data())
def test_forced_run_is_the_run_of_single_choices(catalogue, data):
    cursor = Cursor(Rules(build_tree(catalogue, SOI, EOI)))
    cursor.advance(SOI)
    while cursor.node != FREE:
        run = cursor.forced_run()
        walked = cursor.copy()
        for token in run:
            assert walked.allowed().tolist() == [token]
            walked.advance(token)
        assert walked.node == FREE or len(walked.allowed()) > 1
        cursor.advance(data.draw(st.sampled_from(cursor.allowed().tolist())))


def test_prefix_titles_one_token_titles_and_duplicates_are_legal():
    tree = build_tree([[1], [1, 2], [3], [1, 2]], SOI, EOI)
    cursor = Cursor(Rules(tree))
    cursor.advance(SOI)
    assert cursor.allowed().tolist() == [1, 3]
    cursor.advance(1)
    assert cursor.allowed().tolist() == [2, EOI]
    cursor.advance(2)
    assert tree.items_of_leaf(cursor.advance(EOI)) == [1, 3]


def test_free_text_bars_only_the_closing_token():
    cursor = Cursor(Rules(build_tree([[1]], SOI, EOI)))
    assert cursor.allowed() is None and cursor.barred() == (EOI,)
    with pytest.raises(ConstraintError):
        cursor.advance(EOI)


def test_bad_catalogues_are_refused():
    with pytest.raises(ValueError, match="at least one title"):
        build_tree([], SOI, EOI)
    with pytest.raises(ValueError, match="title 1 has no tokens"):
        build_tree([[1], []], SOI, EOI)
    with pytest.raises(ValueError, match="control token"):
        build_tree([[1, SOI]], SOI, EOI)
    with pytest.raises(ConstraintError, match="outside the catalogue"):
        Rules(build_tree([[1]], SOI, EOI), allow=[7])


def test_leaf_intervals_nest_and_cover_every_title():
    rng = np.random.default_rng(0)
    catalogue = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(500)]
    tree = build_tree(catalogue, SOI, EOI)
    for node in range(len(tree.leaf_lo)):
        children = tree.edge_node[tree.edges(node)]
        if len(children):
            assert tree.leaf_lo[children[0]] == tree.leaf_lo[node]
            assert tree.leaf_hi[children[-1]] == tree.leaf_hi[node]
            assert (tree.leaf_hi[children[:-1]] == tree.leaf_lo[children[1:]]).all()
    for item, title in enumerate(catalogue):
        assert item in tree.items_of_leaf(int(tree.leaf_lo[node_behind(tree, [*title, EOI])]))
