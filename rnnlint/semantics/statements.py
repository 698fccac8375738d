"""How statements change an abstract run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    calls,
    expressions,
    iteration,
    library,
    modules,
    operations,
    tensors,
    values,
)
from rnnlint.semantics.frames import Arguments, Frame
from rnnlint.semantics.state import Changes
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Value, join, truth

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

Flow = str
"""How a block ended: "" normally, or "return", "raise", "break", "continue"."""


def run_body(run: Interpreter, node: ir.FunctionDef | ir.Lambda, frame: Frame) -> Value:
    """Run a function's body in its frame and return the value of the call."""
    if isinstance(node, ir.Lambda):
        return expressions.evaluate(run, node.body, frame)
    flow = execute_block(run, node.body, frame)
    if node.is_generator:
        element = join(frame.yields) if frame.yields else UNKNOWN
        return values.ListObject(None, element, kind="generator")
    if flow == "":
        frame.returns.append(NONE)
    if len(frame.returns) > 1:
        known = [value for value in frame.returns if value != NONE]
        return values.join_rows(known) if known and frame.by_length else join(known or [NONE])
    return frame.returns[0] if frame.returns else UNKNOWN


def execute_block(run: Interpreter, body: tuple[ir.Stmt, ...], frame: Frame) -> Flow:
    for statement in body:
        run.tick()
        if type(statement) is ir.If:
            flow = _execute_if(run, statement, frame)
            if flow is not None:
                return flow
            continue
        flow = _EXECUTORS[type(statement)](run, statement, frame)
        if flow:
            return flow
    return ""


def _place(frame: Frame, node: ir.Node) -> Place:
    return Place(frame.module.path, node.start, node.end)


def _expression(run: Interpreter, node: ir.ExprStmt, frame: Frame) -> Flow:
    expressions.evaluate(run, node.value, frame)
    called = node.value.func if isinstance(node.value, ir.Call) else None
    if isinstance(called, ir.Attribute) and called.attr == "detach_":
        _detach_in_place(run, called.value, frame)
    return "raise" if _exits(node.value) else ""


def _detach_in_place(run: Interpreter, node: ir.Expr, frame: Frame) -> None:
    """`h.detach_()`: whatever holds this tensor holds it without its graph from now on."""
    with run.hypothetical():  # evaluated once more, not used once more
        tensor = expressions.evaluate(run, node, frame)
    if not isinstance(tensor, values.Tensor):
        return
    stores = [frame.scope]
    owner = next(iter(frame.scope.values()), None)
    if isinstance(owner, values.Instance):
        stores.append(owner.fields)
    for store in stores:
        for key, held in list(store.items()):
            kept = _without_graph(held, tensor)
            if kept is not held:
                run.state.set(store, key, kept)


def _without_graph(held: Any, tensor: values.Tensor) -> Any:
    if held == tensor and isinstance(held, values.Tensor):
        return tensors.detached(held)
    if isinstance(held, values.Tuple) and tensor in held.items:
        return values.Tuple(tuple(_without_graph(item, tensor) for item in held.items))
    return held


def _exits(node: ir.Expr) -> bool:
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
    value = expressions.evaluate(run, node.value, frame)
    for target in node.targets:
        named = isinstance(target, ir.Name) and frame.scope is frame.module.fields
        switch = isinstance(node.value, ir.Const) and node.value.kind == "bool"
        if named and (switch or is_setting(target.id)):  # type: ignore[union-attr]
            value = operations.optional(value)
        assign(run, target, value, frame)
    return ""


_SETTINGS = re.compile(r"(?i)_?(config|conf|cfg|opts?|options|params|hparams|hps?|settings|args)\Z")


def is_setting(name: str) -> bool:
    """Whether a global's name says that its value is there to be edited."""
    return (name.isupper() and len(name) > 1) or _SETTINGS.match(name) is not None


