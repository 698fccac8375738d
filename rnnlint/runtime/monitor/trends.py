"""Where the loss of a run goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlint.runtime.monitor.records import History

FEWEST = 5
"""Fewer losses say nothing."""
_LEARNS = 0.5
"""A loss that has halved is that of a network that learns, whatever its gradients are like."""


@dataclass(frozen=True)
class Fall:
    """A loss over the run.

    Attributes:
        begun: the mean of its first five values.
        first: the mean of the first tenth of its values.
        last: the mean of the last tenth.
    """

    begun: float
    first: float
    last: float

    @property
    def of_tenths(self) -> float:
        """By how much of itself it has fallen between the first tenth and the last."""
        return (self.first - self.last) / self.first

    @property
    def of_all(self) -> float:
        """The same, from its first values on."""
        return (self.begun - self.last) / self.begun


def fall(history: History) -> Fall | None:
    """None where the loss is not known, not finite, or not above zero."""
    losses = [loss for loss in history.losses.numbers if math.isfinite(loss)]
    if len(losses) < 2 * FEWEST or len(losses) < len(history.losses.values):
        return None
    tenth = max(FEWEST, len(losses) // 10)
    found = Fall(_mean(losses[:FEWEST]), _mean(losses[:tenth]), _mean(losses[-tenth:]))
    return found if min(found.begun, found.first) > 0 else None


def learns(history: History) -> bool:
    """Whether the loss has halved."""
    found = fall(history)
    return found is not None and found.of_all > _LEARNS


def _mean(losses: Sequence[float]) -> float:
    return statistics.fmean(losses)
