"""What a file calls the things of libraries, and how it imports what it has no name for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir

# `import torch` is enough to reach everything below it that a repair names.
_WHOLE = frozenset({"torch"})


class Imports:
    """The names that a file's imports bind, and the imports that repairs add to it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._bound: dict[str, str] = {}
        self._last: ir.Stmt | None = None
        self._last_of: dict[str, ir.Stmt] = {}
        for node in layout.body:
            if isinstance(node, (ir.FunctionDef, ir.ClassDef, ir.For, ir.While, ir.With)):
                break
            if isinstance(node, (ir.Import, ir.ImportFrom)):
                self._read(node)
        self.added: dict[str, None] = {}

    @cached_property
    def _taken(self) -> set[str]:
        # Most repairs name nothing of a library, and the whole file is read for this.
        return set(names_bound(self._layout.body))

    def _read(self, node: ir.Import | ir.ImportFrom) -> None:
        self._last = node
        if isinstance(node, ir.ImportFrom):
            self._last_of[node.module.partition(".")[0]] = node
            for alias in node.names:
                if not node.level and alias.name != "*":
                    self._bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            return
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self._last_of[top] = node
            if alias.asname:
                self._bound[alias.asname] = alias.name
            else:
                self._bound.setdefault(top, top)

    def expression(self, dotted: str) -> str:
        """What to write for a library's thing; an import is noted where there is none.

        Raises:
            CannotPlaceError: the file calls something else by that name.
        """
        best: tuple[int, str] | None = None
        for name, target in self._bound.items():
            if name in self._taken or not (dotted + ".").startswith(target + "."):
                continue
            rest = dotted[len(target) :]
            if rest.count(".") > 1 and target.partition(".")[0] not in _WHOLE:
                continue
            if best is None or len(target) > best[0]:
                best = (len(target), name + rest)
        if best is not None:
            return best[1]
        module, _, name = dotted.rpartition(".")
        if name in self._taken or name in self._bound:
            raise CannotPlaceError(f"the file has a {name} of its own beside {dotted}")
        self._bound[name] = dotted
        self.added[f"from {module} import {name}"] = None
        return name

    def place(self) -> tuple[int, str]:
        """Where added imports go, and their text.

        After the last import of the same library, else after the last import, else after the
        docstring and `__future__`, else before the first statement.
        """
        top = next(iter(self.added)).split()[1].partition(".")[0]
        after = self._last_of.get(top, self._last) or self._docstring()
        newline = self._layout.newline
        text = "".join(line + newline for line in self.added)
        if after is None:
            first = self._layout.body[0] if self._layout.body else None
            start = self._layout.extent(first)[0] if first is not None else 0
            return self._layout.line_start(start), text + newline * 2
        blank = "" if isinstance(after, (ir.Import, ir.ImportFrom)) else newline
        end = self._layout.next_line(after.end)
        ends_open = end == len(self._layout.text) and self._layout.text[-1:] not in ("\n", "\r")
        return end, (newline if ends_open else "") + blank + text

    def _docstring(self) -> ir.Stmt | None:
        first = self._layout.body[0] if self._layout.body else None
        if isinstance(first, ir.ExprStmt) and isinstance(first.value, ir.Const):
            return first if first.value.kind == "str" else None
        return None


def names_bound(block: tuple[ir.Stmt, ...]) -> Iterator[str]:
    """Names that something else than a top-level import binds, in any scope of the file."""
    top = set(map(id, block))
    for node in ir.nodes_in(block):
        if isinstance(node, (ir.Import, ir.ImportFrom)):
            if id(node) not in top:
                yield from (alias.asname or alias.name for alias in node.names)
        else:
            yield from _bound_by(node)


def _bound_by(node: object) -> Iterator[str]:
    if isinstance(node, (ir.FunctionDef, ir.ClassDef, ir.Parameter)):
        yield node.name
    elif isinstance(node, ir.Assign):
        yield from _targets(node.targets)
    elif isinstance(node, (ir.AugAssign, ir.NamedExpr, ir.For, ir.Generator, ir.WithItem)):
        yield from _targets((node.target,))
    elif isinstance(node, ir.Handler) and node.name:
        yield node.name
    elif isinstance(node, ir.Case):
        yield from node.names


def _targets(targets: tuple[ir.Expr | None, ...]) -> Iterator[str]:
    for target in targets:
        if isinstance(target, ir.Name):
            yield target.id
        elif isinstance(target, ir.Sequence):
            yield from _targets(target.elements)
        elif isinstance(target, ir.Starred):
            yield from _targets((target.value,))
