"""The study's page: seeds averaged per user, the best baseline beside, and one line for a folder that is no study."""

import json
import math

import pytest
from test_page import dataset, result  # noqa: F401 - a fixture

from train_utils.report.significance import mean_result
from train_utils.report.study import load_study, rows_of, write_study


@pytest.fixture
def folder(tmp_path, dataset):  # noqa: F811
    """Two forms, two lengths of training, three seeds of one of them, and two baselines."""
    root = tmp_path / "study"
    (root / "results").mkdir(parents=True)

    def write(name, content):
        (root / "results" / f"{name}.json").write_text(json.dumps(content))

    for form, epochs, seeds in (("token", 0.5, (0,)), ("token", 3, (0, 1, 2)), ("title_t", 3, (0,))):
        for seed in seeds:
            run = f"{form}-e{epochs}-s{seed}"
            adapter = root / run / f"Epoch{math.ceil(epochs):02d}_SFT"
            adapter.mkdir(parents=True)
            (adapter / "manifest.json").write_text("{}")
            config = {"batch_size": 4, "gradient_accumulation_steps": 2, "epoch": epochs}
            (root / run / "config.json").write_text(json.dumps({"config": config}))
            seconds = 12.0 + 1.2 * seed / epochs
            times = [json.dumps({"step": step, "seconds": seconds}) for step in range(int(5 * epochs))]
            (root / run / "times.jsonl").write_text("\n".join(times))
            for history in (10, 50):
                skipped = 2 + seed + math.ceil(epochs)
                write(f"{run}-h{history}", result(dataset, lambda u, n=skipped: 1 if u % n else None))
    write("sasrec-h10", result(dataset, lambda u: 2 if u % 4 == 0 else None, ranker="teacher"))
    write("popularity-h10", result(dataset, lambda u: None, ranker="popularity"))
    return root


def test_settings_are_compared_with_the_best_baseline_of_their_history(folder):
    study = load_study(folder)
    assert [(s.form, s.epochs, s.history, len(s.results)) for s in study.settings] == [
        ("title_t", 3, 10, 1), ("title_t", 3, 50, 1), ("token", 0.5, 10, 1), ("token", 0.5, 50, 1),
        ("token", 3, 10, 3), ("token", 3, 50, 3),
    ]  # fmt: skip
    longest = study.settings[4]
    assert longest.samples == 15 * 8 and longest.minutes == pytest.approx((180 + 186 + 192) / 180)
    assert longest.spread("ndcg@10").n == 3 and longest.spread("ndcg@10").std > 0
    assert set(study.against) == {("title_t", 3, 10), ("token", 0.5, 10), ("token", 3, 10)}
    base, compared = study.against["token", 3, 10]
    assert base == "sasrec" and compared.mean_a == pytest.approx(longest.spread("ndcg@10").mean) and compared.p < 0.01


def test_the_mean_over_seeds_is_that_of_each_user(folder):
    runs = load_study(folder).settings[4].results
    mean = mean_result(list(runs.values()), ["hr@10"])
    for at, row in enumerate(mean["users"]):
        values = [run["users"][at]["metrics"]["hr@10"] for run in runs.values()]
        assert row["metrics"]["hr@10"] == pytest.approx(sum(values) / 3)


def test_the_page_shows_every_run_and_loads_nothing(folder):
    study = load_study(folder)
    page = write_study(study, folder).read_text()
    assert page.count("<svg") == 4 and "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    table = rows_of(study)
    assert len(table) == 1 + 6 + 2 and len({len(row) for row in table}) == 1
    assert (folder / "study.md").read_text().count("\n") == len(table) + 1
    assert {path.name for path in folder.glob("*.png")} == {
        "minutes.png", "samples.png", "history.png", "popularity.png",
    }  # fmt: skip


def test_what_is_no_study_is_one_line(tmp_path, folder):
    with pytest.raises(ValueError, match="no result of a run"):
        load_study(tmp_path)
    other = json.loads((folder / "results/token-e0.5-s0-h50.json").read_text())
    other["users"] = other["users"][:9]
    (folder / "results/token-e0.5-s0-h50.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="other users cannot be compared") as error:
        load_study(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("times.jsonl", ""), ("times.jsonl", '{"seconds": "a"}'), ("times.jsonl", '{"step": 1'), ("times.jsonl", "[5]"),
        ("config.json", "{}"), ("config.json", "[1]"), ("Epoch03_SFT/manifest.json", None), ("times.jsonl", None),
    ],
)  # fmt: skip
def test_a_run_that_did_not_end_is_left_out_and_named(folder, caplog, name, content):
    path = folder / "token-e3-s1" / name
    path.unlink() if content is None else path.write_text(content)
    setting = next(s for s in load_study(folder).settings if (s.form, s.epochs, s.history) == ("token", 3, 10))
    assert sorted(setting.results) == [0, 2] and setting.minutes == pytest.approx((180 + 186 + 6) / 120)
    assert "token-e3-s1" in caplog.text
