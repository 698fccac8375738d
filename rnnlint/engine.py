"""The whole way, once: from the paths a user names to ranked diagnostics.

The command line, the language server and the tests all call `check`.  When nothing
changed since the last run, it answers from the cache and imports neither the parser nor
a rule.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rnnlint import __version__
from rnnlint.diagnostic import Diagnostic, Fix, Notice, Span, Withheld
from rnnlint.flow import Flow
from rnnlint.narrowing import Narrowing
from rnnlint.opening import (
    Opened,
    Project,
    Request,
    UsageError,
    asked_about,
    open_request,
    show_settings,
)
from rnnlint.project.cache import Cache, digest_of
from rnnlint.project.config import Settings, settings_digest
from rnnlint.project.discovery import shown

if TYPE_CHECKING:
    from rnnlint.lowering.recollection import Recollection
    from rnnlint.reporting.page import Page

__all__ = [
    "Findings",
    "Opened",
    "Outcome",
    "Progress",
    "Request",
    "Summary",
    "UsageError",
    "check",
    "examine",
    "from_repository",
    "open_request",
    "show_files",
    "show_settings",
]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many files are done, and of how many."""

ANALYSING = "Analysing"
"""What is being done while the project is run abstractly, which nothing can be counted of."""
KEPT_FINDINGS = 8
"""Settings, nested ones not counted, under which the findings of a project are kept."""


class Summary(msgspec.Struct, frozen=True):
    """How much was looked at."""

    analysed: int = 0
    """Files that were asked about and could be read and parsed."""
    lowered: int = 0
    """Of them, those in which training code was read."""
    skipped: int = 0
    """Files that were asked about and left out; each has a notice."""
    cached: bool = False
    seconds: float = 0.0


class Outcome(msgspec.Struct, frozen=True):
    """What a run found."""

    diagnostics: tuple[Diagnostic, ...]
    """Selected, not silenced, the likeliest reason for a failure first."""
    notices: tuple[Notice, ...]
    excerpts: dict[str, dict[int, str]]
    """Source lines by file (see `reporting.report.excerpt_key`) and row."""
    summary: Summary
    settings: Settings
    fixed: tuple[Diagnostic, ...] = ()
    """What was repaired, as it was before."""
    withheld: tuple[Withheld, ...] = ()
    """Repairs that were not carried out, because they did not stand the test."""
    rules: dict[str, Page] = {}
    """The pages of rules by code, where the report holds them."""
    flows: tuple[Flow, ...] = ()
    """The training loops that pass through what was asked about."""
    known: int = 0
    """How many findings were left out because the baseline knows them."""

    @property
    def unsafe_fixes(self) -> bool:
        """Whether repairs that want a look are offered like those that need none."""
        return self.settings.unsafe_fixes


class Findings(msgspec.Struct, frozen=True):
    """All there is to say of one project, whatever paths were named; kept in the cache."""

    stamp: str = ""
    """Names the state of the project that the findings are of."""
    diagnostics: tuple[Diagnostic, ...] = ()
    notices: tuple[Notice, ...] = ()
    excerpts: dict[str, dict[int, str]] = {}
    lowered: tuple[str, ...] = ()
    unparsed: tuple[str, ...] = ()
    """Files of which nothing was analysed, because they cannot be parsed."""
    complete: bool = True
    """Whether every file could be read; what stood in the way may be gone the next time."""
    digests: dict[str, str] = {}
    """Names the contents of the files that a repair may edit."""
    flows: tuple[Flow, ...] = ()
    """How the project trains."""


def check(request: Request, progress: Progress | None = None) -> Outcome:
    """Analyse the projects that the request's paths lie in, and report on those paths.

    Raises:
        ConfigError: the settings cannot be used.
        UsageError: the request contradicts itself.
    """
    return examine(open_request(request), progress)


def examine(opened: Opened, progress: Progress | None = None) -> Outcome:
    """Analyse the projects that were opened, and report on what was asked about."""
    begun = time.perf_counter()
    # What may be wrong with a baseline or a revision is said before the long part.
    narrowings = [Narrowing(project) for project in opened.projects]
    outcomes = [
        outcome_of(project, *findings_of(project, cache_of(project), progress), narrowing=narrowing)
        for project, narrowing in zip(opened.projects, narrowings, strict=True)
    ]
    return merged(opened, outcomes, time.perf_counter() - begun)


def show_files(request: Request) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """The files that a request would report on, and what stands in the way of others."""
    opened = open_request(request)
    found: list[str] = []
    notices = list(opened.notices)
    for project in opened.projects:
        root, cwd, asked = project.root, project.cwd, project.asked
        found += [_shown(path, root, cwd) for path in sorted(asked.reported)]
        notices += [_renamed(notice, root, cwd) for notice in asked.notices]
    return tuple(found), tuple(notices)


