"""A loss compares predictions with one column with targets that have none.

## What it does
Reports a regression loss, or a binary cross-entropy, of which one side is (batch, 1) and the other
(batch), where the prediction comes from a recurrent layer. The usual way there is a last layer
`nn.Linear(hidden, 1)` and a dataset that holds one number for each sample.

## Why it matters
The two are not compared sample by sample. `mse_loss`, `l1_loss`, `smooth_l1_loss` and `huber_loss`
broadcast them to (batch, batch): every prediction is compared with the target of every sample. What
is best then is the mean of the targets for each of them, and that is what the model learns; PyTorch
warns once. An LSTM with 32 units that reads 10 random numbers and predicts their mean, scaled to
variance 1, was left with a mean squared error of 0.97 to 1.04, which is the variance of the target,
in each of five runs. With `.squeeze(-1)` on the prediction it came to 0.001 or less in each.

`binary_cross_entropy` and `binary_cross_entropy_with_logits` do not broadcast, they raise a
ValueError.

## Example
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(512, 10, 1), torch.randn(512))
lstm, head = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=32, shuffle=True):
    _, (h_n, _) = lstm(x)
    loss = nn.functional.mse_loss(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.randn(512, 10, 1), torch.randn(512))
lstm, head = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for x, y in DataLoader(data, batch_size=32, shuffle=True):
    _, (h_n, _) = lstm(x)
    loss = nn.functional.mse_loss(head(h_n[-1]).squeeze(-1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- The number of axes of one side is not known, or the size of the last axis is not known to be 1.
- The batch is, or may be, of one sample: nothing is broadcast then.
- Neither side comes from a recurrent layer.

## Fix safety
The fix adds `.squeeze(-1)` to the side that has one axis more. It is unsafe, for other code may use
the loss with other shapes. There is no fix where the same line computes the loss of sides that fit
as well.

## References
- [torch.nn.functional.mse_loss](https://pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html)
- [Broadcasting semantics](https://pytorch.org/docs/stable/notes/broadcasting.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    CannotPlaceError,
    Cause,
    Diagnostic,
    Fix,
    Level,
    LossComputed,
    Place,
    Program,
    Rule,
    Step,
    operations,
    tensors,
    values,
)

_BROADCASTING = frozenset({"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})
_RAISING = frozenset({"BCELoss", "BCEWithLogitsLoss"})
_ARGUMENTS = ("input", "target")


class LossShapeBroadcast(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.LOSS
    effect = (
        "every prediction is compared with every target, so the model learns the mean of the "
        "targets"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for loss in program.chosen(LossComputed):
            longer = _longer_side(program, loss)
            if longer is None or loss.place in seen:
                continue
            seen.add(loss.place)
            shapes = ["(batch)", "(batch)"]
            shapes[longer] = "(batch, 1)"
            happens = (
                "every prediction is compared with every target"
                if loss.kind in _BROADCASTING
                else "this raises a ValueError"
            )
            yield self.report(
                program,
                loss.place,
                f"the prediction is {shapes[0]} and the target {shapes[1]}: {happens}",
                help=f"add .squeeze(-1) to the {('prediction', 'target')[longer]}",
                trail=_trail(program, loss),
                fix=_squeezed(program, loss, longer),
            )


def _longer_side(program: Program, loss: LossComputed) -> int | None:
    """Which side has an axis of size 1 behind those of the other: 0, 1, or None if neither."""
    sides = (loss.prediction, loss.target)
    if loss.kind not in _BROADCASTING | _RAISING or not any(map(tensors.graph_of, sides)):
        return None
    for number, longer in enumerate(sides):
        shorter = sides[1 - number]
        if _is_column(longer) and _is_row(program, shorter):
            return number
    return None


def _is_column(side: values.Value) -> bool:
    return (
        isinstance(side, values.Tensor) and side.rank == 2 and side.axes[1].size == values.Const(1)
    )


def _is_row(program: Program, side: values.Value) -> bool:
    """Whether a side has one axis, of more than one sample."""
    if not isinstance(side, values.Tensor) or side.rank != 1:
        return False
    size = side.axes[0].size
    if isinstance(size, values.Size):
        sizes = [one.options.get("batch_size") for one in program.loaders_built_at(size.of)]
        return bool(sizes) and all(one not in (None, values.Const(1)) for one in sizes)
    return (values.integer(size) or 0) > 1


def _trail(program: Program, loss: LossComputed) -> list[Step]:
    """Where the two sides come from."""
    calls = tensors.graph_of(loss.prediction) or tensors.graph_of(loss.target)
    last = max(calls, key=lambda call: call.time)
    steps = [Step(last.place, f"the {last.layer.kind} runs here")]
    for side in (loss.prediction, loss.target):
        assert isinstance(side, values.Tensor)
        size = side.axes[0].size
        if side.rank == 1 and isinstance(size, values.Size):
            steps += [
                Step(loader.place, "its batches hold one number for each sample")
                for loader in program.loaders_built_at(size.of)
                if loader.place is not None
            ]
    return steps


def _squeezed(program: Program, loss: LossComputed, longer: int) -> Fix | None:
    """The last axis of one argument is taken away."""
    same = [one for one in program.possible(LossComputed) if one.place == loss.place]
    if any(_longer_side(program, one) != longer for one in same):
        return None
    try:
        given = program.code.argument(loss.place, _ARGUMENTS[longer], longer)
        if given is None:
            return None
        code = f"{program.code.operand(given)}.squeeze(-1)"
    except CannotPlaceError:
        return None
    change = operations.Replace(given.path, given.start, given.end, code)
    return program.code.repair("take the last axis away", [change], Applicability.UNSAFE)
