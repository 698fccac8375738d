"""Which names the statements of a file bind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from rnnlint.lowering import ir


def names_bound(
    block: tuple[ir.Stmt, ...], nodes: Iterable[ir.Node] | None = None
) -> Iterator[str]:
    """Names that something else than a top-level import binds, in any scope of the file.

    Args:
        block: the statements.
        nodes: all that is in them, where it is known.
    """
    top = set(map(id, block))
    for node in ir.nodes_in(block) if nodes is None else nodes:
        if isinstance(node, (ir.Import, ir.ImportFrom)):
            if id(node) not in top:
                yield from (alias.asname or alias.name for alias in node.names)
        elif (bound_by := _BOUND_BY.get(type(node))) is not None:
            yield from bound_by(node)


def binds(node: ir.Stmt, name: str) -> bool:
    """Whether a statement binds a name by itself: a loop by its target, not by its body."""
    if isinstance(node, (ir.For, ir.While)):
        node = msgspec.structs.replace(node, body=(), orelse=())
    elif isinstance(node, ir.With):
        node = msgspec.structs.replace(node, body=())
    return name in set(names_bound((node,)))


def given(nodes: Iterable[ir.Node]) -> Iterator[tuple[str, int, ir.Expr]]:
    """What plain assignments give to names: the name, where its statement begins, the value."""
    for node in nodes:
        if isinstance(node, ir.Assign) and node.value is not None:
            for target in node.targets:
                for name, value in _parts(target, node.value):
                    yield name, node.start, value


def _parts(target: ir.Expr, value: ir.Expr) -> Iterator[tuple[str, ir.Expr]]:
    """The part of a value that each name of a target gets: of `a, b = x, y` one of both."""
    if isinstance(target, ir.Name):
        yield target.id, value
    elif isinstance(target, ir.Sequence):
        inner: tuple[ir.Expr, ...] = (value,) * len(target.elements)
        if isinstance(value, ir.Sequence) and len(value.elements) == len(inner):
            inner = value.elements
        for element, part in zip(target.elements, inner, strict=True):
            yield from _parts(element, part)


def _targets(targets: tuple[ir.Expr | None, ...]) -> Iterator[str]:
    for target in targets:
        if isinstance(target, ir.Name):
            yield target.id
        elif isinstance(target, ir.Sequence):
            yield from _targets(target.elements)
        elif isinstance(target, ir.Starred):
            yield from _targets((target.value,))


def _name(node: ir.FunctionDef | ir.ClassDef | ir.Parameter) -> tuple[str, ...]:
    return (node.name,)


def _target(
    node: ir.AugAssign | ir.NamedExpr | ir.For | ir.Generator | ir.WithItem,
) -> Iterator[str]:
    return _targets((node.target,))


# Few nodes of a file bind anything, and all of them are asked.
_BOUND_BY: dict[type[ir.Node], Callable[[Any], Iterable[str]]] = {
    **dict.fromkeys((ir.FunctionDef, ir.ClassDef, ir.Parameter), _name),
    **dict.fromkeys((ir.AugAssign, ir.NamedExpr, ir.For, ir.Generator, ir.WithItem), _target),
    ir.Assign: lambda node: _targets(node.targets),
    ir.Handler: lambda node: (node.name,) if node.name else (),
    ir.Case: lambda node: node.names,
}
