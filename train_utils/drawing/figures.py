"""Figures as PNG files on white, and as SVG that takes its colors from the surrounding page."""

import io
import re
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.typing import RcKeyType

from train_utils.files.atomic import replacing

ACCENT, INK, GREY, QUIET = "#1b7fb3", "#1f2933", "#66727f", "#c3cad1"
THEME = {ACCENT: "var(--accent)", INK: "var(--ink)", GREY: "var(--grey)", QUIET: "var(--quiet)"}
# Names are shown literally ("$" starts no formula). SVG text stays text, and SVG ids are reproducible.
STYLE: dict[RcKeyType, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 10.5,
}
WIDTH = 5.2  # inches: two charts side by side on a desktop, one below the other on a phone


@rc_context(STYLE)
def save_png(figure: Figure, path: str | Path) -> None:
    """Write the figure as a PNG, atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", dpi=160, metadata={"Software": None})


@rc_context(STYLE)
def inline_svg(figure: Figure, name: str, description: str) -> str:
    """Render the figure as an SVG element for a page that defines the variables of THEME.

    Args:
        figure: the figure.
        name: prefix of the element's ids, unique on the page.
        description: text for screen readers.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue().decode("utf-8")
    text = re.sub(r"^.*?<svg.*?>|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in THEME.items():
        text = text.replace(color, variable)
    text = re.sub(r"font(: [^;\"]*?) '?DejaVu Sans'?[^;\"]*", r"font\1 system-ui, sans-serif", text)
    width, height = (72 * inches for inches in figure.get_size_inches())
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(description)}">{text}'


def make_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.05)
    return Figure(figsize=(width, height), layout=layout)


def plain_axes(ax: Axes, title: str, key: str) -> None:
    """Style the axes: faint horizontal grid lines, the title on top, the name of x below."""
    ax.grid(axis="y", color=QUIET, linewidth=0.6, alpha=0.6, zorder=0)
    ax.set_title(title, loc="left", fontsize=10.5, color=GREY)
    ax.set_xlabel(key, color=GREY)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    ax.tick_params(left=False, bottom=False, colors=GREY)
