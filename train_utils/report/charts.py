"""Charts of results.

Few colors: our systems in the accent, the base of the comparison in ink, all others grey. Every mark has a label.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train_utils.drawing.figures import ACCENT, GREY, INK, QUIET, STYLE, WIDTH, make_figure, plain_axes, save_png
from train_utils.report.significance import Bucket
from train_utils.report.tables import ALL_HEADINGS, HIGHLIGHT, Row, number

Highlight = str | tuple[str, ...]


# -- bars: one metric of every system --------------------------------------------------------------------------------


def plot_rows(rows: Sequence[Row], path_png: str | Path, title: str, highlight: Highlight = HIGHLIGHT) -> None:
    """Write horizontal bars of HR@10 and NDCG@10 with 95 % intervals, best HR@10 on top, as a PNG.

    Args:
        rows: rows of the result table.
        path_png: PNG file to write.
        title: title of the figure.
        highlight: prefixes of the names to highlight.

    Raises:
        ValueError: there are no rows.
        OSError: the file cannot be written.
    """
    save_png(draw_bars(rows, ("hr@10", "ndcg@10"), highlight, title), path_png)


@rc_context(STYLE)
def draw_bars(rows: Sequence[Row], metrics: Sequence[str], highlight: Highlight = HIGHLIGHT, title: str = "") -> Figure:
    """Draw a panel of horizontal bars per metric, the best row of the first metric on top.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("nothing to plot: got 0 rows, wanted at least 1")
    ordered = sorted(rows, key=lambda row: row[metrics[0]])  # the last bar is drawn on top
    width = 9.6 if len(metrics) > 1 else WIDTH
    figure = make_figure(width, 0.5 + 0.7 * bool(title) + 0.4 * len(ordered))
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        _bars(ax, ordered, metric, highlight)
    axes[0].set_yticks(range(len(ordered)), [row["model"] for row in ordered])
    axes[0].tick_params(labelleft=True)
    for label, row in zip(axes[0].get_yticklabels(), ordered, strict=True):
        label.set(**_ink(row["model"], highlight))
    if title:
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
        figure.supxlabel("Lines: 95 % bootstrap interval over users", x=0.988, ha="right", fontsize=8.5, color=GREY)
    return figure


def _bars(ax: Axes, rows: Sequence[Row], metric: str, highlight: Highlight) -> None:
    """Draw one panel: a bar, its interval and its number for every row, from the bottom up."""
    tops = [row.get(f"{metric}_ci", [row[metric]] * 2)[1] for row in rows]
    limit = max(*tops, 1e-3) * 1.22  # room for the numbers on the right
    for y, row in enumerate(rows):
        ax.barh(y, row[metric], height=0.62, color=_fill(row["model"], highlight), zorder=2)
        if f"{metric}_ci" in row:
            ax.plot(row[f"{metric}_ci"], [y, y], color=INK, linewidth=1.1, zorder=3)
        label_x = tops[y] + limit * 0.018
        ax.text(label_x, y, number(row[metric]), va="center", **_ink(row["model"], highlight))
    ax.set_title(ALL_HEADINGS[metric], loc="left", fontsize=10.5, color=GREY)
    ax.set_xlim(0, limit)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)
    ax.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)


# -- curves and buckets: a metric by position in the list, or by group of users --------------------------------------


@rc_context(STYLE)
def draw_curves(curves: Mapping[str, Sequence[float]], base: str, highlight: Highlight = HIGHLIGHT) -> Figure:
    """Draw the hit rate of the first k items, k = 1, 2, ..., for every system."""
    figure = make_figure(WIDTH, 3.6)
    ax = figure.subplots()
    positions = range(1, 1 + len(next(iter(curves.values()))))
    for name, values in curves.items():
        ax.plot(positions, values, **_line(name, base, highlight))
    ax.set_xticks(positions)
    _dress(ax, "HR@k", "k, items of the list looked at", max(map(max, curves.values())))
    _label_ends(ax, {name: values[-1] for name, values in curves.items()}, positions[-1], base, highlight)
    return figure


@rc_context(STYLE)
def draw_points(
    lines: Mapping[str, Sequence[tuple[float, float]]], metric: str, key: str, levels: Mapping[str, float] | None = None
) -> Figure:
    """Draw measured points of every system, and a line through the mean of the points at each x.

    Args:
        lines: system -> (x, y) points.
        metric: name of y.
        key: name of x.
        levels: system -> y, drawn as a dashed line across.
    """
    levels = levels or {}
    figure = make_figure(WIDTH, 3.6)
    ax = figure.subplots()
    ends: dict[str, float] = {}
    for number_of_line, (name, points) in enumerate(lines.items()):
        at: dict[float, list[float]] = {}
        for x, y in points:
            at.setdefault(x, []).append(y)
        means = [sum(ys) / len(ys) for _, ys in sorted(at.items())]
        color = ACCENT if number_of_line == 0 else GREY
        ax.plot(sorted(at), means, color=color, linewidth=2.0 if number_of_line == 0 else 1.5, zorder=4)
        ax.scatter([x for x, _ in points], [y for _, y in points], s=14, color=color, zorder=5)
        ends[name] = means[-1]
    right = max(x for points in lines.values() for x, _ in points)
    for name, level in levels.items():
        ax.axhline(level, color=INK, linewidth=1.0, linestyle="--", zorder=3)
        ends[name] = level
    ax.set_xlim(0, right * 1.02)
    _dress(ax, metric, key, max([*(y for points in lines.values() for _, y in points), *levels.values()]))
    # A highlight is a prefix, and `token` is one of `token_title`: the first system's line is thicker, no name is bold.
    _label_ends(ax, ends, right, next(iter(levels), ""), ())
    return figure


