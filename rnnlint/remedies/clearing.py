"""Gradients are cleared before the backward pass that begins an optimizer's step."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, blocks_of
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
        wanted = _inserted(program, backward, number)
    except CannotPlaceError:
        return None
    return program.code.repair(
        "clear the gradients before the backward pass", [wanted], Applicability.SAFE
    )


def _inserted(program: Program, backward: events.Backward, number: int) -> operations.Insert:
    steps = steps_after(program, backward)
    if not steps or any(step.within for step in steps):
        raise CannotPlaceError("the backward pass runs within the step")
    first = program.code.statement(steps[0].backward)
    if blocks_of(first.node) or _others(program, backward, number):
        raise CannotPlaceError("the gradients of a step come from several places")
    for step in steps:
        statement = program.code.statement(step.place)
        if statement.block is not first.block or step.place.path != steps[0].backward.path:
            raise CannotPlaceError("the step is taken less often, or out of sight")
    lines = tuple(dict.fromkeys(f"{_name(program, step)}.zero_grad()" for step in steps))
    node = first.node
    return operations.Insert(steps[0].backward.path, node.start, node.end, lines, "before")


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
