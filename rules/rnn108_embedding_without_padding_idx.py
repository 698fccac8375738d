"""An embedding without `padding_idx` learns a vector for the padding of its batches.

## What it does
Follows padded ids through `nn.Embedding` to the recurrent layers that read its vectors, and
reports the embedding when it has no `padding_idx` and the padding reaches what is learnt: the
final state, the last step, a pooling, attention, the backward half of a bidirectional layer, a
loss that counts the padded steps, or, with padding in front, everything.

## Why it matters
Without `padding_idx` the row of padding starts at random and is trained like that of a word.

- It gets most of the gradient. In 20 random batches of 32 sentences of 3 to 30 tokens that are
  classified by the final state, the row of padding had 99 % of the squared norm of the gradient
  of the embedding under a GRU (median, PyTorch 2.13, fresh layers), 91 % under an LSTM and 70 %
  under bidirectional ones: clipping by the norm then leaves little for the words.
- It disturbs more. 20 steps of padding move the final state of an LSTM that has read 10 tokens by
  96 % of its norm if their vectors are zero, and by 182 % if they are drawn as PyTorch draws them.

It is rarely the reason why training fails. The network can learn to live with the row: in four
runs each, a GRU that tells from its final state which tokens prevail was right in 84 % of the
cases with `padding_idx` and in 84 % without. Nor does `padding_idx` keep a layer from running over
padding: packing does (RNN101).

## Example
```python
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD = 0


def collate(batch):
    texts, labels = zip(*batch)
    return pad_sequence(texts, batch_first=True, padding_value=PAD), torch.tensor(labels)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32)
        self.gru = nn.GRU(32, 64, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(128, 2)

    def forward(self, texts):
        steps, _ = self.gru(self.embedding(texts))
        return self.fc(steps.mean(dim=1))


def train(dataset):
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters())
    for texts, labels in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = nn.functional.cross_entropy(model(texts), labels)
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
    texts, labels = zip(*batch)
    return pad_sequence(texts, batch_first=True, padding_value=PAD), torch.tensor(labels)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, 64, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(128, 2)

    def forward(self, texts):
        steps, _ = self.gru(self.embedding(texts))
        return self.fc(steps.mean(dim=1))


def train(dataset):
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters())
    for texts, labels in DataLoader(dataset, batch_size=32, shuffle=True, collate_fn=collate):
        loss = nn.functional.cross_entropy(model(texts), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
```

Better still, pack the batch, so that the layer reads no padding at all.

## When it stays silent
- The padding was not seen, or the way from it to the layer was lost: unknown is no evidence.
- `padding_idx` is given, by keyword or position, or is not known.
- The batch is packed, or the vectors are masked, before a layer reads them.
- Only real steps are read of a layer that runs forwards, or its loss leaves padding out: the
  padding then comes too late to matter, and its row gets no gradient.
- The embedding learns nothing: `from_pretrained` freezes by default, `requires_grad = False`, or
  its vectors are detached. `padding_idx` would change nothing there.
- A row of the weight is written by hand (`weight.data[PAD] = 0`), or its gradient has a hook.
- The program pads with what it calls a token, `[EOS] * n`: that token has to be learnt.
- Nothing trains the layer.

## Fix safety
The fix passes `padding_idx=` where the embedding is built, by the name that the program has for the
id if this name is known there, or as a number. It is unsafe: a token with this id would not be
learnt any more, and a checkpoint of the old model brings its own row along.

There is none where the ids are padded with 0 and nothing says that 0 is no token, where the id is
not known or differs, where the weight is filled again afterwards and the row with it, and where the
embedding is a class of the project.

## References
- [torch.nn.Embedding](https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html),
  parameter `padding_idx`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rnnlint.api import (
    Applicability,
    Cause,
    Clip,
    Diagnostic,
    LayerCall,
    Level,
    Place,
    Program,
    Rule,
    Step,
    events,
    is_token,
    modules,
    reserve_row,
    values,
)


class _Finding(NamedTuple):
    """A layer that runs over the padding that an embedding looked up, and what that does."""

    embedding: values.Layer
    padding: values.Padding
    reached: Step


class EmbeddingWithoutPaddingIdx(Rule):
    level = Level.ADVICE
    fixable = Applicability.UNSAFE
    cause = Cause.PADDING
    effect = "the padding gets an embedding of its own, which is trained and read like a word"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for place, found in _findings(program).items():
            yield self.report(
                program,
                place,
                "this embedding has no padding_idx, so that padding is learnt like a word",
                help="keep an id for padding and pass it as padding_idx, so that its vector is "
                "zero and stays zero, or pack the batch",
                trail=[*found.padding.steps, found.reached],
                fix=reserve_row(program, found.embedding),
            )


def _findings(program: Program) -> dict[Place, _Finding]:
    """By where embeddings are built; where any of them keeps a row for padding, there is none."""
    found: dict[Place, _Finding] = {}
    keeping: set[Place] = set()
    for call in program.chosen(LayerCall):
        padding = call.input.padding
        embeddings = padding.embeddings if padding is not None else ()
        if padding is None or not embeddings or call.layer not in program.trained_by:
            continue
        words = _reached(program, call, padding)
        if words is None or is_token(program, padding):
            continue
        for embedding in embeddings:
            place = embedding.place
            if place is not None and _learns_padding(program, embedding):
                found.setdefault(place, _Finding(embedding, padding, Step(call.place, words)))
            elif place is not None:
                keeping.add(place)
    return {place: finding for place, finding in found.items() if place not in keeping}


def _reached(program: Program, call: LayerCall, padding: values.Padding) -> str | None:
    """How the padding reaches what is learnt, in words."""
    runs = f"this {call.layer.kind} runs over the padding"
    if padding.side == "left":
        return f"{runs} before it comes to a word"
    felt = program.feels_padding(call)
    if felt is None and program.counts_padding(call):
        felt = "its loss counts the padded steps"
    return None if felt is None else f"{runs}, and {felt}"


def _learns_padding(program: Program, embedding: values.Layer) -> bool:
    """Whether nothing keeps the row of padding from being trained like any other."""
    options = embedding.options
    given = options.get("padding_idx", values.NONE)
    if given != values.NONE or "padding_idx" in embedding.fields:
        return False
    if "embeddings" in options:  # from_pretrained
        frozen = options.get("freeze", values.TRUE)
        if values.default_truth(frozen) is not False:
            return False
    return not modules.may_be_frozen(embedding) and not _is_tended(program, embedding)


def _is_tended(program: Program, embedding: values.Layer) -> bool:
    """Whether the program writes single rows itself, or changes their gradient."""
    if any(init.parameter.part for init in program.inits_of(embedding)):
        return True
    if any(note.parameter.layer is embedding for note in program.possible(events.Adjusted)):
        return True
    hooks = (clip for clip in program.possible(Clip) if clip.name == "register_hook")
    return any(embedding in (hook.layers or ()) for hook in hooks)
