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
            astray = self._astray(program, layer)
            if astray is not None:
                yield self.report(
                    program,
                    astray.place,
                    "this raises the input gate's bias: the forget gate's is the second quarter",
                    help="fill bias[n // 4 : n // 2]; the gates are stacked as input, forget, "
                    "cell, output",
                    trail=[Step(layer.place or astray.place, f"the {layer.kind} is built here")],
                )
            zeroed = self._zeroed(program, layer)
            if len({init.parameter.name for init in zeroed}) < 2:
                continue
            last = max(zeroed, key=lambda init: init.time)
            yield self.report(
                program,
                last.place,
                "this leaves the LSTM's forget-gate bias at 0: the cell forgets half of its "
                "state at every step",
                help="set the forget quarter to 1 in one of the two biases: "
                "bias[n // 4 : n // 2].fill_(1.0)",
                trail=[Step(layer.place or last.place, f"the {layer.kind} is built here")],
            )

    def _astray(self, program: Program, layer: values.Layer) -> Init | None:
        """A fill of the first quarter of a bias where none raises the second."""
        fills = [init for init in program.inits_of(layer) if init.parameter.name.startswith("bias")]
        if any(init.parameter.part == "forget" for init in fills):
            return None
        raised = [init for init in fills if init.parameter.part == "input" and _is_raised(init)]
        return next((init for init in raised if not init.hypothetical), None)

    def _zeroed(self, program: Program, layer: values.Layer) -> list[Init]:
        """Fills that leave a forget gate at zero: none that surely follows raises it."""
        fills = [
            init
            for init in program.inits_of(layer)
            if init.parameter.name.startswith("bias") and init.parameter.part in ("", "forget")
        ]
        return [
            init
            for init in fills
            if not init.hypothetical
            and not _is_raised(init)
            and not any(_is_raised(later) and _surely_follows(later, init) for later in fills)
        ]


def _surely_follows(later: Init, init: Init) -> bool:
    """Whether `later` fills a bias of the same step, under no condition of its own.

    The two biases of a gate are added, so raising either one is enough.
    """
    step = later.parameter.name.replace("_hh", "_ih") == init.parameter.name.replace("_hh", "_ih")
    if later.hypothetical:
        return False
    own = set(later.context.conditions) - set(init.context.conditions)
    return later.time > init.time and step and not own


def _is_raised(init: Init) -> bool:
    """Whether a fill is anything but zero."""
    if init.how in ("zeros", "zero"):
        return False
    if init.how in ("constant", "fill") and isinstance(init.value, values.Const):
        return bool(init.value.value)
    return True
