"""One pure function a format: what a run found, to text."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from rnnlint.reporting.report import Report
from rnnlint.reporting.style import Style

_MODULES = {
    "full": "rnnlint.reporting.full",
    "concise": "rnnlint.reporting.concise",
    "json": "rnnlint.reporting.structured",
    "jsonl": "rnnlint.reporting.structured_lines",
    "github": "rnnlint.reporting.github",
    "gitlab": "rnnlint.reporting.gitlab",
    "html": "rnnlint.reporting.html",
    "junit": "rnnlint.reporting.junit",
    "sarif": "rnnlint.reporting.sarif",
}

FORMATS = tuple(_MODULES)
"""The output formats, the default first."""

TEXT_FORMATS = ("full", "concise")
"""The formats for people, which end by saying how much was read."""

REPOSITORY_FORMATS = ("github", "gitlab", "sarif")
"""The formats for hosts of code, which know a file by its place in the repository."""

DOCUMENTED_FORMATS = ("html", "sarif")
"""The formats that hold the pages of the rules that found something."""


def renderer(output_format: str) -> Callable[[Report, Style], str]:
    """Return the function that renders `output_format`, importing no other format."""
    render: Callable[[Report, Style], str] = importlib.import_module(_MODULES[output_format]).render
    return render
