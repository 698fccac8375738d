"""The hidden state of one iteration enters the next, and brings the whole graph with it.

## What it does
Walks a training loop twice and reports the call that receives a recurrent state of the previous
iteration when each iteration runs its own backward pass and nothing detaches or recreates the
state between. A state that a module keeps in an attribute is followed as well.

## Why it matters
The state carries the graph of the iteration that made it, and the backward pass has freed that
graph. The second backward raises `RuntimeError: Trying to backward through the graph a second
time`. `retain_graph=True` is the wrong cure: each pass then walks through all iterations so
far, memory grows with every step, and as soon as the optimizer steps between, PyTorch 2.13
raises `one of the variables needed for gradient computation has been modified by an inplace
operation`.

Carrying the state is fine: detach it, and the value goes on while the gradient stops. This is
truncated back-propagation through time.

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
    out.pow(2).mean().backward()
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
- The state is detached, by `detach()`, `.data` or a helper such as `repackage_hidden`.
- It is created for every batch, or a method that resets it runs in every iteration.
- It lives inside one graph: many steps, one backward pass.
- No backward pass runs where it is carried: evaluation, sampling.

## Fix safety
The fix is safe: it detaches the state, or each part of it, in the loop before what uses it. A
loop that raised runs, and the values that flow forward stay the same. Gradients no longer cross
the border between iterations; if they should, run one backward pass over all of them. If the
sequences of two batches have nothing to do with each other, recreate the state instead.

There is no fix where the state has no name, where it is not known whether it is a tuple, or where
a module keeps it and runs several times in one iteration.

## References
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
    LayerCall,
    Level,
    Program,
    Rule,
    Step,
    detach_state,
    tensors,
)

FREED = (
    "this state comes from the previous iteration with its graph: the second backward pass runs "
    "into a graph that is already freed"
)
KEPT = (
    "this state comes from the previous iteration with its graph, which retain_graph=True keeps: "
    "each backward pass goes on through all iterations before it"
)
EFFECT_OF_KEPT = (
    "each iteration is slower than the one before, and raises where the optimizer has changed "
    "weights that the old graph needs"
)


class StateNotDetached(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.STATE
    effect = "the second iteration runs backward into a graph that is gone, and raises"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        backwards = program.of(Backward)
        for call in program.of(LayerCall):
            if call.state is None:
                continue
            for origin in tensors.graph_of(call.state):
                if origin.remembered:
                    continue
                found = self._backward_between(backwards, origin, call)
                if found is None:
                    continue
                backward, loop = found
                yield self.report(
                    program,
                    program.receives_state(call, loop),
                    KEPT if backward.retains_graph else FREED,
                    help="detach the state before it is used again: "
                    "h = h.detach(), or tuple(s.detach() for s in state)",
                    trail=[
                        Step(origin.place, "the state is made here, one iteration earlier"),
                        Step(backward.place, "each iteration runs backward"),
                        *program.call_path(call, "it comes back here"),
                    ],
                    effect=EFFECT_OF_KEPT if backward.retains_graph else None,
                    fix=detach_state(program, call, loop),
                )
                break

    def _backward_between(
        self, backwards: tuple[Backward, ...], origin: LayerCall, call: LayerCall
    ) -> tuple[Backward, int] | None:
        """A backward pass through `origin` before `call` uses its state, and their loop."""
        for backward in backwards:
            if not origin.time < backward.time < call.time:
                continue
            loop = _shared_loop(origin, backward, call)
            if origin in backward.calls and loop is not None:
                return backward, loop
        return None


def _shared_loop(origin: LayerCall, backward: Backward, call: LayerCall) -> int | None:
    """The loop that the three lie in, the call in a later turn."""
    for place, number, turn in origin.loops:
        later = any((p, n) == (place, number) and t > turn for p, n, t in call.loops)
        same = any((p, n, t) == (place, number, turn) for p, n, t in backward.loops)
        if later and same:
            return number
    return None
