"""The last lines of a report: how much was found, and how much was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnlint.diagnostic import Diagnostic, Level, Notice
from rnnlint.reporting.layout import printable, wrapped
from rnnlint.reporting.report import Report
from rnnlint.reporting.style import Style

_REASONS_SHOWN = 3


def closing(report: Report, style: Style) -> str:
    """Say how many problems were found, and how many files were read or skipped."""
    lines: list[str] = []
    # Where nothing could be read, it would be no comfort that nothing was found.
    if report.diagnostics or report.summary.analysed:
        lines = wrapped(_found(report.diagnostics), style.width)
        lines[0] = style.strong(lines[0])
    return "\n".join([*lines, *wrapped(coverage(report), style.width)]) + "\n"


def coverage(report: Report) -> str:
    """Say in a sentence how many files were read, how many were skipped, and why."""
    summary = report.summary
    read = f"Read {_count(summary.analysed, 'file')}"
    if summary.analysed == 0:
        read = "Read no Python file"
    elif summary.lowered == 0:
        read += ", none with recurrent training code"
    if summary.skipped == 0:
        return f"{read}."
    left_out = [notice for notice in report.notices if notice.skips]
    return f"{read}; skipped {summary.skipped}: {_reasons(left_out)}."


def _found(diagnostics: Sequence[Diagnostic]) -> str:
    if not diagnostics:
        return "Found no problems."
    counted = Counter(diagnostic.level for diagnostic in diagnostics)
    levels = ", ".join(_level_count(level, counted[level]) for level in Level if counted[level])
    files = len({diagnostic.span.path for diagnostic in diagnostics})
    problems = _count(len(diagnostics), "problem")
    return f"Found {problems} ({levels}) in {_count(files, 'file')}."


def _level_count(level: Level, number: int) -> str:
    return f"{number} advice" if level is Level.ADVICE else _count(number, level.value)


def _reasons(notices: Sequence[Notice]) -> str:
    """Name the skipped files, those with the same reason together."""
    paths: dict[str, list[str]] = {}
    for notice in notices:
        paths.setdefault(printable(notice.message), []).append(printable(notice.path))
    shown = [
        f"{_enumerated(of_reason)} ({reason})"
        for reason, of_reason in list(paths.items())[:_REASONS_SHOWN]
    ]
    rest = sum(map(len, list(paths.values())[_REASONS_SHOWN:]))
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _enumerated(paths: Sequence[str]) -> str:
    named = ", ".join(paths[:_REASONS_SHOWN])
    rest = len(paths) - _REASONS_SHOWN
    return f"{named} and {rest} more" if rest > 0 else named


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
