"""Drawn lists follow Plackett-Luce under the constraint, and their probabilities are exact."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare
from tiny import tiny_chat

from train_utils.constraint.constraint import Constraint
from train_utils.decoding.list_sampling import draw_list

TITLES = ["red", "red moon", "blue", "the end", "night"]
SCORES = [-0.5, -1.0, -2.0, -2.5, -4.0]
TRIE = tiny_chat(TITLES)[1].trie
FREE = Constraint(TRIE)
CAPPED = Constraint(TRIE, caps=[([0, 1], 1), ([3, 4], 1)])


def probability(items: tuple[int, ...], temperature: float, groups: tuple[set[int], ...] = ()) -> float:
    """Probability of a list, by its definition."""
    whole = 1.0
    for at, item in enumerate(items):
        full = {one for group in groups if group & {*items[:at]} for one in group}
        weights = {i: math.exp(s / temperature) for i, s in enumerate(SCORES) if i not in items[:at] and i not in full}
        whole *= weights.get(item, 0.0) / sum(weights.values())
    return whole


@pytest.mark.parametrize(
    ("temperature", "constraint", "groups"),
    [(0.5, FREE, ()), (3.0, FREE, ()), (1.0, CAPPED, ({0, 1}, {3, 4})), (3.0, CAPPED, ({0, 1}, {3, 4}))],
)
def test_lists_are_drawn_with_the_probability_that_is_returned(temperature, constraint, groups):
    n, drawn = 1500, Counter()
    for seed in range(n):
        one = draw_list(range(5), SCORES, constraint, 2, temperature, seed)
        drawn[one.places] += 1
        assert math.exp(sum(one.log_probabilities)) == pytest.approx(probability(one.places, temperature, groups))
    expected = {pair: n * probability(pair, temperature, groups) for pair in itertools.permutations(range(5), 2)}
    assert sum(expected.values()) == pytest.approx(n)
    assert {*drawn} <= {pair for pair, value in expected.items() if value}
    common = [pair for pair, value in expected.items() if value >= 5]
    rest = n - sum(expected[pair] for pair in common)
    observed = [*(drawn[pair] for pair in common), n - sum(drawn[pair] for pair in common)]
    kept = slice(None) if rest > 1e-6 else slice(-1)
    assert chisquare(observed[kept], [*(expected[pair] for pair in common), rest][kept]).pvalue > 1e-3


def test_the_greedy_list_is_the_ranking_under_the_limits():
    assert draw_list(range(5), SCORES, FREE, 3, 1.0, 0).greedy == (0, 1, 2)
    assert draw_list(range(5), SCORES, CAPPED, 4, 1.0, 0).greedy == (0, 2, 3)


def test_a_draw_depends_on_its_seed_and_a_cold_one_is_the_greedy_list():
    draws = {draw_list(range(5), SCORES, FREE, 3, 1.0, seed) for seed in range(20)}
    assert len(draws) > 5 and draw_list(range(5), SCORES, FREE, 3, 1.0, 3) in draws
    cold = draw_list(range(5), SCORES, FREE, 5, 1e-3, 3)
    assert cold.places == cold.greedy and np.allclose(cold.log_probabilities, 0)


def test_a_list_ends_with_its_candidates():
    drawn = draw_list([4, 2], [-1.0, -2.0], FREE, 10, 1.0, 0)
    assert sorted(drawn.places) == [0, 1] and drawn.log_probabilities[1] == 0
    assert draw_list([], [], FREE, 3, 1.0, 0).places == ()


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_draws_nothing_is_refused(temperature):
    with pytest.raises(ValueError, match="temperature is .*, wanted more than 0"):
        draw_list([0], [-1.0], FREE, 1, temperature, 0)
