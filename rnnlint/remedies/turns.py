"""How often a loop runs, as an expression that can be evaluated before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from rnnlint.fixing.bindings import names_bound
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir

_RANGES = ("range", "xrange", "trange", "tnrange", "arange")
_PASSED_ON = ("tqdm", "tqdm_notebook", "track", "progress_bar", "master_bar", "iter", "list")
"""Calls that go over what they are given, and show how far they are."""
_PURE_CALLS = ("len", "int", "min", "max", "round")


def number_of_turns(layout: Layout, loop: ir.For | ir.While, scope: Scope) -> str:
    """How often a loop runs.

    Raises:
        CannotPlaceError: that cannot be told, or not be written once more.
    """
    if isinstance(loop, ir.While):
        return _counted(layout, loop)
    return _length(layout, loop.iter, scope)


def _length(layout: Layout, value: ir.Expr, scope: Scope) -> str:
    if isinstance(value, ir.Call) and value.args:
        name = ir.last_name(value.func)
        first = value.args[0].value
        if name in _RANGES and not any(one.star for one in value.args):
            return _of_range(layout, [one.value for one in value.args if one.keyword is None])
        if name == "enumerate" or name in _PASSED_ON:
            return _length(layout, first, scope)
    if isinstance(value, ir.Name):
        known = _bound_once(scope, value.id)
        if isinstance(known, ir.Call) and ir.last_name(known.func) in (*_RANGES, *_PASSED_ON):
            return _length(layout, known, scope)
    raise CannotPlaceError("how often the loop runs is not known")


def _bound_once(scope: Scope, name: str) -> ir.Expr | None:
    """What a name is bound to, if that happens once."""
    if scope.bindings(name) != 1:
        return None
    for node in scope.nodes():
        if isinstance(node, ir.Assign) and list(names_bound((node,))) == [name]:
            return node.value
    return None


def _of_range(layout: Layout, given: Sequence[ir.Expr]) -> str:
    texts = [_again(layout, one) for one in given]
    if len(given) == 1:
        return texts[0]
    if len(given) != 2:
        return f"len(range({', '.join(texts)}))"
    start, end = given
    if isinstance(start, ir.Const) and start.value == 0:
        return texts[1]
    numbers = [one.value for one in given if isinstance(one, ir.Const)]
    if len(numbers) == 2 and isinstance(numbers[0], int) and isinstance(numbers[1], int):
        return str(numbers[1] - numbers[0])
    left = _terms(layout, end)
    for term in _terms(layout, start):
        if term not in left:
            break
        left.remove(term)
    else:
        return " + ".join(left) or "0"
    if isinstance(start, ir.Binary):
        texts[0] = f"({texts[0]})"
    if isinstance(end, ir.Binary) and end.op == "+" and isinstance(end.right, ir.Const):
        return f"{_again(layout, end.left)} - {texts[0]} + {_again(layout, end.right)}"
    return f"{texts[1]} - {texts[0]}"


def _terms(layout: Layout, value: ir.Expr) -> list[str]:
    """What a sum adds up."""
    if isinstance(value, ir.Binary) and value.op == "+":
        return [*_terms(layout, value.left), *_terms(layout, value.right)]
    return [_again(layout, value)]


def _same(layout: Layout, one: ir.Expr, other: ir.Expr) -> bool:
    return layout.text[one.start : one.end] == layout.text[other.start : other.end]


def _counted(layout: Layout, loop: ir.While) -> str:
    """The bound of `while epoch < epochs:` whose body counts one by one, from 0."""
    test = loop.test
    if not isinstance(test, ir.Compare) or test.ops != ("<",) or not isinstance(test.left, ir.Name):
        raise CannotPlaceError("how often the loop runs is not known")
    for node in loop.body:
        if (
            isinstance(node, ir.AugAssign)
            and node.op == "+"
            and _same(layout, node.target, test.left)
            and isinstance(node.value, ir.Const)
            and node.value.value == 1
        ):
            return _again(layout, test.comparators[0])
    raise CannotPlaceError("the loop does not count its turns")


def _again(layout: Layout, value: ir.Expr) -> str:
    """The text of an expression that may be evaluated once more without doing anything."""
    for node in ir.nodes_in(value):
        if isinstance(node, ir.Call) and ir.last_name(node.func) not in _PURE_CALLS:
            raise CannotPlaceError("the number of turns is computed by a call")
        if isinstance(node, (ir.Yield, ir.Await, ir.NamedExpr)):
            raise CannotPlaceError("the number of turns is computed on the spot")
    text = layout.text[value.start : value.end]
    if "\n" in text or "#" in text:
        raise CannotPlaceError("the number of turns is written over several lines")
    return text
