"""The lines that changed since a revision, as git tells them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from rnnlint.project.config import ConfigError

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_LETTERS = {
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
}
# What a repository's own settings could have git run is left alone.
_QUIETLY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_PLAINLY = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=0")


class Changes(msgspec.Struct, frozen=True):
    """Changed rows by path, relative to a project's folder; None stands for every row."""

    rows: Mapping[str, frozenset[int] | None]

    def touch(self, path: str, first: int, last: int) -> bool:
        """Whether one of the rows of a file changed."""
        if path not in self.rows:
            return False
        changed = self.rows[path]
        return changed is None or not changed.isdisjoint(range(first, last + 1))

    def touch_file(self, path: str) -> bool:
        """Whether anything in a file changed."""
        return path in self.rows


def changes_since(root: Path, revision: str) -> Changes:
    """What changed in a project since a revision, committed or not, new files included.

    Where the revision went on by itself, as a main branch does beside the branch at hand, the
    point at which the two parted is meant.

    Raises:
        ConfigError: there is no git, no repository, or no such revision.
    """
    top = _top(root)
    commit = _commit(root, revision)
    # With a prefix of our own, whatever the user's settings make of it.
    named = ("--src-prefix=a/", "--dst-prefix=b/")
    patch = _git(top, "diff", *_PLAINLY, *named, commit, "--")
    rows: dict[str, frozenset[int] | None] = {}
    for path, changed in _changed(patch.split(b"\n")):
        rows[_in_project(top, root, path)] = frozenset(changed)
    new = _git(top, "ls-files", "--others", "--exclude-standard", "-z")
    for path in filter(None, new.split(b"\0")):
        rows[_in_project(top, root, path)] = None
    return Changes(rows)


def _top(root: Path) -> Path:
    try:
        return Path(os.fsdecode(_git(root, "rev-parse", "--show-toplevel").rstrip(b"\n")))
    except _FailedError as error:
        raise ConfigError(f"{error}; run it in a repository, or leave --diff-base out") from error


def _commit(root: Path, revision: str) -> str:
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    try:
        commit = _git(root, *asked).decode().strip()
    except _FailedError as error:
        raise ConfigError(
            f"--diff-base: git knows no revision '{revision}' in {root}; name a branch, a tag or a "
            "commit, and fetch it first if this is a shallow clone"
        ) from error
    try:
        return _git(root, "merge-base", commit, "HEAD").decode().strip()
    except _FailedError:  # no common history, or no commit yet
        return commit


class _FailedError(ConfigError):
    """git could not do what it was asked to."""


def _git(folder: Path, *arguments: str) -> bytes:
    command = ["git", *_QUIETLY, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ConfigError(
            f"--diff-base: git cannot be run ({error.strerror or error}); install it, or leave "
            "--diff-base out"
        ) from error
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise _FailedError(f"--diff-base: git says of {folder}: {reason or 'nothing'}")
    return done.stdout


def _changed(lines: Sequence[bytes]) -> Iterator[tuple[bytes, set[int]]]:
    """Yield each path of a patch without context with the rows that are new.

    Where rows only went away, those on either side of the gap count as changed.
    """
    path: bytes | None = None
    rows: set[int] = set()
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        hunk = _HUNK.match(line)
        if hunk:
            removed, first, added = (int(part) if part else 1 for part in hunk.groups())
            rows |= set(range(first, first + added)) or {first, first + 1}
            # Lines of the file may look like those of a patch.
            index += removed + added
        elif line.startswith(b"+++ "):
            if path is not None:
                yield path, rows
            path, rows = _path(line[4:]), set()
    if path is not None:
        yield path, rows


def _path(name: bytes) -> bytes | None:
    """A path as a patch writes it; None stands for a file that is gone."""
    name = name.rstrip(b"\t")
    if name.startswith(b'"'):
        name = _ESCAPE.sub(_unescaped, name[1:-1])
    return name[2:] if name.startswith(b"b/") else None


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8)]) if len(code) == 3 else _LETTERS.get(code, code)


def _in_project(top: Path, root: Path, path: bytes) -> str:
    full = os.path.join(top, os.fsdecode(path))
    return Path(os.path.relpath(full, os.path.realpath(root))).as_posix()
