"""The scheduler takes its first step before the optimizer does.

## What it does
Follows one iteration of a training loop, through the functions it calls, and reports the
scheduler's step when it comes before the first step of its optimizer.

## Why it matters
The first value of the schedule is skipped: a warm-up starts one notch too high, a decay comes
one epoch too early. PyTorch warns once, `Detected call of lr_scheduler.step() before
optimizer.step()`, among many other lines of output. Before PyTorch 1.1 this was the order that
the documentation asked for, so it survives in courses and in code that was written after them.

## Example
```python
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
for epoch in range(50):
    scheduler.step()
    for _ in range(20):
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

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
for epoch in range(50):
    for _ in range(20):
        loss = model(torch.randn(20, 2, 4))[0].pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    scheduler.step()
```

## When it stays silent
- The optimizer steps first, in the loop, in a function that it calls, or through a scaler.
- The step at the start of an epoch leaves out the first one, as in `if epoch > 0`.
- A framework steps both.
- The order cannot be seen.

## Fix safety
The fix is safe: it moves the line to the end of the turn where it stands in one block with the
training, directly behind that where `continue` may skip the end. The schedule is late by one
compared with the old runs, that is, on time.

There is no fix where another function steps the scheduler, or where it is told the epoch.

## References
- [How to adjust learning rate](https://pytorch.org/docs/stable/optim.html), PyTorch's guide,
  with its note on the order
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
    move_scheduler,
    values,
)


class SchedulerBeforeOptimizer(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.SCHEDULE
    effect = "the first value of the schedule is skipped"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        first: dict[int, OptimizerEvent] = {}
        for event in program.of(OptimizerEvent):
            if event.what == "schedule" and event.scheduler is not None:
                first.setdefault(id(event.scheduler), event)
        for scheduling in first.values():
            step = self._first_step(program, scheduling)
            if step is None or not _in_turn_before(scheduling, step):
                continue
            yield self.report(
                program,
                scheduling.place,
                "the scheduler steps before the optimizer does: the first value of the schedule "
                "is skipped",
                help="step the scheduler at the end of the epoch, after optimizer.step()",
                trail=[Step(step.place, "the optimizer's first step comes after it")],
                fix=move_scheduler(program, scheduling, step),
            )

    def _first_step(self, program: Program, scheduling: OptimizerEvent) -> OptimizerEvent | None:
        """The first step of the optimizer whose rate is scheduled."""
        steps = [
            step
            for optimizer in values.members(scheduling.optimizer)
            if isinstance(optimizer, values.Thing) and program.recurrent_layers(optimizer)
            for step in program.optimizer_events(optimizer, "step")
        ]
        return min(steps, key=lambda step: step.time) if steps else None


def _in_turn_before(scheduling: OptimizerEvent, step: OptimizerEvent) -> bool:
    """Whether the scheduler steps first, in the very turn of a loop that both share."""
    if scheduling.time > step.time:
        return False
    if set(scheduling.context.conditions) - set(step.context.conditions):
        return False
    shared = set(scheduling.loops) & set(step.loops)
    return bool(shared)
