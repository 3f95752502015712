"""Result rows -> a terminal table, a Markdown table, a picture. Formats numbers; computes none.

A row is a mapping: "model" (str), "hr@10", "ndcg@10" (floats in 0..1), "hr@10_ci", "ndcg@10_ci" (95 %
[low, high]), "ood@10", "repeat@10", "short" (rates). A value that a row lacks is shown as a dash; an interval
that it lacks is left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Row = Mapping[str, Any]

HEADINGS = {
    "model": "Model",
    "hr@10": "HR@10",
    "ndcg@10": "NDCG@10",
    "ood@10": "OOD@10",
    "repeat@10": "Repeat@10",
    "short": "Short lists",
}
HIGHLIGHT = "RecLM-cgen"

_ACCENT, _QUIET = "#1b7fb3", "#c3cad1"  # our model; everything else
_INK, _GREY = "#1f2933", "#66727f"


def markdown_table(rows: Sequence[Row], highlight: str = HIGHLIGHT) -> str:
    """GitHub table of the rows in the order given; lines of models whose name starts with `highlight` are bold."""
    lines = ["| " + " | ".join(HEADINGS.values()) + " |", "|:--" + "|--:" * (len(HEADINGS) - 1) + "|"]
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in _cells(row)]
        if row["model"].startswith(highlight):
            cells = [f"**{cell}**" for cell in cells]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text_table(rows: Sequence[Row]) -> str:
    """The same table in aligned columns for a terminal."""
    table = [list(HEADINGS.values()), *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def plot_rows(rows: Sequence[Row], path_png: str | Path, title: str, highlight: str = HIGHLIGHT) -> None:
    """Write horizontal bars of HR@10 and NDCG@10 with 95 % intervals, best HR@10 on top, as a PNG.

    The file appears whole or not at all. Raises ValueError for no rows, OSError if it cannot be written.
    """
    if not rows:
        raise ValueError("nothing to plot: got 0 rows, wanted at least 1")
    ordered = sorted(rows, key=lambda row: row["hr@10"])  # the last bar is drawn on top
    figure = Figure(figsize=(9.6, 1.7 + 0.46 * len(ordered)), dpi=160, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1, wspace=0.05)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, metric in zip(axes, ("hr@10", "ndcg@10"), strict=True):
        _draw_bars(ax, ordered, metric, highlight)
    _label_models(axes[0], ordered, highlight)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK)
    note = "Lines: 95 % bootstrap interval over users"
    figure.supxlabel(note, x=0.988, ha="right", fontsize=8.5, color=_GREY)
    _save(figure, Path(path_png))


def _draw_bars(ax: Axes, rows: Sequence[Row], metric: str, highlight: str) -> None:
    """One panel: a bar, its interval and its number for every row, from the bottom up."""
    tops = [row.get(f"{metric}_ci", [row[metric]] * 2)[1] for row in rows]
    limit = max(*tops, 1e-3) * 1.22  # room for the numbers on the right
    for place, row in enumerate(rows):
        ours = row["model"].startswith(highlight)
        ax.barh(place, row[metric], height=0.62, color=_ACCENT if ours else _QUIET, zorder=2)
        if f"{metric}_ci" in row:
            ax.plot(row[f"{metric}_ci"], [place, place], color=_INK, linewidth=1.1, zorder=3)
        ink, weight = (_ACCENT, "bold") if ours else (_INK, "normal")
        beside = tops[place] + limit * 0.018
        ax.text(beside, place, _number(row[metric]), va="center", fontsize=10, color=ink, fontweight=weight)
    ax.set_title(HEADINGS[metric], loc="left", fontsize=10.5, color=_GREY)
    ax.set_xlim(0, limit)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(_GREY)
    ax.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)


def _label_models(ax: Axes, rows: Sequence[Row], highlight: str) -> None:
    ax.set_yticks(range(len(rows)), [row["model"] for row in rows], fontsize=10.5, color=_INK)
    ax.tick_params(labelleft=True)
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        if row["model"].startswith(highlight):
            label.set(color=_ACCENT, fontweight="bold")


def _save(figure: Figure, path: Path) -> None:
    """Write the PNG beside its final name, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            figure.savefig(file, format="png", facecolor="white")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _cells(row: Row) -> list[str]:
    """The row's texts in the order of HEADINGS."""
    return [str(row["model"]), *(_measured(row, metric) for metric in list(HEADINGS)[1:])]


def _measured(row: Row, metric: str) -> str:
    value, interval = row.get(metric), row.get(f"{metric}_ci")
    if value is None:
        return "-"
    if interval is None:
        return _number(value)
    return f"{_number(value)} [{_number(interval[0])}, {_number(interval[1])}]"


def _number(value: float) -> str:
    """Three decimals without the leading zero, as such tables are printed: 0.1234 -> ".123"."""
    return f"{value:.3f}".removeprefix("0")
