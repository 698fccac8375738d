"""A recurrent layer asks for dropout between its layers, and has only one.

## What it does
Reports the construction of an LSTM, a GRU or an RNN with `dropout` greater than 0 and
`num_layers=1`, whether the two come from defaults, a configuration or the command line.

## Why it matters
The argument drops outputs *between* the stacked layers, and never after the last one. With one
layer there is no such place: PyTorch warns once and trains without dropout. A model that was
meant to be regularised is not, and a search over dropout rates compares runs that do not differ.

## Example
```python
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 32, dropout=0.5)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][-1])


net = Net()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(100):
    loss = nn.functional.mse_loss(net(torch.randn(20, 8, 4)), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 32)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc(self.dropout(self.lstm(x)[0][-1]))


net = Net()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(100):
    loss = nn.functional.mse_loss(net(torch.randn(20, 8, 4)), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- There are two layers or more, or the number of layers is not known.
- The dropout is 0, or becomes 0 when there is one layer.
- The class has one layer by default, and the project builds it with more.
- Dropout is a module of its own.

## Fix safety
The fix is safe, for nothing changes but that the warning is gone. Where the call itself says that
there is one layer, the argument is dropped. Where the number of layers is a variable, the dropout
becomes one that holds for several layers: `dropout=p if num_layers > 1 else 0.0`. A dropout module
behind the layer, as above, is what was meant; it changes the training, so it is left to you.

There is no fix where the arguments come in a dictionary, or are computed on the spot.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), parameter `dropout`
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    CannotPlaceError,
    Cause,
    Diagnostic,
    Fix,
    Level,
    Program,
    Rule,
    Step,
    modules,
    operations,
    values,
)

_NUM_LAYERS = 2
"""Its position among the arguments of a recurrent layer."""
_DROPOUT = {"LSTM": 5, "GRU": 5, "RNN": 6}
_READ_TWICE = re.compile(r"[A-Za-z_][\w.]*(?:\[[\w.'\"]+\])*")
"""What may be evaluated once more without doing anything."""


class DropoutWithoutEffect(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.DROPOUT
    effect = "the network is not regularised, whatever the rate of dropout says"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.possible_layers:
            if not modules.is_recurrent(layer) or layer.place is None:
                continue
            rate = modules.option(layer, "dropout")
            count = modules.option(layer, "num_layers")
            if not isinstance(rate, values.Const) or not isinstance(count, values.Const):
                continue
            guessed = layer.context is not None and layer.context.fabricated
            if guessed and (rate.option or count.option):
                continue
            if isinstance(rate.value, (int, float)) and rate.value > 0 and count.value == 1:
                yield self.report(
                    program,
                    layer.place,
                    f"dropout={rate.value} has no effect: the {layer.kind} applies it between "
                    "layers, and this one has a single layer",
                    help="drop the argument and put nn.Dropout behind the layer, or stack layers",
                    trail=[Step(place, "it is built from here") for place in layer.stack[-1:]],
                    fix=_fix(program, layer),
                )


def _fix(program: Program, layer: values.Layer) -> Fix | None:
    """Drops the argument, or makes it depend on the number of layers."""
    code, call = program.code, layer.place
    if call is None or call in layer.stack:
        return None  # a class of the project may do more with its arguments
    try:
        count = code.argument(call, "num_layers", _NUM_LAYERS)
        rate = code.argument(call, "dropout", _DROPOUT.get(layer.kind))
        if rate is None or code.spreads(call):
            return None
    except CannotPlaceError:
        return None
    change: operations.AnyOperation
    if count is None or code.text(count) == "1":
        message = "drop the argument"
        change = operations.RemoveArgument(call.path, call.start, call.end, "dropout")
        if code.argument(call, "dropout") is None:
            message = "pass no dropout"
            change = operations.Replace(rate.path, rate.start, rate.end, "0.0")
    elif _READ_TWICE.fullmatch(code.text(count)) and _READ_TWICE.fullmatch(code.text(rate)):
        message = "drop out between several layers only"
        several = f"{code.text(rate)} if {code.text(count)} > 1 else 0.0"
        change = operations.Replace(rate.path, rate.start, rate.end, several)
    else:
        return None
    return code.repair(message, [change], Applicability.SAFE)
