"""How branches are run: each arm from the same state, then joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.lowering import ir
from rnnlint.semantics import events, expressions, joins, operations, statements, types, values
from rnnlint.semantics.frames import Flow, Frame
from rnnlint.semantics.joins import join
from rnnlint.semantics.state import Changes
from rnnlint.semantics.values import UNKNOWN, Place, Value, truth

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _if(run: Interpreter, node: ir.If, frame: Frame) -> Flow:
    if _is_main_test(node.test) and frame.scope is frame.module.fields:
        run.mains.append((node.body, frame))
        return run.execute(node.orelse, frame)
    test = expressions.evaluate(run, node.test, frame)
    place = frame.place(node.test)
    decided = truth(test)
    if decided is not None:
        taken = node.body if decided else node.orelse
        for other in _arms_behind(node) if decided else [node.body]:
            explore(run, other, frame)
        return run.execute(taken, frame)
    default = bool(test.value) if isinstance(test, values.Const) else None
    arms = [
        _arm(run, node.body, frame, place, 0, default is False, node.test, holds=True),
        _arm(run, node.orelse, frame, place, 1, default is True, node.test, holds=False),
    ]
    if default is False:
        arms.reverse()
    returned = len(frame.returns)
    by_length = isinstance(test, values.LengthTest)
    flow = _branch(run, arms, frame, by_length, place)
    frame.by_length = frame.by_length or (by_length and len(frame.returns) > returned)
    return flow


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
        and test.ops == ("==",)
        and any(
            isinstance(side, ir.Name) and side.id == "__name__"
            for side in (test.left, *test.comparators)
        )
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
            return run.execute(block, frame)

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
        statements.assign(run, subject, join(kept), frame)


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
        return types.is_instance(run, member, kind)
    if isinstance(test, ir.Compare):
        other = expressions.evaluate(run, test.comparators[0], frame)
        return truth(operations.compare(test.ops[0], member, other))
    return truth(member)


def explore(run: Interpreter, block: tuple[ir.Stmt, ...], frame: Frame) -> None:
    """Look at code that a constant switches off: what it does is possible, not real."""
    if not block or run.context.hypothetical:
        return
    returns, yields = len(frame.returns), len(frame.yields)

    def execute() -> Flow:
        with run.hypothetical():
            return run.execute(block, frame)

    run.state.record(execute)
    del frame.returns[returns:], frame.yields[yields:]


def _branch(
    run: Interpreter,
    arms: list[Callable[[], Flow]],
    frame: Frame,
    by_length: bool = False,
    test: Place | None = None,
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
        if ended and test is not None:
            run.note(events.Diverted(test, run.context))
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
                run.state.set(store, key, joins.join_rows([written, joined]))


def _try(run: Interpreter, node: ir.Try, frame: Frame) -> Flow:
    place = frame.place(node)

    def body() -> Flow:
        if any(_goes_on(handler.body) for handler in node.handlers):
            with run.attempt():
                flow = run.execute(node.body, frame)
        else:
            flow = run.execute(node.body, frame)
        return flow or run.execute(node.orelse, frame)

    arms: list[Callable[[], Flow]] = [body]
    for index, handler in enumerate(node.handlers):
        arms.append(_arm(run, handler.body, frame, place, index + 1))
    imports = node.body and all(
        isinstance(statement, (ir.Import, ir.ImportFrom)) for statement in node.body
    )
    flow = body() if imports or len(arms) == 1 else _branch(run, arms, frame)
    if node.final:
        ended = run.execute(node.final, frame)
        flow = ended or flow
    return flow


def _goes_on(block: tuple[ir.Stmt, ...]) -> bool:
    last = block[-1] if block else None
    return not isinstance(last, (ir.Raise, ir.Return)) and not (
        isinstance(last, ir.ExprStmt) and statements.exits(last.value)
    )


def _match(run: Interpreter, node: ir.Match, frame: Frame) -> Flow:
    subject = expressions.evaluate(run, node.subject, frame)
    arms: list[Callable[[], Flow]] = []
    place = frame.place(node)
    exhaustive = False
    for index, case in enumerate(node.cases):
        if case.literal is not None:
            literal = expressions.evaluate(run, case.literal, frame)
            if truth(operations.compare("==", subject, literal)) is False:
                continue
        for name in case.names:
            statements.bind_name(run, name, UNKNOWN, frame)
        arms.append(_arm(run, case.body, frame, place, index))
        exhaustive = exhaustive or (case.literal is None and case.guard is None)
    if not exhaustive:
        arms.append(lambda: "")
    return _branch(run, arms, frame)


EXECUTORS: dict[type, Callable[[Interpreter, Any, Frame], Flow]] = {
    ir.If: _if,
    ir.Try: _try,
    ir.Match: _match,
}
