"""Under DataParallel, each replica unpacks to the longest sequence of its own part of the batch.

## What it does
Reports `pad_packed_sequence` without `total_length` in a module that the project wraps in
`nn.DataParallel`, when the module returns steps of what was unpacked.

## Why it matters
DataParallel splits the batch, runs each part on its own device and joins the outputs again.
`pad_packed_sequence` pads to the longest sequence that it is given, so each part comes back with
another number of steps. Where the longest sequences of two parts differ, joining them raises, and
so does everything that expects the steps of the whole batch; on one device the same code runs.

## Example
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 32, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return out


def encode(x, lengths):
    return nn.DataParallel(Encoder())(x, lengths)
```

## Use instead
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 32, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True, total_length=x.size(1))
        return out


def encode(x, lengths):
    return nn.DataParallel(Encoder())(x, lengths)
```

## When it stays silent
- `total_length` is given, by name or by position, or arguments are not written out.
- Only sums, means or single steps of the output leave the module.
- The module is not called through DataParallel, or only where a constant of the program would
  have to be changed first. DistributedDataParallel runs on whole batches.

## Fix safety
The fix passes the number of steps that the padded batch has: `total_length=x.size(1)`, or
`x.size(0)` where `pack_padded_sequence` is not told `batch_first=True`. Where the name of the
batch is used again in between, as in `x = pack_padded_sequence(x, lengths)`, its steps are counted
before.

It is safe where `pad_sequence` pads the batch: there the longest sequence fills it, and on one
device nothing changes. A batch that is padded further keeps all of its steps, and code that counts
on fewer wants a look, so there it is unsafe. There is no fix where the batch is packed in another
function, in more than one place, or in a layout that is not known.

## References
- [My recurrent network does not work with data parallelism](https://pytorch.org/docs/stable/notes/faq.html#my-recurrent-network-doesn-t-work-with-data-parallelism)
- [pad_packed_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html),
  parameter `total_length`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    CannotPlaceError,
    Cause,
    Diagnostic,
    Level,
    Packing,
    Place,
    Program,
    Rule,
    Step,
    events,
    give_total_length,
    tensors,
)

_TOTAL_LENGTH = 3
"""Its position among the arguments."""


class MissingTotalLength(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.LENGTHS
    effect = (
        "the run stops, or steps are lost, as soon as the parts of a batch have different "
        "longest sequences"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        replicated = {
            note.place: {
                call.place
                for tensor in tensors.tensors_in(note.result)
                if tensor.padding is not None
                for call in tensor.calls
            }
            for note in program.of(events.Replicated)
        }
        seen: set[Place] = set()
        for packing in program.of(Packing):
            unpacked = {call.place for call in tensors.graph_of(packing.given)}
            around = [
                place
                for place in packing.context.stack
                if not unpacked.isdisjoint(replicated.get(place, ()))
            ]
            if not packing.unpacks or not around or packing.place in seen:
                continue
            if _has_total_length(program, packing.place):
                continue
            seen.add(packing.place)
            yield self.report(
                program,
                packing.place,
                "each replica of DataParallel unpacks to the longest sequence of its own part, "
                "and the parts do not fit together",
                help="pass the length of the whole batch: total_length=x.size(1) where the batch "
                "is first",
                trail=[
                    Step(around[-1], "DataParallel runs the module here"),
                    *program.call_path(packing),
                ],
                fix=give_total_length(program, packing),
            )


def _has_total_length(program: Program, call: Place) -> bool:
    try:
        if program.code.spreads(call):
            return True
        return program.code.argument(call, "total_length", _TOTAL_LENGTH) is not None
    except CannotPlaceError:
        return True
