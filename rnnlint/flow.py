"""How a project trains: the places that data and gradients pass, one flow for each training loop.

Plain values like diagnostics: the cache keeps them, reports draw them.
"""

from __future__ import annotations

import msgspec

from rnnlint.diagnostic import Span, Stage


class Stop(msgspec.Struct, frozen=True):
    """One place at which a stage stands, and the name of what stands there."""

    stage: Stage
    span: Span
    name: str


class Flow(msgspec.Struct, frozen=True):
    """What was seen of one training loop, in the order of the stages.

    A stage without a stop was not seen, which does not say that it is missing.
    """

    stops: tuple[Stop, ...]
    trainer: str = ""
    """The library whose trainer runs the loop, where one does: not all that it does is seen."""

    def at(self, stage: Stage) -> tuple[Stop, ...]:
        """Where a stage stands."""
        return tuple(stop for stop in self.stops if stop.stage is stage)
