"""What the diagnostics of an edited project have to do with those before: gone, left, or new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from rnnlint.diagnostic import Diagnostic, Span
from rnnlint.fixing.editing import Moves

Excerpts = Mapping[str, Mapping[int, str]]
"""Source lines by file, or cell of a notebook, and row."""


class Difference(msgspec.Struct, frozen=True):
    """What edits did to the diagnostics of a project."""

    left: tuple[Diagnostic, ...]
    """Those before that are still there."""
    new: tuple[Diagnostic, ...]
    """Those after that were not there before."""


def compare(
    before: Sequence[Diagnostic],
    after: Sequence[Diagnostic],
    moves: Moves,
    lines: tuple[Excerpts, Excerpts],
) -> Difference:
    """Recognise diagnostics by their code and place, wherever the edits moved it.

    The place is the same if it begins at the same character, else if it is in the same row,
    else within the text that replaced it, else if its line reads the same.

    Args:
        before: what was found before the edits.
        after: what is found now.
        moves: where places went.
        lines: the source lines of both.
    """
    groups: dict[tuple[object, ...], _Group] = {}
    for old in before:
        groups.setdefault(_kind(old), _Group()).olds.append((old, moves.span(old.span)))
    for new in after:
        groups.setdefault(_kind(new), _Group()).news.append(new)
    left: list[Diagnostic] = []
    for group in groups.values():
        for is_same in _WAYS_TO_BE_THE_SAME:
            left += group.paired(is_same, lines)
    return Difference(tuple(left), tuple(new for group in groups.values() for new in group.news))


def _kind(diagnostic: Diagnostic) -> tuple[object, ...]:
    return (diagnostic.code, diagnostic.span.path, diagnostic.span.cell)


class _Group:
    """Diagnostics of one rule in one file, as long as they have no partner."""

    def __init__(self) -> None:
        self.olds: list[tuple[Diagnostic, Span]] = []
        self.news: list[Diagnostic] = []

    def paired(self, is_same: _Test, lines: tuple[Excerpts, Excerpts]) -> list[Diagnostic]:
        """Take the pairs that are the same out; return the old ones of them."""
        found: list[Diagnostic] = []
        for old, moved in list(self.olds):
            new = next((each for each in self.news if is_same(old, moved, each, lines)), None)
            if new is not None:
                self.olds.remove((old, moved))
                self.news.remove(new)
                found.append(old)
        return found


def _reads_the_same(
    old: Diagnostic, moved: Span, new: Diagnostic, lines: tuple[Excerpts, Excerpts]
) -> bool:
    before, after = (
        _lines_of(each.span, excerpts).get(each.span.location.row, "").strip()
        for each, excerpts in ((old, lines[0]), (new, lines[1]))
    )
    return before == after != ""


def _lines_of(span: Span, excerpts: Excerpts) -> Mapping[int, str]:
    return excerpts.get(span.path if span.cell is None else f"{span.path}:{span.cell}", {})


_Test = Callable[[Diagnostic, Span, Diagnostic, tuple[Excerpts, Excerpts]], bool]
_WAYS_TO_BE_THE_SAME: tuple[_Test, ...] = (
    lambda old, moved, new, lines: moved.location == new.span.location,
    lambda old, moved, new, lines: moved.location.row == new.span.location.row,
    lambda old, moved, new, lines: moved.location <= new.span.location <= moved.end_location,
    _reads_the_same,
)
