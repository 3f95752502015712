"""Comparisons of result files: aligned by user, refused for other conditions, adjusted as Holm has it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from train_utils.catalog import Item, make_catalog
from train_utils.evaluation.metrics import aggregate, paired_permutation, score_list
from train_utils.report.significance import (
    buckets,
    compare,
    compare_all,
    history_lengths,
    holm,
    list_curve,
    over_seeds,
    permutations_for,
    target_popularity,
)

METRICS = ("hr@10", "ndcg@10")


def result(lists, target="t", **changed):
    """A result file of users u0, u1, ... with these lists and one target."""
    config = {"data_path": "data/x", "split": "test", "hide_seen": "visible", "max_history": 10} | changed
    users = [
        {
            "user": f"u{n}",
            "target": target,
            "items": list(items),
            "metrics": score_list(list(items), target, history=(), k_asked=10),
        }
        for n, items in enumerate(lists)
    ]
    return {
        "manifest": {"config": config, "inputs": {"data/x/metas.jsonl": "1", "data/x/sequential.jsonl": "2"}},
        "n_users": len(users),
        "metrics": aggregate([row["metrics"] for row in users]),
        "users": users,
    }


def random_result(seed, users=60, **changed):
    rng = np.random.default_rng(seed)
    return result([rng.permutation(list("abcdefghijklmnopqrst"))[:10].tolist() for _ in range(users)], **changed)


def test_holm_counted_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_as_the_step_down_procedure_does(p_values, alpha):
    rejected = set()
    for step, position in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[position] * (len(p_values) - step) > alpha:
            break
        rejected.add(position)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="within 0..1"):
        holm([0.2, float("nan")])


def test_a_comparison_has_the_means_of_the_files_and_the_paired_test():
    a, b = random_result(1), random_result(2)
    for one in compare(a, b, METRICS, permutations=500):
        assert one.mean_a == pytest.approx(a["metrics"][one.metric]["mean"])
        assert one.mean_b == pytest.approx(b["metrics"][one.metric]["mean"])
        assert one.difference == pytest.approx(one.mean_a - one.mean_b)
        assert one.ci[0] <= one.difference <= one.ci[1]
        values = [[row["metrics"][one.metric] for row in r["users"]] for r in (a, b)]
        assert one.p == paired_permutation(*values, permutations=500)
        assert one.p <= one.p_holm <= 1


def test_users_are_aligned_by_name_not_by_place():
    a, b = random_result(1), random_result(2)
    turned = b | {"users": b["users"][::-1]}
    assert compare(a, turned, METRICS, permutations=200) == compare(a, b, METRICS, permutations=200)


def test_a_result_does_not_differ_from_itself():
    a = random_result(1)
    assert [(one.difference, one.ci, one.p_holm) for one in compare(a, a, METRICS)] == [(0, (0, 0), 1)] * 2


def test_turning_the_sides_turns_the_sign():
    a, b = random_result(1), random_result(2)
    forth, back = compare(a, b, ["ndcg@10"], permutations=200)[0], compare(b, a, ["ndcg@10"], permutations=200)[0]
    assert (forth.difference, forth.p) == (-back.difference, back.p)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (random_result(2, users=59), "other users cannot be compared: 60 and 59 users, 1 of them .as 'u59'."),
        (random_result(2, target="a"), "other targets cannot be compared: user 'u0' has 't' and 'a'"),
        (random_result(2, hide_seen="all"), "other hide_seen cannot be compared: 'visible' and 'all'"),
        (random_result(2, split="valid"), "other split cannot be compared"),
        (random_result(2, max_history=20), "other max_history cannot be compared: 10 and 20"),
    ],
)
def test_results_under_other_conditions_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        compare(random_result(1), other, METRICS)


def test_a_dataset_is_told_by_its_contents_not_by_its_folder():
    a, moved, changed = random_result(1), random_result(2, data_path="elsewhere"), random_result(2)
    moved["manifest"]["inputs"] = {"elsewhere/metas.jsonl": "1", "elsewhere/sequential.jsonl": "2"}
    changed["manifest"]["inputs"] = {"data/x/metas.jsonl": "1", "data/x/sequential.jsonl": "3"}
    assert compare(a, moved, METRICS, permutations=10)
    with pytest.raises(ValueError, match="other dataset cannot be compared"):
        compare(a, changed, METRICS)


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no metric 'auc'; known: hr@1"):
        compare(random_result(1), random_result(2), ["auc"])


def test_a_table_is_adjusted_over_all_of_its_comparisons():
    results = {"base": random_result(0), "x": random_result(1), "y": random_result(2), "hits": result(["t"] * 60)}
    table = compare_all(results, "base", METRICS, permutations=500)
    assert list(table) == ["x", "y", "hits"]
    flat = [one for row in table.values() for one in row]
    assert [one.p_holm for one in flat] == holm([one.p for one in flat])
    hits = table["hits"][0]  # exact, so below what 500 permutations can show
    assert hits.p_holm == pytest.approx(6 * hits.p) and hits.p < 1 / 501
    assert table["hits"][0].difference > 0


def test_comparisons_stated_in_advance_are_adjusted_by_themselves():
    results = {"base": random_result(0), "x": random_result(1), "y": random_result(2), "z": random_result(3)}
    table = compare_all(results, "base", METRICS, permutations=500, primary=("x", "y"))
    stated = [table["x"][1], table["y"][1]]
    others = [table["x"][0], table["y"][0], *table["z"]]
    assert [one.metric for one in stated] == ["ndcg@10", "ndcg@10"]
    for family in (stated, others):
        assert [one.p_holm for one in family] == holm([one.p for one in family])
    with pytest.raises(ValueError, match="no result is called 'w'"):
        compare_all(results, "base", METRICS, primary=("w",))


def test_a_table_needs_its_base_and_names_the_result_that_does_not_fit():
    with pytest.raises(ValueError, match="no result is called 'b' to compare with; known: a"):
        compare_all({"a": random_result(1)}, "b", METRICS)
    with pytest.raises(ValueError, match="b against a: two results of other users"):
        compare_all({"a": random_result(1), "b": random_result(1, users=5)}, "a", METRICS)


def test_spread_over_seeds_by_hand():
    runs = [result(["t", "a"]), result(["t", "t"]), result(["a", "a"])]
    assert over_seeds(runs, ["hr@10"]) == {"hr@10": (0.5, 0.5, 3)}
    with pytest.raises(ValueError, match="1 runs have no spread"):
        over_seeds(runs[:1], ["hr@10"])
    with pytest.raises(ValueError, match="other hide_seen"):
        over_seeds([runs[0], result(["t"], hide_seen="all")], ["hr@10"])
    with pytest.raises(ValueError, match="two results with other `ranker` are no runs of one system: None and 'ease'"):
        over_seeds([runs[0], result(["t"], ranker="ease")], ["hr@10"])


def test_buckets_by_hand():
    actual = buckets(result(["t", "a", "t", "t"]), {"u0": 0, "u1": 1, "u2": 4, "u3": 50}, [1, 5, 20], "hr@10")
    assert [(one.label, one.n, one.mean) for one in actual] == [("< 1", 1, 1), ("1 to < 5", 2, 0.5), (">= 20", 1, 1)]
    assert actual[0].ci == (1, 1) and actual[1].ci == (0, 1)


def test_buckets_hold_every_user_once():
    whole = random_result(3)
    key = {row["user"]: n % 7 for n, row in enumerate(whole["users"])}
    actual = buckets(whole, key, [2, 3, 5], "ndcg@10")
    assert sum(one.n for one in actual) == 60
    assert sum(one.n * one.mean for one in actual) / 60 == pytest.approx(whole["metrics"]["ndcg@10"]["mean"])


def test_buckets_refuse_bad_edges_and_users_without_a_number():
    one = result(["t"])
    for edges in ([], [3, 3]):
        with pytest.raises(ValueError, match="each above the one before"):
            buckets(one, {"u0": 1}, edges, "hr@10")
    with pytest.raises(ValueError, match="1 users, the first 'u0'"):
        buckets(one, {}, [1], "hr@10")


def test_keys_of_users_come_from_the_dataset():
    catalog = make_catalog("x", [Item(i, i) for i in "abct"], {"u0": "abact", "u1": "bat"})
    assert history_lengths(catalog) == {"u0": 4, "u1": 2}
    assert history_lengths(catalog, "valid") == {"u0": 3, "u1": 1}
    assert target_popularity(catalog, result(["a", "a"])) == {"u0": 0, "u1": 0}  # held out everywhere: cold
    assert target_popularity(catalog, result(["a"], target="b")) == {"u0": 2}
    with pytest.raises(ValueError, match="'z' is not in the catalog"):
        target_popularity(catalog, result(["a"], target="z"))


def test_the_curve_agrees_with_the_hit_rates_of_the_file():
    whole = random_result(4)
    curve = list_curve(whole)
    assert [curve[k - 1] for k in (1, 5, 10)] == [whole["metrics"][f"hr@{k}"]["mean"] for k in (1, 5, 10)]
    assert curve == sorted(curve) and len(curve) == 10
    with pytest.raises(ValueError, match="k_max is 0"):
        list_curve(whole, 0)


def test_results_of_other_requests_are_refused():
    """A choice of ten candidates is easier than the whole catalog."""
    one, other = random_result(0), random_result(1)
    for row, choice in zip(one["users"], other["users"], strict=True):
        row["asked"], choice["asked"] = {"k": 10}, {"k": 10, "candidates": ["a", "t"]}
    with pytest.raises(ValueError, match="other requests cannot be compared: user 'u0'"):
        compare(one, other, METRICS)
    with pytest.raises(ValueError, match="other enforce_request"):
        compare(random_result(0), random_result(1, enforce_request=True), METRICS)


def paired(wins, losses, ties):
    """Two results whose first item hits or not for so many users each."""
    hit, miss = ["t"], ["x"]
    a = [hit] * wins + [miss] * losses + [hit] * ties
    b = [miss] * wins + [hit] * losses + [hit] * ties
    return result(a), result(b)


@given(st.integers(0, 12), st.integers(0, 12))
def test_hits_are_compared_exactly(wins, losses):
    a, b = paired(wins, losses, 3)
    n = wins + losses
    as_far = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(wins - losses))
    (one,) = compare(a, b, ["hr@10"])
    assert one.p == pytest.approx(as_far / 2**n)


def test_a_mark_does_not_depend_on_the_draw_of_permutations():
    """46 wins against 75 losses: the exact value is above .01, and no seed marks it below."""
    a, b = paired(46, 75, 20)
    exact = binomtest(46, 121, 0.5).pvalue
    assert 0.01 < exact < 0.011
    assert {compare(a, b, ["hr@5"], seed=seed)[0].p for seed in range(5)} == {exact}


def test_differences_stay_visible_however_many_comparisons_are_made():
    base = result([["x"]] * 60)
    results = {"base": base} | {f"r{n}": result([["t"] if n == 0 else ["x"]] * 60) for n in range(120)}
    table = compare_all(results, "base", METRICS, bootstrap=10)
    assert all(one.p_holm < 0.01 for one in table["r0"])
    assert permutations_for(240) == 240_000 and permutations_for(3) == 10_000
