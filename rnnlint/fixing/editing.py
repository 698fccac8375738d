"""A file and the edits to it: what it becomes, and where its places go."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec

from rnnlint.diagnostic import Edit, Span
from rnnlint.fixing.cells import CannotEditError, edited_notebook
from rnnlint.project.source import LineIndex, Source, content_digest, source_from_bytes


class Edited:
    """A file with edits to it.

    Args:
        before: the file as it was.
        edits: in any order; none overlaps another.
    """

    def __init__(self, before: Source, edits: Iterable[Edit]) -> None:
        self.before = before
        self.edits: tuple[Edit, ...] = tuple(sorted(edits, key=lambda one: (one.start, one.end)))
        parts: list[str] = []
        end = 0
        for edit in self.edits:
            parts += (before.text[end : edit.start], edit.replacement)
            end = edit.end
        self.text = "".join([*parts, before.text[end:]])

    def undone(self) -> Edited:
        """The file as it becomes, with edits that make of it what it was."""
        edits = [
            Edit(
                edit.path,
                edit.start + shift,
                edit.start + shift + len(edit.replacement),
                self.before.text[edit.start : edit.end],
            )
            for edit, shift in zip(self.edits, self._shifts, strict=False)
        ]
        return Edited(self.after, edits)

    @property
    def data(self) -> bytes:
        """The bytes of the file as it becomes, in the encoding that it has.

        Raises:
            CannotEditError: the encoding cannot hold it, or reads it as something else; or the
                cells of a notebook cannot.
        """
        return self._written[0]

    @property
    def after(self) -> Source:
        """The file as it becomes."""
        return self._written[1]

    @cached_property
    def _written(self) -> tuple[bytes, Source]:
        """The bytes of the file as it becomes, and the file read from them."""
        before = self.before
        if before.cells is None:
            data = self._encoded()
            reason = "its encoding would be read as another"
        else:
            data = edited_notebook(before, self.edits)
            reason = "its cells would be read as something else"
        source = source_from_bytes(before.path, data)
        if not isinstance(source, Source) or source.text != self.text:
            raise CannotEditError(reason)
        return data, source

    def _encoded(self) -> bytes:
        before = self.before
        if content_digest(before.encoded(before.text)) != before.digest:
            raise CannotEditError(f"its text cannot be written in {before.encoding} unchanged")
        try:
            return before.encoded(self.text)
        except UnicodeEncodeError as error:
            character = self.text[error.start]
            raise CannotEditError(f"{before.encoding} has no {character!r}") from error

    def touches(self, start: int, end: int) -> bool:
        """Whether an edit changes something between two offsets."""
        number = bisect_left(self._starts, end)
        return number > 0 and start < self.edits[number - 1].end

    def moved(self, offset: int) -> tuple[int, int]:
        """Where what stood at an offset stands now.

        That is one offset, twice; or where the text that replaced it begins and ends.
        """
        number = bisect_right(self._starts, offset)
        if not number:
            return offset, offset
        edit = self.edits[number - 1]
        start = edit.start + self._shifts[number - 1]
        if edit.start < offset < edit.end:
            return start, start + len(edit.replacement)
        if offset == edit.start < edit.end:
            return start, start
        now = offset + self._shifts[number]
        return now, now

    @cached_property
    def _starts(self) -> list[int]:
        return [edit.start for edit in self.edits]

    @cached_property
    def _shifts(self) -> list[int]:
        """How far the text before each edit, and that after the last, is moved."""
        shifts = [0]
        for edit in self.edits:
            shifts.append(shifts[-1] + len(edit.replacement) - (edit.end - edit.start))
        return shifts


class Moves:
    """Where the places of a project go when some of its files are edited."""

    def __init__(self, edited: Mapping[str, Edited]) -> None:
        self._edited = edited
        self._before = {path: LineIndex(each.before) for path, each in edited.items()}
        self._after = {path: LineIndex(each.after) for path, each in edited.items()}

    def wrote(self, span: Span) -> bool:
        """Whether what stands at a place of the edited project was written by an edit."""
        edited = self._edited.get(span.path)
        if edited is None:
            return False
        start = self._after[span.path].offset(span.location, span.cell)
        return edited.undone().touches(start, start + 1)

    def span(self, span: Span) -> Span:
        """Where a span begins now, as an empty one; or the text that stands in its place."""
        edited = self._edited.get(span.path)
        if edited is None:
            return msgspec.structs.replace(span, end_location=span.location)
        start, end = edited.moved(self._before[span.path].offset(span.location, span.cell))
        return self._after[span.path].span(start, end)


def by_path(edits: Iterable[Edit]) -> Mapping[str, Sequence[Edit]]:
    """Edits by the file that they change; what several of them agree on is done once."""
    files: dict[str, dict[Edit, None]] = {}
    for edit in edits:
        files.setdefault(edit.path, {})[edit] = None
    return {path: tuple(of_file) for path, of_file in files.items()}
