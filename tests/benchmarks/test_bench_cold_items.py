"""The dataset without the held-out items: none of them anywhere, all other training events as they were."""

import numpy as np
from bench_cold_items import cases_of, held_out, score_ranker, scores, write_warm
from tiny_samples import small_catalog, write_small_catalog

from train_utils.catalog import load_catalog


def test_the_warm_dataset_has_no_cold_item_and_every_other_training_event(tmp_path):
    write_small_catalog(tmp_path / "small")
    whole = load_catalog(tmp_path / "small")
    cold = held_out(whole, 0.25, 0)
    assert len(cold) == 5 and cold == held_out(whole, 0.25, 0) != held_out(whole, 0.25, 1)
    write_warm(whole, cold, tmp_path / "small", tmp_path / "small-warm")
    warm = load_catalog(tmp_path / "small-warm")
    assert [item.id for item in warm.items] == [item.id for item in whole.items if item.id not in cold]
    trained = {
        user: [i for i in whole.ids(events) if i not in cold]
        for user, events in zip(whole.sequences, whole.training_sequences(), strict=True)
    }
    left = dict(zip(warm.sequences, map(warm.ids, warm.training_sequences()), strict=True))
    assert left == {user: events for user, events in trained.items() if len(events) >= 2}


def test_lists_hide_what_is_shown_and_hits_count_by_place():
    cases = [((0, 1), (1,), 2), ((0,), (0,), 5)]
    lists = score_ranker(lambda case: np.arange(20)[::-1])(cases)
    assert lists[0][:3] == [0, 2, 3] and 0 not in lists[1]
    assert scores(cases, lists)["hr@10"] == 1.0
    assert scores(cases, [[2], [1]]) == {"hr@10": 0.5, "ndcg@10": 0.5}


def test_drawn_users_are_scored_with_both_of_their_events():
    catalog = small_catalog()
    every, some = cases_of(catalog, 0, 0), cases_of(catalog, 3, 0)
    assert len(every) == sum(len(catalog.split(part)) for part in ("valid", "test"))
    assert len(some) == 6 and all(case in every for case in some) and some == cases_of(catalog, 3, 0)
