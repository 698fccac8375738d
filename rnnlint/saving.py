"""The end of a repair: what was worked out in memory is written, and reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from rnnlint import engine
from rnnlint.diagnostic import Notice, Withheld
from rnnlint.engine import Outcome
from rnnlint.fixing.choosing import Repair
from rnnlint.fixing.writing import CannotWriteError, Replacement, replace_together
from rnnlint.opening import Opened
from rnnlint.project.cache import Memory
from rnnlint.project.source import read_bytes
from rnnlint.repair import Repaired


def save(repaired: Repaired) -> Repaired:
    """Write the files of a project that change.

    Files that one repair changes are written together or not at all.  If some cannot be, the
    project is looked at once more, as it is.
    """
    refused: dict[str, CannotWriteError] = {}
    for paths in _belonging_together(repaired):
        files = {
            path: Replacement(repaired.data(path), repaired.before[path].digest) for path in paths
        }
        try:
            replace_together(repaired.project.root, files)
        except CannotWriteError as error:
            refused.update(dict.fromkeys(paths, error))
    return _as_it_is(repaired, refused) if refused else repaired


def _belonging_together(repaired: Repaired) -> list[frozenset[str]]:
    """The files that change, in groups that share no repair."""
    groups = [frozenset((path,)) for path in repaired.changed]
    for repair in repaired.done:
        shared = [group for group in groups if group & repair.paths]
        groups = [group for group in groups if not group & repair.paths]
        groups.append(frozenset().union(*shared))
    return sorted((group for group in groups if group), key=sorted)


def _as_it_is(repaired: Repaired, refused: dict[str, CannotWriteError]) -> Repaired:
    """The project on disk, where some files could not be written."""
    project = repaired.project
    contents: dict[str, bytes] = {}
    for path in repaired.changed:
        data = read_bytes(project.root, path, project.settings.max_file_size)
        if isinstance(data, bytes):
            contents[path] = data
    findings = engine.analysed(project, contents, Memory(engine.cache_of(project)))
    errors = {error.path: error for error in refused.values()}.values()
    notices = [Notice(error.path, error.reason, fatal=True, skips=False) for error in errors]
    return msgspec.structs.replace(
        repaired,
        findings=msgspec.structs.replace(findings, notices=(*findings.notices, *notices)),
        done=tuple(each for each in repaired.done if not each.paths & refused.keys()),
        withheld=(*repaired.withheld, *_withheld(repaired.done, refused)),
    )


def _withheld(done: Sequence[Repair], refused: dict[str, CannotWriteError]) -> Iterable[Withheld]:
    for repair in done:
        for path in sorted(repair.paths & refused.keys())[:1]:
            for diagnostic in repair.diagnostics:
                yield Withheld(diagnostic, str(refused[path]))


def report(opened: Opened, repaired: Sequence[Repaired], seconds: float) -> Outcome:
    """What was repaired in the projects that were opened, and what is left."""
    outcomes = [
        engine.outcome_of(
            each.project,
            each.findings,
            fixed=tuple(diagnostic for repair in each.done for diagnostic in repair.diagnostics),
            withheld=each.withheld,
        )
        for each in repaired
    ]
    return engine.merged(opened, outcomes, seconds)
