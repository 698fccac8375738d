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
There is no automatic fix yet. Dropping the argument is safe: it had no effect. A dropout module in
its place, as above, is what was meant, and changes the training.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), parameter `dropout`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule, Step, modules, values


class DropoutWithoutEffect(Rule):
    level = Level.WARNING

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
                )
