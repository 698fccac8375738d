"""What a process that goes on, such as a language server, remembers of a project's files."""

from __future__ import annotations

from rnnlint.lowering import ir
from rnnlint.lowering.again import lower_again
from rnnlint.project.sift import FileRecord
from rnnlint.project.source import Source


class Recollection:
    """The files of one project as they were at the last analysis in which they could be parsed.

    It holds what follows from the text of a file alone, so it is never out of date, only of
    less use.
    """

    def __init__(self) -> None:
        self.records: dict[str, FileRecord] = {}
        """What the last sift noted of each file."""
        self._files: dict[str, tuple[Source, ir.FileIR]] = {}

    def representation(self, source: Source) -> ir.FileIR | None:
        """A file's representation, for which only what is new is lowered; None if that fails."""
        remembered = self._files.get(source.path)
        if remembered is None:
            return None
        before, known = remembered
        if before.digest == source.digest:
            return known
        from rnnlint.lowering.pool import lower_safely

        return lower_again(source.text, before.text, known, lower_safely)

    def remember(self, source: Source, representation: ir.FileIR) -> None:
        """Keep what a file was lowered to."""
        self._files[source.path] = (source, representation)

    def keep_only(self, paths: set[str]) -> None:
        """Forget the files that a project no longer has, or that no longer matter."""
        for path in self._files.keys() - paths:
            del self._files[path]
