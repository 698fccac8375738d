"""How much of a run's time samples take."""

from __future__ import annotations

import math
import statistics
import time

from torch import distributed

_KEPT = 32
_FEWEST = 10
_WARM = 3
"""So many sampled steps come first in which kernels are chosen and modules imported."""
_RECENT = 5
_MOST_SPARSE = 1000


class Clock:
    """Measures steps with and without a sample, and spaces samples so that they cost little.

    Args:
        every: how many steps lie between samples at least.
        overhead: the share of the run's time that samples may take.
    """

    def __init__(self, every: int, overhead: float) -> None:
        self._least, self._overhead = every, overhead
        self._last: float | None = None
        self._plain: list[float] = []
        self._sampled: list[float] = []
        self._warm = 0

    def tick(self, sampled: bool) -> None:
        """A step is over."""
        now = time.perf_counter()
        if sampled and self._warm < _WARM:
            self._warm += 1
        elif self._last is not None:
            kept = self._sampled if sampled else self._plain
            kept.append(now - self._last)
            if len(kept) > _KEPT:
                del kept[0]
        self._last = now

    def every(self) -> int:
        """How many steps must lie between samples now.

        Where several processes train, that is fixed: they take the norm of shares of a gradient
        together, and must sample the same steps, which each by its own clock would not.
        """
        if distributed.is_available() and distributed.is_initialized():
            return self._least
        if len(self._plain) < _FEWEST or not self._sampled:
            return self._least
        plain = statistics.median(self._plain)
        cost = statistics.median(self._sampled[-_RECENT:]) - plain
        enough = math.ceil(cost / (self._overhead * plain)) if plain > 0 else 0
        return max(self._least, min(enough, _MOST_SPARSE))
