"""Parameters with gradients, for the tests of clipping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


def parameter(gradient: Tensor | None, like: Tensor | None = None) -> nn.Parameter:
    shape = gradient if gradient is not None else like
    assert shape is not None
    result = nn.Parameter(torch.zeros(shape.shape, dtype=shape.dtype))
    result.grad = None if gradient is None else gradient.clone()
    return result


def gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [p.grad.clone() for p in parameters if p.grad is not None]


def gradient_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


class Tagger(nn.Module):
    def __init__(self, *, sparse: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5, sparse=sparse)
        self.lstm = nn.LSTM(5, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.head(self.lstm(self.embedding(words))[0])
        return scores


def trained_tagger(*, sparse: bool = False, loss_scale: float = 1.0) -> Tagger:
    torch.manual_seed(0)
    model = Tagger(sparse=sparse)
    (model(torch.randint(0, 11, (4, 7))).square().sum() * loss_scale).backward()
    return model


def scaled(optimizer: Optimizer, scaler: GradScaler, slopes: Sequence[float]) -> None:
    """Gradients as `scaler.scale(loss).backward()` leaves them."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    loss = torch.stack(
        [weight.sum() * slope for weight, slope in zip(weights, slopes, strict=True)]
    ).sum()
    torch.autograd.backward(scaler.scale(loss))
