"""Results of a stranger: each part is checked, and no name can break a table, a page, a chart or a terminal."""

import json
import logging
import math
import re
import sys
from html.parser import HTMLParser

import pytest
from damage import faults
from fuzz_results import READERS, result, write_study

from cli_serve import Screen
from train_utils.command import run_cli
from train_utils.decoding.events import Done, TextDelta
from train_utils.dialogue.answers import Notice
from train_utils.evaluation.result_reader import MAX_RESULT_BYTES, read_timing
from train_utils.files.atomic import write_json
from train_utils.printable import markdown, one_line, printable
from train_utils.recommender import Recommendation
from train_utils.report.__main__ import write_report
from train_utils.report.comparison import load_result_set, name_of, read_results
from train_utils.report.study import load_study
from train_utils.report.tables import markdown_table, text_table

EVIL = "$\\frac{$ <img src=x> | a\n# b `c` [d](https:\\\\e) *f* \x1b]0;t\x07\r\u202e~"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_file_is_refused_or_read(reader):
    assert faults(reader, range(40)) == []


def set_in(value, path: str, new):
    """Return a copy of a JSON value with another one at a path such as `users.0.metrics`."""
    copy = json.loads(json.dumps(value))
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    inner = copy
    for parent in parents:
        inner = inner[parent]
    inner[last] = new
    return copy


