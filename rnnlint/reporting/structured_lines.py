"""JSON lines: one object a line, for programs that read as they go."""

from __future__ import annotations

import msgspec

from rnnlint.reporting.report import Report
from rnnlint.reporting.structured import diagnostic_object
from rnnlint.reporting.style import Style


def render(report: Report, style: Style) -> str:
    """Render `report` as one JSON object a line; `style` has no say."""
    encode = msgspec.json.encode
    return "".join(
        encode(diagnostic_object(diagnostic)).decode() + "\n" for diagnostic in report.diagnostics
    )
