"""Places as editors count them: lines from 0, and columns in the units that were agreed on."""

from __future__ import annotations

from collections.abc import Callable

from lsprotocol import types

from rnnlint.diagnostic import Location, Span
from rnnlint.project.source import LINE_END
from rnnlint.reporting.fingerprints import Excerpts
from rnnlint.reporting.report import excerpt_key


class Units:
    """The units in which an editor counts the columns of a line.

    Args:
        encoding: what was agreed on with the editor; UTF-16 is what all understand.
    """

    def __init__(self, encoding: str | None) -> None:
        self._count = _COUNTS.get(encoding or "", _utf_16)

    def count(self, text: str) -> int:
        """How many units a text has."""
        return len(text) if text.isascii() else self._count(text)

    def code_points(self, line: str, units: int) -> int:
        """How many code points so many units of a line are; what lies behind it is its end."""
        if line.isascii():
            return min(units, len(line))
        seen = 0
        for number, character in enumerate(line):
            if seen >= units:
                return number
            seen += self._count(character)
        return len(line)

    def position(self, location: Location, line: str | None) -> types.Position:
        """A place in a line, which need not be known where it is plain ASCII."""
        before = location.column - 1
        character = before if line is None else self.count(line[:before])
        return types.Position(location.row - 1, character)

    def range(self, span: Span, excerpts: Excerpts) -> types.Range:
        """A stretch of a file, or of a cell."""
        rows = excerpts.get(excerpt_key(span), {})
        start, end = span.location, span.end_location
        return types.Range(
            self.position(start, rows.get(start.row)), self.position(end, rows.get(end.row))
        )


def _utf_8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _utf_16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


_COUNTS: dict[str, Callable[[str], int]] = {
    types.PositionEncodingKind.Utf8: _utf_8,
    types.PositionEncodingKind.Utf16: _utf_16,
    types.PositionEncodingKind.Utf32: len,
}


class Lines:
    """The lines of a text: they end where those of the protocol, and of Python, do."""

    def __init__(self, text: str, units: Units) -> None:
        self._text = text
        self._units = units
        ends = list(LINE_END.finditer(text))
        self._starts = [0, *(end.end() for end in ends)]
        self._ends = [*(end.start() for end in ends), len(text)]

    def line(self, number: int) -> str:
        """A line without its end; nothing where there is none."""
        if not 0 <= number < len(self._starts):
            return ""
        return self._text[self._starts[number] : self._ends[number]]

    def offset(self, position: types.Position) -> int:
        """The code points before a place; what lies behind a line or the text is its end."""
        if position.line >= len(self._starts):
            return len(self._text)
        start = self._starts[position.line]
        return start + self._units.code_points(self.line(position.line), position.character)


def changed(text: str, change: types.TextDocumentContentChangeEvent, units: Units) -> str:
    """A text after a change: of a part, or as a whole."""
    if not isinstance(change, types.TextDocumentContentChangePartial):
        return change.text
    lines = Lines(text, units)
    start, end = lines.offset(change.range.start), lines.offset(change.range.end)
    return text[:start] + change.text + text[max(start, end) :]


def overlap(one: types.Range, other: types.Range) -> bool:
    """Whether two stretches have a line in common: actions are offered line by line."""
    return one.start.line <= other.end.line and other.start.line <= one.end.line