def _augmented(run: Interpreter, node: ir.AugAssign, frame: Frame) -> Flow:
    left = expressions.evaluate(run, node.target, frame)
    right = expressions.evaluate(run, node.value, frame)
    place = _place(frame, node)
    if isinstance(left, values.ListObject) and node.op == "+":
        operations.extend_list(run, left, right, place)
        return ""
    if isinstance(left, values.Container) and node.op == "+":
        modules.extend(run, left, right)
        return ""
    result = operations.binary(run, node.op, left, right, place)
    assign(run, node.target, result, frame)
    return ""


def assign(run: Interpreter, target: ir.Expr, value: Value, frame: Frame) -> None:
    """Bind `value` to an assignment target."""
    if isinstance(target, ir.Name):
        _bind_name(run, target.id, value, frame)
    elif isinstance(target, ir.Attribute):
        owner = expressions.evaluate(run, target.value, frame)
        attributes.set_attribute(run, owner, target.attr, value, _place(frame, target))
    elif isinstance(target, ir.Subscript):
        replaced = operations.set_item(run, target, value, frame)
        if replaced is not None:
            assign(run, target.value, replaced, frame)
    elif isinstance(target, ir.Sequence):
        _unpack(run, target, value, frame)
    elif isinstance(target, ir.Starred):
        assign(run, target.value, value, frame)


def _bind_name(run: Interpreter, name: str, value: Value, frame: Frame) -> None:
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
        parts = [iteration.item(run, value, i, wanted) for i in range(wanted)]
    for element, part in zip(target.elements, parts, strict=False):
        assign(run, element, part, frame)


def _return(run: Interpreter, node: ir.Return, frame: Frame) -> Flow:
    value = NONE if node.value is None else expressions.evaluate(run, node.value, frame)
    frame.returns.append(value)
    run.returned_at = _place(frame, node)
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


# --- branches --------------------------------------------------------------


def _execute_if(run: Interpreter, node: ir.If, frame: Frame) -> Flow | None:
    """Run an `if`; None when the block goes on behind it."""
    if _is_main_test(node.test) and frame.scope is frame.module.fields:
        run.mains.append((node.body, frame))
        return None
    test = expressions.evaluate(run, node.test, frame)
    place = _place(frame, node.test)
    decided = truth(test)
    if decided is not None:
        taken = node.body if decided else node.orelse
        for other in _arms_behind(node) if decided else [node.body]:
            _explore(run, other, frame)
        flow = execute_block(run, taken, frame)
        return flow or None
    default = bool(test.value) if isinstance(test, values.Const) else None
    arms = [
        _arm(run, node.body, frame, place, 0, default is False, node.test, holds=True),
        _arm(run, node.orelse, frame, place, 1, default is True, node.test, holds=False),
    ]
    if default is False:
        arms.reverse()
    returned = len(frame.returns)
    by_length = isinstance(test, values.LengthTest)
    flow = _branch(run, arms, frame, by_length)
    frame.by_length = frame.by_length or (by_length and len(frame.returns) > returned)
    return flow or None


def _arms_behind(node: ir.If) -> list[tuple[ir.Stmt, ...]]:
    """The bodies of the `elif` and `else` clauses of an `if`."""
    arms = []
    while len(node.orelse) == 1 and isinstance(node.orelse[0], ir.If):
        node = node.orelse[0]
        arms.append(node.body)
    return [*arms, node.orelse]


def _is_main_test(test: ir.Expr) -> bool:
    return (
        isinstance(test, ir.Compare)
        and isinstance(test.left, ir.Name)
        and test.left.id == "__name__"
        and test.ops == ("==",)
    )


def _arm(
    run: Interpreter,
    block: tuple[ir.Stmt, ...],
    frame: Frame,
    place: Place,
    arm: int,
    unlikely: bool = False,
    test: ir.Expr | None = None,
    holds: bool = True,
) -> Callable[[], Flow]:
    def execute() -> Flow:
        with run.condition(place, arm, unlikely):
            if test is not None:
                _narrow(run, test, holds, frame)
            return execute_block(run, block, frame)

    return execute


