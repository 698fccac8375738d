"""A size that was a constant is asked of the tensor that has it."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.code import Code, Part
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.semantics.events import LayerCall, Reshaped
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place


def size_of_input(
    program: Program, call: LayerCall, made: Place, number: int, axis: int
) -> Fix | None:
    """A size of a state is asked of the layer's input, where both stand in one function.

    Args:
        program: the program.
        call: the layer's call.
        made: where the state is made from sizes.
        number: which of them it is.
        axis: the axis of the input that has this size.
    """
    try:
        name = _input_before(program.code, call.place, made)
        size = _size(program.code, made, number)
    except CannotPlaceError:
        return None
    return _asked(program.code, size, f"{name}.size({axis})")


def size_of_tensor(program: Program, reshaped: Reshaped, number: int) -> Fix | None:
    """A size of a new shape is asked of the tensor that gets it."""
    code = program.code
    try:
        name = _reshaped_name(code, reshaped.place)
        size = _size(code, reshaped.place, number)
    except CannotPlaceError:
        return None
    return _asked(code, size, f"{name}.size({number})")


def _reshaped_name(code: Code, call: Place) -> str:
    """`out` in `out.view(...)` and `out.contiguous().view(...)`.

    Raises:
        CannotPlaceError: what is reshaped has no name.
    """
    receiver = code.receiver(call)
    node = None if receiver is None else code.node_at(receiver)
    method = node.func if isinstance(node, ir.Call) else None
    if isinstance(method, ir.Attribute) and method.attr == "contiguous":
        node = method.value
    if not isinstance(node, (ir.Name, ir.Attribute)):
        raise CannotPlaceError("what is reshaped has no name")
    return code.text(Part(call.path, node.start, node.end))


def _asked(code: Code, size: Part, instead: str) -> Fix | None:
    change = operations.Replace(size.path, size.start, size.end, instead)
    return code.repair("ask the batch for its size", [change], Applicability.UNSAFE)


def _size(code: Code, call: Place, number: int) -> Part:
    """One of the sizes that a call is given one by one, or in one tuple.

    Raises:
        CannotPlaceError: they are given in another way.
    """
    node = code.node_at(call)
    if not isinstance(node, ir.Call) or any(one.star for one in node.args):
        raise CannotPlaceError("the sizes are not written out")
    given = [one.value for one in node.args if one.keyword is None]
    if len(given) == 1 and isinstance(given[0], ir.Sequence):
        given = list(given[0].elements)
    if len(given) <= number or any(isinstance(one, ir.Sequence) for one in given):
        raise CannotPlaceError("the sizes are given in another way")
    return Part(call.path, given[number].start, given[number].end)


def _input_before(code: Code, call: Place, made: Place) -> str:
    """The name of a layer's input, which has its value before the state is made.

    Raises:
        CannotPlaceError: the input has no name, or gets its value later or elsewhere.
    """
    if call.path != made.path:
        raise CannotPlaceError("the state is made in another file")
    before = code.statement(made)
    scope = Scope(code.layout(call.path), before)
    if scope.node is not Scope(code.layout(call.path), code.statement(call)).node:
        raise CannotPlaceError("the state is made in another function")
    part = code.argument(call, "input", 0)
    node = None if part is None else code.node_at(part)
    if not isinstance(node, ir.Name):
        raise CannotPlaceError("the input has no name")
    bound = [one.start for one in scope.binders(node.id)]
    if any(before.start <= start < call.start for start in bound):
        raise CannotPlaceError("the input gets its value later")
    if scope.parameter(node.id) is None and not any(start < before.start for start in bound):
        raise CannotPlaceError("the input gets its value elsewhere")
    return node.id
