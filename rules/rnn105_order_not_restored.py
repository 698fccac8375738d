"""A batch is sorted by length, and its outputs meet targets that were not.

## What it does
Follows a batch that is sorted by the lengths of its sequences, through packing and the layers, to
the loss. Reports the sort when the targets are still in the loader's order, and the index that
should restore the order when it is the permutation that sorted, and not the inverse of that.

## Why it matters
Each output is compared with the target of another sequence. Nothing raises, for all shapes are
right; the model learns how frequent the targets are and no more.

Measured with PyTorch 2.13: a GRU that tells four gestures apart from traces of 15 to 60 steps gets
25 % right after 4 epochs, which is chance, and 99 % once the batch is left in its order; each the
mean of three runs.

The sort is a leftover from before PyTorch 1.1, when `pack_padded_sequence` wanted the longest
sequence first. With `enforce_sorted=False` it sorts itself, and the layer restores the order of
the final states, as `pad_packed_sequence` does that of the outputs.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    traces, labels = zip(*batch)
    lengths = torch.tensor([len(trace) for trace in traces])
    return pad_sequence(traces, batch_first=True), lengths, torch.stack(labels)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x, lengths):
        lengths, order = lengths.sort(descending=True)
        packed = pack_padded_sequence(x[order], lengths, batch_first=True)
        _, hidden = self.gru(packed)
        return self.fc(hidden[-1])


def train(dataset):
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for x, lengths, y in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = criterion(model(x, lengths), y)
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
    traces, labels = zip(*batch)
    lengths = torch.tensor([len(trace) for trace in traces])
    return pad_sequence(traces, batch_first=True), lengths, torch.stack(labels)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, hidden = self.gru(packed)
        return self.fc(hidden[-1])


def train(dataset):
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters())
    for x, lengths, y in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = criterion(model(x, lengths), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
```

## When it stays silent
- The order is restored by the inverse: `order.argsort()`, or the second result of `order.sort()`.
- The targets are sorted by the same permutation, or the whole batch is sorted in the collate
  function, before it is taken apart.
- The outputs are put into another order by an index that was not traced.
- The lengths are sorted already, or come from where their order was not seen.

## Fix safety
The fix takes the sort away, and every index by its permutation, and passes `enforce_sorted=False`
where the batch is packed: in the same function, or where what a collate function sorts arrives. It
is unsafe: code elsewhere may count on the order of what the function returns.

There is no fix where the permutation is used for more than to index, where the longest length is
taken from the front of the sorted ones, or where it is not seen where the batch is packed.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html),
  parameter `enforce_sorted`
- [pad_packed_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    LossComputed,
    Place,
    Program,
    Rule,
    Step,
    leave_unsorted,
    tensors,
    values,
)


class OrderNotRestored(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.LENGTHS
    effect = (
        "each output is compared with the target of another sequence, so the model learns how "
        "frequent the targets are and no more"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for loss in program.chosen(LossComputed):
            steps = _sorted_by(loss.prediction)
            if not steps or steps[-1].place in seen or not _is_as_loaded(loss.target):
                continue
            if not any(
                call.layer in program.trained_by for call in tensors.graph_of(loss.prediction)
            ):
                continue
            seen.add(steps[-1].place)
            yield self.report(
                program,
                steps[-1].place,
                _message(steps),
                help="pass enforce_sorted=False to pack_padded_sequence and sort nothing, or "
                "restore the order with the inverse: output[order.argsort()]",
                trail=[
                    *steps,
                    *program.call_path(loss),
                    Step(loss.place, "the targets are in the order of the loader"),
                ],
                fix=leave_unsorted(program, steps[0].place),
            )


def _sorted_by(prediction: values.Value) -> values.Provenance:
    """The sorts that every alternative of a prediction went through."""
    found = {
        member.sorted_by if isinstance(member, values.Tensor) else ()
        for member in values.members(prediction)
    }
    return found.pop() if len(found) == 1 else ()


def _is_as_loaded(target: values.Value) -> bool:
    """Whether targets surely are in the order in which the loader gave them."""
    return all(
        isinstance(member, values.Tensor) and member.order == "arbitrary" and not member.sorted_by
        for member in values.members(target)
    )


def _message(steps: values.Provenance) -> str:
    if len(steps) > 1:
        return (
            "the permutation that sorted the batch does not restore its order: outputs and "
            "targets are of different sequences"
        )
    return (
        "the batch is sorted by length and its targets are not: outputs and targets are of "
        "different sequences"
    )
