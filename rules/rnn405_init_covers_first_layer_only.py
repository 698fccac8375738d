"""An initialisation names `weight_hh_l0`, and the layer has more layers or directions.

## What it does
Reports an initialisation that reaches the recurrent weights of the first layer only, in one
direction, while the LSTM, GRU or RNN is stacked or bidirectional.

## Why it matters
`weight_hh_l0` is one matrix. With `num_layers=3` there are `weight_hh_l1` and `weight_hh_l2` too,
and with `bidirectional=True` each has a `_reverse`; what is not named keeps PyTorch's uniform
numbers. Those have a spectral radius of 0.58 for every size, measured in PyTorch 2.13, where an
orthogonal matrix has 1: in a plain RNN a gradient shrinks to 1.6e-5 over 20 steps in the layers
that were left out. The code was right for one layer, and says nothing when an option asks for
another.

## Example
```python
import torch
from torch import nn

gru, head = nn.GRU(4, 32, num_layers=2, bidirectional=True), nn.Linear(64, 1)
for gate in gru.weight_hh_l0.chunk(3):
    nn.init.orthogonal_(gate)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = gru(torch.randn(20, 8, 4))
    loss = nn.functional.mse_loss(head(out), torch.randn(20, 8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

gru, head = nn.GRU(4, 32, num_layers=2, bidirectional=True), nn.Linear(64, 1)
for name, parameter in gru.named_parameters():
    if "weight_hh" in name:
        for gate in parameter.chunk(3):
            nn.init.orthogonal_(gate)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
for _ in range(100):
    out, _ = gru(torch.randn(20, 8, 4))
    loss = nn.functional.mse_loss(head(out), torch.randn(20, 8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

`rnnlint.runtime.init_recurrent_` reaches all layers and directions.

## When it stays silent
- There is one layer in one direction, or it is not known that there are more.
- The other matrices are initialised somewhere, be it in another way or behind a switch.
- Weights are copied into the first layer, or a checkpoint is loaded into the whole.
- The layer is handed to an initialisation that cannot be seen.

## Fix safety
The fix turns the statements on `_l0` into a loop over the named parameters that does the same to
all layers and directions. It is unsafe: the numbers of the others change, and the first layer may
have been meant alone. It is offered where these statements follow each other, each one a call on a
parameter that it names.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), the names of the
  variables
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Fix,
    Init,
    Level,
    Load,
    Opaque,
    Place,
    Program,
    Rule,
    Step,
    fill_all_layers,
    modules,
    values,
)

_FIRST = "weight_hh_l0"
_TRANSFERS = frozenset({"copy", "assign", "set"})


class InitCoversFirstLayerOnly(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.INITIALISATION
    effect = "the layers or directions that are left out keep an initialisation that forgets fast"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for layer in program.layers:
            left_out = _left_out(layer)
            inits = [one for one in program.inits_of(layer) if _is_recurrent_weight(one)]
            real = [one for one in inits if not one.hypothetical and not one.context.unlikely]
            if not left_out or not real or _reaches_others(inits, real):
                continue
            last = real[-1]
            if any(one.how in _TRANSFERS for one in real) or _is_filled_elsewhere(program, layer):
                continue
            if last.place in seen:
                continue
            seen.add(last.place)
            yield self.report(
                program,
                last.place,
                f"this reaches the first layer of the {layer.kind} only: {left_out} keeps "
                "PyTorch's uniform numbers",
                help='loop over named_parameters() and test for "weight_hh" in the name',
                trail=[Step(layer.place or last.place, f"the {layer.kind} is built here")],
                fix=_fix(program, layer, real),
            )


def _left_out(layer: values.Layer) -> str:
    """A recurrent matrix that the layer has besides the first, "" where none is known."""
    if not modules.is_recurrent(layer):
        return ""
    if (values.integer(modules.option(layer, "num_layers")) or 1) > 1:
        return "weight_hh_l1"
    both = modules.option(layer, "bidirectional")
    return "weight_hh_l0_reverse" if values.default_truth(both) is True else ""


def _reaches_others(inits: list[Init], real: list[Init]) -> bool:
    """Whether another matrix than the first is filled, be it behind a switch.

    What a test of the name keeps from the others says that they are left out.
    """
    tested = {one.place for one in real}
    return any(
        one.parameter.name != _FIRST and not (one.hypothetical and one.place in tested)
        for one in inits
    )


def _is_recurrent_weight(init: Init) -> bool:
    return init.parameter.name.startswith("weight_hh")


def _is_filled_elsewhere(program: Program, layer: values.Layer) -> bool:
    """Whether a checkpoint, or code that cannot be seen, fills the layer as a whole."""
    if any(layer in load.layers and load.certain for load in program.of(Load)):
        return True
    return any(
        "init" in opaque.callee.lower() and layer in modules.layers_in(given)
        for opaque in program.possible(Opaque)
        for given in opaque.given
    )


def _fix(program: Program, layer: values.Layer, real: list[Init]) -> Fix | None:
    """Does to all layers what statements on the parameters of the first do."""
    first = [one for one in program.inits_of(layer) if not one.hypothetical]
    if any(one.parameter.part or not one.parameter.name.endswith("_l0") for one in first):
        return None
    others = [one for one in first if not _is_recurrent_weight(one)]
    return fill_all_layers(program, [*real, *others])
