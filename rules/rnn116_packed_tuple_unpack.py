"""A packed sequence is unpacked into two names, and it has four parts.

## What it does
Reports `x, _ = pack_padded_sequence(...)`, and any other unpacking of a packed sequence into two or
three names.

## Why it matters
Until PyTorch 1.0 a packed sequence was a pair, of its data and its batch sizes. PyTorch 1.1 gave it
the indices that sort it and undo this, and the statement raises "too many values to unpack
(expected 2)" in PyTorch 2.13.

## Example
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

criterion = nn.CrossEntropyLoss()


def loss_of(scores, captions, lengths):
    scores, _ = pack_padded_sequence(scores, lengths, batch_first=True)
    targets, _ = pack_padded_sequence(captions, lengths, batch_first=True)
    return criterion(scores, targets)
```

## Use instead
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

criterion = nn.CrossEntropyLoss()


def loss_of(scores, captions, lengths):
    scores = pack_padded_sequence(scores, lengths, batch_first=True).data
    targets = pack_padded_sequence(captions, lengths, batch_first=True).data
    return criterion(scores, targets)
```

## When it stays silent
- It is unpacked into four names, or with a star.
- What is unpacked is what a layer returns, which is a pair: its output and its state.
- Whether it is packed depends on a test.

## Fix safety
The fix takes `.data`, where the other names are read nowhere. It is unsafe: code that was written
for PyTorch 1.0 wants a look.

## References
- [PackedSequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Applicability, Cause, Diagnostic, Level, Program, Rule, events, take_data


class PackedTupleUnpack(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.LENGTHS
    effect = "the run stops here: a packed sequence has four parts"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for note in program.chosen(events.PackedUsed):
            if note.how != "unpacked" or note.count not in (2, 3) or note.conditional:
                continue
            yield self.report(
                program,
                note.place,
                f"a packed sequence has four parts, and is unpacked into {note.count} names",
                help="take its data: pack_padded_sequence(...).data",
                trail=program.call_path(note),
                fix=take_data(program, note.place),
            )
