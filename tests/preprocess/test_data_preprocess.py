"""Promises of data_preprocess.py: options, protocols, splits, bad input, and that a killed run leaves no dataset."""

import gzip
import json
import multiprocessing
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import data_preprocess
import numpy as np
import pytest
from byte_tokenizer import byte_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import FEEDS, SAMPLES, amazon_2018, amazon_2023, own_csv
from select_events import Cuts, Filters, oldest_first, select_events
from shared_options import NAMED_CUTS, PROTOCOLS, cuts_of, filters_of
from small_events import TRIPLES, events_of, plain_rules
from transform2unirec import transform
from unirec_files import read_unirec_data

from train_utils.catalog import load_catalog
from train_utils.dataset_folder import read_dataset
from train_utils.unirec_folder import stale_reason


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def argv_of(tmp_path: Path, tokenizer_folder: str, name: str) -> list[str]:
    return [
        *(name, "mine"),
        *("--tokenizer_path", tokenizer_folder),
        *("--raw_path", str(tmp_path / "raw")),
        *("--data_path", str(tmp_path / "mine")),
        *("--unirec_data_path", str(tmp_path / "unirec")),
        *("--unirec_config_path", str(tmp_path / "mine.yaml")),
    ]


def run(tmp_path: Path, tokenizer_folder: str, name: str, *more: str) -> int:
    return data_preprocess.main([*argv_of(tmp_path, tokenizer_folder, name), *more])


