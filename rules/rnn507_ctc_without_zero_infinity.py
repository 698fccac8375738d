"""A CTC loss becomes infinite at one impossible sequence, and takes the network with it.

## What it does
Reports an `nn.CTCLoss` without `zero_infinity=True`, or a call of `ctc_loss` without it, whose
log-probabilities come from a recurrent layer.

## Why it matters
CTC needs at least one step of output for each label, and one more between equal labels. A sequence
with fewer has no alignment at all: its loss is infinite and its gradient is NaN. Subsampling in
front of the layer, or one long transcript in the data, is enough. In PyTorch 2.13, of a batch of
32 one such sequence made the loss infinite, and one step of Adam turned every one of the 1,749
weights of a small LSTM into NaN; clipping the gradients did not help, for their norm is NaN too.
With `zero_infinity=True` that sequence counts 0, and the others train. Of 149 settled threads of
people whose recurrent network did not train, 13 were about the loss, this one among them.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(8, 32), nn.Linear(32, 5)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
ctc = nn.CTCLoss(blank=0)
for _ in range(100):
    scores = head(lstm(torch.randn(20, 4, 8))[0]).log_softmax(2)
    targets, sizes = torch.randint(1, 5, (4, 6)), torch.full((4,), 6)
    loss = ctc(scores, targets, torch.full((4,), 20), sizes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(8, 32), nn.Linear(32, 5)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
for _ in range(100):
    scores = head(lstm(torch.randn(20, 4, 8))[0]).log_softmax(2)
    targets, sizes = torch.randint(1, 5, (4, 6)), torch.full((4,), 6)
    loss = ctc(scores, targets, torch.full((4,), 20), sizes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Count the sequences that are left out, or drop them from the data: many of them mean that the
network subsamples too much, or that the lengths are wrong.

## When it stays silent
- `zero_infinity` is True, or an option that the user can switch on.
- The program tests for infinity or NaN in the same run: the loss, or the norm of the gradients.
- The losses are not reduced, so that the program can choose among them.
- No recurrent layer leads to the loss, or nothing is trained with it.
- The loss is of another library, such as warp-ctc.

## Fix safety
The fix passes `zero_infinity=True`. It is unsafe: sequences with an infinite loss are then left
out in silence, and that may hide lengths that are wrong. There is no fix where the arguments are
not written out, or where a class of the project inherits from the loss.

## References
- [torch.nn.CTCLoss](https://pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html), parameter
  `zero_infinity`
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
    LossComputed,
    Place,
    Program,
    Rule,
    Step,
    events,
    tensors,
    values,
)

_POSITION_OF_CLASS = 2
_POSITION_OF_FUNCTION = 6


class CtcWithoutZeroInfinity(Rule):
    level = Level.WARNING
    fixable = Applicability.UNSAFE
    cause = Cause.LOSS
    effect = (
        "one sequence that is too short for its labels turns the loss infinite and every weight "
        "into NaN"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        tested = {note.context.entry for note in program.possible(events.FinitenessTested)}
        seen: set[Place] = set()
        for loss in program.of(LossComputed):
            where = loss.criterion.place if loss.criterion is not None else loss.place
            calls = tensors.graph_of(loss.prediction)
            if where is None or where in seen or not calls or not _lets_infinity_through(loss):
                continue
            if loss.context.entry in tested:
                continue
            seen.add(where)
            trail = [Step(min(calls, key=lambda call: call.time).place, "the network runs here")]
            if where != loss.place:
                trail.append(Step(loss.place, "the loss is computed here"))
            yield self.report(
                program,
                where,
                "one target longer than its output makes this loss infinite, and its gradient NaN",
                help="pass zero_infinity=True, and check that outputs are as long as their targets",
                trail=trail,
                fix=_fix(program, loss, where),
            )


def _lets_infinity_through(loss: LossComputed) -> bool:
    if loss.kind != "CTCLoss" or loss.options.get("reduction") == values.Const("none"):
        return False
    given = loss.options.get("zero_infinity", values.FALSE)
    return isinstance(given, values.Const) and not given.value and not given.option


def _fix(program: Program, loss: LossComputed, call: Place) -> Fix | None:
    code, built = program.code, loss.criterion
    if built is not None and call in built.stack:
        return None  # a class of the project may do more with its arguments
    position = _POSITION_OF_FUNCTION if built is None else _POSITION_OF_CLASS
    try:
        change = code.with_argument(call, "zero_infinity", position, "True", over="False")
    except CannotPlaceError:
        return None
    return code.repair("pass zero_infinity=True", [change], Applicability.UNSAFE)
