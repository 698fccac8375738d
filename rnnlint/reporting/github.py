"""Workflow commands that GitHub Actions turns to annotations beside the code."""

from __future__ import annotations

from rnnlint.diagnostic import Diagnostic, Level
from rnnlint.reporting.report import Report, place
from rnnlint.reporting.style import Style

_COMMANDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.ADVICE: "notice"}


def render(report: Report, style: Style) -> str:
    """Render `report` as annotations, the worst first; `style` has no say.

    GitHub shows ten of a kind for a step, so what matters must not come last.
    """
    ranked = sorted(report.diagnostics, key=lambda diagnostic: diagnostic.level.rank)
    return "".join(_annotation(diagnostic) + "\n" for diagnostic in ranked)


def _annotation(diagnostic: Diagnostic) -> str:
    properties = {"title": f"rnnlint ({diagnostic.code} {diagnostic.name})"}
    span = diagnostic.span
    properties["file"] = span.path
    # Rows of a notebook's cell are no lines of its file, which GitHub shows as JSON.
    if span.cell is None:
        properties["line"] = str(span.location.row)
        properties["col"] = str(span.location.column)
        properties["endLine"] = str(span.end_location.row)
        properties["endColumn"] = str(span.end_location.column)
    written = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{_COMMANDS[diagnostic.level]} {written}::{_data(_message(diagnostic))}"


def _message(diagnostic: Diagnostic) -> str:
    lines = [diagnostic.message]
    if diagnostic.span.cell is not None:
        lines[0] = f"{place(diagnostic.span)}: {diagnostic.message}"
    lines += [
        f"{number} {place(step.span)} {step.message}"
        for number, step in enumerate(diagnostic.trail, start=1)
    ]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
