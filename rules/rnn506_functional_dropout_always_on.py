"""A module calls `F.dropout` without `training=`, so it drops out in evaluation too.

## What it does
Reports calls of `torch.nn.functional.dropout` and its kin inside the `forward` of a module, or in
what that calls, where nothing tells the function whether the module is in training.

## Why it matters
`nn.Dropout` follows `model.train()` and `model.eval()`. The function does not: its `training` is
True unless the call says otherwise. After `model.eval()`, `F.dropout(x, 0.5)` still sets half of
the values to zero, 0.50 of 10,000 in PyTorch 2.13. Validation losses are noisy and too high, early
stopping and plateau schedules react to the noise, and the same input gives another prediction each
time. With a recurrent layer behind it, each step loses other values, and the state carries what
went wrong to the end of the sequence.

## Example
```python
import torch
import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(F.dropout(out, 0.5))


tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters())
for _ in range(100):
    scores = tagger(torch.randn(20, 8, 4)).flatten(0, 1)
    loss = F.cross_entropy(scores, torch.randint(0, 5, (160,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(F.dropout(out, 0.5, training=self.training))


tagger = Tagger()
optimizer = torch.optim.Adam(tagger.parameters())
for _ in range(100):
    scores = tagger(torch.randn(20, 8, 4)).flatten(0, 1)
    loss = F.cross_entropy(scores, torch.randint(0, 5, (160,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## When it stays silent
- `training` is given, by keyword or by position, whatever its value: `training=True` says that
  dropout is wanted always, as in Monte Carlo dropout.
- The call stands behind a test of the mode, `if self.training:` or a flag such as `train`.
- The probability is 0.
- No `forward` of a module leads to the call: augmentation and exploration may drop out as they
  like.
- It is a module, `nn.Dropout`.

## Fix safety
The fix adds `training=self.training`. It is safe: training goes on as it did, and evaluation no
longer drops out. It is offered where the call stands in a method of the module itself; elsewhere
there is no `self` to ask.

## References
- [torch.nn.functional.dropout](https://pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html),
  parameter `training`
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Fix,
    Level,
    Place,
    Program,
    Rule,
    Step,
    events,
    modules,
    operations,
    values,
)

_MODE = re.compile(r"train|eval|infer|predict|test", re.IGNORECASE)
_MODE_TEST = re.compile(r"\b(?:el)?if\b[^\n]*(?:train|eval|infer|predict|test)", re.IGNORECASE)


class FunctionalDropoutAlwaysOn(Rule):
    level = Level.ERROR
    fixable = Applicability.SAFE
    cause = Cause.DROPOUT
    effect = (
        "evaluation is random and too pessimistic, and whatever follows it (early stopping, "
        "schedules, the choice of a checkpoint) follows noise"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for note in program.of(events.DroppedOut):
            if note.place in seen or note.forward is None or not _is_always_on(program, note):
                continue
            seen.add(note.place)
            yield self.report(
                program,
                note.place,
                "this drops out in evaluation too: without training= the function knows nothing "
                "of model.eval()",
                help="pass training=self.training, or use nn.Dropout",
                trail=[Step(_name_of(note.forward), "this forward leads to it in either mode")],
                fix=_fix(program, note),
            )


def _is_always_on(program: Program, note: events.DroppedOut) -> bool:
    """Whether nothing at the call, or on the way to it, asks for the mode."""
    if "training" in note.options or _may_be_zero(note.options.get("p")):
        return False
    asked = [place for place, arm in note.context.conditions if arm >= 0]
    if any(_MODE.search(program.code.text(place)) for place in asked):
        return False
    return note.function is None or not _MODE_TEST.search(_text_before(program, note))


def _may_be_zero(rate: values.Value | None) -> bool:
    """Whether a probability is 0 for all that the code says; an option may be set."""
    zeros = [
        member
        for member in (values.members(rate) if rate is not None else ())
        if isinstance(member, values.Const) and not member.value
    ]
    return any(not zero.option for zero in zeros)


def _text_before(program: Program, note: events.DroppedOut) -> str:
    """The code of the function up to the call: an early return may stand there."""
    if note.function is None:
        return ""
    name = _name_of(note.function)
    return program.code.text(Place(name.path, name.start, max(name.start, note.place.start)))


def _name_of(function: values.Function) -> Place:
    return Place(function.module.path, function.node.start, function.node.end)


def _fix(program: Program, note: events.DroppedOut) -> Fix | None:
    """Tells the function the mode of the module in whose method it is called."""
    function = note.function
    if function is None or function.kind or function.owner is None or not function.node.params:
        return None
    if not modules.is_module_class(function.owner):
        return None
    itself = function.node.params[0].name
    call = note.place
    change = operations.SetArgument(
        call.path, call.start, call.end, "training", f"{itself}.training"
    )
    message = f"pass training={itself}.training"
    return program.code.repair(message, [change], Applicability.SAFE)
