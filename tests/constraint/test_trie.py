"""The trie promises what a set of titles would: exact children, distinct items, rules and priors by counting."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.constraint.constraint import PRIOR_FLOOR, Constraint, ConstraintError, Prior
from train_utils.constraint.matcher import Matcher, Unconstrained
from train_utils.constraint.trie import build_trie
from train_utils.constraint.trie_change import changed_trie

SOI, EOI = 100, 101
titles = st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=5), min_size=1, max_size=30)
# Control tokens below and above every other id: the order of children depends on it.
controls = st.sampled_from([(100, 101), (0, 1), (1, 0)])


class Oracle:
    """Slow and obvious: a list of titles, looked through at every question."""

    def __init__(self, catalog, eoi, deny=(), allow=None, distinct=True, caps=()):
        self.catalog, self.eoi = [tuple(t) for t in catalog], eoi
        self.admitted = {i for i in range(len(catalog)) if i not in deny and (allow is None or i in allow)}
        self.distinct, self.caps, self.listed = distinct, caps, []

    def items(self):
        """Items that may be emitted now."""
        full = [items for items, limit in self.caps if sum(i in items for i in self.listed) >= limit]
        return [
            i
            for i in sorted(self.admitted)
            if not any(i in items for items in full)
            and not (self.distinct and self.catalog[i] in [self.catalog[j] for j in self.listed])
        ]

    def children(self, prefix):
        """token -> admissible items below it."""
        actual = {}
        for i in self.items():
            closed = (*self.catalog[i], self.eoi)
            if closed[: len(prefix)] == tuple(prefix):
                actual.setdefault(closed[len(prefix)], []).append(i)
        return dict(sorted(actual.items()))


@given(titles, titles, st.data(), controls)
@settings(max_examples=200)
def test_a_changed_trie_equals_the_trie_of_all_titles(catalog, new, data, marks):
    changed = {len(catalog) + n: title for n, title in enumerate(new)} if data.draw(st.booleans()) else {}
    changed |= data.draw(st.dictionaries(st.integers(0, len(catalog) - 1), st.sampled_from(new)))
    before = build_trie(catalog, *marks, [7, 8])
    actual = changed_trie(before, dict(data.draw(st.permutations([*changed.items()]))))
    after = [*catalog, *([[]] * len(new) if len(catalog) in changed else [])]
    for item, title in changed.items():
        after[item] = title
    expected = build_trie(after, *marks, [7, 8]).arrays()
    for name, array in actual.arrays().items():
        assert np.array_equal(array, expected[name]) and array.dtype == expected[name].dtype, name


@pytest.mark.parametrize("marks", [(100, 101), (0, 1), (1, 0)])
def test_a_trie_equals_that_of_all_titles_after_any_number_of_small_changes(marks):
    rng = random.Random(0)

    def title():
        return [rng.randint(2, rng.choice((3, 5, 8))) for _ in range(rng.randint(1, 5))]

    for _ in range(15):
        catalog = [title() for _ in range(rng.randint(1, 25))]
        trie = build_trie(catalog, *marks, [9])
        for _ in range(30):
            new = {i: title() for i in rng.sample(range(len(catalog)), min(len(catalog), rng.randint(0, 2)))}
            if rng.random() < 0.5:
                new[len(catalog)] = title()
            catalog = [new.get(i, before) for i, before in enumerate(catalog)] + [
                new[i] for i in new if i >= len(catalog)
            ]
            trie, expected = changed_trie(trie, new), build_trie(catalog, *marks, [9]).arrays()
            for name, array in trie.arrays().items():
                assert np.array_equal(array, expected[name]) and array.dtype == expected[name].dtype, name


def test_items_are_added_to_a_trie_after_the_last_one():
    trie = build_trie([[1], [2]], SOI, EOI)
    with pytest.raises(ValueError, match="item 2 has no title"):
        changed_trie(trie, {3: [4]})
    with pytest.raises(ValueError, match="holds a control token"):
        changed_trie(trie, {1: [EOI]})


def drawn_rules(catalog, data):
    indices = st.integers(0, len(catalog) - 1)
    return {
        "deny": data.draw(st.sets(indices, max_size=len(catalog) - 1)),
        "allow": data.draw(st.none() | st.sets(indices, min_size=1)),
        "distinct": data.draw(st.booleans()),
        "caps": data.draw(st.lists(st.tuples(st.sets(indices, min_size=1), st.integers(0, 3)), max_size=2)),
    }


def drawn_prior(catalog, data):
    scores = data.draw(
        st.lists(st.sampled_from([0.0, 1e-9, 0.25, 1.0, 3.5]), min_size=len(catalog), max_size=len(catalog))
    )
    weight, reduce = data.draw(st.sampled_from([0.0, 0.5, 4.0])), data.draw(st.sampled_from(["sum", "max"]))
    return Prior(np.array(scores), weight, reduce)


def expected_prior(prior, children, catalog):
    """The weighted log-shares by the definition; items of one title count together."""
    if prior.weight == 0 or len(children) < 2:
        return None
    reduce = sum if prior.reduce == "sum" else max
    masses = [reduce(prior.scores[i] for i in items) for items in children.values()]
    total = sum(masses)
    return [prior.weight * math.log(max(m / total, PRIOR_FLOOR)) if total > 0 else 0.0 for m in masses]


@settings(max_examples=300)
@given(titles, controls, st.data())
def test_walk_offers_exactly_what_a_list_of_titles_offers(catalog, control, data):
    soi, eoi = control
    trie, drawn, prior = build_trie(catalog, soi, eoi), drawn_rules(catalog, data), drawn_prior(catalog, data)
    oracle = Oracle(catalog, eoi, **drawn)
    if not oracle.items():
        with pytest.raises(ConstraintError, match="admit none"):
            Constraint(trie, **drawn)
        return
    rules = Constraint(trie, **drawn, prior=prior)
    assert rules.admitted.tolist() == [i in oracle.admitted for i in range(len(catalog))]
    matcher = Matcher(rules)
    for _ in range(6):
        assert matcher.free and matcher.allowed() is None
        if not oracle.items():
            assert matcher.exhausted and matcher.barred().tolist() == [eoi, soi]
            with pytest.raises(ConstraintError):
                matcher.accept_token(soi)
            return
        assert matcher.barred().tolist() == [eoi]
        matcher.accept_token(soi)
        prefix = []
        while not matcher.free:
            children = oracle.children(prefix)
            assert matcher.allowed().tolist() == list(children)
            added = matcher.prior()
            if (expected := expected_prior(prior, children, catalog)) is not None:
                assert added[0].tolist() == pytest.approx(expected)
            else:
                assert added is None or not added[0].any()
            for token in {2, 3, 4, 5, 6, eoi, soi} - set(children):
                with pytest.raises(ConstraintError):
                    matcher.copy().accept_token(token)
            token = data.draw(st.sampled_from(list(children)))
            item = matcher.accept_token(token)
            prefix.append(token)
        title = tuple(prefix[:-1])
        leaf = int(trie.item_leaf[item])
        assert trie.items_of_leaf(leaf) == [i for i, t in enumerate(catalog) if tuple(t) == title]
        assert trie.title(leaf) == prefix
        assert item == min(i for i in oracle.items() if oracle.catalog[i] == title)
        oracle.listed.append(item)
        assert matcher.items == tuple(oracle.listed)


@settings(max_examples=150)
@given(titles, st.data())
def test_forced_run_is_the_run_of_single_choices(catalog, data):
    deny = data.draw(st.sets(st.integers(0, len(catalog) - 1), max_size=len(catalog) - 1))
    if {tuple(t) for t in catalog} == {tuple(catalog[i]) for i in deny} or len(deny) == len(catalog):
        deny = set()
    matcher = Matcher(Constraint(build_trie(catalog, SOI, EOI), deny=deny))
    while not matcher.exhausted:
        matcher.accept_token(SOI)
        while not matcher.free:
            walked = matcher.copy()
            for token in matcher.jump_forward():
                assert walked.allowed().tolist() == [token]
                walked.accept_token(token)
            assert walked.free or len(walked.allowed()) > 1
            matcher.accept_token(data.draw(st.sampled_from(matcher.allowed().tolist())))


@settings(max_examples=100)
@given(titles, st.data())
def test_a_summed_prior_gives_a_title_its_share_of_all_scores(catalog, data):
    scores = data.draw(st.lists(st.floats(0.01, 1), min_size=len(catalog), max_size=len(catalog)))
    prior = Prior(np.array(scores), 2.0, "sum")
    trie = build_trie(catalog, SOI, EOI)
    rules = Constraint(trie, prior=prior)
    for leaf in range(trie.n_leaves):
        matcher, added, bound = Matcher(rules), 0.0, None
        matcher.accept_token(SOI)
        for token in trie.title(leaf):
            if (prior_here := matcher.prior()) is not None:
                at = matcher.allowed().tolist().index(token)
                added += prior_here[0][at]
                assert bound is None or added + prior_here[1][at] <= bound + 1e-9
                bound = added + prior_here[1][at]
            matcher.accept_token(token)
        share = sum(prior.scores[i] for i in trie.items_of_leaf(leaf)) / prior.scores.sum()
        assert added == pytest.approx(2.0 * math.log(share), abs=1e-9)


def test_prefix_titles_one_token_titles_and_duplicates_are_legal():
    trie = build_trie([[1], [1, 2], [3], [1, 2]], SOI, EOI)
    matcher = Matcher(Constraint(trie))
    matcher.accept_token(SOI)
    assert matcher.allowed().tolist() == [1, 3]
    matcher.accept_token(1)
    assert matcher.allowed().tolist() == [2, EOI]
    matcher.accept_token(2)
    item = matcher.accept_token(EOI)
    assert item == 1 and trie.items_of_leaf(int(trie.item_leaf[item])) == [1, 3]


def test_a_title_of_twenty_thousand_tokens_and_its_twin_are_told_apart():
    long = [7] * 20_000
    trie = build_trie([long, [*long, 8], [5]], SOI, EOI)
    matcher = Matcher(Constraint(trie))
    matcher.accept_token(SOI)
    matcher.accept_token(7)
    assert len(run := matcher.jump_forward()) == 19_999
    for token in run:
        matcher.accept_token(token)
    assert matcher.allowed().tolist() == [8, EOI]


def test_many_denied_titles_count_like_few():
    rng = np.random.default_rng(0)
    catalog = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(3000)]
    trie = build_trie(catalog, SOI, EOI)
    deny = rng.permutation(3000)[:600]
    many, few = Matcher(Constraint(trie, deny=deny)), Matcher(Constraint(trie, deny=deny[:500]))
    for oracle, matcher in (
        (Oracle(catalog, EOI, set(deny.tolist())), many),
        (Oracle(catalog, EOI, set(deny[:500].tolist())), few),
    ):
        matcher.accept_token(SOI)
        prefix = []
        while not matcher.free:
            children = list(oracle.children(prefix))
            assert matcher.allowed().tolist() == children
            prefix.append(children[0])
            matcher.accept_token(children[0])


def test_at_most_so_many_of_a_group_are_listed():
    trie = build_trie([[1, i] for i in range(6)] + [[2]], SOI, EOI)
    matcher = Matcher(Constraint(trie, caps=[(range(6), 2)]))
    for last in (0, 3):
        matcher.accept_token(SOI)
        assert matcher.allowed().tolist() == [1, 2]
        for token in (1, last, EOI):
            matcher.accept_token(token)
    matcher.accept_token(SOI)
    assert matcher.allowed().tolist() == [2]


def test_copies_of_a_matcher_go_their_own_ways():
    matcher = Matcher(Constraint(build_trie([[1], [2]], SOI, EOI)))
    matcher.accept_token(SOI)
    other = matcher.copy()
    for token in (1, EOI, SOI):
        matcher.accept_token(token)
    assert matcher.allowed().tolist() == [2] and other.allowed().tolist() == [1, 2]
    assert (matcher.items, other.items) == ((0,), ())


def test_free_text_bars_only_the_closing_token():
    matcher = Matcher(Constraint(build_trie([[1]], SOI, EOI)))
    assert matcher.allowed() is None and matcher.barred().tolist() == [EOI] and matcher.jump_forward() == []
    with pytest.raises(ConstraintError):
        matcher.accept_token(EOI)


def test_an_unconstrained_text_accepts_every_token_and_opens_no_item():
    matcher = Unconstrained(barred=(SOI, EOI))
    for token in (SOI, 5, EOI, SOI):
        assert matcher.accept_token(token) is None
        assert matcher.free and not matcher.at_root and not matcher.exhausted and matcher.branch is None
        assert matcher.allowed() is None and matcher.forced_token() is None and matcher.jump_forward() == []
        assert matcher.prior() is None
    assert matcher.barred().tolist() == [SOI, EOI] and not len(Unconstrained().barred()) and matcher.copy().items == ()


def test_bad_catalogs_rules_and_priors_are_refused():
    with pytest.raises(ValueError, match="at least one title"):
        build_trie([], SOI, EOI)
    with pytest.raises(ValueError, match="title 1 has no tokens"):
        build_trie([[1], []], SOI, EOI)
    with pytest.raises(ValueError, match="control token"):
        build_trie([[1, SOI]], SOI, EOI)
    trie = build_trie([[1], [2]], SOI, EOI)
    with pytest.raises(ConstraintError, match="item index 7 is outside"):
        Constraint(trie, allow=[7])
    with pytest.raises(ConstraintError, match="item index -1 is outside"):
        Constraint(trie, deny=[-1])
    with pytest.raises(ConstraintError, match="admit none"):
        Constraint(trie, caps=[([0, 1], 0)])
    with pytest.raises(ValueError, match="3 scores, the catalog 2 items"):
        Constraint(trie, prior=Prior(np.ones(3)))
    for wrong in (Prior, lambda s: Prior(np.ones(2), -1.0), lambda s: Prior(np.ones(2), reduce="mean")):
        with pytest.raises(ValueError):
            wrong(np.array([1.0, -1.0]))


def test_leaf_intervals_nest_and_cover_every_title():
    rng = np.random.default_rng(0)
    catalog = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(500)]
    trie = build_trie(catalog, SOI, EOI)
    for branch in range(len(trie.branch_depth)):
        lo, hi = trie.intervals(branch)
        assert (lo[0], hi[-1]) == trie.below(branch) and (lo[1:] == hi[:-1]).all() and (lo < hi).all()
        for edge, (start, end) in zip(range(*trie.edges(branch).indices(10**9)), zip(lo, hi, strict=True), strict=True):
            assert trie.below(int(trie.edge_target[edge])) == (start, end)
    for item, title in enumerate(catalog):
        leaf = int(trie.item_leaf[item])
        assert item in trie.items_of_leaf(leaf) and trie.title(leaf) == [*title, EOI]
        for branch, edge in trie.path(leaf):
            assert trie.edge_token[edge] == [*title, EOI][trie.branch_depth[branch]]
