"""Whether predictions tell one sample from another, seen where a loss compares them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ONE = 1e-3
_SHORTEST_RUN = 2

CLASSES = {"cross_entropy", "nll_loss"}
"""Losses whose targets are classes."""


@torch.no_grad()
def compared(loss: str, predictions: Any, targets: Any, ignored: int | None) -> dict[str, Any]:
    """What a :class:`Spread` holds, as tensors; empty where nothing can be said.

    Args:
        loss: the name of the function, ``cross_entropy`` for instance.
        predictions: (N, C), (N, C, T) or (N, C, ...) for classes, any shape otherwise.
        targets: (N), (N, T) of classes, or the shape of the predictions.
        ignored: the class that the loss passes over.
    """
    if not (isinstance(predictions, Tensor) and isinstance(targets, Tensor)):
        return {}
    if predictions.numel() == 0 or targets.numel() < 2:
        return {}
    if targets.is_floating_point() or loss not in CLASSES:
        return _of_numbers(predictions.float(), targets.float())
    return _of_classes(loss, predictions.float(), targets, ignored)


def _of_numbers(predictions: Tensor, targets: Tensor) -> dict[str, Any]:
    return {"predictions": predictions.std(), "targets": targets.std()}


def _of_classes(
    loss: str, predictions: Tensor, targets: Tensor, ignored: int | None
) -> dict[str, Any]:
    axis = 1 if predictions.dim() > 1 else 0
    chosen = predictions.argmax(axis).flatten()
    wanted = targets.flatten()
    counted = wanted != ignored if ignored is not None else torch.ones_like(wanted).bool()
    if chosen.shape != wanted.shape or not bool(counted.any()):
        return {}
    found: dict[str, Any] = {
        "predictions": _variety(chosen[counted]),
        "targets": _variety(wanted[counted]),
    }
    if loss == "cross_entropy":
        sums = predictions.sum(axis)
        inside = (predictions >= 0).all() & (predictions <= 1).all()
        found["probabilities"] = ((sums - 1).abs() < _ONE).all() & inside
    return found


def _variety(classes: Tensor) -> Tensor:
    """The share of the samples that are not in the most frequent class."""
    return 1 - torch.bincount(classes - classes.min()).max() / classes.numel()
