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
The fix passes `lengths.cpu()`, and is safe: that does nothing to a tensor which is on the CPU
already. A move to the accelerator in the call itself is taken back instead. `.cpu()` waits for the
accelerator, so it costs less not to move the lengths in the first place.

The fix is unsafe where the same call also gets lengths of which nothing is known, for they could
be a list. There is none where they are a list, or where arguments come in a dictionary.

## References
- [PyTorch issue 43227](https://github.com/pytorch/pytorch/issues/43227)
- [PyTorch issue 16542](https://github.com/pytorch/pytorch/issues/16542)
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
    Packing,
    Place,
    Program,
    Rule,
    operations,
    values,
)

_LENGTHS = 1
"""Its position among the arguments."""
_MOVED = re.compile(
    r"(.*)\.(?:cuda\([^()]*\)|to\([\w.:'\"]*(?:device|cuda|gpu)[\w.:'\"]*\))", re.DOTALL
)
"""A tensor that is moved where it stands; the group is the tensor."""
_TIGHT = re.compile(r"[A-Za-z_][\w.]*(?:[\[(][^\[\]()]*[\])]|\.\w+)*")
"""An expression behind which a method can be called without parentheses."""


class LengthsOnGpu(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.LENGTHS
    effect = "the run stops at the first batch on a GPU, and works on a machine without one"

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
                    fix=_fix(program, packing.place),
                )


def _fix(program: Program, call: Place) -> Fix | None:
    code = program.code
    kinds = {_kind(event.lengths) for event in program.possible(Packing) if event.place == call}
    if "other" in kinds:
        return None
    try:
        lengths = None if code.spreads(call) else code.argument(call, "lengths", _LENGTHS)
    except CannotPlaceError:
        return None
    if lengths is None:
        return None
    text = code.text(lengths)
    moved = _MOVED.fullmatch(text)
    tensor = moved[1] if moved is not None else text
    if not _TIGHT.fullmatch(tensor):
        tensor = f"({tensor})"
    change = operations.Replace(lengths.path, lengths.start, lengths.end, f"{tensor}.cpu()")
    applicability = Applicability.UNSAFE if "unknown" in kinds else Applicability.SAFE
    return code.repair("take the lengths to the CPU", [change], applicability)


def _kind(lengths: values.Value) -> str:
    if isinstance(lengths, values.Tensor):
        return "tensor"
    return "unknown" if isinstance(lengths, values.Unknown) else "other"
