"""Whether the gradients of one step are still there in the next."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from torch import Tensor
from torch.optim import Optimizer

_STEPS_LOOKED_AT = 8


class Clearing:
    """Looks at gradients as each backward pass begins, in the first steps of each optimizer.

    It goes by the gradients themselves, so that it does not matter how they are cleared, and how
    many passes add to them before a step.

    Attributes:
        looked: how many steps were looked at, the first of each optimizer left aside.
        accumulated: in how many of them no pass began without gradients of the step before.
    """

    def __init__(self) -> None:
        self.looked = self.accumulated = 0
        self._steps: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._passes: WeakKeyDictionary[Optimizer, list[bool]] = WeakKeyDictionary()

    def follow(self, optimizer: Optimizer) -> None:
        """Look at the gradients of one more optimizer."""
        self._passes[optimizer] = []

    def backward(self) -> None:
        """A backward pass begins."""
        for optimizer, passes in self._passes.items():
            if 0 < self._steps.get(optimizer, 0) <= _STEPS_LOOKED_AT and not any(passes):
                passes.append(_is_clear(optimizer))

    def steps(self, optimizer: Optimizer) -> int:
        """How many steps an optimizer made."""
        return self._steps.get(optimizer, 0)

    def stepped(self, optimizer: Optimizer) -> None:
        """An optimizer made a step."""
        passes = self._passes.get(optimizer)
        if passes is None:
            return
        if passes:
            self.looked += 1
            self.accumulated += not any(passes)
            passes.clear()
        self._steps[optimizer] = self._steps.get(optimizer, 0) + 1


def _is_clear(optimizer: Optimizer) -> bool:
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    return all(
        parameter.grad is None or parameter.grad.is_sparse or not bool(parameter.grad.any())
        for parameter in parameters
    )
