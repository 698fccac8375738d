"""Forget bias at zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Init, Level, Program, Rule, Step, values


class ForgetBiasAtZero(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            if not layer.kind.startswith("LSTM"):
                continue
            final = self._final_fills(program, layer)
            if len(final) < 2 or any(_is_raised(init) for init in final):
                continue
            last = max(final, key=lambda init: init.time)
            yield self.report(
                program,
                last.place,
                "this leaves the LSTM's forget-gate bias at 0: the cell forgets half of its "
                "state at every step",
                help="set the forget quarter to 1 in one of the two biases: "
                "bias[n // 4 : n // 2].fill_(1.0)",
                trail=[Step(layer.place or last.place, f"the {layer.kind} is built here")],
            )

    def _final_fills(self, program: Program, layer: values.Layer) -> list[Init]:
        """What the forget quarters of the first layer's two biases end up as."""
        final: dict[str, Init] = {}
        for init in program.inits_of(layer):
            name = init.parameter.name
            if not name.startswith("bias") or init.hypothetical:
                continue
            if init.parameter.part in ("", "forget"):
                final[name] = init
        return list(final.values())


def _is_raised(init: Init) -> bool:
    """Whether a fill is anything but zero."""
    if init.how in ("zeros", "zero"):
        return False
    if init.how in ("constant", "fill") and isinstance(init.value, values.Const):
        return bool(init.value.value)
    return True