@rc_context(STYLE)
def draw_buckets(systems: Mapping[str, Sequence[Bucket]], base: str, highlight: Highlight = HIGHLIGHT) -> Figure:
    """Draw a group of horizontal bars per bucket. All groups list the systems in the same order, the best on top."""
    order = sorted(systems, key=lambda name: -sum(bucket.mean * bucket.n for bucket in systems[name]))
    groups = list(zip(*(systems[name] for name in order), strict=True))
    figure = make_figure(WIDTH, 0.2 + 0.2 * len(groups) * (len(order) + 1.9))
    ax = figure.subplots()
    limit = max(bucket.ci[1] for group in groups for bucket in group) or 1e-3
    ticks = []
    for index, group in enumerate(groups):
        top = index * (len(order) + 1.9)
        ax.annotate(
            f"{group[0].label}  ({group[0].n} users)",
            (0, top - 1.05),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=10.5,
            color=GREY,
        )
        for row, (name, bucket) in enumerate(zip(order, group, strict=True)):
            ticks.append(top + row)
            ax.barh(top + row, bucket.mean, height=0.7, color=_fill(name, highlight, base), zorder=2)
            ax.plot(bucket.ci, [top + row] * 2, color=INK, linewidth=0.9, zorder=3)
            ax.text(
                bucket.ci[1] + limit * 0.015,
                top + row,
                number(bucket.mean),
                va="center",
                fontsize=9.5,
                **_ink(name, highlight, base),
            )
    ax.set_yticks(ticks, order * len(groups), fontsize=9.5)
    for label in ax.get_yticklabels():
        label.set(**_ink(label.get_text(), highlight, base))
    ax.set_ylim(ticks[-1] + 0.7, -1.8)
    ax.set_xlim(0, limit * 1.14)
    ax.spines[:].set_visible(False)
    ax.tick_params(left=False, bottom=False, labelbottom=False)
    return figure


def _fill(name: str, highlight: Highlight, base: str = "") -> str:
    """Return the color of a system's bar."""
    return ACCENT if name.startswith(highlight) else GREY if name == base else QUIET


def _ink(name: str, highlight: Highlight, base: str = "") -> dict[str, Any]:
    """Return the color and weight of a system's text."""
    if name.startswith(highlight):
        return {"color": ACCENT, "fontweight": "bold"}
    return {"color": INK if not base or name == base else GREY, "fontweight": "normal"}


def _line(name: str, base: str, highlight: Highlight) -> dict[str, Any]:
    """Return the color, width and depth of a system's line; our systems are drawn on top."""
    if name.startswith(highlight):
        return {"color": ACCENT, "linewidth": 2.0, "zorder": 6}
    color, depth = (INK, 4) if name == base else (QUIET, 2)
    return {"color": color, "linewidth": 1.5, "zorder": depth}


def _dress(ax: Axes, metric: str, key: str, top: float) -> None:
    """Style the axes: start at zero, draw three or four faint grid lines, put the metric's name on top."""
    ax.set_ylim(0, max(top, 1e-3) * 1.06)
    ax.locator_params(axis="y", nbins=4)
    ax.yaxis.set_major_formatter(lambda value, _: number(value).rstrip("0") if value else "0")
    plain_axes(ax, metric, key)


def _label_ends(ax: Axes, ends: Mapping[str, float], x: float, base: str, highlight: Highlight) -> None:
    """Write each system's name right of its last value, moved up or down where names would overlap."""
    top = ax.get_ylim()[1]
    gap = 0.066 * top  # the height of a name
    order = sorted(ends, key=lambda name: ends[name])
    heights = spread([ends[name] for name in order], gap, gap / 3, top)
    for name, height in zip(order, heights, strict=True):
        ax.annotate(
            name,
            (x, height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
            **_ink(name, highlight, base),
        )


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move sorted values so that neighbors are at least `gap` apart within low..high, or evenly spaced without room."""
    gap = min(gap, (high - low) / max(1, len(values) - 1))
    moved: list[float] = []
    for index, value in enumerate(values):
        moved.append(max(value, moved[-1] + gap if moved else low))
        room = high - gap * (len(values) - 1 - index)
        moved[-1] = min(moved[-1], room)
    return moved
