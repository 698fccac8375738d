"""The lengths for `pack_padded_sequence` live on an accelerator, and it wants them on the CPU.

## What it does
Follows lengths to `pack_padded_sequence` and reports the call when they were moved to an
accelerator, made there, or counted from a tensor that lives there.

## Why it matters
The call raises `RuntimeError: 'lengths' argument should be a 1D CPU int64 tensor`. The usual
cause is a loop that moves everything in the batch, with the packing in another file. On a
machine without a GPU the same code runs, so tests do not see it.

It is among the most reported surprises of PyTorch's recurrent layers, and downstream projects
meet it again and again.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[1][0][-1]


def collate(batch):
    return pad_sequence(batch, batch_first=True), torch.tensor([len(x) for x in batch])


device = torch.device("cuda")
encoder = Encoder().to(device)
optimizer = torch.optim.Adam(encoder.parameters())
rows = [torch.randn(n, 4) for n in (7, 3, 9, 5)]
for x, lengths in DataLoader(rows, batch_size=2, collate_fn=collate):
    x, lengths = x.to(device), lengths.to(device)
    optimizer.zero_grad()
    encoder(x, lengths).pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 8, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[1][0][-1]


def collate(batch):
    return pad_sequence(batch, batch_first=True), torch.tensor([len(x) for x in batch])


device = torch.device("cuda")
encoder = Encoder().to(device)
optimizer = torch.optim.Adam(encoder.parameters())
rows = [torch.randn(n, 4) for n in (7, 3, 9, 5)]
for x, lengths in DataLoader(rows, batch_size=2, collate_fn=collate):
    x, lengths = x.to(device), lengths.to(device)
    optimizer.zero_grad()
    encoder(x, lengths).pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- The lengths come back by `.cpu()`, `.to("cpu")`, `.tolist()` or numpy, in whatever file.
- They are a list, or nobody moves them.
- The device is the CPU, or is not known.

## Fix safety
There is no automatic fix yet. Adding `.cpu()` at the call is safe: it does nothing to a tensor
that is on the CPU already. It waits for the GPU when the tensor is not, so it costs less not to
move the lengths in the first place.

## References
- [PyTorch issue 43227](https://github.com/pytorch/pytorch/issues/43227)
- [PyTorch issue 16542](https://github.com/pytorch/pytorch/issues/16542)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Packing, Program, Rule, values


class LengthsOnGpu(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for packing in program.chosen(Packing):
            lengths = packing.lengths
            if packing.unpacks or not isinstance(lengths, values.Tensor):
                continue
            if lengths.device == "gpu":
                yield self.report(
                    program,
                    packing.place,
                    "the lengths are on the accelerator; pack_padded_sequence wants them on the "
                    "CPU and raises",
                    help="pass lengths.cpu()",
                    trail=[*lengths.device_steps, *program.call_path(packing)],
                )
