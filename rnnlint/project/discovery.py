"""Finding the files of a project, and those of them that the user asked about."""

from __future__ import annotations

import glob
import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Notice
from rnnlint.project.config import CONFIG_NAMES, Settings
from rnnlint.project.patterns import Exclusions, Patterns

SUFFIXES = (".py", ".ipynb")
_NAMED_SUFFIXES = (*SUFFIXES, ".pyi", ".pyw")
"""Endings of what is read when it is named by hand."""
_REPOSITORY_MARKS = (".git", ".hg")
_PROJECT_MARKS = ("rnnlint.toml", ".rnnlint.toml", "pyproject.toml", "setup.py", "setup.cfg")
_CONFIG_FILES = frozenset(CONFIG_NAMES)
_NO_TEXT = "its name is no text, but stray bytes; rename it"
_NO_FILE = "is no regular file, so it is not read"
_NO_PYTHON = "is no Python file or notebook; name .py or .ipynb files, or folders"
_LINK = "is a link to a folder, which is not followed; name it to have it read"
_EXCLUDED = "is excluded by 'exclude' or 'extend-exclude' in the settings"
_IGNORED = "is excluded by a .gitignore file; see 'respect-gitignore'"
_FAR = 3
"""So many folders below the working directory a path still belongs to its project."""
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


class Discovery(msgspec.Struct, frozen=True):
    """What a scan found."""

    files: tuple[ProjectFile, ...]
    """Python files and notebooks that no exclude or .gitignore leaves out, by path."""
    settings_files: tuple[ProjectFile, ...]
    """Settings and ignore files: when one changes, stored findings are out of date."""
    notices: tuple[Notice, ...]
    unread: frozenset[str] = frozenset()
    """The folders that could not be listed."""
    links: tuple[str, ...] = ()
    """Links to folders, which are not followed."""
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
    it and near, else the folder itself, or the one around its outermost package.
    """
    folder = path if os.path.isdir(path) else path.parent
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
    return cwd if _may_be_project(cwd, around) else _around_packages(folder)


def _nearest(folders: Iterable[Path], marks: Iterable[str]) -> Path | None:
    for folder in folders:
        # Unlike `Path.exists`, this takes a folder that must not be read for one without marks.
        if any(os.path.exists(folder / mark) for mark in marks):
            return folder
    return None


def _may_be_project(cwd: Path, around: Sequence[Path]) -> bool:
    """Whether the working directory is a project's, rather than where all of them lie."""
    if cwd == around[0]:
        return True
    holds_all = cwd.parent == cwd or cwd == Path(os.path.expanduser("~"))
    return not holds_all and cwd in around[: _FAR + 1]


def _around_packages(folder: Path) -> Path:
    """The folder from which Python would import what is in `folder`."""
    while os.path.isfile(folder / "__init__.py"):
        folder = folder.parent
    return folder


def group_by_root(paths: Sequence[str], cwd: Path) -> tuple[dict[Path, list[str]], list[Notice]]:
    """The absolute paths asked for, by project; globs that the shell left are expanded."""
    groups: dict[Path, list[str]] = {}
    notices: list[Notice] = []
    for given in paths or (".",):
        for path in _expanded(given, cwd):
            absolute = os.path.normpath(os.path.join(cwd, path))
            reason = _absent(absolute)
            if reason is not None and glob.has_magic(path):
                reason = "no file or folder matches; check the pattern"
            if reason is not None:
                notices.append(Notice(shown(given), reason, fatal=True))
                continue
            groups.setdefault(project_root(Path(absolute), cwd), []).append(absolute)
    return groups, notices


