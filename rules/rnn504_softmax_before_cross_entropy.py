"""A loss that applies its own activation receives values that were activated already.

## What it does
Follows the output of a model to the loss, across modules and files, and reports the loss call
when softmax goes into cross-entropy, when probabilities go into the negative log-likelihood
without a logarithm, and when a sigmoid goes into the binary loss with logits.

## Why it matters
`cross_entropy` takes logits and applies log-softmax itself. On probabilities, which lie between 0
and 1, a second softmax is almost flat: with ten classes and a perfect prediction the loss is
still 1.46, where it should be 0, and the gradient is small everywhere. Training crawls or stops,
and people blame the gradients, the rate or the model.

`nll_loss` of a probability is the negative of it: the loss is bounded and negative, and a sure
mistake costs no more than 0. Of 149 settled threads of people whose recurrent network did not
train, 13 were about the loss, this mistake among them.

## Example
```python
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        return torch.softmax(self.fc(self.gru(x)[1][-1]), dim=1)


model = Classifier()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    x, y = torch.randn(8, 30, 4), torch.randint(0, 5, (8,))
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        return self.fc(self.gru(x)[1][-1])


model = Classifier()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    x, y = torch.randn(8, 30, 4), torch.randint(0, 5, (8,))
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Take the softmax where people read the result.

## When it stays silent
- Log-softmax into either loss: into cross-entropy it is superfluous and harmless.
- A logarithm is taken on the way, or the loss is the project's own.
- The softmax belongs to attention, to a metric, to the target, or to evaluation only.
- Sigmoid into `BCELoss`, which is the right pair.

## Fix safety
The fix removes the activation where it is applied, and its module where nothing else uses it; in
front of the negative log-likelihood, it makes softmax log-softmax. It is unsafe, for it changes the
model's output for every other caller: the largest score stays the largest, but code that prints
probabilities needs the activation at its own place.

There is no fix where the code around the loss or the model compares something with a number
between 0 and 1 (other than an accuracy, a rate, or a random number), rounds it or takes its
logarithm; where another loss is given the same output; or where the activation is chosen by an
argument.

## References
- [CrossEntropyLoss](https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
- [NLLLoss](https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Fix,
    Level,
    LossComputed,
    Program,
    Rule,
    Step,
    remove_activations,
    take_logarithms,
    values,
)

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
    fixable = Applicability.UNSAFE
    cause = Cause.LOSS
    effect = (
        "the gradient is small everywhere, so that training crawls or stops far from a loss of zero"
    )

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
                fix=_fix(program, loss),
            )


def _fix(program: Program, loss: LossComputed) -> Fix | None:
    activations = {
        each
        for other in program.possible(LossComputed)
        if other.place == loss.place
        for each in _activations(other.prediction)
    }
    losses = [
        other.kind
        for other in program.possible(LossComputed)
        if not activations.isdisjoint(_activations(other.prediction))
    ]
    if set(losses) != {loss.kind} or len({each.kind for each in activations}) != 1:
        return None  # another loss wants the output as it is
    if loss.kind == "NLLLoss":
        return take_logarithms(program, activations)
    return remove_activations(program, loss, activations)


def _activations(prediction: values.Value) -> set[values.Activation]:
    return {
        member.activation
        for member in values.members(prediction)
        if isinstance(member, values.Tensor) and member.activation is not None
    }


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
