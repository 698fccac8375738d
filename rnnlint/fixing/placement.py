"""Operations as text edits: the right place, indentation and style of each."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence

from rnnlint.diagnostic import Edit
from rnnlint.fixing import operations
from rnnlint.fixing.arguments import (
    Change,
    add_parameter,
    call_at,
    insert_argument,
    remove_argument,
    set_argument,
)
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.names import Imports
from rnnlint.lowering import ir
from rnnlint.project.source import LINE_END

_NAMED = re.compile(
    r"\{(?P<whole>[A-Za-z_]\w*(?:\.\w+)+)\}"
    r"|\{from (?P<module>[A-Za-z_][\w.]*) import (?P<name>\w+)\}"
)
_SAME_LINE = re.compile(r"[ \t]*;[ \t]*")
_LINE_BREAK = re.compile(r"(?:\r\n|\r|\n)\Z")
_GIVES_NOTHING = ("step", "zero_grad", "unscale_", "backward", "update")
"""Methods that return None."""
_REST = re.compile(r"[ \t]*;?[ \t]*(#[^\r\n]*)?")


def place(
    wanted: Iterable[operations.AnyOperation], layout_of: Callable[[str], Layout]
) -> tuple[Edit, ...]:
    """The edits that carry out the operations of one repair.

    Args:
        wanted: the operations, in the order in which what they insert at one place shall stand.
        layout_of: the layout of a file, by its path.

    Raises:
        CannotPlaceError: one of them has no place; the repair is to be left out as a whole.
    """
    by_path: dict[str, list[operations.AnyOperation]] = {}
    for operation in wanted:
        by_path.setdefault(operation.path, []).append(operation)
    files: dict[str, _File] = {}
    for path, of_file in by_path.items():
        files[path] = _File(layout_of(path), min(map(_first_place, of_file)))
        for operation in of_file:
            files[path].carry_out(operation)
    return tuple(
        Edit(path, change.start, change.end, change.text)
        for path, file in sorted(files.items())
        for change in file.changes()
    )


def _first_place(operation: operations.AnyOperation) -> int:
    target = operation.target if isinstance(operation, operations.Move) else operation.start
    return min(operation.start, target)


class _File:
    """What is to change in one file, not before an offset."""

    def __init__(self, layout: Layout, start: int) -> None:
        self.layout = layout
        self.imports = Imports(layout, start)
        self._changes: list[Change] = []

    def changes(self) -> list[Change]:
        """In the order of the text; insertions at one place are one change."""
        imports = [Change(at, at, text) for at, text in self.imports.places()]
        changes = [*imports, *self._changes]
        merged: list[Change] = []
        for change in sorted(changes, key=lambda one: (one.start, one.end)):
            if merged and change.start < merged[-1].end:
                raise CannotPlaceError("two operations of the repair change the same text")
            if merged and merged[-1].start == merged[-1].end == change.start:
                change = Change(change.start, change.end, merged.pop().text + change.text)
            merged.append(change)
        return [self._closed(change, merged[n - 1 : n]) for n, change in enumerate(merged)]

    def _closed(self, change: Change, before: Sequence[Change]) -> Change:
        """Without an empty line at the end of a cell whose last line goes."""
        layout, start = self.layout, change.start
        is_last = start < change.end and not change.text and layout.ends_openly(change.end)
        if not layout.is_notebook or not is_last or layout.is_first(start):
            return change
        line_break = _LINE_BREAK.search(layout.text, max(start - 2, 0), start)
        if line_break is None or any(line_break.start() <= one.end for one in before):
            return change
        return Change(line_break.start(), change.end, "")

    def carry_out(self, operation: operations.AnyOperation) -> None:
        self._changes += _CARRIED_OUT[type(operation)](self, operation)

    def code(self, code: str) -> str:
        """With the file's own names for what stands in braces."""
        return _NAMED.sub(self._named, code)

    def _named(self, match: re.Match[str]) -> str:
        if match["whole"] is not None:
            return self.imports.expression(match["whole"])
        return self.imports.expression(f"{match['module']}.{match['name']}", within=1)

    # --- statements ---

    def insert(self, operation: operations.Insert) -> list[Change]:
        return [self._inserted(operation.start, self._lines(operation.lines), operation.where)]

    def rewrite(self, operation: operations.Rewrite) -> list[Change]:
        statement = self.layout.statement_at(operation.start)
        lines = self._lines(operation.lines)
        separator = self.layout.newline + self.layout.indentation(statement.start)
        if not self._has_its_lines(statement):
            self._check_one_by_one(lines)
            separator = "; "
        return [Change(statement.start, statement.end, separator.join(lines))]

    def _lines(self, lines: Iterable[str]) -> list[str]:
        unit = self.layout.unit()
        return [_indented(self.code(line), unit) for line in lines]

    def _inserted(self, offset: int, lines: list[str], where: str) -> Change:
        layout = self.layout
        statement = layout.statement_at(offset)
        if statement.is_branch and where == "before":
            raise CannotPlaceError("nothing can stand before an elif")
        if where == "after" and _never_ends(statement.node):
            raise CannotPlaceError("what stands behind the statement is never reached")
        if not self._has_its_lines(statement):
            return self._within_line(statement, lines, where)
        indentation = layout.indentation(statement.start)
        if where == "after" and not indentation and layout.is_last_of_cell(statement.end):
            lines = _without_output(lines)
        block = "".join(f"{indentation}{line}{layout.newline}" for line in lines)
        if where == "before":
            at = layout.line_start(statement.start)
            return Change(at, at, block)
        at = layout.next_line(statement.end)
        if layout.ends_openly(at):
            return Change(at, at, layout.newline + block[: -len(layout.newline)])
        return Change(at, at, block)

    def _within_line(self, statement: Statement, lines: list[str], where: str) -> Change:
        """Beside other statements on their line, or in a body on the line of its `if`."""
        self._check_one_by_one(lines)
        if where == "before":
            return Change(statement.start, statement.start, "; ".join(lines) + "; ")
        return Change(statement.end, statement.end, "; " + "; ".join(lines))

    def _check_one_by_one(self, lines: list[str]) -> None:
        if any(line[:1].isspace() or line.endswith(":") for line in lines):
            raise CannotPlaceError("a block cannot stand on a line with other statements")

    def _has_its_lines(self, statement: Statement) -> bool:
        """Whether no other statement begins or ends on the lines of this one."""
        layout = self.layout
        if not layout.begins_line(statement.start):
            return False
        rest = _REST.match(layout.text, statement.end)
        return rest is not None and rest.end() == layout.line_end(statement.end)

    def remove(self, operation: operations.Remove) -> list[Change]:
        statement = self.layout.statement_at(operation.start)
        if statement.is_branch:
            raise CannotPlaceError("an elif is part of the if before it")
        if len(statement.block) == 1 and statement.parents:
            return [Change(statement.start, statement.end, "pass")]
        if self._has_its_lines(statement):
            start = self.layout.line_start(statement.start)
            if operation.comment is not None:
                start = operation.comment
            end = self.layout.next_line(statement.end)
            return [Change(start, self._behind_blank_lines(statement, start, end), "")]
        number = statement.number
        for following in statement.block[number + 1 : number + 2]:
            start = self.layout.extent(following)[0]
            if _SAME_LINE.fullmatch(self.layout.text, statement.end, start):
                return [Change(statement.start, start, "")]
        if number == 0:
            raise CannotPlaceError("the statement shares its line with the head of its block")
        return [Change(self.layout.extent(statement.block[number - 1])[1], statement.end, "")]

    def _behind_blank_lines(self, statement: Statement, start: int, end: int) -> int:
        """Where text goes on without the blank lines that only set a statement off.

        Those are all behind the first of a block, and as many as stand on either side of another.
        """
        layout, behind = self.layout, [end]
        while layout.is_blank(behind[-1]):
            behind.append(layout.next_line(behind[-1]))
        above = start
        before = 0
        while above and layout.is_blank(layout.line_above(above)):
            above, before = layout.line_above(above), before + 1
        opens = statement.number == 0 and len(statement.block) > 1 and bool(statement.parents)
        head = layout.text[layout.line_above(above) : above].strip()
        if opens and not before and not head.startswith("#"):
            return behind[-1]
        return behind[min(before, len(behind) - 1)]

    def move(self, operation: operations.Move) -> list[Change]:
        layout = self.layout
        statement = layout.statement_at(operation.start)
        if not self._has_its_lines(statement):
            raise CannotPlaceError("the statement shares its line with others")
        start = layout.line_start(statement.start)
        text = layout.text[start : layout.line_end(statement.end)]
        indentation = layout.indentation(statement.start)
        if self._holds_lines_of_text(statement.node):
            raise CannotPlaceError("a string of the statement would be indented anew, too")
        lines = []
        for line in LINE_END.split(text):
            if not line.startswith(indentation):
                raise CannotPlaceError("the statement has lines that cannot be indented anew")
            lines.append(line[len(indentation) :])
        moved = self._inserted(operation.target, lines, operation.where)
        return [*self.remove(operations.Remove(operation.path, operation.start, 0)), moved]

    def _holds_lines_of_text(self, node: ir.Stmt) -> bool:
        """Whether a string of a statement goes over several lines."""
        text = self.layout.text
        return any(
            LINE_END.search(text, each.start, each.end) is not None
            for each in ir.nodes_in((node,))
            if isinstance(each, (ir.Const, ir.FString))
        )

    # --- expressions ---

    def replace(self, operation: operations.Replace) -> list[Change]:
        return [Change(operation.start, operation.end, self.code(operation.code))]

    def set_argument(self, operation: operations.SetArgument) -> list[Change]:
        code = self.code(operation.code)
        return set_argument(self.layout, self._call(operation), operation.keyword, code)

    def add_argument(self, operation: operations.AddArgument) -> list[Change]:
        return insert_argument(self.layout, self._call(operation), self.code(operation.code))

    def remove_argument(self, operation: operations.RemoveArgument) -> list[Change]:
        return remove_argument(self.layout, self._call(operation), operation.keyword)

    def _call(self, operation: operations.AnyOperation) -> ir.Call:
        return call_at(self.layout, operation.start, operation.end)

    def add_parameter(self, operation: operations.AddParameter) -> list[Change]:
        node = self.layout.statement_at(operation.start).node
        if not isinstance(node, ir.FunctionDef):
            raise CannotPlaceError("there is no function here")
        return add_parameter(self.layout, node, operation.name, operation.default)


def _never_ends(node: ir.Stmt) -> bool:
    """Whether the statement is left for another place than that behind it."""
    leaves = isinstance(node, ir.Jump) and node.kind != "pass"
    return leaves or isinstance(node, (ir.Return, ir.Raise))


def _without_output(lines: list[str]) -> list[str]:
    """Lines that end a cell: a notebook shows the value of the last, unless `;` follows it."""
    last = ast.parse("\n".join(lines)).body[-1]
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return lines
    function = last.value.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    return lines if name in _GIVES_NOTHING else [*lines[:-1], f"{lines[-1]};"]


def _indented(line: str, unit: str) -> str:
    """Four spaces become one step of the file's own indentation."""
    code = line.lstrip(" ")
    return unit * ((len(line) - len(code)) // 4) + code


_CARRIED_OUT: dict[type, Callable[..., list[Change]]] = {
    operations.Insert: _File.insert,
    operations.Replace: _File.replace,
    operations.Rewrite: _File.rewrite,
    operations.SetArgument: _File.set_argument,
    operations.AddArgument: _File.add_argument,
    operations.RemoveArgument: _File.remove_argument,
    operations.Remove: _File.remove,
    operations.Move: _File.move,
    operations.AddParameter: _File.add_parameter,
}
