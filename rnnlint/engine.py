"""The whole way, once: from the paths a user names to ranked diagnostics.

The command line, the language server and the tests all call `check`.  When nothing
changed since the last run, it answers from the cache and imports neither the parser nor
a rule.
"""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from rnnlint import __version__
from rnnlint.diagnostic import Diagnostic, Notice, Span
from rnnlint.project.cache import Cache, digest_of
from rnnlint.project.config import ConfigError, Settings, load_settings, settings_digest
from rnnlint.project.discovery import (
    Asked,
    Discovery,
    ProjectFile,
    discover,
    group_by_root,
    is_text,
    project_root,
    select_reported,
    shown,
    why_left_out,
)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many files are done, and of how many."""

STDIN_NAME = "stdin.py"
KEPT_FINDINGS = 8
"""Settings, nested ones not counted, under which the findings of a project are kept."""


class UsageError(ConfigError):
    """The request cannot be carried out; the message says why and what to do."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks for."""

    paths: tuple[str, ...] = ()
    """As typed; none means the working directory."""
    cwd: str
    stdin: bytes | None = None
    """The text of one file that replaces what is on disk."""
    stdin_filename: str | None = None
    config: str | None = None
    """A settings file to use instead of the nearest."""
    inline_config: tuple[str, ...] = ()
    """TOML that overrides the settings file."""
    relative_globs: tuple[str, ...] = ()
    """The settings in `inline_config` whose globs are relative to the working directory."""
    isolated: bool = False
    no_cache: bool = False
    cache_dir: str | None = None
    ignore_noqa: bool = False
    """Report also what comments in the code silence."""


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
    """Selected, not silenced, the most severe first, then by place."""
    notices: tuple[Notice, ...]
    excerpts: dict[str, dict[int, str]]
    """Source lines by file (see `reporting.report.excerpt_key`) and row."""
    summary: Summary
    settings: Settings


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


def check(request: Request, progress: Progress | None = None) -> Outcome:
    """Analyse the projects that the request's paths lie in, and report on those paths.

    Raises:
        ConfigError: the settings cannot be used.
        UsageError: the request contradicts itself.
    """
    begun = time.perf_counter()
    cwd = Path(request.cwd)
    groups, notices = _groups(request, cwd)
    outcomes = [
        _check_project(request, root, paths, cwd, progress) for root, paths in groups.items()
    ]
    if not outcomes:
        settings = _settings(request, cwd)
        return Outcome((), tuple(notices), {}, Summary(skipped=_skipped(notices)), settings)
    return _merged(outcomes, notices, time.perf_counter() - begun)


def show_settings(request: Request) -> tuple[Settings, tuple[Notice, ...]]:
    """The settings that hold for the first path of a request, and what is not there."""
    cwd = Path(request.cwd)
    groups, notices = _groups(request, cwd)
    paths = next(iter(groups.values()), [request.cwd])
    return _settings(request, Path(paths[0])), tuple(notices)


def show_files(request: Request) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """The files that a request would report on, and what stands in the way of others."""
    cwd = Path(request.cwd)
    groups, notices = _groups(request, cwd)
    found: list[str] = []
    for root, paths in groups.items():
        settings = _settings(request, root)
        discovery = _discover(request, root, settings)
        overlay = _overlay(request, root, paths)
        asked = _asked(root, paths, overlay, discovery, settings)
        found += [_shown(path, root, cwd) for path in sorted(asked.reported)]
        notices += [_renamed(notice, root, cwd) for notice in asked.notices]
    return tuple(found), tuple(notices)


def _groups(request: Request, cwd: Path) -> tuple[dict[Path, list[str]], list[Notice]]:
    if request.stdin is None:
        return group_by_root(request.paths, cwd)
    if any(path != "-" for path in request.paths):
        raise UsageError("'-' reads one file from standard input; name no other path beside it")
    name = os.path.normpath(cwd / (request.stdin_filename or STDIN_NAME))
    return {project_root(Path(name), cwd): [name]}, []


def _settings(request: Request, start: Path) -> Settings:
    settings = load_settings(
        start,
        explicit=None if request.config is None else Path(request.cwd, request.config),
        inline=request.inline_config,
        isolated=request.isolated,
    )
    for name in request.relative_globs if request.cwd != settings.directory else ():
        globs = getattr(settings, name)
        new = {each: _rebased(each, request.cwd, settings.directory) for each in globs}
        is_table = isinstance(globs, dict)
        value = {new[each]: globs[each] for each in globs} if is_table else tuple(new.values())
        settings = msgspec.structs.replace(settings, **{name: value})
    if request.cache_dir is not None:
        folder = os.path.expanduser(request.cache_dir)
        settings = msgspec.structs.replace(settings, cache_dir=folder)
    return settings


