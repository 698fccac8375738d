"""The third argument of a recurrent cell is a number, as if it were `num_layers`.

## What it does
Reports the construction of an LSTMCell, a GRUCell or an RNNCell whose third positional argument
is an integer, written there or handed down from a configuration. That argument is `bias`. A 1 is
advice, for one layer with biases is what such a cell is.

## Why it matters
`nn.LSTM(10, 20, 2)` has two layers, and `nn.LSTMCell(10, 20, 2)` has one: the 2 is taken for
`bias=True`, without a word. In PyTorch 2.13 the first has 5,920 parameters and the second 2,560,
as many as without the argument. A network that is reported as having four layers has one, and a
search over the depth compares runs that do not differ. A 0, meant as a dropout perhaps, takes
the biases away.

## Example
```python
import torch
from torch import nn

cell = nn.LSTMCell(10, 20, 2)
readout = nn.Linear(20, 1)
optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()])
for _ in range(100):
    state = None
    for step in torch.randn(15, 8, 10):
        state = cell(step, state)
    loss = nn.functional.mse_loss(readout(state[0]), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(10, 20, 2)
readout = nn.Linear(20, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *readout.parameters()])
for _ in range(100):
    _, (hidden, _) = lstm(torch.randn(15, 8, 10))
    loss = nn.functional.mse_loss(readout(hidden[-1]), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Where the steps have to be taken one by one, stack cells in an `nn.ModuleList` and hand the
hidden state of each to the next.

## When it stays silent
- The argument is a truth value, or `bias=` is written before it.
- It belongs to an LSTM, a GRU or an RNN, where the third argument is `num_layers`.
- The value is not known.

## Fix safety
There is no automatic fix. Taking the number away keeps what the program does now; whether it
should have that many layers is yours to say.

## References
- [torch.nn.LSTMCell](https://pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html),
  parameters
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    CannotPlaceError,
    Cause,
    Diagnostic,
    Level,
    Program,
    Rule,
    Step,
    modules,
    values,
)


class CellArgumentOrder(Rule):
    level = Level.ERROR
    cause = Cause.ARCHITECTURE
    effect = "the network has one layer where several were asked for"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            number = values.integer(layer.options.get("bias"))
            if modules.is_recurrent(layer) or layer.place is None or number is None:
                continue
            if not _is_written_as_bias(program, layer):
                yield self.report(
                    program,
                    layer.place,
                    f"the third argument of {layer.kind} is bias, and {number} is taken for "
                    f"{bool(number)}: the cell is one layer whatever stands there",
                    level=Level.ADVICE if number == 1 else Level.ERROR,
                    effect="none: the cell is what it would be without the argument"
                    if number == 1
                    else None,
                    help="stack cells in an nn.ModuleList, or use "
                    f"nn.{layer.kind.removesuffix('Cell')} with num_layers",
                    trail=[Step(place, "it is built from here") for place in layer.stack[-1:]],
                )


def _is_written_as_bias(program: Program, layer: values.Layer) -> bool:
    """Whether the call says by its keyword that it means the bias."""
    if layer.place is None:
        return False
    try:
        return program.code.argument(layer.place, "bias") is not None
    except CannotPlaceError:
        return False
