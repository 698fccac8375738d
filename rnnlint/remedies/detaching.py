"""A recurrent state goes on into the next turn of a loop, and its graph does not."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.lowering import ir
from rnnlint.remedies.parameters import is_plain_name
from rnnlint.semantics import tensors, values
from rnnlint.semantics.events import LayerCall
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place, Value

_STATE = 1
"""The position of the state among the arguments of a layer."""


def detach_state(program: Program, call: LayerCall, number: int) -> Fix | None:
    """Detach the state that a layer's call takes over from the last turn of a loop.

    Args:
        program: the program.
        call: the call that takes it over.
        number: the execution of the loop.
    """
    try:
        wanted = _detached(program, call, number)
    except CannotPlaceError:
        return None
    return program.code.repair("detach the state before it is used", [wanted], Applicability.SAFE)


def _detached(program: Program, call: LayerCall, number: int) -> operations.Insert:
    place = program.receives_state(call, number)
    layout = program.code.layout(place.path)
    written = call_at(layout, place.start, place.end)
    expression, value = _state_given(program, call, place, written)
    text = layout.text[expression.start : expression.end]
    lines = _lines(expression, text, value)
    if _may_be_absent(program, call):
        lines = (f"if {text} is not None:", *(f"    {line}" for line in lines))
    node = _in_the_loop(program, call, number, place)
    return operations.Insert(place.path, node.start, node.end, lines, "before")


def _state_given(
    program: Program, call: LayerCall, place: Place, written: ir.Call
) -> tuple[ir.Expr, Value]:
    """The argument that holds the state, and what it is."""
    if any(argument.star for argument in written.args) or call.state is None:
        raise CannotPlaceError("the arguments are not written out")
    if place == call.place:
        by_position = [one for one in written.args if one.keyword is None]
        named = [one for one in written.args if one.keyword in ("hx", "state", "hidden")]
        for argument in (*named, *by_position[_STATE : _STATE + 1]):
            return argument.value, call.state
        raise CannotPlaceError("the call is given no state")
    outer = next(one for one in call.under if one.place == place)
    carried = tensors.graph_of(call.state)
    positional = list(outer.arguments.positional)
    for argument in written.args:
        value = outer.arguments.keywords.get(argument.keyword or "")
        if argument.keyword is None:
            value = positional.pop(0) if positional else None
        if value is not None and tensors.graph_of(value) & carried:
            return argument.value, value
    raise CannotPlaceError("the state is not among the arguments")


def _lines(expression: ir.Expr, text: str, value: Value) -> tuple[str, ...]:
    """What detaches a tensor, or each part of a tuple."""
    if isinstance(expression, ir.Sequence) and all(
        isinstance(one, ir.Name) for one in expression.elements
    ):
        names = [one.id for one in expression.elements if isinstance(one, ir.Name)]
        detached = ", ".join(f"{name}.detach()" for name in names)
        return (f"{', '.join(names)} = {detached}",)
    if not is_plain_name(text):
        raise CannotPlaceError("the state is computed on the spot")
    kinds = {type(one) for one in values.members(value) if one != values.NONE}
    if kinds == {values.Tensor}:
        return (f"{text} = {text}.detach()",)
    parts = value.items if isinstance(value, values.Tuple) else ()
    if parts and all(isinstance(part, values.Tensor) for part in parts):
        return (f"{text} = tuple(part.detach() for part in {text})",)
    raise CannotPlaceError("it is not known whether the state is a tuple")


def _may_be_absent(program: Program, call: LayerCall) -> bool:
    """Whether the layer begins without a state."""
    return any(
        other.state is None or other.state == values.NONE
        for other in program.possible(LayerCall)
        if other.place == call.place and other.layer is call.layer
    )


def _in_the_loop(program: Program, call: LayerCall, number: int, place: Place) -> ir.Stmt:
    """The statement of a turn before which the state comes from the last turn."""
    statement = program.code.statement(place)
    loop = call.loop_place(number)
    around = (*statement.parents, statement.node)
    if loop is not None and loop.path == place.path:
        layout = program.code.layout(loop.path)
        node = layout.statement_at(loop.start).node
        for level, parent in enumerate(around[:-1]):
            if parent is node:
                return around[level + 1]
    if program.calls_around(number) >= len(call.context.stack) or _is_repeated(program, call):
        raise CannotPlaceError("the turns of the loop cannot be told apart here")
    return statement.node


def _is_repeated(program: Program, call: LayerCall) -> bool:
    """Whether the call runs several times in one turn of the loops around it."""
    same = [
        other
        for other in program.possible(LayerCall)
        if other.place == call.place and other.loops == call.loops
    ]
    return len(same) > 1
