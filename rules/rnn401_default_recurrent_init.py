"""Default recurrent init.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Load, Opaque, Program, Rule, Step, modules, values

HINTS = ("init", "load", "restore", "pretrain", "resume", "checkpoint")


class DefaultRecurrentInit(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            trained = program.trained_by.get(layer)
            if trained is None or layer.place is None:
                continue
            if self._initialised(program, layer, trained.time):
                continue
            plain = layer.kind in ("RNN", "RNNCell")
            yield self.report(
                program,
                layer.place,
                f"this {layer.kind} keeps PyTorch's default initialisation, "
                + ("whose gradients fade within 20 steps" if plain else "which forgets fast"),
                help="initialise it: orthogonal recurrent weights for each gate"
                + ("" if plain or layer.kind.startswith("GRU") else ", a forget bias of 1"),
                trail=[Step(trained.place, "it is trained here")],
                level=Level.WARNING if plain else Level.ADVICE,
            )

    def _initialised(self, program: Program, layer: values.Layer, trained: int) -> bool:
        """Whether something else than the default fills the weights before training."""
        if any(
            init.parameter.name.startswith("weight_hh") and init.time < trained
            for init in program.inits_of(layer)
        ):
            return True
        if any(
            layer in load.layers and not load.conditional and load.time < trained
            for load in program.of(Load)
        ):
            return True
        return any(
            layer in modules.layers_in(given)
            for opaque in program.possible(Opaque)
            if opaque.time < trained and _hints(opaque.callee)
            for given in opaque.given
        )


def _hints(callee: str) -> bool:
    name = callee.rsplit(".", 1)[-1].lower()
    return any(hint in name for hint in HINTS)
