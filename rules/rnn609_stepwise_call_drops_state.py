"""A recurrent layer runs one step at a time, and each step begins with a state of zeros.

## What it does
Reports a call of a recurrent layer or cell in a loop over steps that is given no state, where the
input is a single step and the loss is computed behind the loop. A state is not kept by the layer:
what it returns has to be handed to the next call.

## Why it matters
Without its state, the layer sees each step as the first of a sequence. It cannot remember, however
long it is trained, and nothing raises. An LSTM with 32 units whose task is to recall the first of 6
tokens, out of 10, was left at an accuracy of 0.09 to 0.11 in each of five runs, which is chance;
where the state was passed on it came to 1.00 in each.

## Example
```python
import torch
from torch import nn

cell, head = nn.LSTMCell(4, 32), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
for _ in range(100):
    x, y = torch.randn(20, 8, 4), torch.randint(0, 2, (8,))
    for step in range(20):
        h, c = cell(x[step])
    loss = nn.functional.cross_entropy(head(h), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

cell, head = nn.LSTMCell(4, 32), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
for _ in range(100):
    x, y = torch.randn(20, 8, 4), torch.randint(0, 2, (8,))
    state = None
    for step in range(20):
        h, c = state = cell(x[step], state)
    loss = nn.functional.cross_entropy(head(h), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Where all steps are known beforehand, one call of `nn.LSTM` on the whole sequence does the same and
is faster.

## When it stays silent
- The call is given a state, if only sometimes, or in one of several places of the loop.
- A layer's input has more than one step, or its axes are not known.
- The loop goes over samples, layers or batches: it trains in each turn, it goes over a loader, or
  over the layers themselves.
- The layer's own output is its next input.

## Fix safety
There is no automatic fix. Where the state has to begin anew is for you to say.

## References
- [torch.nn.LSTMCell](https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html), the example
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Backward,
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    OptimizerEvent,
    Place,
    Program,
    Rule,
    Step,
    modules,
    values,
)


class StepwiseCallDropsState(Rule):
    level = Level.ERROR
    cause = Cause.STATE
    effect = "the layer sees each step as the first of a sequence, and cannot remember"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for backward in program.chosen(Backward):
            for call in sorted(backward.calls, key=lambda each: each.time):
                if call.place in seen or not _drops_state(program, call, backward):
                    continue
                seen.add(call.place)
                layer = call.layer
                yield self.report(
                    program,
                    call.place,
                    f"the {layer.kind} runs a single step and is given no state: each step of the "
                    "loop begins with zeros",
                    help="pass the state that it returns to the next call, or run it over the "
                    "whole sequence",
                    trail=[
                        Step(layer.place or call.place, f"the {layer.kind} is built here"),
                        Step(call.loops[-1][0], "this loop goes over the steps"),
                        Step(call.place, "the state is not given"),
                        Step(backward.place, "all steps are trained together"),
                    ],
                )


def _drops_state(program: Program, call: LayerCall, backward: Backward) -> bool:
    """Whether a call runs one step of the sequence that a backward pass is about, without state."""
    if not call.loops or call.context.unlikely or call.context.hypothetical:
        return False
    _, number, turn = call.loops[-1]
    return (
        turn > 0
        and _runs_one_step(call)
        and number not in {known for _, known, _ in backward.loops}
        and program.loader_of(number) is None
        and not program.leads_to(number, call.layer)
        and not _updates(program, number)
        and _is_alone(call)
        and _never_has_state(program, call, number)
    )


def _runs_one_step(call: LayerCall) -> bool:
    """Whether the input is one step of some sequence and nothing says that it is more."""
    given, layer = call.input, call.layer
    if call.state is not None or given.packed or given.values_of is not None:
        return False
    if not modules.is_recurrent(layer):
        return True
    batch_first = modules.known_option(layer, "batch_first", bool)
    if batch_first is None or given.rank == 2:
        return False
    time = 1 if batch_first else 0
    sizes = [axis.size for axis in given.axes]
    return sizes[time : time + 1] == [values.Const(1)] and given.time_axis in (None, time)


def _updates(program: Program, number: int) -> bool:
    """Whether each turn of a loop trains for itself."""
    return any(
        isinstance(event, (Backward, OptimizerEvent)) for event in program.events_in_loop(number)
    )


def _is_alone(call: LayerCall) -> bool:
    """Whether the layer is built once for the loop, and not one of several built in another."""
    built = call.layer.context
    if modules.is_one_of_several(call.layer):
        return False
    around = {number for _, number, _ in call.loops}
    return built is not None and all(number in around for _, number, _ in built.loops)


def _never_has_state(program: Program, call: LayerCall, number: int) -> bool:
    """Whether all turns run the layer, and none gives it a state."""
    others = [
        event
        for event in program.events_in_loop(number)
        if isinstance(event, LayerCall) and event.layer is call.layer
    ]
    turns = {turn for event in others for _, known, turn in event.loops if known == number}
    return len(turns) > 1 and all(event.state is None for event in others)
