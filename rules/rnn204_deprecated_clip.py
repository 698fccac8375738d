"""Gradients are clipped by the deprecated `clip_grad_norm`, without the underscore.

## What it does
Reports calls of `torch.nn.utils.clip_grad_norm`, however it was imported.

## Why it matters
PyTorch marks functions that change their arguments with an underscore, and keeps the old name
as a deprecated alias: PyTorch 2.13 answers each call with a `FutureWarning`. A training loop
that relies on it stops working with the release that drops the name, on the line that keeps
the gradients bounded.

## Example
```python
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(1000):
    optimizer.zero_grad()
    model(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(1000):
    optimizer.zero_grad()
    model(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
```

## When it stays silent
- The name belongs to a function or a method of the project, or to an option.
- `clip_grad_norm_` was imported under the old name.

## Fix safety
There is no automatic fix yet. Adding the underscore, to the call and to the import, is safe: the
old name does nothing but call the new one.

## References
- [clip_grad_norm_](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Backward, Clip, Diagnostic, Level, Program, Rule, Step

DEPRECATED = "clip_grad_norm"


class DeprecatedClip(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            if clip.name == DEPRECATED:
                yield self.report(
                    program,
                    clip.place,
                    f"torch.nn.utils.{clip.name} is the old name and is going away",
                    help=f"write {clip.name}_ with an underscore: it works in place",
                    trail=self._clipped(program, clip),
                )

    def _clipped(self, program: Program, clip: Clip) -> list[Step]:
        """The backward pass whose gradients these are."""
        before = [
            backward
            for backward in program.possible(Backward)
            if backward.context.entry == clip.context.entry and backward.time < clip.time
        ]
        return [Step(before[-1].place, "the gradients of this backward pass")] if before else []
