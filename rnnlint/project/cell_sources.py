"""The sources of a notebook's cells, written anew in a JSON text that otherwise stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

import msgspec

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]', re.DOTALL)
_STRING_LINE = re.compile(rb"(?:[^\\]|\\[^n])*?\\n|(?:[^\\]|\\[^n])+\Z", re.DOTALL)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class _Piece(msgspec.Struct, frozen=True):
    """A string of the JSON text, or a line in one, without quotes."""

    start: int
    end: int
    raw: bytes

    @property
    def text(self) -> str:
        return str(msgspec.json.decode(b'"' + self.raw + b'"'))


class _Value(msgspec.Struct):
    """The value of a cell's `source`: one string, or a list of strings."""

    start: int
    end: int
    is_list: bool
    pieces: list[_Piece]


class _Style(msgspec.Struct, frozen=True):
    """What stands before, between and behind the strings of a list."""

    before: bytes
    between: bytes
    behind: bytes


def with_cells(data: bytes, texts: Mapping[int, str]) -> bytes:
    """A notebook with other text in some of its cells; the rest of it is the same to the byte.

    Lines that stay are written as they were, others with the escapes that the file has.

    Args:
        data: the notebook.
        texts: the new text of cells, by their place in the notebook's list of cells.

    Raises:
        KeyError: a cell has no source.
    """
    values = dict(_values(data))
    parts: list[bytes] = []
    end = 0
    for value, text in sorted(
        ((values[number], text) for number, text in texts.items()), key=lambda pair: pair[0].start
    ):
        written = _Writer(data, value, values.values()).written(text)
        parts += (data[end : value.start], written)
        end = value.end
    return b"".join([*parts, data[end:]])


# --- reading --------------------------------------------------------------------------


class _Level:
    """An object or list of the JSON text, and the place in it that is read."""

    def __init__(self, is_list: bool) -> None:
        self.is_list = is_list
        self.place: int | bytes | None = 0 if is_list else None


def _values(data: bytes) -> Iterator[tuple[int, _Value]]:
    """The source of each cell by its number; of what is said twice, the last counts."""
    levels: list[_Level] = []
    value: _Value | None = None
    for token in _TOKEN.finditer(data):
        start, end = token.span()
        sign = data[start : start + 1]
        if sign in (b"[", b"{"):
            if sign == b"[" and _cell_of(levels) is not None:
                value = _Value(start, end, True, [])
            levels.append(_Level(sign == b"["))
        elif sign in (b"]", b"}"):
            levels.pop()
            cell = _cell_of(levels)
            if value is not None and cell is not None:
                value.end = end
                yield cell, value
                value = None
        elif sign == b"," and levels:
            place = levels[-1].place
            levels[-1].place = place + 1 if isinstance(place, int) else None
        elif sign == b'"' and levels:
            if levels[-1].place is None:
                levels[-1].place = _key(token[0])
            elif value is not None:
                value.pieces.append(_Piece(start, end, token[0][1:-1]))
            elif (cell := _cell_of(levels)) is not None:
                yield cell, _Value(start, end, False, _lines_of(start + 1, token[0][1:-1]))


def _key(token: bytes) -> bytes:
    return str(msgspec.json.decode(token)).encode() if b"\\" in token else token[1:-1]


def _cell_of(levels: Sequence[_Level]) -> int | None:
    """The cell whose source is read where the way is `cells`, a number, `source`."""
    way = [level.place for level in levels]
    if len(way) == 3 and way[0] == b"cells" and way[2] == b"source" and isinstance(way[1], int):
        return way[1]
    return None


def _lines_of(start: int, raw: bytes) -> list[_Piece]:
    lines = _STRING_LINE.finditer(raw)
    return [_Piece(start + line.start(), start + line.end(), line[0]) for line in lines]


# --- writing --------------------------------------------------------------------------


class _Writer:
    """Writes the source of one cell in the style that it has."""

    def __init__(self, data: bytes, value: _Value, others: Iterable[_Value]) -> None:
        self._data = data
        self._value = value
        self._is_ascii = data.isascii()
        lists = [each for each in (value, *others) if each.is_list and each.pieces]
        self._style = _style(data, lists)

    def written(self, text: str) -> bytes:
        old = self._value.pieces
        lines = _split(text, "".join(piece.text for piece in old), [each.text for each in old])
        kept = _kept([piece.text for piece in old], lines)
        raw = [
            self._encoded(line, old[kept[number]] if number in kept else None)
            for number, line in enumerate(lines)
        ]
        if not self._value.is_list:
            return b'"' + b"".join(raw) + b'"'
        if not raw:
            return b"[]"
        parts = [b"[", self._style.before]
        for number, line in enumerate(raw):
            if number:
                parts.append(self._between(kept.get(number - 1), kept.get(number)))
            parts += (b'"', line, b'"')
        return b"".join([*parts, self._style.behind, b"]"])

    def _between(self, first: int | None, second: int | None) -> bytes:
        """What stands behind the one line or before the other, where one of them stays."""
        pieces = self._value.pieces
        if first is not None and first + 1 < len(pieces):
            return self._data[pieces[first].end : pieces[first + 1].start]
        if second:
            return self._data[pieces[second - 1].end : pieces[second].start]
        return self._style.between

    def _encoded(self, line: str, old: _Piece | None) -> bytes:
        """A line as JSON; one that is there already has the escapes that it had."""
        if old is not None:
            if old.text == line:
                return old.raw
            if old.text + "\n" == line:
                return old.raw + b"\\n"
            if old.text == line + "\n" and old.raw.endswith(b"\\n"):
                return old.raw.removesuffix(b"\\n")
        return json.dumps(line, ensure_ascii=self._is_ascii)[1:-1].encode()


def _style(data: bytes, lists: Sequence[_Value]) -> _Style:
    """The style of the first of some lists; what it cannot say, a longer one does."""
    spaced = b", " if re.search(rb'":[ \r\n]', data) is not None else b","
    if not lists:
        return _Style(b"", spaced, b"")
    first = lists[0]
    before = data[first.start + 1 : first.pieces[0].start]
    behind = data[first.pieces[-1].end : first.end - 1]
    longer = next((each for each in lists if len(each.pieces) > 1), None)
    if before:
        between = b"," + before
        if longer is first:
            between = data[first.pieces[0].end : first.pieces[1].start]
    elif longer is not None:
        between = data[longer.pieces[0].end : longer.pieces[1].start]
    else:
        between = spaced
    return _Style(before, between, behind)


def _split(text: str, before: str, pieces: Sequence[str]) -> list[str]:
    """The lines of a text, taken apart as those before were.

    A form feed or the like ends a line for nbformat, too; not for everyone.
    """
    lines: list[str] = _LINE.findall(text)
    by_line_feed: list[str] = _LINE.findall(before)
    if by_line_feed != list(pieces) and before.splitlines(keepends=True) == list(pieces):
        return text.splitlines(keepends=True)
    return lines


def _kept(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Which of the old lines each of the new is; the line feed behind the last may come or go."""
    before = [line.removesuffix("\n") for line in old]
    after = [line.removesuffix("\n") for line in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return {
        match.b + number: match.a + number
        for match in matcher.get_matching_blocks()
        for number in range(match.size)
    }
