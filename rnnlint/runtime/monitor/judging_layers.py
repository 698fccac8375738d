"""What is wrong with one recurrent layer."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnlint.runtime.monitor.observations import Level, Observation
from rnnlint.runtime.monitor.records import History, LayerSample
from rnnlint.runtime.monitor.thresholds import Thresholds
from rnnlint.runtime.monitor.trends import fall, learns

_SOME_PADDING = 0.05
_READ = 0.01
"""The share of the gradient that goes into padding, from which on that is read."""
_MOST_OF_IT = 0.5


def of_layer(
    name: str,
    kind: str,
    samples: Sequence[LayerSample],
    history: History,
    thresholds: Thresholds,
) -> Iterator[Observation]:
    called = f"{name} ({kind})" if name else f"the {kind}"
    late = samples[len(samples) // 2 :]
    yield from _carried(name, called, samples)
    yield from _padding(name, called, samples, thresholds)
    yield from _dead(name, called, late, thresholds)
    vanishing = _vanishing(name, called, late, history, thresholds)
    saturated = list(_saturated(name, called, late, history, thresholds))
    if vanishing is not None and saturated:
        # Where units stand at the ends of their range, that is why no gradient passes.
        yield from (replace(seen, level=vanishing.level) for seen in saturated)
    else:
        yield from saturated if vanishing is None else [vanishing]
    if samples and not any(sample.training for sample in samples):
        yield Observation(
            "evaluation mode",
            "warning",
            f"{called} is trained in evaluation mode: neither dropout nor batch norm act",
            "call model.train() before the loop",
            1.0,
            0.0,
            layer=name,
            codes=("RNN602",),
        )


def _carried(name: str, called: str, samples: Sequence[LayerSample]) -> Iterator[Observation]:
    carried = [sample.step for sample in samples if sample.carried]
    if carried:
        yield Observation(
            "carried graph",
            "error",
            f"{called} begins step {carried[0]} from a state of the step before, with its graph: "
            "each backward pass goes back to the first batch",
            "detach the state between batches: state = detach_state(state)",
            float(len(carried)),
            0.0,
            layer=name,
            step=carried[0],
            codes=("RNN205", "RNN207", "RNN209"),
        )


def _padding(
    name: str, called: str, samples: Sequence[LayerSample], thresholds: Thresholds
) -> Iterator[Observation]:
    shares = [sample.padding for sample in samples if sample.padding is not None]
    if not shares:
        return
    share = statistics.fmean(shares)
    into = [sample.into_padding for sample in samples if sample.into_padding is not None]
    lost = statistics.median(into) if into else 0.0
    if share > _SOME_PADDING and lost > _READ:
        yield Observation(
            "padding is read",
            "error" if lost > _MOST_OF_IT else "warning",
            f"{share:.0%} of the steps that {called} ran over were padding, and {lost:.0%} of the "
            "gradient goes there: what is read of it depends on padding",
            "read each sequence to its own end, as run_recurrent(rnn, padded, lengths) does, and "
            "give the loss ignore_index or a mask",
            share,
            thresholds.padding,
            layer=name,
            codes=("RNN101", "RNN102", "RNN103", "RNN113"),
        )
    elif share > thresholds.padding:
        yield Observation(
            "padding",
            "advice",
            f"{share:.0%} of the steps that {called} ran over were padding; no gradient goes there",
            "put sequences of like length together, as LengthBucketBatchSampler does",
            share,
            thresholds.padding,
            layer=name,
            codes=("RNN101",),
        )


def _vanishing(
    name: str,
    called: str,
    late: Sequence[LayerSample],
    history: History,
    thresholds: Thresholds,
) -> Observation | None:
    ratios = [sample.early_to_late for sample in late if sample.early_to_late is not None]
    if not ratios:
        return None
    ratio = statistics.median(ratios)
    if ratio >= thresholds.vanishing or learns(history):
        return None
    level: Level = "error" if ratio < thresholds.forgotten else "warning"
    if fall(history) is None:
        # A task may need the last steps alone: whether it does, the loss would show.
        level = "warning" if level == "error" else "advice"
    return Observation(
        "vanishing",
        level,
        f"the first steps that {called} reads get {ratio:.1g} of the gradient of those that get "
        "most: it cannot learn to remember them",
        "call init_recurrent_(model), with timescale= for long sequences, or read every step",
        ratio,
        thresholds.vanishing,
        layer=name,
        codes=("RNN401", "RNN402", "RNN403", "RNN501", "RNN502", "RNN103"),
    )


def _saturated(
    name: str,
    called: str,
    late: Sequence[LayerSample],
    history: History,
    thresholds: Thresholds,
) -> Iterator[Observation]:
    if learns(history):
        return
    gates = {gate for sample in late for gate in sample.gates}
    for gate in sorted(gates):
        share = statistics.median(sample.gates[gate] for sample in late if gate in sample.gates)
        if share > thresholds.saturated:
            what = "its state" if gate == "h" else f"its gate {gate}"
            yield Observation(
                "saturated",
                "warning",
                f"{share:.0%} of {what} stand at the end of their range in {called}, where no "
                "gradient passes",
                "lower the learning rate, normalise the inputs, or initialise smaller",
                share,
                thresholds.saturated,
                layer=name,
                codes=("RNN201", "RNN404", "RNN502"),
            )


def _dead(
    name: str, called: str, late: Sequence[LayerSample], thresholds: Thresholds
) -> Iterator[Observation]:
    dead = [sample.dead for sample in late if sample.dead is not None]
    if dead and statistics.median(dead) > thresholds.dead:
        yield Observation(
            "dead units",
            "warning",
            f"{statistics.median(dead):.0%} of the units of {called} are zero at all steps",
            "begin from the identity, as nn.init.eye_(rnn.weight_hh_l0) does, and lower the rate",
            statistics.median(dead),
            thresholds.dead,
            layer=name,
            codes=("RNN501", "RNN404"),
        )
