"""Settings are chosen by validation events alone, in the way the test will be made."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from train_utils.catalog import Item, make_catalog
from train_utils.evaluation.baseline_search import CUTOFF, GRIDS, Grid, ndcg, next_value, tune, tuned
from train_utils.evaluation.baselines import BASELINES, ItemKNN, RecentPopularity
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.metrics import score_list
from train_utils.evaluation.specs import SplitSpec
from train_utils.param.evaluation import EvalOptions

TASK = EvalTask.parse("SFTTestSeqRec")
SPLIT = SplitSpec.from_options(EvalOptions(data_path="", max_history=3))
N_ITEMS = 30


def world(seed=0, last=None):
    """40 users who walk along a ring of items; `last` replaces everybody's test event."""
    rng = np.random.default_rng(seed)
    walks = [(rng.integers(N_ITEMS) + np.cumsum(rng.integers(1, 4, size=8))) % N_ITEMS for _ in range(40)]
    return make_catalog(
        "ring",
        [Item(str(i), f"title {i}") for i in range(N_ITEMS)],
        {f"u{n}": [*map(str, walk), *([last] if last else [])] for n, walk in enumerate(walks)},
    )


def training(catalog):
    return [list(sequence) for sequence in catalog.training_sequences()]


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("hide_seen", ["none", "visible", "all"])
def test_the_choice_is_the_best_of_the_log_and_ranks_as_a_fresh_one_with_its_settings(name, hide_seen):
    catalog, split = world(), replace(SPLIT, hide_seen=hide_seen)
    ranker, log = tuned(name, catalog, split)
    best = max(log, key=lambda row: row["ndcg@10"])  # max takes the first of equal ones
    fresh = BASELINES[name](**best["settings"]).fit(training(catalog), N_ITEMS)
    assert {setting: getattr(ranker, setting) for setting in best["settings"]} == best["settings"]
    users = eval_cases(catalog, TASK, replace(split, split="valid"))
    asked = [list(user.shown) for user in users], [user.hidden(hide_seen) for user in users], CUTOFF
    lists = ranker.rank(*asked)
    np.testing.assert_array_equal(lists, fresh.rank(*asked))
    scores = [
        score_list(catalog.ids(i for i in row if i >= 0), catalog.items[user.target].id, history=(), k_asked=10)
        for row, user in zip(lists.tolist(), users, strict=True)
    ]
    assert best["ndcg@10"] == pytest.approx(np.mean([one["ndcg@10"] for one in scores]))


def test_the_log_has_every_combination_once():
    _, log = tuned("item-knn", world(), SPLIT)
    grid = GRIDS["item-knn"]
    assert len({tuple(row["settings"].items()) for row in log}) == len(log)
    assert len(log) == len(grid.fit["neighbors"]) * len(grid.rank["recency"])


def test_test_events_play_no_part():
    # The same walks, and everybody's test event another item.
    logs = [tuned("ease", world(last=last), SPLIT)[1] for last in ("0", "17")]
    assert logs[0] == logs[1]


def test_the_split_the_users_and_the_request_play_no_part():
    asked = replace(SPLIT, split="test", users=5, topk=2, enforce_request=True)
    assert tuned("item-knn", world(), asked)[1] == tuned("item-knn", world(), SPLIT)[1]


def test_what_is_shown_and_hidden_plays_a_part():
    logs = [
        tuned("item-knn", world(), replace(SPLIT, **changed))[1]
        for changed in ({}, {"max_history": 1}, {"hide_seen": "none"})
    ]
    assert logs[0] != logs[1] and logs[0] != logs[2]


def test_of_equal_settings_the_first_is_taken():
    catalog = world()
    users = eval_cases(catalog, TASK, replace(SPLIT, split="valid"))
    grid = Grid({"window": (100, 50, 20)})  # all of a user's events, three times
    ranker, log = tune(RecentPopularity(), grid, training(catalog), N_ITEMS, users, "visible")
    assert len({row["ndcg@10"] for row in log}) == 1
    assert ranker.window == 100


