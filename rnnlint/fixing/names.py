"""What a file calls the things of libraries, and how it imports what it has no name for."""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.fixing.importing import among, in_order
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir

# `import torch` is enough to reach everything below it that a repair names.
_WHOLE = frozenset({"torch"})
# The library beside which another is imported that the file does not know yet.
_BESIDE = {"rnnlint": "torch"}
# Where the imports at the top of a file end.
_BEGINNINGS = (ir.FunctionDef, ir.ClassDef, ir.For, ir.While, ir.With)


class Imports:
    """The names that a file's imports bind, and the imports that repairs add to it.

    Those of a file stand at its top; those of a notebook in any cell before they are needed.

    Args:
        layout: the file.
        start: where the first change is to be made.
    """

    def __init__(self, layout: Layout, start: int) -> None:
        self._layout = layout
        self._taken = layout.names_bound
        self._bound: dict[str, str] = {}
        self._last: ir.Stmt | None = None
        self._last_of: dict[str, ir.Stmt] = {}
        self._first_of: dict[str, ir.Stmt] = {}
        self._from: dict[str, ir.ImportFrom] = {}
        for node in layout.body:
            if layout.is_notebook:
                if node.start >= start:
                    break
            elif isinstance(node, _BEGINNINGS):
                break
            if isinstance(node, (ir.Import, ir.ImportFrom)):
                self._read(node)
        self.added: dict[str, None] = {}

    def _read(self, node: ir.Import | ir.ImportFrom) -> None:
        self._last = node
        if isinstance(node, ir.ImportFrom):
            if not node.level:
                self._last_of[node.module.partition(".")[0]] = node
                self._first_of.setdefault(node.module.partition(".")[0], node)
                if node.names[0].name != "*":
                    self._from[node.module] = node
            for alias in node.names:
                if not node.level and alias.name != "*":
                    self._bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            return
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self._last_of[top] = node
            self._first_of.setdefault(top, node)
            if alias.asname:
                self._bound[alias.asname] = alias.name
            else:
                self._bound.setdefault(top, top)

    def expression(self, dotted: str, within: int | None = None) -> str:
        """What to write for a library's thing; an import is noted where there is none.

        Args:
            dotted: its full name.
            within: how many names it may be written with behind that of a module.

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
            if within is not None and rest.count(".") > within:
                continue
            if best is None or len(target) > best[0]:
                best = (len(target), name + rest)
        if best is not None:
            return best[1]
        module, _, name = dotted.rpartition(".")
        if module in _WHOLE and module not in self._taken and module not in self._bound:
            self._bound[module] = module
            self.added[module] = None
            return dotted
        if name in self._taken or name in self._bound:
            raise CannotPlaceError(f"the file has a {name} of its own beside {dotted}")
        self._bound[name] = dotted
        self.added[dotted] = None
        return name

    def places(self) -> list[tuple[int, str]]:
        """Where added imports go, and their text.

        Among other names of the same module; else where the order of the imports around those
        of the same library has them; else after these, the last import, the docstring and
        `__future__`, or before the first statement.
        """
        found: list[tuple[int, str]] = []
        alone: list[tuple[str, str]] = []
        for dotted in self.added:
            module, _, name = dotted.rpartition(".")
            if not module and name in self._first_of:
                found.append(self._whole(name))
            elif module in self._from:
                found.append(among(self._from[module], name))
            else:
                alone.append((module, name))
        return [*found, self._place(alone)] if alone else found

    def _whole(self, library: str) -> tuple[int, str]:
        """A library itself is imported before its parts."""
        start = self._layout.line_start(self._first_of[library].start)
        return start, f"import {library}{self._layout.newline}"

    def _place(self, added: list[tuple[str, str]]) -> tuple[int, str]:
        layout, newline = self._layout, self._layout.newline
        text = "".join(line + newline for line in _lines(added))
        library = (added[0][0] or added[0][1]).partition(".")[0]
        near = self._last_of.get(library) or self._last_of.get(_BESIDE.get(library, ""))
        modules = {module for module, _ in added}
        ordered = None
        if near and len(modules) == 1 and "" not in modules:
            ordered = in_order(layout, near, added[0][0])
        if ordered is not None:
            return ordered, text
        after = near or self._last or self._docstring()
        if after is None:
            first = next((one for one in layout.body if not self._is_magic(one)), None)
            start = layout.extent(first)[0] if first is not None else 0
            return layout.line_start(start), text + newline * 2
        blank = "" if isinstance(after, (ir.Import, ir.ImportFrom)) else newline
        end = layout.next_line(after.end)
        if layout.ends_openly(end):
            return end, newline + blank + text.removesuffix(newline)
        return end, blank + text

    def _is_magic(self, node: ir.Stmt) -> bool:
        """Whether a statement stands for a magic of a notebook, before which nothing may stand."""
        value = node.value if isinstance(node, ir.ExprStmt) else None
        return self._layout.is_notebook and isinstance(value, ir.Name) and value.id == "_"

    def _docstring(self) -> ir.Stmt | None:
        first = self._layout.body[0] if self._layout.body else None
        if isinstance(first, ir.ExprStmt) and isinstance(first.value, ir.Const):
            return first if first.value.kind == "str" else None
        return None


def _lines(added: list[tuple[str, str]]) -> Iterator[str]:
    """The imports; what comes of one module in one line."""
    names: dict[str, list[str]] = {}
    for module, name in added:
        names.setdefault(module, []).append(name)
    for module, together in names.items():
        listed = ", ".join(sorted(together))
        yield f"from {module} import {listed}" if module else f"import {listed}"
