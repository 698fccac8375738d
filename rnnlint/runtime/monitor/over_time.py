"""The gradient of the loss with respect to the inputs of a layer, over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from rnnlint.runtime.monitor import padding
from rnnlint.runtime.monitor.padding import Extent

_BINS = 32
_FEWEST_STEPS = 3


@dataclass
class Call:
    """One call of a layer in a sampled step; the numbers stay on their device.

    Attributes:
        training: whether the layer was in training mode, or has nothing to train.
        steps: T, 0 until the call is over.
        batch: B.
        batch_first: whether the input is (B, T, F).
        packed: the batch sizes of a packed sequence, in whose order the gradient is.
        extent: which steps are real; None of a cell.
        start: the size of the state at the first real step.
        end: the same at the last.
        gates: the share of saturated values by gate.
        zero: which units are zero at all steps, (H,), of a ReLU layer.
        gradient: the norm of dLoss/dx, without the axis of features; None before it is there.
    """

    training: bool = True
    steps: int = 0
    batch: int = 0
    batch_first: bool = False
    packed: Tensor | None = None
    extent: Extent | None = None
    start: Tensor | None = None
    end: Tensor | None = None
    gates: dict[str, Tensor] = field(default_factory=dict)
    zero: Tensor | None = None
    gradient: Tensor | None = None


@torch.no_grad()
def over_time(calls: list[Call], both_ways: bool) -> dict[str, Any]:
    """The profile of dLoss/dx over time, and how much of it reaches the first steps.

    Args:
        calls: of one layer in one step, at least one.
        both_ways: whether the layer is bidirectional.

    Returns:
        ``profile``, ``into_padding`` and, of layers of one direction, ``early_to_late``; NaN
        where no gradient came, and nothing where there are too few steps.
    """
    found = _gradient(calls)
    if found is None:
        return {}
    gradient, extent = found
    average = gradient.mean(1)
    bins = nn.functional.adaptive_avg_pool1d(
        average.reshape(1, 1, -1), min(_BINS, len(average))
    ).flatten()
    seen = {
        "profile": bins / bins.max().clamp(min=torch.finfo(bins.dtype).tiny),
        "into_padding": (gradient * ~extent.real).sum() / gradient.sum(),
    }
    # Of two directions, one ends where the other begins: the first steps always get their share.
    if not both_ways:
        seen["early_to_late"] = _early_to_late(gradient, extent)
    return seen


def _gradient(calls: list[Call]) -> tuple[Tensor, Extent] | None:
    """The norm of dLoss/dx, (T, B), and which steps are real."""
    first = calls[0]
    if first.gradient is None:
        return None
    if len(calls) > 1 and first.gradient.numel() == first.batch:
        return _of_single_steps(calls, first.batch)
    if first.extent is None or first.steps < _FEWEST_STEPS:
        return None
    gradient = first.gradient
    if first.packed is not None:
        gradient = pad_packed_sequence(PackedSequence(gradient, first.packed))[0]
    elif gradient.dim() == 1:
        gradient = gradient.unsqueeze(1)
    elif first.batch_first:
        gradient = gradient.t()
    return gradient, first.extent


def _of_single_steps(calls: list[Call], batch: int) -> tuple[Tensor, Extent] | None:
    """Of a cell, or a layer that is given one step at a time."""
    steps = [
        call.gradient.flatten()
        for call in calls
        if call.gradient is not None and call.gradient.numel() == batch
    ]
    if len(steps) < _FEWEST_STEPS:
        return None
    gradient = torch.stack(steps)
    return gradient, padding.whole(batch, len(steps), gradient.device)


def _early_to_late(gradient: Tensor, extent: Extent) -> Tensor:
    """Of the median sequence, NaN where no gradient came."""
    # A tenth of the steps, or what has begun of it.
    tenth = ((extent.end - extent.first + 9) // 10).clamp(min=1)
    places = torch.arange(gradient.size(0), device=gradient.device).unsqueeze(1)
    first = (places >= extent.first) & (places < extent.first + tenth)
    early = (gradient * first).sum(0) / tenth
    # Not where the sequence ends, but where the loss reads it, may be far in the padding.
    return (early / gradient.amax(0)).nanmedian()
