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
            optimizer = scheduling.optimizer
            if not isinstance(optimizer, values.Thing):
                continue
            if not program.recurrent_layers(optimizer):
                continue
            steps = program.optimizer_events(optimizer, "step")
            if not steps or not _in_turn_before(scheduling, steps[0]):
                continue
            yield self.report(
                program,
                scheduling.place,
                "the scheduler steps before the optimizer does: the first value of the schedule "
                "is skipped",
                help="step the scheduler at the end of the epoch, after optimizer.step()",
                trail=[Step(steps[0].place, "the optimizer's first step comes after it")],
            )


def _in_turn_before(scheduling: OptimizerEvent, step: OptimizerEvent) -> bool:
    """Whether the scheduler steps first, in the very turn of a loop that both share."""
    if scheduling.time > step.time:
        return False
    shared = set(scheduling.loops) & set(step.loops)
    return bool(shared)
