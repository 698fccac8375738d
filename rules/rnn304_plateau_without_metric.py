"""`ReduceLROnPlateau` waits for a plateau of a metric, and nobody tells it the metric.

## What it does
Reports `step()` without an argument on a `ReduceLROnPlateau`, and the return of Lightning's
`configure_optimizers` that hands one over without `monitor`.

## Why it matters
The metric is a required argument, so the first `step()` raises a `TypeError` at the end of the
first epoch, which may be hours in. Lightning cannot guess which logged value to watch and raises
as well.

When you add the metric, mind the mode: with `mode="max"` a falling loss looks like a plateau and
the rate decays although training goes well. A metric that is not a number counts as no
improvement, too.

## Example
```python
import torch
from torch import nn

model = nn.GRU(4, 8)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
for epoch in range(50):
    loss = model(torch.randn(20, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
```

## Use instead
```python
import torch
from torch import nn

model = nn.GRU(4, 8)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
for epoch in range(50):
    loss = model(torch.randn(20, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step(loss.item())
```

In Lightning, `return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "val_loss"}`.

## When it stays silent
- The metric is given, by position or by keyword.
- The scheduler is of another kind, or its kind is not known.
- A branch such as `isinstance(scheduler, ReduceLROnPlateau)` keeps the two cases apart.
- Lightning gets its `monitor`, beside the scheduler or in the scheduler's own dictionary.

## Fix safety
The fix is unsafe, for which metric to watch is a choice: the loss of a validation set is the usual
one, the training loss only says that training has stalled. It hands over the one loss that is at
hand in the block of the step, that of a validation first. In Lightning it adds the `monitor` where
the class logs one such loss.

There is no fix where the scheduler waits for a maximum, or where several losses may be meant.

## References
- [ReduceLROnPlateau](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    watch_loss,
)


class PlateauWithoutMetric(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.SCHEDULE
    effect = "the run stops at the end of the first epoch"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for event in program.of(OptimizerEvent):
            scheduler = event.scheduler
            if event.what != "schedule" or scheduler is None or event.arguments:
                continue
            if scheduler.name == "ReduceLROnPlateau":
                yield self.report(
                    program,
                    event.place,
                    "ReduceLROnPlateau has to be told the metric that it watches",
                    help="pass the validation loss: scheduler.step(val_loss); in Lightning return "
                    "it with a 'monitor' key",
                    trail=[Step(scheduler.place or event.place, "the scheduler is built here")],
                    fix=watch_loss(program, event),
                )
