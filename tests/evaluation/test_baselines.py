"""One set of promises for every baseline, on data whose answer is obvious by eye."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.evaluation.baselines import (
    BASELINES,
    EASE,
    ItemKNN,
    MarkovChain,
    Popularity,
    Random,
    RecentPopularity,
    baseline,
)
from train_utils.teacher import interactions

LEARNED = [
    Popularity(),
    RecentPopularity(window=3),
    ItemKNN(neighbors=5),
    ItemKNN(neighbors=50, recency=1.0),
    MarkovChain(),
    MarkovChain(window=1, shrinkage=0.0, recency=1.0),
    EASE(l2=3.0),
    EASE(l2=100.0, recency=1.0),
]
every_baseline = pytest.mark.parametrize("make", [*LEARNED, Random(seed=3)], ids=repr)
every_learned = pytest.mark.parametrize("make", LEARNED, ids=repr)
SEQUENCES = st.lists(st.lists(st.integers(0, 7), max_size=9), min_size=1, max_size=9)


def fresh(model):
    """An unfitted baseline with the same settings."""
    return replace(model)


def checkerboard(n=10):
    """User u consumed every item of its own parity but item u: even users like even items."""
    return [[item for item in range(n) if item % 2 == user % 2 and item != user] for user in range(n)]


def random_data(seed=0, users=60, n_items=40):
    rng = np.random.default_rng(seed)
    # Squared draws make low indices popular, so that counts differ and also tie.
    return [list((rng.random(rng.integers(1, 15)) ** 2 * n_items).astype(int)) for _ in range(users)], n_items


@every_baseline
def test_hidden_items_never_come_back(make):
    sequences, n_items = random_data()
    hidden = [set(sequence) for sequence in sequences]
    ranked = fresh(make).fit(sequences, n_items).rank(sequences, hidden, 20)
    assert ranked.shape == (60, 20)
    for row, gone in zip(ranked, hidden, strict=True):
        assert gone.isdisjoint(row.tolist())
        assert len(set(row.tolist())) == 20


@every_learned
def test_batch_answers_equal_single_answers(make):
    sequences, n_items = random_data()
    model = fresh(make).fit(sequences, n_items)
    hidden = [np.array(sequence[-2:]) for sequence in sequences]
    batch = model.rank(sequences, hidden, 10)
    singles = [model.rank([s], [h], 10)[0] for s, h in zip(sequences, hidden, strict=True)]
    np.testing.assert_array_equal(batch, singles)


@every_baseline
def test_small_blocks_give_the_same_answer(make, monkeypatch):
    sequences, n_items = random_data()
    hidden = [[] for _ in sequences]
    whole = fresh(make).fit(sequences, n_items).rank(sequences, hidden, 10)
    monkeypatch.setattr(interactions, "BLOCK", 100)
    np.testing.assert_array_equal(fresh(make).fit(sequences, n_items).rank(sequences, hidden, 10), whole)


@every_baseline
def test_a_longer_list_begins_with_the_shorter_one(make):
    sequences, n_items = random_data()
    model, hidden = fresh(make).fit(sequences, n_items), [set()] * 60
    np.testing.assert_array_equal(model.rank(sequences, hidden, 40)[:, :7], model.rank(sequences, hidden, 7))


@every_baseline
def test_too_few_items_are_filled_up_with_minus_one(make):
    ranked = fresh(make).fit([[0, 1, 2]], 3).rank([[0]], [{0, 2}], 5)
    assert ranked.tolist() == [[1, -1, -1, -1, -1]]


@every_baseline
def test_an_empty_history_is_ranked(make):
    assert fresh(make).fit([[1, 2], [2]], 4).rank([[]], [[]], 4).shape == (1, 4)


@every_baseline
def test_no_users_is_an_empty_answer(make):
    assert fresh(make).fit([[1, 2]], 4).rank([], [], 3).shape == (0, 3)


@every_baseline
def test_wrong_calls_are_refused(make):
    with pytest.raises(ValueError, match="call fit"):
        fresh(make).rank([[0]], [[]], 1)
    with pytest.raises(ValueError, match=r"wanted indices 0\.\.2"):
        fresh(make).fit([[3]], 3)
    model = fresh(make).fit([[0]], 3)
    with pytest.raises(ValueError, match="k is 0"):
        model.rank([[0]], [[]], 0)
    with pytest.raises(ValueError, match="2 hidden sets"):
        model.rank([[0]], [[], []], 1)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="window is 0"):
        RecentPopularity(window=0)
    with pytest.raises(ValueError, match="recency 1.5"):
        ItemKNN(recency=1.5)
    for wrong in ({"l2": 0.0}, {"l2": float("nan")}, {"recency": 0.0}):
        with pytest.raises(ValueError, match="wanted a number > 0"):
            EASE(**wrong)
    with pytest.raises(ValueError, match="seed is -1"):
        Random(-1)


def test_baselines_are_made_by_name():
    assert [type(baseline(name)) for name in BASELINES] == list(BASELINES.values())
    assert baseline("random", seed=7) == Random(7)
    with pytest.raises(ValueError, match="no baseline is called 'svd'; known: random, popularity"):
        baseline("svd")


def test_random_rankings_are_the_same_for_a_seed_and_differ_between_users_and_seeds():
    def drawn(seed):
        return Random(seed).fit([], 50).rank([[]] * 3, [[]] * 3, 50).tolist()

    assert drawn(1) == drawn(1) != drawn(2)
    assert len({tuple(row) for row in drawn(1)}) == 3


def test_random_rankings_are_uniform():
    first = Random().fit([], 4).rank([[]] * 4000, [[]] * 4000, 1)
    assert np.bincount(first[:, 0]) == pytest.approx(1000, abs=150)  # five standard deviations


def test_popularity_counts_events_and_breaks_ties_by_index():
    model = Popularity().fit([[3, 3, 1], [1, 2, 0]], 5)
    assert model.rank([[]], [[]], 5).tolist() == [[1, 3, 0, 2, 4]]


def test_recent_popularity_sees_only_the_last_events():
    sequences = [[0, 0, 0, 1, 2], [0, 0, 2, 1], [0, 0, 2]]
    assert Popularity().fit(sequences, 3).rank([[]], [[]], 1).tolist() == [[0]]
    assert RecentPopularity(window=1).fit(sequences, 3).rank([[]], [[]], 3).tolist() == [[2, 1, 0]]


def test_knn_completes_the_checkerboard():
    sequences = checkerboard()
    ranked = ItemKNN(neighbors=4).fit(sequences, 10).rank(sequences, [set(s) for s in sequences], 1)
    assert ranked[:, 0].tolist() == list(range(10))  # the one missing item of its own color


def test_knn_prefers_neighbors_of_the_newest_event():
    model = ItemKNN(neighbors=3, recency=0.5).fit([[0, 1], [2, 3]], 4)
    assert model.rank([[0, 2], [2, 0]], [{0, 2}, {0, 2}], 1).tolist() == [[3], [1]]


def test_knn_similarity_is_the_cosine_counted_by_hand():
    model = ItemKNN(neighbors=2).fit([[0, 1], [0, 1, 1], [0], [2]], 3)  # a repeated event counts once
    assert model.nearest[0, 0] == 1
    assert model.similarity[0].tolist() == [pytest.approx(2 / math.sqrt(3 * 2)), 0.0]


@settings(max_examples=60)
@given(SEQUENCES, st.integers(1, 8), st.sampled_from([1.0, 0.5]))
def test_knn_equals_the_dense_definition(sequences, neighbors, recency):
    users_of = [{u for u, s in enumerate(sequences) if item in s} for item in range(8)]
    history = sequences[0]
    expected = [0.0] * 8
    for age, seen in enumerate(reversed(history)):
        cosine = {
            other: len(users_of[seen] & users_of[other])
            / math.sqrt(max(len(users_of[seen]), 1) * max(len(users_of[other]), 1))
            for other in range(8)
            if other != seen
        }
        for other in sorted(cosine, key=lambda item: (-round(cosine[item], 9), item))[:neighbors]:
            expected[other] += recency**age * cosine[other]
    model = ItemKNN(neighbors, recency).fit(sequences, 8)
    np.testing.assert_allclose(model._scores([history])[0], expected, atol=1e-9)


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=5), st.integers(1, 6))
def test_top_k_is_exact_with_ties_by_index(rows, k):
    expected = [sorted(range(6), key=lambda item, row=row: (-row[item], item))[:k] for row in rows]
    assert interactions.top_k(np.array(rows, dtype=float), k).tolist() == expected


def test_ease_completes_the_checkerboard():
    sequences = checkerboard()
    ranked = EASE(l2=1.0).fit(sequences, 10).rank(sequences, [set(s) for s in sequences], 1)
    assert ranked[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("l2", [0.5, 30.0])
def test_ease_weights_are_the_ridge_regression_of_each_item_on_the_others(l2):
    sequences, n_items = random_data()
    seen = np.array([[item in sequence for item in range(n_items)] for sequence in sequences], dtype=float)
    model = EASE(l2).fit(sequences, n_items)
    for item in range(n_items):
        others = np.delete(np.arange(n_items), item)
        x = seen[:, others]
        expected = np.linalg.solve(x.T @ x + l2 * np.eye(n_items - 1), x.T @ seen[:, item])
        np.testing.assert_allclose(model.weights[others, item], expected, atol=1e-10)
        assert model.weights[item, item] == 0


def test_ease_scores_are_the_weighted_history_counted_by_hand():
    model = EASE(recency=0.5).fit([[0, 1, 2]], 4)
    model.weights = np.arange(16.0).reshape(4, 4)
    # Item 1 twice: its newest event, two from the end, counts.
    expected = 0.25 * model.weights[1] + 0.5 * model.weights[2] + model.weights[0]
    np.testing.assert_allclose(model.scores([[1, 1, 2, 0]])[0], expected)


def test_ease_refuses_a_catalog_that_needs_too_much_memory():
    with pytest.raises(ValueError, match="EASE for 100000 items needs 240 GB.*at most 20000 items; use item-kNN"):
        EASE().fit([[0]], 100_000)


@given(SEQUENCES, st.integers(1, 6), st.sampled_from([0.0, 1.0, 7.5]), st.sampled_from([0.3, 1.0]))
def test_the_chain_equals_its_definition(sequences, window, shrinkage, recency):
    counts = np.zeros((8, 8))
    for sequence in sequences:
        for i, seen in enumerate(sequence):
            for distance, later in enumerate(sequence[i + 1 : i + 1 + window], 1):
                counts[seen, later] += 1 / distance
    history = sequences[0]
    expected = np.zeros(8)
    for age, seen in enumerate(reversed(history)):
        total = counts[seen].sum() + shrinkage
        expected += recency**age * counts[seen] / (total or 1.0)
    model = MarkovChain(window, shrinkage, recency).fit(sequences, 8)
    np.testing.assert_allclose(model._scores([history])[0], expected, atol=1e-9)


def test_the_chain_follows_what_came_next():
    model = MarkovChain(window=1, shrinkage=0.0).fit([[0, 1, 2], [3, 1, 2], [3, 0]], 4)
    assert model.rank([[1], [3]], [{1}, {3}], 1).tolist() == [[2], [0]]
