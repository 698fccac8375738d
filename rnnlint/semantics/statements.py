"""How statements change an abstract run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    branches,
    excerpts,
    expressions,
    iteration,
    joins,
    modules,
    notes,
    operations,
    subscripts,
    training,
    values,
)
from rnnlint.semantics.frames import Arguments, Flow, Frame
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import NONE, UNKNOWN, Value, truth

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


MAX_AXES = 4
"""Axes of a batch that is filled row by row."""
SEVERAL = 3
"""Names that a result is unpacked into when it is more than a pair."""


def run_body(run: Interpreter, node: ir.FunctionDef | ir.Lambda, frame: Frame) -> Value:
    """Run a function's body in its frame and return the value of the call."""
    if isinstance(node, ir.Lambda):
        return expressions.evaluate(run, node.body, frame)
    flow = run.execute(node.body, frame)
    if node.is_generator:
        element = join(frame.yields) if frame.yields else UNKNOWN
        return values.ListObject(None, element, kind="generator")
    if flow == "":
        frame.returns.append(NONE)
    if len(frame.returns) > 1:
        known = [value for value in frame.returns if value != NONE]
        return joins.join_rows(known) if known and frame.by_length else join(known or [NONE])
    return frame.returns[0] if frame.returns else UNKNOWN


def _expression(run: Interpreter, node: ir.ExprStmt, frame: Frame) -> Flow:
    value = expressions.evaluate(run, node.value, frame)
    called = node.value.func if isinstance(node.value, ir.Call) else None
    if isinstance(called, ir.Attribute) and called.attr == "copy_":
        _copy_into_part(run, node.value, called.value, frame)
    elif isinstance(called, ir.Attribute) and called.attr.endswith("_"):
        _change_in_place(run, called.value, value, frame)
    else:
        notes.note_discarded(run, node, frame)
    return "raise" if exits(node.value) else ""


def _change_in_place(run: Interpreter, node: ir.Expr, after: Value, frame: Frame) -> None:
    """`h.detach_()`, `x.transpose_(0, 1)`: whatever holds the tensor holds the result."""
    with run.hypothetical():  # evaluated once more, not used once more
        before = expressions.evaluate(run, node, frame)
    if not isinstance(before, values.Tensor) or not isinstance(after, values.Tensor):
        return
    stores = [frame.scope]
    if isinstance(frame.receiver, values.Instance):
        stores.append(frame.receiver.fields)
    for store in stores:
        for key, held in list(store.items()):
            kept = _replaced(held, before, after)
            if kept is not held:
                run.state.set(store, key, kept)


def _copy_into_part(run: Interpreter, copy: ir.Expr, part: ir.Expr, frame: Frame) -> None:
    """`rows[i].narrow(0, 0, n).copy_(x)` is `rows[i, :n] = x`."""
    if not (isinstance(copy, ir.Call) and isinstance(part, ir.Call) and copy.args):
        return
    narrow = part.func
    if not (isinstance(narrow, ir.Attribute) and narrow.attr == "narrow" and len(part.args) == 3):
        return
    axis, start, length = (argument.value for argument in part.args)
    first = isinstance(start, ir.Const) and start.value == 0
    if not (first and isinstance(axis, ir.Const) and isinstance(axis.value, int)):
        return
    if axis.value not in range(MAX_AXES):
        return
    whole, picked = narrow.value, tuple[ir.Expr, ...]()
    while isinstance(whole, ir.Subscript):
        picked = (*whole.index, *picked)
        whole = whole.value
    everything = ir.Slice(part.start, part.end, None, None, None)
    leading = ir.Slice(part.start, part.end, None, length, None)
    index = (*picked, *[everything] * axis.value, leading)
    target = ir.Subscript(part.start, part.end, whole, index)
    with run.hypothetical():  # evaluated once more, not used once more
        value = expressions.evaluate(run, copy.args[0].value, frame)
        assign(run, target, value, frame)


