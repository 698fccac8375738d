"""Small models under a monitor, for its tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnnlint.runtime.monitor import LayerSample, Monitor

STEPS, BATCH, FEATURES, HIDDEN = 20, 6, 4, 5


def sequences(lengths: list[int], *, left: bool = False, steps: int = STEPS) -> Tensor:
    """Features, (T, B, F), zero where a sequence has no step."""
    torch.manual_seed(0)
    inputs = torch.randn(steps, len(lengths), FEATURES)
    for row, length in enumerate(lengths):
        if left:
            inputs[: steps - length, row] = 0
        else:
            inputs[length:, row] = 0
    return inputs


def sampled(model: nn.Module, loss: Callable[[], Tensor], layer: str = "") -> LayerSample:
    """What one step shows of a layer of this model."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Monitor(model, optimizer) as monitor:
        torch.autograd.backward(loss())
        optimizer.step()
    return monitor.report().history.layers[layer][0]


def root_mean_square(values: Tensor) -> float:
    return float(values.detach().square().mean().sqrt())
