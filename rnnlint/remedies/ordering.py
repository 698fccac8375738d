"""Steps of the training that stand at the wrong place, taken to the right one."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Statement, place_in
from rnnlint.lowering import ir
from rnnlint.remedies.epochs import Epochs
from rnnlint.remedies.updates import common_depth, site, steps_after
from rnnlint.semantics import events, values
from rnnlint.semantics.naming import Scope
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place


def move_clip(program: Program, clip: events.Clip) -> Fix | None:
    """Take a clip between the backward pass and the step that it shall bound."""
    try:
        move = _between(program, clip)
    except CannotPlaceError:
        return None
    return program.code.repair("clip before the step", [move], Applicability.SAFE)


def _between(program: Program, clip: events.Clip) -> operations.Move:
    backward = _backward_of(program, clip)
    steps = [step for step in steps_after(program, backward) if step.is_traced]
    if not steps:
        raise CannotPlaceError("no step follows the backward pass")
    if backward.scaled and not steps[0].unscaled:
        raise CannotPlaceError("the gradients are scaled there")
    event = steps[0].event
    depth = min(common_depth(clip, event), common_depth(backward, event))
    if common_depth(clip, backward) < depth:
        raise CannotPlaceError("another function clips")
    place, target = site(clip, depth), site(event, depth)
    step = program.code.statement(target)
    moved = _beside(program.code.statement(place), step)
    behind = _beside(program.code.statement(site(backward, depth)), step)
    if behind >= step.number:
        raise CannotPlaceError("the step comes before the backward pass")
    node = step.block[moved]
    if not _may_move(node, earlier=moved > step.number):
        raise CannotPlaceError("more than the clip would move")
    start, end = program.code.layout(place.path).extent(node)
    return operations.Move(place.path, start, end, step.start, "before")


def _backward_of(program: Program, clip: events.Clip) -> events.Backward:
    """The backward pass whose gradients are meant: in this turn the next, else the last."""
    turn = clip.loops[-1]
    found = [
        event
        for event in program.events_in_loop(turn[1])
        if isinstance(event, events.Backward) and turn in event.loops
    ]
    later = [event for event in found if event.time > clip.time]
    if not found:
        raise CannotPlaceError("there is no backward pass in this turn")
    return later[0] if later else found[-1]


def _beside(statement: Statement, other: Statement) -> int:
    """The number of the statement, or what it stands in, in the block of another."""
    for node in (*statement.parents, statement.node):
        number = place_in(other.block, node)
        if number is not None:
            return number
    raise CannotPlaceError("the two do not stand in one block")


def _may_move(node: ir.Stmt, earlier: bool) -> bool:
    """Whether a statement does nothing but clip, so that nothing in between minds."""
    if isinstance(node, ir.For):
        return len(node.body) == 1 and _may_move(node.body[0], earlier)
    if isinstance(node, ir.If):
        is_alone = len(node.body) == 1 and not node.orelse
        return is_alone and _is_plain(node.test) and _may_move(node.body[0], earlier)
    if isinstance(node, ir.Assign):
        return earlier and isinstance(node.value, ir.Call)
    return isinstance(node, ir.ExprStmt)


def _is_plain(test: ir.Expr) -> bool:
    """Whether a test reads names and numbers alone: `max_norm is not None`, `args.clip > 0`."""
    return not any(isinstance(node, (ir.Call, ir.NamedExpr)) for node in ir.nodes_in(test))


def move_scheduler(
    program: Program, scheduling: events.OptimizerEvent, step: events.OptimizerEvent
) -> Fix | None:
    """Take a scheduler's step behind the training of the turn that it opens."""
    try:
        move = _behind_training(program, scheduling, step)
    except CannotPlaceError:
        return None
    return program.code.repair("step the scheduler last", [move], Applicability.SAFE)


def _behind_training(
    program: Program, scheduling: events.OptimizerEvent, step: events.OptimizerEvent
) -> operations.Move:
    if scheduling.arguments:
        raise CannotPlaceError("the scheduler is told the epoch or the metric")
    level = len(scheduling.loops) - 1
    if level < 0 or step.loops[level : level + 1] != scheduling.loops[-1:]:
        raise CannotPlaceError("the two are not in one loop")
    epochs = Epochs(program, step, level)
    depth = program.calls_around(scheduling.loops[-1][1])
    statement = program.code.statement(site(scheduling, depth))
    if not epochs.is_beside_the_training(statement) or len(scheduling.context.stack) != depth:
        raise CannotPlaceError("the two do not stand in one block")
    if not isinstance(statement.node, ir.ExprStmt):
        raise CannotPlaceError("more than the step would move")
    target = epochs.last_in_turn()
    path = epochs.path
    return operations.Move(path, statement.start, statement.end, target.start, "after")


def unscale_before(program: Program, clip: events.Clip, backward: events.Backward) -> Fix | None:
    """Unscale the gradients that a clip bounds, by the scaler that takes the step."""
    try:
        wanted = _unscaled(program, clip, backward)
    except CannotPlaceError:
        return None
    return program.code.repair("unscale before the clip", [wanted], Applicability.SAFE)


def _unscaled(program: Program, clip: events.Clip, backward: events.Backward) -> operations.Insert:
    lines: dict[str, None] = {}
    place = clip.place
    for step in steps_after(program, backward):
        depth = common_depth(clip, step.event)
        if depth != len(step.event.context.stack):
            raise CannotPlaceError("another function takes the step")
        taken = program.code.statement(step.event.place)
        place = site(clip, depth)
        number = _beside(program.code.statement(place), taken)
        if place != site(backward, depth):
            node = taken.block[number]
            place = Place(place.path, node.start, node.end)
            lines[_by_text(program, step.event)] = None
        elif backward.context.stack == clip.context.stack:
            # A method runs backward and clips; its caller takes the step.
            place = clip.place
            lines[_by_name(backward.scopes[-1], step.event)] = None
        else:
            raise CannotPlaceError("backward pass and clip are in functions of their own")
    if not lines:
        raise CannotPlaceError("no step follows")
    return operations.Insert(place.path, place.start, place.end, tuple(lines), "before")


def _by_text(program: Program, step: events.OptimizerEvent) -> str:
    """In the words of `scaler.step(optimizer)`."""
    scaler = program.code.receiver(step.place)
    optimizer = program.code.argument(step.place, "optimizer", 0)
    if scaler is None or optimizer is None:
        raise CannotPlaceError("no scaler takes the step")
    return f"{program.code.text(scaler)}.unscale_({program.code.text(optimizer)})"


def _by_name(scope: Scope, step: events.OptimizerEvent) -> str:
    """By the names that the scaler and the optimizer have elsewhere."""
    scaler = next(scope.names_of(_is_scaler), None)
    optimizer = next(scope.names_of(lambda value: value == step.optimizer), None)
    if scaler is None or optimizer is None:
        raise CannotPlaceError("scaler or optimizer have no name beside the clip")
    return f"{scaler}.unscale_({optimizer})"


def _is_scaler(value: values.Value) -> bool:
    return isinstance(value, values.Thing) and value.kind == "scaler"