def _replaced(held: Any, before: values.Tensor, after: values.Tensor) -> Any:
    # Tensors of one graph are the same; others may only look alike.
    if held is before or (before.calls and held == before):
        return after
    if isinstance(held, values.Tuple) and any(item is before for item in held.items):
        return values.of_its_kind(held, [_replaced(item, before, after) for item in held.items])
    return held


def exits(node: ir.Expr) -> bool:
    """Whether the statement ends the program: `sys.exit()`, `exit()`."""
    if not isinstance(node, ir.Call):
        return False
    function = node.func
    if isinstance(function, ir.Attribute) and isinstance(function.value, ir.Name):
        return function.attr in ("exit", "_exit") and function.value.id in ("sys", "os")
    return isinstance(function, ir.Name) and function.id in ("exit", "quit")


def _assign(run: Interpreter, node: ir.Assign, frame: Frame) -> Flow:
    if node.value is None:
        return ""
    target = node.targets[0]
    if isinstance(target, ir.Sequence) and len(target.elements) >= SEVERAL:
        run.unpacked.add(frame.place(node.value))
    value = expressions.evaluate(run, node.value, frame)
    value = excerpts.with_siblings(node.value, value, frame)
    for target in node.targets:
        if isinstance(target, ir.Name) and _is_option(target.id, node.value, frame):
            value = operations.optional(value)
        if isinstance(value, values.Const) and _follows_itself(target, node.value):
            old = expressions.evaluate(run, target, frame)
            value = UNKNOWN if _counts(run, target, old, value, frame) else value
        elif isinstance(value, (values.Tensor, values.Union)) and _follows_itself(
            target, node.value
        ):
            notes.note_sum(run, target, node.value, frame)
        assign(run, target, value, frame)
    return ""


def _follows_itself(target: ir.Expr, value: ir.Expr) -> bool:
    """`self.steps = self.steps + 1`"""
    return isinstance(value, ir.Binary) and _is_same_name(target, value.left)


def _is_same_name(left: ir.Expr, right: ir.Expr) -> bool:
    """Whether both are the same name or attribute."""
    if isinstance(left, ir.Attribute) and isinstance(right, ir.Attribute):
        return left.attr == right.attr and _is_same_name(left.value, right.value)
    return isinstance(left, ir.Name) and isinstance(right, ir.Name) and left.id == right.id


def _is_option(name: str, value: ir.Expr, frame: Frame) -> bool:
    """Whether a constant is there to be edited: a global's, or one of a class of settings."""
    if frame.scope is frame.module.fields:
        switch = isinstance(value, ir.Const) and value.kind == "bool"
        return switch or is_setting(name)
    owner = frame.scope.get("<class>")
    return isinstance(owner, values.Class) and _SETTINGS_CLASS.search(owner.name) is not None


_NAMES = "config|conf|cfg|opts?|options|params|hparams|hps?|settings|args"
_SETTINGS = re.compile(rf"(?i)_?({_NAMES})\Z")
_SETTINGS_CLASS = re.compile(rf"(?i)({_NAMES}|configuration|parameters|arguments)\Z")


def is_setting(name: str) -> bool:
    """Whether a global's name says that its value is there to be edited."""
    return (name.isupper() and len(name) > 1) or _SETTINGS.match(name) is not None


def _augmented(run: Interpreter, node: ir.AugAssign, frame: Frame) -> Flow:
    left = expressions.evaluate(run, node.target, frame)
    right = expressions.evaluate(run, node.value, frame)
    place = frame.place(node)
    if isinstance(left, values.ListObject) and node.op == "+":
        operations.extend_list(run, left, right, place)
        return ""
    if isinstance(left, values.Container) and node.op == "+":
        modules.extend(run, left, right)
        return ""
    if isinstance(left, values.Gradient):
        training.scale_gradient(run, left, node.op, place)
        return ""
    if node.op == "+" and isinstance(right, (values.Tensor, values.Union)):
        notes.note_accumulation(run, left, right, place, node, frame)
    result = operations.binary(run, node.op, left, right, place)
    if _counts(run, node.target, left, result, frame):
        result = UNKNOWN
    assign(run, node.target, result, frame)
    return ""


