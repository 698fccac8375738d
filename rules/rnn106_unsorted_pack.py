"""`pack_padded_sequence` is told that its batch is sorted by length, and nothing sorts it.

## What it does
Reports calls of `pack_padded_sequence` that leave `enforce_sorted` at `True` while the lengths
come, in plain sight, in the order of the batch: no sort in the collate function, in the model
or in the iterator.

## Why it matters
With unsorted lengths PyTorch raises `RuntimeError: lengths array must be sorted in decreasing
order when enforce_sorted is True`. A batch that happens to be sorted goes through, so the run
may die in the middle of an epoch.

Sorting by hand is no longer needed. With `enforce_sorted=False` PyTorch sorts inside, and
both the initial and the final states are in the order of the batch. The flag is only needed
for an export to ONNX.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    return pad_sequence(batch, batch_first=True), [len(x) for x in batch]


gru = nn.GRU(4, 8, batch_first=True)
optimizer = torch.optim.Adam(gru.parameters())
rows = [torch.randn(n, 4) for n in (7, 3, 9, 5)]
for x, lengths in DataLoader(rows, batch_size=2, shuffle=True, collate_fn=collate):
    packed = pack_padded_sequence(x, lengths, batch_first=True)
    _, h = gru(packed)
    optimizer.zero_grad()
    h.pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    return pad_sequence(batch, batch_first=True), [len(x) for x in batch]


gru = nn.GRU(4, 8, batch_first=True)
optimizer = torch.optim.Adam(gru.parameters())
rows = [torch.randn(n, 4) for n in (7, 3, 9, 5)]
for x, lengths in DataLoader(rows, batch_size=2, shuffle=True, collate_fn=collate):
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, h = gru(packed)
    optimizer.zero_grad()
    h.pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- `enforce_sorted=False`, by keyword, by position or through a `partial`.
- The batch, the dataset or the lengths are sorted anywhere on the way: `sort`, `sorted`,
  `argsort`, `sort_within_batch=True`.
- All lengths are the same, or the batch is one sequence.
- Where the lengths come from was not seen.

## Fix safety
The fix passes `enforce_sorted=False` and is safe: a sorted batch gives the same result, another no
longer raises. There is no fix where arguments come in a dictionary, or where a variable decides
about the order.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html),
  parameter `enforce_sorted`
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
    values,
)

_ENFORCE_SORTED = 3
"""Its position among the arguments."""


class UnsortedPack(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.LENGTHS
    effect = "the run stops at the first batch that does not happen to be sorted"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for packing in program.chosen(Packing):
            enforced = packing.enforce_sorted
            if packing.unpacks or not isinstance(enforced, values.Const) or not enforced.value:
                continue
            if _order(packing.lengths) == "arbitrary":
                yield self.report(
                    program,
                    packing.place,
                    "the lengths are in the loader's order, but enforce_sorted is left True "
                    "and wants them in descending order",
                    help="pass enforce_sorted=False: PyTorch sorts and restores the order itself",
                    trail=program.call_path(packing),
                    fix=_fix(program, packing.place),
                )


def _fix(program: Program, call: Place) -> Fix | None:
    code = program.code
    try:
        change = code.with_argument(call, "enforce_sorted", _ENFORCE_SORTED, "False", over="True")
    except CannotPlaceError:
        return None
    return code.repair("pass enforce_sorted=False", [change], Applicability.SAFE)


def _order(lengths: values.Value) -> str:
    if isinstance(lengths, values.Tensor):
        return lengths.order if lengths.lengths else ""
    if isinstance(lengths, values.ListObject):
        items = lengths.fields["items"] or ()
        written = [number for item in items if (number := values.integer(item)) is not None]
        if written and len(written) == len(items):
            return "sorted" if written == sorted(written, reverse=True) else "arbitrary"
        return str(lengths.fields["order"])
    return ""
