"""Files are replaced whole or not at all, and only as long as they are what was analysed."""

from __future__ import annotations

import contextlib
import os
import stat
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


def replace_together(root: Path, files: Mapping[str, Replacement]) -> None:
    """Replace files that belong together.

    What they shall hold is written beside them first, so that none is touched if one of them
    must be left alone.  Permissions and owner stay, and a link goes on to lead where it does.

    Raises:
        CannotWriteError: one of the files must not or cannot be written.
    """
    prepared: dict[str, tuple[str, str]] = {}
    try:
        for path, wanted in sorted(files.items()):
            with _blamed(path):
                target = _target(root, path)
                if not _holds(target, wanted.data):
                    _check(path, target, wanted)
                    prepared[path] = (target, _written_beside(target, wanted.data))
        for path, (target, _) in prepared.items():
            with _blamed(path):
                _check(path, target, files[path])
        for path, (target, temporary) in prepared.items():
            with _blamed(path):
                os.replace(temporary, target)
    finally:
        for _, temporary in prepared.values():
            with contextlib.suppress(OSError):
                os.unlink(temporary)


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
    if os.path.commonpath([os.path.realpath(root), target]) != os.path.realpath(root):
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


def _written_beside(target: str, data: bytes) -> str:
    """Write a file that can take the place of another; return its path."""
    status = os.stat(target)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _made_like(temporary, target, status)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


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
