"""One line a diagnostic, as editors and terminals recognise it."""

from __future__ import annotations

from rnnlint.diagnostic import Diagnostic
from rnnlint.reporting.layout import printable
from rnnlint.reporting.report import FIXABLE, Report, is_fixable, place
from rnnlint.reporting.style import Style


def render(report: Report, style: Style) -> str:
    """Render `report` with one line a diagnostic, never wrapped."""
    return "".join(_line(diagnostic, report, style) + "\n" for diagnostic in report.diagnostics)


def _line(diagnostic: Diagnostic, report: Report, style: Style) -> str:
    label = style.level(f"{diagnostic.level.value}[{diagnostic.code}]", diagnostic.level)
    message = printable(diagnostic.message.replace("\n", " "))
    where = style.place(printable(place(diagnostic.span)))
    if is_fixable(diagnostic, report):
        label += f" {style.remedy(FIXABLE)}"
    return f"{where}: {label} {message} {style.faint(f'({diagnostic.name})')}"