def test_tuning_leaves_the_ranker_it_was_given_as_it_was():
    catalog, given = world(), ItemKNN(7, 0.3)
    users = eval_cases(catalog, TASK, replace(SPLIT, split="valid"))
    tune(given, Grid({"neighbors": (2, 3)}, {"recency": (0.5,)}), training(catalog), N_ITEMS, users, "visible")
    assert given == ItemKNN(7, 0.3) and given.nearest is None


@pytest.mark.parametrize("name", sorted(BASELINES.keys() - GRIDS.keys()))
def test_a_baseline_without_settings_is_fitted_and_has_an_empty_log(name):
    ranker, log = tuned(name, world(), SPLIT)
    assert log == [] and ranker.rank([[0]], [[0]], 3).shape == (1, 3)


def test_what_cannot_be_tuned_is_refused():
    with pytest.raises(ValueError, match="no baseline is called 'svd'"):
        tuned("svd", world(), SPLIT)
    lonely = make_catalog("short", [Item("a", "A"), Item("b", "B")], {"u": ["a", "b"]})
    with pytest.raises(ValueError, match="'short' has no user to test, which takes three events"):
        tuned("ease", lonely, SPLIT)


def test_ndcg_by_hand():
    assert ndcg(np.array([[3, 1, 2], [1, 2, 3], [4, 5, -1]]), np.array([2, 1, 0])) == pytest.approx((0.5 + 1 + 0) / 3)


@pytest.mark.parametrize(
    ("values", "best", "bounds", "wanted"),
    [
        ((10, 20, 50), 20, (1, 99), None),
        ((10, 20, 50), 10, (1, 99), 5),
        ((1, 2, 3), 1, (1, 99), None),
        ((10, 20, 50), 50, (1, 99), 99),
        ((10, 20, 50), 50, (1, 1000), 125),
        ((2, 3), 2, (1, 9), 1),
        ((0.2, 0.3), 0.2, (0.05, 1.0), 0.133),
        ((0.9, 1.0), 1.0, (0.05, 1.0), None),
        ((10.0, 30.0), 30.0, (0, 1e9), 90.0),
    ],
)
def test_the_value_beyond_the_best_one_tried(values, best, bounds, wanted):
    assert next_value(values, best, bounds) == wanted


@dataclass
class Peak:
    """Ranks the target first the more often, the nearer its setting is to the peak."""

    peak: float
    setting: float = 0.0

    def fit(self, sequences, n_items):
        self.n_items = n_items
        return self

    def rank(self, histories, hidden, k):
        place = min(int(abs(math.log2(self.setting / self.peak))), k - 1)
        return np.tile(np.roll(np.arange(k), place), (len(histories), 1))


@pytest.mark.parametrize(("peak", "best"), [(5.0, 10.0), (20.0, 20.0), (640.0, 640.0), (20_000.0, 2560.0)])
def test_a_grid_goes_on_until_the_best_is_inside_or_at_a_bound_which_is_said(peak, best, caplog):
    users = [replace(user, target=0) for user in eval_cases(world(), TASK, replace(SPLIT, split="valid"))]
    grid = Grid({"setting": (10.0, 20.0, 40.0)}, bounds={"setting": (10.0, 2560.0)})
    ranker, log = tune(Peak(peak), grid, [], N_ITEMS, users, "none")
    tried = [row["settings"]["setting"] for row in log]
    assert tried[:3] == [10.0, 20.0, 40.0] and len(set(tried)) == len(tried)
    assert ranker.setting == best
    assert best in grid.bounds["setting"] or min(tried) < best < max(tried)
    said = [f"the best setting of Peak is {best}, the last value that is tried: values beyond it may be better"]
    assert caplog.messages == (said if best in grid.bounds["setting"] else [])


def test_a_share_of_one_is_no_bound_to_speak_of():
    assert GRIDS["ease"].at_bounds({"l2": 30.0, "recency": 1.0}) == []
    assert GRIDS["ease"].at_bounds({"l2": 1e7, "recency": 0.05}) == ["l2", "recency"]