def _rebased(pattern: str, here: str, directory: str) -> str:
    """A glob relative to the working directory as one relative to the folder of the settings."""
    sign = "!" if pattern.startswith("!") else ""
    inside = pattern.removeprefix("!").removeprefix("/")
    way = Path(os.path.relpath(directory, here)).as_posix()
    if inside.startswith(f"{way}/"):
        return sign + inside.removeprefix(way)
    below_here = not way.startswith("..") and glob.has_magic(inside.partition("/")[0])
    if below_here or "/" not in pattern.rstrip("/"):  # it may match at any depth
        return pattern
    # A way that goes up, as no path does, makes a glob for elsewhere match nothing.
    return f"{sign}/{glob.escape(Path(os.path.relpath(here, directory)).as_posix())}/{inside}"


def _discover(request: Request, root: Path, settings: Settings) -> Discovery:
    """Scan a project, with the settings of folders that have their own."""
    if request.config is not None or request.isolated:
        return discover(root, settings)
    return discover(root, settings, lambda folder: _settings(request, root / folder))


def _check_project(
    request: Request, root: Path, paths: Sequence[str], cwd: Path, progress: Progress | None
) -> Outcome:
    settings = _for_the_run(_settings(request, root), _settings(request, Path(paths[0])))
    discovery = _discover(request, root, settings)
    overlay = _overlay(request, root, paths)
    asked = _asked(root, paths, overlay, discovery, settings)
    files = {file.path: file for file in (*discovery.files, *asked.extra)}
    files.update({path: ProjectFile(path, 0, len(data)) for path, data in overlay.items()})
    cache = _cache(request, root, settings)
    findings, cached = _findings(
        request, root, settings, discovery, files, overlay, cache, progress
    )
    asked_about = _asked_about(asked.reported, [] if overlay else paths, root)
    notices = _once(
        [
            *_concerning(discovery.notices, asked_about),
            *asked.notices,
            *_concerning(findings.notices, asked_about),
        ]
    )
    if cache.notice is not None:
        notices.append(cache.notice)
    diagnostics = [d for d in findings.diagnostics if d.span.path in asked.reported]
    left_out = {notice.path for notice in notices if notice.skips}
    summary = Summary(
        analysed=len(asked.reported - left_out - set(findings.unparsed)),
        lowered=len(asked.reported.intersection(findings.lowered)),
        skipped=_skipped(notices),
        cached=cached,
    )
    return _relative(
        Outcome(tuple(diagnostics), tuple(notices), findings.excerpts, summary, settings), root, cwd
    )


def _for_the_run(settings: Settings, nearest: Settings) -> Settings:
    """The settings at the root, with those for the whole run from what is nearest to the paths."""
    return msgspec.structs.replace(
        settings,
        plugins=nearest.plugins,
        fail_on=nearest.fail_on,
        output_format=nearest.output_format,
        cache_dir=nearest.cache_dir,
    )


def _asked(
    root: Path,
    paths: Sequence[str],
    overlay: Mapping[str, bytes],
    discovery: Discovery,
    settings: Settings,
) -> Asked:
    """What to report on: a file from the standard input need not be on disk."""
    if not overlay:
        return select_reported(paths, root, discovery, settings)
    (path,) = overlay
    known = any(file.path == path for file in discovery.files)
    reason: str | None = None
    if settings.force_exclude and not known:
        reason = why_left_out(path, False, root, discovery, settings)
    if reason is not None:
        return Asked(frozenset(), (), (Notice(path, reason),))
    return Asked(frozenset(overlay), (), ())


