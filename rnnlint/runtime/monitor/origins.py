"""Where NaN and infinity come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.monitor.unwatched import Watching


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


class Origin(Watching):
    """Finds the first module that makes NaN or infinity of finite inputs.

    Args:
        model: its innermost modules are looked at.
        found: is told the name, once.
    """

    def __init__(self, model: nn.Module, found: Callable[[str], None]) -> None:
        self._found = found
        self._names = {
            module: name or type(module).__name__
            for name, module in model.named_modules()
            if not any(module.children())
        }
        self._handles: list[RemovableHandle] = [
            module.register_forward_hook(self.hook("after")) for module in self._names
        ]

    def close(self) -> None:
        """Look no more."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def after(self, module: nn.Module, args: Any, output: Any) -> None:
        """Look at what came out of a module; its forward hook."""
        if self._handles and not _finite(output) and _finite(args):
            self._found(self._names[module])
            self.close()


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    if isinstance(value, (tuple, list)):
        return all(map(_finite, value))
    return True
