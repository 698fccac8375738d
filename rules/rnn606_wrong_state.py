"""A recurrent layer is given a state that is not its own kind of state.

## What it does
Reports a call of a recurrent layer or cell whose state is swapped, (c, h) in the place of (h, c);
that is one tensor where an LSTM takes two, or two where a GRU takes one; that has another number of
axes than the layer's states have; or that has states for another number of layers and directions.

## Why it matters
A swapped state is the one that nothing notices, for both parts have the same shape. It usually
begins with `c, h = cell(x, (h, c))`: an LSTM returns h first. From the second step on, the cell
state is used as the output of the step before and the other way round, and what is read as h is the
cell state, which no output gate has passed and no tanh bounds. Such a model may still learn:
nothing tells of it.

All others raise, in PyTorch 2.13 in these words:

| state | error |
|---|---|
| `nn.LSTM(8, 16)(x, h)` | IndexError: index 1 is out of bounds for dimension 0 with size 1 |
| `nn.LSTMCell(8, 16)(x, h)` | TypeError: argument 'hx' must be tuple of Tensors, not Tensor |
| `nn.GRU(8, 16)(x, (h, c))` | AttributeError: 'tuple' object has no attribute 'dim' |
| `nn.GRU(8, 16)(x, h[0])` | RuntimeError: For batched 3-D input, hx should also be 3-D |
| `nn.GRU(8, 16, 2)(x, h)` | RuntimeError: Expected hidden size (2, 4, 16), got [1, 4, 16] |

## Example
```python
import torch
from torch import nn

cell, head = nn.LSTMCell(4, 32), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
for _ in range(100):
    x, y = torch.randn(20, 8, 4), torch.randint(0, 2, (8,))
    h, c = torch.zeros(8, 32), torch.zeros(8, 32)
    for step in range(20):
        c, h = cell(x[step], (h, c))
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
    h, c = torch.zeros(8, 32), torch.zeros(8, 32)
    for step in range(20):
        h, c = cell(x[step], (h, c))
    loss = nn.functional.cross_entropy(head(h), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- Where the state, or some part of it, comes from is not known.
- A test or an option decides which kind of layer is built, or whether the call runs: the state is
  then chosen by the same test.
- The number of layers or directions is one that a user can change.

## Fix safety
The fix swaps the two names where they are unpacked, or where they are given to the layer: whichever
of the two has the name that begins with c first. It is unsafe: a checkpoint that was trained with
swapped states has to be trained again. There is no fix for other states, and where the names do not
tell.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), inputs and outputs
- [torch.nn.LSTMCell](https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    Place,
    Program,
    Rule,
    Step,
    modules,
    swap_state_names,
    values,
)


class WrongState(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.STATE
    effect = (
        "the run stops here, or what is read as the output is a cell state that no gate has passed"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for call in program.chosen(LayerCall):
            if call.place in seen or call.context.fabricated or call.state is None:
                continue
            swapped = _is_swapped(call)
            fault = "" if swapped else _fault(program, call)
            if not swapped and not fault:
                continue
            seen.add(call.place)
            kind = call.layer.kind
            yield self.report(
                program,
                call.place,
                f"the {kind} is given its cell state as the hidden state, and the hidden state as "
                "the cell state"
                if swapped
                else f"the {kind} {fault}: this raises an error",
                help=f"an {kind} takes and returns the hidden state first: (h, c)"
                if swapped
                else _help(call.layer),
                trail=_trail(call),
                fix=swap_state_names(program, call) if swapped else None,
            )


def _is_lstm(layer: values.Layer) -> bool:
    return layer.kind.startswith("LSTM")


def _parts(call: LayerCall) -> list[values.Tensor]:
    """The tensors of a state, where they are known."""
    state = call.state
    items = state.items if isinstance(state, values.Tuple) else (state,)
    return [item for item in items if isinstance(item, values.Tensor)]


def _is_swapped(call: LayerCall) -> bool:
    """Whether what LSTMs returned as (h, c) is given as (c, h)."""
    return _is_lstm(call.layer) and [part.part for part in _parts(call)] == ["cell", "hidden"]


def _fault(program: Program, call: LayerCall) -> str:
    """What is wrong with a state whose layer and call are sure to run as they stand."""
    if not _is_certain(program, call):
        return ""
    return _wrong_kind(call) or _wrong_rank(call) or _wrong_layers(call)


def _is_certain(program: Program, call: LayerCall) -> bool:
    """Whether no test, option or other kind of layer may stand behind the state."""
    built = call.layer.context
    if built is None or built.fabricated or built.unlikely or built.conditions:
        return False
    alternatives = [one for one in program.possible_layers if one.place == call.layer.place]
    kinds = {one.kind for one in alternatives}
    return len(kinds) == 1 and not call.context.conditions and not call.context.attempted


def _wrong_kind(call: LayerCall) -> str:
    state = call.state
    if _is_lstm(call.layer):
        alone = isinstance(state, values.Tensor) and (state.fresh or bool(state.part))
        return "takes two states, (h, c), and is given one tensor" if alone else ""
    several = isinstance(state, values.Tuple) and len(_parts(call)) == len(state.items) == 2
    return "takes one state and is given two tensors" if several else ""


def _wrong_rank(call: LayerCall) -> str:
    wanted = 3 if modules.is_recurrent(call.layer) else 2
    if call.input.packed or call.input.rank != wanted:
        return ""
    for part in _parts(call):
        if part.rank not in (None, wanted):
            return f"takes states of {wanted} axes and is given one of {part.rank}"
    return ""


def _wrong_layers(call: LayerCall) -> str:
    layer = call.layer
    if not modules.is_recurrent(layer):
        return ""
    stacked = modules.known_option(layer, "num_layers", int)
    both = modules.known_option(layer, "bidirectional", bool)
    if stacked is None or both is None:
        return ""
    wanted = stacked * (1 + both)
    for part in _parts(call):
        size = part.axes[0].size if part.rank == 3 else None
        if isinstance(size, values.Const) and not size.option and size.value != wanted:
            return f"takes states of {wanted} layers * directions and is given {size.value}"
    return ""


def _help(layer: values.Layer) -> str:
    if not modules.is_recurrent(layer):
        shape = "(batch, hidden)"
    else:
        shape = "(layers * directions, batch, hidden)"
    what = "a tuple of two states" if _is_lstm(layer) else "one state"
    return f"give it {what} of shape {shape}, or none to begin with zeros"


def _trail(call: LayerCall) -> list[Step]:
    steps = [Step(call.layer.place or call.place, f"the {call.layer.kind} is built here")]
    for part in _parts(call):
        if part.made_at is not None:
            steps.append(Step(part.made_at, "the state gets its shape here"))
        elif part.output_of is not None:
            steps.append(Step(part.output_of.place, f"returns what is given as {part.part} state"))
    return steps
