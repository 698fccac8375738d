"""A loop computes gradients, and the optimizer that was built for them never steps.

## What it does
Reports the backward pass of a loop when an optimizer holds the recurrent layers that it goes
through and nothing in the program steps that optimizer.

## Why it matters
The weights stay as they were initialised, and nothing complains: the loss goes up and down with the
batches. Often a `scheduler.step()` has taken the place of `optimizer.step()`. It changes the rate
and no weight; PyTorch 2.13 warns once, of the order of the two.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(35, 2, 4))[0].pow(2).mean().backward()
    scheduler.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
for _ in range(100):
    optimizer.zero_grad()
    lstm(torch.randn(35, 2, 4))[0].pow(2).mean().backward()
    optimizer.step()
    scheduler.step()
```

## When it stays silent
- Something steps: the optimizer anywhere, a scaler, an accelerator, a trainer.
- The weights are written by hand: `p.data -= rate * p.grad`.
- No optimizer is built for the layers: gradients of the input, saliency, gradient checks.
- Unseen code is given the optimizer, or something unknown steps.

## Fix safety
There is no automatic fix. Where the step belongs depends on what the loop accumulates and clips.

## References
- [Optimizer.step](https://pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Backward,
    Cause,
    Diagnostic,
    Fit,
    Init,
    Level,
    Opaque,
    OptimizerEvent,
    Program,
    Rule,
    Stage,
    Step,
    values,
)


class OptimizerNeverStepped(Rule):
    level = Level.ERROR
    cause = Cause.LOOP
    effect = "no weight ever changes"
    lacks = Stage.STEP

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        if program.possible(Fit) or _something_unknown_steps(program):
            return
        for backward in program.of(Backward):
            if backward.implicit or not backward.loops or backward.place in found:
                continue
            number = backward.loops[-1][1]
            layers = frozenset(call.layer for call in backward.calls)
            if not program.comes_again(backward, number) or _writes(program, backward, layers):
                continue
            optimizers = [one for one in program.optimizers if layers & program.layers_in(one)]
            if not optimizers or any(_may_step(program, one) for one in optimizers):
                continue
            found.add(backward.place)
            built = [one.place for one in optimizers if one.place is not None]
            schedules = program.optimizer_events(optimizers[0], "schedule")
            yield self.report(
                program,
                backward.place,
                "no optimizer steps: gradients are computed, and the weights never change",
                help="call optimizer.step() after backward()",
                trail=[
                    *(Step(place, "the optimizer that never steps") for place in built[:1]),
                    *(Step(one.place, "this steps the schedule alone") for one in schedules),
                ],
            )


def _something_unknown_steps(program: Program) -> bool:
    return any(
        event.what == "step"
        and not any(isinstance(one, values.Thing) for one in values.members(event.optimizer))
        for event in program.possible(OptimizerEvent)
    )


def _may_step(program: Program, optimizer: values.Thing) -> bool:
    """Whether the optimizer steps somewhere, or unseen code has it."""
    if optimizer.options.get("<function>") == values.Const("configure_optimizers"):
        return True
    same = [other for other in program.optimizers if other.place == optimizer.place]
    if any(program.optimizer_events(one, "step") for one in same):
        return True
    return any(any(one in event.given for one in same) for event in program.possible(Opaque))


def _writes(program: Program, backward: Backward, layers: frozenset[values.Layer]) -> bool:
    """Whether the loops around a backward pass write the weights by hand."""
    return any(
        isinstance(event, Init) and event.parameter.layer in layers
        for event in program.events_in_loop(backward.loops[0][1])
    )
