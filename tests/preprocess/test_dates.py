"""Promises of dates without a standard form: a column decides what they are, read in bulk as read one by one."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from readers.chunks import LineFile
from readers.dates import UnclearDates
from readers.own import open_own, own_events
from readers.records import EventCollector, Events, add_row
from readers.registry import FORMATS
from readers.source import Source
from readers.times import parse_moment, settle_times
from test_data_preprocess import run, tokenizer_folder  # noqa: F401

COLUMNS = {"user": "user", "item": "item", "time": "time"}


def second_of(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def settled(values: list[object]) -> tuple[list[int], str]:
    times = settle_times(np.array([int(parse_moment(value)) for value in values], np.int64))
    return times.values.tolist(), times.unit


def written(folder: Path, kind: str, values: list[object]) -> Path:
    """Write a column of times with an event each."""
    rows = [{"user": f"u{n}", "item": f"i{n % 3}", "time": value} for n, value in enumerate(values)]
    path = folder / f"events.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        path.write_text("user,item,time\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    else:
        pl.DataFrame(rows).write_parquet(path)
    return path


def read_at_once(path: Path, date_order: str = "") -> Events:
    return own_events(LineFile(path, Counter()), open_own(path), COLUMNS, date_order)


def read_one_by_one(values: list[object]) -> Events:
    collector = EventCollector()
    for n, value in enumerate(values):
        collector.add(f"u{n}", f"i{n % 3}", parse_moment(value))
    return collector.events()


DAYS = st.dates(date(1900, 1, 1), date(2100, 12, 31))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31, 23, 59, 59)).map(lambda m: m.replace(microsecond=0))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("as_text", [False, True])
@settings(max_examples=20)
@given(days=st.lists(DAYS, min_size=1, max_size=12))
def test_digits_are_dates_where_the_column_holds_dates(tmp_path_factory, kind, as_text, days):
    values = [day.strftime("%Y%m%d") if as_text else int(day.strftime("%Y%m%d")) for day in days]
    events = read_at_once(written(tmp_path_factory.mktemp("dates"), kind, values))
    assert events.time.tolist() == [(day - date(1970, 1, 1)).days * 86_400 for day in days]
    assert (events.time_unit, events.ticks) == ("dates of digits", 1)
    assert events.time.tolist() == read_one_by_one(values).time.tolist()


@given(st.lists(MOMENTS, min_size=1, max_size=12))
def test_fourteen_digits_are_dates_with_the_time_of_the_day(moments):
    assert settled([int(f"{m:%Y%m%d%H%M%S}") for m in moments]) == ([*map(second_of, moments)], "dates of digits")


@given(st.lists(st.one_of(DAYS.map(lambda day: int(f"{day:%Y%m%d}")), st.integers(0, 10**10)), max_size=20))
def test_digits_are_dates_where_more_than_half_of_the_unclear_times_are(numbers):
    def day_of(number: int) -> date | None:
        try:
            return datetime.strptime(f"{number:08}", "%Y%m%d").date() if 19_000_101 <= number <= 21_001_231 else None
        except ValueError:
            return None

    days = [day_of(number) for number in numbers]
    are_clear = [
        any(10**8 * ticks <= number <= 4_102_444_800 * ticks for ticks in (1, 10**3, 10**6, 10**9))
        for number in numbers
    ]
    are_dates = 2 * sum(day is not None for day in days) > are_clear.count(False)
    expected = [
        (day - date(1970, 1, 1)).days * 86_400 if day and are_dates else number
        for day, number in zip(days, numbers, strict=True)
    ]
    times = settle_times(np.array(numbers, np.int64))
    assert times.values.tolist() == expected and ("dates of digits" in times.by_unit) == are_dates


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(
    "values",
    [
        ["20240301", "20240301123000", "20240302", "20240302123000"],
        ["20240301", "2024-03-01 12:30:00", "2024-03-02", "2024-03-02T12:30:00Z"],
        ["20240301", "03/01/2024 12:30", "03/02/2024", "03/31/2024"],
        ["20240301", "1709296200", "1709296200000", "1709296200000000"],
    ],
)
def test_digits_are_dates_among_times_of_other_forms(tmp_path, kind, values):
    events = read_at_once(written(tmp_path, kind, values))
    seconds = events.time // events.ticks
    assert seconds.tolist()[:2] == [1_709_251_200, 1_709_296_200]
    assert (seconds > 1_709_251_199).all() and (seconds < 1_711_929_600).all()
    assert events.time.tolist() == read_one_by_one(values).time.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-10-01 00:00:00 UTC", "2019-10-01 00:00:00+00:00"),
        ("2019/10/01 23:30:00 -05:00", "2019-10-02 04:30:00+00:00"),
        ("1.10.2019 00:30:00 +0200", "2019-09-30 22:30:00+00:00"),
        ("10/31/2019 11:30 PM GMT", "2019-10-31 23:30:00+00:00"),
        ("10/31/2019 11:30:00.5 PM -05:00", "2019-11-01 04:30:00.500000+00:00"),
        ("31/10/2019 00:30+0200", "2019-10-30 22:30:00+00:00"),
    ],
)
def test_dates_may_have_a_zone(tmp_path, text, expected):
    events = read_at_once(written(tmp_path, "csv", [text, text]))
    moment = datetime.fromisoformat(expected)
    assert events.time.tolist() == [int(moment.timestamp() * 2) * events.ticks // 2] * 2


def test_seconds_in_which_few_look_like_dates_stay_seconds():
    numbers = [20_000_101, *range(20_000_140, 20_000_150)]
    assert settled(numbers) == (numbers, "seconds")


@pytest.mark.parametrize(
    ("form", "order"),
    [("%d/%m/%Y", "day-first"), ("%m/%d/%Y", "month-first"), ("%d-%m-%Y", "day-first"), ("%m-%d-%Y", "month-first")],
)
@given(days=st.lists(DAYS, min_size=1, max_size=9))
@example(days=[date(2024, 1, 3)])
@example(days=[date(2024, 3, 3)])
def test_the_order_of_day_and_month_is_that_of_the_dates_that_have_one(form, order, days):
    values = [day.strftime(form) for day in days]
    if any(day.day > 12 for day in days) or all(day.day == day.month for day in days):
        assert settled(values)[0] == [(day - date(1970, 1, 1)).days * 86_400 for day in days]
    else:
        with pytest.raises(UnclearDates, match=r"\d\d/\d\d/\d{4} may have its day or its month first.*date_order"):
            settled(values)
    given_order = [int(parse_moment(value, order)) for value in values]
    assert given_order == [(day - date(1970, 1, 1)).days * 86_400 for day in days]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@settings(max_examples=20)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=9), order=st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]))
def test_dates_with_slashes_are_the_same_in_bulk_and_one_by_one(tmp_path_factory, kind, moments, order):
    values = [moment.strftime(f"{order} %H:%M:%S") for moment in [*moments, datetime(2024, 1, 31)]]
    events = read_at_once(written(tmp_path_factory.mktemp("dates"), kind, values))
    assert events.time.tolist() == [*map(second_of, moments), second_of(datetime(2024, 1, 31))]
    assert events.time.tolist() == read_one_by_one(values).time.tolist()
    assert events.time_unit == ("dates, day-first" if order[1] == "d" else "dates, month-first")


CELLS = st.one_of(
    MOMENTS.map(str), MOMENTS.map(lambda moment: moment.strftime("%d/%m/%Y %H:%M")), st.integers(0, 10**10).map(str),
    st.sampled_from(["", " 5 ", "1.5", "2024-03-01 10:00:00.5", "soon", "2024/03/01", "1e9", "-7", "x\ty"]),
)  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@settings(max_examples=30)
@given(cells=st.lists(CELLS, max_size=12))
def test_whatever_a_column_of_texts_holds_is_the_same_in_bulk_and_one_by_one(tmp_path_factory, kind, cells):
    values = ["31/01/2024", *cells]
    path = written(tmp_path_factory.mktemp("dates"), kind, values)
    file = LineFile(path, Counter())
    events = own_events(file, open_own(path), COLUMNS)
    collector, rejected = EventCollector(), Counter()
    for n, value in enumerate(values):
        add_row(collector, (f"u{n}", f"i{n % 3}", value), rejected, time_of=parse_moment)
    one_by_one = collector.events()
    assert events.time.tolist() == one_by_one.time.tolist() and events.user_ids == one_by_one.user_ids
    assert file.rejected == rejected and events.times_by_unit == one_by_one.times_by_unit


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024/03/01", datetime(2024, 3, 1)),
        ("2024/3/1 8:26", datetime(2024, 3, 1, 8, 26)),
        ("1.3.2024", datetime(2024, 3, 1)),
        ("01.03.2024, 20:26:05", datetime(2024, 3, 1, 20, 26, 5)),
        ("2024-3-1", datetime(2024, 3, 1)),
        ("2024.03.01", datetime(2024, 3, 1)),
        ("20240301T123000", datetime(2024, 3, 1, 12, 30)),
        ("2024/03/01 12:00 AM", datetime(2024, 3, 1)),
        ("2024/03/01 12:30:00.25 p.m.", datetime(2024, 3, 1, 12, 30, 0, 250_000)),
    ],
)
def test_a_date_of_one_meaning_is_read(text, moment):
    assert parse_moment(text) == (moment - datetime(1970, 1, 1)) / timedelta(seconds=1)


@pytest.mark.parametrize(
    "text",
    ["1/3/24", "31/02/2024", "13/13/2024", "2024/13/01", "1/2.2024", "1.2.3", "1/3/2024 25:00", "1/3/2024 0:00 PM"],
)
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match="neither a number nor a date"):
        parse_moment(text)


def test_fractions_of_a_second_keep_the_order_of_dates():
    events = read_one_by_one([f"31/01/2024 10:00:00.{n}" for n in (5, 1, 0)])
    assert np.argsort(events.time).tolist() == [2, 1, 0] and events.ticks == 10**9
    assert events.time[0] == second_of(datetime(2024, 1, 31, 10)) * 10**9 + 5 * 10**8


def test_a_column_of_both_orders_is_refused_and_read_in_the_order_that_is_given(tmp_path):
    path = written(tmp_path, "csv", ["13/01/2024", "01/14/2024", "02/01/2024"])
    with pytest.raises(ValueError, match=r"column time: 13/01/2024 has its day first, and 01/14/2024 its month"):
        read_at_once(path)
    file = LineFile(path, Counter())
    events = own_events(file, open_own(path), COLUMNS, "day-first")
    assert len(events.time) == 2 and file.rejected == {"time missing, or neither a number nor a date": 1}


@pytest.mark.parametrize("threads", ["1", "2"])
def test_dates_that_cannot_be_read_are_one_line_with_the_value_and_the_remedy(
    tmp_path, tokenizer_folder, capsys, threads  # noqa: F811
):  # fmt: skip
    (tmp_path / "raw").mkdir()
    row = '{{"user": "u", "item": "{}", "time": "{}", "title": "T{}"}}\n'
    path = tmp_path / "raw/events.jsonl"
    for value, said in (("01/03/2024", "give --date_order day-first or month-first"), ("Mar 1, 2024", "2024-03-01")):
        path.write_text("".join(row.format(n, value, n) for n in range(3)))
        assert run(tmp_path, tokenizer_folder, "own", "--threads", threads) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"error: {path}, column time: ") and value in last and said in last
    path.write_text("".join(row.format(n, f"0{n + 1}/03/2024", n) for n in range(3)))
    assert run(tmp_path, tokenizer_folder, "own", "--date_order", "day-first", "--threads", threads) == 0
    span = json.loads((tmp_path / "mine/audit.json").read_text())["time_span"]
    assert "2024-03-01" in str(span) and "2024-03-03" in str(span)


def test_a_run_prints_which_dates_it_read_and_their_span(tmp_path, tokenizer_folder, capsys):  # noqa: F811
    (tmp_path / "raw").mkdir()
    days = ("02/01/2024", "03/01/2024", "31/01/2024", "20240202")
    rows = "".join(f"u,{n},T{n},{day}\n" for n, day in enumerate(days))
    (tmp_path / "raw/orders.csv").write_text(f"customer_id,product_id,product_name,order_date\n{rows}")
    assert run(tmp_path, tokenizer_folder, "own") == 0
    expected = "times: 3 dates, day-first, 1 dates of digits; from 2024-01-02 to 2024-02-02\n"
    assert expected in capsys.readouterr().out


def test_the_order_of_dates_reaches_the_events_of_a_feed(tmp_path):
    (tmp_path / "feed.csv").write_text("id,title\n1,Heat\n2,Alien\n")
    (tmp_path / "orders.csv").write_text("customer_id,product_id,order_date\na,1,02/01/2024\na,2,01/02/2024\n")
    source = Source(tmp_path, events=tmp_path / "orders.csv", items=tmp_path / "feed.csv")
    read = FORMATS["feed"].read
    with pytest.raises(ValueError, match="date_order"):
        read(source)
    source = Source(tmp_path, events=source.events, items=source.items, date_order="month-first")
    assert read(source).events.time.tolist() == [second_of(datetime(2024, 2, 1)), second_of(datetime(2024, 1, 2))]
