"""How often a run can afford to be sampled."""

from __future__ import annotations

import math
import statistics
import time

from torch import distributed

_MOST_SPARSE = 1000


class Clock:
    """How long steps take, with and without a sample."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._plain: list[float] = []
        self._sampled: list[float] = []

    def tick(self, sampled: bool) -> None:
        now = time.perf_counter()
        if self._last is not None:
            kept = self._sampled if sampled else self._plain
            kept.append(now - self._last)
            del kept[:-32]
        self._last = now

    def every(self, now: int, overhead: float) -> int:
        """How many steps must lie between samples, for these to cost no more than their share.

        Not where several processes train: they take the norm of shares of a gradient together, and
        must sample the same steps, which each by its own clock would not.
        """
        if distributed.is_available() and distributed.is_initialized():
            return now
        if len(self._plain) < 10 or not self._sampled:
            return now
        plain = statistics.median(self._plain)
        cost = statistics.median(self._sampled[-5:]) - plain
        return min(max(now, math.ceil(cost / (overhead * plain))), max(now, _MOST_SPARSE))
