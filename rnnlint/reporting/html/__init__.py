"""One HTML page that needs nothing beside itself: the findings, their evidence and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources

from rnnlint import __version__
from rnnlint.diagnostic import Level, Stage
from rnnlint.flow import Flow
from rnnlint.reporting.closing import closing
from rnnlint.reporting.html import markdown
from rnnlint.reporting.html.elements import element, text
from rnnlint.reporting.html.findings import article
from rnnlint.reporting.html.picture import TITLES, picture
from rnnlint.reporting.html.source import excerpt
from rnnlint.reporting.html.standing import Station, stations
from rnnlint.reporting.layout import counted
from rnnlint.reporting.report import FIXABLE, Report, place
from rnnlint.reporting.style import Style

_SHOWN_FLOWS = 3
"""The training loops that are drawn without being asked for."""
_ENDLESS = 1 << 30
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""A page that is told to load nothing cannot be made to by what it shows."""


def render(report: Report, style: Style) -> str:
    """Render `report` as a page; `style` has no say."""
    return document(
        "rnnlint: why training may fail",
        element("a", "To the findings", class_="skip", href="#findings"),
        _header(report),
        element("main", *_sections(report)),
        element("script", _asset("script.js")),
    )


def document(title: str, *body: str) -> str:
    """A page that has all it needs inside.

    Args:
        title: its title.
        body: what stands in it, as HTML.
    """
    head = element(
        "head",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f'<meta name="generator" content="rnnlint {__version__}">',
        element("title", text(title)),
        element("style", _asset("style.css")),
    )
    whole = element("html", head, element("body", *body), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _header(report: Report) -> str:
    counts, *rest = closing(report, Style(width=_ENDLESS)).splitlines()
    return element(
        "header",
        element("h1", "Why training may fail"),
        element("p", element("strong", text(counts)), class_="counts"),
        *(element("p", text(line.removeprefix(f"{FIXABLE} ")), class_="counts") for line in rest),
    )


def _sections(report: Report) -> Iterator[str]:
    if report.flows:
        yield _flows(report)
    yield _findings(report)
    if report.rules:
        yield _rules(report)
    if report.notices:
        items = (
            element("li", element("code", text(notice.path)), ": ", text(notice.message))
            for notice in report.notices
        )
        yield element("section", element("h2", "What could not be done"), element("ul", *items))


# --- training loops --------------------------------------------------------


def _flows(report: Report) -> str:
    """The training loops, those with the likeliest reasons for a failure first."""
    is_alone = len(report.flows) == 1
    drawn = [(flow, stations(flow, report.diagnostics, is_alone)) for flow in report.flows]
    drawn.sort(key=lambda each: min((rank for one in each[1] for rank in one.found), default=1e9))
    figures = [
        _flow(flow, way, report, number) for number, (flow, way) in enumerate(drawn, start=1)
    ]
    rest = figures[_SHOWN_FLOWS:]
    more = ""
    if rest:
        label = counted(len(rest), "more training loop")
        more = element("details", element("summary", label), *rest, class_="more")
    return element(
        "section",
        element("h2", "How it trains", id="flows"),
        element("p", *_legend(), class_="legend"),
        *figures[:_SHOWN_FLOWS],
        more,
    )


def _legend() -> Iterator[str]:
    for kind, words in (
        ("seen", "seen"),
        ("missing", "missing"),
        ("unseen", "not seen, which need not mean missing"),
    ):
        yield element("span", element("span", class_=f"key {kind}"), words)


def _flow(flow: Flow, way: Sequence[Station], report: Report, number: int) -> str:
    by = f", run by the trainer of {flow.trainer}" if flow.trainer else ""
    stops = flow.at(Stage.BACKWARD)
    where = f"The loop around {place(stops[0].span)}" if stops else "A training loop"
    rows = "".join(_table_row(station, report, number) for station in way)
    head = element("tr", *(element("th", words, scope="col") for words in ("stage", "where")))
    table = element("div", element("table", head, rows), class_="wide")
    return element(
        "figure",
        element("figcaption", text(where + by)),
        picture(way, report.diagnostics, number),
        element("details", element("summary", "Where each stage stands"), table),
        class_="loop",
    )


def _table_row(station: Station, report: Report, number: int) -> str:
    places = [
        element(
            "details",
            element("summary", element("code", text(stop.name)), " ", text(place(stop.span))),
            excerpt(stop.span, report),
        )
        for stop in station.stops
    ]
    found = [
        " " + element("a", f"finding {rank + 1}", href=f"#finding-{rank + 1}")
        for rank in station.found
    ]
    return element(
        "tr",
        element("th", TITLES[station.stage], scope="row"),
        element("td", *(places or [station.absence]), *found),
        id=f"flow-{number}-{station.stage.value}",
        tabindex="-1",
    )


# --- findings and rules ----------------------------------------------------


def _findings(report: Report) -> str:
    levels = [level for level in Level if any(d.level is level for d in report.diagnostics)]
    controls = element("p", *map(_switch, levels), class_="switches") if len(levels) > 1 else ""
    content = [
        article(diagnostic, rank, report)
        for rank, diagnostic in enumerate(report.diagnostics, start=1)
    ]
    nothing = element("p", "Nothing was found.")
    return element(
        "section",
        element("h2", "Findings, the likeliest reason first", id="findings"),
        controls,
        *(content or [nothing]),
    )


def _switch(level: Level) -> str:
    box = f'<input type="checkbox" id="show-{level.value}" checked>'
    return element("label", box, f" {level.value}")


def _rules(report: Report) -> str:
    items = [
        element(
            "details",
            element("summary", element("code", code), f" {text(page.name)}"),
            markdown.html(page.explanation),
            id=f"rule-{code}",
            class_="page",
        )
        for code, page in sorted(report.rules.items())
    ]
    return element("section", element("h2", "The rules", id="rules"), *items)
