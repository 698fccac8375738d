"""A project repaired in memory, as the tests of repairs need it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rnnlint import engine, repair, saving, silencing
from rnnlint.diagnostic import Withheld


class Result(msgspec.Struct, frozen=True):
    """What became of a project."""

    texts: dict[str, str]
    """The files that change, as they are then."""
    outcome: engine.Outcome
    offered: frozenset[str]
    """Codes of the rules that offered a repair."""

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        return self.outcome.withheld

    @property
    def codes(self) -> list[str]:
        """Codes of what is left."""
        return sorted(diagnostic.code for diagnostic in self.outcome.diagnostics)


def repaired(project: Path, *paths: str, unsafe: bool = True, **options: object) -> Result:
    """Repair a project in memory, with the repairs that want a look unless told otherwise."""
    inline = (f"unsafe-fixes = {str(unsafe).lower()}", *options.pop("inline_config", ()))  # type: ignore[misc]
    request = engine.Request(
        paths=paths,
        cwd=str(project),
        no_cache=True,
        inline_config=inline,
        **options,  # type: ignore[arg-type]
    )
    opened = engine.open_request(request)
    before = engine.examine(opened)
    results = repair.repair(opened, repair.fixes)
    return Result(
        {path: each.after[path].text for each in results for path in each.changed},
        saving.report(opened, results, 0.0),
        frozenset(d.code for d in before.diagnostics if d.fix is not None),
    )


def saved(project: Path, *paths: str, unsafe: bool = True) -> engine.Outcome:
    """Repair a project on disk, and say what came of it."""
    request = engine.Request(
        paths=paths,
        cwd=str(project),
        no_cache=True,
        inline_config=(f"unsafe-fixes = {str(unsafe).lower()}",),
    )
    opened = engine.open_request(request)
    results = [saving.save(each) for each in repair.repair(opened, repair.fixes)]
    return saving.report(opened, results, 0.0)


def silenced(project: Path, *paths: str) -> engine.Outcome:
    """Silence by comments on disk what is found in a project, and say what came of it."""
    request = engine.Request(paths=paths, cwd=str(project), no_cache=True)
    opened = engine.open_request(request)
    results = [saving.save(each) for each in repair.repair(opened, silencing.comments)]
    return saving.report(opened, results, 0.0)
