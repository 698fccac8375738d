"""`retain_graph=True` keeps a loop alive only because a recurrent state is carried with its graph.

## What it does
Reports the backward pass of a training loop that retains the graph, when the recurrent state of
one iteration enters the next and each iteration has a single backward pass: then nothing else can
need the graph once more.

## Why it matters
Without the flag the second iteration raises `Trying to backward through the graph a second time`,
and the message itself suggests `retain_graph=True`. With it, each backward pass goes through all
iterations so far. With PyTorch 2.13 an iteration of a small LSTM over 35 steps took 18 ms at
first and 125 ms after 60 iterations, when nothing stepped between them. Where the optimizer steps
between, as in the loops that this rule reports, the second pass raises `one of the variables
needed for gradient computation has been modified by an inplace operation`: the older iterations
were computed with other weights.

What is meant is nearly always truncated back-propagation through time: the value of the state goes
on, its graph does not.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
state = (torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))
for _ in range(100):
    out, state = lstm(torch.randn(35, 2, 4), state)
    optimizer.zero_grad()
    out.pow(2).mean().backward(retain_graph=True)
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
state = (torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))
for _ in range(100):
    state = tuple(part.detach() for part in state)
    out, state = lstm(torch.randn(35, 2, 4), state)
    optimizer.zero_grad()
    out.pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- Several backward passes run in one iteration: two losses that share a graph, a generator and a
  discriminator.
- No optimizer steps in the loop: the losses of the steps of one sequence, say.
- No state is carried, or it is detached: then the flag is superfluous and does no harm.

## Fix safety
The fix is unsafe. It detaches the state before it is used again and drops the flag, which is right
where the state is all that was carried: gradients no longer cross the border between iterations.
There is no fix where the state has no name, or the
flag is given by position.

## References
- [Tensor.backward](https://pytorch.org/docs/stable/generated/torch.Tensor.backward.html)
- [The word language model of PyTorch's examples](https://github.com/pytorch/examples/tree/main/word_language_model)
  and its `repackage_hidden`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Diagnostic,
    Event,
    Fix,
    LayerCall,
    Level,
    Program,
    Rule,
    Step,
    detach_state,
    operations,
    tensors,
    values,
)


class RetainGraphHidesCarriedState(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.STATE
    effect = "each iteration is slower than the one before, until it raises or memory runs out"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for backward in program.of(Backward):
            number = program.training_loop(backward)
            if not backward.retains_graph or number is None or backward.place in found:
                continue
            carried = _carried(program, backward, number)
            if carried is None or _shares_its_graph(program, backward, number):
                continue
            origin, call = carried
            found.add(backward.place)
            yield self.report(
                program,
                backward.place,
                "retain_graph=True serves the carried state alone: each backward pass goes "
                "through all iterations so far",
                help="detach the state before it is used again, and drop retain_graph=True",
                trail=[
                    Step(origin.place, "the state is made here, one iteration earlier"),
                    Step(program.receives_state(call, number), "it comes back here"),
                ],
                fix=_detached(program, backward, call, number),
            )


def _carried(
    program: Program, backward: Backward, number: int
) -> tuple[LayerCall, LayerCall] | None:
    """A call that the pass goes through, and one of a later turn that takes over its state."""
    turn = _turn(backward, number)
    for event in program.events_in_loop(number):
        if not isinstance(event, LayerCall) or event.state is None or _turn(event, number) <= turn:
            continue
        for origin in tensors.graph_of(event.state):
            passed = origin in backward.calls and not origin.remembered
            if passed and _turn(origin, number) == turn:
                return origin, event
    return None


def _shares_its_graph(program: Program, backward: Backward, number: int) -> bool:
    """Whether another pass of the same turn may need the graph."""
    return any(
        isinstance(event, Backward)
        and event is not backward
        and _turn(event, number) == _turn(backward, number)
        for event in program.events_in_loop(number)
    )


def _turn(event: Event, number: int) -> int:
    return next((turn for _, known, turn in event.loops if known == number), -1)


def _detached(program: Program, backward: Backward, call: LayerCall, number: int) -> Fix | None:
    place = backward.place
    detached = detach_state(program, call, number)
    dropped = program.code.repair(
        "drop retain_graph",
        [operations.RemoveArgument(place.path, place.start, place.end, "retain_graph")],
        Applicability.UNSAFE,
    )
    if detached is None or dropped is None:
        return None
    edits = (*detached.edits, *dropped.edits)
    return Fix(
        "detach the state, and drop retain_graph=True",
        Applicability.UNSAFE,
        tuple(sorted(edits, key=lambda edit: (edit.path, edit.start))),
    )
