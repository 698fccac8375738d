"""Clipping out of order.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Backward, Clip, Diagnostic, Event, Level, OptimizerEvent, Program, Rule, Step

EFFECT = {
    "step": "after optimizer.step(), when the gradients have been used",
    "zero_grad": "after zero_grad(), when the gradients are gone",
}


class ClippingOutOfOrder(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            if clip.layers is None or not clip.loops or clip.name == "register_hook":
                continue
            before = self._last_before(program, clip)
            if isinstance(before, OptimizerEvent):
                yield self.report(
                    program,
                    clip.place,
                    f"this clips {EFFECT[before.what]}: it has no effect",
                    help="clip between loss.backward() and optimizer.step()",
                    trail=[Step(before.place, f"the {before.what} that comes before the clip")],
                )

    def _last_before(self, program: Program, clip: Clip) -> Event | None:
        """The last backward, step or zero_grad on these gradients before the clip.

        None when the first turn of the loop does not show it.
        """
        _, number, _ = clip.loops[-1]
        layers = clip.layers or frozenset()
        last: Event | None = None
        for event in program.events_in_loop(number):
            if event.time >= clip.time:
                break
            if isinstance(event, Backward):
                last = event
            elif isinstance(event, OptimizerEvent) and event.what in EFFECT:
                known = program.recurrent_layers(event.optimizer)
                if known & layers:
                    last = event
        return last
