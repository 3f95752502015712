"""Promises of select_events.py, dataset_files.py and transform2unirec.py: order, reasons, whole folders."""

import json
import pickle
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from audit import summary_of, targets_in_history
from build_dataset import build_dataset, write_dataset, write_sequences
from hypothesis import given
from hypothesis import strategies as st
from readers.records import Item, RawDataset, parse_time
from select_events import Filters, select_events
from sequences import Sequences
from small_events import events_of, plain_rules
from titles import TitleRules
from transform2unirec import transform


def dataset_of(triples, items=None, filters=None, title_rules=None, need_category=False):
    """A dataset built from triples, without files: every item has a title unless `items` says otherwise."""
    events = events_of(triples)
    items = items if items is not None else [Item(i, f"Title {i}", ("C",)) for i in events.item_ids]
    raw = RawDataset("test", (Path("/dev/null"), Path("/dev/null")), events, items, {"null": {}})
    return build_dataset(raw, title_rules or plain_rules(), filters or Filters(), need_category)


def test_ties_in_time_keep_file_order_and_are_counted():
    dataset = dataset_of([("u", "b", 5), ("u", "a", 5), ("v", "a", 1), ("u", "c", 1), ("v", "b", 2)])
    assert dataset.sequences == {"u": ["c", "b", "a"], "v": ["a", "b"]}
    assert dataset.audit["time_ties"] == {
        "rule": "file order",
        "events_tied_with_the_one_before": 1,
        "users_whose_last_two_events_tie": 1,
        "users_with_two_events": 2,
    }


def test_the_oldest_of_repeated_events_stays_and_the_rest_is_counted():
    dataset = dataset_of([("u", "a", 9), ("u", "b", 2), ("u", "a", 1), ("u", "a", 5)])
    assert dataset.sequences == {"u": ["a", "b"]}
    assert dataset.audit["duplicates"] == {"events": 2}


TRIPLES = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdef"), st.integers(0, 3)), min_size=1, max_size=40
)


@given(TRIPLES, st.integers(0, 3), st.integers(1, 3), st.integers(0, 4), st.sampled_from(["first", "last"]))
def test_filters_agree_with_a_plain_loop_and_every_dropped_event_has_a_reason(triples, k, least, cut, keep):
    events = events_of(triples)
    filters = Filters(k_core=k, min_events_per_user=least, max_events_per_user=cut, keep=keep)
    selection = select_events(events, np.ones(len(events.item_ids), dtype=bool), filters)
    expected = {}
    for user, item, _ in sorted(triples, key=lambda triple: triple[2]):
        if item not in expected.setdefault(user, []):
            expected[user].append(item)
    while True:
        holders = Counter(item for items in expected.values() for item in items)
        smaller = {u: [i for i in items if holders[i] >= k] for u, items in expected.items() if len(items) >= k}
        if smaller == expected:
            break
        expected = smaller
    expected = {u: items for u, items in expected.items() if len(items) >= least}
    if cut:
        expected = {u: items[:cut] if keep == "first" else items[-cut:] for u, items in expected.items()}
    actual = {}
    for row in selection.rows:
        actual.setdefault(events.user_ids[events.user[row]], []).append(events.item_ids[events.item[row]])
    assert actual == expected
    assert len(selection.rows) + sum(selection.dropped.values()) == len(triples)
    assert len(actual) + sum(selection.dropped_users.values()) == len(events.user_ids)


def test_users_are_drawn_without_replacement_and_by_the_seed():
    triples = [(f"u{n}", f"i{n % 7}", n) for n in range(100)]
    drawn = [set(dataset_of(triples, filters=Filters(users=40, seed=seed)).sequences) for seed in (1, 1, 2)]
    assert [len(users) for users in drawn] == [40, 40, 40]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_catalog_is_what_kept_users_consumed_and_drops_have_reasons():
    items = [Item("a", "A", ("C",)), Item("b", "", ("C",)), Item("c", "C"), Item("z", "Z", ("C",))]
    triples = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("v", "z", 1), ("v", "nowhere", 2), ("u", "a", 4)]
    triples += [("u", "d", 5)]
    items += [Item("d", "D", ("C", " ", "E &amp; F", "C"))]
    dataset = dataset_of(triples, items, Filters(min_events_per_user=2), need_category=True)
    assert dataset.sequences == {"u": ["a", "d"]}
    assert dataset.categories == {"C": ["a", "d"], "E & F": ["d"]}
    assert dataset.audit["items"] == {
        "read": 5,
        "kept": 2,
        "dropped": {"title empty": 1, "no category": 1, "no kept event": 1},
    }
    assert dataset.audit["events"]["dropped"] == {
        "item not usable": 3,
        "same user and item again": 1,
        "user with fewer than 2 events": 1,
    }
    assert dataset.audit["users"] == {
        "read": 2,
        "kept": 1,
        "dropped": {"user with fewer than 2 events": 1},
    }


