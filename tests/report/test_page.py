"""The page that compares result files: self-contained, safe, refusing what cannot be compared."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from train_utils.evaluation.metrics import aggregate, score_list
from train_utils.report.__main__ import main, write_report
from train_utils.report.comparison import Timing, choose_base, load_result_set, quarters, report_rows
from train_utils.report.page import example

ROOT = Path(__file__).resolve().parents[2]
N_USERS = 30
EVIL = "<script>alert(1)</script> & $x^2$"


@pytest.fixture
def dataset(tmp_path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    titles = {str(i): EVIL if i == 0 else f"Film {i}" for i in range(40)}
    files = {
        "metas.jsonl": {i: {"title": title} for i, title in titles.items()},
        "category.jsonl": {"drama": list(titles)},
        # The target is item 0 for everybody; histories have 3 to 12 events.
        "sequential.jsonl": {
            f"u{u}": [str(1 + (u + i) % 39) for i in range(3 + u % 10)] + ["0"] for u in range(N_USERS)
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def result(dataset: Path, position, *, users: int = N_USERS, **config) -> dict:
    """A result whose user u finds the target at place(u) of the list, None for a miss."""
    rows = []
    for u in range(users):
        items = [str(1 + (u + i) % 39) for i in range(10)]
        if position(u) is not None:
            items[position(u) - 1] = "0"
        metrics = score_list(items, "0", history=[], k_asked=10)
        rows.append({"user": f"u{u}", "target": "0", "history": ["1", "2"], "items": items, "metrics": metrics})
    options = {"data_path": str(dataset), "split": "test", "hide_seen": "visible", "max_history": 10, "ranker": ""}
    return {
        "manifest": {"config": options | config, "inputs": {}},
        "n_users": users, "metrics": aggregate([row["metrics"] for row in rows]), "coverage@10": 0.5, "users": rows,
    }  # fmt: skip


@pytest.fixture
def files(tmp_path, dataset) -> list[Path]:
    """Ours finds the target for nearly all users, the best baseline for every sixth, the other for none."""
    content = {
        "RecLM-cgen": result(dataset, lambda u: 1 + u % 3 if u % 10 else None),
        "item-knn": result(dataset, lambda u: 2 if u % 6 == 0 else None, ranker="item-knn"),
        "popularity": result(dataset, lambda u: None, ranker="popularity"),
    }
    content["RecLM-cgen"]["users"][0] |= {"completion": "</pre><img src=x onerror=alert(2)>"}
    paths = [tmp_path / f"{name}.json" for name in content]
    for path, value in zip(paths, content.values(), strict=True):
        path.write_text(json.dumps(value))
    return paths


def command(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "train_utils.report", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def rewrite(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


class Tags(HTMLParser):
    """Every start tag with its attributes, and the ids."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_command_writes_page_table_and_pictures(files, tmp_path):
    done = command(*files, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.html", "table.md", "result.png", "ndcg.png", "hr_at_k.png", "by_history.png", "by_popularity.png"
    }  # fmt: skip
    assert "against item-knn" in done.stdout
    assert "NDCG@10" in (tmp_path / "out" / "table.md").read_text()


