"""The code of a project as repairs see it: its text, its statements, and edits of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from rnnlint.diagnostic import Applicability, Edit, Fix
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.operations import AnyOperation, Replace, SetArgument
from rnnlint.fixing.placement import place
from rnnlint.fixing.scopes import chain_to
from rnnlint.lowering import ir
from rnnlint.project.config import FixStyle
from rnnlint.project.notebook import Cell


class Stretch(Protocol):
    """A stretch of one file, in code points of its text."""

    @property
    def path(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Part(msgspec.Struct, frozen=True):
    """A stretch of one file."""

    path: str
    start: int
    end: int


class Code:
    """The files of a project.

    Args:
        files: the representation of each file by its path.
        text_of: the text of a file that was represented.
        fix_style: what the user wants repairs to be written in.
        cells_of: the code cells of a notebook that was represented.
    """

    def __init__(
        self,
        files: Mapping[str, ir.FileIR],
        text_of: Callable[[str], str],
        fix_style: FixStyle = "auto",
        cells_of: Callable[[str], Sequence[Cell] | None] = lambda path: None,
    ) -> None:
        self._files = files
        self._text_of = text_of
        self._cells_of = cells_of
        self.fix_style = fix_style
        self._layouts: dict[str, Layout] = {}

    def text(self, where: Stretch) -> str:
        """What stands there."""
        return self._text_of(where.path)[where.start : where.end]

    def layout(self, path: str) -> Layout:
        """The layout of a file.

        Raises:
            CannotPlaceError: the file is not part of the project.
        """
        if path not in self._files:
            raise CannotPlaceError(f"{path} cannot be edited")
        if path not in self._layouts:
            text, cells = self._text_of(path), self._cells_of(path)
            self._layouts[path] = Layout(text, self._files[path].body, cells)
        return self._layouts[path]

    def statement(self, where: Stretch) -> Statement:
        """The innermost statement around a place.

        Raises:
            CannotPlaceError: there is none.
        """
        return self.layout(where.path).statement_at(where.start)

    def spreads(self, call: Stretch) -> bool:
        """Whether a call has arguments that are not written out: `*items`, `**options`.

        Raises:
            CannotPlaceError: there is no call.
        """
        return any(argument.star for argument in self._call(call).args)

    def argument(self, call: Stretch, keyword: str, position: int | None = None) -> Part | None:
        """The value of a call's argument, by its keyword or its position from 0.

        Raises:
            CannotPlaceError: there is no call.
        """
        by_position = [one for one in self._call(call).args if one.keyword is None]
        found = [one for one in self._call(call).args if one.keyword == keyword]
        if position is not None and not found:
            found = by_position[position : position + 1]
        return Part(call.path, found[0].value.start, found[0].value.end) if found else None

    def with_argument(
        self, call: Stretch, keyword: str, position: int, code: str, *, over: str | None = None
    ) -> AnyOperation:
        """What gives a call an argument, in the place of the one that it has if it has one.

        Args:
            call: the call.
            keyword: the name of the argument.
            position: its position from 0.
            code: what to give.
            over: the only text that this may take the place of; None for any.

        Raises:
            CannotPlaceError: there is no call, its arguments are not written out, or it is given
                something else.
        """
        if self.spreads(call):
            raise CannotPlaceError("the arguments are not written out")
        given = self.argument(call, keyword, position)
        if given is None:
            return SetArgument(call.path, call.start, call.end, keyword, code)
        if over not in (None, self.text(given)):
            raise CannotPlaceError(f"{keyword} is given something else")
        return Replace(given.path, given.start, given.end, code)

    def receiver(self, call: Stretch) -> Part | None:
        """What a method is called on: `scaler` in `scaler.step(optimizer)`.

        Raises:
            CannotPlaceError: there is no call.
        """
        function = self._call(call).func
        if not isinstance(function, ir.Attribute):
            return None
        return Part(call.path, function.value.start, function.value.end)

    def node_at(self, where: Stretch) -> ir.Node:
        """The expression that lies exactly there.

        Raises:
            CannotPlaceError: there is none.
        """
        chain = chain_to(self.statement(where).node, where.start, where.end)
        if not chain:
            raise CannotPlaceError("there is no expression here")
        return chain[-1]

    def operand(self, where: Stretch) -> str:
        """The text of an expression, in parentheses where a method cannot follow it otherwise.

        Raises:
            CannotPlaceError: there is no expression.
        """
        text = self.text(where)
        simple = isinstance(self.node_at(where), (ir.Name, ir.Attribute, ir.Call, ir.Subscript))
        return text if simple else f"({text})"

    def _call(self, call: Stretch) -> ir.Call:
        return call_at(self.layout(call.path), call.start, call.end)

    def repair(
        self,
        message: str,
        operations: Iterable[AnyOperation],
        applicability: Applicability,
        *,
        uncovers: bool = False,
    ) -> Fix | None:
        """The edits that carry out some operations; None if one of them has no place.

        A repair that changes text in which a comment stands wants a look, whatever it does.
        One that uncovers has other code trained, of which rules could say nothing before.
        """
        try:
            edits = place(operations, self.layout)
        except CannotPlaceError:
            return None
        if any(self._holds_comment(edit) for edit in edits):
            applicability = Applicability.UNSAFE
        return Fix(message, applicability, edits, uncovers)

    def _holds_comment(self, edit: Edit) -> bool:
        # A hash in a string counts too: wrongly careful, and rare.
        return "#" in self._text_of(edit.path)[edit.start : edit.end]
