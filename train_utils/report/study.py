"""Study of item forms: results over training time, history length and seeds -> one page.

    python -m train_utils.report.study snap/NAME/study

`scripts/study.sh` writes the folder: a run per item form, number of epochs and seed (`token-e3-s0`), and in `results`
a result file per run and history length (`token-e3-s0-h10.json`) and per baseline (`sasrec-h10.json`).
"""

import logging
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from train_utils.command import LineParser, path_of, run_cli
from train_utils.drawing.figures import save_png
from train_utils.drawing.pages import Picture
from train_utils.evaluation.result_reader import is_number
from train_utils.files.atomic import write_text
from train_utils.files.json_files import read_bounded_json, read_json_lines
from train_utils.printable import markdown, one_line
from train_utils.report.charts import draw_buckets, draw_points
from train_utils.report.comparison import catalog_of, quarters, read_results, with_events
from train_utils.report.page import templates
from train_utils.report.significance import (
    Comparison,
    Spread,
    buckets,
    check_comparable,
    compare,
    mean_result,
    target_popularity,
)
from train_utils.report.tables import aligned, number, p_value, signed

logger = logging.getLogger(__name__)
METRICS = ("ndcg@10", "hr@10")
_RUN = re.compile(r"(?P<form>\w+)-e(?P<epochs>\d{1,6}(\.\d{1,6})?)-s(?P<seed>\d{1,9})-h(?P<history>\d{1,6})", re.ASCII)
_BASELINE = re.compile(r"(?P<name>[a-z-]+)-h(?P<history>\d{1,6})", re.ASCII)
MAX_CONFIG_BYTES = 16 << 20  # a manifest with the digests of 100,000 files


