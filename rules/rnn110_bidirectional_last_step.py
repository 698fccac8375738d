"""Bidirectional last step.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Reading, Rule, Step, modules, values


class BidirectionalLastStep(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for reading in program.chosen(Reading):
            call = reading.tensor.output_of
            if reading.how != "last-step" or call is None or not modules.is_recurrent(call.layer):
                continue
            both = modules.option(call.layer, "bidirectional")
            if not (isinstance(both, values.Const) and both.value):
                continue
            if reading.axis == reading.tensor.batch_axis:
                continue
            layer = call.layer
            yield self.report(
                program,
                reading.place,
                f"at the last step the backward half of this {layer.kind} has read one token only",
                help="join the final states of both directions: "
                "torch.cat([h_n[-2], h_n[-1]], dim=-1)",
                trail=[Step(layer.place or call.place, "the bidirectional layer is built here")],
            )
