"""What a user names, opened: its projects with their settings, files and contents.

Nothing is read here but settings and folders, so this costs little.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Notice
from rnnlint.project.config import ConfigError, Settings, load_settings
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

STDIN_NAME = "stdin.py"


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
    diff_base: str | None = None
    """Report only what stands on lines that changed since this revision."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project of which something is asked, as it was found."""

    request: Request
    root: Path
    cwd: Path
    given: tuple[str, ...]
    """The absolute paths in it that were named."""
    settings: Settings
    """Those at the root; for what concerns the whole run, those nearest to the paths."""
    discovery: Discovery
    contents: dict[str, bytes]
    """What replaces a file on disk, by path: that from the standard input."""
    asked: Asked

    def files(self, contents: Mapping[str, bytes]) -> dict[str, ProjectFile]:
        """Its files by path, where some have other contents than on disk."""
        files = {file.path: file for file in (*self.discovery.files, *self.asked.extra)}
        files.update({path: ProjectFile(path, 0, len(data)) for path, data in contents.items()})
        return files


class Opened(msgspec.Struct, frozen=True):
    """The projects that a request concerns."""

    projects: tuple[Project, ...]
    notices: tuple[Notice, ...]
    """On what was named and is not there."""
    settings: Settings
    """Those that hold for the whole run."""


def open_request(request: Request) -> Opened:
    """Find the projects that the request's paths lie in.

    Raises:
        ConfigError: the settings cannot be used.
        UsageError: the request contradicts itself.
    """
    cwd = Path(request.cwd)
    groups, notices = _groups(request, cwd)
    projects = tuple(_project(request, root, paths, cwd) for root, paths in groups.items())
    settings = projects[0].settings if projects else _settings(request, cwd)
    return Opened(projects, tuple(notices), settings)


def show_settings(request: Request) -> tuple[Settings, tuple[Notice, ...]]:
    """The settings that hold for the first path of a request, and what is not there."""
    groups, notices = _groups(request, Path(request.cwd))
    paths = next(iter(groups.values()), [request.cwd])
    return _settings(request, Path(paths[0])), tuple(notices)


def asked_about(project: Project) -> Callable[[str], bool]:
    """Tell whether a file or folder, reported or left out, is among what was asked about."""
    paths = () if project.contents else project.given
    given = {Path(os.path.relpath(path, project.root)).as_posix() for path in paths}

    def is_asked(path: str) -> bool:
        around = (parent.as_posix() for parent in Path(path).parents)
        return path in project.asked.reported or not given.isdisjoint((path, *around))

    return is_asked


def _project(request: Request, root: Path, paths: Sequence[str], cwd: Path) -> Project:
    settings = _for_the_run(_settings(request, root), _settings(request, Path(paths[0])))
    discovery = _discover(request, root, settings)
    contents = _contents(request, root, paths)
    return Project(
        request=request,
        root=root,
        cwd=cwd,
        given=tuple(paths),
        settings=settings,
        discovery=discovery,
        contents=contents,
        asked=_asked(root, paths, contents, discovery, settings),
    )


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


def _for_the_run(settings: Settings, nearest: Settings) -> Settings:
    """The settings at the root, with those for the whole run from what is nearest to the paths."""
    return msgspec.structs.replace(
        settings,
        plugins=nearest.plugins,
        fix=nearest.fix,
        fix_only=nearest.fix_only,
        unsafe_fixes=nearest.unsafe_fixes,
        show_fixes=nearest.show_fixes,
        fail_on=nearest.fail_on,
        baseline=nearest.baseline,
        output_format=nearest.output_format,
        cache_dir=nearest.cache_dir,
    )


def _asked(
    root: Path,
    paths: Sequence[str],
    contents: Mapping[str, bytes],
    discovery: Discovery,
    settings: Settings,
) -> Asked:
    """What to report on: a file from the standard input need not be on disk."""
    if not contents:
        return select_reported(paths, root, discovery, settings)
    (path,) = contents
    known = any(file.path == path for file in discovery.files)
    reason: str | None = None
    if settings.force_exclude and not known:
        reason = why_left_out(path, False, root, discovery, settings)
    if reason is not None:
        return Asked(frozenset(), (), (Notice(path, reason),))
    return Asked(frozenset(contents), (), ())


def _contents(request: Request, root: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """Contents that replace what is on disk, by path."""
    if request.stdin is None:
        return {}
    path = Path(os.path.relpath(paths[0], root)).as_posix()
    if not is_text(path):
        raise UsageError(f"the name '{shown(path)}' for standard input is no text; use another")
    if os.path.isdir(paths[0]):
        raise UsageError(f"'{path}', for standard input, is a folder; name a file")
    return {path: request.stdin}
