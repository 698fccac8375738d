"""Schedulers advance as often as their numbers say: with every batch, or once an epoch."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies.epochs import Epochs
from rnnlint.remedies.lightning import tell_lightning
from rnnlint.remedies.stepping import epochs_of, name_in
from rnnlint.semantics import events, values
from rnnlint.semantics.events import OptimizerEvent
from rnnlint.semantics.program import Program

_LOOPS = (ir.For, ir.While)


def step_by_batch(program: Program, scheduling: OptimizerEvent) -> Fix | None:
    """Take a scheduler's step from beside the loop over the batches behind the optimizer's."""
    try:
        if scheduling.scheduler is None:
            return None
        if "<interval>" in scheduling.scheduler.options:
            wanted = [_told_to_lightning(program.code.layout(scheduling.place.path), scheduling)]
        else:
            wanted = _moved(program, scheduling, _batches(program, scheduling))
    except CannotPlaceError:
        return None
    return program.code.repair("step the scheduler with every batch", wanted, Applicability.UNSAFE)


def step_by_epoch(program: Program, scheduling: OptimizerEvent) -> Fix | None:
    """Take a scheduler's step from the loop over the batches to the end of the epoch."""
    try:
        wanted = _moved(program, scheduling, _epochs(program, scheduling))
    except CannotPlaceError:
        return None
    return program.code.repair("step the scheduler once an epoch", wanted, Applicability.UNSAFE)


def _batches(program: Program, scheduling: OptimizerEvent) -> Epochs:
    """The one loop whose turns are the steps of the optimizer."""
    optimizers = [
        one for one in values.members(scheduling.optimizer) if isinstance(one, values.Thing)
    ]
    found = {
        loop.node: loop
        for optimizer in optimizers
        for loop in epochs_of(program, optimizer, innermost=True)
    }
    if len(found) != 1:
        raise CannotPlaceError("the optimizer steps in more than one loop")
    return next(iter(found.values()))


def _epochs(program: Program, scheduling: OptimizerEvent) -> Epochs:
    """The loop around that over the batches."""
    level = len(scheduling.loops) - 2
    around = scheduling.loops[: level + 1]
    for step in program.events_in_loop(scheduling.loops[-1][1]):
        if events.is_step(step) and step.loops[: level + 1] == around:
            return Epochs(program, step, level)
    raise CannotPlaceError("the optimizer steps elsewhere")


def _moved(
    program: Program, scheduling: OptimizerEvent, loop: Epochs
) -> list[operations.AnyOperation]:
    """The scheduler's step, where a turn of the loop ends."""
    statement = _alone(program, scheduling)
    target = loop.last_in_turn()
    place = scheduling.place
    here = Scope(program.code.layout(place.path), statement).node
    if place.path == loop.path and here is loop.scope.node:
        return [operations.Move(place.path, place.start, place.end, target.start, "after")]
    scheduler = scheduling.scheduler
    if scheduler is None:
        raise CannotPlaceError("the scheduler is not known")
    return [
        operations.Remove(place.path, place.start, place.end),
        loop.in_each_turn((f"{name_in(loop, scheduler)}.step()",)),
    ]


def _alone(program: Program, scheduling: OptimizerEvent) -> Statement:
    """The statement that steps the scheduler in every turn, if it does nothing else.

    Raises:
        CannotPlaceError: it does, or the scheduler is stepped elsewhere too.
    """
    places = {
        event.place
        for event in program.possible(OptimizerEvent)
        if event.what == "schedule" and event.scheduler is scheduling.scheduler
    }
    statement = program.code.statement(scheduling.place)
    around = statement.parents[-1] if statement.parents else None
    if len(places) != 1 or scheduling.arguments:
        raise CannotPlaceError("the scheduler is stepped in other ways too")
    if not isinstance(statement.node, ir.ExprStmt) or not isinstance(around, _LOOPS):
        raise CannotPlaceError("the scheduler is not stepped in every turn")
    if len(around.body) == 1:
        raise CannotPlaceError("the loop does nothing else")
    return statement


# --- Lightning ---


def _told_to_lightning(layout: Layout, scheduling: OptimizerEvent) -> operations.AnyOperation:
    node = layout.statement_at(scheduling.place.start).node
    if not isinstance(node, ir.Return) or node.value is None:
        raise CannotPlaceError("what Lightning is given is not written out here")
    return tell_lightning(layout, scheduling, node.value, "interval", "step")
