"""What a run repaired, and what it did not because it would have done harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rnnlint.reporting.layout import counted, printable, wrapped
from rnnlint.reporting.report import Report, place
from rnnlint.reporting.style import Style


def render(report: Report, style: Style) -> str:
    """List the repairs by file and rule, then those that were withheld."""
    return "".join(line + "\n" for line in (*_fixed(report, style), *_withheld(report, style)))


def _fixed(report: Report, style: Style) -> Iterator[str]:
    if not report.fixed:
        return
    yield style.strong(f"Fixed {counted(len(report.fixed), 'problem')}:")
    for path in sorted({diagnostic.span.path for diagnostic in report.fixed}):
        yield f"- {style.place(printable(path))}:"
        rules = Counter((d.code, d.name) for d in report.fixed if d.span.path == path)
        for (code, name), number in sorted(rules.items(), key=lambda item: (-item[1], item[0])):
            yield f"    {number} \N{MULTIPLICATION SIGN} {code} ({name})"


def _withheld(report: Report, style: Style) -> Iterator[str]:
    if not report.withheld:
        return
    yield style.strong(f"Withheld {counted(len(report.withheld), 'fix', 'fixes')}:")
    for each in report.withheld:
        diagnostic = each.diagnostic
        where = f"{place(diagnostic.span)} {diagnostic.code} ({diagnostic.name})"
        yield from wrapped(f"- {where}: {each.reason}", style.width, indent=2)