def _counts(run: Interpreter, target: ir.Expr, old: Value, new: Value, frame: Frame) -> bool:
    """Whether a number is counted on in a loop, whose first turn must not decide for all."""
    around = frame.loops if isinstance(target, ir.Name) else 0
    if len(run.context.loops) <= around or not isinstance(new, values.Const):
        return False
    return isinstance(old, values.Const) and isinstance(old.value, (int, float))


def assign(run: Interpreter, target: ir.Expr, value: Value, frame: Frame) -> None:
    """Bind `value` to an assignment target."""
    if isinstance(value, (values.Tuple, values.ListObject)):
        run.passages.note_binding(frame.place(target), value)
    if isinstance(target, ir.Name):
        frame.bound[target.id] = target.start
        bind_name(run, target.id, value, frame)
    elif isinstance(target, ir.Attribute):
        owner = expressions.evaluate(run, target.value, frame)
        attributes.set_attribute(run, owner, target.attr, value, frame.place(target))
    elif isinstance(target, ir.Subscript):
        replaced = subscripts.set_item(run, target, value, frame)
        if replaced is not None:
            assign(run, target.value, replaced, frame)
    elif isinstance(target, ir.Sequence):
        _unpack(run, target, value, frame)
    elif isinstance(target, ir.Starred):
        assign(run, target.value, value, frame)


def bind_name(run: Interpreter, name: str, value: Value, frame: Frame) -> None:
    if name in frame.global_names:
        for scope in frame.closure:
            if name in scope:
                run.state.set(scope, name, value)
                return
        run.state.set(frame.module.fields, name, value)
    else:
        run.state.set(frame.scope, name, value)


def _unpack(run: Interpreter, target: ir.Sequence, value: Value, frame: Frame) -> None:
    wanted = len(target.elements)
    starred = next((i for i, e in enumerate(target.elements) if isinstance(e, ir.Starred)), None)
    if starred is not None:
        items = iteration.known_items(run, value)
        tail = wanted - starred - 1
        if items is not None and len(items) >= wanted - 1:
            middle = values.ListObject(items[starred : len(items) - tail])
            parts: list[Value] = [*items[:starred], middle, *items[len(items) - tail :]]
        else:
            parts = [iteration.item(run, value, i) for i in range(starred)]
            parts.append(values.ListObject(None, iteration.element(run, value)))
            parts.extend(iteration.element(run, value) for _ in range(tail))
    else:
        notes.note_packed(run, value, "unpacked", frame.place(target), count=wanted)
        parts = [iteration.item(run, value, i, wanted) for i in range(wanted)]
    for element, part in zip(target.elements, parts, strict=False):
        assign(run, element, part, frame)


def _return(run: Interpreter, node: ir.Return, frame: Frame) -> Flow:
    value: Value = NONE
    if node.value is not None:
        value = expressions.evaluate(run, node.value, frame)
        value = excerpts.with_siblings(node.value, value, frame)
    frame.returns.append(value)
    run.returned_at = frame.place(node)
    return "return"


def _raise(run: Interpreter, node: ir.Raise, frame: Frame) -> Flow:
    return "raise"


def _assert(run: Interpreter, node: ir.Assert, frame: Frame) -> Flow:
    with run.hypothetical():  # what is only compared is not used
        expressions.evaluate(run, node.test, frame)
    return ""


def _delete(run: Interpreter, node: ir.Delete, frame: Frame) -> Flow:
    for target in node.targets:
        if isinstance(target, ir.Name):
            run.state.delete(frame.scope, target.id)
    return ""


def _scope(run: Interpreter, node: ir.Scope, frame: Frame) -> Flow:
    frame.global_names.update(node.names)
    return ""


