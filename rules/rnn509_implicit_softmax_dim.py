"""A softmax over a three-dimensional tensor names no axis, and PyTorch takes the first.

## What it does
Reports `F.softmax`, `F.log_softmax`, `nn.Softmax` and `nn.LogSoftmax` without `dim` on a tensor of
three axes that comes from a recurrent layer: its outputs, or what linear layers made of them.

## Why it matters
With no axis named PyTorch picks one by the number of axes: 1 for two, but **0 for three**. On the
outputs of a recurrent layer that is the batch, or time, and never the classes. The probabilities of
one class then add up to 1 over the sequences of a batch, so that each prediction depends on its
neighbours, and the loss goes down by learning who else is in the batch. In PyTorch 2.13 that gives
one UserWarning, and no error.

## Example
```python
import torch
import torch.nn.functional as F
from torch import nn

gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 5)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = gru(torch.randn(8, 20, 4))
    scores = F.log_softmax(head(out))
    loss = F.nll_loss(scores.flatten(0, 1), torch.randint(0, 5, (160,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
import torch.nn.functional as F
from torch import nn

gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 5)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = gru(torch.randn(8, 20, 4))
    scores = F.log_softmax(head(out), dim=-1)
    loss = F.nll_loss(scores.flatten(0, 1), torch.randint(0, 5, (160,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- An axis is named, or the tensor has two axes: then axis 1 is taken, which is right.
- The number of axes is not known.
- The first axis is time and the last has a single number: attention over time, right by luck.
- No recurrent layer leads to the tensor.

## Fix safety
The fix adds `dim=-1`, to the call or to the construction of the module. It is unsafe: the last axis
is the classes' in the usual case, and attention may want the axis of time.

## References
- [torch.nn.functional.softmax](https://pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html),
  parameter `dim`
- `_get_softmax_dim` in `torch/nn/functional.py`, which picks the axis
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
    Place,
    Program,
    Rule,
    Step,
    events,
    operations,
    values,
)

_AXES = {"batch": "of the batch", "time": "of time", "layers": "of the layers"}


class ImplicitSoftmaxDim(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.AXES
    effect = (
        "probabilities are taken over the batch or over time, so that each prediction depends "
        "on its neighbours"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for note in program.of(events.Activated):
            if note.place in seen or not _takes_the_first_axis(note):
                continue
            seen.add(note.place)
            call = min(note.given.calls, key=lambda each: each.time)
            axis = _AXES.get(note.given.name_of(0), "0")
            yield self.report(
                program,
                note.place,
                f"this softmax names no axis, and of three PyTorch takes the first: axis {axis}",
                help="name the axis of the classes: dim=-1",
                trail=[Step(call.place, f"the {call.layer.kind} runs here")],
                fix=_fix(program, note),
            )


def _takes_the_first_axis(note: events.Activated) -> bool:
    if note.kind not in ("softmax", "log_softmax") or note.dim not in (None, values.NONE):
        return False
    given = note.given
    if given.rank != 3:
        return False
    weighs_time = given.name_of(0) == "time" and given.axes[2].size == values.Const(1)
    return not weighs_time


def _fix(program: Program, note: events.Activated) -> Fix | None:
    code = program.code
    call = note.place if note.layer is None else note.layer.place
    if call is None or (note.layer is not None and call in note.layer.stack):
        return None  # a class of the project may do more with its arguments
    try:
        if code.spreads(call) or code.argument(call, "dim", int(note.layer is None)) is not None:
            return None
    except CannotPlaceError:
        return None
    change = operations.SetArgument(call.path, call.start, call.end, "dim", "-1")
    return code.repair("take the last axis: dim=-1", [change], Applicability.UNSAFE)
