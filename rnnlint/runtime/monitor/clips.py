"""Who clips gradients, and how much: seen without a change to the code that does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils import clip_grad

from rnnlint.runtime.gradients import clip_listeners

Listener: TypeAlias = Callable[["Tensor | float | None", float], None]
"""Is told the norm before clipping, None where only values are bounded, and the bound."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of all clipping in this process.

    It hears ``torch.nn.utils.clip_grad_norm_``, also where that was imported by name, what
    frameworks make of it, ``clip_grad_value_`` and ``rnnlint.runtime.clip_gradients``.
    """
    if not clip_listeners:
        _wrap()
    clip_listeners.append(listener)
    try:
        yield
    finally:
        clip_listeners.remove(listener)
        if not clip_listeners:
            _unwrap()


_originals: dict[tuple[Any, str], Any] = {}


def _tell(norm: Tensor | float | None, bound: float) -> None:
    for listener in clip_listeners:
        listener(norm, bound)


def _wrap() -> None:
    inner = getattr(clip_grad, "_clip_grads_with_norm_", None)
    if inner is not None:
        # All that clips by a norm passes here, whatever name it was imported by.

        @wraps(inner)
        def clip_with_norm(
            parameters: Any, max_norm: float, total_norm: Tensor, *more: Any, **named: Any
        ) -> Any:
            _tell(total_norm.detach(), float(max_norm))
            return inner(parameters, max_norm, total_norm, *more, **named)

        _replace(clip_grad, "_clip_grads_with_norm_", clip_with_norm)
    else:  # before PyTorch 2.6
        by_norm = clip_grad.clip_grad_norm_

        @wraps(by_norm)
        def clip_norm(parameters: Any, max_norm: float, *more: Any, **named: Any) -> Any:
            norm = by_norm(parameters, max_norm, *more, **named)
            _tell(norm.detach(), float(max_norm))
            return norm

        for module in (clip_grad, torch.nn.utils):
            _replace(module, "clip_grad_norm_", clip_norm)
    by_value = clip_grad.clip_grad_value_

    @wraps(by_value)
    def clip_value(parameters: Any, clip_value: float, *more: Any, **named: Any) -> Any:
        _tell(None, float(clip_value))
        return by_value(parameters, clip_value, *more, **named)

    for module in (clip_grad, torch.nn.utils):
        _replace(module, "clip_grad_value_", clip_value)


def _replace(owner: Any, name: str, replacement: Any) -> None:
    _originals[owner, name] = getattr(owner, name)
    setattr(owner, name, replacement)


def _unwrap() -> None:
    for (owner, name), original in _originals.items():
        setattr(owner, name, original)
    _originals.clear()
