"""Finding the files of a project, and those of them that the user asked about."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Notice
from rnnlint.project.config import Settings
from rnnlint.project.patterns import Exclusions, Patterns

SUFFIXES = (".py", ".ipynb")
_REPOSITORY_MARKS = (".git", ".hg")
_PROJECT_MARKS = ("rnnlint.toml", ".rnnlint.toml", "pyproject.toml", "setup.py", "setup.cfg")
_SETTINGS_FILES = ("rnnlint.toml", ".rnnlint.toml", "pyproject.toml", ".gitignore")


class ProjectFile(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A file as the last scan saw it; an unchanged stamp means an unchanged file."""

    path: str
    """Relative to the project root, with forward slashes."""
    mtime_ns: int
    size: int


class Discovery(msgspec.Struct, frozen=True):
    """What a scan found."""

    files: tuple[ProjectFile, ...]
    """Python files and notebooks that no exclude or .gitignore leaves out, by path."""
    settings_files: tuple[ProjectFile, ...]
    """Settings and ignore files: when one changes, stored findings are out of date."""
    notices: tuple[Notice, ...]


class Asked(msgspec.Struct, frozen=True):
    """What the paths on the command line ask for, within one project."""

    reported: frozenset[str]
    """The files to report on."""
    extra: tuple[ProjectFile, ...]
    """Files named by hand that the scan leaves out."""
    notices: tuple[Notice, ...]


def project_root(path: Path, cwd: Path) -> Path:
    """The folder of the project that a file or folder belongs to.

    That is the repository around it, else the nearest folder with a project file, else
    the working directory if that is around it, else the folder itself.
    """
    folder = path if path.is_dir() else path.parent
    around = [folder, *folder.parents]
    for marks in (_REPOSITORY_MARKS, _PROJECT_MARKS):
        for candidate in around:
            if any((candidate / mark).exists() for mark in marks):
                return candidate
    return cwd if cwd in around else folder


def group_by_root(paths: Sequence[str], cwd: Path) -> tuple[dict[Path, list[str]], list[Notice]]:
    """The absolute paths asked for, by project; globs that the shell left are expanded."""
    groups: dict[Path, list[str]] = {}
    notices: list[Notice] = []
    for given in paths or (".",):
        for path in _expanded(given, cwd):
            absolute = os.path.normpath(os.path.join(cwd, path))
            if not os.path.lexists(absolute):
                remedy = "no such file or folder; check the spelling"
                notices.append(Notice(given, remedy, fatal=True))
                continue
            groups.setdefault(project_root(Path(absolute), cwd), []).append(absolute)
    return groups, notices


def _expanded(given: str, cwd: Path) -> Iterable[str]:
    if not glob.has_magic(given) or os.path.lexists(os.path.join(cwd, given)):
        return (given,)
    found = glob.glob(given, root_dir=cwd, recursive=True)
    return sorted(found) or (given,)


def discover(root: Path, settings: Settings) -> Discovery:
    """Scan a project once.

    Links to folders are not followed; folders that vanish meanwhile are passed over with
    a notice.
    """
    scan = _Scan(root, settings)
    stack: list[tuple[str, tuple[tuple[str, Patterns], ...]]] = [("", ())]
    while stack:
        folder, ignores = stack.pop()
        stack.extend(scan.folder(folder, ignores))
    return Discovery(
        tuple(sorted(scan.files)), tuple(sorted(scan.settings_files)), tuple(scan.notices)
    )


