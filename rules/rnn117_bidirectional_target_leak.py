"""A bidirectional layer is to predict the next step, and its backward half has already read it.

## What it does
Reports losses whose targets are the input of a bidirectional recurrent layer shifted by one step,
`x[:, :-1]` and `x[:, 1:]`, where the prediction for each step comes out of that layer: a language
model, or a forecast of the next value, over an `nn.LSTM`, `nn.GRU` or `nn.RNN` with
`bidirectional=True`.

## Why it matters
The backward half of the layer runs from the end to the front. Before it comes to step `t` it has
read step `t + 1`, which is the target there, and copies it. The loss falls as in no other model,
and what is learned is of no use where the next step is not known yet.

On sequences of 20 random tokens out of 50, of which nothing can be predicted, a loss of 3.91 (the
logarithm of 50) is the best there is. After 600 steps a bidirectional LSTM comes to 0.22 and a
unidirectional one to 3.91 (measured with new sequences, mean of 3 seeds): the first predicts what
it was shown.

## Example
```python
import torch
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.lstm = nn.LSTM(64, 128, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(256, 1000)

    def forward(self, ids):
        return self.fc(self.lstm(self.embedding(ids))[0])


def loss_of(model, ids):
    inputs, targets = ids[:, :-1], ids[:, 1:]
    logits = model(inputs)
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets)


loss_of(LanguageModel(), torch.randint(0, 1000, (8, 30)))
```

## Use instead
```python
import torch
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.lstm = nn.LSTM(64, 256, batch_first=True)
        self.fc = nn.Linear(256, 1000)

    def forward(self, ids):
        return self.fc(self.lstm(self.embedding(ids))[0])


def loss_of(model, ids):
    inputs, targets = ids[:, :-1], ids[:, 1:]
    logits = model(inputs)
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets)


loss_of(LanguageModel(), torch.randint(0, 1000, (8, 30)))
```

Where both sides of a word are wanted, train two layers, one over the reversed sequence and each
with targets of its own, or hide the words that are to be predicted.

## When it stays silent
- The targets are other data (tags, labels), or the same steps: an autoencoder, masked words.
- A unidirectional layer computes the prediction, whatever encoder stands beside it.
- Features of the output are taken apart, as where each half has a target of its own.
- The prediction is one step, or a summary of all.
- That both are slices of one sequence was not seen, or whether they are cut along time.

## Fix safety
There is no fix: another model has to be trained.

## References
- [Bidirectional recurrent neural networks](https://doi.org/10.1109/78.650093), Schuster and
  Paliwal, 1997
- [nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), parameter `bidirectional`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    LossComputed,
    Place,
    Program,
    Rule,
    Step,
    modules,
    values,
)


class BidirectionalTargetLeak(Rule):
    level = Level.ERROR
    cause = Cause.BIDIRECTIONAL
    effect = "the loss falls by copying, and nothing is learned that predicts an unseen step"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for loss in program.chosen(LossComputed):
            call = _leaking(loss)
            if call is None or loss.place in seen:
                continue
            seen.add(loss.place)
            yield self.report(
                program,
                loss.place,
                "the targets are this bidirectional layer's input one step later, and its backward "
                "half has read them",
                help="make the layer unidirectional",
                trail=[
                    Step(call.layer.place or call.place, "the bidirectional layer"),
                    Step(call.place, "it runs over all steps here"),
                    *program.call_path(loss),
                ],
            )


def _leaking(loss: LossComputed) -> LayerCall | None:
    """The call of the layer that computed each step of a prediction, and was shown the target."""
    predictions, targets = values.members(loss.prediction), values.members(loss.target)
    found = {_shown(one, target) for one in predictions for target in targets}
    return found.pop() if len(found) == 1 else None


def _shown(prediction: values.Value, target: values.Value) -> LayerCall | None:
    if not isinstance(prediction, values.Tensor) or not prediction.calls:
        return None
    if not isinstance(target, (values.Tensor, values.UnknownExcerpt)):
        return None
    steps, wanted = prediction.excerpt, target.excerpt
    if steps is None or wanted is None or not steps.precedes(wanted):
        return None
    return _both_ways(max(prediction.calls, key=lambda call: call.time))


def _both_ways(call: LayerCall) -> LayerCall | None:
    """A bidirectional layer by which a call's steps were computed, from data on, layer by layer."""
    found: LayerCall | None = None
    while True:
        if values.truth(modules.option(call.layer, "bidirectional")) is True:
            found = call
        below = call.input
        if not below.calls:
            return found
        if below.output_of is None or below.part not in ("output", "steps"):
            return None
        call = below.output_of
