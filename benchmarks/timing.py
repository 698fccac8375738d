"""Ratios of running times that mean something on a machine that others use, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch


def best_seconds(
    actions: Sequence[Callable[[], object]], *, rounds: int, device: str = "cpu"
) -> list[float]:
    """The best time of each action, which take turns: what disturbs one round disturbs all."""
    best = [float("inf")] * len(actions)
    for action in actions:
        action()
    for _ in range(rounds):
        for number, action in enumerate(actions):
            _wait(device)
            start = time.perf_counter()
            action()
            _wait(device)
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
