"""The default format: each diagnostic with its source, its evidence and its remedy."""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.diagnostic import Diagnostic, Location, Span, TrailStep
from rnnlint.reporting.layout import cropped, printable, width_of, wrapped
from rnnlint.reporting.report import Report, excerpt_key, place
from rnnlint.reporting.style import Style

_NARROWEST = 20
"""Source is cropped to no less than this, however narrow the terminal is."""


def render(report: Report, style: Style) -> str:
    """Render `report` for people."""
    blocks = ["\n".join(_block(diagnostic, report, style)) for diagnostic in report.diagnostics]
    return "".join(block + "\n\n" for block in blocks)


def _block(diagnostic: Diagnostic, report: Report, style: Style) -> Iterator[str]:
    gutter = _gutter_width(diagnostic)
    yield from _headline(diagnostic, style)
    yield from _heading(diagnostic, gutter, style)
    yield from _snippet(diagnostic, report, gutter, style)
    for number, step in enumerate(diagnostic.trail, start=1):
        yield from _step(number, step, report, gutter, style)
    remedy = diagnostic.help or (diagnostic.fix.message if diagnostic.fix else "")
    if remedy:
        yield from _help(remedy, gutter, style)


def _headline(diagnostic: Diagnostic, style: Style) -> Iterator[str]:
    label = f"{diagnostic.level.value}[{diagnostic.code}]"
    head = f"{label}: "
    lines = wrapped(head + diagnostic.message, style.width, indent=4)
    yield style.level(label, diagnostic.level) + style.strong(lines[0][len(label) :])
    for line in lines[1:]:
        yield style.strong(line)


def _heading(diagnostic: Diagnostic, gutter: int, style: Style) -> Iterator[str]:
    """Yield the place, which is never broken, so that terminals and editors can open it."""
    arrow = " " * gutter + "--> "
    where = printable(place(diagnostic.span))
    painted = style.gutter(arrow) + style.place(where)
    name = f"({diagnostic.name})"
    if width_of(f"{arrow}{where} {name}") <= style.width:
        yield f"{painted} {style.faint(name)}"
    else:
        yield painted
        yield " " * len(arrow) + style.faint(name)


def _snippet(diagnostic: Diagnostic, report: Report, gutter: int, style: Style) -> Iterator[str]:
    """Yield the line of the diagnostic between its neighbours, with carets below it."""
    span = diagnostic.span
    lines = report.excerpts.get(excerpt_key(span), {})
    row = span.location.row
    if row not in lines:
        return
    bar = _bar(gutter, style)
    yield bar
    if lines.get(row - 1, "").strip():
        yield _source_line(row - 1, lines[row - 1], gutter, style)
    shown, underline = _underlined(span, lines[row], gutter, style)
    yield _numbered(row, shown, gutter, style)
    yield f"{bar} {style.level(underline.replace('-', '^'), diagnostic.level)}"
    if lines.get(row + 1, "").strip():
        yield _source_line(row + 1, lines[row + 1], gutter, style)
    yield bar


def _step(number: int, step: TrailStep, report: Report, gutter: int, style: Style) -> Iterator[str]:
    """Yield one numbered place of the trail with its source line."""
    pad, label = " " * (gutter + 1), f"{number}. "
    where = printable(place(step.span))
    room = style.width - len(pad)
    lines = wrapped(f"{label}{where} {step.message}", room, indent=len(label))
    # A path with spaces may be broken at one of them; then it stays unpainted.
    first = lines[0].removeprefix(label)
    if first.startswith(where):
        first = style.place(where) + first.removeprefix(where)
    yield pad + style.strong(label) + first
    for line in lines[1:]:
        yield pad + line
    row = step.span.location.row
    source = report.excerpts.get(excerpt_key(step.span), {})
    if row in source:
        shown, underline = _underlined(step.span, source[row], gutter, style)
        yield _numbered(row, shown, gutter, style)
        yield f"{_bar(gutter, style)} {style.evidence(underline)}"


def _help(remedy: str, gutter: int, style: Style) -> Iterator[str]:
    label = "help: "
    pad = " " * (gutter + 1)
    lines = wrapped(label + remedy, style.width - len(pad), indent=len(label))
    yield pad + style.remedy(label.rstrip()) + lines[0][len(label) - 1 :]
    for line in lines[1:]:
        yield pad + line


def _underlined(span: Span, line: str, gutter: int, style: Style) -> tuple[str, str]:
    """Return the line as it is shown, and the dashes that underline the span in it."""
    line = line.rstrip()
    start = min(span.location.column - 1, len(line))
    goes_on = span.end_location.row > span.location.row
    end = len(line) if goes_on else min(span.end_location.column - 1, len(line))
    shown, first, last = cropped(line, start, max(start, end), _source_width(gutter, style))
    return shown, " " * first + "-" * (last - first)


def _source_line(row: int, line: str, gutter: int, style: Style) -> str:
    shown, _, _ = cropped(line.rstrip(), 0, 0, _source_width(gutter, style))
    return _numbered(row, style.faint(shown), gutter, style)


def _numbered(row: int, shown: str, gutter: int, style: Style) -> str:
    return f"{style.gutter(f'{row:>{gutter}} |')} {shown}".rstrip()


def _bar(gutter: int, style: Style) -> str:
    return style.gutter(" " * gutter + " |")


def _source_width(gutter: int, style: Style) -> int:
    return max(_NARROWEST, style.width - gutter - len(" | "))


def _gutter_width(diagnostic: Diagnostic) -> int:
    places: list[Location] = [diagnostic.span.location]
    places += [step.span.location for step in diagnostic.trail]
    return len(str(max(location.row for location in places) + 1))
