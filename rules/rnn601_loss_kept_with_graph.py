"""A running sum of losses keeps the graph of every iteration.

## What it does
Reports `total += loss`, and `total = total + loss`, where the sum goes on from one iteration to
the next, the loss hangs on the graph of a recurrent layer, and no backward pass can be meant for
the sum: one has run on the loss itself, or the model has been switched to evaluation.

## Why it matters
The sum is a tensor that leads to every loss that went into it, and each of them to the graph that
made it. After a backward pass that is little, for the pass has freed what was saved for it. Where
none has run, as in a validation loop without `no_grad`, it is everything that every layer computed.

Measured with PyTorch 2.13 on a CPU: an LSTM of 128 units over batches of 32 sequences of 50 steps.

| loop | after 20 batches | after 220 |
|---|---|---|
| training, sum of numbers | 343 MB | 343 MB |
| training, sum of losses | 350 MB | 353 MB |
| evaluation, sum of losses | 438 MB | 1602 MB |
| evaluation, sum of numbers | 347 MB | 336 MB | |

So a validation loop grows by 6 MB with each of these small batches, and fails at last for want of
memory, far from its cause.

## Example
```python
import torch
from torch import nn

gru = nn.GRU(4, 8)
optimizer = torch.optim.Adam(gru.parameters())
total = 0
for _ in range(100):
    loss = gru(torch.randn(35, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss
print(total / 100)
```

## Use instead
```python
import torch
from torch import nn

gru = nn.GRU(4, 8)
optimizer = torch.optim.Adam(gru.parameters())
total = 0
for _ in range(100):
    loss = gru(torch.randn(35, 2, 4))[0].pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total += loss.item()
print(total / 100)
```

## When it stays silent
- The number is added: `loss.item()`, `float(loss)`, `loss.detach()`.
- The losses of the steps of a sequence, of several heads, or of several batches are summed for one
  backward pass.
- Autograd is off: `no_grad`, `inference_mode`.
- What becomes of the sum cannot be seen.

## Fix safety
The fix is safe. It adds `loss.item()` where the sum is only calculated with, and `loss.detach()`
where the function returns something, or the sum is used as a tensor: `total.item()`. There is no
fix where it is not clear which of several names is the loss.

## References
- [Frequently asked questions](https://pytorch.org/docs/stable/notes/faq.html): my model reports
  "cuda runtime error(2): out of memory"
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rnnlint.api import (
    Accumulated,
    Applicability,
    Backward,
    CannotPlaceError,
    Cause,
    Diagnostic,
    Fix,
    Level,
    LossComputed,
    Mode,
    Program,
    Rule,
    Step,
    operations,
    tensors,
    values,
)

NUMBERS = re.compile(r"\b(item|float|detach|data|numpy|no_grad|tolist)\b")
NAMES = re.compile(r"[A-Za-z_][\w.]*")
Loops = tuple[tuple[values.Place, int, int], ...]


class LossKeptWithGraph(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.LOOP
    effect = "memory grows with every iteration until the run dies"

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for note, number in _carried(program):
            if note.place in found or NUMBERS.search(program.code.text(note.operand)):
                continue
            step = _trained(program, note, number) or _evaluated(program, note, number)
            if step is None:
                continue
            found.add(note.place)
            yield self.report(
                program,
                note.place,
                "this sum keeps the graph of every iteration",
                help="add the number alone: loss.item()",
                trail=[step],
                fix=_number(program, note),
            )


def _carried(program: Program) -> Iterator[tuple[Accumulated, int]]:
    """Sums that go on from one turn of a loop to the next, each with its innermost loop."""
    begun: set[tuple[values.Place, int]] = set()
    for note in program.chosen(Accumulated):
        _, number, turn = note.loops[-1]
        if not tensors.graph_of(note.before):
            begun.add((note.place, number))
        elif turn > 0 and (note.place, number) in begun:
            yield note, number


def _trained(program: Program, note: Accumulated, number: int) -> Step | None:
    """A backward pass on what is added, after which none can run on the sum."""
    added = set(NAMES.findall(program.code.text(note.operand)))
    total = program.code.text(note.total)
    for event in program.events_in_loop(number):
        if not isinstance(event, Backward) or event.place.path != note.place.path:
            continue
        names = set(NAMES.findall(program.code.text(event.place)))
        names |= {name.rpartition(".")[0] for name in names}
        same = _turn(event.loops, number) == _turn(note.loops, number)
        if same and names & added and total not in names and not event.retains_graph:
            return Step(event.place, "a backward pass runs on what is added")
    return None


def _evaluated(program: Program, note: Accumulated, number: int) -> Step | None:
    """What switched the model to evaluation, where nothing is trained."""
    losses = [tensor.loss for tensor in tensors.tensors_in(note.added)]
    if program.loader_of(number) is None or not all(isinstance(n, LossComputed) for n in losses):
        return None
    if any(isinstance(event, Backward) for event in program.events_in_loop(number)):
        return None
    layers = {call.layer for call in tensors.graph_of(note.added)}
    modes = [
        mode
        for mode in program.possible(Mode)
        if mode.number < note.number
        and mode.context.entry == note.context.entry
        and mode.layers & layers
    ]
    if modes and modes[-1].training is False:
        return Step(modes[-1].place, "the model is evaluated, and autograd is on")
    return None


def _turn(loops: Loops, number: int) -> int:
    return next((turn for _, known, turn in loops if known == number), -1)


# --- the repair ------------------------------------------------------------

_LOSS = re.compile(
    r"(?:(?P<factor>[\w.()]+)\s*\*\s*)?(?P<loss>[A-Za-z_]\w*)(?P<rest>\s*[*/]\s*[\w.()\[\], ]+)?"
)


def _number(program: Program, note: Accumulated) -> Fix | None:
    place = note.operand
    match = _LOSS.fullmatch(program.code.text(place))
    if match is None or (match["factor"] and match["rest"]) or "loss" not in match["loss"].lower():
        return None
    try:
        kind = "detach" if _is_read_as_tensor(program, note) else "item"
    except CannotPlaceError:
        return None
    start = place.start + match.start("loss")
    name = match["loss"]
    return program.code.repair(
        f"add {name}.{kind}()",
        [operations.Replace(place.path, start, start + len(name), f"{name}.{kind}()")],
        Applicability.SAFE,
    )


_DEFINITIONS = ("def ", "class ", "async ", "@")


def _is_read_as_tensor(program: Program, note: Accumulated) -> bool:
    """Whether the code around the sum may need a tensor: it returns it, or calls its methods."""
    total = re.escape(program.code.text(note.total))
    around = program.code.statement(note.place).parents
    first = around[0] if around else None
    whole = program.code.layout(note.place.path)
    text = whole.text[slice(*whole.extent(first))] if first is not None else ""
    outside = whole.text if first is None or not text.startswith(_DEFINITIONS) else text
    returned = outside is text and re.search(r"\b(return|yield)\s+\S", text) is not None
    as_tensor = rf"(?<![\w.]){total}\s*[.\[]|torch\.\w+\([^)]*{total}"
    kept = "." in program.code.text(note.total)  # others can read an attribute
    return returned or kept or re.search(as_tensor, outside) is not None