def _absent(path: str) -> str | None:
    """Why there is nothing to look at; None when there is something."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "no such file or folder; check the spelling"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None


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
        frozenset(scan.unread),
        tuple(scan.links),
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
        self.unread: list[str] = []
        self.links: list[str] = []
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
            if not isinstance(error, FileNotFoundError):  # that one vanished meanwhile
                self.unread.append(folder.path or ".")
            return []
        prefix = f"{folder.path}/" if folder.path else ""
        folder = self.here(folder, prefix, {entry.name for entry in found})
        below: list[_Folder] = []
        for entry in found:
            path = prefix + entry.name
            try:
                if not entry.is_dir(follow_symlinks=False):
                    self._file(entry, path, folder)
                elif _left_out_by(path, True, folder) is None:
                    below.append(msgspec.structs.replace(folder, path=path))
            except OSError as error:
                self.notices.append(Notice(path, f"cannot be read: {error.strerror or error}"))
        return [inner for inner in below if self._is_named_well(inner.path)]

    def here(self, folder: _Folder, prefix: str, names: Set[str]) -> _Folder:
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
        if entry.is_symlink() and os.path.isdir(entry):
            if _left_out_by(path, True, folder) is None and self._is_named_well(path):
                self.links.append(path)
        elif entry.name in _CONFIG_FILES or entry.name == ".gitignore":
            self.settings_files.append(_stamped(path, entry.stat()))
        elif (
            entry.name.endswith(SUFFIXES)
            and not entry.name.startswith(_EDITORS_LOCK)
            and _left_out_by(path, False, folder) is None
            and self._is_named_well(path)
        ):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                self.files.append(_stamped(path, status))
            else:
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


def _left_out_by(path: str, is_folder: bool, folder: _Folder) -> str | None:
    """What leaves out a file or folder in `folder`, in words; None when nothing does."""
    if folder.excluded.match(path, is_folder):
        return _EXCLUDED
    for prefix, patterns in reversed(folder.ignores):
        decided = patterns.decide(path[len(prefix) :], is_folder)
        if decided is not None:
            return _IGNORED if decided else None
    return None


def _stamped(path: str, status: os.stat_result) -> ProjectFile:
    return ProjectFile(path, status.st_mtime_ns, status.st_size)


def select_reported(
    absolute: Sequence[str], root: Path, discovery: Discovery, settings: Settings
) -> Asked:
    """Which of a project's files the given absolute paths ask about."""
    known = {file.path: file for file in discovery.files}
    reported: set[str] = set()
    extra: dict[str, ProjectFile] = {}
    named = {path: Path(os.path.relpath(path, root)).as_posix() for path in absolute}
    notices = _unread_notices(discovery, named.values())
    for link in discovery.links:
        if any(_lies_in(link, path) and link != path for path in named.values()):
            notices.append(Notice(link, _LINK))
    for path, relative in named.items():
        is_folder = os.path.isdir(path)
        inside = {file for file in known if _lies_in(file, relative)}
        reported |= inside
        if inside or relative == ".":
            continue
        if not is_text(relative):
            notices.append(Notice(shown(relative), _NO_TEXT, fatal=True))
            continue
        reason: str | None = None
        if settings.force_exclude:
            reason = why_left_out(relative, is_folder, root, discovery, settings)
        if reason is not None:
            notices.append(Notice(relative, reason))
        elif is_folder:
            inner = _named_folder(root, relative, settings)
            extra.update((file.path, file) for file in inner.files)
            reported |= {file.path for file in inner.files}
            notices += [*inner.notices, *_unread_notices(inner, [relative])]
        else:
            file = _named_file(path, relative)
            if isinstance(file, Notice):
                notices.append(file)
            else:
                extra[relative] = file
                reported.add(relative)
    return Asked(frozenset(reported), tuple(sorted(extra.values())), tuple(notices))


def _lies_in(path: str, folder: str) -> bool:
    """Whether a path is a folder's or that of something in it."""
    return folder in (".", path) or path.startswith(f"{folder}/")


def _unread_notices(discovery: Discovery, named: Iterable[str]) -> list[Notice]:
    """Fatal notices on the folders that could not be listed and that were asked about."""
    named = tuple(named)
    return [
        msgspec.structs.replace(notice, fatal=True)
        for notice in discovery.notices
        if notice.path in discovery.unread
        and any(_lies_in(notice.path, path) or _lies_in(path, notice.path) for path in named)
    ]


def why_left_out(
    relative: str, is_folder: bool, root: Path, discovery: Discovery, settings: Settings
) -> str | None:
    """What leaves out a path, or a folder around it, in words; None when nothing does."""
    nested = discovery.nested
    scan = _Scan(root, settings, lambda inner: nested.get(f"{inner}/", settings))
    folder = _Folder("", (), scan.excluded)
    parts = relative.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        prefix = f"{folder.path}/" if folder.path else ""
        inside = (".gitignore", *CONFIG_NAMES)
        names = {name for name in inside if os.path.isfile(root / folder.path / name)}
        folder = scan.here(folder, prefix, names)
        reason = _left_out_by(path, is_folder or depth < len(parts), folder)
        if reason is not None:
            return reason
        folder = msgspec.structs.replace(folder, path=path)
    return None


def _named_file(path: str, relative: str) -> ProjectFile | Notice:
    """A file that the scan leaves out but the user names."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return Notice(relative, _NO_FILE, fatal=path.endswith(_NAMED_SUFFIXES))
        if not path.endswith(_NAMED_SUFFIXES) and not _is_script(path):
            return Notice(relative, _NO_PYTHON)
    except OSError as error:
        return Notice(relative, f"cannot be read: {error.strerror or error}", fatal=True)
    return _stamped(relative, status)


def _named_folder(root: Path, relative: str, settings: Settings) -> Discovery:
    """What is in a folder that the scan leaves out but the user names."""
    inner = discover(root / relative, msgspec.structs.replace(settings, respect_gitignore=False))

    def moved(path: str) -> str:
        return posixpath.normpath(f"{relative}/{path}")

    replace = msgspec.structs.replace
    links = [Notice(moved(link), _LINK) for link in inner.links]
    notices = [replace(notice, path=moved(notice.path)) for notice in inner.notices]
    return Discovery(
        tuple(replace(file, path=moved(file.path)) for file in inner.files),
        (),
        (*links, *notices),
        frozenset(map(moved, inner.unread)),
    )


def _is_script(path: str) -> bool:
    """Whether the first line of a file says that it is Python."""
    with open(path, "rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python" in first
