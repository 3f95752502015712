"""Tables of result rows, for a terminal and in Markdown. Formats numbers; computes none.

A row is a mapping: "model" (str), metrics ("ndcg@10", "short", ...: floats), and for a metric its 95 % interval
("ndcg@10_ci": [low, high]) and its mark of significance ("ndcg@10_mark": str). A missing value is shown as a dash; a
missing interval or mark is omitted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from train_utils.printable import markdown, one_line
from train_utils.report.significance import Comparison, Spread

Row = Mapping[str, Any]

HEADINGS = {
    "model": "Model",
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "ood@10": "OOD@10",
    "repeat@10": "Repeat@10",
    "short": "Short lists",
}
ALL_HEADINGS = {
    "model": "Model",
    "hr@1": "HR@1",
    "hr@5": "HR@5",
    "hr@10": "HR@10",
    "ndcg@5": "NDCG@5",
    "ndcg@10": "NDCG@10",
    "mrr@10": "MRR@10",
    "ood@10": "OOD",
    "near_hr@10": "HR@10 near",
    "near_ood@10": "OOD near",
    "repeat@10": "Repeat",
    "short": "Short",
    "coverage@10": "Coverage",
    "novelty@10": "Novelty",
    "diversity@10": "Diversity",
}
ALWAYS = frozenset(HEADINGS)  # columns that are shown even if no row has them
HIGHLIGHT = "RecLM"


def headings(rows: Sequence[Row]) -> dict[str, str]:
    """Return the columns of the long table: the columns of ALWAYS, and all columns that a row has."""
    return {name: text for name, text in ALL_HEADINGS.items() if name in ALWAYS or any(name in row for row in rows)}


def markdown_table(
    rows: Sequence[Row], highlight: str | tuple[str, ...] = HIGHLIGHT, columns: Mapping[str, str] = HEADINGS
) -> str:
    """Format rows as a GitHub table in the given order; models whose name starts with `highlight` are bold."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|:--" + "|--:" * (len(columns) - 1) + "|"]
    for row in rows:
        name, *numbers = _cells(row, columns)
        cells = [markdown(name), *numbers]
        if row["model"].startswith(highlight):
            cells = [f"**{cell}**" for cell in cells]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text_table(rows: Sequence[Row], columns: Mapping[str, str] = HEADINGS) -> str:
    """Format rows in aligned columns for a terminal."""
    return aligned([columns.values(), *(_cells(row, columns) for row in rows)])


def aligned(lines: Iterable[Iterable[str]]) -> str:
    """Align cells, headings first, in columns: the first column to the left, the others to the right."""
    table = [[one_line(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def number(value: float) -> str:
    """Format a number as in printed tables, with three decimals, no leading zero and a true minus: "−.123"."""
    text = f"{abs(value):.3f}".removeprefix("0")
    return f"−{text}" if value < 0 else text


def interval(ci: Sequence[float]) -> str:
    return f"[{number(ci[0])}, {number(ci[1])}]"


def signed(value: float) -> str:
    """Format a number with its sign; see `number`."""
    return number(value) if value < 0 else f"+{number(value)}"


def p_value(p: float) -> str:
    """Format a p-value; see `number`. Values below .001 are shown as "<.001"."""
    return "<.001" if p < 0.001 else number(p)


def mark(comparison: Comparison) -> str:
    """Return the mark of significance: two daggers for an adjusted p below .01, one below .05."""
    return "‡" if comparison.p_holm < 0.01 else "†" if comparison.p_holm < 0.05 else ""


def spread_table(spreads: Mapping[str, Spread]) -> str:
    """Format mean and standard deviation of each metric over runs, for a terminal."""
    lines = [("", "mean", "deviation", "runs")]
    return aligned(
        [
            *lines,
            *(
                (ALL_HEADINGS.get(metric, metric), number(spread.mean), number(spread.std), str(spread.n))
                for metric, spread in spreads.items()
            ),
        ]
    )


def comparison_table(comparisons: Mapping[str, Sequence[Comparison]]) -> str:
    """Format one line per system and metric against the base, in aligned columns for a terminal."""
    lines = [
        (
            name,
            ALL_HEADINGS[comparison.metric],
            signed(comparison.difference),
            interval(comparison.ci),
            p_value(comparison.p),
            p_value(comparison.p_holm) + mark(comparison).ljust(1),
        )
        for name, row in comparisons.items()
        for comparison in row
    ]
    return aligned([("Model", "Metric", "Difference", "95 % interval", "p", "Holm's p "), *lines])


def _cells(row: Row, columns: Mapping[str, str]) -> list[str]:
    return [str(row["model"]), *(_measured(row, metric) for metric in list(columns)[1:])]


def _measured(row: Row, metric: str) -> str:
    if row.get(metric) is None:
        return "-"
    shown = number(row[metric]) + row.get(f"{metric}_mark", "")
    return f"{shown} {interval(row[f'{metric}_ci'])}" if f"{metric}_ci" in row else shown