def _narrow(run: Interpreter, test: ir.Expr, holds: bool, frame: Frame) -> None:
    """Leave out the alternatives of a name that a test on it rules out."""
    if isinstance(test, ir.Unary) and test.op == "not":
        _narrow(run, test.operand, not holds, frame)
        return
    if isinstance(test, ir.BoolOp) and (test.op == "and") == holds:
        for part in test.values:
            _narrow(run, part, holds, frame)
        return
    subject = _subject(test)
    if not isinstance(subject, (ir.Name, ir.Attribute)):
        return
    value = expressions.evaluate(run, subject, frame)
    if not isinstance(value, values.Union):
        return
    kept = [m for m in value.members if _may_hold(run, test, m, frame) in (None, holds)]
    if 0 < len(kept) < len(value.members):
        assign(run, subject, join(kept), frame)


def _subject(test: ir.Expr) -> ir.Expr | None:
    """What a test is about: `x` in `isinstance(x, T)`, `x is None`, or `x` itself."""
    if isinstance(test, ir.Call):
        named = isinstance(test.func, ir.Name) and test.func.id == "isinstance"
        return test.args[0].value if named and len(test.args) == 2 else None
    if isinstance(test, ir.Compare) and test.ops in (("is",), ("is not",)):
        return test.left
    return test if isinstance(test, (ir.Name, ir.Attribute)) else None


def _may_hold(run: Interpreter, test: ir.Expr, member: Value, frame: Frame) -> bool | None:
    """Whether a test holds for one alternative of its subject; None when open."""
    if isinstance(test, ir.Call):
        kind = expressions.evaluate(run, test.args[1].value, frame)
        return library.is_instance(run, member, kind)
    if isinstance(test, ir.Compare):
        other = expressions.evaluate(run, test.comparators[0], frame)
        return truth(operations.compare(test.ops[0], member, other))
    return truth(member)


def _explore(run: Interpreter, block: tuple[ir.Stmt, ...], frame: Frame) -> None:
    """Look at code that a constant switches off: what it does is possible, not real."""
    if not block or run.context.hypothetical:
        return
    returns, yields = len(frame.returns), len(frame.yields)

    def execute() -> Flow:
        with run.hypothetical():
            return execute_block(run, block, frame)

    run.state.record(execute)
    del frame.returns[returns:], frame.yields[yields:]


def _branch(
    run: Interpreter, arms: list[Callable[[], Flow]], frame: Frame, by_length: bool = False
) -> Flow:
    """Run alternatives from the same state and join them."""
    outcomes: list[tuple[Flow, Any]] = [run.state.record(arm) for arm in arms]
    going_on = [changes for flow, changes in outcomes if not flow]
    ended = [changes for flow, changes in outcomes if flow]
    jumped = [changes for flow, changes in outcomes if flow in ("break", "continue")]
    if going_on:
        # Objects keep what a branch that left the block did to them; names do not.
        run.state.merge([*going_on, *jumped], None)
        for changes in ended:
            if changes not in jumped:
                run.state.merge([*going_on, changes], frame.scope)
        if by_length:
            _pad_all(run, going_on)
        return ""
    run.state.merge(ended)
    flows = {flow for flow, _ in outcomes}
    for flow in ("continue", "break", "return", "raise"):
        if flow in flows:
            return flow
    return ""


def _pad_all(run: Interpreter, branches: list[Changes]) -> None:
    """Let a name stand for padded sequences where a test on their length padded some."""
    for changes in branches:
        for store, key, written in changes.writes.values():
            joined = store.get(key)
            if isinstance(written, values.Tensor) and isinstance(joined, Value):
                run.state.set(store, key, values.join_rows([written, joined]))


def _try(run: Interpreter, node: ir.Try, frame: Frame) -> Flow:
    place = _place(frame, node)

    def body() -> Flow:
        return execute_block(run, (*node.body, *node.orelse), frame)

    arms: list[Callable[[], Flow]] = [body]
    for index, handler in enumerate(node.handlers):
        arms.append(_arm(run, handler.body, frame, place, index + 1))
    imports = node.body and all(
        isinstance(statement, (ir.Import, ir.ImportFrom)) for statement in node.body
    )
    flow = body() if imports or len(arms) == 1 else _branch(run, arms, frame)
    if node.final:
        ended = execute_block(run, node.final, frame)
        flow = ended or flow
    return flow


