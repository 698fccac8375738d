"""Clipping scaled gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Backward, Clip, Diagnostic, Level, OptimizerEvent, Program, Rule, Step


class ClippingScaledGradients(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            backward = self._scaled_backward(program, clip)
            if backward is not None:
                yield self.report(
                    program,
                    clip.place,
                    "this clips gradients that the GradScaler has scaled up: nearly all of the "
                    "update is cut away",
                    help="call scaler.unscale_(optimizer) before clipping",
                    trail=[Step(backward.place, "the scaled backward pass")],
                )

    def _scaled_backward(self, program: Program, clip: Clip) -> Backward | None:
        """The scaled backward pass before the clip, if nothing unscaled in between."""
        for event in reversed(program.events[: clip.time]):
            if event.context.entry != clip.context.entry:
                return None
            if isinstance(event, OptimizerEvent) and event.what == "unscale":
                return None
            if isinstance(event, Backward):
                return event if event.scaled else None
        return None
