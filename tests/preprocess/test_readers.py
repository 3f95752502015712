"""Promises of the readers: every format gives the same events and titles, in bulk as line by line."""

import ast
import csv
import gzip
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from build_dataset import build_dataset
from hypothesis import example, given
from hypothesis import strategies as st
from raw_samples import EVENTS, FEEDS, GENRES, SAMPLES, SEQUENCES, TITLES, feed_tsv, own_csv, own_json
from readers.chunks import LineFile, use_threads
from readers.fields import categories_of, id_of_any
from readers.json_lines import EventFields, json_events, read_record
from readers.records import EventCollector, add_row, parse_id, parse_rating
from readers.registry import FORMATS
from readers.source import Source
from readers.tables import Table, table_events, table_rows
from readers.times import parse_moment, parse_time
from select_events import Filters
from small_events import plain_rules


def read(name: str, folder: Path, **more):
    return FORMATS[name].read(Source(folder, **more))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_format_gives_the_same_events_titles_and_categories(tmp_path, sample, threads):
    name, write = SAMPLES[sample]
    write(tmp_path)
    use_threads(threads)
    raw = read(name, tmp_path)
    use_threads(1)
    dataset = build_dataset(raw, plain_rules(), Filters())
    assert dataset.sequences == SEQUENCES
    assert [dataset.meta[item]["title_t"] for item in "1234"] == ["Heat", "Cité, La", "Tom & Jerry", "Alien"]
    assert all(set(GENRES[item]) <= set(dataset.meta[item]["category"]) for item in TITLES)
    assert raw.events.rating is None or len(raw.events.rating) == len(EVENTS)


@pytest.mark.parametrize(
    ("sample", "file", "rejected"),
    [
        ("amazon-2018", 0, {"not strict JSON": 1}),
        ("amazon-2014", 1, {"neither JSON nor a Python literal": 1}),
        ("steam", 1, {"id missing or unprintable": 1}),
        ("ml-1m", 0, {"wrong number of columns": 1}),
        ("ml-25m", 1, {"no event in the dump": 1}),
        ("own json", 0, {"not a JSON object": 1}),
    ],
)
def test_unused_lines_are_counted_under_their_reason(tmp_path, sample, file, rejected):
    name, write = SAMPLES[sample]
    write(tmp_path)
    raw = read(name, tmp_path)
    assert raw.rejected[raw.files[file].name] == rejected


def test_attributes_are_those_that_the_format_has(tmp_path):
    expected = {
        "amazon-2018": {"brand": "B", "price": 1.5}, "amazon-2014": {"brand": "B", "price": 1.5},
        "amazon-2023": {"brand": "S", "price": 1.5}, "ml-1m": {"year": 1995}, "ml-25m": {"year": 1995},
        "steam": {"developer": "D", "publisher": "P", "price": 1.5, "year": 2010},
        "yelp": {"city": "Tucson", "state": "AZ"}, "own json": {"year": 1995},
    }  # fmt: skip
    for sample, attributes in expected.items():
        name, write = SAMPLES[sample]
        (folder := tmp_path / sample).mkdir()
        write(folder)
        items = {item.id: item for item in read(name, folder).items}
        assert items["4"].attributes == attributes, sample
    free = {item.id: item for item in read("steam", tmp_path / "steam").items}["2"]
    assert free.attributes["price"] == 0 and "year" not in free.attributes


@pytest.mark.parametrize("form", FEEDS)
def test_a_feed_is_a_catalog_and_with_events_a_dataset(tmp_path, form):
    FEEDS[form](tmp_path)
    raw = read("feed", tmp_path)
    assert {item.id: item.title for item in raw.items} == TITLES
    assert raw.items[0].categories == ("Crime", "Drama")
    assert raw.items[0].attributes == {"price": 1.5, "currency": "USD", "brand": "B"}
    (other := tmp_path / "other").mkdir()
    own_csv(other)
    dataset = build_dataset(read("feed", tmp_path, events=other / "clicks.csv"), plain_rules(), Filters())
    assert dataset.sequences == SEQUENCES


