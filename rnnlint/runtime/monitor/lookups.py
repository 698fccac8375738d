"""Which ids embeddings looked up last: they show padding better than vectors do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.unwatched import Sampled, uncompiled

_KEPT = 8


class Lookups(Sampled):
    """Remembers the ids that embeddings look up while :attr:`sampling` is set."""

    def __init__(self, failures: Failures) -> None:
        super().__init__()
        self._embeddings: list[torch.nn.Embedding] = []
        self._failures = failures
        self._ids: list[tuple[Tensor, int | None]] = []

    def watch(self, embedding: torch.nn.Embedding) -> None:
        """Look at one more embedding."""
        self._embeddings.append(embedding)
        if self._handles:
            self._handles.append(embedding.register_forward_hook(self.hook("after")))
        elif self._sampling:
            self._handles = self._lay_hooks()

    def _lay_hooks(self) -> list[RemovableHandle]:
        return [each.register_forward_hook(self.hook("after")) for each in self._embeddings]

    @uncompiled
    def after(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        """Remember what was looked up; the forward hook of every embedding."""
        if self._looks():
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
