"""How a file is laid out: its blocks, lines and indentation.

The representation says where statements and expressions begin and end, as LibCST read them;
the text says the rest.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec

from rnnlint.fixing.bindings import given, names_bound
from rnnlint.lowering import ir
from rnnlint.project.notebook import Cell
from rnnlint.project.source import LINE_END, newline_of

_SPACES = re.compile(r"[ \t\f]*")
_BREAKS = ("", "\n", "\r")
_CONTINUED = re.compile(r"\\(?:\r\n|\r|\n)\Z")


class CannotPlaceError(Exception):
    """An operation has no place in this layout; the message says why."""


class Statement(msgspec.Struct, frozen=True):
    """A statement with its surroundings."""

    node: ir.Stmt
    start: int
    """Where its text begins: at the decorators of a function or class."""
    end: int
    block: tuple[ir.Stmt, ...]
    parents: tuple[ir.Stmt, ...]
    """The statements around it, outermost first."""
    is_branch: bool = False
    """Whether it is an `elif`, before which nothing can stand."""

    @property
    def number(self) -> int:
        """Which of its block it is, from 0."""
        number = place_in(self.block, self.node)
        assert number is not None  # it was found there
        return number


class Layout:
    """The layout of one file.

    Args:
        text: the file, as it was lowered.
        body: its statements.
        cells: the code cells of a notebook.
    """

    def __init__(
        self, text: str, body: tuple[ir.Stmt, ...], cells: Sequence[Cell] | None = None
    ) -> None:
        self.text = text
        self.body = body
        self.is_notebook = cells is not None
        self._ends = [cell.end for cell in cells or ()] or [len(text)]
        self.newline = self._newline(cells or ())
        self._names_in: dict[int, frozenset[str]] = {}
        self._nodes_in: dict[int, tuple[ir.Node, ...]] = {}
        self._given_in: dict[int, dict[str, list[tuple[int, ir.Expr]]]] = {}

    def _newline(self, cells: Sequence[Cell]) -> str:
        """What the lines of a file, or of a notebook's cells, end in."""
        for cell in cells:
            end = LINE_END.search(self.text, cell.start, cell.end)
            if end is not None:
                return end[0]
        return newline_of(self.text)

    @cached_property
    def quote(self) -> str:
        """The quotation mark that the file uses more."""
        return "'" if self.text.count("'") > self.text.count('"') else '"'

    @cached_property
    def names_bound(self) -> frozenset[str]:
        """Names that something else than a top-level import binds, in any scope of the file."""
        return frozenset(names_bound(self.body, self.nodes_in(self.body)))

    def nodes_in(self, block: tuple[ir.Stmt, ...]) -> tuple[ir.Node, ...]:
        """Every node of a block of the file, parents first."""
        known = self._nodes_in.get(id(block))
        if known is None:
            known = self._nodes_in[id(block)] = tuple(ir.nodes_in(block))
        return known

    def given_in(self, block: tuple[ir.Stmt, ...]) -> dict[str, list[tuple[int, ir.Expr]]]:
        """What a block of the file assigns to each name, with where the statement begins."""
        known = self._given_in.get(id(block))
        if known is None:
            known = self._given_in[id(block)] = {}
            for name, start, value in given(self.nodes_in(block)):
                known.setdefault(name, []).append((start, value))
        return known

    def names_in(self, block: tuple[ir.Stmt, ...]) -> frozenset[str]:
        """Every name that stands in a block of the file, or that it binds."""
        known = self._names_in.get(id(block))
        if known is None:
            nodes = self.nodes_in(block)
            read = (node.id for node in nodes if isinstance(node, ir.Name))
            known = self._names_in[id(block)] = frozenset((*read, *names_bound(block, nodes)))
        return known

    # --- statements ---

    def statement_at(self, offset: int) -> Statement:
        """The innermost statement around an offset.

        Raises:
            CannotPlaceError: there is none, or a part of it is in another cell.
        """
        found: Statement | None = None
        block: tuple[ir.Stmt, ...] = self.body
        parents: tuple[ir.Stmt, ...] = ()
        while True:
            inner = self._in_block(block, parents, offset)
            if inner is None:
                break
            if inner.end > self._end_around(inner.start):
                raise CannotPlaceError("the statement goes on in another cell")
            found = inner
            parents = (*inner.parents, inner.node)
            nested = [one for one in blocks_of(inner.node) if self._covers(one, offset)]
            if not nested:
                break
            block = nested[0]
        if found is None:
            raise CannotPlaceError("there is no statement here")
        return found

    def _in_block(
        self, block: tuple[ir.Stmt, ...], parents: tuple[ir.Stmt, ...], offset: int
    ) -> Statement | None:
        number = bisect_right(block, offset, key=lambda node: node.start)
        # The name of a function, where it is said to start, stands behind its decorators.
        for node in block[max(number - 1, 0) : number + 1]:
            start, end = self.extent(node)
            if start <= offset <= end:
                is_branch = isinstance(node, ir.If) and self.text.startswith("elif", start)
                return Statement(node, start, end, block, parents, is_branch)
        return None

    def _covers(self, block: tuple[ir.Stmt, ...], offset: int) -> bool:
        return bool(block) and self.extent(block[0])[0] <= offset <= self.extent(block[-1])[1]

    def extent(self, node: ir.Stmt) -> tuple[int, int]:
        """Where the text of a statement begins and ends, with decorators and body."""
        if isinstance(node, (ir.FunctionDef, ir.ClassDef)):
            first = node.decorators[0].start if node.decorators else node.start
            return self.line_start(first) + self.indent_width(first), self.extent(node.body[-1])[1]
        return node.start, node.end

    # --- lines ---

    def line_start(self, offset: int) -> int:
        """Where the line of an offset begins."""
        before = max(self.text.rfind("\n", 0, offset), self.text.rfind("\r", 0, offset))
        return before + 1

    def line_above(self, start: int) -> int:
        """Where the line above one begins that begins here, or the text."""
        end = start - (2 if self.text.endswith("\r\n", 0, start) else 1)
        return self.line_start(max(end, 0))

    def line_end(self, offset: int) -> int:
        """Where the line of an offset ends, before its line break."""
        end = LINE_END.search(self.text, offset)
        return end.start() if end is not None else len(self.text)

    def next_line(self, offset: int) -> int:
        """Where the line after that of an offset begins, or the end of the text or cell."""
        end = LINE_END.search(self.text, offset)
        last = self._end_around(offset)
        return min(end.end(), last) if end is not None else last

    def is_blank(self, offset: int) -> bool:
        """Whether a whole line of the text or cell begins here, and nothing stands on it."""
        end = self.next_line(offset)
        return offset < end and not self.text[offset:end].strip()

    def ends_openly(self, offset: int) -> bool:
        """Whether the text or cell ends here, and its last line in no line break."""
        return offset == self._end_around(offset) and self.text[offset - 1 : offset] not in _BREAKS

    def is_last_of_cell(self, offset: int) -> bool:
        """Whether nothing stands behind the line of an offset in its cell of a notebook."""
        start = self.next_line(offset)
        return self.is_notebook and not self.text[start : self._end_around(start)].strip()

    def is_first(self, offset: int) -> bool:
        """Whether the text or cell begins here."""
        return not offset or self._end_around(offset - 1) < offset

    def _end_around(self, offset: int) -> int:
        """Where the cell of an offset ends, or the text."""
        number = bisect_left(self._ends, offset)
        return self._ends[number] if number < len(self._ends) else len(self.text)

    def indentation(self, offset: int) -> str:
        """The white space with which the line of an offset begins; a form feed begins it anew."""
        return self._spaces(offset).rpartition("\f")[2]

    def indent_width(self, offset: int) -> int:
        return len(self._spaces(offset))

    def _spaces(self, offset: int) -> str:
        match = _SPACES.match(self.text, self.line_start(offset))
        assert match is not None  # it matches the empty string
        return match[0]

    def begins_line(self, offset: int) -> bool:
        """Whether only white space stands before an offset on its line, which continues none."""
        start = self.line_start(offset)
        is_first = start + self.indent_width(offset) >= offset
        # A comment may end like a continuation: wrongly careful, and rare.
        return is_first and _CONTINUED.search(self.text, max(start - 3, 0), start) is None

    def unit(self) -> str:
        """One step of this file's indentation."""
        for node, depth in _walk(self.body, 0):
            if depth and self.begins_line(node.start):
                whole = self.indentation(node.start)
                if whole and len(whole) % depth == 0:
                    return whole[: len(whole) // depth]
        return "    "


def place_in(block: tuple[ir.Stmt, ...], node: ir.Stmt) -> int | None:
    """Which statement of a block one is, from 0; None if it stands elsewhere."""
    return next((number for number, one in enumerate(block) if one is node), None)


def blocks_of(node: ir.Stmt) -> list[tuple[ir.Stmt, ...]]:
    """The blocks that belong to a statement, in the order of the text."""
    if isinstance(node, (ir.FunctionDef, ir.ClassDef, ir.With)):
        return [node.body]
    if isinstance(node, (ir.If, ir.For, ir.While)):
        return [node.body, node.orelse]
    if isinstance(node, ir.Try):
        handlers = [handler.body for handler in node.handlers]
        return [node.body, *handlers, node.orelse, node.final]
    if isinstance(node, ir.Match):
        return [case.body for case in node.cases]
    return []


def _walk(block: tuple[ir.Stmt, ...], depth: int) -> Iterator[tuple[ir.Stmt, int]]:
    for node in block:
        yield node, depth
        for inner in blocks_of(node):
            # `elif` is an if in the else block, on the same level.
            chained = isinstance(node, ir.If) and inner is node.orelse and len(inner) == 1
            if not chained:
                # The cases of a match are a level of their own.
                yield from _walk(inner, depth + 1 + isinstance(node, ir.Match))
