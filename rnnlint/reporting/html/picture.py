"""A training loop drawn: data goes in, gradients come back, and the next batch follows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from rnnlint.diagnostic import Diagnostic, Stage
from rnnlint.reporting.html.elements import element, text
from rnnlint.reporting.html.standing import Station
from rnnlint.reporting.layout import counted
from rnnlint.reporting.report import place

TITLES = {
    Stage.DATA: "data",
    Stage.BATCH: "batch",
    Stage.LAYERS: "layers",
    Stage.LOSS: "loss",
    Stage.CLEAR: "clear gradients",
    Stage.BACKWARD: "backward",
    Stage.CLIP: "clip",
    Stage.STEP: "step",
    Stage.SCHEDULE: "schedule",
}
_WIDTH, _HEIGHT = 184, 74
_LONGEST = 24
"""The characters of a name or place that a box holds."""


class _Layout(msgspec.Struct, frozen=True):
    """Where the boxes stand, in the order of the stages, and the ways between them."""

    name: str
    width: int
    height: int
    corners: tuple[tuple[int, int], ...]
    back: str
    """The way from the last stage to the next batch."""


_COLUMNS = tuple(8 + 222 * column for column in range(5))
_WIDE = _Layout(
    "wide",
    1088,
    232,
    (*((x, 8) for x in _COLUMNS), *((x, 150) for x in _COLUMNS[:0:-1])),
    f"M {_COLUMNS[1] + _WIDTH // 2} 150 V {8 + _HEIGHT}",
)
_TALL = _Layout(
    "tall",
    256,
    9 * 104,
    tuple((58, 8 + 104 * row) for row in range(9)),
    f"M 58 {8 + 104 * 8 + _HEIGHT // 2} H 22 V {8 + 104 + _HEIGHT // 2} H 58",
)


def picture(stations: Sequence[Station], findings: Sequence[Diagnostic], number: int) -> str:
    """Draw the stages of one training loop, once for wide screens and once for narrow ones."""
    return _drawn(stations, findings, number, _WIDE) + _drawn(stations, findings, number, _TALL)


def _drawn(
    stations: Sequence[Station], findings: Sequence[Diagnostic], number: int, layout: _Layout
) -> str:
    head = f"arrow-{layout.name}-{number}"
    marker = element(
        "marker",
        element("path", d="M 0 0 L 8 4 L 0 8 z"),
        id=head,
        viewBox="0 0 8 8",
        refX="7",
        refY="4",
        markerWidth="8",
        markerHeight="8",
        orient="auto-start-reverse",
    )
    ways = [*_ways(layout.corners), layout.back]
    arrows = "".join(
        element("path", class_="way", d=way, marker_end=f"url(#{head})") for way in ways
    )
    boxes = "".join(
        _box(station, findings, number, corner)
        for station, corner in zip(stations, layout.corners, strict=True)
    )
    return element(
        "svg",
        element("defs", marker),
        arrows,
        boxes,
        class_=f"flow {layout.name}",
        viewBox=f"0 0 {layout.width} {layout.height}",
        role="group",
        aria_label="The stages of this training loop",
    )


def _ways(corners: Sequence[tuple[int, int]]) -> list[str]:
    """The arrows from each box to the next, whichever way that lies."""
    ways = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        middle = _HEIGHT // 2
        if next_y == y and next_x > x:
            ways.append(f"M {x + _WIDTH} {y + middle} H {next_x}")
        elif next_y == y:
            ways.append(f"M {x} {y + middle} H {next_x + _WIDTH}")
        else:
            ways.append(f"M {x + _WIDTH // 2} {y + _HEIGHT} V {next_y}")
    return ways


def _box(
    station: Station, findings: Sequence[Diagnostic], number: int, corner: tuple[int, int]
) -> str:
    x, y = corner
    worst = [findings[rank].level for rank in station.found]
    state = "missing" if station.is_missing else "seen" if station.stops else "unseen"
    level = min(worst, key=lambda one: one.rank).value if worst else ""
    words = [(TITLES[station.stage], "title"), (_what(station), "what"), (_where(station), "where")]
    shown = [(each, kind) for each, kind in words if each]
    lines = [
        element("text", text(each), class_=kind, x=str(x + 12), y=str(y + 21 + 20 * row))
        for row, (each, kind) in enumerate(shown)
    ]
    frame = element("rect", x=str(x), y=str(y), width=str(_WIDTH), height=str(_HEIGHT), rx="8")
    badge = _badge(len(worst), level, x, y) if worst else ""
    spoken = ", ".join(each for each, _ in shown)
    if worst:
        spoken += f", {counted(len(worst), 'finding')}"
    target = (
        f"#finding-{station.found[0] + 1}" if worst else f"#flow-{number}-{station.stage.value}"
    )
    return element(
        "a", element("title", text(spoken)), frame, *lines, badge, href=target,
        aria_label=spoken, class_=f"box {state} {level}".rstrip(),
    )  # fmt: skip


def _badge(count: int, level: str, x: int, y: int) -> str:
    centre = x + _WIDTH - 16
    circle = element("circle", cx=str(centre), cy=str(y + 16), r="10", class_=level)
    return circle + element(
        "text", str(count), class_="count", x=str(centre), y=str(y + 20), text_anchor="middle"
    )


def _what(station: Station) -> str:
    if not station.stops:
        return station.absence
    names = list(dict.fromkeys(stop.name for stop in station.stops))
    if names == [TITLES[station.stage]] or names == ["loop"]:
        return ""
    return _cropped(", ".join(names))


def _where(station: Station) -> str:
    if not station.stops:
        return ""
    more = len({stop.span for stop in station.stops}) - 1
    words = place(station.stops[0].span).rpartition(":")[0]
    rest = f" +{more}" if more else ""
    room = _LONGEST - len(rest)
    if len(words) > room:
        words = words[1 - room :]
        words = "\N{HORIZONTAL ELLIPSIS}" + words[max(words.find("/"), 0) :]
    return words + rest


def _cropped(words: str) -> str:
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
