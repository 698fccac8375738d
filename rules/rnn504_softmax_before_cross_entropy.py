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
        for loss in program.of(LossComputed):
            prediction = loss.prediction
            if not isinstance(prediction, values.Tensor) or not prediction.calls:
                continue
            activation = prediction.activation
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
