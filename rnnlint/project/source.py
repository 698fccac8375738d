"""Sources: the bytes of a file as text, and places in that text as rows and columns."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from pathlib import Path

import msgspec

from rnnlint.diagnostic import Location, Notice, Span
from rnnlint.project.notebook import Cell, NotebookError, notebook_program

_BOM = b"\xef\xbb\xbf"
# PEP 263: a comment in the first line, or in the second when the first says nothing.
_HEAD = re.compile(rb"[ \t\f]*(?:#[^\r\n]*)?(?:(?:\r\n|\r|\n)[ \t\f]*#[^\r\n]*)?")
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
LINE_END = re.compile(r"\r\n|\r|\n")
HALF_A_PAIR = re.compile("[\ud800-\udfff]")
"""What no encoding of Unicode can hold."""
# The limit is on program text, but a notebook is mostly outputs: it may be this much larger.
_NOTEBOOK_ALLOWANCE = 16


class Source(msgspec.Struct, frozen=True):
    """The text of one file, and what is needed to write it back."""

    path: str
    """Relative to the project root, with forward slashes."""
    text: str
    """Without the byte order mark, line ends as in the file; of a notebook, its program."""
    encoding: str
    bom: bool
    digest: str
    """Names the raw bytes: equal files have equal digests."""
    cells: tuple[Cell, ...] | None = None
    """The code cells of a notebook."""
    data: bytes = b""
    """The bytes of a notebook, of which its program is a part."""

    def encoded(self, text: str) -> bytes:
        """The bytes of a text in the encoding of this file, with its byte order mark.

        Raises:
            UnicodeEncodeError: the encoding cannot hold the text.
        """
        return (_BOM if self.bom else b"") + text.encode(self.encoding)


def newline_of(text: str) -> str:
    """What the first line of a text ends in; a line feed where nothing ends."""
    end = LINE_END.search(text)
    return end[0] if end is not None else "\n"


def content_digest(data: bytes) -> str:
    """The name of these bytes, 32 hexadecimal digits."""
    from hashlib import blake2b

    return blake2b(data, digest_size=16).hexdigest()


def read_bytes(root: Path | str, path: str, max_size: int) -> bytes | Notice:
    """The bytes of a project file, or why there are none."""
    limit = max_size * _NOTEBOOK_ALLOWANCE if path.endswith(".ipynb") else max_size
    try:
        with open(os.path.join(root, path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= limit else b""
    except OSError as error:
        return Notice(path, f"cannot be read: {error.strerror or error}", fatal=True)
    if size > limit:
        return _too_large(path, size, limit)
    return data


def read_source(root: Path | str, path: str, max_size: int) -> Source | Notice:
    """Read and decode a project file; a notice says why it cannot be used."""
    data = read_bytes(root, path, max_size)
    if isinstance(data, Notice):
        return data
    source = source_from_bytes(path, data)
    if isinstance(source, Source) and len(source.text) > max_size:
        return _too_large(path, len(source.text), max_size)
    return source


def source_from_bytes(path: str, data: bytes) -> Source | Notice:
    """Decode the bytes of a file as Python would, or as a notebook when `path` says so."""
    if path.endswith(".ipynb"):
        return _notebook_source(path, data)
    if b"\0" in data:
        return Notice(path, "contains null bytes, so it is not Python source", fatal=True)
    bom = data.startswith(_BOM)
    body = data[len(_BOM) :] if bom else data
    encoding = "utf-8" if bom else declared_encoding(body)
    try:
        text = body.decode(encoding)
    except LookupError:
        message = f"declares the unknown encoding {encoding!r}; correct its first lines"
        return Notice(path, message, fatal=True)
    except (UnicodeError, ValueError) as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        message = f"is not {encoding}{where}; declare its encoding in the first line, or convert it"
        return Notice(path, message, fatal=True)
    if encoding != "utf-8" and HALF_A_PAIR.search(text) is not None:
        message = f"holds half a surrogate pair in {encoding}, which is no text; write it as escape"
        return Notice(path, message, fatal=True)
    return Source(path, text, encoding, bom, content_digest(data))


def declared_encoding(data: bytes) -> str:
    """The encoding that the first two lines declare, `utf-8` when they are silent."""
    head = _HEAD.match(data)
    cookie = _CODING.search(head[0]) if head is not None and b"coding" in head[0] else None
    if cookie is None:
        return "utf-8"
    name = cookie[1].decode("ascii", "replace").lower().replace("_", "-")
    return "utf-8" if name in ("utf8", "utf-8") or name.startswith("utf-8-") else name


def _notebook_source(path: str, data: bytes) -> Source | Notice:
    try:
        text, cells = notebook_program(data)
    except NotebookError as error:
        return Notice(path, str(error), fatal=not error.foreign)
    bom = data.startswith(_BOM)
    return Source(path, text, "utf-8", bom, content_digest(data), cells, data)


def _too_large(path: str, size: int, limit: int) -> Notice:
    message = f"skipped: {size:,} bytes, above max-file-size = {limit:,}; raise it to read this"
    return Notice(path, message)


def line_starts(text: str) -> list[int]:
    """Where the lines of a text begin; behind its last line break one is empty."""
    return [0, *(end.end() for end in LINE_END.finditer(text))]


class LineIndex:
    """Turns offsets of one source into rows and columns, and rows into lines.

    A line ends at LF, CR or CRLF, as for Python's own tokenizer, and at nothing else.  In a
    notebook, rows count from the start of the cell.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._starts = line_starts(source.text)
        cells = source.cells or ()
        self._cell_starts = [cell.start for cell in cells]
        self._cell_rows = {
            cell.number: bisect_right(self._starts, cell.start) - 1 for cell in cells
        }

    def locate(self, offset: int) -> tuple[int | None, Location]:
        """The cell (None outside notebooks) and the place in it of a code point offset."""
        line = bisect_right(self._starts, offset) - 1
        column = offset - self._starts[line] + 1
        if not self._cell_starts or self._source.cells is None:
            return None, Location(line + 1, column)
        position = max(bisect_right(self._cell_starts, offset) - 1, 0)
        cell = self._source.cells[position]
        return cell.number, Location(line - self._cell_rows[cell.number] + 1, column)

    def span(self, start: int, end: int) -> Span:
        """The stretch from `start` to just before `end`."""
        cell, location = self.locate(start)
        end_cell, end_location = self.locate(end)
        if end_cell != cell:
            end_location = location
        return Span(self._source.path, location, end_location, cell)

    def offset(self, location: Location, cell: int | None = None) -> int:
        """The code point offset of a place; the inverse of `locate`."""
        return self._starts[self._line(location.row, cell)] + location.column - 1

    def row_text(self, row: int, cell: int | None = None) -> str:
        """The text of a row, without its line end."""
        line = self._line(row, cell)
        text = self._source.text
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(text)
        return text[self._starts[line] : end].rstrip("\r\n")

    def row_count(self, cell: int | None = None) -> int:
        """How many rows the file, or one cell of it, has."""
        if cell is None:
            return len(self._starts)
        first = self._cell_rows[cell]
        later = [row for row in self._cell_rows.values() if row > first]
        return min(later, default=len(self._starts)) - first

    def row_of(self, location: Location, cell: int | None = None) -> int:
        """The row of a place counted over the whole text, from 1."""
        return self._line(location.row, cell) + 1

    def _line(self, row: int, cell: int | None) -> int:
        return row - 1 + (0 if cell is None else self._cell_rows[cell])


def locate(source: Source, start: int, end: int) -> Span:
    """The span of two offsets; with many of them to locate, keep a `LineIndex` instead."""
    return LineIndex(source).span(start, end)
