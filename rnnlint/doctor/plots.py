"""Line plots as SVG, for a page that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from rnnlint.reporting.html.elements import element, text

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 12, 10, 34
_COLOURS = ("#0a5c8a", "#b3121d", "#8a5300", "#1a7f37", "#8250df", "#57606a")
_FEWEST = 2
_SMALLEST = 1e-45


class Series(msgspec.Struct, frozen=True):
    """A line: pairs of a place and a value, None where there is none."""

    name: str
    values: Sequence[tuple[int, float | None]]


def plot(
    title: str, series: Sequence[Series], *, logarithmic: bool = False, across: str = "step"
) -> str:
    """A plot of some lines; empty where none has two points.

    Args:
        title: what it shows, for those who do not see it.
        series: the lines.
        logarithmic: whether values are drawn by their logarithm, and those up to 0 left out.
        across: what the horizontal axis is.
    """
    lines = [(each.name, _points(each, logarithmic)) for each in series]
    lines = [(name, points) for name, points in lines if len(points) >= _FEWEST]
    if not lines:
        return ""
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points]
    low, high = min(ys), max(ys)
    if low == high:
        low, high = low - 1, high + 1
    parts = [_axes(min(xs), max(xs), low, high, logarithmic, across)]
    for number, (_, points) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(
            f"{_scaled(x, min(xs), max(xs), _LEFT, _WIDTH - _RIGHT):.1f},"
            f"{_scaled(y, low, high, _HEIGHT - _BOTTOM, _TOP):.1f}"
            for x, y in points
        )
        parts.append(
            element("polyline", points=path, fill="none", stroke=colour, stroke_width="1.5")
        )
    picture = element(
        "svg",
        element("title", text(title)),
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        width=str(_WIDTH),
    )
    return picture + _legend([name for name, _ in lines])


def _points(series: Series, logarithmic: bool) -> list[tuple[float, float]]:
    known = [(x, y) for x, y in series.values if y is not None and math.isfinite(y)]
    if logarithmic:
        return [(x, math.log10(y)) for x, y in known if y > _SMALLEST]
    return [(float(x), y) for x, y in known]


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / ((high - low) or 1) * (end - start)


def _axes(
    first: float, last: float, low: float, high: float, logarithmic: bool, across: str
) -> str:
    bottom = _HEIGHT - _BOTTOM
    line = {"stroke": "currentColor", "stroke_width": "0.5"}
    parts = [
        element("line", x1=str(_LEFT), y1=str(bottom), x2=str(_WIDTH - _RIGHT), y2=str(bottom),
                **line),
        element("line", x1=str(_LEFT), y1=str(_TOP), x2=str(_LEFT), y2=str(bottom), **line),
    ]  # fmt: skip
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        said = f"{10**value:.1e}" if logarithmic else f"{value:.3g}"
        y = _scaled(value, low, high, bottom, _TOP)
        parts.append(_words(said, _LEFT - 6, y + 4, "end"))
    parts.append(_words(f"{first:g}", _LEFT, bottom + 16, "start"))
    parts.append(_words(f"{last:g}", _WIDTH - _RIGHT, bottom + 16, "end"))
    parts.append(_words(across, (_LEFT + _WIDTH - _RIGHT) / 2, bottom + 16, "middle"))
    return "".join(parts)


def _words(words: str, x: float, y: float, anchor: str) -> str:
    return element(
        "text", text(words), x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, font_size="11",
        fill="currentColor",
    )  # fmt: skip


def _legend(names: Sequence[str]) -> str:
    if not any(names):
        return ""
    items = [
        element(
            "span",
            text(f"\N{BLACK SQUARE} {name}"),
            style=f"color:{_COLOURS[number % len(_COLOURS)]};margin-right:1rem",
        )
        for number, name in enumerate(names)
    ]
    return element("p", *items, class_="legend")