def _match(run: Interpreter, node: ir.Match, frame: Frame) -> Flow:
    subject = expressions.evaluate(run, node.subject, frame)
    arms: list[Callable[[], Flow]] = []
    place = _place(frame, node)
    exhaustive = False
    for index, case in enumerate(node.cases):
        if case.literal is not None:
            literal = expressions.evaluate(run, case.literal, frame)
            if truth(operations.compare("==", subject, literal)) is False:
                continue
        for name in case.names:
            _bind_name(run, name, UNKNOWN, frame)
        arms.append(_arm(run, case.body, frame, place, index))
        exhaustive = exhaustive or (case.literal is None and case.guard is None)
    if not exhaustive:
        arms.append(lambda: "")
    return _branch(run, arms, frame)


# --- loops -----------------------------------------------------------------


def _for(run: Interpreter, node: ir.For, frame: Frame) -> Flow:
    iterable = expressions.evaluate(run, node.iter, frame)
    place = _place(frame, node.iter)
    run.loop_counter += 1
    number = run.loop_counter
    fills = isinstance(iterable, values.Filler)
    if fills:
        run.filling.append(place)
    flow = ""
    try:
        before: Value | None = None
        for turn, item in enumerate(iteration.turns(run, iterable, place)):
            again, before = item is before, item
            with run.loop(place, number, turn, again):
                assign(run, node.target, item, frame)
                flow = execute_block(run, node.body, frame)
            if flow in ("return", "raise", "break"):
                break
    finally:
        if fills:
            run.filling.pop()
    if flow in ("return", "raise"):
        return flow if _always_leaves(node.body) else ""
    return execute_block(run, node.orelse, frame) if node.orelse else ""


def _always_leaves(body: tuple[ir.Stmt, ...]) -> bool:
    return bool(body) and isinstance(body[-1], (ir.Return, ir.Raise))


def _while(run: Interpreter, node: ir.While, frame: Frame) -> Flow:
    place = _place(frame, node.test)
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
                _explore(run, node.body, frame)
                break
            with run.loop(place, number, turn, again=turn > 0):
                flow = execute_block(run, node.body, frame)
            if flow in ("return", "raise", "break"):
                break
    finally:
        if fills:
            run.filling.pop()
    return flow if flow == "return" and _always_leaves(node.body) else ""


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
        off = off or (
            isinstance(manager, values.Thing) and manager.kind in ("no_grad", "inference_mode")
        )
        if item.target is not None:
            assign(run, item.target, _entered(run, manager, frame, item), frame)
    with run.without_gradients(off):
        return execute_block(run, node.body, frame)


def _entered(run: Interpreter, manager: Value, frame: Frame, item: ir.WithItem) -> Value:
    if isinstance(manager, values.Instance):
        enter = attributes.get_attribute(run, manager, "__enter__", _place(frame, item))
        if isinstance(enter, values.Bound):
            return run.call_function(
                enter.function, Arguments(), _place(frame, item), enter.receiver
            )
    if isinstance(manager, values.ListObject) and manager.kind == "generator":
        return iteration.element(run, manager)
    return manager


# --- definitions -----------------------------------------------------------


def _function(run: Interpreter, node: ir.FunctionDef, frame: Frame) -> Flow:
    decorators = tuple(expressions.evaluate(run, mark, frame) for mark in node.decorators)
    defaults = {
        parameter.name: expressions.evaluate(run, parameter.default, frame)
        for parameter in node.params
        if parameter.default is not None
    }
    owner = frame.scope.get("<class>")
    closure = frame.closure
    if frame.scope is not frame.module.fields and owner is None:
        closure = (frame.scope, *frame.closure)
    function = values.Function(
        node,
        frame.module,
        closure,
        defaults,
        owner if isinstance(owner, values.Class) else None,
        _kind(node, decorators),
        decorators,
    )
    run.functions[id(node)] = function
    _bind_name(run, node.name, function, frame)
    return ""