@pytest.mark.parametrize(
    "path,new",
    [
        ("manifest", []), ("manifest/config/hide_seen", []), ("manifest/config/split", "all"),
        ("manifest/inputs/x", 3), ("manifest/packages", json.loads("[" * 200 + "]" * 200)),
        ("metrics", {}), ("metrics/ndcg@10/mean", math.nan), ("metrics/ndcg@10/ci", [0, math.inf]),
        ("metrics/ndcg@10/ci", [0.5, 0.1]), ("metrics/short/mean", 1e300), ("metrics/hr@1/mean", 7.0),
        ("coverage@10", math.inf), ("users", []), ("users/0/user", 3), ("users/0/user", "u1"), ("users/0/target", None),
        ("users/0/items", [3]), ("users/0/metrics/hr@10", "1"), ("users/0/metrics/hr@10", 10**400),
        ("users/0/metrics/other", math.nan), ("users/0/history", "abc"), ("users/0/completion", {}),
        ("users/0/titles", [{}]), ("users/0/titles", 3),
    ],
)  # fmt: skip
def test_a_result_with_a_part_of_another_kind_is_refused_in_one_line(tmp_path, path, new):
    write_json(tmp_path / "r.json", result(1))
    read_results([tmp_path / "r.json"])
    write_json(tmp_path / "r.json", set_in(result(1), path, new))
    with pytest.raises(ValueError, match="is no result file of task_test.py") as caught:
        read_results([tmp_path / "r.json"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_deep_json_and_files_above_the_limit_are_refused(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="deep.json is not JSON .nested too deeply"):
        read_results([tmp_path / "deep.json"])
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(MAX_RESULT_BYTES + 1)  # without blocks on the disk
    with pytest.raises(ValueError, match="big.json has .* bytes, wanted up to"):
        read_results([tmp_path / "big.json"])


@pytest.mark.parametrize(
    "seconds",
    ["1e999", "-1", "NaN", "9" * 400, "9" * 5000, '"3"', "null", "true", "[" * 100_000, "1e12"],
    ids=range(10),
)
def test_a_time_that_was_not_measured_is_left_out(tmp_path, seconds):
    path = tmp_path / "r.timing.json"
    path.write_text(f'{{"seconds": 3.5, "lists": 5, "machine": {json.dumps(EVIL)}}}')
    assert read_timing(path).seconds == 3.5 and read_timing(path).machine.isprintable()
    path.write_text(f'{{"seconds": {seconds}, "lists": 5}}')
    assert read_timing(path) is None


@pytest.mark.parametrize("file,key,value", [
    ("times.jsonl", "seconds", 10**400), ("times.jsonl", "seconds", -1), ("config.json", "batch_size", 10**400),
    ("config.json", "epoch", "1"), ("config.json", "gradient_accumulation_steps", 0),
], ids=range(5))  # fmt: skip
def test_a_run_with_odd_numbers_is_left_out_of_a_study(tmp_path, file, key, value):
    write_study(tmp_path)
    path = tmp_path / "token-e1-s0" / file
    text = path.read_text().replace('"step": 3, "seconds": 1.5', f'"step": 3, "{key}": {json.dumps(value)}')
    if file == "config.json":
        text = json.dumps(set_in(json.loads(text), f"config/{key}", value))
    path.write_text(text)
    assert [setting.form for setting in load_study(tmp_path).settings] == ["title"]


class Tags(HTMLParser):
    """Elements of a page."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)


def test_names_with_markup_formulas_and_escapes_are_shown_as_text(tmp_path):
    """A name with `$` is no formula for the charts, one with HTML no element, one with `|` no column."""
    name = EVIL.replace("/", "")
    odd = set_in(result(1, data_path=f"x/{name}"), "users/0/completion", f"{EVIL}\ud800</pre><script>")
    (tmp_path / f"{name}.json").write_text(json.dumps(odd))
    write_json(tmp_path / "popularity.json", result(3, ranker="popularity"))
    result_set = load_result_set([tmp_path / f"{name}.json", tmp_path / "popularity.json"])
    page = write_report(result_set, tmp_path / "report")
    table = (page.parent / "table.md").read_text().splitlines()
    cells = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table]
    assert cells == [cells[0]] * 4 + [0, 0]
    assert "<img" not in "".join(table)
    (tags := Tags()).feed(page.read_text())
    assert not tags.names & {"img", "script"} and printable(page.read_text()) == page.read_text()


def test_a_user_that_the_dataset_lacks_is_told(tmp_path):
    files = {"metas": {str(n): {"title": f"film {n}"} for n in range(20)}, "category": {"all": ["1"]},
             "sequential": {"other": ["1", "2", "3", "5"]}}  # fmt: skip
    for part, content in files.items():
        write_json(tmp_path / "films" / f"{part}.jsonl", content, indent=None)
    paths = [tmp_path / "mine.json", tmp_path / "popularity.json"]
    for number, path in enumerate(paths):
        write_json(path, set_in(result(number + 1), "manifest/inputs", {}))
    with pytest.raises(ValueError, match="user 'u0' of the results is not tested in the dataset 'films'"):
        load_result_set(paths, data_path=str(tmp_path / "films"))


def test_a_name_is_printable_and_on_one_line():
    assert name_of(f"x/{EVIL.replace('/', '')}.json").isprintable()
    assert one_line("a\r\nb\x85c\u2028d\te") == "a b c d e" and one_line("abcdef", 4) == "abc…"
    assert printable("a\nb\tc\x1b[2J\x9b\udc80") == "a\nb\tc[2J"


@pytest.mark.parametrize("text,expected", [
    ("RecLM-cgen+prior SFT_Epoch3", "RecLM-cgen+prior SFT_Epoch3"),
    ("_a_ *b*", "\\_a\\_ \\*b\\*"),
    ("[a](https://b.c)", "\\[a\\](https&#58;//b.c)"),
    ("www.a.b", "www&#46;a.b"),
    ("<b>&|`", "&lt;b&gt;&amp;\\|\\`"),
    ("a\\|b", "a\\\\\\|b"),
])  # fmt: skip
def test_markdown_shows_a_name_as_it_is(text, expected):
    assert markdown(text) == expected


def test_tables_keep_a_line_a_row():
    rows = [{"model": EVIL, "hr@10": 0.5}, {"model": "b", "hr@10": 0.1}]
    assert len(text_table(rows).splitlines()) == len(markdown_table(rows).splitlines()) == 4
    assert text_table(rows).isprintable() or set(text_table(rows)) - {"\n"} == set(printable(text_table(rows))) - {"\n"}


def test_the_chat_prints_titles_ids_and_notices_without_escape_sequences(capsys):
    recommended = Recommendation("i\x1b[2J", "t\x1b]0;x\x07\rq", 1, 0.5)
    for styled in (True, False):
        screen = Screen(lambda item_id: ["c\x1b[2J"], styled=styled, separate=False)
        for event in (TextDelta("a"), recommended, Done(""), Notice("n\x1b[2J\r")):
            screen.show(event)
        output = capsys.readouterr()
        shown = output.out
        for style in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):
            shown = shown.replace(style, "")
        assert shown == f"at]0;x q [i[2J]{' c[2J' * styled}\n" and output.err == "n[2J\n"


def test_errors_and_warnings_are_printable(capsys):
    def fail():
        logging.getLogger("train_utils").warning("w\x1b[2J")
        raise ValueError("e\x1b]0;x\x07\nf")

    with pytest.raises(SystemExit):
        run_cli(fail)
    sys.stderr.flush()
    errors = capsys.readouterr().err
    assert "error: e]0;x f\n" in errors and "\x1b" not in errors
