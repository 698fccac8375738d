"""What a report is made of: the part of a run's outcome that formats read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from rnnlint.diagnostic import Applicability, Diagnostic, Edit, Notice, Span, Withheld
from rnnlint.flow import Flow

if TYPE_CHECKING:
    from rnnlint.reporting.page import Page

FIXABLE = "[*]"
"""Marks what `--fix` would repair."""


class Counts(Protocol):
    """How much of the project was looked at."""

    @property
    def analysed(self) -> int:
        """The Python files that were looked at for the report."""

    @property
    def lowered(self) -> int:
        """Of them, the files in which recurrent training code was read."""

    @property
    def skipped(self) -> int:
        """The files that could not be analysed; a notice says why of each."""


class Report(Protocol):
    """What a run found, ranked, with the source lines that it speaks of."""

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """The diagnostics in the order in which they are to be read."""

    @property
    def notices(self) -> Sequence[Notice]:
        """What the run could not do."""

    @property
    def excerpts(self) -> Mapping[str, Mapping[int, str]]:
        """Source lines by file (`excerpt_key`) and row."""

    @property
    def summary(self) -> Counts:
        """How much was looked at."""

    @property
    def unsafe_fixes(self) -> bool:
        """Whether repairs that want a look are offered like those that need none."""

    @property
    def fixed(self) -> Sequence[Diagnostic]:
        """What the run repaired."""

    @property
    def withheld(self) -> Sequence[Withheld]:
        """Repairs that did not stand the test."""

    @property
    def known(self) -> int:
        """How many findings were left out because a baseline knows them."""

    @property
    def rules(self) -> Mapping[str, Page]:
        """The pages of rules by code, for the formats that hold them."""

    @property
    def flows(self) -> Sequence[Flow]:
        """How the project trains, for the formats that draw it."""


def is_fixable(diagnostic: Diagnostic, report: Report) -> bool:
    """Whether `--fix` would repair this, as the run was asked to judge repairs."""
    fix = diagnostic.fix
    return fix is not None and (report.unsafe_fixes or fix.applicability is Applicability.SAFE)


def excerpt_key(span: Span | Edit) -> str:
    """Return the key of a span's or edit's file, or notebook cell, among the excerpts."""
    return span.path if span.cell is None else f"{span.path}:{span.cell}"


def place(span: Span) -> str:
    """Say where a span begins, as editors and terminals recognise it."""
    location = span.location
    return f"{file_or_cell(span.path, span.cell)}:{location.row}:{location.column}"


def file_or_cell(path: str, cell: int | None) -> str:
    """Name a file, or one cell of a notebook."""
    return path if cell is None else f"{path}:cell {cell}"
