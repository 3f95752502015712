"""Metrics equal values counted by hand, and a slow re-implementation on random lists."""

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from train_utils.evaluation.metrics import (
    aggregate,
    coverage,
    diversity,
    novelty,
    paired_permutation,
    score_list,
    self_information,
)

ITEMS = st.sampled_from(["a", "b", "c", "d", "e", None])


def score(items, target="t", history=(), k_asked=10, **more):
    return score_list(items, target, history=history, k_asked=k_asked, **more)


def test_hit_at_rank_three_counted_by_hand():
    scores = score(["a", "b", "t", "c"], k_asked=4)
    assert scores["hr@1"] == 0 and scores["hr@5"] == 1 and scores["hr@10"] == 1
    assert scores["ndcg@5"] == scores["ndcg@10"] == 0.5  # 1 / log2(4)
    assert scores["mrr@10"] == pytest.approx(1 / 3)
    assert scores["correct_count"] == 1 and scores["short"] == 0


def test_hit_at_rank_six_counts_at_ten_only():
    scores = score([*"abcde", "t"])
    assert (scores["hr@5"], scores["hr@10"]) == (0, 1)
    assert (scores["ndcg@5"], scores["ndcg@10"]) == (0, pytest.approx(1 / math.log2(7)))


def test_hit_beyond_the_tenth_slot_is_a_miss():
    scores = score([*"abcdefghij", "t"], k_asked=11)
    assert scores["hr@10"] == scores["ndcg@10"] == scores["mrr@10"] == 0


def test_repeats_and_unknown_titles_waste_their_slots():
    scores = score(["a", "a", None, "t", "a"], k_asked=5)
    assert scores["mrr@10"] == 1 / 4
    assert scores["repeat@10"] == 2 / 5
    assert scores["ood@10"] == 1 / 5
    assert scores["correct_count"] == 1 and scores["short"] == 1  # five emitted, two distinct valid ones


def test_a_repeated_target_hits_once_at_its_first_place():
    assert score(["t", "t"])["ndcg@10"] == 1


def test_two_unknown_titles_are_ood_but_no_repeat():
    scores = score([None, None])
    assert (scores["ood@10"], scores["repeat@10"]) == (1, 0)


def test_empty_list_is_a_miss_with_zero_rates():
    scores = score([])
    assert scores.pop("short") == 1
    assert set(scores.values()) == {0.0}


def test_history_category_and_candidates_are_shares_of_emitted_items():
    scores = score(["a", "b", None, "c"], history=["a"], category={"a", "b"}, candidates={"c"})
    assert scores["in_history@10"] == 1 / 4
    assert scores["target_category"] == 2 / 4
    assert scores["not_in_candidate"] == 3 / 4


def test_category_and_candidates_are_absent_unless_asked_for():
    assert {"target_category", "not_in_candidate"}.isdisjoint(score(["a"]))


def test_rates_look_at_the_first_ten_items_only():
    scores = score([*"abcdefghij", None, "a"], k_asked=12, history=["a"])
    assert scores["ood@10"] == scores["repeat@10"] == 0
    assert scores["in_history@10"] == 1 / 10


def test_asking_for_no_item_is_refused():
    with pytest.raises(ValueError, match="k_asked is 0"):
        score(["a"], k_asked=0)


def slow_score(items, target, history, k_asked):
    """The definitions read aloud, one loop each."""
    out = dict.fromkeys(("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10"), 0.0)
    for rank in range(10, 0, -1):
        if rank <= len(items) and items[rank - 1] == target:
            out["mrr@10"] = 1 / rank
            for k in (1, 5, 10):
                out[f"hr@{k}"] = 1.0 if rank <= k else 0.0
            for k in (5, 10):
                out[f"ndcg@{k}"] = math.log(2) / math.log(rank + 1) if rank <= k else 0.0
    emitted = min(len(items), 10)
    unknown = repeated = old = 0
    seen = []
    for item in items[:10]:
        unknown += item is None
        repeated += item is not None and item in seen
        old += item in history
        seen.append(item)
    for name, count in (("ood@10", unknown), ("repeat@10", repeated), ("in_history@10", old)):
        out[name] = count / emitted if emitted else 0.0
    distinct = {item for item in items if item is not None}
    out["correct_count"] = 1.0 if len(items) == k_asked else 0.0
    out["short"] = 1.0 if len(distinct) < k_asked else 0.0
    return out


@given(st.lists(ITEMS, max_size=14), st.sampled_from("abc"), st.sets(st.sampled_from("bcd")), st.integers(1, 12))
def test_equals_the_slow_definition(items, target, history, k_asked):
    fast = score_list(items, target, history=history, k_asked=k_asked)
    assert fast == pytest.approx(slow_score(items, target, history, k_asked))