def _jump(run: Interpreter, node: ir.Jump, frame: Frame) -> Flow:
    return "" if node.kind == "pass" else node.kind


# --- loops -----------------------------------------------------------------


def _for(run: Interpreter, node: ir.For, frame: Frame) -> Flow:
    iterable = expressions.evaluate(run, node.iter, frame)
    place = frame.place(node.iter)
    run.loop_counter += 1
    number = run.loop_counter
    run.loop_sources[number] = iterable
    fills = isinstance(iterable, values.Filler)
    if fills:
        run.filling.append(place)
    flow = ""
    try:
        for turn, (item, again) in enumerate(iteration.turns(run, iterable)):
            with run.loop(place, number, turn, again):
                assign(run, node.target, item, frame)
                notes.note_loop_variable(run, node, item, frame)
                flow = run.execute(node.body, frame)
            if flow in ("return", "raise", "break"):
                break
    finally:
        if fills:
            run.filling.pop()
    if flow in ("return", "raise"):
        return flow if _always_leaves(node.body) else ""
    return run.execute(node.orelse, frame) if node.orelse else ""


def _always_leaves(body: tuple[ir.Stmt, ...]) -> bool:
    return bool(body) and isinstance(body[-1], (ir.Return, ir.Raise))


def _while(run: Interpreter, node: ir.While, frame: Frame) -> Flow:
    place = frame.place(node.test)
    run.loop_counter += 1
    number = run.loop_counter
    flow = ""
    fills = _tests_length(node.test)
    if fills:
        run.filling.append(place)
    try:
        seen = len(run.events)
        for turn in range(2):
            if turn and (run.context.settled or len(run.events) == seen):
                break
            test = expressions.evaluate(run, node.test, frame)
            if truth(test) is False and turn == 0:
                branches.explore(run, node.body, frame)
                break
            with run.loop(place, number, turn, again=turn > 0):
                flow = run.execute(node.body, frame)
            if flow in ("return", "raise", "break"):
                break
    finally:
        if fills:
            run.filling.pop()
    if flow == "return" and _always_leaves(node.body):
        return flow
    return run.execute(node.orelse, frame) if flow != "break" else ""


def _tests_length(test: ir.Expr) -> bool:
    """`while len(x) < longest`"""
    return (
        isinstance(test, ir.Compare)
        and test.ops in (("<",), ("!=",), ("<=",))
        and isinstance(test.left, ir.Call)
        and isinstance(test.left.func, ir.Name)
        and test.left.func.id == "len"
    )


def _with(run: Interpreter, node: ir.With, frame: Frame) -> Flow:
    off = False
    for item in node.items:
        manager = expressions.evaluate(run, item.context, frame)
        off = off or (isinstance(manager, values.Thing) and manager.kind == "no_grad")
        if item.target is not None:
            assign(run, item.target, _entered(run, manager, frame, item), frame)
    with run.without_gradients(off):
        return run.execute(node.body, frame)


def _entered(run: Interpreter, manager: Value, frame: Frame, item: ir.WithItem) -> Value:
    if isinstance(manager, values.Instance):
        enter = attributes.get_attribute(run, manager, "__enter__", frame.place(item))
        if isinstance(enter, values.Bound):
            return run.call_function(enter.function, Arguments(), frame.place(item), enter.receiver)
    if isinstance(manager, values.ListObject) and manager.kind == "generator":
        return iteration.element(run, manager)
    return manager


EXECUTORS: dict[type, Callable[[Interpreter, Any, Frame], Flow]] = {
    ir.ExprStmt: _expression,
    ir.Assign: _assign,
    ir.AugAssign: _augmented,
    ir.Return: _return,
    ir.Raise: _raise,
    ir.Assert: _assert,
    ir.Delete: _delete,
    ir.Scope: _scope,
    ir.Jump: _jump,
    ir.For: _for,
    ir.While: _while,
    ir.With: _with,
}
