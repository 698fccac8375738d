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
The fix is safe: it adds the underscore, to the call and to the import. The old name does nothing
but call the new one. A file that imports the name changes all its uses at once.

There is no fix where the name reaches the call by way of another file or a variable.

## References
- [clip_grad_norm_](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    CannotPlaceError,
    Cause,
    Clip,
    Diagnostic,
    Fix,
    Level,
    Program,
    Rule,
    Step,
    renamed,
)

DEPRECATED = "clip_grad_norm"


class DeprecatedClip(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.CLIPPING
    effect = "training is as before, until a release of PyTorch drops the name"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            if clip.name == DEPRECATED:
                yield self.report(
                    program,
                    clip.place,
                    f"torch.nn.utils.{clip.name} is the old name and is going away",
                    help=f"write {clip.name}_ with an underscore: it works in place",
                    trail=self._clipped(program, clip),
                    fix=_fix(program, clip),
                )

    def _clipped(self, program: Program, clip: Clip) -> list[Step]:
        """The backward pass whose gradients these are."""
        before = [
            backward
            for backward in program.possible(Backward)
            if backward.context.entry == clip.context.entry and backward.time < clip.time
        ]
        return [Step(before[-1].place, "the gradients of this backward pass")] if before else []


def _fix(program: Program, clip: Clip) -> Fix | None:
    try:
        wanted = renamed(program.code, clip.place, clip.name, f"{clip.name}_")
    except CannotPlaceError:
        return None
    return program.code.repair("add the underscore", wanted, Applicability.SAFE)
