"""The default format: each diagnostic with its source, its evidence and its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnlint.diagnostic import Applicability, Diagnostic, Fix, Location, Span, TrailStep
from rnnlint.reporting.hunks import Hunk, differing, hunks
from rnnlint.reporting.layout import ELLIPSIS, cropped, labelled, printable, width_of, wrapped
from rnnlint.reporting.report import FIXABLE, Report, excerpt_key, file_or_cell, is_fixable, place
from rnnlint.reporting.style import Style

_NARROWEST = 20
"""Source is cropped to no less than this, however narrow the terminal is."""
_LONGEST_FIX = 12
"""The lines of a repair that are shown beside the finding."""


def render(report: Report, style: Style) -> str:
    """Render `report` for people."""
    blocks = ["\n".join(_block(diagnostic, report, style)) for diagnostic in report.diagnostics]
    return "".join(block + "\n\n" for block in blocks)


def _block(diagnostic: Diagnostic, report: Report, style: Style) -> Iterator[str]:
    changed = hunks(diagnostic.fix, report) if diagnostic.fix is not None else []
    gutter = _gutter_width(diagnostic, changed)
    yield from _headline(diagnostic, is_fixable(diagnostic, report), style)
    yield from _heading(diagnostic, gutter, style)
    yield from _snippet(diagnostic, report, gutter, style)
    for number, step in enumerate(diagnostic.trail, start=1):
        yield from _step(number, step, report, gutter, style)
    if diagnostic.help:
        yield from _labelled("help: ", diagnostic.help, gutter, style)
    if diagnostic.fix is not None:
        yield from _fix(diagnostic, diagnostic.fix, changed, gutter, style)


def _headline(diagnostic: Diagnostic, fixable: bool, style: Style) -> Iterator[str]:
    label = f"{diagnostic.level.value}[{diagnostic.code}]"
    mark = f" {FIXABLE}" if fixable else ""
    lines = wrapped(f"{label}{mark}: {diagnostic.message}", style.width, indent=4)
    rest = lines[0][len(label) + len(mark) :]
    yield style.level(label, diagnostic.level) + style.remedy(mark) + style.strong(rest)
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


def _fix(
    diagnostic: Diagnostic, fix: Fix, changed: Sequence[Hunk], gutter: int, style: Style
) -> Iterator[str]:
    """Yield what a repair does, and the lines that it changes if they are few."""
    label = "fix: " if fix.applicability is Applicability.SAFE else "unsafe fix: "
    count = sum(len(hunk.removed) + len(hunk.added) for hunk in changed)
    if count > _LONGEST_FIX:
        message = f"{fix.message} ({count} lines, which --diff shows)"
        yield from _labelled(label, message, gutter, style)
        return
    yield from _labelled(label, fix.message, gutter, style)
    file = file_or_cell(diagnostic.span.path, diagnostic.span.cell)
    for hunk in sorted(changed, key=lambda hunk: hunk.file != file):
        if hunk.file != file:
            file = hunk.file
            where = printable(f"{file}:{hunk.new_row}")
            yield style.gutter(" " * gutter + "--> ") + style.place(where)
        yield from _hunk(hunk, gutter, style)


def _hunk(hunk: Hunk, gutter: int, style: Style) -> Iterator[str]:
    room = max(_NARROWEST, style.width - gutter - len(" - "))
    left = _column_shown_first(hunk, room)
    if not hunk.removed and hunk.before and hunk.before.strip():
        yield _source_line(hunk.new_row - 1, hunk.before, gutter, style)
    for row, line in enumerate(hunk.removed, start=hunk.row):
        yield style.removed(f"{row:>{gutter}} - {_from_column(line, left, room)}".rstrip())
    for row, line in enumerate(hunk.added, start=hunk.new_row):
        yield style.added(f"{row:>{gutter}} + {_from_column(line, left, room)}".rstrip())
    if not hunk.removed and hunk.after and hunk.after.strip():
        yield _source_line(hunk.new_row + len(hunk.added), hunk.after, gutter, style)


def _column_shown_first(hunk: Hunk, room: int) -> int:
    """How much of lines that are too long is left out, so that what changes in them is seen."""
    if len(hunk.removed) != len(hunk.added):
        return 0
    stretches = [differing(*pair) for pair in zip(hunk.removed, hunk.added, strict=True)]
    if all(end <= room for _, end in stretches):
        return 0
    return max(0, min(start for start, _ in stretches) - room // 2)


def _from_column(line: str, left: int, room: int) -> str:
    mark = ELLIPSIS if left else ""
    return mark + cropped(line[left:].rstrip(), 0, 0, room - len(mark))[0]


def _labelled(label: str, text: str, gutter: int, style: Style) -> Iterator[str]:
    return labelled(label, text, " " * (gutter + 1), style, indent=len(label))


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


def _gutter_width(diagnostic: Diagnostic, shown: Sequence[Hunk]) -> int:
    places: list[Location] = [diagnostic.span.location]
    places += [step.span.location for step in diagnostic.trail]
    rows = [location.row for location in places]
    rows += [hunk.new_row + len(hunk.added) for hunk in shown]
    return len(str(max(rows) + 1))
