"""Softmax before cross entropy.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, LossComputed, Program, Rule, Step, values

FAULTS = {
    ("CrossEntropyLoss", "softmax"): (
        "cross-entropy takes logits and applies log-softmax itself; it gets softmax outputs",
        "pass the logits: remove the softmax",
    ),
    ("NLLLoss", "softmax"): (
        "NLLLoss takes log-probabilities; it gets probabilities",
        "use log_softmax, or pass the logits to cross_entropy",
    ),
    ("BCEWithLogitsLoss", "sigmoid"): (
        "BCEWithLogitsLoss applies the sigmoid itself; it gets sigmoid outputs",
        "pass the logits: remove the sigmoid, or use BCELoss",
    ),
}


class SoftmaxBeforeCrossEntropy(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for loss in program.chosen(LossComputed):
            activation = _activation(loss.prediction)
            fault = FAULTS.get((loss.kind, activation.kind)) if activation else None
            if fault is None or activation is None:
                continue
            message, remedy = fault
            yield self.report(
                program,
                loss.place,
                message,
                help=remedy,
                trail=[Step(activation.place, f"the {activation.kind} is applied here")],
            )


def _activation(prediction: values.Value) -> values.Activation | None:
    """The activation that every alternative of a recurrent prediction went through."""
    found: list[values.Activation] = []
    for member in values.members(prediction):
        if not isinstance(member, values.Tensor) or member.activation is None:
            return None
        if member.calls:
            found.append(member.activation)
    kinds = {activation.kind for activation in found}
    return found[0] if len(kinds) == 1 else None
