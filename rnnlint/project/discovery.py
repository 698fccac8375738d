"""Finding the files of a project, and those of them that the user asked about."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from typing import TypeVar

import msgspec

from rnnlint.diagnostic import Notice
from rnnlint.project.config import CONFIG_NAMES, Settings
from rnnlint.project.patterns import Exclusions, Patterns

SUFFIXES = (".py", ".ipynb")
_REPOSITORY_MARKS = (".git", ".hg")
_PROJECT_MARKS = ("rnnlint.toml", ".rnnlint.toml", "pyproject.toml", "setup.py", "setup.cfg")
_CONFIG_FILES = frozenset(CONFIG_NAMES)
_NO_TEXT = "its name is no text, but stray bytes; rename it"
_NO_FILE = "is no regular file, so it is not read"
_EDITORS_LOCK = ".#"
"""Emacs marks an open file with a link of this name that leads nowhere."""

Load = Callable[[str], Settings]
"""Gives the settings that hold in a folder of the project."""


class ProjectFile(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A file as the last scan saw it; an unchanged stamp means an unchanged file."""

    path: str
    """Relative to the project root, with forward slashes."""
    mtime_ns: int
    size: int


_Placed = TypeVar("_Placed", ProjectFile, Notice)


class Discovery(msgspec.Struct, frozen=True):
    """What a scan found."""

    files: tuple[ProjectFile, ...]
    """Python files and notebooks that no exclude or .gitignore leaves out, by path."""
    settings_files: tuple[ProjectFile, ...]
    """Settings and ignore files: when one changes, stored findings are out of date."""
    notices: tuple[Notice, ...]
    nested: dict[str, Settings] = {}
    """The settings of folders that have their own, by folder with a slash at its end."""


class Asked(msgspec.Struct, frozen=True):
    """What the paths on the command line ask for, within one project."""

    reported: frozenset[str]
    """The files to report on."""
    extra: tuple[ProjectFile, ...]
    """Files named by hand that the scan leaves out."""
    notices: tuple[Notice, ...]


def project_root(path: Path, cwd: Path) -> Path:
    """The folder of the project that a file or folder belongs to.

    That is the repository around it, else the project that the working directory lies in,
    else the nearest folder with a project file, else the working directory if that is around
    it, else the folder itself, or the one around its outermost package.
    """
    folder = path if path.is_dir() else path.parent
    around = (folder, *folder.parents)
    repository = _nearest(around, _REPOSITORY_MARKS)
    if repository is not None:
        return repository
    home = _nearest((cwd, *cwd.parents), _PROJECT_MARKS)
    if home is not None and home in around:
        return home
    marked = _nearest(around, _PROJECT_MARKS)
    if marked is not None:
        return marked
    return cwd if cwd in around else _around_packages(folder)


def _nearest(folders: Iterable[Path], marks: Iterable[str]) -> Path | None:
    for folder in folders:
        if any((folder / mark).exists() for mark in marks):
            return folder
    return None


def _around_packages(folder: Path) -> Path:
    """The folder from which Python would import what is in `folder`."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def group_by_root(paths: Sequence[str], cwd: Path) -> tuple[dict[Path, list[str]], list[Notice]]:
    """The absolute paths asked for, by project; globs that the shell left are expanded."""
    groups: dict[Path, list[str]] = {}
    notices: list[Notice] = []
    for given in paths or (".",):
        for path in _expanded(given, cwd):
            absolute = os.path.normpath(os.path.join(cwd, path))
            if not os.path.lexists(absolute):
                remedy = "no such file or folder; check the spelling"
                notices.append(Notice(shown(given), remedy, fatal=True))
                continue
            groups.setdefault(project_root(Path(absolute), cwd), []).append(absolute)
    return groups, notices


def _expanded(given: str, cwd: Path) -> Iterable[str]:
    if not glob.has_magic(given) or os.path.lexists(os.path.join(cwd, given)):
        return (given,)
    found = glob.glob(given, root_dir=cwd, recursive=True)
    return sorted(found) or (given,)


def is_text(path: str) -> bool:
    """Whether a path is text: on some systems a name may be any bytes."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str) -> str:
    """A path as text, with the bytes escaped that are none."""
    return path if is_text(path) else os.fsencode(path).decode("utf-8", "backslashreplace")


def discover(root: Path, settings: Settings, load: Load | None = None) -> Discovery:
    """Scan a project once.

    Links to folders are not followed; folders that vanish meanwhile are passed over with
    a notice.

    Args:
        root: the project's folder.
        settings: the settings that hold there.
        load: how to get the settings of a folder that holds a settings file; without it
            those at the root hold everywhere.
    """
    scan = _Scan(root, settings, load)
    stack = [_Folder("", (), scan.excluded)]
    while stack:
        stack.extend(scan.folder(stack.pop()))
    return Discovery(
        tuple(sorted(scan.files)),
        tuple(sorted(scan.settings_files)),
        tuple(scan.notices),
        scan.nested,
    )


class _Folder(msgspec.Struct, frozen=True):
    """A folder that is to be scanned, and what leaves out files there."""

    path: str
    ignores: tuple[tuple[str, Patterns], ...]
    excluded: Exclusions


