"""Promises of the split in time: nothing later than one moment is trained on, here or by the teacher."""

import json
import pickletools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import train
from build_dataset import write_dataset
from hypothesis import given
from hypothesis import strategies as st
from sequences import Sequences
from small_events import TRIPLES, dataset_of, write_temporal
from teacher_world import TINY, write_ring
from transform2unirec import number_from_one, split_sequences, transform
from unirec_files import read_unirec_data
from windows import training_windows

from train_utils.catalog import Item as CatalogItem
from train_utils.catalog import load_catalog, make_catalog
from train_utils.leakage.split import count_split, count_teacher, read_teacher_data
from train_utils.unirec_folder import read_pickle


def test_a_hand_made_split():
    dataset = dataset_of(TRIPLES, 0.4)
    assert dataset.sequences == {"u": ["a", "b", "c"], "w": ["a", "c", "b"], "v": ["b", "c", "a", "e"], "y": ["a"]}
    assert dataset.test_users == ["u", "v"]
    assert dataset.audit["split"] == {
        "by": "time", "test_share": 0.4, "last_training_second": 5, "last_training_time": "1970-01-01T00:00:05+00:00",
        "users": {"test": 2, "training only": 2}, "events": {"training": 7, "validation": 2, "test": 2},
    }  # fmt: skip
    assert dataset.audit["events"]["dropped"] == {
        "after the split, user with fewer than 2 events before it": 3, "after the split, after the user's target": 1,
    }  # fmt: skip
    assert dataset.audit["users"]["dropped"] == {"after the split, user with fewer than 2 events before it": 1}


EVENTS = st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdefg"), st.integers(0, 9))


@given(st.lists(EVENTS, min_size=1, max_size=40), st.floats(0.05, 0.9))
def test_no_trained_event_is_later_than_the_split_and_every_target_is(triples, share):
    first: dict[tuple[str, str], int] = {}
    for user, item, time in triples:
        first[user, item] = min(time, first.get((user, item), time))
    try:
        dataset = dataset_of(triples, share)
    except ValueError as error:
        assert "take another share" in str(error)
        return
    until = dataset.audit["split"]["last_training_second"]
    assert sum(time > until for time in first.values()) <= share * len(first)
    users, items = number_from_one(list(dataset.sequences)), number_from_one(list(dataset.meta))
    teacher = split_sequences(Sequences.of(dataset.sequences), items, frozenset(dataset.test_users))
    train = dict(zip(teacher.users.tolist(), np.split(teacher.items, np.cumsum(teacher.lengths)), strict=False))
    catalog = make_catalog("c", [CatalogItem(i, i) for i in dataset.meta], dataset.sequences, dataset.test_users)
    trained = dict(zip(dataset.sequences, map(catalog.ids, catalog.training_sequences()), strict=True))
    for user, sequence in dataset.sequences.items():
        times = [first[user, item] for item in sequence]
        assert times == sorted(times) and all(first[user, item] <= until for item in trained[user])
        assert [items[item] for item in trained[user]] == train[users[user]].tolist()
        # An event up to the split is never lost: it is trained on, or it validates.
        assert sum(time <= until for time in times) == sum(t <= until for (u, _), t in first.items() if u == user)
        assert len(sequence) - len(trained[user]) == 2 * (user in dataset.test_users)
    for part, pairs, late in (("valid", teacher.valid, False), ("test", teacher.test, True)):
        rows = catalog.split(part)
        assert [user for user, _, _ in rows] == dataset.test_users
        assert [(users[user], items[catalog.items[target].id]) for user, _, target in rows] == [
            tuple(pair) for pair in pairs.tolist()
        ]
        assert all((first[user, catalog.items[target].id] > until) == late for user, _, target in rows)
    kept, dropped = dataset.audit["events"]["kept"], dataset.audit["events"]["dropped"]
    assert kept + sum(dropped.values()) == len(triples)


def test_both_sides_read_the_same_split_from_the_files(tmp_path):
    folder = write_temporal(tmp_path)
    catalog, teacher = load_catalog(folder / "data"), read_unirec_data(folder / "unirec")
    assert all([user for user, _, _ in catalog.split(part)] == ["u", "v"] for part in ("valid", "test"))
    events = Counter(i for items in catalog.training_sequences() for i in catalog.ids(items))
    assert events == {raw: n for raw, n in zip(teacher.raw_ids, teacher.popularity().tolist(), strict=True) if n}
    assert teacher.held_out.tolist() == [2, 0, 2, 0]
    actual = count_teacher(catalog, read_teacher_data(folder / "unirec"))
    assert not sum(sum(counts.values()) for counts in actual.values())
    assert count_split(catalog, 10)["users"] == {"tested": 2, "training_only": 2}


