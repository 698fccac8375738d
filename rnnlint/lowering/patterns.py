"""The cases of a match statement: the names that a pattern binds, and its literal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.walk import Walk, lower_expression


def lower_cases(
    walk: Walk, nodes: Any, lower_block: Callable[[Walk, Any], tuple[ir.Stmt, ...]]
) -> tuple[ir.Case, ...]:
    """Lower the `case` blocks of one match statement."""
    cases: list[ir.Case] = []
    for node in nodes:
        start = walk.start()
        walk.position += 1
        names, literal = _pattern(walk, node.pattern)
        guard = None
        if node.guard is not None:
            walk.position += 1
            guard = lower_expression(walk, node.guard)
        body = lower_block(walk, node.body)
        cases.append(ir.Case(start, walk.end(), literal, names, guard, body))
    return tuple(cases)


def _pattern(walk: Walk, node: Any) -> tuple[tuple[str, ...], ir.Expr | None]:
    """Read a pattern, and return what it binds and the literal that it is."""
    if node.__class__.__name__ in ("MatchValue", "MatchSingleton"):
        return (), lower_expression(walk, node.value)
    names: list[str] = []
    _collect(walk, node, names)
    depth = 0
    # No pattern contains a colon or an `if` outside brackets.
    while depth or walk.peek() not in (":", "if"):
        token = walk.read()
        depth += (token in ("[", "(", "{")) - (token in ("]", ")", "}"))
    return tuple(names), None


def _collect(walk: Walk, node: Any, names: list[str]) -> None:
    """Append the names that a pattern or a part of one binds, and note those that it reads."""
    kind = node.__class__.__name__
    if kind in ("MatchValue", "MatchSingleton"):
        _mention(walk, node.value)
        return
    if kind == "MatchClass":
        _mention(walk, node.cls)
    elif kind == "MatchMappingElement":
        _mention(walk, node.key)
    for field in ("value", "pattern"):
        part = getattr(node, field, None)
        if part is not None:
            _collect(walk, part, names)
    for field in ("patterns", "elements", "kwds"):
        for part in getattr(node, field, ()):
            _collect(walk, part, names)
    for field in ("name", "rest"):
        name = getattr(node, field, None)
        if name is not None:
            names.append(name.value)


def _mention(walk: Walk, node: Any) -> None:
    """Note the names of a dotted name, if it is one."""
    while node.__class__.__name__ == "Attribute":
        walk.mentions.add(node.attr.value)
        node = node.value
    if node.__class__.__name__ == "Name":
        walk.mentions.add(node.value)
