"""Last step of padded output.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Reading, Rule


class LastStepOfPaddedOutput(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for reading in program.chosen(Reading):
            tensor = reading.tensor
            padding = tensor.padding
            if reading.how not in ("last-step", "half-step", "pooled") or padding is None:
                continue
            if padding.side != "right" or tensor.batch_axis is None:
                continue
            if reading.axis == tensor.batch_axis or tensor.output_of is None:
                continue
            if reading.how == "pooled" and tensor.unpacked:
                continue
            yield self.report(
                program,
                reading.place,
                self._message(reading),
                help="take the last valid step by its length, or h_n[-1] once the batch is packed",
                trail=[*padding.steps, *program.call_path(reading)],
            )

    def _message(self, reading: Reading) -> str:
        if reading.how == "pooled":
            return "this pools over time although the shorter sequences end in padding"
        if reading.tensor.unpacked:
            return "this reads zeros for every sequence that is shorter than the longest"
        return "this reads the last step of a padded batch, which is padding for shorter sequences"
