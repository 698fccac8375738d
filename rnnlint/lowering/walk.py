"""The walk over a tree: the core that every kind of expression goes through.

A walk reads the tokens of a text in step with LibCST's nodes, so it knows where it
is at any time.  Nodes are told apart by the name of their class, which spares an
import of LibCST here and lets one version of the code serve several of LibCST.
"""

from __future__ import annotations

from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.tokens import Tokens

MAX_DEPTH = 100
"""Expressions nested deeper become opaque, so that whoever reads them may recurse."""


class Walk(Tokens):
    """The tokens of a file, how deep the walk is, and what the function at hand does.

    `mentions` and `yields` speak of the function whose body is being lowered.
    """

    __slots__ = ("blocks", "depth", "mentions", "yields")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.blocks = 0
        self.mentions: set[str] = set()
        self.yields = False


class CannotLowerError(Exception):
    """The file parses, but holds something that the representation cannot hold."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Dispatch(dict[type, Any]):
    """Functions by class of node, looked up by the class's name once."""

    def __init__(self, by_name: dict[str, Any] | None = None, *, default: Any = None) -> None:
        super().__init__()
        self.by_name = {} if by_name is None else by_name
        self.default = default

    def __missing__(self, kind: type) -> Any:
        found = self.by_name.get(kind.__name__, self.default)
        self[kind] = found
        return found


def unknown(walk: Walk, node: Any) -> Any:
    """Refuse a node of an unknown class."""
    raise CannotLowerError(
        f"rnnlint does not know the syntax that LibCST calls {type(node).__name__}, "
        "which begins here",
        "upgrade rnnlint",
    )


LEFT_OPERANDS = Dispatch(
    {
        "Attribute": "value",
        "Call": "func",
        "Subscript": "value",
        "BinaryOperation": "left",
        "BooleanOperation": "left",
        "Comparison": "left",
    }
)
"""Expressions that begin with another expression, and the field that holds it."""
ATOMS = Dispatch(default=unknown)
"""How to lower any other expression: functions of the walk and the node."""
CHAINS = Dispatch(default=unknown)
"""How to lower what follows the left operand: functions of the walk, the node, where it
starts and the operand."""


def lower_expression(walk: Walk, node: Any) -> ir.Expr:
    """Lower an expression, and read its tokens, its own parentheses included."""
    walk.position += len(node.lpar)
    kind = node.__class__
    left_operand = LEFT_OPERANDS[kind]
    chain: list[tuple[int, Any]] = []
    while left_operand is not None:
        chain.append((walk.start(), node))
        node = getattr(node, left_operand)
        walk.position += len(node.lpar)
        kind = node.__class__
        left_operand = LEFT_OPERANDS[kind]
    walk.depth += len(chain) + 1
    result: ir.Expr = ATOMS[kind](walk, node)
    walk.position += len(node.rpar)
    while chain:
        if walk.depth > MAX_DEPTH:
            result = ir.Const(result.start, result.end, "opaque", None)
        walk.depth -= 1
        start, node = chain.pop()
        result = CHAINS[node.__class__](walk, node, start, result)
        walk.position += len(node.rpar)
    if walk.depth > MAX_DEPTH:
        result = ir.Const(result.start, result.end, "opaque", None)
    walk.depth -= 1
    return result


def lower_optional(walk: Walk, node: Any) -> ir.Expr | None:
    """Lower an expression that may be absent."""
    return None if node is None else lower_expression(walk, node)
