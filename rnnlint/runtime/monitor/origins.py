"""Where NaN and infinity come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def nonfinite_parameter(model: nn.Module) -> str | None:
    """The first parameter with NaN or infinity in it."""
    for name, parameter in model.named_parameters():
        values: Any = parameter.detach()
        if hasattr(values, "to_local"):
            # The loss of this process is why one looks; the others do not, and cannot be asked.
            values = values.to_local()
        if not bool(torch.isfinite(values).all()):
            return name
    return None


def first_nonfinite(model: nn.Module, found: Callable[[str], None]) -> list[RemovableHandle]:
    """Tell the name of the first module that makes NaN or infinity of finite inputs, once.

    Returns:
        The hooks, of which it takes none away by itself.
    """
    told: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def look(module: nn.Module, args: Any, output: Any) -> None:
            if not told and not _finite(output) and _finite(args):
                told.append(name)
                found(name)

        return look

    return [
        module.register_forward_hook(watch(name or type(module).__name__))
        for name, module in model.named_modules()
        if not any(module.children())
    ]


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, (tuple, list)):
        return all(map(_finite, value))
    return True
