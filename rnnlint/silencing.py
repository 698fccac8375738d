"""Comments that silence what was found, each at the statement that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rnnlint.diagnostic import Diagnostic, Edit, Location
from rnnlint.engine import Findings
from rnnlint.fixing.choosing import Repair
from rnnlint.narrowing import Narrowing
from rnnlint.opening import Project
from rnnlint.project.source import LineIndex, Source, newline_of
from rnnlint.repair import Read, Wishes
from rnnlint.scope import UNPARSABLE
from rnnlint.statements import logical_lines, statement_comments
from rnnlint.suppression import UNUSED_CODE, RuleList, rule_lists

_FIRST_LINES = re.compile(
    r"(?:#![^\r\n]*(?:\r\n|\r|\n))?(?:[ \t\f]*#[^\r\n]*coding[:=][^\r\n]*(?:\r\n|\r|\n))?"
)


def comments(project: Project) -> Wishes:
    """What silences all that is to be reported of the files that were asked about."""
    narrowing = Narrowing(project)

    def wishes(findings: Findings, read: Read) -> list[Repair]:
        narrowed = narrowing.of(findings.diagnostics, findings.excerpts)
        return silenced(narrowed.diagnostics, read)

    return wishes


def silenced(diagnostics: Iterable[Diagnostic], read: Read) -> list[Repair]:
    """What silences diagnostics.

    Findings on comments that list no rule are left alone, as is what is wrong with a notebook
    or the cells of one that cannot be read.
    """
    found: dict[str, list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        found.setdefault(diagnostic.span.path, []).append(diagnostic)
    sources = {path: read(path) for path in found}
    return [
        repair
        for path, source in sources.items()
        if source is not None
        for repair in _File(source).silenced(found[path])
    ]


class _File:
    """One file, its statements and the comments that silence something in it."""

    def __init__(self, source: Source) -> None:
        self._path = source.path
        self._is_notebook = source.cells is not None
        self._text = source.text
        self._index = LineIndex(source)
        self._lines = logical_lines(source.text)
        self._lists = [
            each for comment in statement_comments(source.text) for each in rule_lists(comment)
        ]

    def silenced(self, diagnostics: Sequence[Diagnostic]) -> Iterator[Repair]:
        """One repair for each comment that is written, or gets longer."""
        groups: dict[tuple[int, str, str], list[Diagnostic]] = {}
        for diagnostic in sorted(diagnostics, key=lambda each: each.sort_key):
            target = self._target(diagnostic)
            if target is not None:
                groups.setdefault(target, []).append(diagnostic)
        for (offset, before, after), of_place in groups.items():
            codes = list(dict.fromkeys(diagnostic.code for diagnostic in of_place))
            if not before:  # a list that named no rule is reported, until it names one
                codes = [code for code in codes if code != UNUSED_CODE] or codes
            edit = Edit(self._path, offset, offset, before + ", ".join(codes) + after)
            yield Repair(tuple(of_place), (edit,))

    def _target(self, diagnostic: Diagnostic) -> tuple[int, str, str] | None:
        """Where the code of a diagnostic is to be written, and what before and after it."""
        span = diagnostic.span
        if diagnostic.code == UNUSED_CODE:
            at = self._index.offset(span.location, span.cell)
            around = (each for each in self._lists if each.start <= at < each.end)
            return next(map(_within, around), None)
        if diagnostic.code == UNPARSABLE[0] or self._lines is None:
            # One cell of a notebook does not speak for the others.
            return None if self._is_notebook else self._at_the_top()
        row = self._index.row_of(span.location, span.cell)
        line = next((one for one in self._lines if row in one.rows), None)
        if line is None:
            return None
        for each in self._lists:
            if each.directive == "ignore" and each.row in line.rows and not each.above:
                return _within(each)
        row = row if row in line.open_rows else line.last_row
        end = self._index.offset(Location(row, 1)) + len(self._index.row_text(row).rstrip())
        return end, "  # rnnlint: ignore[", "]"

    def _at_the_top(self) -> tuple[int, str, str]:
        """The rule is silenced in the whole file, which has no statements to speak of."""
        for each in self._lists:
            if each.directive == "file-ignore":
                return _within(each)
        head = _FIRST_LINES.match(self._text)
        after = f"]{newline_of(self._text)}"
        return head.end() if head is not None else 0, "# rnnlint: file-ignore[", after


def _within(rules: RuleList) -> tuple[int, str, str]:
    """Behind the rules that a comment lists already."""
    return rules.rules_end, "" if rules.is_empty else ", ", ""
