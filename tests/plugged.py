"""A small training for the tests of callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from recurrent import of
from torch import Tensor, nn
from torch.utils.data import TensorDataset

BATCHES = 10
STEPS, FEATURES = 7, 3


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 16, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(self.lstm(features)[0][:, -1])
        return scores


def examples(batch_size: int = 4) -> TensorDataset:
    """The sum of the first feature, in ten batches."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(BATCHES * batch_size, STEPS, FEATURES, generator=generator)
    return TensorDataset(inputs, inputs[:, :, :1].sum(1))


def pairs() -> list[tuple[Tensor, Tensor]]:
    """The same one by one."""
    data = examples()
    return [data[number] for number in range(len(data))]


def gates_are_orthogonal(module: nn.Module) -> bool:
    """Whether the first gate of its first recurrent layer is as ``init_recurrent_`` draws it."""
    (layer,) = (found for found in module.modules() if isinstance(found, nn.LSTM))
    gate = of(layer, "weight_hh_l0")[: layer.hidden_size]
    return torch.allclose(gate @ gate.T, torch.eye(layer.hidden_size), atol=1e-5)


def rates_of(make: Callable[[torch.optim.Optimizer], Any], steps: int) -> list[float]:
    """The learning rate of each step of an optimizer whose own is 0.1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates
