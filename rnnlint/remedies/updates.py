"""Which steps of which optimizers use the gradients of a backward pass, and who sees both."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rnnlint.semantics import events, values
from rnnlint.semantics.naming import Scope
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place


class Step(msgspec.Struct, frozen=True):
    """An optimizer's step and the backward pass before it, as the code that sees both has them."""

    event: events.OptimizerEvent
    scope: Scope
    """The names of that code."""
    backward: Place
    """The backward pass, or the call that leads to it."""
    place: Place
    """The step, or the call that leads to it."""
    within: bool
    """Whether the backward pass runs within the step, in its closure."""
    unscaled: bool
    """Whether a scaler has unscaled the gradients in between."""

    @property
    def is_direct(self) -> bool:
        """Whether the step itself stands in that code."""
        return self.place == self.event.place

    @property
    def is_traced(self) -> bool:
        """Whether the optimizer is one that the program is seen to build."""
        return _is_traced(self.event.optimizer)


def steps_after(program: Program, backward: events.Backward) -> list[Step]:
    """The steps that use the gradients of a backward pass, up to the next one."""
    found: list[events.OptimizerEvent] = []
    unscaled: set[object] = set()
    for event in program.iteration_of(backward):
        if event.time <= backward.time or not backward.goes_with(event):
            continue
        if isinstance(event, events.Backward) and found:
            break
        if isinstance(event, events.OptimizerEvent) and event.what == "unscale":
            unscaled.add(event.optimizer)
        if events.is_step(event):
            found.append(event)
    traced = [event for event in found if _is_traced(event.optimizer)]
    steps: dict[tuple[object, ...], Step] = {}
    for event in traced or found:
        seen = _seen_together(backward, event, event.optimizer in unscaled)
        steps.setdefault((seen.place, event.place), seen)
    return list(steps.values())


def backwards_at(program: Program, place: Place) -> Sequence[events.Backward]:
    """All backward passes that a line runs, in whatever calls, each way to it once."""
    found: dict[tuple[Place, ...], events.Backward] = {}
    for backward in program.possible(events.Backward):
        if backward.place == place and not backward.implicit:
            found.setdefault(backward.context.stack, backward)
    return list(found.values())


def _is_traced(optimizer: values.Value) -> bool:
    return any(isinstance(member, values.Thing) for member in values.members(optimizer))


def _seen_together(backward: events.Backward, event: events.OptimizerEvent, unscaled: bool) -> Step:
    depth = common_depth(backward, event)
    place = site(event, depth)
    # What a closure computes is computed under the call of the step.
    if depth == len(event.context.stack) and site(backward, depth) == event.place:
        return Step(event, backward.scopes[-1], backward.place, backward.place, True, unscaled)
    return Step(event, event.scopes[depth], site(backward, depth), place, False, unscaled)


def common_depth(first: events.Event, second: events.Event) -> int:
    """How many calls are under way in the innermost code that leads to both events."""
    depth = 0
    for one, other in zip(first.context.stack, second.context.stack, strict=False):
        if one != other:
            break
        depth += 1
    return depth


def site(event: events.Event, depth: int) -> Place:
    """Where code under so many calls leads to an event: the event itself, or the next call."""
    stack = event.context.stack
    return stack[depth] if depth < len(stack) else event.place
