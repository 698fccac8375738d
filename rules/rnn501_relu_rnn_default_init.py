"""Relu rnn default init.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule, modules, values

SUITABLE = ("eye", "orthogonal", "assign", "copy", "parametrization")


class ReluRnnDefaultInit(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            if layer.kind not in ("RNN", "RNNCell") or layer.place is None:
                continue
            if not _may_be_relu(modules.option(layer, "nonlinearity")):
                continue
            if any(
                init.how in SUITABLE and init.parameter.name.startswith("weight_hh")
                for init in program.inits_of(layer)
            ):
                continue
            yield self.report(
                program,
                layer.place,
                "a ReLU RNN with PyTorch's default initialisation explodes or dies out",
                help="start its recurrent weights as the identity: "
                "nn.init.eye_(rnn.weight_hh_l0), and clip gradients",
            )


def _may_be_relu(nonlinearity: values.Value) -> bool:
    return any(
        isinstance(member, values.Const) and member.value == "relu"
        for member in values.members(nonlinearity)
    )
