"""Raw dumps of strangers: what is beyond a limit is skipped or cut, counted, and reported by the audit."""

import gzip
import json

import pytest
from audit import summary_of
from build_dataset import build_dataset
from limits import run_limited
from readers.amazon import read_amazon
from readers.movielens import GENRES, read_movielens
from readers.records import MAX_CATEGORIES, MAX_DESCRIPTION, MAX_ID, MAX_TITLE, parse_time
from select_events import Filters
from small_events import events_of, plain_rules

from train_utils.files.text_files import TOO_LONG


def review(n: int, **more) -> dict:
    return {"reviewerID": f"u{n % 2}", "asin": f"b{n % 3}", "unixReviewTime": 10**9 + n} | more


REVIEWS = [review(n) for n in range(6)]


def write(folder, items, reviews=REVIEWS) -> None:
    for name, rows in (("X_5.json", reviews), ("meta_X.json", items)):
        lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
        (folder / name).write_bytes(b"\n".join(lines))


def audit(folder) -> dict:
    return build_dataset(read_amazon(folder, "X"), plain_rules(), Filters()).audit


def test_a_line_of_200_mb_in_a_small_gzip_file_is_skipped_counted_and_reported(tmp_path):
    write(tmp_path, [{"asin": f"b{n}", "title": f"T{n}"} for n in range(3)])
    bomb = b'{"asin": "b0", "title": "' + b"x" * (200 << 20) + b'"}\n'
    path = tmp_path / "meta_X.json"
    path.with_suffix(".json.gz").write_bytes(
        gzip.compress(bomb, 1, mtime=0) + gzip.compress(path.read_bytes(), mtime=0)
    )
    code = """
import sys
from pathlib import Path
from audit import summary_of
from build_dataset import build_dataset
from readers.amazon import read_amazon
from select_events import Filters
from small_events import plain_rules
dataset = build_dataset(read_amazon(Path(sys.argv[1]), "X"), plain_rules(), Filters())
print(dataset.audit["items"], summary_of(dataset.audit))
"""
    out = run_limited(code, tmp_path, memory=250 << 20)
    assert f"{{'read': 4, 'kept': 3, 'dropped': {{{TOO_LONG!r}: 1}}}}" in out
    assert f"items: 3 of 4 kept; 1 {TOO_LONG}" in out


def test_fields_beyond_their_limits_are_cut_and_counted(tmp_path):
    write(
        tmp_path,
        [
            {"asin": "b0", "title": "word " * 10**5, "category": ["A"], "description": ["d" * (MAX_DESCRIPTION + 1)]},
            {"asin": "b1", "title": "T1", "category": [f"C{n}" for n in range(10**5)], "brand": "b" * 10**5},
            {"asin": "b2", "title": "T2", "category": ["c" * 10**5]},
        ],
    )
    dataset = build_dataset(read_amazon(tmp_path, "X"), plain_rules(), Filters())
    expected = {"title": 1, "description": 1, "number of categories": 1, "brand": 1, "category": 1}
    assert dataset.audit["shortened"] == expected
    assert "cut, because they are too long: " in summary_of(dataset.audit)
    assert len(dataset.meta["b0"]["title_t"]) <= MAX_TITLE and len(dataset.meta["b0"]["description"]) == MAX_DESCRIPTION
    assert len(dataset.meta["b1"]["category"]) == MAX_CATEGORIES and len(dataset.categories) == MAX_CATEGORIES + 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (review(0, asin="b" * (MAX_ID + 1)), f"id of more than {MAX_ID} characters"),
        (review(0, asin="b\u202e0"), "id missing or unprintable"),
        (review(0, asin="b\x00"), "id missing or unprintable"),
        (review(0, asin=["b0"]), "id missing or unprintable"),
        (review(0, unixReviewTime=float("nan")), "time missing or not a number"),
        (review(0, unixReviewTime=float("-inf")), "time missing or not a number"),
        (review(0, unixReviewTime=10**4200), "time missing or not a number"),
        (review(0, unixReviewTime="1" * 10**6), "time missing or not a number"),
        (review(0, unixReviewTime="1e999999999999999999"), "time missing or not a number"),
        (review(0, unixReviewTime="sNaN"), "time missing or not a number"),
        (b'{"unixReviewTime": 1' + b"0" * 5000 + b"}", "id missing or unprintable"),
        (b"[" * 10**6, "not strict JSON"),
        (b"[1]", "not a JSON object"),
    ],
)
def test_an_unusable_event_is_counted_under_its_reason(tmp_path, record, reason):
    write(tmp_path, [{"asin": f"b{n}", "title": f"T{n}"} for n in range(3)], [*map(review, range(6)), record])
    events = audit(tmp_path)["events"]
    assert events["read"] == 7 and events["dropped"] == {reason: 1}


def test_times_at_the_ends_of_the_range_keep_their_order():
    assert parse_time("1e-400000000") >= 0
    times = [10**9, 2**61, -(2**61), 1_400_000_000_123_456_789, 5]
    times = events_of([("u", f"i{n}", parse_time(time)) for n, time in enumerate(times)]).time
    assert times[1] == times.max() and times[2] == times.min()


@pytest.mark.parametrize("price", ["$" + "9" * 400, "$" + "1,000" * 10**5, "$1." + "0" * 400])
def test_a_price_of_very_many_digits_is_none(tmp_path, price):
    write(tmp_path, [{"asin": f"b{n}", "title": f"T{n}", "price": price} for n in range(3)])
    assert "price" not in build_dataset(read_amazon(tmp_path, "X"), plain_rules(), Filters()).meta["b0"]


def test_hostile_lines_of_movielens_are_counted(tmp_path):
    flags = "|".join("1" * len(GENRES))
    rows = [f"{n}|Title {n} (1995)|d||x|{flags}" for n in range(3)]
    rows += ["|" * 10**6, "9" * (MAX_ID + 1) + f"|T|d||x|{flags}", "x" * 10**6]
    (tmp_path / "u.item").write_text("\n".join(rows))
    (tmp_path / "u.data").write_text("".join(f"1\t{n % 3}\t5\t{n}\n" for n in range(6)) + "\t" * 10**6)
    rejected = read_movielens(tmp_path).rejected
    assert rejected["u.item"] == {"wrong number of columns": 2, f"id of more than {MAX_ID} characters": 1}
    assert rejected["u.data"] == {"wrong number of columns": 1}


def test_a_year_or_a_header_of_any_length_is_no_traceback(tmp_path):
    head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    (tmp_path / "ml-100k.item").write_text(head + f"1\tA\t{'9' * 5000}\tB\n")
    (tmp_path / "ml-100k.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nu\t1\t5\n")
    (item,) = read_movielens(tmp_path).items
    assert item.attributes == {}
    (tmp_path / "ml-100k.inter").write_text("x\t" * 10**6)
    with pytest.raises(ValueError, match="is it a RecBole file") as raised:
        read_movielens(tmp_path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
