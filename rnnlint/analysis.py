"""The part of the way that a run with nothing new can spare: from files to findings.

Sift, read, lower, run the program abstractly, let the rules judge, and take out what
comments in the code silence.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rnnlint import registry, suppression
from rnnlint.diagnostic import Diagnostic, Level, Location, Notice, Span
from rnnlint.engine import ANALYSING, Findings, Progress
from rnnlint.flow import Flow
from rnnlint.lowering import ir
from rnnlint.lowering.recollection import Recollection
from rnnlint.project.cache import Blobs, Cache
from rnnlint.project.config import FixStyle, Settings
from rnnlint.project.discovery import ProjectFile
from rnnlint.project.imports import ImportGraph
from rnnlint.project.sift import FileRecord, sift
from rnnlint.project.source import LineIndex, Source, read_bytes, source_from_bytes
from rnnlint.scope import UNPARSABLE, Scope, offered

if TYPE_CHECKING:
    from rnnlint.api import Rule
    from rnnlint.semantics.program import Program

RECORDS = "records"
EXHAUSTED = (
    "is too large to follow every call, so findings may be missing; "
    "exclude what has nothing to do with training"
)
MAX_BROKEN_CELLS = 3
"""Cells of one notebook that are reported one by one."""


def analyse_project(
    *,
    root: Path,
    settings: Settings,
    nested: Mapping[str, Settings],
    files: Mapping[str, ProjectFile],
    overlay: Mapping[str, bytes],
    cache: Cache,
    ignore_suppressions: bool = False,
    progress: Progress | None = None,
    recollection: Recollection | None = None,
) -> Findings:
    """Analyse a whole project.

    Args:
        root: the project's folder.
        settings: the settings at the root.
        nested: those of folders with their own, by folder with a slash.
        files: the project's files by path.
        overlay: contents that replace what is on disk.
        cache: where to find and keep facts and representations.
        ignore_suppressions: whether to report what comments silence, too.
        progress: called as files are lowered.
        recollection: what this process remembers of the last analysis of the project.
    """
    recollection = recollection or Recollection()
    reader = _Reader(root, settings, overlay)
    graph = ImportGraph(files)
    sources = reader.sources(_sifted(reader, files, overlay, cache, recollection))
    lowered, problems = _lower(sources, settings.max_file_size, cache, progress, recollection)
    indexes = _Indexes(sources)
    broken = [_unparsable(each, len(sources[each.path].text), indexes) for each in problems]
    infos = registry.available(settings.plugins)
    scope = Scope(root, settings, nested, infos)
    judged: list[Diagnostic] = []
    notices: list[Notice] = []
    flows: tuple[Flow, ...] = ()
    if lowered:
        pause = bool if progress is None else partial(progress, ANALYSING, 0, 0)
        pause()
        judged, notices, flows = _judge(lowered, graph, indexes, scope, settings.fix_style, pause)
    found = _distinct([*broken, *judged])
    kept = _selected(found, sources, indexes, scope, ignore_suppressions)
    notices += _passed_over(broken, kept, lowered)
    # Where cells were left out, repairs would be blind to what is in them.
    mended = {each.path for each in problems if sources[each.path].cells is not None}
    texts = {path: each.text for path, each in sources.items() if path not in mended}
    ranked = [
        offered(diagnostic, scope, texts, indexes.span)
        for diagnostic in sorted(kept, key=lambda d: d.rank)
    ]
    return Findings(
        diagnostics=tuple(ranked),
        notices=(*reader.notices.values(), *notices),
        excerpts=_excerpts(ranked, flows, indexes),
        flows=flows,
        lowered=tuple(sorted(lowered)),
        unparsed=tuple(sorted(sources.keys() - lowered.keys())),
        digests={path: sources[path].digest for path in sorted(_edited_or_reported(ranked))},
        complete=reader.complete and not any(notice.fatal for notice in notices),
    )


class _Reader:
    """Reads the files of a project, each at most twice."""

    def __init__(self, root: Path, settings: Settings, overlay: Mapping[str, bytes]) -> None:
        self._root = root
        self._limit = settings.max_file_size
        self._overlay = overlay
        self.notices: dict[str, Notice] = {}
        self.complete = True
        """Whether no file refused to be read."""

    def read(self, path: str) -> bytes | Notice:
        """The bytes of a file, or why there are none."""
        if path in self._overlay:
            return self._overlay[path]
        data = read_bytes(self._root, path, self._limit)
        if isinstance(data, Notice) and data.fatal:
            self.complete = False
        return data

    def sources(self, paths: Sequence[str]) -> dict[str, Source]:
        """The texts of files; what cannot be read or decoded becomes a notice."""
        found: dict[str, Source] = {}
        for path in paths:
            data = self.read(path)
            source = data if isinstance(data, Notice) else source_from_bytes(path, data)
            if isinstance(source, Notice):
                self.notices[path] = source
            else:
                # Outputs are large, and nobody asks for them here.
                found[path] = msgspec.structs.replace(source, data=b"")
        return found


def _sifted(
    reader: _Reader,
    files: Mapping[str, ProjectFile],
    overlay: Mapping[str, bytes],
    cache: Cache,
    recollection: Recollection,
) -> tuple[str, ...]:
    """The files to parse, with the help of what the last run noted of each."""
    known = recollection.records or _stored_records(cache)
    # What lies over a file has no time of change, so it is known by its digest alone.
    fresh = {
        path: msgspec.structs.replace(record, mtime_ns=-1) if path in overlay else record
        for path, record in known.items()
    }
    result = sift(sorted(files.values()), reader.read, fresh)
    reader.notices.update((notice.path, notice) for notice in result.notices)
    recollection.records = result.records
    if not overlay and result.records != known:
        cache.store(RECORDS, msgspec.msgpack.encode(result.records))
    return result.selected


def _stored_records(cache: Cache) -> dict[str, FileRecord]:
    stored = cache.load(RECORDS)
    if stored is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.msgpack.decode(stored, type=dict[str, FileRecord])
    return {}


# --- lowering --------------------------------------------------------------


class _Problem(msgspec.Struct, frozen=True):
    """Why a file, or a cell of a notebook, could not be parsed, and where it shows."""

    path: str
    offset: int
    message: str
    remedy: str


def _lower(
    sources: dict[str, Source],
    limit: int,
    cache: Cache,
    progress: Progress | None,
    recollection: Recollection,
) -> tuple[dict[str, ir.FileIR], list[_Problem]]:
    """The representation of each source, from the cache where it is known."""
    kept = Blobs(cache, "representations")
    lowered: dict[str, ir.FileIR] = {}
    missing: dict[str, str] = {}
    for path, source in sources.items():
        written = None if path in recollection else kept.get(path)
        if written is not None:
            recollection.recall(path, written)
        known = recollection.representation(source)
        if known is None:
            missing[path] = source.text
        else:
            lowered[path] = known
    problems: list[_Problem] = []
    mended: dict[str, str] = {}
    for path, result in _lowered(missing, limit, progress):
        decoded = _decoded(result)
        if isinstance(decoded, ir.FileIR):
            lowered[path] = decoded
        else:
            text, found = _without_broken_cells(sources[path], limit)
            problems += found or [_of_file(sources[path], decoded)]
            if found:
                mended[path] = text
    for path, representation in lowered.items():
        if recollection.remember(sources[path], representation):
            kept.put(path, recollection.written(path))
    recollection.keep_only(set(sources))
    for path, result in _lowered(mended, limit, progress):
        decoded = _decoded(result)
        if isinstance(decoded, ir.FileIR):
            lowered[path] = decoded
        else:
            problems.append(_of_file(sources[path], decoded))
    kept.save()
    return lowered, problems


def _lowered(
    texts: Mapping[str, str], limit: int, progress: Progress | None
) -> Sequence[tuple[str, bytes | ir.SyntaxProblem]]:
    if not texts:
        return ()
    from rnnlint.lowering import pool

    told: Callable[[int, int], None] | None = None
    if progress is not None:
        report = progress

        def told(done: int, total: int) -> None:
            report("Reading", done, total)

    return list(pool.lower_all(texts, progress=told, largest=limit))


def _decoded(result: bytes | ir.SyntaxProblem) -> ir.FileIR | ir.SyntaxProblem:
    if isinstance(result, ir.SyntaxProblem):
        return result
    try:
        return ir.decode(result)
    except (msgspec.MsgspecError, RecursionError):
        return ir.SyntaxProblem(
            "it is nested too deeply", remedy="simplify its longest expression or exclude the file"
        )


def _without_broken_cells(source: Source, limit: int) -> tuple[str, list[_Problem]]:
    """A notebook's text with the cells blanked that do not parse by themselves.

    Joined to one text, a cell that ends too early would be blamed on the next one.
    """
    cells = {str(cell.number): cell for cell in source.cells or ()}
    text = source.text
    texts = {number: text[cell.start : cell.end] for number, cell in cells.items()}
    problems: list[_Problem] = []
    for number, result in _lowered(texts, limit, None):
        decoded = _decoded(result)
        if isinstance(decoded, ir.SyntaxProblem):
            cell = cells[number]
            offset = cell.start + _offset_of(texts[number], decoded)
            message = f"this cell cannot be parsed, so it was left out: {decoded.message}"
            problems.append(_Problem(source.path, offset, message, decoded.remedy))
            blank = "".join(c if c in "\r\n" else " " for c in texts[number])
            text = text[: cell.start] + blank + text[cell.end :]
    return text, _summed_up(problems)


def _summed_up(problems: list[_Problem]) -> list[_Problem]:
    """A notebook in another dialect fails in cell after cell: that is said once."""
    if len(problems) <= MAX_BROKEN_CELLS:
        return problems
    first = min(problems, key=lambda problem: problem.offset)
    reason = first.message.partition(": ")[2]
    count = len(problems)
    message = f"{count} cells of this notebook cannot be parsed, so they were left out: {reason}"
    return [_Problem(first.path, first.offset, message, first.remedy)]


def _of_file(source: Source, problem: ir.SyntaxProblem) -> _Problem:
    message = f"this file cannot be parsed, so it was not analysed: {problem.message}"
    return _Problem(source.path, _offset_of(source.text, problem), message, problem.remedy)


def _offset_of(text: str, problem: ir.SyntaxProblem) -> int:
    """Where in a text a problem lies."""
    starts = LineIndex(Source("", text, "utf-8", False, ""))
    row = min(problem.row, starts.row_count())
    offset = starts.offset(Location(max(row, 1), max(problem.column, 1)))
    return min(offset, len(text))


def _unparsable(problem: _Problem, length: int, indexes: _Indexes) -> Diagnostic:
    code, name = UNPARSABLE
    return Diagnostic(
        code=code,
        name=name,
        level=Level.ERROR,
        message=problem.message,
        span=indexes.span(problem.path, problem.offset, min(problem.offset + 1, length)),
        help=problem.remedy,
    )


def _passed_over(
    broken: Sequence[Diagnostic], kept: Sequence[Diagnostic], lowered: Collection[str]
) -> list[Notice]:
    """What could not be parsed and is not reported, because the user wants it so."""
    reported = {diagnostic.span.path for diagnostic in kept if diagnostic.code == UNPARSABLE[0]}
    return [
        Notice(diagnostic.span.path, diagnostic.message, skips=diagnostic.span.path not in lowered)
        for diagnostic in broken
        if diagnostic.span.path not in reported
    ]


# --- judging ---------------------------------------------------------------


class _Indexes:
    """Line indexes of the sources, made when a place in them is asked for."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        self._made: dict[str, LineIndex] = {}

    def of(self, path: str) -> LineIndex:
        if path not in self._made:
            self._made[path] = LineIndex(self.sources[path])
        return self._made[path]

    def span(self, path: str, start: int, end: int) -> Span:
        return self.of(path).span(start, end)


