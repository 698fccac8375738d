"""A clip that leaves out some of what an optimizer updates is given all of it."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.lowering import ir
from rnnlint.remedies.parameters import of_its_own_names
from rnnlint.remedies.updates import steps_after
from rnnlint.semantics import events
from rnnlint.semantics.program import Program


def clip_all(program: Program, backward: events.Backward, clip: events.Clip) -> Fix | None:
    """Clip all that the one optimizer updates which steps after a backward pass.

    Args:
        program: the program.
        backward: the backward pass.
        clip: the one clip between it and the step.
    """
    if clip.name not in ("clip_grad_norm_", "clip_grad_value_"):
        return None
    steps = steps_after(program, backward)
    if len(steps) != 1 or clip.place.path != steps[0].scope.path:
        return None
    everything = of_its_own_names(program, steps[0].event.optimizer, steps[0].scope)
    try:
        around = program.code.statement(clip.place).parents
        functions = [node for node in around if isinstance(node, ir.FunctionDef)]
        if functions[-1:] != [node for node in (steps[0].scope.node,) if node is not None]:
            return None  # other names hold where the clip stands
        given = program.code.argument(clip.place, "parameters", 0)
    except CannotPlaceError:
        return None
    if everything is None or given is None:
        return None
    return program.code.repair(
        "clip all that the optimizer updates",
        [operations.Replace(given.path, given.start, given.end, everything)],
        Applicability.UNSAFE,
    )