class _Scan:
    """The state of one scan."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = str(root)
        self.files: list[ProjectFile] = []
        self.settings_files: list[ProjectFile] = []
        self.notices: list[Notice] = []
        self._gitignore = settings.respect_gitignore
        globs = (*settings.exclude, *settings.extend_exclude)
        self._excluded = Exclusions(globs, Path(settings.directory), root)

    def folder(
        self, folder: str, ignores: tuple[tuple[str, Patterns], ...]
    ) -> list[tuple[str, tuple[tuple[str, Patterns], ...]]]:
        """Note the files of one folder, and return its folders with the ignores that hold."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror or error}"
            self.notices.append(Notice(folder or ".", reason))
            return []
        prefix = f"{folder}/" if folder else ""
        if self._gitignore and any(entry.name == ".gitignore" for entry in found):
            ignores = (*ignores, *self._patterns(folder, prefix))
        below = []
        for entry in found:
            path = prefix + entry.name
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_folder:
                    self._file(entry, path, ignores)
                elif not self._is_left_out(path, True, ignores):
                    below.append((path, ignores))
            except OSError as error:
                self.notices.append(Notice(path, f"cannot be read: {error.strerror or error}"))
        return below

    def _file(
        self, entry: os.DirEntry[str], path: str, ignores: tuple[tuple[str, Patterns], ...]
    ) -> None:
        if entry.name in _SETTINGS_FILES:
            self.settings_files.append(_stamped(path, entry.stat()))
        elif (
            entry.name.endswith(SUFFIXES)
            and not self._is_left_out(path, False, ignores)
            and entry.is_file()
        ):
            self.files.append(_stamped(path, entry.stat()))

    def _patterns(self, folder: str, prefix: str) -> list[tuple[str, Patterns]]:
        path = os.path.join(self.root, folder, ".gitignore")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.rstrip("\n") for line in file]
        except OSError as error:
            self.notices.append(
                Notice(f"{prefix}.gitignore", f"cannot be read: {error.strerror or error}")
            )
            return []
        wanted = [line for line in lines if line.strip() and not line.startswith("#")]
        return [(prefix, Patterns(wanted))] if wanted else []

    def _is_left_out(
        self, path: str, is_folder: bool, ignores: tuple[tuple[str, Patterns], ...]
    ) -> bool:
        if self._excluded.match(path, is_folder):
            return True
        for prefix, patterns in reversed(ignores):
            decided = patterns.decide(path[len(prefix) :], is_folder)
            if decided is not None:
                return decided
        return False


def _stamped(path: str, status: os.stat_result) -> ProjectFile:
    return ProjectFile(path, status.st_mtime_ns, status.st_size)


def select_reported(
    absolute: Sequence[str], root: Path, discovery: Discovery, settings: Settings
) -> Asked:
    """Which of a project's files the given absolute paths ask about."""
    known = {file.path: file for file in discovery.files}
    reported: set[str] = set()
    extra: dict[str, ProjectFile] = {}
    notices: list[Notice] = []
    for path in absolute:
        relative = Path(os.path.relpath(path, root)).as_posix()
        if os.path.isdir(path):
            prefix = "" if relative == "." else f"{relative}/"
            inside = [name for name in known if name.startswith(prefix)]
            reported.update(inside)
            if not inside and relative != ".":
                extra.update(_named_folder(root, relative, settings))
                reported.update(name for name in extra if name.startswith(prefix))
        elif relative in known:
            reported.add(relative)
        elif settings.force_exclude:
            notices.append(Notice(relative, "is excluded by the settings"))
        elif _is_python(path):
            try:
                extra[relative] = _stamped(relative, os.stat(path))
            except OSError as error:
                reason = f"cannot be read: {error.strerror or error}"
                notices.append(Notice(relative, reason, fatal=True))
                continue
            reported.add(relative)
        else:
            reason = "is no Python file or notebook; name .py or .ipynb files, or folders"
            notices.append(Notice(relative, reason, fatal=True))
    return Asked(frozenset(reported), tuple(sorted(extra.values())), tuple(notices))


def _named_folder(root: Path, relative: str, settings: Settings) -> dict[str, ProjectFile]:
    """The files of a folder that the scan leaves out but the user names."""
    if settings.force_exclude:
        return {}
    inner = discover(root / relative, msgspec.structs.replace(settings, respect_gitignore=False))
    return {
        f"{relative}/{file.path}": ProjectFile(f"{relative}/{file.path}", file.mtime_ns, file.size)
        for file in inner.files
    }


def _is_python(path: str) -> bool:
    """Whether a file named by hand is Python: by its ending, or by its first line."""
    if path.endswith(SUFFIXES):
        return True
    try:
        with open(path, "rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first