@dataclass(frozen=True)
class Setting:
    """Runs that differ in their seed only, tested with one history length.

    Attributes:
        form: item form.
        epochs: epochs of training.
        history: events shown in the test.
        minutes: mean time of training.
        samples: samples of a run.
        results: seed -> content of the result file.
    """

    form: str
    epochs: float
    history: int
    minutes: float
    samples: int
    results: Mapping[int, dict]

    def values(self, metric: str) -> list[float]:
        """Return a metric's mean over users, per seed."""
        return [result["metrics"][metric]["mean"] for result in self.results.values()]

    def spread(self, metric: str) -> Spread:
        """Return the spread over the seeds; the deviation of one seed is 0."""
        values = self.values(metric)
        return Spread(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


@dataclass(frozen=True)
class Study:
    """All settings of a study, and the baselines.

    Attributes:
        settings: by form, epochs and history.
        baselines: (name, history) -> content of the result file.
    """

    settings: Sequence[Setting]
    baselines: Mapping[tuple[str, int], dict]

    @cached_property
    def against(self) -> Mapping[tuple[str, float, int], tuple[str, Comparison]]:
        """NDCG@10 of each setting, averaged over its seeds per user, against the best baseline of its history length.

        (form, epochs, history) -> (baseline, comparison), without settings of a history length that has no baseline.
        """
        table = {}
        for one in self.settings:
            if base := self.best_baseline(one.history):
                mean = mean_result(list(one.results.values()), METRICS)
                (compared,) = compare(mean, self.baselines[base, one.history], METRICS[:1])
                table[one.form, one.epochs, one.history] = (base, compared)
        return table

    @property
    def histories(self) -> list[int]:
        return sorted({setting.history for setting in self.settings})

    def longest(self, history: int) -> list[Setting]:
        """Return the setting of most epochs per form."""
        of_form = {s.form: s for s in sorted(self.settings, key=lambda s: s.epochs) if s.history == history}
        return list(of_form.values())

    def best_baseline(self, history: int) -> str | None:
        means = {name: r["metrics"]["ndcg@10"]["mean"] for (name, h), r in self.baselines.items() if h == history}
        return max(means, key=lambda name: means[name], default=None)


def load_study(folder: str | Path) -> Study:
    """Load the results of a study's folder.

    Raises:
        ValueError: there are no results of runs, a file is not a result, or results of one history length differ in
            users, targets or conditions.
    """
    folder = Path(folder)
    found = read_results(sorted((folder / "results").glob("*-h*[0-9].json"))) if (folder / "results").is_dir() else {}
    by_setting: dict[tuple[str, float, int], dict[int, tuple[str, dict]]] = {}
    baselines: dict[tuple[str, int], dict] = {}
    for name, result in found.items():
        if match := _RUN.fullmatch(name):
            key = match["form"], float(match["epochs"]), int(match["history"])
            by_setting.setdefault(key, {})[int(match["seed"])] = name.rpartition("-h")[0], result
        elif match := _BASELINE.fullmatch(name):
            baselines[match["name"], int(match["history"])] = result
    if not by_setting:
        raise ValueError(
            f"{folder}/results holds no result of a run, such as token-e3-s0-h10.json; see scripts/study.sh"
        )
    settings = [made for key in sorted(by_setting) if (made := _setting(folder, *key, by_setting[key]))]
    if not settings:
        raise ValueError(f"no run of {folder} has ended; run scripts/study.sh again")
    _check_alike(settings, baselines)
    return Study(settings, baselines)


def _setting(
    folder: Path, form: str, epochs: float, history: int, named: Mapping[int, tuple[str, dict]]
) -> Setting | None:
    """Return a setting of the seeds whose runs have ended; None if none has. `named`: seed -> name and result."""
    ended = {seed: _read_run(folder / name) for seed, (name, _) in named.items()}
    if broken := [named[seed][0] for seed, run in ended.items() if run is None]:
        logger.warning("left out, because they did not end: %s", ", ".join(broken))
    runs = {seed: run for seed, run in ended.items() if run is not None}
    if not runs:
        return None
    minutes = statistics.mean(seconds for seconds, _ in runs.values()) / 60
    samples = next(iter(runs.values()))[1]
    return Setting(form, epochs, history, minutes, samples, {seed: named[seed][1] for seed in runs})


def _read_run(run: Path) -> tuple[float, int] | None:
    """Return the seconds and the samples of a run; None if its files are missing, broken or of an unfinished run."""
    try:
        value = read_bounded_json(run / "config.json", MAX_CONFIG_BYTES)
        times = [time for _, time in read_json_lines(run / "times.jsonl")]
    except (OSError, ValueError):
        return None
    match value:
        case {"config": {"batch_size": int(size), "gradient_accumulation_steps": int(steps), "epoch": epochs}}:
            seconds: list[Any] = [time.get("seconds") if isinstance(time, dict) else None for time in times]
            right = all(is_number(n, 1, 2**20) for n in (size, steps)) and is_number(epochs, 0, 2**20)
            right = right and bool(times) and all(is_number(s, 0) for s in seconds)
            if right and (run / f"Epoch{math.ceil(epochs):02d}_SFT" / "manifest.json").is_file():
                return float(sum(seconds)), len(times) * size * steps
    return None


def _check_alike(settings: Sequence[Setting], baselines: Mapping[tuple[str, int], dict]) -> None:
    """Check that all results of a history length have the same users, targets and conditions.

    Raises:
        ValueError: two of them differ.
    """
    first: dict[int, dict] = {}
    of_runs = [(one.history, result) for one in settings for result in one.results.values()]
    for history, result in [*of_runs, *((history, result) for (_, history), result in baselines.items())]:
        check_comparable(first.setdefault(history, result), result)


def rows_of(study: Study) -> list[list[str]]:
    """Return the table of a study, headings first."""
    rows = [
        ["Form", "Epochs", "Minutes", "Samples", "History", "NDCG@10", "HR@10", "Seeds", "Against", "Difference", "p"]
    ]
    for one in study.settings:
        spreads = [one.spread(metric) for metric in METRICS]
        shown = [f"{number(s.mean)} ± {number(s.std)}" if s.n > 1 else number(s.mean) for s in spreads]
        name, compared = study.against.get((one.form, one.epochs, one.history), ("-", None))
        difference = [signed(compared.difference), p_value(compared.p)] if compared else ["-", "-"]
        rows.append(
            [one.form, f"{one.epochs:g}", f"{one.minutes:.1f}", str(one.samples), str(one.history), *shown]
            + [str(len(one.results)), name, *difference]
        )
    for (name, history), result in study.baselines.items():
        means = [number(result["metrics"][metric]["mean"]) for metric in METRICS]
        rows.append([name, "-", "-", "-", str(history), *means, "-", "-", "-", "-"])
    return rows


def draw_study(study: Study) -> list[Picture]:
    """Draw NDCG@10 over minutes, samples and history length, and by item popularity."""
    shortest = study.histories[0]
    shown = [setting for setting in study.settings if setting.history == shortest]
    base = study.best_baseline(shortest)
    level = study.baselines[base, shortest]["metrics"]["ndcg@10"]["mean"] if base else None

    def over(x: str) -> dict[str, list[tuple[float, float]]]:
        lines: dict[str, list[tuple[float, float]]] = {}
        for one in sorted(shown, key=lambda one: one.epochs):
            lines.setdefault(one.form, []).extend((getattr(one, x), value) for value in one.values("ndcg@10"))
        return lines

    tested = f"{shortest} events shown"
    levels = {base: level} if base and level is not None else {}
    pictures = [
        Picture(
            "minutes",
            "curves",
            f"NDCG@10 over the minutes of training; {tested}; a dot per seed.",
            draw_points(over("minutes"), "NDCG@10", "minutes of training", levels),
        ),
        Picture(
            "samples",
            "curves",
            f"NDCG@10 over the samples of training; {tested}.",
            draw_points(over("samples"), "NDCG@10", "samples", levels),
        ),
    ]
    if len(study.histories) > 1:
        by_history: dict[str, list[tuple[float, float]]] = {}
        for history in study.histories:
            for one in study.longest(history):
                points = by_history.setdefault(one.form, [])
                points += [(float(history), value) for value in one.values("ndcg@10")]
            if name := study.best_baseline(history):
                mean = study.baselines[name, history]["metrics"]["ndcg@10"]["mean"]
                by_history.setdefault(name, []).append((float(history), mean))
        pictures.append(
            Picture(
                "history",
                "curves",
                "NDCG@10 over the events shown in the test, of the longest training.",
                draw_points(by_history, "NDCG@10", "events shown"),
            )
        )
    return pictures + _popularity(study, shortest, base)


def _popularity(study: Study, history: int, base: str | None) -> list[Picture]:
    """Draw the longest training of each form by the target's popularity; nothing without the dataset's folder."""
    systems = {one.form: mean_result(list(one.results.values()), METRICS) for one in study.longest(history)}
    if base:
        systems[base] = study.baselines[base, history]
    first = next(iter(study.settings[0].results.values()))
    catalog = catalog_of(first, "")
    if catalog is None:
        return []
    events = target_popularity(catalog, first)
    edges = sorted({1, *quarters([n for n in events.values() if n])})
    grouped = {name: with_events(buckets(result, events, edges, "ndcg@10")) for name, result in systems.items()}
    caption = "NDCG@10 by the target's events in training, of the longest training; lines: 95 % intervals."
    return [Picture("popularity", "curves", caption, draw_buckets(grouped, base or ""))]


def write_study(study: Study, folder: str | Path) -> Path:
    """Write study.html, study.md and the charts (.png) into a folder, and return the path of the page."""
    folder, pictures, rows = Path(folder), draw_study(study), rows_of(study)
    for picture in pictures:
        save_png(picture.figure, folder / f"{picture.name}.png")
    lines = ["| " + " | ".join(map(markdown, row)) + " |" for row in rows]
    write_text(
        folder / "study.md", "\n".join([lines[0], "|:--" + "|--:" * (len(rows[0]) - 1) + "|", *lines[1:]]) + "\n"
    )
    first = next(iter(study.settings[0].results.values()))
    name = one_line(Path(str(first["manifest"]["config"].get("data_path", ""))).name, 80)
    page = templates().get_template("study.html.jinja")
    title = f"{name}: item forms over training time"
    conditions = f"{len(first['users'])} users; hide_seen {first['manifest']['config'].get('hide_seen')}."
    html = page.render(title=title, conditions=conditions, rows=rows, pictures=pictures)
    write_text(folder / "study.html", html)
    return folder / "study.html"


def main() -> None:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=path_of, help="folder of the study, which gets the page")
    options = parser.parse_args()
    study = load_study(options.folder)
    page = write_study(study, options.folder)
    print(f"{aligned(rows_of(study))}\n{page}")


if __name__ == "__main__":
    run_cli(main)
