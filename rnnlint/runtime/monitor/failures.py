"""What a monitor could not look at: said once, while the training goes on."""

from __future__ import annotations

import warnings


class MonitorWarning(UserWarning):
    """A monitor met something that it cannot look at, and leaves it out."""


class Failures:
    """Tells of each place that cannot be looked at, once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, place: str, error: Exception) -> None:
        if place in self._told:
            return
        self._told.add(place)
        warnings.warn(
            f"the monitor cannot look at {place}, and leaves it out; the training is as it would "
            f"be without it ({type(error).__name__}: {error})",
            MonitorWarning,
            stacklevel=3,
        )
