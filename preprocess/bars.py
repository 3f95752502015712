"""Bar charts as SVG that takes its colors from the page. They need no matplotlib, which takes a second."""

import math
from collections.abc import Mapping
from html import escape

_WIDTH, _HEIGHT = 374, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 6, 28, 44  # margins
_TICKS = 5  # intervals of the vertical axis, at most
_LABELS = 5  # below the bars, at most, so that they do not overlap


def bar_chart(bins: Mapping[str, int], title: str, key: str, description: str) -> str:
    """Return an SVG element with a bar per bin; of many bins some are labeled.

    Args:
        bins: name -> height, not negative, of which there are some.
        title: what the heights are.
        key: what the names are.
        description: text for screen readers.
    """
    step = tick_step(max(bins.values()))
    top = step * max(1, math.ceil(max(bins.values()) / step))
    base, scale = _HEIGHT - _BOTTOM, (_HEIGHT - _BOTTOM - _TOP) / top
    slot = (_WIDTH - _LEFT - _RIGHT) / len(bins)
    parts = [_text(0, 14, title, "start")]
    for height in range(0, top + 1, step):
        y = base - height * scale
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="var(--line)"/>')
        parts.append(_text(_LEFT - 6, y + 3.5, f"{height:,}", "end"))
    every = math.ceil(len(bins) / _LABELS)
    for number, (name, height) in enumerate(bins.items()):
        x = _LEFT + slot * number
        bar = f'x="{x + slot * 0.1:.1f}" y="{base - height * scale:.1f}" width="{slot * 0.8:.1f}"'
        parts.append(
            f'<rect {bar} height="{height * scale:.1f}" fill="var(--accent)">'
            f"<title>{escape(name)}: {height:,}</title></rect>"
        )
        if number % every == 0:
            parts.append(_text(x + slot / 2, base + 15, name, "middle"))
    parts.append(_text(_LEFT + slot * len(bins) / 2, base + 34, key, "middle"))
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(description)}" font-size="10.5">'
    return f"{head}{''.join(parts)}</svg>"


def tick_step(most: int) -> int:
    """Return the distance of the ticks of an axis from 0 to `most`: 1, 2 or 5 times a power of ten."""
    unit = 1
    while True:
        for step in (unit, 2 * unit, 5 * unit):
            if most <= step * _TICKS:
                return step
        unit *= 10


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="var(--grey)">{escape(text)}</text>'
