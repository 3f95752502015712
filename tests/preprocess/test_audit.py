"""Promises of the audit's distributions and of its page, against plain counting."""

import json
from collections import Counter

import numpy as np
from audit import summary_of
from build_dataset import build_dataset, write_dataset
from distributions import cold_items, doubling_bins, popularity_shares, spread, time_span
from hypothesis import given
from hypothesis import strategies as st
from raw_samples import amazon_2018, feed_tsv
from readers.amazon import read_amazon
from readers.feed import read_feed_dump
from readers.source import Source
from report import REPORT, render_report, write_report
from select_events import Filters, select_events
from small_events import events_of, plain_rules

from train_utils.catalog import Item, make_catalog

COUNTS = st.lists(st.integers(1, 5000), min_size=1, max_size=50).map(np.array)


@given(COUNTS)
def test_bins_double_and_hold_every_count(counts):
    expected = Counter((2 ** (int(n).bit_length() - 1)) for n in counts)
    bins = doubling_bins(counts)
    assert sum(bins.values()) == len(counts)
    assert {int(name.partition("-")[0]): n for name, n in bins.items() if n} == expected


@given(COUNTS)
def test_popularity_shares_are_those_of_a_plain_sum_and_the_gini_coefficient_of_all_pairs(counts):
    shares = popularity_shares(counts)
    falling = sorted(counts.tolist(), reverse=True)
    assert shares["top 20 %"] == round(sum(falling[: max(1, len(falling) // 5)]) / sum(falling), 4)
    pairs = sum(abs(a - b) for a in falling for b in falling) / (2 * len(falling) * sum(falling))
    assert abs(shares["gini"] - pairs) < 1e-3


def test_spread_by_hand():
    assert spread(np.array([1, 2, 3, 4])) == {"min": 1, "median": 2.5, "mean": 2.5, "p90": 3.7, "p99": 4.0, "max": 4}


def test_the_time_span_is_told_per_day_month_or_year():
    day = 86_400
    assert time_span(np.array([0, 1, day]))["events"] == {"1970-01-01": 2, "1970-01-02": 1}
    assert time_span(np.array([0, 400 * day]))["per"] == "month"
    assert time_span(np.array([0, 40_000 * day]))["per"] == "year"
    assert "no calendar" in time_span(np.array([0, 2**61]))["last"]


TRIPLES = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdefg"), st.integers(0, 9)), min_size=1, max_size=40
)


@given(TRIPLES)
def test_cold_targets_are_those_that_no_training_sequence_of_the_catalog_has(triples):
    events = events_of(triples)
    selection = select_events(events, np.ones(len(events.item_ids), dtype=bool), Filters())
    sequences: dict[str, list[str]] = {}
    for row in selection.rows:
        sequences.setdefault(events.user_ids[events.user[row]], []).append(events.item_ids[events.item[row]])
    catalog = make_catalog("c", [Item(i, i) for i in events.item_ids], sequences)
    trained = {item for items in catalog.training_sequences() for item in items}
    cold = cold_items(events, selection)
    assert cold["items"] == len(catalog.items) - len(trained)
    for part, name in (("test", "test targets"), ("valid", "validation targets")):
        assert cold[name] == sum(target not in trained for _, _, target in catalog.split(part))


def test_the_page_shows_what_was_kept_and_why_and_nothing_of_the_raw_files_runs_in_it(tmp_path):
    amazon_2018(tmp_path)
    dataset = build_dataset(read_amazon(tmp_path, "Toys"), plain_rules(), Filters())
    dataset.audit["source"] = "<script>alert(1)</script>\x1b[31m"
    page = render_report(dataset.audit, "toys")
    assert "4 items, 3 users, 9 events" in page and "1 not strict JSON" in page and page.count("<svg") == 4
    assert "<script" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    assert render_report(dataset.audit, "toys") == page


def test_a_new_dataset_deletes_the_page_of_the_old_one(tmp_path):
    amazon_2018(tmp_path)
    dataset = build_dataset(read_amazon(tmp_path, "Toys"), plain_rules(), Filters())
    write_dataset(dataset, tmp_path / "out")
    assert REPORT in write_report(dataset.audit, tmp_path / "out") and (tmp_path / "out" / REPORT).exists()
    write_dataset(dataset, tmp_path / "out")
    assert not (tmp_path / "out" / REPORT).exists()


def test_a_catalog_without_users_has_a_page_too(tmp_path):
    from build_catalog import build_catalog

    feed_tsv(tmp_path)
    dataset = build_catalog(read_feed_dump(Source(tmp_path)), plain_rules(), "")
    assert "a catalog without users" in render_report(dataset.audit, "shop")
    assert "items: 4 of 5 kept" in summary_of(json.loads(json.dumps(dataset.audit)))
