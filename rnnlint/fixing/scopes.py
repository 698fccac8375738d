"""Names and order within one function: what is bound where, and what surely runs before what."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import takewhile

from rnnlint.fixing.bindings import binds, names_bound
from rnnlint.fixing.layout import Layout, Statement, blocks_of, place_in
from rnnlint.lowering import ir

Block = tuple[ir.Stmt, ...]
_OTHERWISE = (ir.Lambda, ir.Comprehension, ir.IfExp, ir.BoolOp, ir.NamedExpr, ir.Yield, ir.Await)
"""Expressions whose parts do not run just once, when the statement does."""
_HIDE_ERRORS = ("suppress", "raises", "assertRaises")
_WRAPPERS = (ir.Argument, ir.WithItem)
"""Nodes that may have the extent of the expression in them, and are none."""


class Scope:
    """The function around a statement, or the whole file where there is none.

    Args:
        layout: the layout of the file.
        statement: a statement of it.
    """

    def __init__(self, layout: Layout, statement: Statement) -> None:
        functions = [one for one in statement.parents if isinstance(one, ir.FunctionDef)]
        self.node: ir.FunctionDef | None = functions[-1] if functions else None
        self.body: Block = self.node.body if self.node is not None else layout.body
        self._layout = layout

    @property
    def parameters(self) -> tuple[ir.Parameter, ...]:
        return self.node.params if self.node is not None else ()

    def parameter(self, name: str) -> ir.Parameter | None:
        return next((one for one in self.parameters if one.name == name), None)

    def nodes(self) -> tuple[ir.Node, ...]:
        """Every node of its body, parents first."""
        return self._layout.nodes_in(self.body)

    def given(self, name: str) -> list[tuple[int, ir.Expr]]:
        """What its own plain assignments give to a name, with where each of them begins."""
        given = self._layout.given_in(self.body).get(name, [])
        return [(start, value) for start, value in given if self._owns(start)]

    def _owns(self, offset: int) -> bool:
        """Whether what stands there is its own, and no function's within it."""
        around = self._layout.statement_at(offset).parents
        functions = [one for one in around if isinstance(one, ir.FunctionDef)]
        return (functions[-1] if functions else None) is self.node

    def names(self) -> frozenset[str]:
        """Every name that stands in it."""
        return self._layout.names_in(self.body) | {one.name for one in self.parameters}

    def uses(self, name: str) -> list[ir.Name]:
        """Where a name stands, also where it is bound."""
        return [node for node in self.nodes() if isinstance(node, ir.Name) and node.id == name]

    def binders(self, name: str) -> list[ir.Stmt]:
        """The assignments, loops and `with` that bind a name by themselves."""
        kinds = (ir.Assign, ir.AugAssign, ir.For, ir.With)
        return [node for node in self.nodes() if isinstance(node, kinds) and binds(node, name)]

    def bindings(self, name: str) -> int:
        """How often a name is bound."""
        given = self.parameter(name) is not None
        return given + sum(1 for bound in names_bound(self.body, self.nodes()) if bound == name)

    def fresh(self, *wanted: str, besides: Container[str] = ()) -> str:
        """The first of some names that means nothing here yet; the last gets a number if needed."""
        taken = self.names()
        numbered = (f"{wanted[-1]}_{number}" for number in range(2, 100))
        for name in (*wanted, *numbered):
            if name not in taken and name not in besides:
                return name
        return wanted[-1]


def origins(scope: Scope, value: ir.Node, before: int) -> list[ir.Node]:
    """The expressions of which a value is made, by the names that stand between them.

    Args:
        scope: the function.
        value: the expression.
        before: where its statement begins; what is bound behind that is not looked at.
    """
    found: list[ir.Node] = [value]
    known: set[str] = set()
    for expression in found:
        for node in ir.nodes_in(expression):
            if isinstance(node, ir.Name) and node.id not in known:
                known.add(node.id)
                found += [value for start, value in scope.given(node.id) if start < before]
    return found


def runs_before(first: Statement, second: Statement) -> bool:
    """Whether one statement has surely run when another does, in the same turn of all loops."""
    ways = (*first.parents, first.node), (*second.parents, second.node)
    shared = list(takewhile(lambda pair: pair[0] is pair[1], zip(*ways, strict=False)))
    mine, other = (way[len(shared) :] for way in ways)
    if not mine or not other or not all(map(_runs_its_body, mine[:-1])):
        return False
    blocks = blocks_of(shared[-1][0]) if shared else []
    is_one_block = not shared or any(
        place_in(block, mine[0]) is not None and place_in(block, other[0]) is not None
        for block in blocks
    )
    return is_one_block and mine[0].start < other[0].start


def _runs_its_body(node: ir.Stmt) -> bool:
    """Whether what stands behind it runs only if its body has: a `with` that hides no error."""
    if not isinstance(node, ir.With):
        return False
    calls = [one.context for one in node.items if isinstance(one.context, ir.Call)]
    return not any(ir.last_name(one.func) in _HIDE_ERRORS for one in calls)


def exclude_each_other(first: Statement, second: Statement) -> bool:
    """Whether two statements stand in different branches of one `if`."""
    ways = ((*first.parents, first.node), (*second.parents, second.node))
    for number, parent in enumerate(first.parents):
        if number >= len(second.parents) or second.parents[number] is not parent:
            return False
        if isinstance(parent, ir.If):
            then = [any(one is way[number + 1] for one in parent.body) for way in ways]
            if then[0] != then[1]:
                return True
    return False


def chain_to(value: object, start: int, end: int) -> list[ir.Node]:
    """The nodes around the expression that lies exactly there, outermost first, and itself."""
    for node in _children(value):
        if not node.start <= start <= end <= node.end:
            continue
        if (node.start, node.end) == (start, end) and not isinstance(node, _WRAPPERS):
            return [node]
        inner = chain_to(node, start, end)
        if inner:
            return [node, *inner]
    return []


def _children(value: object) -> Iterator[ir.Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _children(item)
        return
    if isinstance(value, ir.Node):
        for name in value.__struct_fields__:
            field = getattr(value, name)
            if isinstance(field, ir.Node):
                yield field
            elif isinstance(field, tuple):
                yield from _children_of_tuple(field)


def _children_of_tuple(items: Iterable[object]) -> Iterator[ir.Node]:
    for item in items:
        if isinstance(item, ir.Node):
            yield item


def runs_once(chain: list[ir.Node]) -> bool:
    """Whether the last of some nested expressions is evaluated just once with the statement."""
    return not any(isinstance(node, _OTHERWISE) for node in chain)