def outcome_of(
    project: Project,
    findings: Findings,
    cached: bool = False,
    *,
    fixed: tuple[Diagnostic, ...] = (),
    withheld: tuple[Withheld, ...] = (),
    narrowing: Narrowing | None = None,
) -> Outcome:
    """What the findings of a whole project say of what was asked about."""
    asked = project.asked
    is_asked = asked_about(project)
    notices = _once(
        [
            *_concerning(project.discovery.notices, is_asked),
            *asked.notices,
            *_concerning(findings.notices, is_asked),
        ]
    )
    narrowed = (narrowing or Narrowing(project)).of(findings.diagnostics, findings.excerpts)
    left_out = {notice.path for notice in notices if notice.skips}
    summary = Summary(
        analysed=len(asked.reported - left_out - set(findings.unparsed)),
        lowered=len(asked.reported.intersection(findings.lowered)),
        skipped=_skipped(notices),
        cached=cached,
    )
    outcome = Outcome(
        diagnostics=narrowed.diagnostics,
        notices=tuple(notices),
        excerpts=findings.excerpts,
        summary=summary,
        settings=project.settings,
        fixed=fixed,
        withheld=withheld,
        flows=tuple(
            flow
            for flow in findings.flows
            if any(stop.span.path in asked.reported for stop in flow.stops)
        ),
        known=narrowed.known,
    )
    outcome = relative(outcome, project.root, project.cwd)
    # A baseline need not lie in the project, and is shown as the user sees it already.
    return msgspec.structs.replace(outcome, notices=(*outcome.notices, *narrowed.notices))


def _concerning(notices: Iterable[Notice], is_asked: Callable[[str], bool]) -> list[Notice]:
    """Notices on files that were not asked about are no failure, and none was skipped."""
    return [
        notice
        if not notice.skips or is_asked(notice.path)
        else msgspec.structs.replace(notice, fatal=False, skips=False)
        for notice in notices
    ]


def _once(notices: Iterable[Notice]) -> list[Notice]:
    """One notice for each path, a fatal one if there is any."""
    kept: dict[str, Notice] = {}
    for notice in notices:
        if notice.path not in kept or notice.fatal:
            kept[notice.path] = notice
    return list(kept.values())


def _skipped(notices: Iterable[Notice]) -> int:
    return len({notice.path for notice in notices if notice.skips})


def cache_of(project: Project) -> Cache:
    """Where earlier runs left what they found out about a project."""
    settings = project.settings
    folder = None if project.request.no_cache else project.root / settings.cache_dir
    version = f"{__version__}-{_state_of_code(settings.plugins)[:12]}"
    return Cache(folder, version, project.root)


def _version_of_parser() -> bytes:
    """What LibCST says of its version, without the import, which a warm run cannot afford."""
    specification = importlib.util.find_spec("libcst")
    folders = specification.submodule_search_locations if specification else None
    for folder in folders or ():
        with contextlib.suppress(OSError):
            return Path(folder, "_version.py").read_bytes()
    return b""


def _state_of_code(plugins: Sequence[str]) -> str:
    """Names the state of the code that findings depend on: ours, rules, plugins, the parser."""
    here = Path(__file__).parent
    tops = [str(here), str(here.parent / "rules")]
    if plugins:
        from rnnlint import registry

        tops += [folder for plugin in plugins for folder in registry.plugin_folders(plugin)]
    stamps = [_version_of_parser()]
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                if name.endswith(".py"):
                    status = os.stat(os.path.join(folder, name))
                    stamps.append(f"{name}:{status.st_mtime_ns}:{status.st_size}".encode())
    return digest_of(sorted(stamps))


def findings_of(
    project: Project,
    cache: Cache,
    progress: Progress | None = None,
    recollection: Recollection | None = None,
) -> tuple[Findings, bool]:
    """The findings of a project, and whether the cache had them because nothing changed."""
    stamp = _stamp(project)
    pack = f"findings-{_digest(project.settings)[:16]}"
    stored = None if project.contents else cache.load(pack)
    if stored is not None:
        try:
            findings = msgspec.msgpack.decode(stored, type=Findings)
        except msgspec.MsgspecError:
            findings = Findings()
        if findings.stamp == stamp:
            return findings, True
    findings = analysed(project, project.contents, cache, progress, recollection)
    findings = msgspec.structs.replace(findings, stamp=stamp)
    if not project.contents and findings.complete:
        cache.store(pack, msgspec.msgpack.encode(findings))
        _forget_old_findings(cache)
    if cache.notice is not None:
        notices = (*findings.notices, cache.notice)
        findings = msgspec.structs.replace(findings, notices=notices)
    return findings, False


def analysed(
    project: Project,
    contents: Mapping[str, bytes],
    cache: Cache,
    progress: Progress | None = None,
    recollection: Recollection | None = None,
) -> Findings:
    """The findings of a project, worked out, with some contents in the place of what is on disk."""
    from rnnlint import analysis

    return analysis.analyse_project(
        root=project.root,
        settings=project.settings,
        nested=project.discovery.nested,
        files=project.files(contents),
        overlay=contents,
        cache=cache,
        ignore_suppressions=project.request.ignore_noqa,
        progress=progress,
        recollection=recollection,
    )


