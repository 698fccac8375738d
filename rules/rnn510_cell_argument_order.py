"""A number stands where a recurrent cell or layer takes `bias`.

## What it does
Reports the construction of an LSTMCell, a GRUCell or an RNNCell whose third positional argument
is an integer, as if it were `num_layers`, and that of an LSTM, a GRU or an RNN whose fourth is a
fraction, as if it were `dropout`; whether it is written there or handed down from a
configuration. That argument is `bias`. A 1 is advice, for one layer with biases is what a cell is.

## Why it matters
`nn.LSTM(10, 20, 2)` has two layers, and `nn.LSTMCell(10, 20, 2)` has one: the 2 is taken for
`bias=True`, without a word. In PyTorch 2.13 the first has 5,920 parameters and the second 2,560,
as many as without the argument. A network that is reported as having four layers has one, and a
search over the depth compares runs that do not differ. `nn.GRU(10, 20, 2, 0.5)` has no dropout
between its layers, whatever the number, and a 0.0 takes its biases away.

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
- It is the third of an LSTM, a GRU or an RNN, which is their `num_layers`.
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

NO_DROPOUT = "the network is not regularised, whatever the rate of dropout says"
AS_WITHOUT = "none: the cell is what it would be without the argument"


class CellArgumentOrder(Rule):
    level = Level.ERROR
    cause = Cause.ARCHITECTURE
    effect = "the network has one layer where several were asked for"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            bias = layer.options.get("bias")
            number = bias.value if isinstance(bias, values.Const) else None
            if layer.place is None or _is_written_as_bias(program, layer):
                continue
            trail = [Step(place, "it is built from here") for place in layer.stack[-1:]]
            if modules.is_recurrent(layer):
                if type(number) is float:
                    yield self.report(
                        program,
                        layer.place,
                        f"the fourth argument of {layer.kind} is bias, and {number} is taken for "
                        f"{bool(number)}: there is no dropout",
                        effect=NO_DROPOUT,
                        help=f"name the argument: dropout={number}",
                        trail=trail,
                    )
            elif type(number) is int:
                yield self.report(
                    program,
                    layer.place,
                    f"the third argument of {layer.kind} is bias, and {number} is taken for "
                    f"{bool(number)}: the cell is one layer whatever stands there",
                    level=Level.ADVICE if number == 1 else Level.ERROR,
                    effect=AS_WITHOUT if number == 1 else None,
                    help="stack cells in an nn.ModuleList, or use "
                    f"nn.{layer.kind.removesuffix('Cell')} with num_layers",
                    trail=trail,
                )


def _is_written_as_bias(program: Program, layer: values.Layer) -> bool:
    """Whether the call says by its keyword that it means the bias."""
    if layer.place is None:
        return False
    try:
        return program.code.argument(layer.place, "bias") is not None
    except CannotPlaceError:
        return False
