"""Gradients are cleared: before the backward pass of a step, or behind a step that sums up many."""

from __future__ import annotations

from collections.abc import Sequence

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, blocks_of, place_in
from rnnlint.lowering import ir
from rnnlint.remedies.epochs import counts_turns
from rnnlint.remedies.parameters import is_plain_name
from rnnlint.remedies.updates import Step, steps_after
from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program


def clear_gradients(program: Program, backward: events.Backward, number: int) -> Fix | None:
    """Clear the gradients of the optimizers that step after a backward pass.

    Args:
        program: the program.
        backward: the first backward pass of an iteration.
        number: the execution of the loop that trains.
    """
    try:
        steps = _steps(program, backward, number)
        first = program.code.statement(steps[0].backward)
        if all(program.code.statement(step.place).block is first.block for step in steps):
            wanted, where = _before_backward(program, steps), "before the backward pass"
        else:
            wanted, where = _behind_step(program, steps), "behind the step"
    except CannotPlaceError:
        return None
    return program.code.repair(f"clear the gradients {where}", [wanted], Applicability.SAFE)


def _steps(program: Program, backward: events.Backward, number: int) -> list[Step]:
    """The steps that use the gradients, in the file of the backward pass."""
    steps = steps_after(program, backward)
    if not steps or any(step.within for step in steps):
        raise CannotPlaceError("the backward pass runs within the step")
    path = steps[0].backward.path
    first = program.code.statement(steps[0].backward)
    if blocks_of(first.node) or _others(program, backward, number):
        raise CannotPlaceError("the gradients of a step come from several places")
    if any(step.place.path != path for step in steps):
        raise CannotPlaceError("the step is taken out of sight")
    return steps


def _before_backward(program: Program, steps: Sequence[Step]) -> operations.Insert:
    backward = steps[0].backward
    node = program.code.statement(backward).node
    return operations.Insert(backward.path, node.start, node.end, _lines(program, steps), "before")


def _behind_step(program: Program, steps: Sequence[Step]) -> operations.Insert:
    """`if (i + 1) % accumulate == 0:` sums up the gradients of several turns on purpose."""
    backward = program.code.statement(steps[0].backward)
    last = program.code.statement(steps[-1].place)
    around = last.parents[-1] if last.parents else None
    if any(program.code.statement(step.place).block is not last.block for step in steps):
        raise CannotPlaceError("the steps are taken in several places")
    if not isinstance(around, ir.If) or last.block is not around.body:
        raise CannotPlaceError("the step is not taken on a condition")
    if place_in(backward.block, around) is None or not counts_turns(around.test):
        raise CannotPlaceError("the step is not taken once in so many turns")
    return operations.Insert(
        steps[-1].place.path, last.node.start, last.node.end, _lines(program, steps)
    )


def _lines(program: Program, steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{_name(program, step)}.zero_grad()" for step in steps))


def _others(program: Program, backward: events.Backward, number: int) -> bool:
    """Whether the loop has backward passes elsewhere, whose gradients add up with these."""
    return any(
        isinstance(event, events.Backward) and event.place != backward.place
        for event in program.events_in_loop(number)
    )


def _name(program: Program, step: Step) -> str:
    """The optimizer's name in the code that sees the backward pass and the step."""
    if step.is_direct:
        part = program.code.receiver(step.place)
        if part is not None and isinstance(step.scope.value(program.code.text(part)), values.Thing):
            scaler = step.scope.value(program.code.text(part))
            if isinstance(scaler, values.Thing) and scaler.kind == "scaler":
                part = program.code.argument(step.place, "optimizer", 0)
        name = program.code.text(part) if part is not None else ""
        if is_plain_name(name):
            return name
    optimizer = step.event.optimizer
    found = next(step.scope.names_of(lambda value: value == optimizer), None)
    if found is None:
        raise CannotPlaceError("the optimizer has no name here")
    return found
