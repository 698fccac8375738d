"""What stands where on a training loop's way, what was found there, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rnnlint.diagnostic import Diagnostic, Span, Stage
from rnnlint.flow import Flow, Stop


class Station(msgspec.Struct, frozen=True):
    """One stage of a training loop."""

    stage: Stage
    stops: tuple[Stop, ...]
    found: tuple[int, ...]
    """Which findings concern it, by their rank from 0."""
    is_missing: bool
    """Whether a finding says so; that nothing was seen of it does not."""

    @property
    def absence(self) -> str:
        """What is said of it where nothing was seen of it."""
        return "missing" if self.is_missing else "not seen"


def stations(flow: Flow, report: Sequence[Diagnostic], is_alone: bool) -> list[Station]:
    """Every stage of a flow, with the findings that concern it.

    Args:
        flow: what was seen of the training loop.
        report: all findings, ranked.
        is_alone: whether there is no other loop that a finding could be about.
    """
    found: dict[Stage, list[int]] = {stage: [] for stage in Stage}
    missing: set[Stage] = set()
    for rank, diagnostic in enumerate(report):
        stage = _stage_of(diagnostic, flow)
        lacks = diagnostic.lacks
        if lacks is not None and (stage is not None or is_alone):
            stage = lacks
            missing.add(lacks)
        if stage is not None:
            found[stage].append(rank)
    return [
        Station(stage, flow.at(stage), tuple(found[stage]), stage in missing) for stage in Stage
    ]


def _stage_of(diagnostic: Diagnostic, flow: Flow) -> Stage | None:
    """The stage that a finding stands at, or the last one that its evidence passes."""
    places = [diagnostic.span, *(step.span for step in reversed(diagnostic.trail))]
    for place in places:
        for stop in flow.stops:
            if _is_beside(place, stop.span):
                return stop.stage
    return None


def _is_beside(one: Span, other: Span) -> bool:
    """Whether both are of the same line."""
    rows = range(one.location.row, one.end_location.row + 1)
    return (one.path, one.cell) == (other.path, other.cell) and other.location.row in rows
