"""Which repairs can be carried out together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

import msgspec

from rnnlint.diagnostic import Diagnostic, Edit


class Repair(msgspec.Struct, frozen=True):
    """Edits that belong together, and the diagnostics that they cure."""

    diagnostics: tuple[Diagnostic, ...]
    edits: tuple[Edit, ...]
    uncovers: bool = False
    """Whether other code is judged for the first time once it is carried out."""

    @property
    def paths(self) -> frozenset[str]:
        """The files that it changes."""
        return frozenset(edit.path for edit in self.edits)

    @property
    def order(self) -> tuple[object, ...]:
        """Repairs are carried out by path, from top to bottom, then by rule."""
        first = min((edit.path, edit.start, edit.end) for edit in self.edits)
        return (first, self.diagnostics[0].sort_key)


def repair_of(diagnostic: Diagnostic) -> Repair | None:
    """What a rule offers to do about its finding."""
    fix = diagnostic.fix
    return None if fix is None else Repair((diagnostic,), fix.edits, fix.uncovers)


def compatible(repairs: Iterable[Repair]) -> list[Repair]:
    """The first of each group of repairs that get in each other's way; the rest has to wait.

    Those that uncover other findings go before all others, so that nobody else leads to them.

    Two repairs may both want the very same edit, such as an import that both need: that is
    done once.  Edits that differ must not even touch, as one may rely on what is beside it.
    """
    taken: dict[str, _Taken] = {}
    chosen: list[Repair] = []
    every = list(repairs)
    for repair in sorted([one for one in every if one.uncovers] or every, key=_by_order):
        if all(taken.setdefault(edit.path, _Taken()).has_room(edit) for edit in repair.edits):
            chosen.append(repair)
            for edit in repair.edits:
                taken[edit.path].add(edit)
    return chosen


def _by_order(repair: Repair) -> tuple[object, ...]:
    return repair.order


class _Taken:
    """The stretches of one file that are to be edited, which do not touch."""

    def __init__(self) -> None:
        self._edits: set[Edit] = set()
        self._stretches: list[tuple[int, int]] = []

    def has_room(self, edit: Edit) -> bool:
        if edit in self._edits:
            return True
        number = bisect_left(self._stretches, (edit.start, edit.end))
        before = self._stretches[number - 1 : number] if number else []
        after = self._stretches[number : number + 1]
        return all(end < edit.start for _, end in before) and all(
            edit.end < start for start, _ in after
        )

    def add(self, edit: Edit) -> None:
        if edit not in self._edits:
            self._edits.add(edit)
            insort(self._stretches, (edit.start, edit.end))