def _forget_old_findings(cache: Cache) -> None:
    """Keep the findings under the few settings that were used last."""
    if cache.folder is None or cache.notice is not None:
        return
    with contextlib.suppress(OSError):  # another run may be at this too
        packs = cache.folder.glob("*/findings-*")
        for old in sorted(packs, key=lambda pack: -pack.stat().st_mtime_ns)[KEPT_FINDINGS:]:
            old.unlink()


def _digest(settings: Settings) -> str:
    """Names what the settings say of the analysis, whatever they say of report and repair."""
    plain = Settings()
    return settings_digest(
        msgspec.structs.replace(
            settings,
            output_format=plain.output_format,
            fail_on=plain.fail_on,
            fix=plain.fix,
            fix_only=plain.fix_only,
            show_fixes=plain.show_fixes,
            baseline=plain.baseline,
            unsafe_fixes=plain.unsafe_fixes,
        )
    )


def _stamp(project: Project) -> str:
    encode = msgspec.msgpack.encode
    discovery = project.discovery
    return digest_of(
        [
            encode(sorted(project.files(project.contents).values())),
            encode(discovery.settings_files),
            # These may inherit from files outside the project.
            *(_digest(nested).encode() for nested in discovery.nested.values()),
            bytes([project.request.ignore_noqa]),
            *project.contents.values(),
        ]
    )


# --- what the user sees ----------------------------------------------------


def _shown(path: str, root: Path, cwd: Path) -> str:
    """A project's path as seen from the working directory."""
    if root == cwd:
        return path
    return shown(Path(os.path.relpath(root / path, cwd)).as_posix())


def seen_from(path: str, project: Project) -> str:
    """A file's path as seen from the working directory."""
    return _shown(path, project.root, project.cwd)


def from_repository(outcome: Outcome, cwd: Path) -> Outcome:
    """The outcome with paths as seen from the repository around the working directory."""
    for folder in (cwd, *cwd.parents):
        if (folder / ".git").exists():
            return relative(outcome, cwd, folder)
    return outcome


def _renamed(notice: Notice, root: Path, cwd: Path) -> Notice:
    return msgspec.structs.replace(notice, path=_shown(notice.path, root, cwd))


def relative(outcome: Outcome, root: Path, cwd: Path) -> Outcome:
    """The outcome with paths as seen from the working directory."""
    if root == cwd:
        return outcome
    replace = msgspec.structs.replace

    def span(each: Span) -> Span:
        return replace(each, path=_shown(each.path, root, cwd))

    def fix(each: Fix) -> Fix:
        edits = tuple(replace(edit, path=_shown(edit.path, root, cwd)) for edit in each.edits)
        return replace(each, edits=edits)

    def diagnostic(each: Diagnostic) -> Diagnostic:
        return replace(
            each,
            span=span(each.span),
            trail=tuple(replace(step, span=span(step.span)) for step in each.trail),
            fix=None if each.fix is None else fix(each.fix),
        )

    return replace(
        outcome,
        diagnostics=tuple(map(diagnostic, outcome.diagnostics)),
        notices=tuple(_renamed(notice, root, cwd) for notice in outcome.notices),
        excerpts={_shown(key, root, cwd): rows for key, rows in outcome.excerpts.items()},
        fixed=tuple(map(diagnostic, outcome.fixed)),
        withheld=tuple(
            replace(each, diagnostic=diagnostic(each.diagnostic)) for each in outcome.withheld
        ),
        flows=tuple(
            replace(flow, stops=tuple(replace(stop, span=span(stop.span)) for stop in flow.stops))
            for flow in outcome.flows
        ),
    )


def merged(opened: Opened, outcomes: Sequence[Outcome], seconds: float) -> Outcome:
    """The outcomes of several projects as one, ranked."""
    diagnostics = [d for outcome in outcomes for d in outcome.diagnostics]
    every = _once([*opened.notices, *(n for outcome in outcomes for n in outcome.notices)])
    excerpts: dict[str, dict[int, str]] = {}
    for outcome in outcomes:
        excerpts.update(outcome.excerpts)
    summary = Summary(
        analysed=sum(outcome.summary.analysed for outcome in outcomes),
        lowered=sum(outcome.summary.lowered for outcome in outcomes),
        skipped=_skipped(every),
        cached=bool(outcomes) and all(outcome.summary.cached for outcome in outcomes),
        seconds=seconds,
    )
    return Outcome(
        diagnostics=tuple(sorted(diagnostics, key=lambda d: d.rank)),
        notices=tuple(every),
        excerpts=excerpts,
        summary=summary,
        settings=opened.settings,
        fixed=tuple(d for outcome in outcomes for d in outcome.fixed),
        withheld=tuple(each for outcome in outcomes for each in outcome.withheld),
        flows=tuple(flow for outcome in outcomes for flow in outcome.flows),
        known=sum(outcome.known for outcome in outcomes),
    )