def test_an_item_of_a_feed_without_a_title_is_counted(tmp_path):
    feed_tsv(tmp_path)
    assert sum(read("feed", tmp_path).rejected.values()) == 1


def test_feeds_of_every_form_give_the_same_items(tmp_path):
    record = {"id": "1", "title": "Vase", "product_type": "Home > Garden", "price": "1,299.00 USD"}
    nested = {"product_type": ["Home > Garden"], "price": {"amount": 1299, "currency": "USD"}, "shipping": [{"x": 1}]}
    fields = "".join(f"<g:{name}>{value.replace('>', '&gt;')}</g:{name}>" for name, value in record.items())
    forms = {
        "a.csv": ",".join(record) + "\n" + ",".join(f'"{value}"' for value in record.values()),
        "b.jsonl": json.dumps(record | nested),
        "c.xml": f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item>{fields}</item></channel></rss>',
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
    items = [read("feed", tmp_path, items=tmp_path / name).items for name in forms]
    assert items[0] == items[1] == items[2]
    assert items[0][0].categories == ("Home", "Garden") and items[0][0].attributes["price"] == 1299


def test_columns_are_guessed_shown_and_overridden(tmp_path, capsys):
    own_csv(tmp_path)
    read("own", tmp_path)
    shown = capsys.readouterr().err
    assert "clicks.csv: user = Customer_ID, item = SKU, time = Date, rating = Stars" in shown
    assert "things.csv: item = id, title = Name, category = Genres, description = Synopsis" in shown
    raw = read("own", tmp_path, columns={"title": "Synopsis"})
    assert raw.items[0].title == "long, with\na line end"
    with pytest.raises(ValueError, match="no column 'when'.*--time"):
        read("own", tmp_path, columns={"time": "when"})
    with pytest.raises(ValueError, match="no column 'headline'.*--title"):
        read("own", tmp_path, columns={"title": "headline"})
    assert read("own", tmp_path, columns={"item": "SKU"}).items[0].id == "1"  # that of the events alone


def test_ids_that_are_numbers_are_their_digits_in_files_of_own(tmp_path):
    own_json(tmp_path)
    assert sorted(read("own", tmp_path).events.item_ids) == [*"1234"]


def test_a_folder_that_does_not_say_which_file_is_which_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="name the file of events by --events"):
        read("own", tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read("own", tmp_path / "nowhere")


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("own", "feed")])
def test_a_missing_file_is_one_line_that_says_where_it_comes_from(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="download|unpack|run scripts") as raised:
        read(name, tmp_path)
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------- in bulk as line by line

IDS = st.one_of(st.sampled_from(["a", "b", "ä", " c", "", "x\u202e", "\x00", "5"]), st.text(max_size=4))
TIMES = st.one_of(
    st.integers(-(10**10), 10**13), st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(),
    st.sampled_from(["17", "soon", "1e9", " 5", "-1"]),
)  # fmt: skip
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "u": st.one_of(IDS, st.integers(0, 9), st.none()), "i": st.one_of(IDS, st.lists(IDS, max_size=1)),
        "t": TIMES, "r": st.one_of(st.floats(allow_nan=False), st.integers(0, 5), st.text(max_size=2), st.none()),
        "other": st.recursive(st.text(max_size=9) | st.floats(), st.lists, max_leaves=4),
    },
)  # fmt: skip
GOOD = st.builds(lambda u, i, t: {"u": u, "i": i, "t": t}, st.sampled_from("abc"), st.sampled_from("xyz"),
                 st.integers(0, 10**10))  # fmt: skip
