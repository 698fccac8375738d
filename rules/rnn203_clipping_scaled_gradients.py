"""Gradients are clipped while they are still multiplied by the scale of mixed precision.

## What it does
Reports a clip in a loop that runs its backward pass through a `GradScaler` when no
`scaler.unscale_(optimizer)` comes between the two.

## Why it matters
The scaler multiplies the loss, 65536 times at first, to keep small gradients in the range of
half precision. The norm that the clip sees is multiplied as well, so every gradient is far
over the threshold and is cut down to it; the step then divides by the scale. In a measurement
with PyTorch 2.13 the clip saw a norm of 19,000, and the update that was left was 0.000015
instead of 0.296. SGD does not learn at all then. Adam does not depend on the scale of gradients
and hides the mistake.

## Example
```python
import torch
from torch import nn

model = nn.LSTM(4, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cuda")
for _ in range(1000):
    optimizer.zero_grad()
    with torch.autocast("cuda"):
        loss = model(torch.randn(50, 2, 4).cuda())[0].pow(2).mean()
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
```

## Use instead
```python
import torch
from torch import nn

model = nn.LSTM(4, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cuda")
for _ in range(1000):
    optimizer.zero_grad()
    with torch.autocast("cuda"):
        loss = model(torch.randn(50, 2, 4).cuda())[0].pow(2).mean()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
```

## When it stays silent
- `unscale_` comes first, in the loop or in a function that it calls.
- There is no gradient scaler: bfloat16 needs none, and a scaler of features is another thing.
- The clip stands in the branch that does not scale.
- accelerate and Lightning unscale by themselves.

## Fix safety
The fix is safe: it inserts `scaler.unscale_(optimizer)` before the clip, for each optimizer that
the scaler steps. `scaler.step` knows that it has happened. The clip becomes as strong as it was
meant to be, so a threshold that was raised to make the run work has to come down again.

There is no fix where the clip does not stand beside the step, since a second `unscale_` for the
same step raises.

## References
- [Automatic mixed precision examples](https://pytorch.org/docs/stable/notes/amp_examples.html),
  section on gradient clipping
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Clip,
    Diagnostic,
    Level,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    unscale_before,
)


class ClippingScaledGradients(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.CLIPPING
    effect = "each update is cut to a tiny part of what it should be: SGD stands still"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            backward = self._scaled_backward(program, clip)
            if backward is not None:
                yield self.report(
                    program,
                    clip.place,
                    "this clips gradients that the GradScaler has scaled up: nearly all of the "
                    "update is cut away",
                    help="call scaler.unscale_(optimizer) before clipping",
                    trail=[Step(backward.place, "the scaled backward pass")],
                    fix=unscale_before(program, clip, backward),
                )

    def _scaled_backward(self, program: Program, clip: Clip) -> Backward | None:
        """The scaled backward pass before the clip, if nothing unscaled in between."""
        for event in reversed(program.events[: clip.time]):
            if event.context.entry != clip.context.entry:
                return None
            if isinstance(event, OptimizerEvent) and event.what == "unscale":
                return None
            if isinstance(event, Backward):
                return event if event.scaled else None
        return None
