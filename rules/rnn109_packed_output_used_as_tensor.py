"""A packed sequence is used as if it were a tensor.

## What it does
Reports a packed batch, or the packed output of a recurrent layer, that is indexed along its axes,
is asked for a tensor's method such as `view` or `size`, is given to a layer such as `Linear` or
`Dropout`, or is packed once more.

## Why it matters
A layer that is given a packed sequence gives one back. It is no tensor: it has no axes, no
`size()` and no `view()`, and every such use raises an AttributeError or a TypeError in PyTorch
2.13. `pad_packed_sequence` makes the tensor of it, and `.data` all its steps in one axis.

## Example
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.lstm(packed)
        return self.fc(out)
```

## Use instead
```python
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 32, batch_first=True)
        self.fc = nn.Linear(32, 5)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = self.lstm(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(out)
```

## When it stays silent
- The output is unpacked first, or its `.data` is used.
- `packed[0]`, which is its data.
- Whether the sequence is packed, or how it is used, depends on a test.

## Fix safety
The fix unpacks the output in a statement behind the call of the layer, with the axes that the layer
has. It is unsafe: the padded output is longer than most of its sequences, and what reads its last
step reads zeros.

That is why it is offered for what uses each step for itself alone, a linear layer or `transpose`,
and not for an index, a mean over time or another layer. There is none for a batch that was packed
and not yet given to a layer, nor where the layer's call is no statement with a name for its output
in the same function.

## References
- [pad_packed_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html)
- [PackedSequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html)
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
    events,
    tensors,
    unpack_output,
    values,
)


class PackedOutputUsedAsTensor(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.LENGTHS
    effect = "the run stops here, for a packed sequence has no axes"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        unpacked = _unpacked(program)
        unsure = _unsure(program)
        for event, tensor, words in _uses(program):
            call = tensor.output_of
            if event.conditional or event.context.entry in unsure:
                continue
            if call is not None and call.place in unpacked:
                continue
            yield self.report(
                program,
                event.place,
                f"a packed sequence is no tensor, and {words}",
                help="unpack it first: pad_packed_sequence(output, batch_first=...)",
                trail=[
                    *([Step(call.place, "the packed output comes from here")] if call else []),
                    *program.call_path(event),
                ],
                fix=_fix(program, event, tensor),
            )


def _fix(program: Program, event: events.Event, tensor: values.Tensor) -> Fix | None:
    """The output is unpacked where each step is used for itself, and padding does no harm."""
    stepwise = isinstance(event, events.PackedUsed) and event.name in _STEPWISE
    if tensor.output_of is None or not stepwise:
        return None
    return unpack_output(program, tensor.output_of, event.place)


def _unpacked(program: Program) -> set[Place]:
    """Calls of layers whose output is unpacked somewhere: a test may decide where not."""
    return {
        call.place
        for packing in program.possible(Packing)
        if packing.unpacks
        for call in tensors.graph_of(packing.given)
    }


def _unsure(program: Program) -> set[int]:
    """Runs in which a test decides whether something is packed."""
    return {
        packing.context.entry
        for packing in program.possible(Packing)
        if packing.conditional or packing.hypothetical or packing.context.unlikely
    }


def _uses(program: Program) -> Iterator[tuple[events.Event, values.Tensor, str]]:
    """Where packed sequences are used, and how, in words."""
    for note in program.chosen(events.PackedUsed):
        if note.how != "unpacked":
            yield note, note.tensor, _WORDS[note.how].format(note.name)
    for packing in program.chosen(Packing):
        given = packing.given
        if not packing.unpacks and isinstance(given, values.Tensor) and given.packed:
            yield packing, given, "it is packed once more"


_WORDS = {
    "indexed": "it is indexed",
    "called": "it has no method {}",
    "given": "{} takes tensors alone",
}
_STEPWISE = frozenset("Linear LayerNorm size dim contiguous transpose permute relu tanh".split())