def _overlay(request: Request, root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """Contents that replace what is on disk, by path."""
    if request.stdin is None:
        return {}
    path = Path(os.path.relpath(paths[0], root)).as_posix()
    if not is_text(path):
        raise UsageError(f"the name '{shown(path)}' for standard input is no text; use another")
    if os.path.isdir(paths[0]):
        raise UsageError(f"'{path}', for standard input, is a folder; name a file")
    return {path: request.stdin}


def _asked_about(
    reported: frozenset[str], paths: Sequence[str], root: Path
) -> Callable[[str], bool]:
    """Tell whether a file or folder, reported or left out, is among what was asked about."""
    given = {Path(os.path.relpath(path, root)).as_posix() for path in paths}

    def is_asked(path: str) -> bool:
        around = (parent.as_posix() for parent in Path(path).parents)
        return path in reported or not given.isdisjoint((path, *around))

    return is_asked


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


def _cache(request: Request, root: Path, settings: Settings) -> Cache:
    folder = None if request.no_cache else root / settings.cache_dir
    return Cache(folder, f"{__version__}-{_state_of_code(settings.plugins)[:12]}", root)


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


def _findings(
    request: Request,
    root: Path,
    settings: Settings,
    discovery: Discovery,
    files: Mapping[str, ProjectFile],
    overlay: Mapping[str, bytes],
    cache: Cache,
    progress: Progress | None,
) -> tuple[Findings, bool]:
    """The findings of a project, from the cache when nothing changed."""
    stamp = _stamp(request, settings, discovery, files, overlay)
    pack = f"findings-{_digest(settings)[:16]}"
    stored = cache.load(pack)
    if stored is not None and not overlay:
        try:
            findings = msgspec.msgpack.decode(stored, type=Findings)
        except msgspec.MsgspecError:
            findings = Findings()
        if findings.stamp == stamp:
            return findings, True
    from rnnlint import analysis

    findings = analysis.analyse_project(
        root=root,
        settings=settings,
        nested=discovery.nested,
        files=files,
        overlay=overlay,
        cache=cache,
        ignore_suppressions=request.ignore_noqa,
        progress=progress,
    )
    findings = msgspec.structs.replace(findings, stamp=stamp)
    if not overlay and findings.complete:
        cache.store(pack, msgspec.msgpack.encode(findings))
        _forget_old_findings(cache)
    return findings, False


def _forget_old_findings(cache: Cache) -> None:
    """Keep the findings under the few settings that were used last."""
    if cache.folder is None or cache.notice is not None:
        return
    with contextlib.suppress(OSError):  # another run may be at this too
        packs = cache.folder.glob("*/findings-*")
        for old in sorted(packs, key=lambda pack: -pack.stat().st_mtime_ns)[KEPT_FINDINGS:]:
            old.unlink()


def _digest(settings: Settings) -> str:
    """Names what the settings say of the analysis, whatever they say of the report."""
    plain = Settings()
    return settings_digest(
        msgspec.structs.replace(settings, output_format=plain.output_format, fail_on=plain.fail_on)
    )


def _stamp(
    request: Request,
    settings: Settings,
    discovery: Discovery,
    files: Mapping[str, ProjectFile],
    overlay: Mapping[str, bytes],
) -> str:
    encode = msgspec.msgpack.encode
    return digest_of(
        [
            encode(sorted(files.values())),
            encode(discovery.settings_files),
            # These may inherit from files outside the project.
            *(_digest(nested).encode() for nested in discovery.nested.values()),
            bytes([request.ignore_noqa]),
            *overlay.values(),
        ]
    )


# --- what the user sees ----------------------------------------------------


def _shown(path: str, root: Path, cwd: Path) -> str:
    """A project's path as seen from the working directory."""
    if root == cwd:
        return path
    return shown(Path(os.path.relpath(root / path, cwd)).as_posix())


def from_repository(outcome: Outcome, cwd: Path) -> Outcome:
    """The outcome with paths as seen from the repository around the working directory."""
    for folder in (cwd, *cwd.parents):
        if (folder / ".git").exists():
            return _relative(outcome, cwd, folder)
    return outcome


def _renamed(notice: Notice, root: Path, cwd: Path) -> Notice:
    return msgspec.structs.replace(notice, path=_shown(notice.path, root, cwd))


def _relative(outcome: Outcome, root: Path, cwd: Path) -> Outcome:
    """The outcome with paths as seen from the working directory."""
    if root == cwd:
        return outcome

    def span(each: Span) -> Span:
        return msgspec.structs.replace(each, path=_shown(each.path, root, cwd))

    diagnostics = tuple(
        msgspec.structs.replace(
            d,
            span=span(d.span),
            trail=tuple(msgspec.structs.replace(s, span=span(s.span)) for s in d.trail),
        )
        for d in outcome.diagnostics
    )
    notices = tuple(_renamed(notice, root, cwd) for notice in outcome.notices)
    excerpts = {_shown(key, root, cwd): rows for key, rows in outcome.excerpts.items()}
    return msgspec.structs.replace(
        outcome, diagnostics=diagnostics, notices=notices, excerpts=excerpts
    )


def _merged(outcomes: Sequence[Outcome], notices: Sequence[Notice], seconds: float) -> Outcome:
    """The outcomes of several projects as one, ranked."""
    diagnostics = [d for outcome in outcomes for d in outcome.diagnostics]
    every = _once([*notices, *(n for outcome in outcomes for n in outcome.notices)])
    excerpts: dict[str, dict[int, str]] = {}
    for outcome in outcomes:
        excerpts.update(outcome.excerpts)
    summary = Summary(
        analysed=sum(outcome.summary.analysed for outcome in outcomes),
        lowered=sum(outcome.summary.lowered for outcome in outcomes),
        skipped=_skipped(every),
        cached=all(outcome.summary.cached for outcome in outcomes),
        seconds=seconds,
    )
    ranked = sorted(diagnostics, key=lambda d: (d.level.rank, d.sort_key))
    return Outcome(tuple(ranked), tuple(every), excerpts, summary, outcomes[0].settings)
