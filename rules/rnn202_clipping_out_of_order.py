"""Gradients are clipped at a point of the loop where clipping has no effect.

## What it does
Reads a training loop as a sequence of events, across the functions it calls, and reports a clip
that comes before the backward pass, after the optimizer's step, or after the gradients were
cleared.

## Why it matters
Clipping works on gradients that exist and that will be used. Before backward there are none: in
PyTorch 2.13 `clip_grad_norm_` then returns a norm of 0 and raises nothing. After the step the
weights have changed already. The loop looks safe and is not, which is worse than a missing
clip, because nobody looks there again.

## Example
```python
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(1000):
    loss = model(torch.randn(50, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
```

## Use instead
```python
import torch
from torch import nn

model = nn.LSTM(4, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(1000):
    loss = model(torch.randn(50, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
```

## When it stays silent
- The clip stands between backward and step, in the loop or in a function that it calls.
- Gradients accumulate over several backward passes before one clip and one step.
- The clip is in the closure of an optimizer such as L-BFGS, which runs before the update.
- *Weights* are clamped after the step, as a Wasserstein critic does.
- The order of events cannot be seen.

## Fix safety
The fix is safe: it moves the clip before the step where clip, backward pass and step stand in one
block, and does what the line says it does. An `if` around the clip alone comes along where it tests
names and numbers: `if max_norm is not None:`. Expect the run to change, since the clip takes effect
for the first time; a threshold that never mattered may be far too small.

There is no fix where one of the three stands in another block or function, where the norm that the
clip returns is used before the step, or where a gradient scaler would have to unscale first.

## References
- [clip_grad_norm_](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
- Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural
  networks](https://arxiv.org/abs/1211.5063), the algorithm for norm clipping
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Clip,
    Diagnostic,
    Event,
    Level,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    move_clip,
)

EFFECT = {
    "step": "after optimizer.step(), when the gradients have been used",
    "zero_grad": "after zero_grad(), when the gradients are gone",
}


class ClippingOutOfOrder(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.CLIPPING
    effect = (
        "the gradients that the optimizer uses are not bounded, though the loop looks as if "
        "they were"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            if clip.layers is None or not clip.loops or clip.name == "register_hook":
                continue
            before = self._last_before(program, clip)
            if isinstance(before, OptimizerEvent):
                yield self.report(
                    program,
                    clip.place,
                    f"this clips {EFFECT[before.what]}: it has no effect",
                    help="clip between loss.backward() and optimizer.step()",
                    trail=[Step(before.place, f"the {before.what} that comes before the clip")],
                    fix=move_clip(program, clip),
                )

    def _last_before(self, program: Program, clip: Clip) -> Event | None:
        """The last backward, step or zero_grad on these gradients before the clip.

        None when the first turn of the loop does not show it.
        """
        _, number, _ = clip.loops[-1]
        layers = clip.layers or frozenset()
        last: Event | None = None
        inside = program.events_in_loop(number)
        if not any(isinstance(event, Backward) for event in inside):
            return None
        for event in inside:
            if event.time >= clip.time:
                break
            if isinstance(event, Backward):
                last = event
            elif isinstance(event, OptimizerEvent) and event.what in EFFECT:
                known = program.recurrent_layers(event.optimizer)
                if known & layers:
                    last = event
        return last