LINES = st.lists(
    st.one_of(
        GOOD.map(lambda record: json.dumps(record).encode()),
        RECORDS.map(lambda record: json.dumps(record).encode()),
        RECORDS.map(lambda record: json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")),
        st.binary(max_size=12),
        st.sampled_from([b"", b"  ", b"{", b'{"u": "a", "u": "b", "i": "x", "t": 1}', b"[]",
                         b'{"u":"a","i":"x","t":1}\r',
                         b'{"u": "a", "i": "x", "t": 1, "z": "\xff"}', b'{"u": "a", "i": "x", "t": NaN}',
                         b'{"u": "a", "i": "x", "t": 1}{"u": "b", "i": "x", "t": 2}', b'{"u": "a", "i":',
                         b'"x", "t": 1}', b'{"u": "a", "i": "x", "t": 1}{"z": {}', b'}{"u": "a", "i": "x", "t": 1}',
                         b'\xef\xbb\xbf{"u": "a", "i": "x", "t": 1}', b'{"u": "\xe4", "i": "x", "t": 1}']),
    ),
    max_size=30,
)  # fmt: skip
FIELDS = EventFields(("u",), ("i",), ("t",), ("r",))


def plainly(rows, rejected: Counter) -> list[tuple]:
    """The slow oracle of the collector: (user, item, time, rating) of the usable rows."""
    kept = []
    for user, item, time, rating in rows:
        try:
            kept.append((parse_id(user), parse_id(item), parse_time(time), parse_rating(rating)))
        except ValueError as reason:
            rejected[str(reason)] += 1
    return kept


def ids_of(events, kind: str) -> list[str]:
    ids = getattr(events, f"{kind}_ids")
    return [ids[n] for n in getattr(events, kind)]


def same_ratings(events, expected: list[float]) -> bool:
    ratings = [math.nan] * len(events.time) if events.rating is None else events.rating.tolist()
    single = np.array(expected or ratings, np.float64).astype(np.float32)
    return np.array_equal(single, np.array(ratings, np.float32), equal_nan=True)


def same(events, expected) -> bool:
    users, items = ids_of(events, "user"), ids_of(events, "item")
    return (
        [(user, item) for user, item, *_ in expected] == list(zip(users, items, strict=True))
        and list(dict.fromkeys(users)) == events.user_ids
        and list(dict.fromkeys(items)) == events.item_ids
    )


@example([b'{"u": "a", "i":', b'"x", "t": 1}', b'{"u": "b", "i": "y", "t": 2}'], False)  # a record of two lines
@given(LINES, st.booleans())
def test_json_lines_in_bulk_are_those_read_one_by_one(tmp_path_factory, lines, packed):
    data = b"\n".join(lines)
    path = tmp_path_factory.mktemp("raw") / "x.json"
    path.write_bytes(gzip.compress(data) if packed else data)
    file = LineFile(path, Counter())
    events = json_events(file, FIELDS)
    alone = LineFile(path, Counter())
    rows, rejected = [], Counter()
    for line in alone.lines():
        if not (line := line.removeprefix("\ufeff")).strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            rejected["not strict JSON"] += 1
            continue
        if isinstance(record, dict):
            rows.append([record.get(name) for name in "uitr"])
        else:
            rejected["not a JSON object"] += 1
    expected = plainly(rows, rejected)
    assert same(events, expected)
    assert +file.rejected == rejected + alone.rejected
    assert same_ratings(events, [rating for *_, rating in expected])


LITERALS = st.lists(
    st.one_of(
        GOOD.map(lambda record: repr(record).encode()),
        GOOD.map(lambda record: repr(record).replace("'", "u'", 1).encode()),
        RECORDS.map(lambda record: repr(record).encode("utf-8", "backslashreplace")),
        RECORDS.map(lambda record: json.dumps(record).encode()),
        st.sampled_from([b"", b"{'u': 'a', 'i': 'x', 't': 1}{'u': 'b'}", b"{'u': 'a\\/', 'i': \"it's\", 't': 1}",
                         b"{'u': __import__('os'), 'i': 'x', 't': 1}", b"{'u': 'a', 'i': 'x', 't': 1_0}",
                         b"{'u': 'a', 'i': 'x', 't': 1, 'z': '\xff'}", b'{"u": "\\ud83d\\ude00", "i": "x", "t": 1}']),
    ),
    max_size=20,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@given(LITERALS)
def test_python_literals_in_bulk_are_those_that_literal_eval_reads(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("raw") / "x.json"
    path.write_bytes(b"\n".join(lines))
    file, rejected, rows = LineFile(path, Counter()), Counter(), []
    events = json_events(file, EventFields(("u",), ("i",), ("t",), ("r",), literals=True))
    alone = LineFile(path, Counter())
    for line in filter(str.strip, alone.lines()):
        for parse in (json.loads, ast.literal_eval):
            try:
                record = parse(line)
                break
            except (ValueError, SyntaxError, TypeError):
                record = None
        if isinstance(record, dict):
            rows.append([record.get(name) for name in "uitr"])
        else:
            rejected["neither JSON nor a Python literal" if record is None else "not a JSON object"] += 1
    assert same(events, plainly(rows, rejected))
    assert +file.rejected == rejected + alone.rejected


CELLS = st.one_of(st.sampled_from(["a", "b", "7", "1.5", "", " 9", "-3", "1_0", "é", '"q"', "x\r", "+4", "1e10", "1e39",
                                   "1e400", "inf", "nan", ".5", "5.", "999999999.9", "9" * 400]),
                  st.text(st.characters(exclude_characters="\n"), max_size=5))  # fmt: skip
ROWS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from("xy"),
            st.sampled_from(["1", "4.5", "1e9", "1e39", "9" * 40]),
            st.integers(0, 99).map(str),
        ),
        st.lists(CELLS, max_size=5).map(tuple),
    ),
    max_size=25,
)


