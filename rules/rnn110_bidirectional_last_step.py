"""The last output step of a bidirectional layer stands for the sequence, though its backward half
has read one step only.

## What it does
Reports `out[:, -1]` (batch first) and `out[-1]` (time first) on the output of a bidirectional
layer when the whole vector is taken.

## Why it matters
The backward half of an output step has read the sequence from its end to that step. At the last
step that is one element. Half of the summary knows nothing of what came before, and the
gradient through it reaches one step. The final state of the backward direction is at the
*first* step: `out[:, -1, :H]` equals `h_n[-2]` and `out[:, 0, H:]` equals `h_n[-1]`, while
`out[:, -1, H:]` is something else.

With labels that depend on the first token of padded sequences of 3 to 60 steps, `out[:, -1]` of
a bidirectional LSTM reached an accuracy of 0.21, and the final states of the packed batch 1.00
(five classes, measured with PyTorch 2.13).

## Example
```python
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 32, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, 2)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])


model = Classifier()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    x, y = torch.randn(8, 30, 4), torch.randint(0, 2, (8,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 32, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, 2)

    def forward(self, x):
        _, (h_n, _) = self.lstm(x)
        return self.fc(torch.cat([h_n[-2], h_n[-1]], dim=-1))


model = Classifier()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    x, y = torch.randn(8, 30, 4), torch.randint(0, 2, (8,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
```

## When it stays silent
- The layer is not bidirectional, or it is not known whether it is.
- The forward half is sliced from the last step, and the backward half from the first.
- All steps are used: one score a step, a pooling, attention.

## Fix safety
The fix joins `h_n[-2]` and `h_n[-1]`, the final states of the last layer in both directions. That
keeps the size of the summary, so the layers behind it fit; their weights have to be trained again,
and therefore the fix is unsafe. The state gets a name at the layer's call where it has none. On a
padded batch the backward half then reads the whole sequence, but begins with the padding: the final
states are right only if the batch is packed (RNN101).

There is no fix where a variable says whether the layer is bidirectional, or where something else
than a new order of axes happens to the output before its last step is taken. Do not reshape `h_n`
with `view(batch, -1)`: its first axis is layers times directions.

## References
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), output `h_n`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    Program,
    Reading,
    Rule,
    Step,
    join_final_states,
    modules,
    values,
)


class BidirectionalLastStep(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.BIDIRECTIONAL
    effect = (
        "the backward half of the summary has read one step, and the rest of the sequence gets "
        "no gradient through it"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for reading in program.chosen(Reading):
            call = reading.tensor.output_of
            if reading.how != "last-step" or call is None or not modules.is_recurrent(call.layer):
                continue
            both = modules.option(call.layer, "bidirectional")
            if not (isinstance(both, values.Const) and both.value):
                continue
            if reading.axis == reading.tensor.batch_axis:
                continue
            layer = call.layer
            yield self.report(
                program,
                reading.place,
                f"at the last step the backward half of this {layer.kind} has read one token only",
                help="join the final states of both directions: "
                "torch.cat([h_n[-2], h_n[-1]], dim=-1)",
                trail=[Step(layer.place or call.place, "the bidirectional layer is built here")],
                fix=join_final_states(program, reading.place),
            )