def test_an_item_without_any_suffixed_title_goes_and_its_events_with_it():
    without_suffix = plain_rules(lambda text: text.split(" (")[0])
    items = [Item("a", "Same"), Item("b", "Same")]
    dataset = dataset_of([("u", "a", 1), ("u", "b", 2)], items, title_rules=without_suffix)
    assert dataset.sequences == {"u": ["a"]}
    assert dataset.audit["items"]["dropped"] == {"no suffixed title survives the tokenizer": 1}


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="no event is left.*fewer than 9 events"):
        dataset_of([("u", "a", 1)], filters=Filters(min_events_per_user=9))


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), max_size=6), st.integers(1, 9))
def test_targets_in_the_visible_history_are_counted(sequences, visible):
    test = sum(items[-1] in items[-1 - visible : -1] for items in sequences)
    validation = sum(len(items) > 1 and items[-2] in items[-2 - visible : -2] for items in sequences)
    arrays = np.array([len(items) for items in sequences], int), np.array([i for items in sequences for i in items])
    expected = {"visible": visible, "test": test, "validation": validation}
    assert targets_in_history(*arrays, visible) == expected


@given(st.dictionaries(st.text(max_size=3), st.lists(st.sampled_from("ab\u00e9"), min_size=1, max_size=5), max_size=7))
def test_sequences_are_a_dictionary_and_written_as_one(tmp_path_factory, expected):
    path = tmp_path_factory.mktemp("sequences") / "x.json"
    actual = Sequences.of(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sequences._PART", 2)
        write_sequences(path, actual)
    assert actual == expected and list(actual) == list(expected) and Sequences.of(actual) is actual
    assert path.read_text(encoding="utf-8") == json.dumps(expected, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("wrong", [{"keep": "middle"}, {"min_events_per_user": 0}, {"users": -1}])
def test_filters_refuse_nonsense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Filters(**wrong)


def test_a_folder_whose_writing_was_cut_short_is_refused_by_the_next_stage(tmp_path):
    dataset = dataset_of([("u", item, time) for time, item in enumerate("abcd")])
    write_dataset(dataset, tmp_path)
    transform(tmp_path, tmp_path / "unirec", tmp_path / "x.yaml")
    (tmp_path / "category.jsonl").unlink()
    (tmp_path / "category.jsonl").mkdir()  # the second write fails at this file
    with pytest.raises(OSError):
        write_dataset(dataset, tmp_path)
    assert not (tmp_path / "audit.json").exists()
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match="audit.json"):
        transform(tmp_path, tmp_path / "unirec", tmp_path / "x.yaml")


def test_unirec_files_are_leave_one_out_with_padding_zero(tmp_path):
    triples = [("u", item, time) for time, item in enumerate("abcd")] + [("v", "e", 1), ("v", "a", 2)]
    write_dataset(dataset_of(triples), tmp_path)
    transform(tmp_path, tmp_path / "unirec", tmp_path / "x.yaml")
    frames = {name: pd.read_pickle(tmp_path / f"unirec/{name}.pkl") for name in ("train", "valid", "test")}
    maps = pickle.loads((tmp_path / "unirec/map.pkl").read_bytes())
    assert maps["user2id"] == {"[PAD]": 0, "u": 1, "v": 2}
    assert maps["item2id"] == {"[PAD]": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert maps["id2item"][0] == "[PAD]" and maps["id2user"] == {0: "[PAD]", 1: "u", 2: "v"}
    assert frames["train"].values.tolist() == [[1, 1], [1, 2], [2, 5], [2, 1]]
    assert frames["valid"].values.tolist() == [[1, 3]] and frames["test"].values.tolist() == [[1, 4]]
    history = pd.read_pickle(tmp_path / "unirec/user_history.pkl")
    assert [items.tolist() for items in history["item_seq"]] == [[1, 2], [5, 1]]
    assert all(items.dtype == np.int64 for items in history["item_seq"])
    config = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert (config["n_users"], config["n_items"], config["group_size"]) == (3, 6, -1)
    assert (tmp_path / "unirec/category.jsonl").read_bytes() == (tmp_path / "category.jsonl").read_bytes()


def test_histories_of_equal_length_stay_one_array_a_user(tmp_path):
    write_dataset(dataset_of([(user, item, 1) for user in "uv" for item in "abc"]), tmp_path)
    transform(tmp_path, tmp_path / "unirec", tmp_path / "x.yaml")
    history = pd.read_pickle(tmp_path / "unirec/user_history.pkl")
    assert [type(items) for items in history["item_seq"]] == [np.ndarray, np.ndarray]


def test_a_user_named_like_the_padding_is_refused(tmp_path):
    write_dataset(dataset_of([("[PAD]", "a", 1)]), tmp_path)
    with pytest.raises(ValueError, match="padding"):
        transform(tmp_path, tmp_path / "unirec", tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("unit", "ticks"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_times_in_any_unit_give_the_same_split_and_keep_their_order(unit, ticks):
    start = 881_250_949
    triples = [
        (f"u{n}", f"i{(n + step) % 7}", (start + 1000 * step + n) * ticks + (ticks > 1) * (6 - step))
        for n in range(8)
        for step in range(6)
    ]
    events = events_of(triples)
    assert (events.time_unit, events.ticks) == (unit, ticks)
    raw = RawDataset(
        "test",
        (Path("/dev/null"), Path("/dev/null")),
        events,
        [Item(i, f"Title {i}", ("C",)) for i in events.item_ids],
        {"null": {}},
    )
    dataset = build_dataset(raw, plain_rules(), Filters(), test_share=0.2)
    assert dataset.audit["time_unit"] == unit
    assert dataset.audit["split"]["last_training_time"].startswith("1997-12-04T")
    assert start <= dataset.audit["split"]["last_training_second"] <= start + 6000
    assert dataset.sequences["u0"][:4] == ["i0", "i1", "i2", "i3"]


def test_times_of_several_units_in_one_file_are_put_in_order_and_counted():
    second = 1_500_000_000
    dataset = dataset_of(
        [
            ("u", "a", second * 1000),
            ("u", "b", second + 1),
            ("u", "c", (second + 2) * 10**9),
            ("u", "d", (second + 3) * 10**6),
            ("v", "a", second * 1000 + 5),
            ("v", "b", second),
        ]
    )
    assert dataset.sequences == {"u": ["a", "b", "c", "d"], "v": ["b", "a"]}
    counts = {"seconds": 2, "milliseconds": 2, "microseconds": 1, "nanoseconds": 1}
    assert dataset.audit["times_by_unit"] == counts
    assert dataset.audit["time_ties"]["events_tied_with_the_one_before"] == 0
    assert "times: 2 in seconds, 2 in milliseconds" in summary_of(dataset.audit)


@pytest.mark.parametrize("times", [
    [0, 1, 2, 5], [-5, -1, 0, 3], [0, 10**9, 1_500_000_000, 2_000_000_000], [0, 86_400_000, 10**12, 1_500_000_000_000],
    ["1.4e12", "1.5e12", "15e11", 1.6e12], [0.25, 0.5, 0.75, 1], ["1500000000.1", 1500000000.5, "1500000000.75", 2e9],
    [-3.5, -3.25, 0, 1], [10**18, 10**18 + 1, 10**18 + 2, 10**18 + 3],
])  # fmt: skip
def test_the_order_of_times_is_that_of_their_numbers_in_a_file_of_one_unit(times):
    parsed = list(map(parse_time, times))
    events = events_of([("u", f"i{n}", time) for n, time in reversed(list(enumerate(parsed)))])
    in_order = [events.item_ids[row] for row in np.argsort(events.time, kind="stable")]
    assert [parsed[int(item[1:])] for item in in_order] == sorted(parsed)
    assert len(set(events.time.tolist())) == len(set(parsed)) and len(events.times_by_unit) == 1


def test_events_a_fraction_of_a_second_apart_are_no_tie():
    base = 1_500_000_000_000
    dataset = dataset_of([("u", "b", base + 2), ("u", "a", base + 1), ("v", "a", base), ("v", "b", base + 5)])
    assert dataset.sequences["u"] == ["a", "b"]
    assert dataset.audit["time_ties"]["users_whose_last_two_events_tie"] == 0


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("881250949", 881250949),
        (881250949.5, Decimal("881250949.5")),
        ("1.5e9", 1_500_000_000),
        ("-5", -5),
        (" 0 ", 0),
        ("1577836800123456789", 1577836800123456789),
        ("1.577836800123456789E+18", 1577836800123456789),
    ],
)
def test_times_are_read_to_the_last_digit(value, time):
    assert parse_time(value) == time


@pytest.mark.parametrize("value", [None, "soon", "nan", "inf", "", [], 10**30, True, {}, "1e99999999999", float("nan")])
def test_what_is_no_time_is_refused(value):
    with pytest.raises(ValueError, match="time missing"):
        parse_time(value)


def test_a_title_that_is_too_long_is_cut_counted_and_kept_whole_beside():
    long = "the red moon " * 20
    rules = TitleRules(("<SOI>",), lambda text: text, 16, lambda text: len(text.split()))
    dataset = dataset_of([("u", "a", 1), ("u", "b", 2)], [Item("a", long), Item("b", "Heat")], title_rules=rules)
    assert dataset.meta["a"]["title"] == long.strip() and len(dataset.meta["a"]["title_t"].split()) <= 16
    assert dataset.meta["a"]["title_t"].endswith("\u2026") and dataset.meta["b"]["title_t"] == "Heat"
    assert dataset.audit["titles_cut"] == 1
