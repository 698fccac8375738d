"""Plateau without metric.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, OptimizerEvent, Program, Rule, Step


class PlateauWithoutMetric(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for event in program.of(OptimizerEvent):
            scheduler = event.scheduler
            if event.what != "schedule" or scheduler is None or event.arguments:
                continue
            if scheduler.name == "ReduceLROnPlateau":
                yield self.report(
                    program,
                    event.place,
                    "ReduceLROnPlateau has to be told the metric that it watches",
                    help="pass the validation loss: scheduler.step(val_loss); in Lightning return "
                    "it with a 'monitor' key",
                    trail=[Step(scheduler.place or event.place, "the scheduler is built here")],
                )
