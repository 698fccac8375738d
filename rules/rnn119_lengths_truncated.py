"""Relative lengths become whole numbers without being rounded, and some lose a step.

## What it does
Reports lengths that are shares of the longest sequence, are multiplied with the padded length
again, and become integers by `.int()`, `.long()`, `.to(torch.int64)` or `int()` with no rounding,
on their way to `pack_padded_sequence` or to a mask. `pack_padded_sequence` itself cuts off what
follows the point, so floats that reach it are reported at its call.

## Why it matters
A share is not kept exactly: 13 steps of 22 come back as 12.999999 and are cut to 12. Over all
lengths up to 1000 and all numbers of steps in them, float32 loses the last step of 18,999 of
500,500, one in 26; rounded, it loses none. Each time the sequence loses its last step: the final
state is the one before, and the mask hides a real step. Nothing raises, and the same recording
has another length in another batch.

That last step is no detail where a layer summarises the sequence: without it, the final state of a
freshly built LSTM of 32 units over 13 random steps moves by 0.77 of its own norm (measured, mean
of 20 seeds).

## Example
```python
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


def collate(batch):
    lengths = torch.tensor([len(x) for x in batch])
    return pad_sequence(batch, batch_first=True), lengths / lengths.max()


def pack(batch):
    x, shares = collate(batch)
    lengths = (shares * x.size(1)).long()
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
```

## Use instead
```python
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


def collate(batch):
    lengths = torch.tensor([len(x) for x in batch])
    return pad_sequence(batch, batch_first=True), lengths / lengths.max()


def pack(batch):
    x, shares = collate(batch)
    lengths = (shares * x.size(1)).round().long()
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
```

Where nothing else wants shares, keep the lengths as they are: integers lose nothing.

## When it stays silent
- They are rounded: `round`, `ceil`, `floor`, `+ 0.5`.
- The lengths were integers all the way: `lengths // 4`, `torch.div(lengths, 2,
  rounding_mode="floor")`, a mask's sum, `.long()` for the type alone.
- They are divided or multiplied by a ratio of two sizes: how many steps a subsampling layer leaves.
- The whole numbers reach neither packing nor a mask. A mask is only reported where it was seen how
  the lengths became shares; in packing, what is multiplied with the padded length has to be one,
  because sequences cannot be longer than that.

## Fix safety
The fix rounds before the conversion: `.round()`, or `+ 0.5` inside `int()`. It is safe: what was
whole stays what it is, and no length changes by more than the step that it lost. There is no fix
where the conversion is part of building a tensor, or lies in packing and the lengths are a list.

## References
- [SpeechBrain's lengths](https://speechbrain.readthedocs.io/en/latest/API/speechbrain.dataio.batch.html),
  relative to the longest of the batch
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Fix,
    Level,
    Packing,
    Place,
    Program,
    Rule,
    Step,
    lengths,
    round_lengths,
    round_packed_lengths,
    values,
)


class LengthsTruncated(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.LENGTHS
    effect = "some sequences lose their last step, others in each batch, and nothing raises"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for event, given in program.lengths_told("mask"):
            relative = lengths.relative_of(given)
            if relative is None or not relative.steps or relative.repeated:
                continue
            packs = isinstance(event, Packing)
            if not packs and (relative.presumed or relative.cut is None):
                continue
            place = relative.cut or event.place
            if place in seen:
                continue
            seen.add(place)
            used = "packed by these lengths" if packs else "masked by these lengths"
            yield self.report(
                program,
                place,
                "these lengths are shares of the padded length, and cutting off what follows the "
                "point takes the last step of some sequences",
                help="round them: (shares * steps).round().long()",
                trail=[*relative.steps, Step(event.place, used), *program.call_path(event)],
                fix=_fix(program, given, relative.cut, event.place),
            )


def _fix(program: Program, given: values.Value, cut: Place | None, use: Place) -> Fix | None:
    if cut is not None:
        return round_lengths(program, cut)
    return None if isinstance(given, values.ListObject) else round_packed_lengths(program, use)
