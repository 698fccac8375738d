"""What is remembered of a project's files from one analysis to the next.

A process that goes on, such as a language server, remembers it by itself; others `recall` what
an earlier one has left in the cache.
"""

from __future__ import annotations

import contextlib

import msgspec

from rnnlint.lowering import ir
from rnnlint.lowering.again import lower_again
from rnnlint.project.sift import FileRecord
from rnnlint.project.source import Source


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was when it could be parsed."""

    digest: str
    """Names its bytes."""
    text: str
    representation: ir.FileIR


class Recollection:
    """The files of one project as they were at the last analysis in which they could be parsed.

    It holds what follows from the text of a file alone, so it is never out of date, only of
    less use.
    """

    def __init__(self) -> None:
        self.records: dict[str, FileRecord] = {}
        """What the last sift noted of each file."""
        self._files: dict[str, _Remembered] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def recall(self, path: str, written: bytes) -> None:
        """Remember what an earlier process has `written` of a file, if it can be read."""
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            self._files[path] = msgspec.msgpack.decode(written, type=_Remembered)

    def written(self, path: str) -> bytes:
        """What is remembered of a file, for a later process."""
        return msgspec.msgpack.encode(self._files[path])

    def representation(self, source: Source) -> ir.FileIR | None:
        """A file's representation, for which only what is new is lowered; None if that fails."""
        before = self._files.get(source.path)
        if before is None:
            return None
        if before.digest == source.digest:
            return before.representation
        from rnnlint.lowering.pool import lower_safely

        return lower_again(source.text, before.text, before.representation, lower_safely)

    def remember(self, source: Source, representation: ir.FileIR) -> bool:
        """Keep what a file was lowered to, and say whether it was another before."""
        before = self._files.get(source.path)
        if before is not None and before.digest == source.digest:
            return False
        self._files[source.path] = _Remembered(source.digest, source.text, representation)
        return True

    def keep_only(self, paths: set[str]) -> None:
        """Forget the files that a project no longer has, or that no longer matter."""
        for path in self._files.keys() - paths:
            del self._files[path]
