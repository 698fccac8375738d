"""A learning-rate scheduler is built and never stepped.

## What it does
Reports the construction of a scheduler whose `step` is called nowhere in the project, and that
is handed to no framework that would call it.

## Why it matters
A scheduler does nothing by itself. Without `step()` the rate keeps its first value, and the
configuration claims a decay that never happens: results are compared and reported under a
schedule that they were not trained with. Some schedulers change the rate when they are built
(`LinearLR` divides it by three, `OneCycleLR` starts at a 25th of its maximum), so the run even
stays at a rate that nobody chose.

## Example
```python
import torch
from torch import nn

model = nn.GRU(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
for epoch in range(50):
    loss = model(torch.randn(20, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

model = nn.GRU(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)
for epoch in range(50):
    loss = model(torch.randn(20, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
```

## When it stays silent
- `step` is called anywhere, in another file, in a loop over schedulers, or behind an option.
- The scheduler is returned from `configure_optimizers`, given to a trainer, or attached to an
  engine.
- It is a member of `SequentialLR` or `ChainedScheduler`, which step their members.
- It is handed to code that cannot be seen.

## Fix safety
The fix is unsafe: the run changes, since the rate does; if the constant rate was right, delete the
scheduler instead. It steps the scheduler at the end of each epoch; `OneCycleLR`, `CyclicLR` and
schedulers that are built from the number of batches after each batch; and hands
`ReduceLROnPlateau` the loss of the validation, if one is at hand, else that of the training.

There is no fix where the scheduler has no name in the loop, where several loops train, or where no
loss can be told from others.

## References
- [How to adjust learning rate](https://pytorch.org/docs/stable/optim.html), PyTorch's guide
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    Opaque,
    OptimizerEvent,
    Program,
    Rule,
    Stage,
    Step,
    step_scheduler,
    values,
)


class SchedulerNeverStepped(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.SCHEDULE
    effect = "the rate keeps its first value, and the decay that is configured never happens"
    lacks = Stage.SCHEDULE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for attached in program.of(OptimizerEvent):
            scheduler = attached.scheduler
            if attached.what != "attached" or scheduler is None or scheduler.place is None:
                continue
            if self._stepped(program, attached, scheduler):
                continue
            optimizer = attached.optimizer
            if not isinstance(optimizer, values.Thing) or not program.is_stepped(optimizer):
                continue
            if not program.recurrent_layers(optimizer):
                continue
            yield self.report(
                program,
                scheduler.place,
                f"this {scheduler.name} is built but never stepped: the rate stays as it is",
                help="call its step() once an epoch, after the optimizer's steps",
                trail=[
                    Step(optimizer.place or scheduler.place, "the optimizer that it belongs to")
                ],
                fix=step_scheduler(program, scheduler, optimizer),
            )

    def _stepped(self, program: Program, attached: OptimizerEvent, scheduler: values.Thing) -> bool:
        """Whether the scheduler is stepped, handed on, or left to a framework."""
        if "<handed on>" in scheduler.fields:
            return True
        for event in program.possible(OptimizerEvent):
            if event.what == "schedule" and event.scheduler is scheduler:
                return True
        entries = {attached.context.entry}
        entries |= {
            event.context.entry
            for event in program.possible(OptimizerEvent)
            if event.optimizer is attached.optimizer
        }
        if any(program.unknown_optimizer_events(entry, "step", "schedule") for entry in entries):
            return True
        return any(scheduler in opaque.given for opaque in program.possible(Opaque))
