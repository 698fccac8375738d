"""Notebooks as programs: the code cells of one `.ipynb` file, joined to one Python text.

What IPython understands and Python does not (`%magic`, `!command`, `name?`) is replaced by text
of the same length, so that every offset in the program is one in the cells as well.
"""

from __future__ import annotations

import re

import msgspec

_BOM = b"\xef\xbb\xbf"
PYTHON_CELL_MAGICS = frozenset({"capture", "debug", "prun", "python", "python3", "time", "timeit"})
"""The `%%` magics whose cells run as Python in the notebook's own namespace."""


class Cell(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A code cell and the stretch of the program that it fills."""

    number: int
    """Its place in the notebook's list of cells, from 0, as nbformat counts."""
    start: int
    end: int


class NotebookError(Exception):
    """The bytes are no notebook in Python; the message says why."""

    def __init__(self, message: str, *, foreign: bool = False) -> None:
        super().__init__(message)
        self.foreign = foreign
        """Whether this is a sound notebook in another language."""


class _RawCell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""


class _RawNotebook(msgspec.Struct):
    cells: list[_RawCell] | None = None
    nbformat: int = 4
    metadata: dict[str, msgspec.Raw] = {}


def notebook_program(data: bytes) -> tuple[str, tuple[Cell, ...]]:
    """The program of a notebook and the map of its cells.

    Raises:
        NotebookError: this is not a notebook that can be read as Python.
    """
    parts: list[str] = []
    cells: list[Cell] = []
    position = 0
    for number, text in cell_texts(data).items():
        cells.append(Cell(number, position, position + len(text)))
        parts.append(mask_magics(text))
        position += len(text) + 1
    return "\n".join(parts), tuple(cells)


def cell_texts(data: bytes) -> dict[int, str]:
    """The code cells of a notebook as they are, by their place in its list of cells.

    Raises:
        NotebookError: this is not a notebook that can be read as Python.
    """
    return {
        number: raw.source if isinstance(raw.source, str) else "".join(raw.source)
        for number, raw in enumerate(_parse(data).cells or ())
        if raw.cell_type == "code"
    }


def _parse(data: bytes) -> _RawNotebook:
    try:
        notebook = msgspec.json.decode(data.removeprefix(_BOM), type=_RawNotebook)
        language = _language(notebook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotebookError(f"this is not a notebook: {error}; open and save it again") from error
    if notebook.cells is None and notebook.nbformat >= 4:
        raise NotebookError("this is not a notebook: it has no cells; open and save it again")
    if notebook.nbformat < 4:
        raise NotebookError(
            f"notebook format {notebook.nbformat} is not supported; "
            "convert it with `jupyter nbconvert --to notebook`"
        )
    if language not in ("", "python", "ipython"):
        raise NotebookError(f"this notebook is in {language}, not in Python", foreign=True)
    return notebook


def _language(notebook: _RawNotebook) -> str:
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        raw = notebook.metadata.get(section)
        value = msgspec.json.decode(raw) if raw is not None else None
        if isinstance(value, dict) and isinstance(value.get(key), str):
            return str(value[key]).lower()
    return ""


# --- magics ------------------------------------------------------------------

# Commands that IPython takes without a `%` ("automagic"), before what no expression begins with.
_COMMAND = (
    r"[ \t]*(?:ls|ll|cd|cat|cp|mv|rm|mkdir|rmdir|pip|conda|man|less|more)[ \t]+"
    r"(?!(?:in|is|if|and|or|not|for|else)\b)(?:[\w~'\"]|\.\.)"
)
_MAY_HOLD_MAGIC = re.compile(rf"^[ \t]*[%!?]|=[ \t]*[%!]|\?[ \t\r]*$|^{_COMMAND}", re.MULTILINE)
_AUTOMAGIC = re.compile(_COMMAND)
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_LINE_MAGIC = re.compile(r"[ \t]*([%!?])")
_HELP = re.compile(r"[ \t]*[\w.%*\[\]'\"]+\?{1,2}[ \t]*[\r\n]*\Z")
_ASSIGNED_MAGIC = re.compile(r"[ \t]*[A-Za-z_][\w.]*(?:[ \t]*,[ \t]*[\w.]+)*[ \t]*=[ \t]*(?=[%!])")
_TIMED_STATEMENT = re.compile(
    r"[ \t]*(%time(?:it)?(?:[ \t]+-[A-Za-z]+(?:[ \t]*\d+)?)*)[ \t]+"
    r"(?!(?:for|while|if|with|try|def|class|async|@)\b)[^\s#-]"
)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
# What can hide a line end or a bracket from us, in the order in which it must be tried.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''(?:\\.|[^\\])*?(?:'''|\Z)"
    r'|"(?:\\(?:\r\n|.)|[^\\"\r\n])*"?'
    r"|'(?:\\(?:\r\n|.)|[^\\'\r\n])*'?"
    r"|#[^\r\n]*|\\(?:\r\n|.)|\r\n|[()\[\]{}\r\n]",
    re.DOTALL,
)


def cell_magic(text: str) -> str | None:
    """The name of the `%%` magic that a cell begins with, if it does."""
    magic = _CELL_MAGIC.match(text)
    return magic[1] if magic is not None else None


def mask_magics(text: str) -> str:
    """The text of a cell with its magics replaced by harmless Python of the same length."""
    magic = cell_magic(text)
    if magic is not None and magic not in PYTHON_CELL_MAGICS:
        return _blank(text)
    if _MAY_HOLD_MAGIC.search(text) is None:
        return text
    parts: list[str] = []
    position = 0
    while position < len(text):
        line_end = _magic_line_end(text, position)
        masked = _masked_line(text[position:line_end])
        if masked is None:
            line_end = _statement_end(text, position)
            masked = text[position:line_end]
        parts.append(masked)
        position = line_end
    return "".join(parts)


def _masked_line(line: str) -> str | None:
    """The replacement of a magic line; None when the line is Python."""
    timed = _TIMED_STATEMENT.match(line)
    if timed is not None:
        # `%time fit()` runs Python; `_; fit()` has the same length when padded, and runs it too.
        start, end = timed.span(1)
        return line[:start] + "_;".ljust(end - start) + line[end:]
    magic = _LINE_MAGIC.match(line)
    if magic is not None:
        return _placeholder(line, magic.start(1))
    if _HELP.match(line) or _AUTOMAGIC.match(line):
        return _placeholder(line, len(line) - len(line.lstrip(" \t")))
    assigned = _ASSIGNED_MAGIC.match(line)
    if assigned is not None:
        return _placeholder(line, assigned.end())
    return None


def _placeholder(line: str, start: int) -> str:
    """Replace what stands behind `start` by `_`, a name whose value nobody knows."""
    return line[:start] + "_" + _blank(line[start + 1 :])


def _blank(text: str) -> str:
    return re.sub(r"[^\r\n]", " ", text)


def _magic_line_end(text: str, position: int) -> int:
    """Where the line at `position` ends; a backslash continues a magic on the next line."""
    while True:
        line = _LINE.match(text, position)
        assert line is not None  # the expression matches everywhere
        if line.end() == position or not line[0].rstrip("\r\n").endswith("\\"):
            return line.end()
        position = line.end()


def _statement_end(text: str, position: int) -> int:
    """Where the logical line at `position` ends: behind brackets, strings and continuations."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        if token[0] in ("(", "[", "{"):
            depth += 1
        elif token[0] in (")", "]", "}"):
            depth -= 1
        elif token[0] in ("\r\n", "\r", "\n") and depth <= 0:
            return token.end()
    return len(text)