def _kind(node: ir.FunctionDef, decorators: tuple[Value, ...]) -> str:
    for mark, expression in zip(decorators, node.decorators, strict=True):
        name = mark.name if isinstance(mark, values.External) else ""
        if name == "builtins.staticmethod":
            return "static"
        if name == "builtins.classmethod":
            return "class"
        if name in ("builtins.property", "functools.cached_property"):
            return "property"
        if isinstance(expression, ir.Attribute) and expression.attr in ("setter", "deleter"):
            return "setter"
    return ""


def _class(run: Interpreter, node: ir.ClassDef, frame: Frame) -> Flow:
    bases = tuple(
        expressions.evaluate(run, base.value, frame)
        for base in node.bases
        if base.keyword is None and base.value is not None
    )
    cls = values.Class(node, frame.module, bases, _place(frame, node))
    cls.decorators = tuple(expressions.evaluate(run, mark, frame) for mark in node.decorators)
    run.classes[id(node)] = cls
    closure = frame.closure
    if frame.scope is not frame.module.fields:
        closure = (frame.scope, *frame.closure)
    cls.fields["<class>"] = cls
    body = Frame(cls.fields, frame.module, closure)
    execute_block(run, node.body, body)
    _bind_name(run, node.name, cls, frame)
    for mark in cls.decorators:
        if isinstance(mark, (values.Function, values.Bound)):  # it may enter a register
            calls.call(run, mark, Arguments([cls]), cls.place or _place(frame, node))
    return ""


# --- imports ---------------------------------------------------------------


def _import(run: Interpreter, node: ir.Import, frame: Frame) -> Flow:
    for alias in node.names:
        first = alias.name.split(".")[0]
        if alias.asname is not None:
            value = import_module(run, frame.module.path, alias.name, 0)
            _bind_name(run, alias.asname, value, frame)
        else:
            import_module(run, frame.module.path, alias.name, 0)
            _bind_name(run, first, import_module(run, frame.module.path, first, 0), frame)
    return ""


def import_module(run: Interpreter, importer: str, module: str, level: int) -> Value:
    """The module that an import names: the project's, or a library's."""
    path = run.resolve(importer, module, level)
    if path is None:
        return values.External(module) if level == 0 and module else UNKNOWN
    if path.endswith("/"):
        return values.Folder(path)
    return run.module(path)


def _import_from(run: Interpreter, node: ir.ImportFrom, frame: Frame) -> Flow:
    module = import_module(run, frame.module.path, node.module, node.level)
    place = _place(frame, node)
    for alias in node.names:
        if alias.name == "*":
            _import_star(run, module, frame)
            continue
        value = attributes.get_attribute(run, module, alias.name, place)
        if isinstance(value, values.Unknown) and isinstance(module, values.ModuleScope):
            sub = run.resolve(module.path, alias.name, 1)
            if sub is not None:
                value = values.Folder(sub) if sub.endswith("/") else run.module(sub)
        _bind_name(run, alias.asname or alias.name, value, frame)
    return ""


def _import_star(run: Interpreter, module: Value, frame: Frame) -> None:
    if isinstance(module, values.ModuleScope):
        for name, value in list(module.fields.items()):
            if isinstance(name, str) and not name.startswith("_") and isinstance(value, Value):
                _bind_name(run, name, value, frame)
    elif isinstance(module, values.External):
        stars = frame.module.fields.setdefault("<stars>", [])
        stars.append(module.name)


_EXECUTORS: dict[type, Callable[[Interpreter, Any, Frame], Flow]] = {
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
    ir.Try: _try,
    ir.Match: _match,
    ir.FunctionDef: _function,
    ir.ClassDef: _class,
    ir.Import: _import,
    ir.ImportFrom: _import_from,
}
