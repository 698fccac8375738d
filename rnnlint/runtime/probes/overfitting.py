"""Whether the model can learn one batch by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.losses import (
    double_softmax_floor,
    loss_calls,
    takes_probabilities_for_logits,
)
from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.subject import Subject

_RATES = (1e-2, 1e-3)
_ENOUGH = 0.05
_QUANTITY = "part of the loss left"
_TOLERANCE = 0.5
"""Losses have floors that are no fault: smoothed labels, a first step that nothing tells."""


def overfit_one_batch(subject: Subject, steps: int = 100) -> Finding:
    """See :func:`rnnlint.runtime.probes.overfit_one_batch`."""
    trainable = [p for p in subject.model.parameters() if p.requires_grad]
    if not trainable:
        raise NotApplicable("no parameter of the model is trained")
    runs = []
    try:
        for rate in _RATES:
            runs.append(_train(subject, trainable, steps, rate))
            if runs[-1].part <= _TOLERANCE:
                break
        return _finding(min(runs, key=lambda run: run.part), steps, subject)
    finally:
        subject.snapshot.restore_parameters()


@dataclass(frozen=True)
class _Run:
    first: float
    least: float
    before: float
    """The least loss of the first three quarters."""

    @property
    def stalled(self) -> bool:
        return self.before - self.least < 0.02 * self.before

    @property
    def part(self) -> float:
        return self.least / self.first


def _finding(run: _Run, steps: int, subject: Subject) -> Finding:
    told = f"from {run.first:.3g} to {run.least:.3g} in {steps} steps of Adam"
    classes = _classes_of_double_softmax(subject, run)
    if run.part <= _TOLERANCE and classes is None:
        said = f"the loss on this batch falls to {run.least:.3g} from {run.first:.3g}"
        return Finding(False, run.part, _TOLERANCE, _QUANTITY, said)
    if classes is not None:
        floor = double_softmax_floor(classes)
        return Finding(
            True,
            run.part,
            _TOLERANCE,
            _QUANTITY,
            f"the loss on this one batch goes {told}: a softmax before cross-entropy keeps it "
            f"above ln(1 + {classes - 1}/e) = {floor:.3g}",
            codes=("RNN504",),
        )
    return Finding(
        True,
        run.part,
        _TOLERANCE,
        _QUANTITY,
        f"the loss on this one batch goes {told}: what the model cannot learn by heart, it "
        "will not learn from more data.  See the other probes first; then whether outputs can "
        "take the values of the targets, and whether inputs tell them apart.",
    )


def _classes_of_double_softmax(subject: Subject, run: _Run) -> int | None:
    """The number of classes of a cross-entropy that takes probabilities for logits.

    As it does where it is seen to, and where the loss has stopped at its floor.
    """
    calls, _ = loss_calls(subject)
    for call in calls:
        if call.function is not nn.functional.cross_entropy or not call.input.ndim:
            continue
        classes = call.input.size(call.class_axis)
        if takes_probabilities_for_logits(call):
            return classes
        at_floor = classes > 1 and 0.999 < run.least / double_softmax_floor(classes) < 1.05
        if run.stalled and at_floor:
            return classes
    return None


def _train(subject: Subject, trainable: list[nn.Parameter], steps: int, rate: float) -> _Run:
    """The first loss and the least that is reached."""
    subject.snapshot.restore_parameters()
    adam = _Adam(trainable, rate)
    first = least = before = math.inf
    for step in range(1, steps + 1):
        for parameter in trainable:
            parameter.grad = None
        loss = subject.loss_of(subject.run(training=True, grad=True))
        value = float(loss.detach())
        first = value if step == 1 else first
        if not math.isfinite(first) or first <= 0:
            raise NotApplicable(
                f"the loss begins at {first:g}, and how far it should fall is not known"
            )
        if not math.isfinite(value):
            break
        least = min(least, value)
        before = least if step <= 0.75 * steps else before
        if least <= _ENOUGH * first or not loss.requires_grad:
            break
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in PyTorch
        adam.step(step)
    return _Run(first, least, before)


class _Adam:
    """Adam (https://arxiv.org/abs/1412.6980), in single precision or better.

    Written out, as optimizers call the hooks that are registered for all of them.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: float) -> None:
        self._rate = rate
        self._parameters = parameters
        # Of single precision, these are the parameters themselves.
        self._values = [
            p.detach().to(torch.promote_types(p.dtype, torch.float32)) for p in parameters
        ]
        self._means = [torch.zeros_like(value) for value in self._values]
        self._squares = [torch.zeros_like(value) for value in self._values]

    @torch.no_grad()
    def step(self, number: int) -> None:
        """Move the parameters by their gradients, for the ``number``-th time."""
        moments = zip(self._parameters, self._values, self._means, self._squares, strict=True)
        for parameter, value, mean, square in moments:
            if parameter.grad is None:
                continue
            gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            gradient = gradient.to(value.dtype)
            mean.lerp_(gradient, 0.1)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            denominator = (square / (1 - 0.999**number)).sqrt_().add_(1e-8)
            value.addcdiv_(mean, denominator, value=-self._rate / (1 - 0.9**number))
            parameter.copy_(value)