def files_of(*folders: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for folder in folders for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.parametrize("sample", [*SAMPLES, *(f"feed {form}" for form in FEEDS)])
def test_every_format_becomes_a_dataset_that_both_sides_read_with_the_same_bytes_at_any_threads(
    tmp_path, tokenizer_folder, sample
):
    name, write = SAMPLES.get(sample) or ("feed", FEEDS[sample.removeprefix("feed ")])
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw")
    made = []
    for threads in ("1", "2", "2"):
        assert run(tmp_path, tokenizer_folder, name, "--threads", threads) == 0
        made.append(files_of(*(tmp_path / folder for folder in ("mine", "unirec") if (tmp_path / folder).exists())))
    assert made[0] == made[1] == made[2]
    catalog = load_catalog(tmp_path / "mine")
    if name == "feed":
        assert len(catalog.items) == 4 and not catalog.sequences
    else:
        assert len(read_unirec_data(tmp_path / "unirec").raw_ids) == 1 + len(catalog.items)
        transform(tmp_path / "mine", tmp_path / "again", tmp_path / "again.yaml")  # from the files
        assert files_of(tmp_path / "again") == files_of(tmp_path / "unirec")


# ---------------------------------------------------------------- options


def options(*more: str):
    arguments = data_preprocess.parse_arguments(["own", "x", *more])
    data_preprocess.settle_protocol(arguments)
    return filters_of(arguments), arguments


def test_the_default_keeps_everything_and_published_is_the_paper_s_recipe():
    full, arguments = options()
    assert full == Filters() and not arguments.need_category
    published, arguments = options("--protocol", "published")
    assert published == Filters(
        k_core=5, min_events_per_user=17, max_events_per_user=17, keep="first", users=10_000, seed=0
    )
    assert arguments.need_category and not published.with_replacement


@given(st.sampled_from([*PROTOCOLS]), st.integers(0, 9), st.integers(1, 9), st.sampled_from(["first", "last"]))
def test_a_flag_that_is_given_beats_the_protocol(protocol, k, least, keep):
    filters, _ = options(
        *("--protocol", protocol, "--k_core", str(k), "--min_events_per_user", str(least), "--keep", keep)
    )
    assert (filters.k_core, filters.min_events_per_user, filters.keep) == (k, least, keep)


def test_the_published_draw_repeats_users_and_the_default_draw_does_not():
    events = events_of([(f"u{n}", f"i{n % 7}", n) for n in range(1000)])
    usable = np.ones(7, dtype=bool)
    distinct = {
        repeat: len(select_events(events, usable, Filters(users=1000, with_replacement=repeat)).rows)
        for repeat in (False, True)
    }
    assert distinct[False] == 1000 and 600 < distinct[True] < 664  # 1 - 1/e of them


def rated_events(rows):
    from readers.records import collect

    return collect(rows, Counter())


def test_events_of_low_rating_or_none_are_dropped_and_counted():
    events = rated_events([("u", "a", 1, 5.0), ("u", "b", 2, 3.5), ("u", "c", 3, None), ("u", "d", 4, "4")])
    selection = select_events(events, np.ones(4, dtype=bool), Filters(min_rating=3.5))
    assert [events.item_ids[events.item[row]] for row in selection.rows] == ["a", "b", "d"]
    assert selection.dropped == {"rating below 3.5, or none": 1}
    with pytest.raises(ValueError, match="no event of the dump has a rating"):
        select_events(events_of(TRIPLES), np.ones(5, dtype=bool), Filters(min_rating=1))


def test_duplicates_are_kept_where_that_is_asked_for():
    events = events_of([("u", "a", 1), ("u", "b", 2), ("u", "a", 3)])
    assert len(select_events(events, np.ones(2, dtype=bool), Filters(keep_duplicates=True)).rows) == 3


@given(st.lists(st.tuples(st.sampled_from("uv"), st.sampled_from("abcdefgh")), unique=True, min_size=1), st.randoms())
def test_hashed_ties_do_not_depend_on_the_order_of_the_file(pairs, random):
    def ordered(pairs):
        events = events_of([(user, item, 1) for user, item in pairs])
        rows = oldest_first(events, np.arange(len(pairs)), "hashed", 3)
        listed = [(events.user_ids[events.user[row]], events.item_ids[events.item[row]]) for row in rows]
        return {name: [item for user, item in listed if user == name] for name in "uv"}

    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert ordered(pairs) == ordered(shuffled)


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("ab"), st.integers(0, 2**61)), min_size=1))
def test_events_are_in_the_order_of_users_times_and_the_file(triples):
    """Times of nanoseconds and users do not fit into one integer."""
    for scale in (10**9, 2**59, 1):
        events = events_of([(user, item, time // scale) for user, item, time in triples])
        keys = list(zip(events.user.tolist(), events.time.tolist(), range(len(triples)), strict=True))
        assert oldest_first(events, np.arange(len(triples))).tolist() == [row for _, _, row in sorted(keys)]


# ---------------------------------------------------------------- splits


def test_the_official_cuts_of_amazon_2023_have_a_name():
    assert cuts_of("amazon-2023") == NAMED_CUTS["amazon-2023"] == Cuts("amazon-2023", 1658002729837, 1628643414042)
    assert cuts_of("2021-08-11") == Cuts("2021-08-11", 1628640000000)
    assert cuts_of("1970-01-01,1970-01-02").valid == 0


@pytest.mark.parametrize("text", ["tomorrow", "2021-08-11,2020-01-01", "2020-01-01,2021-01-01,2022-01-01", "", ","])
def test_what_is_no_cut_is_one_line(text, capsys):
    with pytest.raises(SystemExit):
        data_preprocess.main(["own", "x", "--split_at", text])
    assert capsys.readouterr().err.count("\n") == 1


EVENTS = st.lists(
    st.tuples(st.sampled_from("uvwx"), st.sampled_from("abcdefg"), st.integers(0, 19)), min_size=1, max_size=60
)


@given(EVENTS, st.integers(1, 18), st.integers(1, 5))
def test_with_two_cuts_training_validation_and_test_follow_each_other_in_time(triples, first, gap):
    events = events_of(triples)
    cuts = Cuts("x", (first + gap) * 1000, first * 1000)
    try:
        selection = select_events(events, np.ones(len(events.item_ids), dtype=bool), Filters(), cuts=cuts)
    except ValueError as error:
        assert "leaves no user" in str(error)
        return
    assert len(selection.rows) + sum(selection.dropped.values()) == len(triples)
    for user in range(len(events.user_ids)):
        times = events.time[selection.rows[events.user[selection.rows] == user]].tolist()
        if selection.cut.is_test[user]:
            *train, valid, test = times
            assert train and max(train) < first <= valid < first + gap <= test
        else:
            assert all(time < first for time in times)


def test_the_cuts_count_in_the_unit_of_the_dump():
    for ticks in (1, 10**3, 10**6):
        second = 1_600_000_000
        times = [(second - 2) * ticks, (second - 1) * ticks, second * ticks, (second + 5) * ticks]
        events = events_of([("u", f"i{n}", time) for n, time in enumerate(times)])
        selection = select_events(events, np.ones(4, dtype=bool), Filters(), cuts=Cuts("x", second * 1000))
        assert selection.rows.tolist() == [0, 1, 2] and selection.cut.is_test.all()


def test_moments_without_a_temporal_split_are_refused_before_anything_is_read(tmp_path, tokenizer_folder, capsys):
    assert run(tmp_path, tokenizer_folder, "own", "--split_at", "2020-01-01") == 2
    assert "--split temporal" in capsys.readouterr().err


def test_an_amazon_2023_dump_is_split_at_its_moments(tmp_path, tokenizer_folder):
    (tmp_path / "raw").mkdir()
    amazon_2023(tmp_path / "raw")
    more = ("--split", "temporal", "--split_at", "2020-09-13T12:26:47,2020-09-14")
    assert run(tmp_path, tokenizer_folder, "amazon-2023", *more) == 0
    files = read_dataset(tmp_path / "mine")
    assert files.sequences == {"u1": ["1", "2", "3", "4"], "u2": ["1", "2", "4"]} and files.test_users == ["u1", "u2"]
    split = json.loads((tmp_path / "mine/audit.json").read_text())["split"]
    assert split["last_training_time"] == "2020-09-13T12:26:46+00:00"


# ---------------------------------------------------------------- bad input

BAD = {
    "truncated gzip": lambda data: gzip.compress(data)[:-20],
    "half a line": lambda data: data[:-30],
    "NUL bytes": lambda data: data + b"\0" * 1000 + b"\n" + b'{"reviewerID": "\\u0000", "asin": "1"}\n',
    "mixed encodings": lambda data: (
        data + '{"reviewerID": "u\xe4", "asin": "1", "unixReviewTime": 1}\n'.encode("latin-1")
    ),
    "1970": lambda data: data + b'{"reviewerID": "u9", "asin": "1", "unixReviewTime": 0}\n',
    "negative time": lambda data: data + b'{"reviewerID": "u9", "asin": "1", "unixReviewTime": -86400}\n',
    "wrong types": lambda data: data + b'{"reviewerID": 5, "asin": ["1"], "unixReviewTime": "x"}\n[]\n7\nnull\n',
    "duplicate keys": lambda data: data + b'{"asin": "9", "asin": "1", "reviewerID": "u9", "unixReviewTime": 5}\n',
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "empty": lambda data: b"",
    "binary": lambda data: os.urandom(0) + bytes(range(256)) * 50,
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("file", ["Toys_5.json.gz", "meta_Toys.json.gz"])
def test_a_damaged_dump_is_counted_or_one_line(tmp_path, tokenizer_folder, capsys, file, bad):
    (tmp_path / "raw").mkdir()
    amazon_2018(tmp_path / "raw")
    path = tmp_path / "raw" / file
    path.write_bytes(BAD[bad](gzip.decompress(path.read_bytes())))
    status = run(tmp_path, tokenizer_folder, "amazon-2018")
    error = capsys.readouterr().err
    if status == 0:
        assert load_catalog(tmp_path / "mine").sequences
    else:
        last = error.splitlines()[-1]
        assert status == 2 and last.startswith("error: ") and "Traceback" not in error
        assert not (tmp_path / "mine").exists()


def test_titles_of_10_mb_users_and_items_of_one_event_and_times_of_1970_are_no_obstacle(tmp_path, tokenizer_folder):
    (tmp_path / "raw").mkdir()
    own_csv(tmp_path / "raw")
    lines = [{"id": "9", "name": "x" * 10_000_000}, {"id": "8", "name": "Short"}]
    (tmp_path / "raw/things.csv").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "raw/clicks.csv").write_text("user,item,time\na,9,0\nb,8,-5\n")
    assert run(tmp_path, tokenizer_folder, "own") == 0
    files = read_dataset(tmp_path / "mine")
    assert files.sequences == {"a": ["9"], "b": ["8"]} and len(files.metas["9"]["title_t"]) < 2000


@pytest.mark.parametrize("name", ["../out", "/x/y", "a/b", "", ".", "-x", "a\nb"])
def test_a_name_that_leaves_the_folder_of_data_is_refused(name, capsys):
    with pytest.raises(SystemExit):
        data_preprocess.main(["own", "--", name] if name.startswith("-") else ["own", name])
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


JUNK = st.lists(
    st.one_of(
        st.builds(
            lambda user, item, time: json.dumps({"reviewerID": user, "asin": item, "unixReviewTime": time}).encode(),
            st.sampled_from(["u1", "u2", " u3", "", 7, None]),
            st.sampled_from(["1", "2", "3", "nowhere", None]),
            st.one_of(st.integers(-10, 10**12), st.floats(), st.text(max_size=3)),
        ),
        st.binary(max_size=30),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(JUNK, st.booleans(), st.integers(0, 3), st.integers(0, 100))
def test_whatever_the_lines_every_event_is_kept_or_counted(tmp_path_factory, lines, packed, k, cut):
    from build_dataset import build_dataset
    from readers.amazon import read_amazon

    folder = tmp_path_factory.mktemp("raw")
    amazon_2018(folder)
    data = b"\n".join(lines)
    packed_data = gzip.compress(data)
    (folder / "Toys_5.json.gz").write_bytes(packed_data[: len(packed_data) - cut // 90 * 4] if packed else data)
    try:
        dataset = build_dataset(read_amazon(folder, "Toys"), plain_rules(), Filters(k_core=k))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    events = dataset.audit["events"]
    assert events["kept"] == sum(map(len, dataset.sequences.values()))
    assert events["read"] == events["kept"] + sum(events["dropped"].values())
    titles = [entry["title_t"] for entry in dataset.meta.values()]
    assert len(set(titles)) == len(titles)
    assert {item for items in dataset.sequences.values() for item in items} == set(dataset.meta)


# ---------------------------------------------------------------- kills and full disks

FORK = multiprocessing.get_context("fork")


def killed_at(operation: int, folders: list[Path], work: Callable[[], object]) -> int:
    """Run in a process that dies by SIGKILL right before its n-th file operation below folders; return its status."""
    left = [operation]

    def auditor(event: str, arguments: tuple) -> None:
        if event.startswith(("open", "os.")) and any(str(f) in str(a) for f in folders for a in arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def run_work() -> None:
        sys.addaudithook(auditor)
        work()

    process = FORK.Process(target=run_work)
    process.start()
    process.join()
    return process.exitcode


def test_what_a_kill_at_any_file_operation_leaves_is_refused_or_whole(tmp_path, tokenizer_folder):
    """Nothing is written before all is computed; the forked process only writes: threads do not survive a fork."""
    (tmp_path / "raw").mkdir()
    own_csv(tmp_path / "raw")
    arguments = data_preprocess.parse_arguments(argv_of(tmp_path, tokenizer_folder, "own"))
    data_preprocess.preprocess(arguments)
    folders = [tmp_path / "mine", tmp_path / "unirec"]
    old = read_dataset(folders[0])
    rows = (tmp_path / "raw/clicks.csv").read_text().splitlines()
    more = ["u3;1;1;2021-01-01", "u0;2;5;2019-01-01"]
    (tmp_path / "raw/clicks.csv").write_text("\n".join([*rows[:1], *more, *rows[1:]]) + "\n")
    dataset = data_preprocess.dataset_of(
        data_preprocess.read(arguments), data_preprocess.rules_of(arguments), arguments
    )
    operation, status, refused = 0, -signal.SIGKILL, 0
    while status == -signal.SIGKILL:
        operation += 4
        status = killed_at(
            operation, [*folders, tmp_path / "mine.yaml"], lambda: data_preprocess.write(dataset, arguments)
        )
        try:
            sequences = read_dataset(folders[0]).sequences
            teacher = read_unirec_data(folders[1])
        except ValueError as error:
            assert "did not finish" in str(error) or "lacks" in str(error)
            refused += 1
            continue
        assert sequences in (old.sequences, dataset.sequences)
        assert teacher.n_users == 1 + len(sequences) and len(teacher.items) == (9 if len(sequences) == 3 else 11)
        assert not stale_reason(folders[1], folders[0])
    assert status == 0 and operation > 40 and refused > 4
    assert read_dataset(folders[0]).sequences == dataset.sequences and teacher.n_users == 5
    assert not [path for folder in folders for path in folder.iterdir() if path.name.startswith(".")]


def test_a_full_disk_is_one_line_and_leaves_no_dataset(tmp_path, tokenizer_folder, capsys):
    (tmp_path / "raw").mkdir()
    own_csv(tmp_path / "raw")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # files end after 300 bytes
    try:
        status = run(tmp_path, tokenizer_folder, "own")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and error.startswith("error: ") and str(tmp_path / "mine/meta") in error and "free some" in error
    with pytest.raises(ValueError, match="did not finish"):
        read_dataset(tmp_path / "mine")
    assert run(tmp_path, tokenizer_folder, "own") == 0 and read_dataset(tmp_path / "mine").sequences


def test_raw_titles_are_kept_where_that_is_asked_for(tmp_path, tokenizer_folder):
    (tmp_path / "raw").mkdir()
    own_csv(tmp_path / "raw")
    assert run(tmp_path, tokenizer_folder, "own", "--raw_titles") == 0
    metas = json.loads((tmp_path / "mine/metas.jsonl").read_text())
    assert metas["3"]["title_raw"] == "Tom &amp; Jerry" and metas["3"]["title"] == "Tom & Jerry"
    assert "title_raw" not in metas["1"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, tokenizer_folder, capsys):
    (tmp_path / "raw").mkdir()
    own_csv(tmp_path / "raw")
    (tmp_path / "mine").write_text("a file")
    assert run(tmp_path, tokenizer_folder, "own") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
