"""What the first batch shows when the model is run on it in other ways."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rnnlint.runtime.probes import batch_order, causality, determinism, padding
from rnnlint.runtime.probes.preserving import preserved

_PROBES = {
    "batch_order": batch_order,
    "padding": padding,
    "causality": causality,
    "determinism": determinism,
}
_COMPARED = ("input", "target")
_LOWEST, _HIGHEST, _RATES = 1e-6, 10.0, 70
_DIVERGED = 4.0
_ORDERS = 1000.0


@dataclass
class Batch:
    """How a script called its model the first time it trained it.

    Attributes:
        model: the outermost module that was called and holds something recurrent.
        args: what it was called with, by position.
        kwargs: by name.
        output: what came out.
        loss: the function that compared this output with a target; None where none did.
        target: that target.
        more: the other arguments of the loss.
    """

    model: nn.Module
    args: Any
    kwargs: Any
    output: Any
    loss: Any = None
    target: Tensor | None = None
    more: Any = None

    def compared(self, loss: Any, args: Any, kwargs: Any) -> None:
        """A loss was measured: of the output itself, or of what became of it."""
        if self.target is not None or self.output is None:
            return
        self.target = args[1] if len(args) > 1 else kwargs["target"]
        predictions = args[0] if args else kwargs["input"]
        if predictions is self.output:
            self.loss = loss
            named = {key: value for key, value in kwargs.items() if key not in _COMPARED}
            self.more = (args[2:], named)
        self.output = None

    def measured(self, output: Any, target: Any) -> Tensor:
        """The loss, as the script takes it."""
        args, kwargs = self.more
        loss: Tensor = self.loss(output, target, *args, **kwargs)
        return loss


def examine(
    batch: Batch, *, probes: bool, range_test: bool, rate: Sequence[float]
) -> dict[str, Any]:
    """What the probes found, and which learning rates the model takes.

    The model, its gradients, and all generators of random numbers are as before.
    """
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if probes and batch.target is not None:
            found["probes"] = _probed(batch)
        if range_test and batch.loss is not None and rate:
            found["range_test"] = _range_test(batch, rate[0])
    return found


def _probed(batch: Batch) -> list[dict[str, Any]]:
    inputs = (*batch.args, *batch.kwargs.values())
    names = list(batch.kwargs)
    positional = len(batch.args)

    def call(model: nn.Module, given: Any) -> Any:
        inputs = given[:-1]
        named = dict(zip(names, inputs[positional:], strict=True))
        return model(*inputs[:positional], **named)

    def attempted(name: str) -> dict[str, Any]:
        loss = batch.measured if batch.loss is not None else None
        try:
            result = _PROBES[name](batch.model, (*inputs, batch.target), loss, call=call)
        except Exception as error:
            # What the probes cannot take is no fault of the script.
            return {"name": name, "status": "error", "explanation": str(error), "codes": ()}
        return asdict(result)

    return [attempted(name) for name in _PROBES]


def _range_test(batch: Batch, rate: float) -> dict[str, Any]:
    """Raise the learning rate at each step on a copy of the model, and see where the loss falls.

    As in Smith, "Cyclical learning rates", arXiv 1506.01186, section 3.3.
    """
    with preserved(batch.model):
        model = copy.deepcopy(batch.model).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=_LOWEST)
        rates, losses = [], []
        growth = (_HIGHEST / _LOWEST) ** (1 / (_RATES - 1))
        for step in range(_RATES):
            lr = _LOWEST * growth**step
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            loss = batch.measured(model(*batch.args, **batch.kwargs), batch.target)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.append(lr)
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]) or losses[-1] > _DIVERGED * max(losses[0], 1e-12):
                break
    finite = [loss if math.isfinite(loss) else math.inf for loss in losses]
    lowest = min(range(len(finite)), key=finite.__getitem__)
    # A tenth of the rate at the lowest loss, as is usual: there it still falls steeply.
    best = rates[lowest] / 10
    return {
        "rate": rate,
        "best": best,
        "rates": rates,
        "losses": losses,
        "off": bool(rate > best * _ORDERS or rate < best / _ORDERS),
    }
