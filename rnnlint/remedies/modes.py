"""Models are evaluated in evaluation mode, and trained in training mode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement, blocks_of
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies.epochs import just_before
from rnnlint.remedies.parameters import is_module
from rnnlint.semantics import naming
from rnnlint.semantics.events import Backward, Mode, ModeRead
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Layer, Place, Value

_WITHOUT_GRADIENTS = ("no_grad", "inference_mode")


def evaluate_in_mode(
    program: Program, place: Place, depth: int, readings: Sequence[ModeRead]
) -> Fix | None:
    """Switch to evaluation before an evaluation, and back behind it where training goes on.

    Args:
        program: the program.
        place: the loop or the call in which it is evaluated.
        depth: how many calls are under way there.
        readings: the layers that run there in training mode.
    """
    try:
        layout = program.code.layout(place.path)
        names = _names_in_all_runs(program, depth, readings)
        back = any(_is_trained_later(program, one) for one in readings)
        wanted = _switched(place.path, layout, layout.statement_at(place.start), names, back)
    except CannotPlaceError:
        return None
    return program.code.repair("evaluate in evaluation mode", wanted, Applicability.UNSAFE)


def train_in_mode(program: Program, mode: Mode, trained: Backward, number: int) -> Fix | None:
    """Switch back to training where each turn of a loop begins.

    Args:
        program: the program.
        mode: what switches to evaluation.
        trained: the training that follows in a later turn.
        number: the execution of the loop.
    """
    loop = trained.loop_place(number)
    if loop is None:
        return None
    try:
        layout = program.code.layout(loop.path)
        names = _names(program, trained.scopes[program.calls_around(number)], mode.layers)
        node = layout.statement_at(loop.start).node
        if not isinstance(node, (ir.For, ir.While)):
            return None
    except CannotPlaceError:
        return None
    start, end = layout.extent(node.body[0])
    wanted = [operations.Insert(loop.path, start, end, _calls(names, "train"), "before")]
    return program.code.repair("train in training mode", wanted, Applicability.UNSAFE)


def _names_in_all_runs(program: Program, depth: int, readings: Sequence[ModeRead]) -> list[str]:
    """The names of what is evaluated, the same for whatever leads to the evaluation.

    Raises:
        CannotPlaceError: they differ, or there are none.
    """
    runs: dict[tuple[int, tuple[Place, ...]], list[ModeRead]] = {}
    for one in readings:
        runs.setdefault((one.context.entry, one.context.stack[:depth]), []).append(one)
    found = {
        tuple(_names(program, run[0].scopes[depth], frozenset(one.layer for one in run)))
        for run in runs.values()
    }
    if len(found) != 1:
        raise CannotPlaceError("the model has several names here")
    return list(found.pop())


def _names(program: Program, scope: naming.Scope, layers: frozenset[Layer]) -> list[str]:
    """The names of as few modules as hold all of some layers.

    Raises:
        CannotPlaceError: not all of them are in a module that has a name.
    """

    def holds(value: Value) -> bool:
        return is_module(value) and not program.layers_in(value).isdisjoint(layers)

    held = {
        name: layers & program.layers_in(value)
        for name in scope.names_of(holds)
        if (value := scope.value(name)) is not None
    }
    found: list[str] = []
    left = layers
    while left:
        best = max(held, key=lambda name: (len(held[name] & left), -name.count(".")), default=None)
        if best is None or not held[best] & left:
            raise CannotPlaceError("a module has no name here")
        found.append(best)
        left -= held[best]
    return found


def _is_trained_later(program: Program, reading: ModeRead) -> bool:
    """Whether a layer may be trained on after an evaluation, with nothing that switches back."""
    switches = [
        mode.time
        for mode in program.of(Mode)
        if mode.training is True
        and not mode.conditional
        and mode.number > reading.number
        and mode.context.entry == reading.context.entry
        and reading.layer in mode.layers
    ]
    return any(
        backward.context.entry == reading.context.entry
        and backward.time > reading.time
        and not any(switched <= backward.time for switched in switches)
        for backward in program.possible(Backward)
    )


def _calls(names: Iterable[str], method: str) -> tuple[str, ...]:
    return tuple(f"{name}.{method}()" for name in names)


# --- around an evaluation ---


def _switched(
    path: str, layout: Layout, statement: Statement, names: Sequence[str], back: bool
) -> list[operations.AnyOperation]:
    """The modes around a statement that evaluates, or around the `no_grad` that it stands in."""
    if isinstance(statement.node, ir.Return):
        return _returned(path, layout, statement, names, back)
    outer = _without_gradients(layout, statement)
    if back and _is_left(outer.node):
        outer = statement  # a `return` at the end of it
    if back and _is_left(outer.node):
        raise CannotPlaceError("the evaluation is left in its middle")
    if not isinstance(
        outer.node, (ir.For, ir.While, ir.With, ir.Assign, ir.AugAssign, ir.ExprStmt)
    ):
        raise CannotPlaceError("the evaluation stands in the head of a block")
    changes: list[operations.AnyOperation] = [
        just_before(path, layout, outer, _calls(names, "eval"))
    ]
    if back:
        lines = _calls(names, "train")
        changes.append(operations.Insert(path, outer.start, outer.end, lines, "after"))
    return changes


def _without_gradients(layout: Layout, statement: Statement) -> Statement:
    """The `with torch.no_grad():` in which a statement stands, or the statement itself."""
    around = statement.parents[-1] if statement.parents else None
    if not isinstance(around, ir.With) or len(around.items) != 1:
        return statement
    context = around.items[0].context
    function = context.func if isinstance(context, ir.Call) else context
    if not isinstance(function, (ir.Name, ir.Attribute)):
        return statement
    if ir.last_name(function) not in _WITHOUT_GRADIENTS:
        return statement
    return layout.statement_at(around.start)


def _is_left(node: ir.Stmt) -> bool:
    """Whether the function ends within a statement."""
    if isinstance(node, (ir.FunctionDef, ir.ClassDef)):
        return False
    if isinstance(node, ir.Return):
        return True
    return any(_is_left(one) for block in blocks_of(node) for one in block)


def _returned(
    path: str, layout: Layout, statement: Statement, names: Sequence[str], back: bool
) -> list[operations.AnyOperation]:
    """`return` with what is evaluated on the spot: it gets a name where more has to follow."""
    node = statement.node
    value = node.value if isinstance(node, ir.Return) else None
    if not back:
        return [just_before(path, layout, statement, _calls(names, "eval"))]
    if value is None:
        raise CannotPlaceError("nothing is returned")
    result = Scope(layout, statement).fresh("result", "evaluated")
    keyword = layout.text[statement.start : value.start]
    if keyword != "return ":
        raise CannotPlaceError("what is returned stands in parentheses")
    newline = layout.newline + layout.indentation(statement.start)
    switches = newline.join(_calls(names, "train"))
    behind = f"{newline}{switches}{newline}return {result}"
    return [
        just_before(path, layout, statement, _calls(names, "eval")),
        operations.Replace(path, statement.start, value.start, f"{result} = "),
        operations.Replace(path, statement.end, statement.end, behind),
    ]
