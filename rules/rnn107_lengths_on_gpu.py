"""Lengths on gpu.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Packing, Program, Rule, values


class LengthsOnGpu(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for packing in program.chosen(Packing):
            lengths = packing.lengths
            if packing.unpacks or not isinstance(lengths, values.Tensor):
                continue
            if lengths.device == "gpu":
                yield self.report(
                    program,
                    packing.place,
                    "the lengths are on the accelerator; pack_padded_sequence wants them on the "
                    "CPU and raises",
                    help="pass lengths.cpu()",
                    trail=[*lengths.device_steps, *program.call_path(packing)],
                )
