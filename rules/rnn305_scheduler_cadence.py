"""A schedule that counts steps advances once an epoch, or one that counts epochs with every batch.

## What it does
Compares how often a scheduler is stepped with what its numbers count. It reports a `OneCycleLR`, a
`CyclicLR` or a warm-up, told of steps, whose `step()` stands beside the loop over the batches and
not in it, also where Lightning takes it once an epoch; and a `StepLR` or `MultiStepLR` that
advances with every batch while its numbers fit into the epochs.

## Why it matters
The schedule that runs is not the one that was written down, and nothing complains. Computed with
PyTorch 2.13:

| schedule | stepped | rate after |
|---|---|---|
| `OneCycleLR(max_lr=0.1, total_steps=20 * 500)` | once an epoch | 0.00401 after 20 epochs |
| `CyclicLR(0.001, 0.1)`, 2000 steps up | once an epoch | 0.00199 after 20 epochs |
| `StepLR(step_size=10, gamma=0.1)`, rate 0.1 | with every batch | 0.00000000001 after 100 batches |

The first begins at 0.00400 and the second at 0.00100: they train at a rate that was meant for the
beginning, and the last at none.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(lstm.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
for epoch in range(30):
    for x in torch.randn(500, 35, 2, 4):
        optimizer.zero_grad()
        lstm(x)[0].pow(2).mean().backward()
        optimizer.step()
        scheduler.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(lstm.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
for epoch in range(30):
    for x in torch.randn(500, 35, 2, 4):
        optimizer.zero_grad()
        lstm(x)[0].pow(2).mean().backward()
        optimizer.step()
    scheduler.step()
```

## When it stays silent
- `OneCycleLR(total_steps=epochs)` once an epoch, `StepLR(step_size=10000)` with every batch: the
  numbers go with the steps.
- The numbers, or how many epochs there are, are not known.
- There is one loop alone, of which nobody can tell whether its turns are epochs or batches.

## Fix safety
The fix moves the step: behind that of the optimizer, or to the end of the epoch. Lightning is told
`"interval": "step"`. It is unsafe: moving the step is right if the numbers are meant, and changing
the numbers if the place is. There is no fix where the scheduler is stepped on a condition, with an
argument or in several places, where it has no name in the loop, or where gradients are accumulated
so that only some batches are a step of the optimizer.

## References
- [How to adjust the learning
  rate](https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate)
- [OneCycleLR](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html)
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
    events,
    step_by_batch,
    step_by_epoch,
    values,
)

BY_STEPS = {"OneCycleLR": ("total_steps", "steps_per_epoch"), "CyclicLR": ("step_size_up",)}
"""Schedules that count steps, and the arguments that say how many."""
WARM_UPS = ("total_steps", "num_training_steps", "t_total", "warmup_steps", "num_warmup_steps")
CYCLE = values.Const(2000)
"""PyTorch's default of the steps in which a CyclicLR rises."""


class SchedulerCadence(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.SCHEDULE
    effect = "the rate stays at the schedule's first values, or falls to nothing within an epoch"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for event in program.of(OptimizerEvent):
            scheduler = event.scheduler
            if event.what != "schedule" or scheduler is None or event.place in found:
                continue
            once_an_epoch = _is_stepped_in_epochs(program, event, scheduler)
            if once_an_epoch and _counts_steps(program, event, scheduler):
                message = (
                    f"{scheduler.name} counts steps of the optimizer, and advances once an epoch"
                )
                remedy = "step it after each optimizer.step()"
                fix = step_by_batch(program, event)
            elif not once_an_epoch and _counts_epochs(program, event, scheduler):
                message = f"this {scheduler.name} counts epochs, and advances with every batch"
                remedy = "step it once an epoch, behind the loop over the batches"
                fix = step_by_epoch(program, event)
            else:
                continue
            found.add(event.place)
            built = scheduler.place
            yield self.report(
                program,
                event.place,
                message,
                help=remedy,
                trail=[Step(built, "its numbers stand here")] if built is not None else [],
                fix=fix,
            )


def _is_stepped_in_epochs(program: Program, event: OptimizerEvent, scheduler: values.Thing) -> bool:
    """Whether all steps of a schedule stand beside the loop that steps the optimizer."""
    interval = scheduler.options.get("<interval>")
    if interval is not None:
        return interval == values.Const("epoch")
    schedules = [
        other
        for other in program.possible(OptimizerEvent)
        if other.what == "schedule" and other.scheduler is scheduler
    ]
    return all(_is_beside_the_batches(program, other) for other in schedules)


def _is_beside_the_batches(program: Program, event: OptimizerEvent) -> bool:
    if not event.loops:
        return False
    inside = program.events_in_loop(event.loops[-1][1])
    depths = [len(other.loops) for other in inside if events.is_step(other)]
    return bool(depths) and min(depths) > len(event.loops)


def _counts_steps(program: Program, event: OptimizerEvent, scheduler: values.Thing) -> bool:
    wanted = BY_STEPS.get(scheduler.name, WARM_UPS)
    given = {name: scheduler.options[name] for name in wanted if name in scheduler.options}
    if scheduler.name == "CyclicLR":
        given.setdefault("step_size_up", CYCLE)
    epochs = program.turns_of(event.loops[-1][1]) if event.loops else None
    return any(_is_in_steps(name, value, epochs) for name, value in given.items())


def _is_in_steps(name: str, value: values.Value, epochs: int | None) -> bool:
    """Whether a number is one of steps: made from a loader's length, or beyond all epochs."""
    if isinstance(value, values.Size) or name == "steps_per_epoch":
        return values.integer(value) != 1
    number = values.integer(value)
    return number is not None and epochs is not None and number >= 2 * epochs


def _counts_epochs(program: Program, event: OptimizerEvent, scheduler: values.Thing) -> bool:
    """Whether the numbers of a schedule that advances with every batch fit into the epochs."""
    if scheduler.name not in ("StepLR", "MultiStepLR") or len(event.loops) < 2:
        return False
    (_, epochs, _), (_, batches, _) = event.loops[-2:]
    if not any(events.is_step(other) for other in program.events_in_loop(batches)):
        return False
    last, turns = _last_milestone(scheduler), program.turns_of(epochs)
    known = program.turns_of(batches)
    return last is not None and turns is not None and last <= turns and known is None


def _last_milestone(scheduler: values.Thing) -> int | None:
    if scheduler.name == "StepLR":
        return values.integer(scheduler.options.get("step_size"))
    milestones = scheduler.options.get("milestones")
    items = milestones.fields["items"] if isinstance(milestones, values.ListObject) else None
    numbers = [values.integer(item) for item in items or ()]
    known = [number for number in numbers if number is not None]
    return max(known) if known and len(known) == len(numbers) else None
