"""A batch that was sorted only to be packed is left in its order."""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, chain_to
from rnnlint.lowering import ir
from rnnlint.remedies.indexing import is_whole
from rnnlint.semantics.events import Packing
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place, Tensor

_ENFORCE_SORTED = 3
"""Its position among the arguments."""


def leave_unsorted(program: Program, sort: Place) -> Fix | None:
    """Take a sort and its permutation away, and let pack_padded_sequence do both itself."""
    try:
        changes = list(_Sorted(program, sort).changes())
    except CannotPlaceError:
        return None
    message = "leave the batch in its order: enforce_sorted=False"
    return program.code.repair(message, changes, Applicability.UNSAFE)


class _Sorted:
    """`lengths, order = lengths.sort(descending=True)`, and the function around it.

    Raises:
        CannotPlaceError: the code has another form.
    """

    def __init__(self, program: Program, sort: Place) -> None:
        self._program = program
        self._sort = sort
        self._layout: Layout = program.code.layout(sort.path)
        self._path = sort.path
        statement = self._layout.statement_at(sort.start)
        self._scope = Scope(self._layout, statement)
        self._node = statement.node
        if not isinstance(self._node, ir.Assign) or len(self._node.targets) != 1:
            raise CannotPlaceError("the sort is no assignment of its own")
        value = self._node.value
        if not isinstance(value, ir.Call) or (value.start, value.end) != (sort.start, sort.end):
            raise CannotPlaceError("something else is done with what is sorted")
        self._given = self._text(_sorted_value(value))
        self._lengths, self._order = self._names(self._node.targets[0])
        if self._scope.bindings(self._order) != 1:
            raise CannotPlaceError("the permutation's name means something else too")

    def _names(self, target: ir.Expr) -> tuple[str | None, str]:
        """The names of the sorted lengths and of the permutation; an argsort gives this alone."""
        elements = _elements(target)
        names = [one.id for one in elements if isinstance(one, ir.Name)]
        if len(names) != len(elements) or len(names) not in (1, 2):
            raise CannotPlaceError("what is sorted has no plain names")
        return (names[0] if len(names) == 2 else None), names[-1]

    def changes(self) -> Iterator[operations.AnyOperation]:
        yield operations.Remove(self._path, self._node.start, self._node.end)
        yield from self._unindexed()
        yield from self._renamed()
        yield from self._packed()

    def _unindexed(self) -> Iterator[operations.AnyOperation]:
        """`x[order]` is `x`, and `x = x[order]` is nothing."""
        removed: set[int] = set()
        for use in self._uses(self._order):
            node = self._layout.statement_at(use.start).node
            whole, rows = _indexed(chain_to(node, use.start, use.end))
            if self._only_sorts(node):
                if node.start not in removed:
                    removed.add(node.start)
                    yield operations.Remove(self._path, node.start, node.end)
                continue
            yield operations.Replace(self._path, whole.start, whole.end, self._text(rows))

    def _only_sorts(self, node: ir.Stmt) -> bool:
        """`x, y = x[order], y[order]`"""
        if not isinstance(node, ir.Assign) or node.value is None or len(node.targets) != 1:
            return False
        targets, given = _elements(node.targets[0]), _elements(node.value)
        return len(targets) == len(given) and all(
            self._is_sorted(node, *pair) for pair in zip(targets, given, strict=True)
        )

    def _is_sorted(self, statement: ir.Stmt, target: ir.Expr, given: ir.Expr) -> bool:
        names = [one for one in ir.nodes_in(given) if isinstance(one, ir.Name)]
        uses = [one for one in names if one.id == self._order]
        if len(uses) != 1:
            return False
        whole, rows = _indexed(chain_to(statement, uses[0].start, uses[0].end))
        return whole == given and self._text(rows) == self._text(target)

    def _renamed(self) -> Iterator[operations.AnyOperation]:
        """The sorted lengths are the given ones again; the first is no longer the longest."""
        if self._lengths is None:
            return
        for use in self._uses(self._lengths):
            statement = self._layout.statement_at(use.start).node
            around = chain_to(statement, use.start, use.end)[-2:-1]
            if isinstance(around[0] if around else None, ir.Subscript):
                raise CannotPlaceError("the longest length is taken from the front")
            if self._lengths != self._given:
                yield operations.Replace(self._path, use.start, use.end, self._given)

    def _packed(self) -> Iterator[operations.AnyOperation]:
        packings = [one for one in self._program.possible(Packing) if not one.unpacks]
        places = {one.place for one in packings if self._is_around(one.place)}
        if not places:
            places = {one.place for one in packings if self._is_given_to(one)}
            if not places or any(map(self._takes_longest_first, places)):
                raise CannotPlaceError("it is not clear where the batch is packed")
        for place in sorted(places):
            yield self._program.code.with_argument(
                place, "enforce_sorted", _ENFORCE_SORTED, "False"
            )

    def _is_around(self, place: Place) -> bool:
        """Whether the function that sorts has a place in it."""
        body = self._scope.body
        return place.path == self._path and body[0].start <= place.start < body[-1].end

    def _is_given_to(self, packing: Packing) -> bool:
        """Whether what is packed was sorted here: by a collate function."""
        return any(
            step.place == self._sort
            for value in (packing.lengths, packing.given)
            if isinstance(value, Tensor)
            for step in value.order_steps
        )

    def _takes_longest_first(self, place: Place) -> bool:
        """Whether the function that packs takes the longest length from the front."""
        layout = self._program.code.layout(place.path)
        lengths = self._program.code.argument(place, "lengths", 1)
        name = self._program.code.text(lengths) if lengths is not None else ""
        scope = Scope(layout, layout.statement_at(place.start))
        return any(
            isinstance(node, ir.Subscript)
            and layout.text[node.value.start : node.value.end] == name
            for node in scope.nodes()
        )

    def _uses(self, name: str) -> Iterator[ir.Name]:
        """Where a name stands after the sort."""
        return (use for use in self._scope.uses(name) if use.start >= self._node.end)

    def _text(self, node: ir.Node) -> str:
        return self._layout.text[node.start : node.end]


