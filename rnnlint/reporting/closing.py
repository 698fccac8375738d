"""The last lines of a report: how much was found, and how much was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnlint.diagnostic import Level, Notice
from rnnlint.reporting.layout import counted, printable, wrapped
from rnnlint.reporting.report import FIXABLE, Report, is_fixable
from rnnlint.reporting.style import Style

_REASONS_SHOWN = 3


def closing(report: Report, style: Style) -> str:
    """Say how many problems were found, and how many files were read or skipped."""
    lines: list[str] = []
    # Where nothing could be read, it would be no comfort that nothing was found.
    if report.diagnostics or report.summary.analysed:
        lines = wrapped(_found(report), style.width)
        lines[0] = style.strong(lines[0])
    for sentence in (_fixable(report), _known(report), withheld(report), coverage(report)):
        lines += wrapped(sentence, style.width) if sentence else []
    return "\n".join(lines) + "\n"


def coverage(report: Report) -> str:
    """Say in a sentence how many files were read, how many were skipped, and why."""
    summary = report.summary
    read = f"Read {counted(summary.analysed, 'file')}"
    if summary.analysed == 0:
        read = "Read no Python file"
    elif summary.lowered == 0:
        read += ", none with recurrent training code"
    if summary.skipped == 0:
        return f"{read}."
    left_out = [notice for notice in report.notices if notice.skips]
    return f"{read}; skipped {summary.skipped}: {_reasons(left_out)}."


def _found(report: Report) -> str:
    diagnostics, fixed = report.diagnostics, len(report.fixed)
    if fixed:
        problems = counted(fixed + len(diagnostics), "problem")
        return f"Found {problems} ({fixed:,} fixed, {len(diagnostics):,} remaining)."
    if not diagnostics:
        return "Found no problems."
    by_level = Counter(diagnostic.level for diagnostic in diagnostics)
    levels = ", ".join(_level_count(level, by_level[level]) for level in Level if by_level[level])
    files = len({diagnostic.span.path for diagnostic in diagnostics})
    return f"Found {counted(len(diagnostics), 'problem')} ({levels}) in {counted(files, 'file')}."


def _fixable(report: Report) -> str:
    """Say how many problems `--fix` would repair, and how many more it might."""
    offered = [diagnostic for diagnostic in report.diagnostics if diagnostic.fix is not None]
    now = sum(is_fixable(diagnostic, report) for diagnostic in offered)
    more = len(offered) - now
    if now:
        others = f" ({more:,} more with --fix --unsafe-fixes)" if more else ""
        return f"{FIXABLE} {now:,} fixable with --fix{others}."
    return f"{more:,} fixable with --fix --unsafe-fixes." if more else ""


def _known(report: Report) -> str:
    """Say how many findings were left out because a baseline knows them."""
    if not report.known:
        return ""
    problems = counted(report.known, "known problem")
    return f"Left out {problems}, which the baseline holds."


def withheld(report: Report) -> str:
    """Say in a sentence how many repairs were withheld; nothing if there are none."""
    if not report.withheld:
        return ""
    fixes = counted(len(report.withheld), "fix", "fixes")
    return f"Withheld {fixes}; --show-fixes says why."


def _level_count(level: Level, number: int) -> str:
    return f"{number} advice" if level is Level.ADVICE else counted(number, level.value)


def _reasons(notices: Sequence[Notice]) -> str:
    """Name the skipped files, those with the same reason together.

    What is to be done about it stands where the notice is told by itself.
    """
    paths: dict[str, list[str]] = {}
    for notice in notices:
        reason = printable(notice.message).partition("; ")[0]
        paths.setdefault(reason, []).append(printable(notice.path))
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
