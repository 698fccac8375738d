"""Orthogonal initialisation treats the stacked gates of an LSTM or a GRU as one matrix.

## What it does
Reports `orthogonal_` on the whole recurrent matrix of an LSTM, (4H, H), or of a GRU, (3H, H). It
is *advice*; where the same loop also meets one-dimensional biases, where `orthogonal_` raises,
it is an *error*.

## Why it matters
PyTorch stacks the matrices of all gates. Orthogonalising the stack gives orthonormal columns of
length 4H, and leaves each gate with a share of them: no gate is orthogonal. The root mean square
of a gate's singular values is then 0.50 for an LSTM, less than PyTorch's own default of 0.577;
gate by gate it is 1.

On recalling the first of 30 tokens, with a forget bias of 1, gate by gate solved 4 of 4 runs and
the stack 0 of 4 (measured with PyTorch 2.13). With a forget bias of 3 both solved all, so the
forget bias is the larger lever. It is not *wrong*: Keras stacks in the same way by default.

## Example
```python
import torch
from torch import nn

lstm = nn.LSTM(4, 32)
for name, parameter in lstm.named_parameters():
    if "weight" in name:
        nn.init.orthogonal_(parameter)
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
    if "weight_hh" in name:
        for gate in parameter.chunk(4):
            nn.init.orthogonal_(gate)
    elif "weight_ih" in name:
        nn.init.xavier_uniform_(parameter)
optimizer = torch.optim.Adam(lstm.parameters())
for _ in range(1000):
    optimizer.zero_grad()
    lstm(torch.randn(50, 2, 4))[0].pow(2).mean().backward()
    optimizer.step()
```

A GRU has three gates: `parameter.chunk(3)`.

## When it stays silent
- The gates are initialised one by one, by `chunk`, by slices, or in a helper of the project.
- The layer is a plain `nn.RNN`: its recurrent matrix is square.
- The matrix belongs to another kind of layer, or is drawn in another way.

## Fix safety
The fix goes gate by gate in the place of the call, and is safe: `orthogonal_` works in place on the
chunks of a parameter. A seed gives other numbers afterwards. Where the call also meets matrices of
other layers, these are still taken whole, by the parameter's name in the loop; where it meets
one-dimensional biases, they are left alone.

There is no fix where `orthogonal_` is no statement of its own, or is called by another name, and
none where other matrices cannot be told apart.

## References
- AllenNLP's `block_orthogonal`, an initialiser that was written for this reason
- [orthogonal_](https://pytorch.org/docs/stable/nn.init.html) in `torch.nn.init`
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Init,
    Level,
    Program,
    Rule,
    Step,
    fill_gate_by_gate,
)


class StackedGateOrthogonal(Rule):
    level = Level.ADVICE
    fixable = Applicability.SAFE
    cause = Cause.INITIALISATION
    effect = (
        "no gate is orthogonal, so that gradients shrink more than from PyTorch's own "
        "initialisation"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        inits = [init for init in program.of(Init) if init.how == "orthogonal"]
        on_vectors = {init.place for init in inits if init.parameter.rank == 1}
        for init in inits:
            parameter = init.parameter
            layer = parameter.layer
            if not parameter.name.startswith("weight_hh") or parameter.part:
                continue
            kind = layer.kind.removesuffix("Cell")
            gates = {"LSTM": 4, "GRU": 3}.get(kind)
            if gates is None:
                continue
            raises = init.place in on_vectors
            message = (
                "orthogonal_ meets one-dimensional biases here and raises"
                if raises
                else f"orthogonal_ treats the {gates} stacked gates of this {layer.kind} as one "
                "matrix: no gate is orthogonal"
            )
            yield self.report(
                program,
                init.place,
                message,
                help=("only where parameter.dim() > 1, " if raises else "")
                + f"initialise gate by gate: for gate in weight.chunk({gates}): "
                "nn.init.orthogonal_(gate)",
                trail=[Step(layer.place or init.place, f"the {layer.kind} is built here")],
                level=Level.ERROR if raises else Level.ADVICE,
                effect="the run stops here" if raises else None,
                fix=fill_gate_by_gate(program, init.place),
            )
