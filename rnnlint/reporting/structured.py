"""JSON: a list with one object a diagnostic, for programs."""

from __future__ import annotations

import msgspec

from rnnlint.diagnostic import Diagnostic, Edit, Fix, Location, Span, TrailStep
from rnnlint.reporting.report import Report
from rnnlint.reporting.style import Style


def render(report: Report, style: Style) -> str:
    """Render `report` as an indented JSON list; `style` has no say."""
    objects = [diagnostic_object(diagnostic) for diagnostic in report.diagnostics]
    return indented(objects)


def indented(value: object) -> str:
    """A value as JSON that people can read, too."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def diagnostic_object(diagnostic: Diagnostic) -> dict[str, object]:
    """Return the JSON object of a diagnostic."""
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "level": diagnostic.level.value,
        "message": diagnostic.message,
        **_span_object(diagnostic.span),
        "help": diagnostic.help,
        "trail": [_step_object(step) for step in diagnostic.trail],
        "fix": None if diagnostic.fix is None else _fix_object(diagnostic.fix),
        "url": diagnostic.url,
    }


def _fix_object(fix: Fix) -> dict[str, object]:
    return {
        "message": fix.message,
        "applicability": fix.applicability.value,
        "edits": [_edit_object(edit) for edit in fix.edits],
    }


def _edit_object(edit: Edit) -> dict[str, object]:
    """Offsets count code points from 0, rows and columns from 1."""
    located: dict[str, object] = {}
    if edit.location is not None and edit.end_location is not None:
        located["location"] = _location_object(edit.location)
        located["end_location"] = _location_object(edit.end_location)
    if edit.cell is not None:
        located["cell"] = edit.cell
    return {
        "path": edit.path,
        **located,
        "start": edit.start,
        "end": edit.end,
        "replacement": edit.replacement,
    }


def _step_object(step: TrailStep) -> dict[str, object]:
    return {**_span_object(step.span), "message": step.message}


def _span_object(span: Span) -> dict[str, object]:
    return {
        "path": span.path,
        "location": _location_object(span.location),
        "end_location": _location_object(span.end_location),
        "cell": span.cell,
    }


def _location_object(location: Location) -> dict[str, int]:
    return {"row": location.row, "column": location.column}
