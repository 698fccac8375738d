"""Files are replaced whole or not at all, and only as long as they are what was analysed."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from rnnlint.project.source import content_digest


class Replacement(msgspec.Struct, frozen=True):
    """What a file shall hold, and the digest of what it holds until then."""

    data: bytes
    digest: str


class CannotWriteError(Exception):
    """A file must not or cannot be written; the message says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class _Prepared(msgspec.Struct, frozen=True):
    """What is ready to take the place of a file, and the file as it was, to be put back."""

    target: str
    temporary: str
    original: str | None


def replace_together(root: Path, files: Mapping[str, Replacement]) -> None:
    """Replace files that belong together: all of them or none.

    What they shall hold is written beside them first, so that none is touched if one of them
    must be left alone.  Permissions and owner stay, and a symbolic link goes on to lead where
    it does.  Another name of the same file, a hard link, keeps what it held.

    Raises:
        CannotWriteError: one of the files must not or cannot be written.
    """
    prepared: dict[str, _Prepared] = {}
    with _ending_in_order():
        try:
            for path, wanted in sorted(files.items()):
                with _blamed(path):
                    target = _target(root, path)
                    if not _holds(target, wanted.data):
                        _check(path, target, wanted)
                        prepared[path] = _prepared(target, wanted, alone=len(files) == 1)
            for path, each in prepared.items():
                with _blamed(path):
                    _check(path, each.target, files[path])
            _put_in_place(prepared)
        finally:
            for each in prepared.values():
                _remove(each.temporary, each.original)


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let a process that is told to end put away first what it wrote beside the files."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _put_in_place(prepared: Mapping[str, _Prepared]) -> None:
    """Let what is ready take its place; if one of the files refuses, the others go back."""
    done: list[_Prepared] = []
    try:
        for path, each in prepared.items():
            with _blamed(path):
                done.append(each)
                os.replace(each.temporary, each.target)
    except BaseException:
        for each in done:
            if each.original is not None:
                with contextlib.suppress(OSError):
                    os.replace(each.original, each.target)
        raise


@contextlib.contextmanager
def _blamed(path: str) -> Iterator[None]:
    """Say of which file the system refuses something."""
    try:
        yield
    except OSError as error:
        raise CannotWriteError(path, f"cannot be written: {error.strerror or error}") from error


def _target(root: Path, path: str) -> str:
    """The file that a path leads to."""
    target = os.path.realpath(root / path)
    if not Path(target).is_relative_to(os.path.realpath(root)):
        raise CannotWriteError(
            path, "is a link to a file outside the project, so it was left alone"
        )
    return target


def _holds(target: str, data: bytes) -> bool:
    """Whether a file is already as it shall be, because another path leads to it, too."""
    return Path(target).read_bytes() == data


def _check(path: str, target: str, wanted: Replacement) -> None:
    if content_digest(Path(target).read_bytes()) != wanted.digest:
        raise CannotWriteError(path, "changed on disk meanwhile, so it was left alone")
    if not os.access(target, os.W_OK):
        raise CannotWriteError(path, "is write-protected, so it was left alone")


def _prepared(target: str, wanted: Replacement, *, alone: bool) -> _Prepared:
    temporary = _written_beside(target, wanted.data)
    if alone:
        return _Prepared(target, temporary, None)
    try:
        return _Prepared(target, temporary, _kept_beside(target))
    except BaseException:
        _remove(temporary)
        raise


def _kept_beside(target: str) -> str:
    """Give a file a second name, or copy it where files have one name; return that."""
    name = _name_beside(target)
    try:
        os.link(target, name)
    except OSError:
        return _written_beside(target, Path(target).read_bytes())
    return name


def _written_beside(target: str, data: bytes) -> str:
    """Write a file that can take the place of another; return its path."""
    status = os.stat(target)
    temporary = _name_beside(target)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _made_like(temporary, target, status)
    except BaseException:
        _remove(temporary)
        raise
    return temporary


def _name_beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), f".rnnlint-{os.urandom(8).hex()}")


def _remove(*paths: str | None) -> None:
    for path in paths:
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _made_like(temporary: str, target: str, status: os.stat_result) -> None:
    """Give a file the owner, attributes and permissions of another, as far as one may."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(temporary, status.st_uid, status.st_gid)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(target):
                os.setxattr(temporary, name, os.getxattr(target, name))
    # Last, for a change of owner takes away what only the owner may grant.
    os.chmod(temporary, stat.S_IMODE(status.st_mode))