def test_equals_trec_eval_on_random_lists():
    """Against trec_eval itself. It ranks by score, without repeats, so unknown titles get names of their own."""
    rng = np.random.default_rng(5)
    theirs_of = {
        "hr@1": "success_1",
        "hr@5": "success_5",
        "hr@10": "success_10",
        "ndcg@5": "ndcg_cut_5",
        "ndcg@10": "ndcg_cut_10",
        "mrr@10": "recip_rank",
    }
    lists, targets = {}, {}
    for user in map(str, range(300)):
        drawn = rng.permutation(20)[: rng.integers(1, 15)]
        lists[user] = [None if item >= 18 else f"i{item}" for item in drawn]
        targets[user] = f"i{rng.integers(0, 18)}"
    runs = {
        user: {item or f"unknown{place}": -float(place) for place, item in enumerate(items[:10])}
        for user, items in lists.items()
    }
    evaluator = pytrec_eval.RelevanceEvaluator(
        {user: {target: 1} for user, target in targets.items()}, {"success.1,5,10", "ndcg_cut.5,10", "recip_rank"}
    )
    theirs = evaluator.evaluate(runs)
    for user, items in lists.items():
        ours = score(items, targets[user])
        assert {name: ours[name] for name in theirs_of} == pytest.approx(
            {name: theirs[user][their_name] for name, their_name in theirs_of.items()}
        )
    assert 0 < sum(row["success_10"] for row in theirs.values()) < 300


def test_novelty_is_the_mean_information_counted_by_hand():
    information = self_information({"a": 5, "b": 0, "c": 0})  # p = 6/8, 1/8, 1/8
    assert information == {"a": pytest.approx(math.log2(8 / 6)), "b": 3, "c": 3}
    assert novelty(["b", None, "c"], information) == 3
    assert novelty(["a", "b"], information) == pytest.approx((math.log2(8 / 6) + 3) / 2)
    assert novelty(["b"] * 10 + ["a"], information) == 3  # the first ten only
    assert novelty([], information) == novelty([None], information) == 0


def test_diversity_is_the_mean_distance_of_pairs_counted_by_hand():
    categories = {"a": frozenset("xy"), "b": frozenset("yz"), "c": frozenset("w"), "d": frozenset(), "e": frozenset()}
    assert diversity(["a", "b"], categories) == pytest.approx(2 / 3)
    assert diversity(["a", "b", None, "c"], categories) == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert diversity(["a", "d"], categories) == 1
    assert diversity(["d", "e"], categories) == diversity(["a", "a"], categories) == 0
    assert diversity(["a"], categories) == diversity([], categories) == diversity(["a", None], categories) == 0
    assert diversity(["a"] * 10 + ["c"], categories) == 0  # the first ten only


def test_empty_lists_stay_in_the_denominator():
    assert aggregate([score(["t"]), score([])])["hr@10"]["mean"] == 0.5


def test_constant_metric_has_a_point_interval():
    assert aggregate([{"m": 0.25}] * 7)["m"] == {"mean": 0.25, "ci": [0.25, 0.25]}


def test_interval_agrees_with_a_plain_bootstrap():
    values = np.random.default_rng(1).random(200)
    fast = aggregate([{"m": v} for v in values], bootstrap=4000)["m"]
    rng = np.random.default_rng(2)
    slow = [values[rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    assert fast["mean"] == pytest.approx(values.mean())
    assert fast["ci"] == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.004)


def test_interval_does_not_depend_on_the_block_size(monkeypatch):
    rows = [{"m": float(n % 3 == 0), "other": n / 40} for n in range(40)]
    whole = aggregate(rows)
    monkeypatch.setattr("train_utils.evaluation.metrics._BLOCK", 100)
    blocked = aggregate(rows)
    for name in whole:
        assert blocked[name]["ci"] == pytest.approx(whole[name]["ci"])


def test_same_seed_same_interval():
    rows = [{"m": n / 9} for n in range(10)]
    assert aggregate(rows, seed=3) == aggregate(rows, seed=3) != aggregate(rows, seed=4)


@pytest.mark.parametrize(("rows", "message"), [([], "0 rows"), ([{"a": 1.0}, {"b": 1.0}], "row 1")])
def test_rows_that_cannot_be_aggregated_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        aggregate(rows)


def test_coverage_counts_distinct_catalog_items():
    assert coverage([["a", "b"], ["b", None], []], n_items=8) == 2 / 8
    with pytest.raises(ValueError, match="n_items is 0"):
        coverage([], 0)


def test_permutation_p_value_of_five_wins_is_near_the_exact_one():
    # All five users agree: 2 of the 2**5 sign assignments are as extreme.
    assert paired_permutation([1] * 5, [0] * 5, permutations=20_000) == pytest.approx(2 / 32, abs=0.01)


def test_equal_systems_are_not_different():
    assert paired_permutation([0.1, 0.7], [0.1, 0.7]) == 1.0
    assert paired_permutation([1, 0], [0, 1]) == 1.0


def test_an_exact_p_value_is_not_raised_to_what_permutations_can_show():
    assert paired_permutation([1.0] * 60, [0.0] * 60, permutations=999) == pytest.approx(2 / 2**60)
    # One amount, but for the rounding of 0.3 - 0.2.
    assert paired_permutation([0.3] * 30 + [0.1] * 30, [0.2] * 30 + [0.0] * 30) == pytest.approx(2 / 2**60)


def test_an_estimated_p_value_counts_the_observed_assignment():
    assert paired_permutation([1.0, 0.5] * 30, [0.0] * 60, permutations=999) == 1 / 1000


def test_permutation_needs_the_same_users():
    with pytest.raises(ValueError, match="2 and 1 users"):
        paired_permutation([1, 0], [1])
