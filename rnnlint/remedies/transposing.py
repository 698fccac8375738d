"""Axes are swapped by what swaps axes, where a view was meant to."""

from __future__ import annotations

from collections.abc import Sequence

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.code import Part
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.semantics import values
from rnnlint.semantics.events import Reshaped
from rnnlint.semantics.program import Program


def transpose_instead(
    program: Program, reshaped: Reshaped, order: Sequence[int | None]
) -> Fix | None:
    """Swap axes before a reshape, or in its place where the sizes are those of all axes.

    Args:
        program: the program.
        reshaped: the view or reshape.
        order: which axis each of its sizes is.
    """
    permuted = _permutation(reshaped, order)
    if permuted is None and order[0] != 1:
        return None
    try:
        change = _change(program, reshaped, permuted)
    except CannotPlaceError:
        return None
    return program.code.repair("swap the axes", [change], Applicability.UNSAFE)


def _permutation(reshaped: Reshaped, order: Sequence[int | None]) -> list[int] | None:
    """The place of each axis, where the sizes are those of all axes; -1 is the one left over."""
    count = len(reshaped.tensor.axes)
    left = [number for number in range(count) if number not in order]
    free = [number for number, place in enumerate(order) if place is None]
    if len(order) != count or len(left) != len(free) or len(free) > 1:
        return None
    if free and reshaped.sizes[free[0]] != values.Const(-1):
        return None
    return [left[0] if place is None else place for place in order]


def _change(program: Program, reshaped: Reshaped, permuted: list[int] | None) -> operations.Replace:
    code, place = program.code, reshaped.place
    statement = code.statement(place)
    call = code.node_at(place)
    if not isinstance(call, ir.Call) or not isinstance(call.func, ir.Attribute):
        raise CannotPlaceError("no call is found")
    if call.func.attr != reshaped.name:
        raise CannotPlaceError("it is called by another name")
    swapping = "transpose(0, 1)" if permuted is None else _swapping(permuted)
    if permuted is not None and _views_later(Scope(code.layout(place.path), statement), place.end):
        swapping += ".contiguous()"
    given = _given(call, place.path)
    if given is not None:
        start, end = (given.start, given.end) if permuted is None else (call.start, call.end)
        return operations.Replace(place.path, start, end, f"{code.operand(given)}.{swapping}")
    start = _start_of(call.func)
    if permuted is None:
        return operations.Replace(place.path, start, call.func.end, f"{swapping}.reshape")
    return operations.Replace(place.path, start, call.end, swapping)


def _given(call: ir.Call, path: str) -> Part | None:
    """The tensor of `torch.reshape(x, sizes)`; None of `x.reshape(sizes)`."""
    if not any(isinstance(one.value, ir.Sequence) for one in call.args[1:]):
        return None
    first = call.args[0]
    if first.keyword is not None or first.star:
        raise CannotPlaceError("the tensor is given by name")
    return Part(path, first.value.start, first.value.end)


def _start_of(method: ir.Attribute) -> int:
    """Where the name of a method stands, or of the `contiguous()` before it."""
    before = method.value.func if isinstance(method.value, ir.Call) else None
    if isinstance(before, ir.Attribute) and before.attr == "contiguous":
        method = before
    return method.end - len(method.attr)


def _swapping(order: list[int]) -> str:
    moved = [number for number, place in enumerate(order) if number != place]
    if len(moved) == 2:
        return f"transpose({moved[0]}, {moved[1]})"
    return f"permute({', '.join(map(str, order))})"


def _views_later(scope: Scope, after: int) -> bool:
    """Whether something behind is viewed, which what was transposed cannot be."""
    return any(
        isinstance(node, ir.Attribute) and node.attr == "view" and node.start > after
        for node in scope.nodes()
    )