def _elements(node: ir.Expr) -> tuple[ir.Expr, ...]:
    return node.elements if isinstance(node, ir.Sequence) else (node,)


def _sorted_value(call: ir.Call) -> ir.Expr:
    """`lengths` in `lengths.sort(0, True)` and in `torch.sort(lengths, 0, True)`."""
    function = call.func
    if not isinstance(function, ir.Attribute):
        raise CannotPlaceError("what is sorted is not written here")
    of_torch = isinstance(function.value, ir.Name) and function.value.id in ("torch", "np")
    if not of_torch:
        found: ir.Expr = function.value
    elif call.args and call.args[0].keyword is None and not call.args[0].star:
        found = call.args[0].value
    else:
        raise CannotPlaceError("what is sorted is not written here")
    if not isinstance(found, (ir.Name, ir.Attribute)):
        raise CannotPlaceError("what is sorted has no name")
    return found


def _indexed(chain: list[ir.Node]) -> tuple[ir.Expr, ir.Expr]:
    """The whole of `x[order]`, `x[:, order]` or `x.index_select(0, order)`, and `x`."""
    for node in reversed(chain[:-1]):
        if isinstance(node, ir.Subscript) and _takes_rows(node):
            return node, node.value
        if isinstance(node, ir.Call):
            return node, _selected(node)
        if not isinstance(node, ir.Argument):
            break
    raise CannotPlaceError("the permutation is put to another use")


def _takes_rows(node: ir.Subscript) -> bool:
    *before, last = node.index
    return all(map(is_whole, before)) and isinstance(last, ir.Name)


def _selected(call: ir.Call) -> ir.Expr:
    """`x` in `x.index_select(0, order)`"""
    function = call.func
    if not isinstance(function, ir.Attribute) or function.attr != "index_select":
        raise CannotPlaceError("the permutation is put to another use")
    if len(call.args) != 2:
        raise CannotPlaceError("what is selected from is not written here")
    return function.value