@pytest.mark.parametrize("separator", ["\t", "::", "|"])
@given(rows=ROWS)
def test_tables_in_bulk_are_those_read_one_by_one(tmp_path_factory, separator, rows):
    path = tmp_path_factory.mktemp("raw") / "x.dat"
    path.write_bytes("\n".join(separator.join(row) for row in rows).encode("utf-8", "replace"))
    file, alone, rejected = LineFile(path, Counter()), LineFile(path, Counter()), Counter()
    events = table_events(file, Table(separator, 4, (0, 1, 3, 2)))
    split = [line.split(separator) for line in alone.lines()]
    rejected["wrong number of columns"] = sum(len(values) != 4 for values in split)
    usable = [(values[0], values[1], values[3], values[2]) for values in split if len(values) == 4]
    expected = plainly(usable, rejected)
    assert same(events, expected)
    assert +file.rejected == +rejected + alone.rejected
    assert same_ratings(events, [rating for *_, rating in expected])


NINES = [b"9" * digits for digits in (5, 19, 30, 31, 36, 400, 1000, 1001, 4300, 4301, 5000)]
EXTREMES = st.sampled_from(
    [b"1e9", b"999999999.9", b"1e10", b"-1e10", b"1e39", b"1e308", b"1e400", b"-0", b"0.1", *NINES]
)
EXTREME_LINES = st.lists(
    st.builds(
        b'{"u": %b, "i": %b, "t": %b, "r": %b, "other": %b}'.__mod__,
        st.tuples(
            st.sampled_from([b"1", b"-7", b'"7"', b"true", b"1e35", *NINES]), st.sampled_from([b"1", b'"x"', *NINES]),
            st.sampled_from([b"5", b"1e9", b"-5", *NINES]), st.one_of(EXTREMES, st.sampled_from([b"null", b'"4"'])),
            st.one_of(EXTREMES, st.sampled_from([b"[" * 40 + b"]" * 40, b'"x"', b"01"])),
        ),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("literals", [False, True])
@given(EXTREME_LINES)
def test_numbers_of_any_size_are_the_same_in_bulk_and_line_by_line(tmp_path_factory, literals, lines):
    path = tmp_path_factory.mktemp("raw") / "x.json"
    path.write_bytes(b"\n".join(lines))
    fields = EventFields(("u",), ("i",), ("t",), ("r",), literals=literals, has_number_ids=True, id_of=id_of_any)
    bulk, alone = LineFile(path, Counter()), LineFile(path, Counter())
    events, collector = json_events(bulk, fields), EventCollector()
    for line in lines:
        if record := read_record(alone, line, literals):
            add_row(collector, fields.row(record), alone.rejected, id_of_any)
    one_by_one = collector.events()
    assert same(events, list(zip(*(ids_of(one_by_one, kind) for kind in ("user", "item")), strict=True)))
    assert events.time.tolist() == one_by_one.time.tolist() and bulk.rejected == alone.rejected
    assert same_ratings(events, [] if one_by_one.rating is None else one_by_one.rating.tolist())


def test_what_numbers_of_any_size_are(tmp_path):
    path = tmp_path / "x.json"
    line = b'{"u": %b, "i": "x", "t": 5, "r": %b, "other": %b}'
    cases = [(NINES[4], b"1e9", NINES[-1]), (b"9" * 1001, b"1", b"1"), (NINES[-1], b"1", b"1"), (b"1", b"1e39", b"1")]
    path.write_bytes(b"\n".join(line % case for case in cases))
    file = LineFile(path, Counter())
    events = json_events(file, EventFields(("u",), ("i",), ("t",), ("r",), has_number_ids=True, id_of=id_of_any))
    assert events.user_ids == ["9" * 36, "1"] and events.rating is None  # ratings from 1e9 on are none
    assert file.rejected == {"id of more than 1000 characters": 1, "id missing or unprintable": 1}


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\r"), max_size=6), min_size=2, max_size=2)))
def test_rows_of_csv_are_read_whatever_their_values_hold(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("raw") / "x.csv"
    with path.open("w", encoding="utf-8", newline="", errors="replace") as stream:
        csv.writer(stream, lineterminator="\n").writerows([["a", "b"], *rows])
    file = LineFile(path, Counter())
    written = [[value.encode("utf-8", "replace").decode() for value in row] for row in rows]
    actual = [[row["a"], row["b"]] for row in table_rows(file, ",")]
    assert actual == written and not file.rejected


def test_the_row_after_a_quotation_mark_that_is_never_closed_is_read(tmp_path):
    (tmp_path / "x.csv").write_text('a,b\n1,"open\n2,y\n3,z\n')
    file = LineFile(tmp_path / "x.csv", Counter())
    assert [row["a"] for row in table_rows(file, ",")] == ["2", "3"] and file.rejected == {"broken quotes": 1}


@pytest.mark.parametrize(
    ("text", "second"),
    [("1970-01-02", 86_400), ("2020-09-13 12:26:40", 1_600_000_000), ("2020-09-13T12:26:40+02:00", 1_599_992_800),
     ("1969-12-31", -86_400), ("1600000000", 1_600_000_000), ("-5", -5), ("1e-3", 0)],
)  # fmt: skip
def test_a_moment_is_a_number_or_a_date(text, second):
    assert int(parse_moment(text)) == second


@pytest.mark.parametrize("text", ["yesterday", "2020-13-01", "", "20-20"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match="time missing"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Rock &amp; Roll", ("Rock & Roll",)),
        ("Rock &amp;amp; Roll; Jazz", ("Rock & Roll", "Jazz")),
        ("R&amp;B|Caf&eacute;", ("R&B", "Café")),
        ("Home &gt; Garden", ("Home", "Garden")),
        ("Drama, Comedy", ("Drama", "Comedy")),
        ("B&B; C", ("B&B", "C")),
        (["Home > Garden", "Sale"], ("Home", "Garden", "Sale")),
        (["Home &gt; Garden", "Food, Drinks"], ("Home", "Garden", "Food, Drinks")),
    ],
)
def test_entities_in_categories_are_read_before_their_semicolons_separate(written, expected):
    assert categories_of(written) == expected
