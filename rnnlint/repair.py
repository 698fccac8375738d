"""The repair of a project, in memory: carry out, look again, until nothing is left to do.

Each pass carries out the repairs that do not get in each other's way, and analyses the whole
project as it would then be.  A repair that does not cure its diagnostic, or leads to another,
is withheld; the pass is tried again without it.  What a repair uncovers in other code, by having
it trained at last, is no fault of the repair: the next pass sees to it.  Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from rnnlint import engine
from rnnlint.diagnostic import Applicability, Diagnostic, Level, Notice, Span, Withheld
from rnnlint.engine import Findings, Progress
from rnnlint.fixing.choosing import Repair, compatible, repair_of
from rnnlint.fixing.comparing import compare
from rnnlint.fixing.editing import Edited, Moves, by_path
from rnnlint.fixing.soundness import flaw
from rnnlint.narrowing import Narrowing
from rnnlint.opening import Opened, Project
from rnnlint.project.cache import Cache, Memory
from rnnlint.project.source import Source, read_source, source_from_bytes
from rnnlint.reporting.report import file_or_cell

if TYPE_CHECKING:
    from rnnlint.lowering.recollection import Recollection

MAX_PASSES = 10
_CHANGED = "changed on disk meanwhile, so it was left alone"
_STILL_THERE = "the finding would still be there"
_TOO_MANY = f"there is more to repair after {MAX_PASSES} passes; run it again"

Read = Callable[[str], Source | None]
"""A file of the project as it is at this stage; None if it is no longer what was analysed."""
Wishes = Callable[[Findings, Read], list[Repair]]
"""What is to be done about the findings of a project, whose files can be read."""


class Repaired(msgspec.Struct, frozen=True):
    """A project as it would be."""

    project: Project
    findings: Findings
    """What is left."""
    before: dict[str, Source]
    """The files that change, as they were."""
    after: dict[str, Source]
    done: tuple[Repair, ...] = ()
    withheld: tuple[Withheld, ...] = ()

    @property
    def changed(self) -> list[str]:
        """The files that are another than before."""
        return sorted(path for path in self.after if self.after[path] != self.before[path])

    def data(self, path: str) -> bytes:
        """The bytes of a file as it would be."""
        return Edited(self.after[path], ()).data


def fixes(project: Project, narrowing: Narrowing | None = None) -> Wishes:
    """The repairs that rules offer for what was asked about, and is to be reported."""
    allowed = [Applicability.SAFE]
    narrowed = (narrowing or Narrowing(project)).of
    if project.settings.unsafe_fixes:
        allowed.append(Applicability.UNSAFE)

    def wishes(findings: Findings, read: Read) -> list[Repair]:
        return [
            offered
            for diagnostic in narrowed(findings.diagnostics, findings.excerpts).diagnostics
            if diagnostic.fix is not None and diagnostic.fix.applicability in allowed
            if (offered := repair_of(diagnostic)) is not None
        ]

    return wishes


def repair(
    opened: Opened, wanted: Callable[[Project], Wishes], progress: Progress | None = None
) -> list[Repaired]:
    """Repair the projects that were opened, in memory."""
    return [_repaired(project, wanted(project), progress) for project in opened.projects]


def _repaired(project: Project, wishes: Wishes, progress: Progress | None) -> Repaired:
    below = engine.cache_of(project)
    cache = below if below.folder is not None else Memory(below)
    findings, _ = engine.findings_of(project, cache, progress)
    return repaired(project, findings, wishes, cache, progress)


def repaired(
    project: Project,
    findings: Findings,
    wishes: Wishes,
    cache: Cache,
    progress: Progress | None = None,
    recollection: Recollection | None = None,
) -> Repaired:
    """Repair a project, in memory, of which it is known what there is to find."""
    loop = _Loop(project, findings, Memory(cache), progress, recollection)
    loop.run(wishes)
    return loop.result()


class _Trial(msgspec.Struct, frozen=True):
    """Repairs that were carried out together, and what the project is then."""

    repairs: tuple[Repair, ...]
    edited: dict[str, Edited]
    findings: Findings


class _Failure(msgspec.Struct, frozen=True):
    """Why repairs must not be carried out together, and which of them may be the cause."""

    reason: str
    suspects: tuple[Repair, ...]
    certain: bool = False
    """Whether each of the suspects is one that must not be carried out."""


class _UnreadableError(Exception):
    """A file is not what was analysed; the reason says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


