"""Where an import goes among those that a file has."""

from __future__ import annotations

from collections.abc import Sequence

from rnnlint.fixing.layout import Layout
from rnnlint.lowering import ir


def among(node: ir.ImportFrom, name: str) -> tuple[int, str]:
    """One more name in a `from` import: an offset, and the text to insert there."""
    known = [alias.name for alias in node.names]
    if known == sorted(known):
        for alias in node.names:
            if name < alias.name:
                return alias.start, f"{name}, "
    return node.names[-1].end, f", {name}"


def in_order(layout: Layout, near: ir.Stmt, module: str) -> int | None:
    """Where `from module import name` goes in the imports around one; None if they have no order.

    The order is that of isort: `import` before `from`, and each by the name of the module.
    """
    group = _together(layout, near)
    whole = [node for node in group if isinstance(node, ir.Import)]
    parts = [node for node in group if isinstance(node, ir.ImportFrom)]
    names = [node.names[0].name.lower() for node in whole]
    modules = [node.module.lower() for node in parts]
    ordered = names == sorted(names) and modules == sorted(modules) and group == [*whole, *parts]
    one_by_one = all(layout.begins_line(node.start) for node in group)
    if not parts or not ordered or not one_by_one or any(node.level for node in parts):
        return None
    for node, other in zip(parts, modules, strict=True):
        if module.lower() < other:
            return layout.line_start(node.start)
    end = layout.next_line(parts[-1].end)
    return end if end < len(layout.text) and not layout.ends_openly(end) else None


def _together(layout: Layout, near: ir.Stmt) -> Sequence[ir.Stmt]:
    """The imports around one, with nothing between them."""
    number = layout.body.index(near)
    first = last = number
    while first and _follows(layout, layout.body[first - 1], layout.body[first]):
        first -= 1
    while last + 1 < len(layout.body) and _follows(layout, *layout.body[last : last + 2]):
        last += 1
    return list(layout.body[first : last + 1])


def _follows(layout: Layout, node: ir.Stmt, following: ir.Stmt) -> bool:
    """Whether an import stands on the line after that of another."""
    imports = isinstance(node, _IMPORTS) and isinstance(following, _IMPORTS)
    return imports and layout.next_line(node.end) == layout.line_start(following.start)


_IMPORTS = (ir.Import, ir.ImportFrom)
