"""The projects of a workspace, analysed, and what is remembered of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from rnnlint import engine, registry
from rnnlint.diagnostic import Diagnostic
from rnnlint.engine import Findings
from rnnlint.lowering.recollection import Recollection
from rnnlint.narrowing import Narrowing
from rnnlint.opening import Project, Request, open_request
from rnnlint.project.cache import Cache, Memory
from rnnlint.project.config import ConfigError
from rnnlint.project.discovery import Asked, ProjectFile, why_left_out
from rnnlint.project.source import read_bytes
from rnnlint.scope import Scope
from rnnlint.server.documents import Document
from rnnlint.server.state import Options, State

Say = Callable[[str], None]
"""Tells the user something."""


class Examined(msgspec.Struct, frozen=True):
    """A project and all that was found in it, as it was at one state."""

    project: Project
    """As it is in the editor: its contents are those of the documents that are open."""
    findings: Findings
    shown: tuple[Diagnostic, ...]
    """What of it is a problem: in files that are reported, and new to the baseline."""
    narrowing: Narrowing
    documents: dict[str, Document]
    """Those of its files that are open, by path in the project."""
    cache: Cache
    recollection: Recollection


class _Known(msgspec.Struct):
    """What is kept of a project from one analysis to the next."""

    below: Cache
    cache: Memory
    recollection: Recollection


class Analyst:
    """Analyses states, one after the other.

    Args:
        complain: called when settings cannot be used, with the reason.
    """

    def __init__(self, complain: Say) -> None:
        self._complain = complain
        self._projects: dict[Path, Project] = {}
        """The projects by root, as the last scan found them."""
        self._narrowings: dict[Path, Narrowing] = {}
        """Of each project."""
        self._scanned: tuple[object, ...] = ()
        self._known: dict[Path, _Known] = {}
        self._complaint = ""

    def examine(self, state: State, check: Callable[[], None]) -> list[Examined]:
        """Analyse every project of a state.

        Args:
            state: what is open.
            check: called now and then; what it raises ends the analysis.
        """
        self._scan(state)
        examined: list[Examined] = []
        for root, project in self._projects.items():
            check()
            examined.append(self._examined(root, project, state, check))
        return examined

    # --- projects ---

    def _scan(self, state: State) -> None:
        """Look at the disk again, if something there may have changed."""
        loose = tuple(sorted(self._loose(state)))
        wanted = (state.scan, state.folders, state.options, loose)
        if wanted == self._scanned:
            return
        self._scanned = wanted
        try:
            found: dict[Path, Project] = {}
            for folder in state.folders:
                if os.path.isdir(folder):
                    _add(found, _opened(folder, folder, state.options))
            for path in loose:
                if not any(_lies_in(path, str(root)) for root in found):
                    folder = os.path.dirname(path)
                    given = path if os.path.isfile(path) else folder
                    alone = _opened(given, folder, state.options)
                    _add(found, [_without_reports(project) for project in alone])
            for project in found.values():
                _reject_unknown_rules(project)
            narrowings = {root: Narrowing(project) for root, project in found.items()}
        except ConfigError as error:
            # The last settings that could be used hold until these are mended.
            if str(error) != self._complaint:
                self._complain(f"{error}")
            self._complaint = str(error)
            return
        self._complaint = ""
        self._projects, self._narrowings = found, narrowings
        for root in self._known.keys() - found.keys():
            del self._known[root]

    def _loose(self, state: State) -> list[str]:
        """The documents that lie in no folder of the workspace."""
        return [
            document.path
            for document in state.documents
            if not any(_lies_in(document.path, folder) for folder in state.folders)
        ]

    # --- one project ---

    def _examined(
        self, root: Path, project: Project, state: State, check: Callable[[], None]
    ) -> Examined:
        files = project.files({})
        documents = {
            path: document
            for document in state.documents
            if _lies_in(document.path, str(root))
            for path in [Path(os.path.relpath(document.path, root)).as_posix()]
            if _counts(path, files, project)
        }
        reported = project.asked.reported | documents.keys()
        project = msgspec.structs.replace(
            project,
            contents=dict(_edited(documents, files, project)),
            asked=msgspec.structs.replace(project.asked, reported=frozenset(reported)),
        )
        known = self._known_of(root, project)

        def progress(stage: str, done: int, total: int) -> None:
            if stage == engine.ANALYSING:
                check()

        is_first = not known.recollection.records
        # Of what is typed nothing is written, and later runs would leave out what is known here.
        cache = known.below if is_first and not project.contents else known.cache
        findings, _ = engine.findings_of(project, cache, progress, known.recollection)
        narrowing = self._narrowings[root].again(project)
        return Examined(
            project=project,
            findings=findings,
            shown=narrowing.of(findings.diagnostics, findings.excerpts).diagnostics,
            narrowing=narrowing,
            documents=documents,
            cache=known.cache,
            recollection=known.recollection,
        )

    def _known_of(self, root: Path, project: Project) -> _Known:
        known = self._known.get(root)
        if known is None:
            below = engine.cache_of(project)
            known = self._known[root] = _Known(below, Memory(below), Recollection())
        return known


def _opened(path: str, cwd: str, options: Options) -> Sequence[Project]:
    request = Request(paths=(path,), cwd=cwd, config=options.config, inline_config=options.inline)
    return open_request(request).projects


def _reject_unknown_rules(project: Project) -> None:
    """Find out whether the settings select rules that there are.

    Raises:
        ConfigError: they do not.
    """
    settings, nested = project.settings, project.discovery.nested
    Scope(project.root, settings, nested, registry.available(settings.plugins))


def _add(found: dict[Path, Project], projects: Iterable[Project]) -> None:
    """Add projects; two folders of one are reported on together."""
    for project in projects:
        other = found.get(project.root)
        if other is not None:
            one, two = other.asked, project.asked
            asked = Asked(
                one.reported | two.reported,
                tuple(sorted({*one.extra, *two.extra})),
                (*one.notices, *two.notices),
            )
            project = msgspec.structs.replace(other, asked=asked)
        found[project.root] = project


def _without_reports(project: Project) -> Project:
    """A project around a document that was opened alone: of its other files nothing is said."""
    asked = msgspec.structs.replace(project.asked, reported=frozenset())
    return msgspec.structs.replace(project, asked=asked)


def _lies_in(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def _counts(path: str, files: Mapping[str, ProjectFile], project: Project) -> bool:
    """Whether a document belongs to a project; it need not be on the disk yet."""
    if path in files:
        return True
    discovery = project.discovery
    return why_left_out(path, False, project.root, discovery, project.settings) is None


def _edited(
    documents: dict[str, Document], files: Mapping[str, ProjectFile], project: Project
) -> Iterable[tuple[str, bytes]]:
    """The contents of documents that are not what was on the disk when it was scanned."""
    for path, document in documents.items():
        data = document.data
        file = files.get(path)
        if document.cells is not None or file is None or data != _as_scanned(file, project):
            yield path, data


def _as_scanned(file: ProjectFile, project: Project) -> bytes | None:
    """The contents of a file, if it is still what was found."""
    data = read_bytes(project.root, file.path, project.settings.max_file_size)
    try:
        status = os.stat(project.root / file.path)
    except OSError:
        return None
    same = (status.st_mtime_ns, status.st_size) == (file.mtime_ns, file.size)
    return data if same and isinstance(data, bytes) else None
