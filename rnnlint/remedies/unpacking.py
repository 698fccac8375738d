"""The names of an LSTM's two states are brought into their order."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.lowering import ir
from rnnlint.semantics import values
from rnnlint.semantics.events import LayerCall
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place


def swap_state_names(program: Program, call: LayerCall) -> Fix | None:
    """Write h first, where the states are unpacked or where they are given.

    Which of the two is wrong is told by the names: that of a cell state begins with c.
    """
    try:
        change = _change(program.code, call)
    except CannotPlaceError:
        return None
    if change is None:
        return None
    return program.code.repair("the hidden state comes first", [change], Applicability.UNSAFE)


def _change(code: Code, call: LayerCall) -> operations.Replace | None:
    origin = _origin(call)
    if origin is None:
        return None
    unpacked = _unpacked(code, origin)
    if unpacked is not None and _has_cell_first(unpacked):
        return _swapped(code, origin.path, unpacked)
    given = _given(code, call.place)
    if given is not None and _has_cell_first(given):
        return _swapped(code, call.place.path, given)
    return None


def _origin(call: LayerCall) -> Place | None:
    """The call that returned both states."""
    items = call.state.items if isinstance(call.state, values.Tuple) else ()
    calls = {item.output_of for item in items if isinstance(item, values.Tensor)}
    only = calls.pop() if len(calls) == 1 else None
    return None if only is None else only.place


def _unpacked(code: Code, call: Place) -> ir.Sequence | None:
    """`(h, c)` in `h, c = cell(...)` and `out, (h, c) = lstm(...)`."""
    node = code.statement(call).node
    if not isinstance(node, ir.Assign) or len(node.targets) != 1 or node.value is None:
        return None
    if (node.value.start, node.value.end) != (call.start, call.end):
        return None
    target = node.targets[0]
    last = target.elements[-1] if isinstance(target, ir.Sequence) and target.elements else None
    return last if isinstance(last, ir.Sequence) else _pair(target)


def _given(code: Code, call: Place) -> ir.Sequence | None:
    """`(h, c)` in `cell(x, (h, c))`."""
    part = code.argument(call, "hx", 1)
    if part is None:
        return None
    node = code.node_at(part)
    return _pair(node)


def _pair(node: ir.Node | None) -> ir.Sequence | None:
    return node if isinstance(node, ir.Sequence) and len(node.elements) == 2 else None


def _has_cell_first(pair: ir.Sequence) -> bool:
    first, second = (_last_word(one) for one in pair.elements)
    return first.startswith("c") and not second.startswith("c")


def _last_word(node: ir.Expr) -> str:
    """The name that an expression ends with, in lower case: `c_t` of `self.c_t`."""
    if isinstance(node, ir.Attribute):
        return node.attr.lower()
    return node.id.lower() if isinstance(node, ir.Name) else ""


def _swapped(code: Code, path: str, pair: ir.Sequence) -> operations.Replace:
    first, second = pair.elements
    parts = [code.text(Place(path, one.start, one.end)) for one in (second, first)]
    return operations.Replace(path, first.start, second.end, ", ".join(parts))
