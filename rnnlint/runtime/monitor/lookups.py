"""Which ids embeddings looked up last: they show padding better than vectors do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.unwatched import Watching

_KEPT = 8


class Lookups(Watching):
    """Remembers ids of the embeddings whose forward hook it is, while :attr:`sampling` is set."""

    def __init__(self, failures: Failures) -> None:
        self.sampling = False
        self._failures = failures
        self._ids: list[tuple[Tensor, int | None]] = []

    def after(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        """Remember what was looked up."""
        if self.sampling:
            self._remember(module, args)

    def clear(self) -> None:
        """Forget all: a step is over."""
        self._ids.clear()

    def of_shape(self, steps: int, batch: int) -> tuple[Tensor, int | None] | None:
        """The newest ids of these sizes, (T, B), and the id of padding, if that is known.

        An embedding that has a ``padding_idx`` goes before one that has none.  None where there
        is none, or where as many steps as sequences leave open which is which.
        """
        if steps == batch:
            return None
        fitting = [
            (ids if ids.shape == (steps, batch) else ids.t(), padding)
            for ids, padding in reversed(self._ids)
            if ids.shape in ((steps, batch), (batch, steps))
        ]
        known = [(ids, padding) for ids, padding in fitting if padding is not None]
        return next(iter(known or fitting), None)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _remember(self, module: torch.nn.Module, args: Any) -> None:
        try:
            if args and isinstance(args[0], Tensor) and args[0].dim() == 2:
                padding = getattr(module, "padding_idx", None)
                self._ids = [*self._ids[1 - _KEPT :], (args[0].detach(), padding)]
        except Exception as error:
            self._failures.tell(f"what {type(module).__name__} looks up", error)
