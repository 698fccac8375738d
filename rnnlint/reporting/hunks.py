"""A repair as lines: which go, which come, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rnnlint.diagnostic import Edit, Fix, Location
from rnnlint.reporting.report import Report, excerpt_key, file_or_cell

_Lines = Mapping[int, str]


class Hunk(msgspec.Struct, frozen=True):
    """Lines of one file or cell that a repair changes, without their ends."""

    file: str
    """The path, and in a notebook the cell in which rows are counted."""
    row: int
    """The row of the first of them before the repair."""
    new_row: int
    """The row of the first of them after it."""
    removed: tuple[str, ...]
    added: tuple[str, ...]
    before: str | None
    """The line before them, where there is one."""
    after: str | None


def hunks(fix: Fix, report: Report) -> list[Hunk]:
    """The lines that a repair changes; none where they are not known."""
    found: list[Hunk] = []
    by_place: dict[str, list[Edit]] = {}
    for edit in sorted(fix.edits, key=lambda one: (one.path, one.start)):
        by_place.setdefault(excerpt_key(edit), []).append(edit)
    for key, edits in by_place.items():
        lines = report.excerpts.get(key, {})
        grown = 0
        for group in _groups(edits):
            hunk = _hunk(group, lines, grown)
            if hunk is None:
                return []
            grown += len(hunk.added) - len(hunk.removed)
            found.append(hunk)
    return found


def _groups(edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """Edits that change the same rows, or rows side by side, from top to bottom."""
    group: list[Edit] = []
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        if group and _rows(edit)[0] > _rows(group[-1])[1] + 1:
            yield group
            group = []
        group.append(edit)
    yield group


def _rows(edit: Edit) -> tuple[int, int]:
    start, end = edit.location, edit.end_location
    return (start.row if start else 0), (end.row if end else 0)


def _hunk(edits: Sequence[Edit], lines: _Lines, grown: int) -> Hunk | None:
    first, last = _rows(edits[0])[0], _rows(edits[-1])[1]
    if any(row not in lines for row in range(first, last + 1)):
        return None
    old = [lines[row] for row in range(first, last + 1)]
    new = _edited("\n".join(old), first, edits).split("\n")
    top = _common(old, new)
    bottom = _common(old[top:][::-1], new[top:][::-1])
    row = first + top
    until = len(old) - bottom
    return Hunk(
        file=file_or_cell(edits[0].path, edits[0].cell),
        row=row,
        new_row=row + grown,
        removed=tuple(old[top:until]),
        added=tuple(new[top : len(new) - bottom]),
        before=lines.get(row - 1),
        after=lines.get(first + until),
    )


def _edited(text: str, first: int, edits: Sequence[Edit]) -> str:
    """A few rows of a file, of which `first` is the first, after the edits."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)

    def offset(location: Location | None) -> int:
        return starts[location.row - first] + location.column - 1 if location else 0

    for edit in sorted(edits, key=lambda one: (one.start, one.end), reverse=True):
        replacement = edit.replacement.replace("\r\n", "\n").replace("\r", "\n")
        text = text[: offset(edit.location)] + replacement + text[offset(edit.end_location) :]
    return text


def differing(one: str, other: str) -> tuple[int, int]:
    """Where two lines begin to differ, and where the longer of them ends to."""
    start = _common(one, other)
    tail = _common(one[start:][::-1], other[start:][::-1])
    return start, max(len(one), len(other)) - tail


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines two texts, or characters two lines, begin with alike."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
