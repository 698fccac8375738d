"""The last step, the mean or the maximum over time is read from outputs that include padding.

## What it does
Looks at the output of recurrent layers that ran over batches padded at the end, and at
outputs that `pad_packed_sequence` padded again. It reports `out[:, -1]`, `out[-1]` and a mean
or maximum over time that no mask guards.

## Why it matters
The last index is the last step of the longest sequence only. For every other sequence it is a
step of padding: the state that is left after it, or plain zeros once the output was packed.

Accuracies of an LSTM on sequences of 3 to 60 steps padded at the end, five classes (PyTorch 2.13,
median of three seeds):

| read-out | the class is | all steps | valid steps |
|---|---|---|---|
| last step | the last token | 0.37 | 1.00 |
| mean over time | the first token | 0.78 | 1.00 |
| maximum over time | the first token | 0.77 | 1.00 |

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor(ys)


gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
rows = [(torch.randn(n, 4), n % 2) for n in range(3, 30)]
for x, y in DataLoader(rows, batch_size=4, collate_fn=collate):
    out, _ = gru(x)
    loss = nn.functional.cross_entropy(head(out[:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return pad_sequence(xs, batch_first=True), lengths, torch.tensor(ys)


gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*gru.parameters(), *head.parameters()])
rows = [(torch.randn(n, 4), n % 2) for n in range(3, 30)]
for x, lengths, y in DataLoader(rows, batch_size=4, collate_fn=collate):
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    _, h_n = gru(packed)
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Without packing, `out[torch.arange(len(out)), lengths - 1]` is the same step.

## When it stays silent
- Padding at the front: the last step is a real one.
- Windows of one length, a batch of one sequence.
- A mask, a multiplication by it, `masked_fill` or a padding value of minus infinity comes
  before the pooling, or a sum of zero-filled outputs is divided by the true lengths.
- The origin of the batch was not seen.

## Fix safety
Where the batch is packed already, the fix is safe: unpacking gives the lengths too, and the last
valid step is read by them.

Where it is not, packing it is the better part of the repair, so the fix is the one of RNN101, as
safe as that: the last step becomes `h_n[-1]`, or `torch.cat([h_n[-2], h_n[-1]], dim=1)` of both
directions, or else the step at `lengths - 1`; a mean is divided by the lengths; a maximum finds
minus infinity behind each end.

Either way the model reads other numbers than before, as it should: a checkpoint that was trained
on the padded step has to be trained again. There is no fix where what is read was made of the
output in another function, or where more is done with a maximum than is said here.

## References
- [pad_packed_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html)
- Dwarampudi and Reddy, [Effects of padding on LSTMs and CNNs](https://arxiv.org/abs/1903.07288)
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
    read_last_valid,
    tell_lengths,
)


class LastStepOfPaddedOutput(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.PADDING
    effect = "all but the longest sequence of a batch are judged by a step of padding"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for reading in program.chosen(Reading):
            tensor = reading.tensor
            padding = tensor.padding
            if reading.how not in ("last-step", "half-step", "pooled") or padding is None:
                continue
            if padding.side != "right" or tensor.batch_axis is None:
                continue
            if reading.axis == tensor.batch_axis or tensor.output_of is None:
                continue
            if reading.how == "pooled" and tensor.unpacked:
                continue
            yield self.report(
                program,
                reading.place,
                self._message(reading),
                help="take the last valid step by its length, or h_n[-1] once the batch is packed",
                trail=[*padding.steps, *program.call_path(reading)],
                fix=read_last_valid(program, reading)
                if tensor.unpacked
                else tell_lengths(program, tensor.output_of),
            )

    def _message(self, reading: Reading) -> str:
        if reading.how == "pooled":
            return "this pools over time although the shorter sequences end in padding"
        if reading.tensor.unpacked:
            return "this reads zeros for every sequence that is shorter than the longest"
        return "this reads the last step of a padded batch, which is padding for shorter sequences"
