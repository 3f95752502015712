"""Result files, timing files and study folders: what they are made into are tables of finite numbers."""

import json
from pathlib import Path

from damage import Reader

from train_utils.evaluation.metrics import aggregate, score_list
from train_utils.evaluation.result_reader import read_timing
from train_utils.files.atomic import write_json
from train_utils.report.comparison import load_result_set, report_rows
from train_utils.report.page import conditions_of, example, example_users, note_of, title_of
from train_utils.report.significance import over_seeds
from train_utils.report.study import load_study, rows_of
from train_utils.report.tables import ALL_HEADINGS, comparison_table, headings, markdown_table, text_table

CONFIG = {"data_path": "nowhere/films", "split": "test", "hide_seen": "visible", "max_history": 10, "ranker": ""}


def result(first: int, **config) -> dict:
    """Return the content of a result file of five users."""
    rows = []
    for user in range(5):
        items = [str(first + user + i) for i in range(10)]
        metrics = score_list(items, "5", history=[], k_asked=10)
        rows.append({
            "user": f"u{user}", "target": "5", "history": ["1"], "items": items, "metrics": metrics, "asked": {"k": 10},
            "completion": "a list", "titles": [{"text": item} for item in items],
        })  # fmt: skip
    return {
        "manifest": {"config": CONFIG | config, "inputs": {"films/metas.jsonl": "0" * 64}, "packages": {"torch": "2"}},
        "n_users": 5, "metrics": aggregate([row["metrics"] for row in rows], bootstrap=20), "coverage@10": 0.5,
        "users": rows,
    }  # fmt: skip


def write_results(folder: Path) -> None:
    write_json(folder / "mine.json", result(1))
    write_json(folder / "popularity.json", result(3, ranker="popularity"))
    write_json(folder / "mine.timing.json", {"seconds": 3.5, "lists": 5, "machine": "a"})


def read_results(folder: Path) -> None:
    paths = sorted(path for path in folder.glob("*.json") if ".timing" not in path.name)
    result_set = load_result_set(paths)
    rows = report_rows(result_set)
    table = markdown_table(rows, result_set.ours, headings(rows))
    assert len(table.splitlines()) == 2 + len(rows) and "inf" not in table and "nan" not in table
    text_table(rows, ALL_HEADINGS)
    comparison_table(result_set.comparisons)
    over_seeds(list(result_set.results.values()), ("hr@10",))
    title_of(result_set), conditions_of(result_set), note_of(result_set)
    for user in example_users(result_set):
        example(result_set, user)


def write_timing(folder: Path) -> None:
    write_json(folder / "r.timing.json", {"seconds": 3.5, "lists": 5, "machine": "a"})


def read_time(folder: Path) -> None:
    if (timing := read_timing(folder / "r.timing.json")) is not None:
        assert 0 <= 1000 * timing.seconds / timing.lists < 1e15 and timing.machine.isprintable()


def write_study(folder: Path) -> None:
    for form in ("token", "title"):
        write_json(folder / "results" / f"{form}-e1-s0-h10.json", result(1))
        run = folder / f"{form}-e1-s0"
        config = {"batch_size": 2, "gradient_accumulation_steps": 4, "epoch": 1}
        write_json(run / "config.json", {"config": config, "inputs": {}})
        write_json(run / "Epoch01_SFT" / "manifest.json", {})
        (run / "times.jsonl").write_text("".join(json.dumps({"step": n, "seconds": 1.5}) + "\n" for n in range(9)))
    write_json(folder / "results" / "popularity-h10.json", result(3, ranker="popularity"))


def read_study(folder: Path) -> None:
    rows_of(load_study(folder))


WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"9" * 400, b"1e300", b"-1", b"true", b"null", b"{}", b"[" * 3000,
    b'{"a":' * 900 + b"1" + b"}" * 900, b'"\\u0000\\u001b]0;x\\u0007"', b'"\\ud800"', b'"<b>|\\n`"',
)  # fmt: skip
READERS = [
    Reader("result files", write_results, read_results, WORDS),
    Reader("timing files", write_timing, read_time, WORDS),
    Reader("study folders", write_study, read_study, WORDS),
]
