"""What of a project's findings is reported: in the files that were named, new, or changed."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rnnlint import baseline
from rnnlint.diagnostic import Diagnostic, Notice, Span
from rnnlint.opening import Project, UsageError, asked_about
from rnnlint.reporting.fingerprints import Excerpts, Identity
from rnnlint.reporting.layout import counted

if TYPE_CHECKING:
    from rnnlint.project.changes import Changes


class Narrowed(msgspec.Struct, frozen=True):
    """What is left of the findings of a project."""

    diagnostics: tuple[Diagnostic, ...]
    known: int = 0
    """How many the baseline knows."""
    notices: tuple[Notice, ...] = ()


class Narrowing:
    """What a project's findings are narrowed down by, read once.

    Raises:
        ConfigError: the baseline or the revision that was named cannot be used.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        file = project.settings.baseline
        self._file = Path(file) if file else None
        self._known = baseline.read(self._file) if self._file is not None else baseline.Known()
        self._changes: Changes | None = None
        revision = project.request.diff_base
        if revision is not None:
            if project.contents:
                raise UsageError("--diff-base compares files, and '-' is none; leave one out")
            from rnnlint.project.changes import changes_since

            self._changes = changes_since(project.root, revision)

    def again(self, project: Project) -> Narrowing:
        """The same for another state of the project, or for what else is asked about it."""
        other = copy.copy(self)
        other._project = project
        return other

    def of(self, diagnostics: Sequence[Diagnostic], excerpts: Excerpts) -> Narrowed:
        """What is to be reported of all that was found in the project."""
        asked = [each for each in diagnostics if each.span.path in self._project.asked.reported]
        new, known, notices = self._new(asked, excerpts)
        if self._changes is not None:
            new = [each for each in new if _is_changed(each, self._changes)]
        return Narrowed(tuple(new), known, notices)

    def _new(
        self, found: list[Diagnostic], excerpts: Excerpts
    ) -> tuple[list[Diagnostic], int, tuple[Notice, ...]]:
        if self._file is None:
            return found, 0, ()
        names = baseline.identities(found, excerpts, self._project.root, self._file.parent)
        new, left = baseline.split(found, names, self._known)
        stale = sum(left[each] for each in judged(left, self._project, self._file))
        notices: tuple[Notice, ...] = ()
        if stale:
            entries = counted(stale, "entry of it is", "entries of it are")
            message = f"{entries} stale: nothing like that is found; --write-baseline drops them"
            notices = (Notice(os.path.relpath(self._file), message, skips=False),)
        return new, len(found) - len(new), notices


def judged(known: baseline.Known, project: Project, file: Path) -> list[Identity]:
    """The entries of a baseline that a run can judge: of files and rules that it is asked about."""
    from rnnlint import registry
    from rnnlint.scope import Scope

    if not known:
        return []
    settings = project.settings
    infos = registry.available(settings.plugins)
    codes = {info.code for info in infos}
    scope = Scope(project.root, settings, project.discovery.nested, infos)
    is_asked = asked_about(project)
    found: list[Identity] = []
    for each in known:
        path = Path(os.path.relpath(file.parent / each.path, project.root)).as_posix()
        if path.startswith("../") or not is_asked(path):
            continue
        if each.code in scope.codes(path) or each.code not in codes:
            found.append(each)
    return found


def _is_changed(diagnostic: Diagnostic, changes: Changes) -> bool:
    """Whether the finding, or a place that proves it, stands on a changed line."""
    places = (diagnostic.span, *(step.span for step in diagnostic.trail))
    return any(_touch(changes, span) for span in places)


def _touch(changes: Changes, span: Span) -> bool:
    # Rows of a notebook's cell are no lines of its file.
    if span.cell is not None:
        return changes.touch_file(span.path)
    return changes.touch(span.path, span.location.row, span.end_location.row)
