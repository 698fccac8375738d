"""From what a run showed to what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from rnnlint.runtime.monitor.judging_layers import of_layer
from rnnlint.runtime.monitor.judging_runs import of_run
from rnnlint.runtime.monitor.observations import Level, Observation
from rnnlint.runtime.monitor.records import History
from rnnlint.runtime.monitor.thresholds import Thresholds

_ORDER: tuple[Level, ...] = ("error", "warning", "advice")
_SIGNALS = (
    "non-finite",
    "probabilities as logits",
    "carried graph",
    "clipping without effect",
    "evaluation mode",
    "padding is read",
    "unmoved parameters",
    "dead units",
    "rising loss",
    "exploding",
    "vanishing",
    "saturated",
    "vanished learning rate",
    "constant output",
    "flat loss",
    "always clipped",
    "padding",
    "constant learning rate",
)
"""Causes before what follows from them."""


def judge(
    history: History, kinds: Mapping[str, str], thresholds: Thresholds
) -> tuple[Observation, ...]:
    """What is wrong with a run, worst first."""
    found = [*of_run(history, thresholds)]
    for name, samples in history.layers.items():
        found += of_layer(name, kinds.get(name, "layer"), samples, history, thresholds)
    return tuple(
        sorted(found, key=lambda seen: (_ORDER.index(seen.level), _SIGNALS.index(seen.signal)))
    )
