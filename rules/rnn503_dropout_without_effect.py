"""Dropout without effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule, modules, values


class DropoutWithoutEffect(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.possible_layers:
            if not modules.is_recurrent(layer) or layer.place is None:
                continue
            rate = modules.option(layer, "dropout")
            count = modules.option(layer, "num_layers")
            if not isinstance(rate, values.Const) or not isinstance(count, values.Const):
                continue
            if isinstance(rate.value, (int, float)) and rate.value > 0 and count.value == 1:
                yield self.report(
                    program,
                    layer.place,
                    f"dropout={rate.value} has no effect: a {layer.kind} applies it between "
                    "layers, and this one has a single layer",
                    help="drop the argument and put nn.Dropout behind the layer, or stack layers",
                )
