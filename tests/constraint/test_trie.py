"""The tree promises what a set of titles would: exact children, distinct items, rules and priors by counting."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.constraint.constraint import PRIOR_FLOOR, ConstraintError, Prior, Rules
from train_utils.constraint.matcher import Cursor
from train_utils.constraint.trie import build_tree

SOI, EOI = 100, 101
titles = st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=5), min_size=1, max_size=30)
# Control tokens below and above every other id: the order of children depends on it.
controls = st.sampled_from([(100, 101), (0, 1), (1, 0)])


class Oracle:
    """Slow and obvious: a list of titles, looked through at every question."""

    def __init__(self, catalogue, eoi, deny=(), allow=None, distinct=True, caps=()):
        self.catalogue, self.eoi = [tuple(t) for t in catalogue], eoi
        self.admitted = {i for i in range(len(catalogue)) if i not in deny and (allow is None or i in allow)}
        self.distinct, self.caps, self.listed = distinct, caps, []

    def items(self):
        """Items that may be emitted now."""
        full = [items for items, limit in self.caps if sum(i in items for i in self.listed) >= limit]
        return [
            i
            for i in sorted(self.admitted)
            if not any(i in items for items in full)
            and not (self.distinct and self.catalogue[i] in [self.catalogue[j] for j in self.listed])
        ]

    def children(self, prefix):
        """token -> admissible items below it."""
        found = {}
        for i in self.items():
            closed = (*self.catalogue[i], self.eoi)
            if closed[: len(prefix)] == tuple(prefix):
                found.setdefault(closed[len(prefix)], []).append(i)
        return dict(sorted(found.items()))


def drawn_rules(catalogue, data):
    indices = st.integers(0, len(catalogue) - 1)
    return {
        "deny": data.draw(st.sets(indices, max_size=len(catalogue) - 1)),
        "allow": data.draw(st.none() | st.sets(indices, min_size=1)),
        "distinct": data.draw(st.booleans()),
        "caps": data.draw(st.lists(st.tuples(st.sets(indices, min_size=1), st.integers(0, 3)), max_size=2)),
    }


def drawn_prior(catalogue, data):
    scores = data.draw(
        st.lists(st.sampled_from([0.0, 1e-9, 0.25, 1.0, 3.5]), min_size=len(catalogue), max_size=len(catalogue))
    )
    weight, reduce = data.draw(st.sampled_from([0.0, 0.5, 4.0])), data.draw(st.sampled_from(["sum", "max"]))
    return Prior(np.array(scores), weight, reduce)


def expected_prior(prior, children, catalogue):
    """The weighted log-shares by the definition; items of one title count together."""
    if prior.weight == 0 or len(children) < 2:
        return None
    reduce = sum if prior.reduce == "sum" else max
    masses = [reduce(prior.scores[i] for i in items) for items in children.values()]
    total = sum(masses)
    return [prior.weight * math.log(max(m / total, PRIOR_FLOOR)) if total > 0 else 0.0 for m in masses]


@settings(max_examples=300)
@given(titles, controls, st.data())
def test_walk_offers_exactly_what_a_list_of_titles_offers(catalogue, control, data):
    soi, eoi = control
    tree, asked, prior = build_tree(catalogue, soi, eoi), drawn_rules(catalogue, data), drawn_prior(catalogue, data)
    oracle = Oracle(catalogue, eoi, **asked)
    if not oracle.items():
        with pytest.raises(ConstraintError, match="admit none"):
            Rules(tree, **asked)
        return
    rules = Rules(tree, **asked, prior=prior)
    assert rules.admitted.tolist() == [i in oracle.admitted for i in range(len(catalogue))]
    cursor = Cursor(rules)
    for _ in range(6):
        assert cursor.free and cursor.allowed() is None
        if not oracle.items():
            assert cursor.exhausted and cursor.barred() == (eoi, soi)
            with pytest.raises(ConstraintError):
                cursor.advance(soi)
            return
        assert cursor.barred() == (eoi,)
        cursor.advance(soi)
        prefix = []
        while not cursor.free:
            children = oracle.children(prefix)
            assert cursor.allowed().tolist() == list(children)
            added = cursor.prior()
            if (wanted := expected_prior(prior, children, catalogue)) is not None:
                assert added[0].tolist() == pytest.approx(wanted)
            else:
                assert added is None or not added[0].any()
            for token in {2, 3, 4, 5, 6, eoi, soi} - set(children):
                with pytest.raises(ConstraintError):
                    cursor.copy().advance(token)
            token = data.draw(st.sampled_from(list(children)))
            item = cursor.advance(token)
            prefix.append(token)
        title = tuple(prefix[:-1])
        leaf = int(tree.item_leaf[item])
        assert tree.items_of_leaf(leaf) == [i for i, t in enumerate(catalogue) if tuple(t) == title]
        assert tree.title(leaf) == prefix
        assert item == min(i for i in oracle.items() if oracle.catalogue[i] == title)
        oracle.listed.append(item)
        assert cursor.items == tuple(oracle.listed)


@settings(max_examples=150)
@given(titles, st.data())
def test_forced_run_is_the_run_of_single_choices(catalogue, data):
    deny = data.draw(st.sets(st.integers(0, len(catalogue) - 1), max_size=len(catalogue) - 1))
    if {tuple(t) for t in catalogue} == {tuple(catalogue[i]) for i in deny} or len(deny) == len(catalogue):
        deny = set()
    cursor = Cursor(Rules(build_tree(catalogue, SOI, EOI), deny=deny))
    while not cursor.exhausted:
        cursor.advance(SOI)
        while not cursor.free:
            walked = cursor.copy()
            for token in cursor.forced_run():
                assert walked.allowed().tolist() == [token]
                walked.advance(token)
            assert walked.free or len(walked.allowed()) > 1
            cursor.advance(data.draw(st.sampled_from(cursor.allowed().tolist())))


@settings(max_examples=100)
@given(titles, st.data())
def test_a_summed_prior_gives_a_title_its_share_of_all_scores(catalogue, data):
    scores = data.draw(st.lists(st.floats(0.01, 1), min_size=len(catalogue), max_size=len(catalogue)))
    prior = Prior(np.array(scores), 2.0, "sum")
    tree = build_tree(catalogue, SOI, EOI)
    rules = Rules(tree, prior=prior)
    for leaf in range(tree.n_leaves):
        cursor, added, bound = Cursor(rules), 0.0, None
        cursor.advance(SOI)
        for token in tree.title(leaf):
            if (prior_here := cursor.prior()) is not None:
                at = cursor.allowed().tolist().index(token)
                added += prior_here[0][at]
                assert bound is None or added + prior_here[1][at] <= bound + 1e-9
                bound = added + prior_here[1][at]
            cursor.advance(token)
        share = sum(prior.scores[i] for i in tree.items_of_leaf(leaf)) / prior.scores.sum()
        assert added == pytest.approx(2.0 * math.log(share), abs=1e-9)


def test_prefix_titles_one_token_titles_and_duplicates_are_legal():
    tree = build_tree([[1], [1, 2], [3], [1, 2]], SOI, EOI)
    cursor = Cursor(Rules(tree))
    cursor.advance(SOI)
    assert cursor.allowed().tolist() == [1, 3]
    cursor.advance(1)
    assert cursor.allowed().tolist() == [2, EOI]
    cursor.advance(2)
    item = cursor.advance(EOI)
    assert item == 1 and tree.items_of_leaf(int(tree.item_leaf[item])) == [1, 3]


def test_a_title_of_twenty_thousand_tokens_and_its_twin_are_told_apart():
    long = [7] * 20_000
    tree = build_tree([long, [*long, 8], [5]], SOI, EOI)
    cursor = Cursor(Rules(tree))
    cursor.advance(SOI)
    cursor.advance(7)
    assert len(run := cursor.forced_run()) == 19_999
    for token in run:
        cursor.advance(token)
    assert cursor.allowed().tolist() == [8, EOI]


def test_many_denied_titles_count_like_few():
    rng = np.random.default_rng(0)
    catalogue = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(3000)]
    tree = build_tree(catalogue, SOI, EOI)
    deny = rng.permutation(3000)[:600]
    many, few = Cursor(Rules(tree, deny=deny)), Cursor(Rules(tree, deny=deny[:500]))
    for oracle, cursor in (
        (Oracle(catalogue, EOI, set(deny.tolist())), many),
        (Oracle(catalogue, EOI, set(deny[:500].tolist())), few),
    ):
        cursor.advance(SOI)
        prefix = []
        while not cursor.free:
            children = list(oracle.children(prefix))
            assert cursor.allowed().tolist() == children
            prefix.append(children[0])
            cursor.advance(children[0])


def test_at_most_so_many_of_a_group_are_listed():
    tree = build_tree([[1, i] for i in range(6)] + [[2]], SOI, EOI)
    cursor = Cursor(Rules(tree, caps=[(range(6), 2)]))
    for last in (0, 3):
        cursor.advance(SOI)
        assert cursor.allowed().tolist() == [1, 2]
        for token in (1, last, EOI):
            cursor.advance(token)
    cursor.advance(SOI)
    assert cursor.allowed().tolist() == [2]


def test_copies_of_a_cursor_go_their_own_ways():
    cursor = Cursor(Rules(build_tree([[1], [2]], SOI, EOI)))
    cursor.advance(SOI)
    other = cursor.copy()
    for token in (1, EOI, SOI):
        cursor.advance(token)
    assert cursor.allowed().tolist() == [2] and other.allowed().tolist() == [1, 2]
    assert (cursor.items, other.items) == ((0,), ())


def test_free_text_bars_only_the_closing_token():
    cursor = Cursor(Rules(build_tree([[1]], SOI, EOI)))
    assert cursor.allowed() is None and cursor.barred() == (EOI,) and cursor.forced_run() == []
    with pytest.raises(ConstraintError):
        cursor.advance(EOI)


def test_bad_catalogues_rules_and_priors_are_refused():
    with pytest.raises(ValueError, match="at least one title"):
        build_tree([], SOI, EOI)
    with pytest.raises(ValueError, match="title 1 has no tokens"):
        build_tree([[1], []], SOI, EOI)
    with pytest.raises(ValueError, match="control token"):
        build_tree([[1, SOI]], SOI, EOI)
    tree = build_tree([[1], [2]], SOI, EOI)
    with pytest.raises(ConstraintError, match="item index 7 is outside"):
        Rules(tree, allow=[7])
    with pytest.raises(ConstraintError, match="item index -1 is outside"):
        Rules(tree, deny=[-1])
    with pytest.raises(ConstraintError, match="admit none"):
        Rules(tree, caps=[([0, 1], 0)])
    with pytest.raises(ValueError, match="3 scores, the catalogue 2 items"):
        Rules(tree, prior=Prior(np.ones(3)))
    for wrong in (Prior, lambda s: Prior(np.ones(2), -1.0), lambda s: Prior(np.ones(2), reduce="mean")):
        with pytest.raises(ValueError):
            wrong(np.array([1.0, -1.0]))


def test_leaf_intervals_nest_and_cover_every_title():
    rng = np.random.default_rng(0)
    catalogue = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(500)]
    tree = build_tree(catalogue, SOI, EOI)
    for branch in range(len(tree.branch_depth)):
        lo, hi = tree.intervals(branch)
        assert (lo[0], hi[-1]) == tree.below(branch) and (lo[1:] == hi[:-1]).all() and (lo < hi).all()
        for edge, (start, end) in zip(range(*tree.edges(branch).indices(10**9)), zip(lo, hi, strict=True), strict=True):
            assert tree.below(int(tree.edge_target[edge])) == (start, end)
    for item, title in enumerate(catalogue):
        leaf = int(tree.item_leaf[item])
        assert item in tree.items_of_leaf(leaf) and tree.title(leaf) == [*title, EOI]
        for branch, edge in tree.path(leaf):
            assert tree.edge_token[edge] == [*title, EOI][tree.branch_depth[branch]]