class _Loop:
    """The passes over one project."""

    def __init__(
        self,
        project: Project,
        findings: Findings,
        cache: Cache,
        progress: Progress | None,
        recollection: Recollection | None,
    ) -> None:
        self._project = project
        self._findings = findings
        self._cache = cache
        self._progress = progress
        self._recollection = recollection
        self._before: dict[str, Source] = {}
        self._sources: dict[str, Source] = {}
        self._done: list[Repair] = []
        self._withheld: list[Withheld] = []
        self._refused: set[tuple[str, Span]] = set()
        """Codes and places of what is not to be tried again."""
        self._digests = findings.digests
        self._lost: set[str] = set()
        """Files that are no longer what was analysed at first."""
        self._told: dict[str, Notice] = {}

    def run(self, wishes: Wishes) -> None:
        for _ in range(MAX_PASSES):
            repairs = compatible(self._readable(wishes(self._findings, self._text)))
            if not repairs:
                return
            trial = self._settled(repairs, _Trial((), {}, self._findings))
            self._carry_out(trial)
        if self._readable(wishes(self._findings, self._text)):
            self._told["."] = Notice(".", _TOO_MANY, skips=False)

    def result(self) -> Repaired:
        diagnostics = tuple(
            msgspec.structs.replace(each, fix=None) if _key(each) in self._refused else each
            for each in self._findings.diagnostics
        )
        notices = (*self._findings.notices, *self._told.values())
        return Repaired(
            self._project,
            msgspec.structs.replace(self._findings, diagnostics=diagnostics, notices=notices),
            {path: self._before[path] for path in self._sources},
            self._sources,
            tuple(self._done),
            tuple(self._withheld),
        )

    # --- files ---

    def _source(self, path: str) -> Source:
        """A file as it is at this stage.

        Raises:
            _UnreadableError: it is not what was analysed.
        """
        if path in self._sources:
            return self._sources[path]
        if path not in self._before:
            source = self._read(path)
            if isinstance(source, Notice):
                raise _UnreadableError(path, source.message)
            self._before[path] = source
        analysed = self._digests.get(path)
        if analysed not in (None, self._before[path].digest):
            raise _UnreadableError(path, _CHANGED)
        return self._before[path]

    def _text(self, path: str) -> Source | None:
        try:
            return self._source(path)
        except _UnreadableError as error:
            self._told[path] = Notice(path, error.reason, fatal=True, skips=False)
            return None

    def _read(self, path: str) -> Source | Notice:
        project = self._project
        if path in project.contents:
            return source_from_bytes(path, project.contents[path])
        return read_source(project.root, path, project.settings.max_file_size)

    def _readable(self, repairs: Iterable[Repair]) -> list[Repair]:
        """Those that are not refused, whose files are those that were analysed."""
        kept: list[Repair] = []
        lost = frozenset(self._lost)
        for each in repairs:
            if not lost.isdisjoint(each.paths) or any(
                _key(diagnostic) in self._refused for diagnostic in each.diagnostics
            ):
                continue
            reason = self._why_not(each.paths)
            if reason is None:
                kept.append(each)
            else:
                self._withhold(each, reason)
        return kept

    def _why_not(self, paths: Iterable[str]) -> str | None:
        try:
            for path in paths:
                is_stream = self._project.request.stdin is not None
                if is_stream and path not in self._project.contents:
                    return f"it changes {path} too, and the standard input is one file"
                self._source(path)
        except _UnreadableError as error:
            self._lost.add(error.path)
            return str(error)
        return None

    # --- trials ---

    def _settled(self, doubtful: Sequence[Repair], kept: _Trial) -> _Trial:
        """What is kept, and with it those of the doubtful repairs that stand the test."""
        if not doubtful:
            return kept
        result = self._attempt((*kept.repairs, *doubtful))
        if isinstance(result, _Trial):
            return result
        if len(doubtful) == 1:
            self._withhold(doubtful[0], result.reason)
            return kept
        suspects = [each for each in doubtful if each in result.suspects]
        others = [each for each in doubtful if each not in result.suspects]
        if result.certain and suspects:
            for each in suspects:
                self._withhold(each, result.reason)
            return self._settled(others, kept)
        if not suspects or not others:
            middle = len(doubtful) // 2
            others, suspects = list(doubtful[:middle]), list(doubtful[middle:])
        return self._settled(suspects, self._settled(others, kept))

    def _attempt(self, repairs: tuple[Repair, ...]) -> _Trial | _Failure:
        edits = by_path(edit for each in repairs for edit in each.edits)
        edited = {path: Edited(self._source(path), of_file) for path, of_file in edits.items()}
        for path, each in edited.items():
            reason = flaw(each)
            if reason is not None:
                return _Failure(f"{path}: {reason}", _touching({path}, repairs))
        findings = self._analysed({path: each.data for path, each in edited.items()})
        trial = _Trial(repairs, edited, findings)
        return self._worsened(trial) or trial

    def _analysed(self, changed: Mapping[str, bytes]) -> Findings:
        if self._progress is not None:
            self._progress("Verifying repairs", 0, 0)
        earlier = {path: Edited(source, ()).data for path, source in self._sources.items()}
        contents = {**self._project.contents, **earlier, **changed}
        return engine.analysed(
            self._project, contents, self._cache, recollection=self._recollection
        )

    def _worsened(self, trial: _Trial) -> _Failure | None:
        """What speaks against repairs, by what is found once they are carried out."""
        told = {(each.path, each.message) for each in self._findings.notices}
        # A file that cannot be parsed becomes a notice where the diagnostic is silenced.
        told |= {(each.span.path, each.message) for each in self._findings.diagnostics}
        for notice in trial.findings.notices:
            concerns_it = notice.path in trial.edited or notice.path == "."
            if concerns_it and (notice.path, notice.message) not in told:
                suspects = _touching({notice.path}, trial.repairs)
                return _Failure(f"{notice.path}: {notice.message}", suspects)
        moves = Moves(trial.edited)
        difference = compare(
            self._findings.diagnostics,
            trial.findings.diagnostics,
            moves,
            (self._findings.excerpts, trial.findings.excerpts),
        )
        left = set(difference.left)
        vain = tuple(each for each in trial.repairs if not left.isdisjoint(each.diagnostics))
        if vain:
            return _Failure(_STILL_THERE, vain, certain=True)
        for new in difference.new:
            if _is_uncovered(new, trial.repairs, moves):
                continue
            where = file_or_cell(new.span.path, new.span.cell)
            places = {new.span.path, *(step.span.path for step in new.trail)}
            reason = f"it would lead to {new.code} ({new.name}) at {where}:{new.span.location.row}"
            return _Failure(reason, _touching(places, trial.repairs))
        return None

    # --- what came of it ---

    def _withhold(self, each: Repair, reason: str) -> None:
        for diagnostic in each.diagnostics:
            self._refused.add(_key(diagnostic))
            self._withheld.append(Withheld(diagnostic, reason))

    def _carry_out(self, trial: _Trial) -> None:
        moves = Moves(trial.edited)
        self._refused = {(code, _start(moves.span(span))) for code, span in self._refused}
        self._sources.update({path: each.after for path, each in trial.edited.items()})
        self._findings = trial.findings
        # What was analysed once is not to become something else.
        self._digests = {**trial.findings.digests, **self._digests}
        self._done += trial.repairs


def _is_uncovered(new: Diagnostic, repairs: Sequence[Repair], moves: Moves) -> bool:
    """Whether a finding was there all along, in code that nothing trained before the repairs.

    What is certainly wrong is no such finding, nor is anything in what the repairs wrote.
    """
    uncovering = all(each.uncovers for each in repairs)
    return uncovering and new.level is not Level.ERROR and not moves.wrote(new.span)


def _key(diagnostic: Diagnostic) -> tuple[str, Span]:
    """Recognises a diagnostic as long as its place is known."""
    return diagnostic.code, _start(diagnostic.span)


def _start(span: Span) -> Span:
    return msgspec.structs.replace(span, end_location=span.location)


def _touching(paths: set[str], repairs: Sequence[Repair]) -> tuple[Repair, ...]:
    return tuple(each for each in repairs if not paths.isdisjoint(each.paths))
