"""Report page: one self-contained HTML file, without scripts and external resources, light and dark."""

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment

from train_utils.drawing.pages import Picture
from train_utils.drawing.templates import page_environment
from train_utils.evaluation.title_matching import NEAR
from train_utils.printable import printable
from train_utils.report.charts import draw_bars, draw_buckets, draw_curves
from train_utils.report.comparison import COMPARED, ResultSet, example_users, report_rows
from train_utils.report.tables import headings, interval, mark, number, p_value, signed


def templates() -> Environment:
    """Return the environment of the pages. Texts from results and datasets are escaped."""
    pages = page_environment(Path(__file__).parent)
    pages.filters |= {
        "number": number,
        "interval": interval,
        "signed": signed,
        "p_value": p_value,
        "mark": mark,
        "pretty": lambda value: json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True),
    }
    return pages


def draw_pictures(result_set: ResultSet) -> list[Picture]:
    """Draw the charts of the page, in its order."""
    rows, base, ours = report_rows(result_set), result_set.base, result_set.ours
    pictures = [
        Picture("ndcg", "results", "NDCG@10; lines: 95 % intervals.", draw_bars(rows, ["ndcg@10"], ours)),
        Picture(
            "hr_at_k",
            "results",
            "Share of users whose next item is among the first k of the list.",
            draw_curves(result_set.curves, base, ours),
        ),
    ]
    if result_set.catalog:
        pictures += [
            Picture(
                "by_history",
                "where",
                "NDCG@10 by the number of events before the target, in quarters of the users; lines: 95 % intervals.",
                draw_buckets(result_set.by_history, base, ours),
            ),
            Picture(
                "by_popularity",
                "where",
                "NDCG@10 by the target's events in training: cold items apart, the "
                "others in quarters of their users; lines: 95 % intervals.",
                draw_buckets(result_set.by_popularity, base, ours),
            ),
        ]
    return pictures


def render_page(result_set: ResultSet, pictures: list[Picture]) -> str:
    """Render the page as HTML, without the control characters of titles, answers and settings."""
    rows = report_rows(result_set)
    page = templates().get_template("page.html.jinja")
    return printable(
        page.render(
            result_set=result_set,
            title=title_of(result_set),
            conditions=conditions_of(result_set),
            note=note_of(result_set),
            rows=rows,
            columns=headings(rows),
            compared=COMPARED,
            pictures=pictures,
            examples=[example(result_set, user) for user in example_users(result_set)],
        )
    )


def title_of(result_set: ResultSet) -> str:
    count = len(result_set.results)
    return f"{result_set.dataset}: {count} system{'s' * (count > 1)}, {result_set.n_users} users"


def conditions_of(result_set: ResultSet) -> str:
    """Describe the conditions of the test in one sentence."""
    hidden: dict[object, str] = {
        "none": "nothing consumed is hidden",
        "visible": "the history that is shown is hidden",
        "all": "everything consumed is hidden",
    }
    hide_seen = result_set.config.get("hide_seen")
    return (
        f"Dataset {result_set.dataset}, {result_set.config.get('split', 'test')} split, {result_set.n_users} users; "
        f"hide_seen {hide_seen}: {hidden.get(hide_seen, 'hidden items not recorded')}."
    )


def note_of(result_set: ResultSet) -> str:
    """Explain the marks, the brackets and the last columns of the table."""
    sentences = ["In brackets: 95 % bootstrap interval over users."]
    if result_set.comparisons:
        sentences.append(f"Against {result_set.base}: † p < .05, ‡ p < .01 (paired permutation test, Holm).")
        sentences += [stated_of(result_set)] if result_set.primary else []
    sentences.append(
        "Of the first ten items: OOD, share that the catalog does not hold; repeat, share listed before; "
        "coverage, share of the catalog that some list holds. Short: lists with fewer items than requested."
    )
    if any("near_ood@10" in result["metrics"] for result in result_set.results.values()):
        sentences.append(f"Near: where nothing constrains, titles of up to {NEAR} edits are counted as the catalog's.")
    if "novelty@10" in result_set.results[result_set.base]["metrics"]:
        sentences.append(
            "Novelty: mean self-information of the items in bits; diversity: mean over pairs of items of one "
            "minus the Jaccard index of their categories."
        )
    return " ".join(sentences)


def stated_of(result_set: ResultSet) -> str:
    """Say which comparisons were stated before the measurement."""
    names = " and ".join(result_set.primary)
    return (
        f"NDCG@10 of {names} was to be compared before anything was measured: corrected by itself, all other "
        "comparisons among themselves."
    )


def example(result_set: ResultSet, user: str) -> dict[str, object]:
    """Return one user's history, target and lists, with titles if there is a catalog."""
    rows = {name: row for name, result in result_set.results.items() for row in result["users"] if row["user"] == user}
    first = next(iter(rows.values()))
    history: list[str] = next((row["history"] for row in rows.values() if row.get("history")), [])
    ranks = {
        name: row["items"].index(first["target"]) + 1 for name, row in rows.items() if first["target"] in row["items"]
    }
    return {
        "user": user,
        "target": _title(result_set, first["target"]),
        "history": [_title(result_set, item) for item in history],
        "found": "; ".join(f"{name} at {rank}" for name, rank in ranks.items()) or "in no list",
        "lists": [
            {"system": name, "completion": row.get("completion"), "items": _shown(result_set, row)}
            for name, row in rows.items()
        ],
    }


def _shown(result_set: ResultSet, row: Mapping) -> list[dict[str, object]]:
    """Return the items of a list; the title is None for an unknown item, with the written text if recorded."""
    written = [title["text"] for title in row.get("titles", ())] or [""] * len(row["items"])
    return [
        {"title": None if item is None else _title(result_set, item), "hit": item == row["target"], "written": text}
        for item, text in zip(row["items"], written, strict=False)
    ]


def _title(result_set: ResultSet, item: str) -> str:
    catalog = result_set.catalog
    return catalog.items[catalog.index[item]].title if catalog and item in catalog.index else str(item)
