"""What is seen in passing: slips in single statements, modes, and what modules keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.lowering import ir
from rnnlint.semantics import events, expressions, modules, naming, tensors, values
from rnnlint.semantics.frames import Frame
from rnnlint.semantics.values import Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


# --- results thrown away ---------------------------------------------------


def note_discarded(run: Interpreter, node: ir.ExprStmt, frame: Frame) -> None:
    """`h.detach()` and `[h.detach() for h in state]` as statements."""
    call = node.value
    if isinstance(call, ir.Comprehension):
        if not _is_detach(call.element) or len(call.generators) != 1:
            return
        receiver = call.generators[0].iter
    elif isinstance(call, ir.Call) and isinstance(call.func, ir.Attribute) and _is_detach(call):
        receiver = call.func.value
    else:
        return
    with run.hypothetical():  # evaluated once more, not used once more
        value = expressions.evaluate(run, receiver, frame)
    run.note(events.Discarded(frame.place(node), run.context, "detach", value))


def note_loop_variable(run: Interpreter, node: ir.For, item: Value, frame: Frame) -> None:
    """`for h in state: h = h.detach()`"""
    if len(node.body) != 1 or not isinstance(node.target, ir.Name):
        return
    only = node.body[0]
    if not isinstance(only, (ir.Assign, ir.ExprStmt)) or only.value is None:
        return
    targets = only.targets if isinstance(only, ir.Assign) else ()
    names = [*targets, _receiver(only.value)]
    variable = node.target.id
    if _is_detach(only.value) and all(
        isinstance(name, ir.Name) and name.id == variable for name in names
    ):
        place, loop, over = (frame.place(one) for one in (only, node, node.iter))
        run.note(events.Discarded(place, run.context, "detach", item, loop, over))


def _is_detach(node: ir.Expr) -> bool:
    return (
        isinstance(node, ir.Call)
        and not node.args
        and isinstance(node.func, ir.Attribute)
        and node.func.attr == "detach"
    )


def _receiver(node: ir.Expr) -> ir.Expr | None:
    function = node.func if isinstance(node, ir.Call) else None
    return function.value if isinstance(function, ir.Attribute) else None


# --- sums that keep graphs -------------------------------------------------


def note_sum(run: Interpreter, target: ir.Expr, node: ir.Expr, frame: Frame) -> None:
    """`total = total + loss`"""
    if not isinstance(node, ir.Binary) or node.op != "+" or not _may_keep_graph(run):
        return
    with run.hypothetical():  # evaluated once more, not used once more
        before = expressions.evaluate(run, node.left, frame)
        added = expressions.evaluate(run, node.right, frame)
    place = Place(frame.module.path, target.start, node.end)
    _note_accumulated(run, before, added, place, target, node.right, frame)


def note_accumulation(
    run: Interpreter, before: Value, added: Value, place: Place, node: ir.AugAssign, frame: Frame
) -> None:
    """`total += loss`"""
    if _may_keep_graph(run):
        _note_accumulated(run, before, added, place, node.target, node.value, frame)


def _may_keep_graph(run: Interpreter) -> bool:
    return run.context.gradients and bool(run.context.loops) and not run.context.hypothetical


def _note_accumulated(
    run: Interpreter,
    before: Value,
    added: Value,
    place: Place,
    total: ir.Expr,
    operand: ir.Expr,
    frame: Frame,
) -> None:
    if tensors.graph_of(added):
        note = events.Accumulated(
            place, run.context, before, added, frame.place(total), frame.place(operand)
        )
        run.note(note)


# --- training and evaluation -----------------------------------------------


def note_mode(run: Interpreter, module: Value, training: bool | None, place: Place) -> None:
    """`module.train()`, `module.eval()`"""
    run.note(events.Mode(place, run.context, modules.layers_in(module), training))


def note_mode_read(run: Interpreter, layer: values.Layer, place: Place) -> None:
    """A layer runs whose result depends on the mode."""
    if not modules.depends_on_mode(layer):
        return
    loops = tuple(number for _, number, _ in run.context.loops)
    if (layer, loops, run.context.gradients) in run.modes_read:
        return  # once for each run of a loop will do
    run.modes_read.add((layer, loops, run.context.gradients))
    functions = tuple(call.function.name for call in run.calls)
    note = events.ModeRead(place, run.context, layer, functions, ())
    note.scopes = naming.scopes_under_way(run, note)
    run.note(note)


# --- what modules keep -----------------------------------------------------


def note_kept(run: Interpreter, owner: values.Instance, container: Value, place: Place) -> None:
    """`self.layers = [...]` in a module."""
    if modules.is_module(owner):
        run.note(events.Kept(place, run.context, owner, container))


# --- activations and dropout -----------------------------------------------


def note_activation(
    run: Interpreter,
    kind: str,
    given: values.Tensor,
    dim: Value | None,
    place: Place,
    layer: values.Layer | None = None,
) -> None:
    """An activation of what recurrent layers computed."""
    if given.calls:
        run.note(events.Activated(place, run.context, kind, given, dim, layer))


def note_adjusted(run: Interpreter, parameter: values.Parameter, method: str, place: Place) -> None:
    """`weight.data.mul_(mask)`, `weight.fill_diagonal_(1)`"""
    if method.endswith("_") and method not in _KEEPING_CONTENT:
        run.note(events.Adjusted(place, run.context, parameter))


_KEEPING_CONTENT = frozenset({"requires_grad_", "detach_", "share_memory_", "rename_"})


def note_finiteness(run: Interpreter, place: Place) -> None:
    """`torch.isnan(x)`, `math.isinf(x)`, `x == float("inf")`"""
    run.note(events.FinitenessTested(place, run.context))


def note_comparison(run: Interpreter, node: ir.Compare, frame: Frame) -> None:
    """A comparison with infinity."""
    if node.ops[0] in _EQUALITY and any(_is_infinite(one) for one in node.comparators):
        note_finiteness(run, frame.place(node))


def note_padding_test(run: Interpreter, left: Value, right: Value, place: Place) -> None:
    """`tags != PAD`, where the tags are padded with just this."""
    for batch, number in ((left, right), (right, left)):
        padding = batch.padding if isinstance(batch, values.Tensor) else None
        if padding is not None and isinstance(number, values.Const) and padding.filler == number:
            run.note(events.PaddingTested(place, run.context, padding))


_EQUALITY = ("==", "!=", "in", "not in")


def _is_infinite(node: ir.Expr) -> bool:
    """`float("inf")`, `-math.inf`, `(np.inf, -np.inf)`"""
    if isinstance(node, ir.Unary):
        return _is_infinite(node.operand)
    if isinstance(node, ir.Sequence):
        return any(_is_infinite(element) for element in node.elements)
    if isinstance(node, ir.Call) and len(node.args) == 1:
        only = node.args[0].value
        number = only.value if isinstance(only, ir.Const) else None
        return isinstance(number, str) and number.strip("+-").lower() in ("inf", "infinity", "nan")
    return isinstance(node, ir.Attribute) and node.attr in ("inf", "nan")


def note_dropout(run: Interpreter, options: dict[str, Value], more: bool, place: Place) -> None:
    """`F.dropout(x, p)`; with `more` arguments that are not written out there is nothing to say."""
    if more:
        return
    under_way = [call.function for call in run.calls]
    forward = next((one for one in reversed(under_way) if modules.is_forward(one)), None)
    function = under_way[-1] if under_way else None
    run.note(events.DroppedOut(place, run.context, options, function, forward))


# --- packed sequences ------------------------------------------------------


def note_packed(
    run: Interpreter, value: Value | None, how: str, place: Place, name: str = "", count: int = 0
) -> None:
    """A packed sequence is used as only a tensor or a pair can be."""
    if isinstance(value, values.Tensor) and value.packed:
        run.note(events.PackedUsed(place, run.context, value, how, name, count))
