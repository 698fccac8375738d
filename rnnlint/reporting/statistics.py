"""How often each rule fired: a table for people, or JSON."""

from __future__ import annotations

import msgspec

from rnnlint.diagnostic import Level
from rnnlint.reporting.report import FIXABLE, Report, is_fixable
from rnnlint.reporting.structured import indented
from rnnlint.reporting.style import Style


class Count(msgspec.Struct, frozen=True):
    """How often one rule fired, and the worst level it fired at."""

    code: str
    name: str
    level: Level
    count: int
    fixable: int
    """How many of them `--fix` would repair."""


def render(report: Report, style: Style) -> str:
    """Render how often each rule fired as a table, the most frequent first."""
    counts = _counts(report)
    number_width = max((len(str(count.count)) for count in counts), default=0)
    code_width = max((len(count.code) for count in counts), default=0)
    marks = any(count.fixable for count in counts)
    lines = []
    for count in counts:
        number = style.strong(f"{count.count:>{number_width}}")
        code = style.level(f"{count.code:<{code_width}}", count.level)
        mark = f"{_mark(count, style)}  " if marks else ""
        lines.append(f"{number}  {code}  {mark}{count.name}\n")
    return "".join(lines)


def render_json(report: Report, style: Style) -> str:
    """Render how often each rule fired as an indented JSON list."""
    return indented(_counts(report))


def _mark(count: Count, style: Style) -> str:
    """Say whether all of it can be repaired, some or none."""
    if not count.fixable:
        return "[ ]"
    return style.remedy(FIXABLE if count.fixable == count.count else "[-]")


def _counts(report: Report) -> list[Count]:
    counts: dict[str, Count] = {}
    for diagnostic in report.diagnostics:
        before = counts.get(diagnostic.code)
        levels = [diagnostic.level, *([before.level] if before else [])]
        counts[diagnostic.code] = Count(
            code=diagnostic.code,
            name=diagnostic.name,
            level=min(levels, key=lambda level: level.rank),
            count=1 + (before.count if before else 0),
            fixable=is_fixable(diagnostic, report) + (before.fixable if before else 0),
        )
    return sorted(counts.values(), key=lambda count: (-count.count, count.code))
