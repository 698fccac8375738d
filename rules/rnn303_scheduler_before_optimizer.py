"""Scheduler before optimizer.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, OptimizerEvent, Program, Rule, Step, values


class SchedulerBeforeOptimizer(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        first: dict[int, OptimizerEvent] = {}
        for event in program.of(OptimizerEvent):
            if event.what == "schedule" and event.scheduler is not None:
                first.setdefault(id(event.scheduler), event)
        for scheduling in first.values():
            step = self._first_step(program, scheduling)
            if step is None or not _in_turn_before(scheduling, step):
                continue
            yield self.report(
                program,
                scheduling.place,
                "the scheduler steps before the optimizer does: the first value of the schedule "
                "is skipped",
                help="step the scheduler at the end of the epoch, after optimizer.step()",
                trail=[Step(step.place, "the optimizer's first step comes after it")],
            )

    def _first_step(self, program: Program, scheduling: OptimizerEvent) -> OptimizerEvent | None:
        """The first step of the optimizer whose rate is scheduled."""
        steps = [
            step
            for optimizer in values.members(scheduling.optimizer)
            if isinstance(optimizer, values.Thing) and program.recurrent_layers(optimizer)
            for step in program.optimizer_events(optimizer, "step")
        ]
        return min(steps, key=lambda step: step.time) if steps else None


def _in_turn_before(scheduling: OptimizerEvent, step: OptimizerEvent) -> bool:
    """Whether the scheduler steps first, in the very turn of a loop that both share."""
    if scheduling.time > step.time:
        return False
    if set(scheduling.context.conditions) - set(step.context.conditions):
        return False
    shared = set(scheduling.loops) & set(step.loops)
    return bool(shared)
