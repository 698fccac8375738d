"""GitLab's Code Quality report: a JSON list, shown beside the code of a merge request."""

from __future__ import annotations

from rnnlint.diagnostic import Diagnostic, Level
from rnnlint.reporting.fingerprints import fingerprints
from rnnlint.reporting.report import Report, place
from rnnlint.reporting.structured import indented
from rnnlint.reporting.style import Style

_SEVERITIES = {Level.ERROR: "critical", Level.WARNING: "major", Level.ADVICE: "minor"}


def render(report: Report, style: Style) -> str:
    """Render `report` as an indented JSON list; `style` has no say."""
    names = fingerprints(report.diagnostics, report.excerpts)
    issues = [
        _issue(diagnostic, name) for diagnostic, name in zip(report.diagnostics, names, strict=True)
    ]
    return indented(issues)


def _issue(diagnostic: Diagnostic, fingerprint: str) -> dict[str, object]:
    span = diagnostic.span
    lines = {"begin": span.location.row, "end": span.end_location.row}
    message = diagnostic.message
    if span.cell is not None:
        # Rows of a notebook's cell are no lines of its file, but a line there must be.
        lines = {"begin": 1}
        message = f"{place(span)}: {message}"
    return {
        "type": "issue",
        "check_name": diagnostic.code,
        "description": f"{diagnostic.code} ({diagnostic.name}): {message}",
        "categories": ["Bug Risk"],
        "severity": _SEVERITIES[diagnostic.level],
        "fingerprint": fingerprint,
        "location": {"path": span.path, "lines": lines},
    }
