"""Whether predictions tell one sample from another, seen where a loss compares them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ONE = 1e-3
_ROWS = 16
"""So many samples, and of each so many steps, are looked at."""

CLASSES = {"cross_entropy", "nll_loss"}
"""Losses whose targets are classes."""


@torch.no_grad()
def compared(
    loss: str, predictions: Tensor, targets: Tensor, ignored: int | None
) -> dict[str, Any]:
    """What a :class:`Spread` holds, as tensors; empty where nothing can be said.

    Args:
        loss: the name of the function, ``cross_entropy`` for instance.
        predictions: (N, C), (N, C, T) or (N, C, ...) for classes, any shape otherwise.
        targets: (N), (N, T) of classes, or the shape of the predictions.
        ignored: the class that the loss passes over.
    """
    if loss in CLASSES and not targets.is_floating_point():
        return _of_classes(loss, predictions, targets, ignored)
    if predictions.shape != targets.shape or predictions.dim() == 0:
        return {}
    return {"predictions": _spread(predictions), "targets": _spread(targets)}


def _spread(values: Tensor) -> Tensor:
    """The standard deviation over the samples, in the root mean square over what each has."""
    rows = values.float().reshape(-1, values.size(-1) if values.dim() > 1 else 1)
    return rows.var(0, correction=0).mean().sqrt()


def _of_classes(
    loss: str, predictions: Tensor, targets: Tensor, ignored: int | None
) -> dict[str, Any]:
    if predictions.dim() != targets.dim() + 1 or predictions.dim() < 2 or not targets.numel():
        return {}
    scores, wanted = _few(predictions, targets)
    counted = torch.ones_like(wanted) if ignored is None else wanted != ignored
    weights = counted / counted.sum()
    found: dict[str, Any] = {}
    if loss == "cross_entropy":
        outside = (scores.sum(-1) - 1).abs().ge(_ONE) | (scores < 0).any(-1)
        found["probabilities"] = ~(outside & counted.bool()).any()
        scores = scores.log_softmax(-1)
    probabilities = scores.exp()
    average = weights @ probabilities
    found["predictions"] = (weights @ (probabilities - average).square()).sum().sqrt()
    # The same of targets, of which each is 1 in one class.
    shares = torch.zeros_like(average).scatter_add_(
        0, wanted.clamp(0, scores.size(-1) - 1), weights
    )
    found["targets"] = (1 - shares.square().sum()).clamp(min=0).sqrt()
    return found


def _few(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Scores, (n, C), and classes, (n), of some samples and some of their steps."""
    if targets.dim() == 1:
        # Steps of all samples may lie one after the other here.
        stride = -(-len(targets) // _ROWS**2)
        return predictions[::stride].float(), targets[::stride].long()
    scores = predictions.movedim(1, -1)
    for axis in range(targets.dim()):
        stride = -(-targets.size(axis) // _ROWS)
        places = torch.arange(0, targets.size(axis), stride, device=targets.device)
        scores, targets = scores.index_select(axis, places), targets.index_select(axis, places)
    return scores.flatten(0, -2).float(), targets.flatten().long()
