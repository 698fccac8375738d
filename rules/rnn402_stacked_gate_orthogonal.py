"""Stacked gate orthogonal.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Init, Level, Program, Rule, Step


class StackedGateOrthogonal(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        inits = [init for init in program.of(Init) if init.how == "orthogonal"]
        on_vectors = {init.place for init in inits if init.parameter.rank == 1}
        for init in inits:
            parameter = init.parameter
            layer = parameter.layer
            if not parameter.name.startswith("weight_hh") or parameter.part:
                continue
            kind = layer.kind.removesuffix("Cell")
            gates = {"LSTM": 4, "GRU": 3}.get(kind)
            if gates is None:
                continue
            raises = init.place in on_vectors
            message = (
                "orthogonal_ meets one-dimensional biases here and raises"
                if raises
                else f"orthogonal_ treats the {gates} stacked gates of this {layer.kind} as one "
                "matrix: no gate is orthogonal"
            )
            yield self.report(
                program,
                init.place,
                message,
                help=f"initialise gate by gate: for gate in weight.chunk({gates}): "
                "nn.init.orthogonal_(gate)",
                trail=[Step(layer.place or init.place, f"the {layer.kind} is built here")],
                level=Level.ERROR if raises else Level.ADVICE,
            )