def _judge(
    lowered: Mapping[str, ir.FileIR],
    graph: ImportGraph,
    indexes: _Indexes,
    scope: Scope,
    fix_style: FixStyle,
    pause: Callable[[], object],
) -> tuple[list[Diagnostic], list[Notice], tuple[Flow, ...]]:
    """What the rules find, what could not be looked at, and how the project trains."""
    from rnnlint.semantics.flows import flows
    from rnnlint.semantics.program import analyse

    program = analyse(
        lowered,
        graph.resolve,
        lambda place: indexes.span(place.path, place.start, place.end),
        lambda path: indexes.sources[path].text,
        fix_style,
        lambda path: indexes.sources[path].cells,
        pause,
    )
    failures = [_Failure("the analysis", "rnnlint", error) for error in program.failures]
    found: list[Diagnostic] = []
    wanted = scope.wanted
    for info in [info for info in scope.infos if info.code in wanted]:
        judged, error = _judged_by(registry.load(info), program)
        found += judged
        if error is not None:
            failures.append(_Failure(f"rule {info.code}", registry.owner(info), error))
    notices = _faults(failures)
    if program.exhausted:
        notices.append(Notice(".", EXHAUSTED, skips=False))
    return found, notices, flows(program)


def _judged_by(rule: Rule, program: Program) -> tuple[list[Diagnostic], Exception | None]:
    """What one rule finds; its failure must not cost what the others find."""
    found: list[Diagnostic] = []
    try:
        # A plugin may yield what it likes.
        made: Iterable[object] = rule.check(program)
        for diagnostic in made:
            if not isinstance(diagnostic, Diagnostic):
                return found, TypeError(f"it yields {diagnostic!r}, which is no Diagnostic")
            found.append(diagnostic)
    except SystemExit as error:
        return found, RuntimeError(f"it ended the process with {error.code!r}")
    except Exception as error:
        return found, error
    return found, None


