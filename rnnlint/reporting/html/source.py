"""Source lines, with what is meant marked, and repairs as lines that go and come."""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.diagnostic import Fix, Span
from rnnlint.reporting.html.elements import element, text
from rnnlint.reporting.hunks import Hunk, hunks
from rnnlint.reporting.report import Report, excerpt_key

_MOST_ROWS = 8
"""The rows of a span that are shown."""


def excerpt(span: Span, report: Report) -> str:
    """The lines of a place with their neighbours; nothing where they are not known."""
    rows = report.excerpts.get(excerpt_key(span), {})
    first, last = span.location.row, span.end_location.row
    last = min(last, first + _MOST_ROWS - 1)
    if first not in rows:
        return ""
    shown = {number: rows[number] for number in range(first - 1, last + 2) if number in rows}
    # What all of them are indented by would only push them off a narrow screen.
    indent = min((_indent(line) for line in shown.values() if line.strip()), default=0)
    written = [
        _row(number, line, _marked(span, number, len(line)), indent)
        for number, line in shown.items()
    ]
    return element("pre", "".join(written), class_="source", tabindex="0")


def repair(fix: Fix, report: Report) -> str:
    """The lines that a repair changes, file by file."""
    return "".join(_hunk(hunk) for hunk in hunks(fix, report))


def _marked(span: Span, row: int, length: int) -> tuple[int, int] | None:
    """The stretch of a row, from 0, that a span covers."""
    if not span.location.row <= row <= span.end_location.row:
        return None
    start = span.location.column - 1 if row == span.location.row else 0
    end = span.end_location.column - 1 if row == span.end_location.row else length
    return start, max(end, start)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _row(number: int, line: str, marked: tuple[int, int] | None, cut: int) -> str:
    content = text(line[cut:])
    if marked is not None:
        start, end = max(marked[0], _indent(line)), marked[1]
        content = text(line[cut:start]) + element("mark", text(line[start:end])) + text(line[end:])
    kind = "row" if marked is None else "row meant"
    return element("span", _number(number), element("code", content), class_=kind) + "\n"


def _number(number: int | None) -> str:
    return element("span", "" if number is None else str(number), class_="number")


def _hunk(hunk: Hunk) -> str:
    lines = "".join(
        element("span", _number(number), element("code", f"{sign} {text(line)}"), class_=kind)
        + "\n"
        for kind, sign, number, line in _changes(hunk)
    )
    file = element("figcaption", text(f"{hunk.file}:{hunk.row}"))
    return element("figure", file, element("pre", lines, class_="source", tabindex="0"))


def _changes(hunk: Hunk) -> Iterator[tuple[str, str, int | None, str]]:
    if hunk.before is not None:
        yield "row", " ", hunk.row - 1, hunk.before
    for number, line in enumerate(hunk.removed, start=hunk.row):
        yield "row removed", "-", number, line
    for number, line in enumerate(hunk.added, start=hunk.new_row):
        yield "row added", "+", number, line
    if hunk.after is not None:
        yield "row", " ", hunk.new_row + len(hunk.added), hunk.after
