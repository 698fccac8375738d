"""What earlier runs worked out: facts, representations and findings, kept on disk.

The folder holds its own `.gitignore` and `CACHEDIR.TAG`.  Below it, one folder for each
version of rnnlint and of the interpreter holds *packs*: files that begin with a digest of
what follows.  Projects that share a folder have packs of their own in it.  A pack that is
torn, foreign or corrupt is as good as none.  Packs are written beside and renamed, so that
concurrent runs see a whole one, old or new.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Notice

_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file marks a cache directory created by rnnlint.\n"
)
_TAG_NAME = "CACHEDIR.TAG"
_FIRST_FILES = (_TAG_NAME, f".{_TAG_NAME}")
_DIGEST_SIZE = 16


class Cache:
    """The packs of one project; reading and writing never fails, at worst it is in vain."""

    def __init__(self, folder: Path | None, version: str, project: Path | None = None) -> None:
        """
        Args:
            folder: the cache folder; None for no cache at all.
            version: what the contents depend on besides the files.
            project: the root of the project, which tells it from others with the same folder.
        """
        self.folder = folder
        self.notice: Notice | None = None
        """Why nothing can be written, once that is known."""
        tag = sys.implementation.cache_tag or "python"
        self._version = self._packs = None if folder is None else folder / f"{version}-{tag}"
        around = Path(os.path.abspath(self._version or "")).parents
        # A cache inside the project is its own, and stays so when the project moves.
        if self._version is not None and project is not None and project not in around:
            self._packs = self._version / digest_of([os.fsencode(project)])

    def load(self, name: str) -> bytes | None:
        """The contents of a pack, None when there is none that can be trusted."""
        if self._packs is None:
            return None
        try:
            data = (self._packs / name).read_bytes()
        except OSError:
            return None
        digest, content = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
        return content if digest == _digest(content) else None

    def store(self, name: str, content: bytes) -> None:
        """Replace a pack; when that is impossible, say so in `notice`."""
        if self._packs is None or self._version is None or self.notice is not None:
            return
        try:
            if self._prepare(self._version, self._packs):
                _write_atomically(self._packs / name, _digest(content) + content)
            else:
                self._give_up("the folder holds other files, so it is not used as a cache")
        except OSError as error:
            self._give_up(f"the cache cannot be written: {error.strerror or error}")

    def _give_up(self, reason: str) -> None:
        self.notice = Notice(f"{self.folder}", f"{reason}; see 'cache-dir'", skips=False)

    @staticmethod
    def _prepare(version: Path, packs: Path) -> bool:
        """Make the folders; False when somebody else keeps something there."""
        if packs.is_dir():
            return True
        folder = version.parent
        folder.mkdir(parents=True, exist_ok=True)
        if not _is_ours(folder):
            # Concurrent runs may be at this too, so what they write meanwhile is allowed.
            if any(not entry.name.startswith(_FIRST_FILES) for entry in folder.iterdir()):
                return False
            _write_atomically(folder / _TAG_NAME, _TAG.encode())
        if not (folder / ".gitignore").exists():
            _write_atomically(folder / ".gitignore", b"*\n")
        packs.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            # What older versions left is of no use to this one.
            if other.is_dir() and other != version:
                shutil.rmtree(other, ignore_errors=True)
        return True


class Memory(Cache):
    """What one run works out over what earlier runs left; none of it is written.

    Args:
        below: the cache of earlier runs.
    """

    def __init__(self, below: Cache) -> None:
        super().__init__(None, "")
        self._below = below
        self._kept: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        kept = self._kept.get(name)
        return kept if kept is not None else self._below.load(name)

    def store(self, name: str, content: bytes) -> None:
        self._kept[name] = content


class Blobs:
    """A pack of values by key, rewritten only when something in it changed."""

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache = cache
        self._name = name
        self._known: dict[str, bytes] | None = None
        self._used: dict[str, bytes] = {}
        self._changed = False

    def get(self, key: str) -> bytes | None:
        """The value stored under a key; asking for it keeps it."""
        if key in self._used:
            return self._used[key]
        if self._known is None:
            self._known = self._load()
        value = self._known.get(key)
        if value is not None:
            self._used[key] = value
        return value

    def put(self, key: str, value: bytes) -> None:
        self._used[key] = value
        self._changed = True

    def save(self) -> None:
        """Write the pack anew, without the values that nobody asked for."""
        dropped = self._known is not None and len(self._used) < len(self._known)
        if self._changed or dropped:
            self._cache.store(self._name, msgspec.msgpack.encode(self._used))
            self._changed = False

    def _load(self) -> dict[str, bytes]:
        content = self._cache.load(self._name)
        if content is None:
            return {}
        try:
            return msgspec.msgpack.decode(content, type=dict[str, bytes])
        except msgspec.MsgspecError:
            return {}


def digest_of(parts: Iterable[bytes]) -> str:
    """A name for a sequence of byte strings."""
    from hashlib import blake2b

    state = blake2b(digest_size=_DIGEST_SIZE)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def clean(folder: Path) -> bool:
    """Remove a cache folder; False when there is none.

    Raises:
        OSError: it cannot be removed.
    """
    if not _is_ours(folder):
        return False
    if folder.is_symlink():  # Python 3.13 refuses it without saying why
        raise OSError(errno.ELOOP, "it is a symbolic link")
    shutil.rmtree(folder)
    return True


def _is_ours(folder: Path) -> bool:
    """Whether we made a folder: only then may anything in it be removed."""
    try:
        return (folder / _TAG_NAME).read_text(encoding="utf-8", errors="replace") == _TAG
    except (FileNotFoundError, NotADirectoryError):
        return False


def _digest(content: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(content, digest_size=_DIGEST_SIZE).digest()


def _write_atomically(path: Path, content: bytes) -> None:
    # Not `tempfile`: its files are for their maker alone, and a cache may be shared.
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
