"""Scheduler never stepped.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Opaque, OptimizerEvent, Program, Rule, Step, values


class SchedulerNeverStepped(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for attached in program.of(OptimizerEvent):
            scheduler = attached.scheduler
            if attached.what != "attached" or scheduler is None or scheduler.place is None:
                continue
            if self._stepped(program, attached, scheduler):
                continue
            optimizer = attached.optimizer
            if not isinstance(optimizer, values.Thing) or not program.is_stepped(optimizer):
                continue
            if not program.recurrent_layers(optimizer):
                continue
            yield self.report(
                program,
                scheduler.place,
                f"this {scheduler.name} is built but never stepped: the learning rate stays as it is",
                help="call its step() once an epoch, after the optimizer's steps",
                trail=[Step(optimizer.place or scheduler.place, "the optimizer that it belongs to")],
            )

    def _stepped(
        self, program: Program, attached: OptimizerEvent, scheduler: values.Thing
    ) -> bool:
        """Whether the scheduler is stepped, handed on, or left to a framework."""
        if "<handed on>" in scheduler.fields:
            return True
        for event in program.possible(OptimizerEvent):
            if event.what == "schedule" and event.scheduler is scheduler:
                return True
        entries = {attached.context.entry}
        entries |= {
            event.context.entry
            for event in program.possible(OptimizerEvent)
            if event.optimizer is attached.optimizer
        }
        if any(program.unknown_optimizer_events(entry, "step", "schedule") for entry in entries):
            return True
        return any(scheduler in opaque.given for opaque in program.possible(Opaque))