def test_two_runs_write_the_same_bytes(files, tmp_path):
    for folder in ("a", "b"):
        write_report(load_result_set(files), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_page_fetches_nothing_and_runs_nothing(files, tmp_path):
    page = write_report(load_result_set(files), tmp_path / "out").read_text()
    tags = Tags(page).found
    assert not {"script", "img", "link", "iframe", "object", "image"} & {tag for tag, _ in tags}
    attributes = [pair for _, attributes in tags for pair in attributes.items()]
    assert all(value.startswith("#") for key, value in attributes if key.split(":")[-1] in ("href", "src"))
    assert not re.search(r"url\((?!#)|@import", page)
    assert not [key for key, _ in attributes if key.startswith("on")]


def test_titles_and_completions_are_escaped_and_shown_as_they_are(files, tmp_path):
    page = write_report(load_result_set(files), tmp_path / "out").read_text()
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x^2$" in page


def test_a_system_may_have_any_name(files, tmp_path):
    evil = files[1].with_name("a $b$ <i>&.json")
    files[1].rename(evil)
    page = write_report(load_result_set([files[0], evil]), tmp_path / "out").read_text()
    assert "<i>" not in page and "a $b$ &lt;i&gt;&amp;" in page


def test_the_page_can_be_read_aloud_and_ids_are_unique(files, tmp_path):
    tags = Tags(write_report(load_result_set(files), tmp_path / "out").read_text()).found
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    assert all(attributes["role"] == "img" and attributes["aria-label"] for tag, attributes in tags if tag == "svg")
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [attributes["lang"] for tag, attributes in tags if tag == "html"] == ["en"]


def test_marks_stand_where_the_adjusted_p_is_small_and_nowhere_else(files):
    result_set = load_result_set(files)
    for row in report_rows(result_set):
        for one in result_set.comparisons.get(row["model"], ()):
            expected = "‡" if one.p_holm < 0.01 else "†" if one.p_holm < 0.05 else ""
            assert row[f"{one.metric}_mark"] == expected
    marks = {row["model"]: row.get("ndcg@10_mark", "") for row in report_rows(result_set)}
    assert marks == {"RecLM-cgen": "‡", "item-knn": "", "popularity": ""}


def test_the_base_is_the_best_baseline_or_the_one_asked_for(files):
    result_set = load_result_set(files)
    assert result_set.base == "item-knn" and set(result_set.comparisons) == {"RecLM-cgen", "popularity"}
    assert choose_base(result_set.results, "popularity") == "popularity"
    assert load_result_set(files[:1]).base == "RecLM-cgen"


def test_one_result_alone_is_a_report(files, tmp_path):
    page = write_report(load_result_set(files[:1]), tmp_path / "out").read_text()
    assert "1 system, 30 users" in page and "Against" not in page


def test_buckets_cover_every_user_and_keep_cold_targets_apart(files):
    result_set = load_result_set(files)
    assert [(group.label, group.n) for group in result_set.by_popularity["RecLM-cgen"]] == [
        ("cold: no events", N_USERS)
    ]
    assert len(result_set.by_history["RecLM-cgen"]) == 4
    assert sum(group.n for group in result_set.by_history["RecLM-cgen"]) == N_USERS


def test_quarters_of_equal_values_are_one():
    assert quarters(range(1, 101)) == [26, 51, 76]
    assert quarters([3, 3, 3]) == [3]
    assert quarters([]) == []


def test_near_titles_have_columns_and_a_note_where_a_model_was_free(files, tmp_path):
    write_report(load_result_set(files), tmp_path / "held")
    rewrite(files[0], lambda value: value["metrics"].update({"near_ood@10": {"mean": 0.25, "ci": [0.2, 0.3]}}))
    write_report(load_result_set(files), tmp_path / "free")
    pages = {name: (tmp_path / name / "index.html").read_text() for name in ("held", "free")}
    for text in ("OOD near", "Near: where nothing constrains"):
        assert text in pages["free"] and text not in pages["held"]


def test_an_example_marks_the_hit_and_tells_its_place(files):
    shown = example(load_result_set(files), "u1")
    assert shown["found"] == "RecLM-cgen at 2"
    assert shown["history"] == ["Film 1", "Film 2"] and shown["target"] == EVIL
    assert [item["hit"] for item in shown["lists"][0]["items"]].index(True) == 1


def test_without_the_dataset_folder_ids_stand_for_titles(files, dataset, tmp_path):
    dataset.rename(tmp_path / "elsewhere")
    result_set = load_result_set(files)
    assert example(result_set, "u1")["target"] == "0"
    assert "not there" in write_report(result_set, tmp_path / "out").read_text()
    assert load_result_set(files, data_path=str(tmp_path / "elsewhere")).by_history


def test_another_state_of_the_dataset_is_refused(files, dataset):
    rewrite(files[1], lambda value: value["manifest"]["inputs"].update({str(dataset / "metas.jsonl"): "0" * 64}))
    with pytest.raises(ValueError, match="not the file that the results were made from"):
        load_result_set(files[1:2])


def test_a_title_that_the_catalog_lacks_is_told(files, tmp_path):
    rewrite(files[0], lambda value: [row["items"].__setitem__(9, None) for row in value["users"]])
    assert "(not in the catalog)" in write_report(load_result_set(files), tmp_path / "out").read_text()
    titles = [*[{"text": "Film"}] * 9, {"text": "<b>Nothing"}]
    rewrite(files[0], lambda value: [row.update(titles=titles) for row in value["users"]])
    assert "&lt;b&gt;Nothing (not in the catalog)" in write_report(load_result_set(files), tmp_path / "out").read_text()


def test_the_time_beside_a_result_is_told(files):
    files[0].with_suffix(".timing.json").write_text('{"seconds": 3, "lists": 30, "machine": "two cores"}')
    files[1].with_suffix(".timing.json").write_text('{"seconds": ')  # cut off: the report goes without
    assert load_result_set(files).timings == {"RecLM-cgen": Timing(3.0, 30, "two cores")}


@pytest.mark.parametrize("change", [
    lambda value: value["users"].pop(),
    lambda value: value["users"][0].update(target="1"),
    lambda value: value["manifest"]["config"].update(hide_seen="all"),
    lambda value: value["manifest"]["config"].update(data_path="other"),
], ids=["users", "targets", "hide_seen", "dataset"])  # fmt: skip
def test_results_that_cannot_be_compared_are_refused(files, change):
    rewrite(files[0], change)
    with pytest.raises(ValueError, match="RecLM-cgen against item-knn"):
        load_result_set(files)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"manifest": 1, "metrics": {}, "users": []}'])
def test_what_is_no_result_is_one_line_and_status_2(tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    done = command(path, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and str(path) in done.stderr
    assert not (tmp_path / "out").exists()


def test_two_results_of_one_name_and_an_unknown_base_are_refused(files):
    with pytest.raises(ValueError, match="two results are named"):
        load_result_set([files[0], files[0]])
    with pytest.raises(ValueError, match="`base` is 'nobody'"):
        load_result_set(files, "nobody")


def test_a_default_result_file_is_named_after_its_folder(files, tmp_path):
    path = tmp_path / "bert4rec" / "SFTTestSeqRec_films_top10.json"
    path.parent.mkdir()
    files[1].rename(path)
    assert list(load_result_set([files[0], path]).results) == ["RecLM-cgen", "bert4rec"]


def test_runs_of_several_seeds_are_told_by_mean_and_deviation(tmp_path, dataset, capsys, monkeypatch):
    paths = []
    for seed, hit in enumerate((1, 2, None)):
        (tmp_path / str(seed)).mkdir()
        paths.append(tmp_path / str(seed) / "same_name.json")
        paths[-1].write_text(json.dumps(result(dataset, lambda u, hit=hit: hit, seed=seed)))
    monkeypatch.setattr("sys.argv", ["report", *map(str, paths), "--seeds"])
    main()
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["HR@10"] == [".667", ".577", "3"] and lines["HR@1"] == [".333", ".577", "3"]
