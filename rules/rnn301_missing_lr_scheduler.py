"""An optimizer trains a recurrent model at one learning rate from the first step to the last.

## What it does
Reports the construction of an optimizer that drives the training of a recurrent model when
nothing ever changes its rate: no scheduler of any library, no edit of `param_groups`, no new
optimizer with another rate, no trainer whose default is a schedule.

## Why it matters
The learning rate is the setting that matters most. Greff and others trained 5,400 LSTMs and
call it by far the most important hyper-parameter: a wrong one costs a large part of the
performance. A schedule makes the run depend less on one value: start at a rate that moves, end
at one that settles. Sutskever and others halved theirs every half epoch after the fifth epoch;
PyTorch's word language model divides its rate by 4 whenever the validation loss stops falling.

It is *advice*, and no more. With Adam at 0.02 a constant rate reached the target of a test
problem as well as a cosine schedule did, and at 0.03 it ended with an error several times as
high (measured with PyTorch 2.13). Of 149 settled threads of people whose recurrent network did
not train, none was about a missing schedule.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 1)
parameters = [*lstm.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.01)
for epoch in range(50):
    for _ in range(20):
        x, y = torch.randn(8, 25, 4), torch.randn(8, 1)
        loss = nn.functional.mse_loss(head(lstm(x)[0][:, -1]), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 1)
parameters = [*lstm.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.01)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[38])
for epoch in range(50):
    for _ in range(20):
        x, y = torch.randn(8, 25, 4), torch.randn(8, 1)
        loss = nn.functional.mse_loss(head(lstm(x)[0][:, -1]), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    scheduler.step()
```

## When it stays silent
- A scheduler of torch, transformers, ignite, timm or skorch has the optimizer, even behind an
  option.
- The rate in `param_groups` is edited by hand, by a helper, or by a wrapper such as Noam's.
- A new optimizer with another rate replaces the old one.
- The trainer schedules by default: Hugging Face's, fastai's one-cycle policy.
- The optimizer holds no recurrent layer, or what happens to it cannot be seen.

## Fix safety
The fix is unsafe, for it changes the experiment. It builds a `MultiStepLR` that divides the rate by
ten for the last quarter of the turns of the loop that trains, behind the optimizer or before the
loop, and steps it at the end of each turn: once an epoch, or after each step where the loop has no
epochs. It has a name like that of its optimizer. In Lightning `configure_optimizers` returns it
beside the optimizer, over `self.trainer.max_epochs`. A resumed run begins a schedule of its own,
unless you save the scheduler's state with the rest. If a constant rate is what you want, say so
with `# rnnlint: ignore[RNN301]`.

The rate stays what you chose for so long because a rate that falls from the first epoch on can
end a short training too early: a tagger that SGD trained for 8 epochs reached its target with 8
seeds of 8 at one rate, with 7 under this schedule, with 1 along a cosine, and with 1 along a cosine
down to a tenth. Over 20 epochs of noisy targets, Adam at 0.02 reached its own with 2 seeds of 5 at
one rate, and with 5 under this schedule or a cosine (measured with PyTorch 2.13).

There is no fix where the code says that there are fewer than 5 epochs, where the number of turns
is not known before the loop begins, where a count decides in which turns the optimizer steps, where
several loops step it, or where the loop has no name for the optimizer.

## References
- Greff and others, [LSTM: a search space odyssey](https://arxiv.org/abs/1503.04069)
- Sutskever, Vinyals and Le, [Sequence to sequence learning with neural
  networks](https://arxiv.org/abs/1409.3215), NIPS 2014
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
    schedule,
    values,
)

HINTS = ("sched", "lr", "warm", "rate", "decay", "anneal", "train", "fit", "engine", "init")


class MissingLrScheduler(Rule):
    level = Level.ADVICE
    fixable = Applicability.UNSAFE
    cause = Cause.SCHEDULE
    effect = (
        "the run depends on one value of the rate, which is too small to move at first or too "
        "large to settle in the end"
    )
    lacks = Stage.SCHEDULE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        by_place: dict[values.Place, list[values.Thing]] = {}
        for optimizer in program.optimizers:
            if optimizer.place is not None and self._is_built(program, optimizer):
                by_place.setdefault(optimizer.place, []).append(optimizer)
        for place, built in by_place.items():
            if any(self._scheduled(program, optimizer) for optimizer in built):
                continue
            for optimizer in built:
                layers = program.recurrent_layers(optimizer)
                if not layers or not program.is_stepped(optimizer):
                    continue
                layer = min(layers, key=lambda each: each.place or place)
                yield self.report(
                    program,
                    place,
                    f"nothing ever changes the learning rate of this {optimizer.name}",
                    help="add a scheduler, for instance "
                    "torch.optim.lr_scheduler.MultiStepLR(optimizer, [epochs * 3 // 4]), and "
                    "step it once an epoch",
                    trail=[Step(layer.place or place, f"it trains this {layer.kind}")],
                    fix=schedule(program, built),
                )
                break

    def _is_built(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether the program really builds the optimizer, and steps it in a loop.

        LBFGS searches for its own step along a line: a schedule is of no use there.
        """
        if optimizer.name == "LBFGS":
            return False
        built = program.optimizer_events(optimizer, "built")
        steps = program.optimizer_events(optimizer, "step")
        if steps and not any(step.loops for step in steps):
            return False
        return any(not event.hypothetical for event in built)

    def _scheduled(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether something changes the optimizer's rate, or may do so out of sight."""
        if "<foreign>" in optimizer.options:
            return True
        built = program.optimizer_events(optimizer, "built")
        if not self._searches(program, optimizer, built):
            if any(_rebuilt_each_turn(event, optimizer) for event in built):
                return True
            if self._replaced(program, optimizer):
                return True
        if program.optimizer_events(optimizer, "attached", "rate", "schedule"):
            return True
        entries = {event.context.entry for event in program.optimizer_events(optimizer, "step")}
        if any(
            program.unknown_optimizer_events(entry, "attached", "rate", "schedule")
            for entry in entries
        ):
            return True
        return any(
            optimizer in opaque.given and _hints(opaque.name) for opaque in program.possible(Opaque)
        )

    def _searches(
        self, program: Program, optimizer: values.Thing, built: list[OptimizerEvent]
    ) -> bool:
        """Whether a loop builds model and optimizer anew, as a search for settings does."""
        turns = {loop for event in built for loop in event.loops}
        layers = program.recurrent_layers(optimizer)
        return bool(layers) and all(
            layer.context is not None and turns & set(layer.context.loops) for layer in layers
        )

    def _replaced(self, program: Program, optimizer: values.Thing) -> bool:
        """Whether a loop builds another optimizer for these layers, at another rate."""
        layers = program.recurrent_layers(optimizer)
        for event in program.possible(OptimizerEvent):
            other = event.optimizer
            if event.what != "built" or not event.loops or not isinstance(other, values.Thing):
                continue
            changed = other.options.get("lr") != optimizer.options.get("lr")
            if changed and layers & program.recurrent_layers(other):
                return True
        return False


def _rebuilt_each_turn(event: OptimizerEvent, optimizer: values.Thing) -> bool:
    """Whether a loop builds the optimizer anew, with a rate that is no constant."""
    rate = optimizer.options.get("lr")
    return bool(event.loops) and rate is not None and not isinstance(rate, values.Const)


def _hints(name: str) -> bool:
    return not name or any(hint in name for hint in HINTS)
