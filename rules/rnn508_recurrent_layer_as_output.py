"""A regression compares its target directly with the output of a recurrent layer.

## What it does
Reports a mean squared, absolute, smooth L1 or Huber loss whose prediction is what an LSTM, a GRU or
a tanh RNN gives, with no layer between: selecting steps, joining directions and dropout are none.

## Why it matters
These outputs come out of a tanh: they lie between -1 and 1, and reach neither. A target outside is
out of reach whatever the weights, and one near the ends is reached with saturated gates only, where
gradients are almost 0. The size of the layer is then bound to the size of the target, so that one
unit has to remember and to predict at once. In PyTorch 2.13 an LSTM with one unit, trained to
predict the next value of a sine with amplitude 3, was left with a mean squared error between 1.8
and 3.1 after 1000 steps, where guessing 0 gives 4.5; one with 16 units and a linear layer behind it
came to 0.01. People see a loss that stops early and predictions that are flat at 1.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(1, 1)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(1000):
    phase = torch.arange(41.0)[:, None, None] * 0.3 + 6.28 * torch.rand(1, 32, 1)
    wave = 3 * torch.sin(phase)
    predicted, _ = lstm(wave[:-1])
    loss = nn.functional.mse_loss(predicted, wave[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(1, 16), nn.Linear(16, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(1000):
    phase = torch.arange(41.0)[:, None, None] * 0.3 + 6.28 * torch.rand(1, 32, 1)
    wave = 3 * torch.sin(phase)
    predicted = head(lstm(wave[:-1])[0])
    loss = nn.functional.mse_loss(predicted, wave[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- A layer, an activation or arithmetic stands between the two: `out * scale` is a read-out.
- The target is what a recurrent layer gives, as in distillation, or went through an activation.
- The layer is an LSTM with `proj_size`, an RNN with ReLU, or a GRU whose first state the program
  makes of something else than zeros: nothing bounds these.
- The layer is not trained.

## Fix safety
There is no automatic fix. A linear layer needs a size, and the layer in front of it another one.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), the equations and
  `proj_size`
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
    tensors,
    values,
)

_REGRESSION = frozenset({"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})


class RecurrentLayerAsOutput(Rule):
    level = Level.WARNING
    cause = Cause.ARCHITECTURE
    effect = (
        "targets outside -1 to 1 cannot be reached, and those near the ends have almost no gradient"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for loss in program.of(LossComputed):
            if loss.kind not in _REGRESSION or loss.place in seen:
                continue
            call = tensors.shared_values(values.members(loss.prediction))
            if call is None or not _is_within_one(call) or _is_computed(loss.target):
                continue
            layer = call.layer
            if layer not in program.trained_by:
                continue
            seen.add(loss.place)
            yield self.report(
                program,
                loss.place,
                f"the target is compared with what the {layer.kind} itself gives, which lies "
                "between -1 and 1",
                help="put a linear layer between the two",
                trail=[
                    Step(layer.place or call.place, f"the {layer.kind} is built here"),
                    Step(call.place, "its output is the prediction"),
                ],
            )


def _is_within_one(call: LayerCall) -> bool:
    """Whether the outputs of a call surely lie between -1 and 1."""
    if not modules.is_bounded(call.layer):
        return False
    return not call.layer.kind.startswith("GRU") or _starts_small(call.state)


def _starts_small(state: values.Value | None) -> bool:
    """Whether a GRU's first state is no larger than what a GRU gives."""
    return state is None or all(
        member == values.NONE
        or (
            isinstance(member, values.Tensor)
            and (member.values_of is not None or (member.fresh and member.drawn is None))
        )
        for member in values.members(state)
    )


def _is_computed(target: values.Value) -> bool:
    """Whether a target is what some network gives, and may be as small as the prediction."""
    return any(
        tensor.values_of is not None or tensor.calls or tensor.activation is not None
        for tensor in tensors.tensors_in(target)
    )
