"""Edits to the program of a notebook as edits to its cells."""

from __future__ import annotations

from collections.abc import Iterable

from rnnlint.diagnostic import Edit
from rnnlint.project.cell_sources import with_cells
from rnnlint.project.notebook import Cell, cell_magic, cell_texts
from rnnlint.project.source import LINE_END, Source


class CannotEditError(Exception):
    """What the file would become cannot be; the message says why."""


def edited_notebook(before: Source, edits: Iterable[Edit]) -> bytes:
    """The bytes of a notebook whose program is edited.

    Args:
        before: the notebook.
        edits: in the order of the text; none overlaps another.

    Raises:
        CannotEditError: an edit goes over the end of a cell, or changes what is no Python.
    """
    by_cell: dict[Cell, list[Edit]] = {}
    for edit in edits:
        by_cell.setdefault(_cell_of(before, edit), []).append(edit)
    own = cell_texts(before.data)
    texts = {
        cell.number: _edited(own[cell.number], before.text[cell.start : cell.end], cell, of_cell)
        for cell, of_cell in by_cell.items()
    }
    return with_cells(before.data, texts)


def _cell_of(before: Source, edit: Edit) -> Cell:
    for cell in before.cells or ():
        if cell.start <= edit.start and edit.end <= cell.end:
            return cell
    raise CannotEditError("the edit goes over the end of a cell")


def _edited(own: str, masked: str, cell: Cell, edits: Iterable[Edit]) -> str:
    """The text of a cell after the edits.

    Args:
        own: the cell as it is.
        masked: the cell as it is in the program.
        cell: where that is.
        edits: what changes, in the order of the text.
    """
    magics = _magics(own, masked)
    parts: list[str] = []
    position = 0
    for edit in edits:
        start, end = edit.start - cell.start, edit.end - cell.start
        if any(start < last and first < end for first, last in magics):
            raise CannotEditError("the edit changes a magic, which is no Python")
        parts += (own[position:start], edit.replacement)
        position = end
    text = "".join([*parts, own[position:]])
    if cell_magic(own) != cell_magic(text):
        raise CannotEditError("the cell would begin with another magic than it does")
    return text


def _magics(own: str, masked: str) -> list[tuple[int, int]]:
    """The stretches of a cell's lines that are something else in the program."""
    if own == masked:
        return []
    found: list[tuple[int, int]] = []
    start = 0
    for end in (*(each.end() for each in LINE_END.finditer(own)), len(own)):
        other = [at for at in range(start, end) if own[at] != masked[at]]
        if other:
            found.append((other[0], other[-1] + 1))
        start = end
    return found