class _Scan:
    """The state of one scan."""

    def __init__(self, root: Path, settings: Settings, load: Load | None) -> None:
        self.root = str(root)
        self.files: list[ProjectFile] = []
        self.settings_files: list[ProjectFile] = []
        self.notices: list[Notice] = []
        self.nested: dict[str, Settings] = {}
        self._source = settings.source
        self._load = load
        self._gitignore = settings.respect_gitignore
        self.excluded = self._exclusions(settings)

    def folder(self, folder: _Folder) -> list[_Folder]:
        """Note the files of one folder, and return the folders in it that count."""
        try:
            with os.scandir(os.path.join(self.root, folder.path)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror or error}"
            self.notices.append(Notice(folder.path or ".", reason))
            return []
        prefix = f"{folder.path}/" if folder.path else ""
        folder = self._here(folder, prefix, {entry.name for entry in found})
        below: list[_Folder] = []
        for entry in found:
            path = prefix + entry.name
            try:
                if not entry.is_dir(follow_symlinks=False):
                    self._file(entry, path, folder)
                elif not _is_left_out(path, True, folder):
                    below.append(msgspec.structs.replace(folder, path=path))
            except OSError as error:
                self.notices.append(Notice(path, f"cannot be read: {error.strerror or error}"))
        return [inner for inner in below if self._is_named_well(inner.path)]

    def _here(self, folder: _Folder, prefix: str, names: Set[str]) -> _Folder:
        """The folder with what its own settings and ignore files say."""
        ignores, excluded = folder.ignores, folder.excluded
        if self._gitignore and ".gitignore" in names:
            ignores = (*ignores, *self._patterns(folder.path, prefix))
        if prefix and self._load is not None and not _CONFIG_FILES.isdisjoint(names):
            settings = self._load(folder.path)
            if settings.source != self._source:
                self.nested[prefix] = settings
                excluded = self._exclusions(settings)
        return _Folder(folder.path, ignores, excluded)

    def _exclusions(self, settings: Settings) -> Exclusions:
        globs = (*settings.exclude, *settings.extend_exclude)
        return Exclusions(globs, Path(settings.directory), Path(self.root))

    def _file(self, entry: os.DirEntry[str], path: str, folder: _Folder) -> None:
        if entry.name in _CONFIG_FILES or entry.name == ".gitignore":
            self.settings_files.append(_stamped(path, entry.stat()))
        elif (
            entry.name.endswith(SUFFIXES)
            and not entry.name.startswith(_EDITORS_LOCK)
            and not _is_left_out(path, False, folder)
            and self._is_named_well(path)
        ):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                self.files.append(_stamped(path, status))
            elif not stat.S_ISDIR(status.st_mode):
                self.notices.append(Notice(path, _NO_FILE))

    def _is_named_well(self, path: str) -> bool:
        """Whether a path is text; a notice says so if it is not."""
        if is_text(path):
            return True
        self.notices.append(Notice(shown(path), _NO_TEXT))
        return False

    def _patterns(self, folder: str, prefix: str) -> list[tuple[str, Patterns]]:
        path = os.path.join(self.root, folder, ".gitignore")
        try:
            with open(path, encoding="utf-8-sig", errors="replace") as file:
                lines = [line.rstrip("\n") for line in file]
        except OSError as error:
            self.notices.append(
                Notice(f"{prefix}.gitignore", f"cannot be read: {error.strerror or error}")
            )
            return []
        wanted = [line for line in lines if line.strip() and not line.startswith("#")]
        return [(prefix, Patterns(wanted))] if wanted else []


def _is_left_out(path: str, is_folder: bool, folder: _Folder) -> bool:
    if folder.excluded.match(path, is_folder):
        return True
    for prefix, patterns in reversed(folder.ignores):
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
        if not is_text(relative):
            notices.append(Notice(shown(relative), _NO_TEXT, fatal=True))
        elif os.path.isdir(path):
            prefix = "" if relative == "." else f"{relative}/"
            inside = [name for name in known if name.startswith(prefix)]
            reported.update(inside)
            if not inside and relative != ".":
                inner = _named_folder(root, relative, settings)
                extra.update((file.path, file) for file in inner.files)
                notices.extend(inner.notices)
                reported.update(name for name in extra if name.startswith(prefix))
        elif relative in known:
            reported.add(relative)
        elif settings.force_exclude:
            notices.append(Notice(relative, "is excluded by the settings"))
        elif _is_python(path):
            file = _named_file(path, relative)
            if isinstance(file, Notice):
                notices.append(file)
            else:
                extra[relative] = file
                reported.add(relative)
        else:
            reason = "is no Python file or notebook; name .py or .ipynb files, or folders"
            notices.append(Notice(relative, reason, fatal=True))
    return Asked(frozenset(reported), tuple(sorted(extra.values())), tuple(notices))


def _named_file(path: str, relative: str) -> ProjectFile | Notice:
    """A file that the scan leaves out but the user names."""
    try:
        status = os.stat(path)
    except OSError as error:
        return Notice(relative, f"cannot be read: {error.strerror or error}", fatal=True)
    if not stat.S_ISREG(status.st_mode):
        return Notice(relative, _NO_FILE, fatal=True)
    return _stamped(relative, status)


def _named_folder(root: Path, relative: str, settings: Settings) -> Discovery:
    """What is in a folder that the scan leaves out but the user names."""
    if settings.force_exclude:
        return Discovery((), (), ())
    inner = discover(root / relative, msgspec.structs.replace(settings, respect_gitignore=False))
    return Discovery(
        tuple(_moved(file, f"{relative}/{file.path}") for file in inner.files),
        (),
        tuple(_moved(notice, f"{relative}/{notice.path}") for notice in inner.notices),
    )


def _moved(thing: _Placed, path: str) -> _Placed:
    return msgspec.structs.replace(thing, path=path)


def _is_python(path: str) -> bool:
    """Whether a file named by hand is Python: by its ending, or by its first line."""
    if path.endswith(SUFFIXES):
        return True
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first
