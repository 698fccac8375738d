"""An embedding with a padding row is filled with random numbers, and the row with it.

## What it does
Reports the initialisation of an `nn.Embedding` with `padding_idx` whose whole weight is filled at
random, directly or in a loop over all parameters, when nothing sets the row of padding to zero
again.

## Why it matters
`padding_idx=0` does two things: the row starts at zero, and it gets no gradient. `uniform_`,
`normal_` and their kin fill the row like any other, and then nothing ever moves it: in PyTorch 2.13
it had not changed by a single bit after 100 steps of Adam. Every padded position is now the same
random word. For sentences of 3 to 11 tokens that are padded to 30, the padding adds nothing to the
sum of the embeddings as long as the row is zero; after `uniform_(-0.1, 0.1)` it outweighs the
tokens 8.7 times in the median. Sums, means, convolutions, attention and recurrent layers that run
over padding all read it.

## Example
```python
import torch
from torch import nn

embedding = nn.Embedding(1000, 50, padding_idx=0)
nn.init.uniform_(embedding.weight, -0.1, 0.1)
lstm, head = nn.LSTM(50, 64, batch_first=True), nn.Linear(64, 2)
optimizer = torch.optim.Adam([*embedding.parameters(), *lstm.parameters(), *head.parameters()])
for _ in range(100):
    rows = [torch.randint(1, 1000, (n,)) for n in (4, 9, 25)]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    out, _ = lstm(embedding(ids))
    loss = nn.functional.cross_entropy(head(out.mean(1)), torch.randint(0, 2, (3,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

embedding = nn.Embedding(1000, 50, padding_idx=0)
nn.init.uniform_(embedding.weight, -0.1, 0.1)
nn.init.zeros_(embedding.weight[embedding.padding_idx])
lstm, head = nn.LSTM(50, 64, batch_first=True), nn.Linear(64, 2)
optimizer = torch.optim.Adam([*embedding.parameters(), *lstm.parameters(), *head.parameters()])
for _ in range(100):
    rows = [torch.randint(1, 1000, (n,)) for n in (4, 9, 25)]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    out, _ = lstm(embedding(ids))
    loss = nn.functional.cross_entropy(head(out.mean(1)), torch.randint(0, 2, (3,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- A row, or some rows, are written afterwards: `weight[pad].zero_()`, `weight.data[0] = 0`,
  `nn.init.zeros_(weight[pad])`.
- The weight is copied, assigned or loaded after that: pretrained vectors have a row of their own.
- Rows are filled that leave the padding out: `weight[1:]`.
- The project packs what recurrent layers run over, so that none of them reads padding.
- There is no `padding_idx`, or it is not known whether there is one.

## Fix safety
The fix zeroes the row behind the statement that fills it, and asks for `padding_idx` first where
the statement also fills other modules. It is safe: the row gets no gradient, so this is the value
that it had without the initialisation. There is no fix in a loop over parameters, which has no name
for the embedding.

## References
- [torch.nn.Embedding](https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html),
  parameter `padding_idx`
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    CannotPlaceError,
    Cause,
    Diagnostic,
    Fix,
    Init,
    LayerCall,
    Level,
    Load,
    Place,
    Program,
    Rule,
    Step,
    events,
    operations,
    values,
)

_RANDOM = re.compile(
    r"(xavier|kaiming)_(uniform|normal)|(trunc_|log_)?normal|uniform|orthogonal|exponential"
)
_WEIGHT = re.compile(r"([A-Za-z_][\w.]*(?:\[\w+\])?)\.weight(?:\.data)?")


class InitOverwritesPaddingRow(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.INITIALISATION
    effect = "the padding is a random word that is never trained, and it outweighs short sequences"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for init in program.chosen(Init):
            layer = init.parameter.layer
            if init.place in seen or not _fills_at_random(init) or not _has_padding(layer):
                continue
            if _is_mended(program, init) or _packs_all(program, init):
                continue
            seen.add(init.place)
            yield self.report(
                program,
                init.place,
                "this fills the row of padding with random numbers that no gradient ever moves",
                help="zero it again: nn.init.zeros_(embedding.weight[embedding.padding_idx])",
                trail=[Step(layer.place or init.place, "the embedding has a padding_idx")],
                fix=_fix(program, init.place),
            )


def _fills_at_random(init: Init) -> bool:
    parameter = init.parameter
    whole = parameter.layer.kind == "Embedding" and not parameter.part
    return whole and _RANDOM.fullmatch(init.how) is not None


def _has_padding(layer: values.Layer) -> bool:
    index = layer.options.get("padding_idx")
    return isinstance(index, values.Const) and index.value is not None


def _is_mended(program: Program, init: Init) -> bool:
    """Whether something else is written into the weight later, be it a row."""
    layer = init.parameter.layer
    later = [
        *program.inits_of(layer),
        *(note for note in program.of(events.Adjusted) if note.parameter.layer is layer),
        *(load for load in program.of(Load) if layer in load.layers and load.certain),
    ]
    return any(
        event.time > init.time and not event.hypothetical and init.goes_with(event)
        for event in later
    )


def _packs_all(program: Program, init: Init) -> bool:
    """Whether recurrent layers run over packed batches, and over padding nowhere.

    Other entry points of the project may run other models.
    """
    calls = program.of(LayerCall)
    own = [call for call in calls if call.context.entry == init.context.entry]
    given = [call.input for call in own or calls]
    padded = any(one.padding is not None and not one.packed for one in given)
    return any(one.packed for one in given) and not padded


def _fix(program: Program, call: Place) -> Fix | None:
    """Zeroes the row behind the statement that fills the weight."""
    code = program.code
    try:
        statement = code.statement(call)
        candidates = [code.receiver(call), code.argument(call, "tensor", 0)]
    except CannotPlaceError:
        return None
    texts = [code.text(one) for one in candidates if one is not None]
    names = [match[1] for match in map(_WEIGHT.fullmatch, texts) if match is not None]
    if not names or (statement.start, statement.end) != (call.start, call.end):
        return None
    name = names[0]
    lines = [f"{{torch.nn.init.zeros_}}({name}.weight[{name}.padding_idx])"]
    filled = [init.parameter.layer for init in program.possible(Init) if init.place == call]
    if any(layer.kind != "Embedding" for layer in filled):
        test = f"if isinstance({name}, {{torch.nn.Embedding}}) and {name}.padding_idx is not None:"
        lines = [test, f"    {lines[0]}"]
    elif not all(map(_has_padding, filled)):
        lines = [f"if {name}.padding_idx is not None:", f"    {lines[0]}"]
    change = operations.Insert(call.path, call.start, call.end, tuple(lines))
    return code.repair("zero the row of padding again", [change], Applicability.SAFE)
