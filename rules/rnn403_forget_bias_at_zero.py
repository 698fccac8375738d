"""An LSTM is initialised by hand, and its forget gate starts with a bias of zero.

## What it does
Reports the initialisation of an LSTM's biases that leaves the forget gate at zero, because both
bias vectors are filled with zeros and the forget quarter is not raised afterwards, and the
initialisation that raises the wrong quarter.

## Why it matters
With a bias of zero the forget gate stands at 0.5: half of the cell is gone after one step and
99.9 % after ten. With a bias of 1 it stands at 0.73, and 4.4 % are left after ten steps.
Jozefowicz and others, who tried over 10,000 architectures, found that a forget bias of 1 closes
the gap between LSTM and GRU; Keras has it on by default. On recalling the first of 30 tokens, no
initialisation of the weights helped while the bias was at zero (0 of 12 runs), and a bias of 3
solved 12 of 12 (measured with PyTorch 2.13).

Whoever writes `zeros_` for the biases has decided about the forget gate, mostly without knowing.
PyTorch stacks the gates as input, forget, cell, output: the forget gate is the *second* quarter,
and the two bias vectors are added.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 32)
for name, parameter in lstm.named_parameters():
    if "bias" in name:
        nn.init.zeros_(parameter)
    else:
        nn.init.xavier_uniform_(parameter)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(1000):
    optimizer.zero_grad()
    lstm(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 32)
for name, parameter in lstm.named_parameters():
    if "bias" in name:
        nn.init.zeros_(parameter)
        if "bias_ih" in name:
            n = parameter.size(0)
            nn.init.ones_(parameter[n // 4 : n // 2])
    else:
        nn.init.xavier_uniform_(parameter)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(1000):
    optimizer.zero_grad()
    lstm(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    optimizer.step()
```

## When it stays silent
- The forget quarter is raised afterwards, in one bias or by half in each.
- The layer is a GRU or a plain RNN: there is no forget gate.
- The biases are left alone (that is RNN401), or belong to another layer.
- The value is not known.

## Fix safety
The fix raises the forget quarter to 1 in one of the two biases, right after they became zero, or
moves what was raised to the second quarter. It is safe: that cannot break a run, though a seed
gives other numbers afterwards. Where the loop over the parameters does not know their names, the
biases are set behind it, by `init_recurrent_` of `rnnlint.runtime` or, with `fix-style = "torch"`,
in a loop that does.

There is no fix where the forget quarter itself is set to zero, for that was meant, nor where the
biases are no parameters of a loop or of a layer with a name. For dependencies over some hundred
steps a bias of 1 is still short: its half-life is 2.2 steps.

## References
- Jozefowicz, Zaremba and Sutskever, [An empirical exploration of recurrent network
  architectures](https://proceedings.mlr.press/v37/jozefowicz15.html), ICML 2015
- [torch.nn.LSTM](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html), the order of gates
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Init,
    Level,
    Place,
    Program,
    Rule,
    Step,
    move_to_forget_gate,
    raise_forget_bias,
    values,
)


class ForgetBiasAtZero(Rule):
    level = Level.WARNING
    fixable = Applicability.SAFE
    cause = Cause.INITIALISATION
    effect = (
        "half of the cell is forgotten at each step, and dependencies over more than some ten "
        "steps are not learnt"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for layer in program.layers:
            if not layer.kind.startswith("LSTM"):
                continue
            raised = self._astray(program, layer)
            for astray in raised[:1]:
                yield self.report(
                    program,
                    astray.place,
                    "this raises the input gate's bias: the forget gate's is the second quarter",
                    help="fill bias[n // 4 : n // 2]; the gates are stacked as input, forget, "
                    "cell, output",
                    trail=[Step(layer.place or astray.place, f"the {layer.kind} is built here")],
                    fix=move_to_forget_gate(program, astray.place),
                )
            # A one in the wrong place is meant for this gate: that is one fault, not two.
            meant = {_step(init) for init in raised}
            zeroed = [init for init in self._zeroed(program, layer) if _step(init) not in meant]
            if not zeroed:
                continue
            last = max(zeroed, key=lambda init: init.time)
            yield self.report(
                program,
                last.place,
                "this leaves the LSTM's forget-gate bias at 0: the cell forgets half of its "
                "state at every step",
                help="set the forget quarter to 1 in one of the two biases: "
                "bias[n // 4 : n // 2].fill_(1.0)",
                trail=[Step(layer.place or last.place, f"the {layer.kind} is built here")],
                fix=raise_forget_bias(program, _last_places(zeroed)),
            )

    def _astray(self, program: Program, layer: values.Layer) -> list[Init]:
        """Fills of the first quarter of a bias where none raises the second."""
        fills = [init for init in program.inits_of(layer) if init.parameter.name.startswith("bias")]
        if any(init.parameter.part == "forget" for init in fills):
            return []
        raised = [init for init in fills if init.parameter.part == "input" and _is_raised(init)]
        return [init for init in raised if not init.hypothetical]

    def _zeroed(self, program: Program, layer: values.Layer) -> list[Init]:
        """Fills that leave a forget gate at zero: both biases of it, and none is raised."""
        biases = [
            init for init in program.inits_of(layer) if init.parameter.name.startswith("bias")
        ]
        if any(_is_raised(init) and init.parameter.part == "slice" for init in biases):
            return []  # a slice that could not be traced may be the forget gate's
        fills = [init for init in biases if init.parameter.part in ("", "forget")]
        zeroed = [
            init
            for init in fills
            if not init.hypothetical
            and not _is_raised(init)
            and not any(_raises(other, init, fills) for other in fills)
        ]
        names = {init.parameter.name for init in zeroed}
        return [
            init for init in zeroed if {_step(init), _step(init).replace("_ih", "_hh")} <= names
        ]


def _last_places(zeroed: list[Init]) -> frozenset[Place]:
    """Where each gate's biases are both zero at last."""
    last: dict[str, Init] = {}
    for init in sorted(zeroed, key=lambda one: one.time):
        last[_step(init)] = init
    return frozenset(init.place for init in last.values())


def _step(init: Init) -> str:
    """The bias whose gate a fill concerns: those of input and state are added."""
    return init.parameter.name.replace("_hh", "_ih")


def _raises(other: Init, init: Init, fills: list[Init]) -> bool:
    """Whether a fill surely raises the forget gate that another leaves at zero.

    Either bias will do, as long as it is not zeroed for good afterwards.
    """
    if not _is_raised(other) or other.hypothetical or _step(other) != _step(init):
        return False
    if set(other.context.conditions) - set(init.context.conditions):
        return False
    if other.parameter.name == init.parameter.name:
        return other.time > init.time
    own = [fill for fill in fills if fill.parameter.name == other.parameter.name]
    return not any(
        later.time > other.time
        and not _is_raised(later)
        and not any(_raises(last, later, own) for last in own)
        for later in own
    )


def _is_raised(init: Init) -> bool:
    """Whether a fill is anything but zero."""
    if init.how in ("zeros", "zero"):
        return False
    if init.how in ("constant", "fill") and isinstance(init.value, values.Const):
        return bool(init.value.value)
    return True
