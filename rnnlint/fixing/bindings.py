"""Which names the statements of a file bind."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rnnlint.lowering import ir


def names_bound(block: tuple[ir.Stmt, ...]) -> Iterator[str]:
    """Names that something else than a top-level import binds, in any scope of the file."""
    top = set(map(id, block))
    for node in ir.nodes_in(block):
        if isinstance(node, (ir.Import, ir.ImportFrom)):
            if id(node) not in top:
                yield from (alias.asname or alias.name for alias in node.names)
        else:
            yield from _bound_by(node)


def binds(node: ir.Stmt, name: str) -> bool:
    """Whether a statement binds a name by itself: a loop by its target, not by its body."""
    if isinstance(node, (ir.For, ir.While)):
        node = msgspec.structs.replace(node, body=(), orelse=())
    elif isinstance(node, ir.With):
        node = msgspec.structs.replace(node, body=())
    return name in set(names_bound((node,)))


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