class _Failure(msgspec.Struct, frozen=True):
    """What failed, and whose fault it is."""

    what: str
    owner: str
    error: Exception


def _faults(failures: Sequence[_Failure]) -> list[Notice]:
    """Say what failed in rnnlint or a plugin; whoever mends it gets the traceback instead."""
    if failures and os.environ.get("RNNLINT_TRACEBACK"):
        raise failures[0].error
    return [
        Notice(
            ".",
            f"{each.what} failed on a part of this project ({type(each.error).__name__}: "
            f"{each.error}), so findings may be missing; this is a fault of {each.owner}, not of "
            "your code: set RNNLINT_TRACEBACK=1 for the traceback, and please report that",
            fatal=True,
            skips=False,
        )
        for each in failures[:1]
    ]


def _distinct(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """One diagnostic for each code and place: the most severe, if possible with a repair."""
    best: dict[tuple[str, Span], Diagnostic] = {}
    for diagnostic in found:
        key = (diagnostic.code, diagnostic.span)
        known = best.get(key)
        if known is None or _precedence(diagnostic) < _precedence(known):
            best[key] = diagnostic
    return list(best.values())


def _precedence(diagnostic: Diagnostic) -> tuple[int, bool]:
    return diagnostic.level.rank, diagnostic.fix is None


def _selected(
    found: Sequence[Diagnostic],
    sources: Mapping[str, Source],
    indexes: _Indexes,
    scope: Scope,
    ignore_suppressions: bool,
) -> list[Diagnostic]:
    """What is selected for its file and not silenced there, and comments that silence nothing."""
    by_path: dict[str, list[Diagnostic]] = {path: [] for path in sources}
    for diagnostic in found:
        by_path[diagnostic.span.path].append(diagnostic)
    kept: list[Diagnostic] = []
    for path, diagnostics in by_path.items():
        codes = scope.codes(path)
        wanted = [diagnostic for diagnostic in diagnostics if diagnostic.code in codes]
        text = sources[path].text
        if ignore_suppressions or not suppression.mentions_suppression(text):
            kept += wanted
            continue
        index = indexes.of(path)
        result = suppression.apply(
            text,
            [(index.row_of(d.span.location, d.span.cell), d) for d in wanted],
            infos=scope.infos,
            selected=codes,
            locate=index.span,
        )
        kept += [*result.kept, *result.unused]
    return kept


def _edited_or_reported(diagnostics: Sequence[Diagnostic]) -> set[str]:
    """The files that a repair, or a comment that silences, may change."""
    reported = {diagnostic.span.path for diagnostic in diagnostics}
    fixes = (diagnostic.fix for diagnostic in diagnostics if diagnostic.fix is not None)
    return reported | {edit.path for fix in fixes for edit in fix.edits}


def _excerpts(
    diagnostics: Sequence[Diagnostic], flows: Sequence[Flow], indexes: _Indexes
) -> dict[str, dict[int, str]]:
    """The source lines that a report shows, with their neighbours."""
    from rnnlint.reporting.report import excerpt_key

    excerpts: dict[str, dict[int, str]] = {}
    for stop in (stop for flow in flows for stop in flow.stops):
        # Of a loop the first line tells which it is.
        row = stop.span.location.row
        rows = excerpts.setdefault(excerpt_key(stop.span), {})
        rows[row] = indexes.of(stop.span.path).row_text(row, stop.span.cell)
    for diagnostic in diagnostics:
        edits = diagnostic.fix.edits if diagnostic.fix is not None else ()
        edited = [indexes.span(edit.path, edit.start, edit.end) for edit in edits]
        for span in (diagnostic.span, *(step.span for step in diagnostic.trail), *edited):
            index = indexes.of(span.path)
            rows = excerpts.setdefault(excerpt_key(span), {})
            last = min(span.end_location.row + 1, index.row_count(span.cell))
            for row in range(max(span.location.row - 1, 1), last + 1):
                rows[row] = index.row_text(row, span.cell)
    return excerpts
