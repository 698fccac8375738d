"""What a loss is told, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.unwatched import Watching, uncompiled

_NAMES = {nn.CrossEntropyLoss: "cross_entropy", nn.NLLLoss: "nll_loss"}


class CriterionWatch(Watching):
    """Hears the losses of one criterion, where these train something.

    Args:
        criterion: the module that is called with predictions and targets.
        heard: is told each loss.
        compare: is told the name of the loss, its predictions and targets, and the class that it
            ignores.
        failures: is told what could not be heard.
    """

    def __init__(
        self,
        criterion: nn.Module,
        heard: Callable[[Tensor], None],
        compare: Callable[[str, Tensor, Tensor, int | None], None],
        failures: Failures,
    ) -> None:
        self._name = next(
            (name for kind, name in _NAMES.items() if isinstance(criterion, kind)),
            type(criterion).__name__,
        )
        self._ignored = getattr(criterion, "ignore_index", None)
        self._heard, self._compare, self._failures = heard, compare, failures
        self._handle = criterion.register_forward_hook(self.hook("after"))

    def close(self) -> None:
        """Hear no more."""
        self._handle.remove()

    @uncompiled
    def after(self, criterion: nn.Module, args: Any, loss: Any) -> None:
        """Hear one loss; the forward hook of the criterion."""
        try:
            if isinstance(loss, Tensor) and loss.requires_grad:
                self._heard(loss)
                if len(args) > 1 and isinstance(args[1], Tensor):
                    self._compare(self._name, args[0], args[1], self._ignored)
        except Exception as error:
            self._failures.tell(f"the loss {type(criterion).__name__}", error)
