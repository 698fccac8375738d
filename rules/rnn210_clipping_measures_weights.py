"""Hand-written clipping takes the norm of the weights and scales the gradients by it.

## What it does
Reports `p.norm()` or `p.data.norm()` between a backward pass and the code that scales the
gradients, when no norm of a gradient is taken there: then it is the weights that decide by how
much the gradients are scaled.

## Why it matters
`param.data.norm()` reads much like `param.grad.data.norm()`. The norm of the weights says nothing
of the gradients: every gradient is scaled by about the same factor, the huge ones too, so the code
acts like a smaller rate and bounds nothing.

With PyTorch 2.13, an LSTM of 128 units over 64 features and a linear layer have weights of norm
16. A maximum of 1 then scales a gradient of norm 0.05 down to 0.003, and one of norm 52 only to
3.2.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(lstm.parameters(), lr=1.0)
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(35, 2, 4))[0].pow(2).mean().backward()
    total = sum(p.data.norm(2).item() ** 2 for p in lstm.parameters()) ** 0.5
    if total > 1.0:
        for p in lstm.parameters():
            p.grad.data.mul_(1.0 / total)
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(lstm.parameters(), lr=1.0)
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(35, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm_(lstm.parameters(), 1.0)
    optimizer.step()
```

## When it stays silent
- A norm of gradients is taken as well: a ratio of both is what adaptive clipping and LARS want.
- The norm is part of the loss, or is only printed: no gradient is scaled after it.
- It is taken before the backward pass.

## Fix safety
There is no automatic fix. `torch.nn.utils.clip_grad_norm_` does what hand-written code like this
means to do, and handles parameters without a gradient. A threshold that was tuned to the weights'
norm has to be chosen anew.

## References
- [clip_grad_norm_](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Backward,
    Cause,
    Clip,
    Diagnostic,
    Level,
    Measured,
    Program,
    Rule,
    Step,
    values,
)

SCALING = ("grad.mul_", "grad.div_")


class ClippingMeasuresWeights(Rule):
    level = Level.ERROR
    cause = Cause.CLIPPING
    effect = (
        "all gradients are scaled by about the same factor, so that huge ones stay huge and the "
        "rest nearly vanish"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for clip in program.of(Clip):
            if clip.name not in SCALING:
                continue
            norms = _norms_before(program, clip)
            if not norms or any(norm.gradient for norm in norms) or norms[0].place in found:
                continue
            found.add(norms[0].place)
            yield self.report(
                program,
                norms[0].place,
                "this is the norm of the weights, and the gradients are scaled by it",
                help="take the norm of p.grad, or use torch.nn.utils.clip_grad_norm_",
                trail=[Step(clip.place, "the gradients are scaled here")],
            )


def _norms_before(program: Program, clip: Clip) -> list[Measured]:
    """What is measured between the last backward pass of a run and the scaling of gradients."""
    entry = clip.context.entry
    passes = [
        backward.time
        for backward in program.possible(Backward)
        if backward.context.entry == entry and backward.time < clip.time
    ]
    begun = max(passes, default=clip.time)
    return [
        norm
        for norm in program.possible(Measured)
        if begun < norm.time <= clip.time and norm.context.entry == entry
    ]