def test_leave_one_out_takes_the_list_of_test_users_away_again(tmp_path):
    write_dataset(dataset_of(TRIPLES, 0.4), tmp_path)
    assert json.loads((tmp_path / "test_users.json").read_text()) == {"last_training_second": 5, "users": ["u", "v"]}
    write_dataset(dataset_of(TRIPLES), tmp_path)
    assert not (tmp_path / "test_users.json").exists()
    assert "split" not in json.loads((tmp_path / "audit.json").read_text())
    # A user with two events has nothing held out, so the teacher's files train on both.
    assert [user for user, _, _ in load_catalog(tmp_path).split("test")] == ["u", "w", "v"]


@pytest.mark.parametrize("share, complaint", [(0.0, "between 0"), (1.0, "between 0"), (0.01, "another share")])
def test_a_share_that_cannot_be_is_refused(share, complaint):
    with pytest.raises(ValueError, match=complaint):
        dataset_of(TRIPLES, share)


def test_a_broken_list_of_test_users_is_refused_on_both_sides(tmp_path):
    folder = write_temporal(tmp_path)
    for content, complaint in (('{"users": 3}', "no list under 'users'"), ('["u"]', "JSON list")):
        (folder / "data" / "test_users.json").write_text(content)
        with pytest.raises(ValueError, match=complaint):
            load_catalog(folder / "data")
        with pytest.raises(ValueError, match=complaint):
            transform(folder / "data", folder / "unirec", folder / "x.yaml")
    (folder / "data" / "test_users.json").write_text('{"users": ["y"]}')
    with pytest.raises(ValueError, match="'y' .* fewer than three events"):
        load_catalog(folder / "data")


def test_windows_of_users_for_training_only_hold_all_their_events():
    offsets, items = np.array([0, 4, 6, 7]), np.arange(1, 8)
    _, labels = training_windows(offsets, items, 3, 2, np.random.default_rng(0), held_out=np.array([2, 0, 0]))
    assert sorted(labels[labels > 0].tolist()) == [2, 6]


def test_the_teacher_trains_on_all_events_of_some_users_and_is_judged_by_the_others(tmp_path, capsys):
    ring = write_ring(tmp_path / "ring")
    frames = {name: read_pickle(ring / f"{name}.pkl") for name in ("train", "valid", "test")}
    for name in ("valid", "test"):
        frames[name][frames[name].user_id <= 10].reset_index(drop=True).to_pickle(ring / f"{name}.pkl")
    whole = pd.concat([frames["train"], *(frames[name][frames[name].user_id > 10] for name in ("valid", "test"))])
    whole.reset_index(drop=True).to_pickle(ring / "train.pkl")
    data = read_unirec_data(ring)
    assert data.held_out.tolist() == [2] * 10 + [0] * 30 and data.popularity().sum() == len(whole)
    argv = ["--dataset", "ring", "--data_path", str(ring), "--output_path", str(tmp_path / "out"), *TINY]
    assert train.main([*argv, "--epochs", "30", "--batch_size", "64", "--learning_rate", "0.01"]) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-2])
    assert metrics["test"]["hide_visible"]["hr@10"] > 0.9
    frames["valid"].to_pickle(ring / "valid.pkl")
    with pytest.raises(ValueError, match="one event of each test user"):
        read_unirec_data(ring)


def test_the_teachers_files_ask_for_nothing_that_only_some_installations_have(tmp_path):
    """With pyarrow installed, pandas keeps text as Arrow arrays, which no reader of ours admits."""
    write_temporal(tmp_path)
    for name in ("train", "valid", "test", "user_history"):
        texts = {str(argument) for _, argument, _ in pickletools.genops((tmp_path / f"unirec/{name}.pkl").read_bytes())}
        assert not any("StringArray" in text or "StringDtype" in text for text in texts)
    assert len(read_unirec_data(tmp_path / "unirec").raw_ids) == 5
