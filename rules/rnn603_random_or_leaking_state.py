"""A recurrent layer begins with random numbers, or with the state of sequences that are others.

## What it does
Reports two beginnings of a trained recurrent layer. The first is a state that is drawn from
`torch.randn` or its like anew for each batch. The second is the state of the batch before, in a
loop over a loader that shuffles: the sequences of two batches have nothing to do with each other.

## Why it matters
A random state is noise that the layer has to forget before it can do anything, and the same input
gives another result each time, in evaluation too. Measured with PyTorch 2.13: a GRU of 32 units
that classifies sequences, four classes, 400 steps of Adam, five runs each. "Unstable" is the share
of predictions that change when the same input is evaluated once more.

| steps of a sequence | begins with | accuracy | unstable |
|---|---|---|---|
| 5 | zeros | 0.91 to 0.94 | 0 |
| 5 | random numbers | 0.82 to 0.84 | 12 to 16 % |
| 20 | zeros | 0.80 to 0.84 | 0 |
| 20 | random numbers | 0.81 to 0.84 | 0 to 0.2 % |

So the harm is done at the beginning of a sequence: to short ones, and to every early step that is
read. A state that leaks from one sequence into another does the same. Carrying a state on is right
where the next batch continues the sequences of the last one, in the same order.

Zeros are the right beginning in most cases, and what PyTorch takes when no state is given.

## Example
```python
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        h0 = torch.randn(1, x.size(0), 8)
        return self.fc(self.gru(x, h0)[0][:, -1])


model = Net()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    optimizer.zero_grad()
    model(torch.randn(16, 20, 4)).pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 8, batch_first=True)
        self.fc = nn.Linear(8, 1)

    def forward(self, x):
        return self.fc(self.gru(x)[0][:, -1])


model = Net()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    optimizer.zero_grad()
    model(torch.randn(16, 20, 4)).pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- The state is zeros, is left out, is learned, or comes from an encoder.
- Random numbers are added to something, or go through a layer first: noise that a generator is
  to have, the sample of a variational encoder.
- They are drawn once, before the loop, or the layer is not trained.
- A state is carried on, and the loader does not shuffle, or it is not known whether it does.

## Fix safety
The fix is unsafe. It replaces the random numbers by zeros of the same shape, which is right unless
the noise is wanted. A state that leaks has no fix: where a sequence begins, only its author knows.

## References
- [torch.nn.GRU](https://pytorch.org/docs/stable/generated/torch.nn.GRU.html), whose state is zeros
  where none is given
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Fix,
    LayerCall,
    Level,
    Program,
    Rule,
    Step,
    operations,
    tensors,
    values,
)

DRAW = re.compile(r"(?P<owner>(?:\w+\.)*)(?:randn|rand)(?P<like>_like)?(?=\()")


class RandomOrLeakingState(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.STATE
    effect = (
        "each sequence begins with noise, or with what another one left, and the layer spends "
        "its capacity on forgetting it"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for call in program.chosen(LayerCall):
            if call.state is None or call.layer not in program.trained_by:
                continue
            for diagnostic in (*self._random(program, call), *self._leaking(program, call)):
                if call.place not in found:
                    found.add(call.place)
                    yield diagnostic

    def _random(self, program: Program, call: LayerCall) -> Iterator[Diagnostic]:
        """A state drawn in the same turn of the loops as it is used."""
        state = tensors.tensors_in(call.state) if call.state is not None else []
        places = [
            tensor.drawn.place
            for tensor in state
            if tensor.drawn is not None and call.loops and tensor.drawn.loops == call.loops
        ]
        if not places or len(places) < len(state):
            return
        yield self.report(
            program,
            places[0],
            f"the {call.layer.kind} begins each batch with new random numbers",
            help="begin with zeros, or give it no state",
            trail=[
                *(Step(place, "more of the state is drawn here") for place in places[1:]),
                Step(call.place, "the layer begins with it"),
            ],
            fix=_zeros(program, places),
        )

    def _leaking(self, program: Program, call: LayerCall) -> Iterator[Diagnostic]:
        """A state that another batch of a shuffling loader has left."""
        for tensor in tensors.tensors_in(call.state) if call.state is not None else []:
            origin = tensor.output_of
            if origin is None or origin.layer is not call.layer or origin.remembered:
                continue
            loader = _left_by(program, origin, call)
            if loader is None or tensor.part not in tensors.STATE_PARTS:
                continue
            yield self.report(
                program,
                origin.place,
                "the state of one batch enters the next, whose sequences are others: the loader "
                "shuffles",
                help="begin each batch with zeros, or give the layer no state",
                trail=[
                    *([Step(loader.place, "this loader shuffles")] if loader.place else []),
                    Step(call.place, "the next batch begins with the state"),
                ],
            )
            return


def _left_by(program: Program, origin: LayerCall, call: LayerCall) -> values.Thing | None:
    """The shuffling loader of an earlier batch of which the state comes from."""
    for _, number, turn in call.loops:
        before = [known for _, other, known in origin.loops if other == number]
        loader = program.loader_of(number)
        if before and before[0] < turn and loader is not None and _shuffles(loader):
            return loader
    return None


def _shuffles(loader: values.Thing) -> bool:
    given = loader.options.get("shuffle")
    return isinstance(given, values.Const) and given.value is True


def _zeros(program: Program, places: list[values.Place]) -> Fix | None:
    wanted = []
    for place in dict.fromkeys(places):
        text = program.code.text(place)
        draw = DRAW.match(text)
        if draw is None or "generator" in text:
            return None
        name = f"zeros{draw['like'] or ''}"
        code = f"{draw['owner']}{name}" if draw["owner"] else f"{{torch.{name}}}"
        wanted.append(operations.Replace(place.path, place.start, place.start + draw.end(), code))
    return program.code.repair("begin with zeros", wanted, Applicability.UNSAFE)
