"""From what a run showed to what is wrong with it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rnnlint.runtime.monitor.records import History, LayerSample
from rnnlint.runtime.monitor.thresholds import Thresholds

Level: TypeAlias = Literal["error", "warning", "advice"]

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
_NAMED = 3
_LEARNS = 0.5
"""A loss that has halved is that of a network that learns, whatever its gradients are like."""


@dataclass(frozen=True)
class Observation:
    """One thing that a run showed.

    Attributes:
        signal: what was seen, in a word: ``padding``, ``vanishing``, ``constant output``.
        level: ``error`` where the network cannot learn, ``warning`` where it is hindered.
        message: what was seen, with its number, and what it means.
        remedy: what to do about it.
        measured: the number.
        threshold: what it was compared with.
        layer: the recurrent layer, as in ``named_modules``; None for the run as a whole.
        step: the optimizer's step at which it was first seen, where it has one.
        codes: the rules of rnnlint that say where in the code to look for it.
    """

    signal: str
    level: Level
    message: str
    remedy: str
    measured: float
    threshold: float
    layer: str | None = None
    step: int | None = None
    codes: tuple[str, ...] = ()


def judge(
    history: History, kinds: Mapping[str, str], thresholds: Thresholds
) -> tuple[Observation, ...]:
    """What is wrong with a run, worst first."""
    found = [*_of_run(history, thresholds)]
    for name, samples in history.layers.items():
        found += _of_layer(name, kinds.get(name, "layer"), samples, history, thresholds)
    return tuple(
        sorted(found, key=lambda seen: (_ORDER.index(seen.level), _SIGNALS.index(seen.signal)))
    )


# --- the run as a whole ---------------------------------------------------------------


def _of_run(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    yield from _nonfinite(history)
    yield from _probabilities(history)
    yield from _unmoved(history)
    yield from _exploding(history, thresholds)
    yield from _rising(history, thresholds)
    yield from _constant(history, thresholds)
    yield from _clipping(history, thresholds)
    yield from _rates(history, thresholds)
    yield from _not_falling(history, thresholds)


def _nonfinite(history: History) -> Iterator[Observation]:
    step = history.nonfinite_step
    if step is None:
        return
    origin = ""
    if history.nonfinite_module:
        origin = f"; {history.nonfinite_module} is the first that has such values"
    yield Observation(
        "non-finite",
        "error",
        f"the loss is NaN or infinite from step {step} on{origin}",
        "clip gradients between loss.backward() and optimizer.step(), lower the learning rate, "
        "and look for a logarithm, division or root of zero",
        1.0,
        0.0,
        step=step,
        codes=("RNN201", "RNN202", "RNN507"),
    )


def _probabilities(history: History) -> Iterator[Observation]:
    spreads = [spread for spread in history.spreads if spread.loss == "cross_entropy"]
    if spreads and all(spread.probabilities for spread in spreads):
        yield Observation(
            "probabilities as logits",
            "error",
            "what the cross-entropy takes for logits sums to one in every sample: a softmax comes "
            "before it, and it applies its own",
            "hand the loss the output of the last linear layer",
            1.0,
            0.0,
            codes=("RNN504",),
        )


def _unmoved(history: History) -> Iterator[Observation]:
    for names, said, codes, remedy in (
        (
            history.left_out,
            "get a gradient and are in no optimizer",
            ("RNN604",),
            "give the optimizer the parameters of the whole model",
        ),
        (
            history.without_gradient,
            "are in the optimizer, and the loss does not reach them",
            ("RNN110", "RNN604", "RNN609"),
            "look for a result that is not used, or detached, between them and the loss",
        ),
    ):
        if names:
            shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            what = "parameters" if len(names) > 1 else "parameter"
            yield Observation(
                "unmoved parameters",
                "warning",
                f"{len(names)} {what} {said}: {shown}",
                remedy,
                float(len(names)),
                0.0,
                step=0,
                codes=codes,
            )


def _exploding(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    norms = [(step, norm) for step, norm in history.norms.values if math.isfinite(norm)]
    if len(norms) < _FEWEST:
        return
    median = statistics.median(norm for _, norm in norms)
    step, largest = max(norms, key=lambda pair: pair[1])
    # Behind a bound, a large gradient harms nothing.
    if median <= 0 or largest / median < thresholds.exploding or history.clip_calls:
        return
    yield Observation(
        "exploding",
        "warning",
        f"the norm of the gradients is {largest:.3g} at step {step}, {largest / median:.0f} times "
        f"its median of {median:.3g}",
        "clip gradients between loss.backward() and optimizer.step()",
        largest / median,
        thresholds.exploding,
        step=step,
        codes=("RNN201", "RNN202", "RNN501"),
    )


def _rising(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    """The loss left what it had reached, and did not come back."""
    losses = [(step, loss) for step, loss in history.losses.values if math.isfinite(loss)]
    if len(losses) < thresholds.steps:
        return
    window = max(_FEWEST, len(losses) // 10)
    smooth = [
        (losses[place][0], statistics.median(loss for _, loss in losses[place : place + window]))
        for place in range(0, len(losses) - window + 1, max(1, window // 2))
    ]
    lowest_place = min(range(len(smooth)), key=lambda place: smooth[place][1])
    step, lowest = smooth[lowest_place]
    last = smooth[-1][1]
    first = smooth[0][1]
    # Above where it began: what is only worse than the best is the noise of training.
    if last <= max(lowest * 1.5, first * 1.1) or lowest <= 0:
        return
    yield Observation(
        "rising loss",
        "error",
        f"the loss was {lowest:.3g} about step {step}, and ends at {last:.3g}: it explodes after "
        f"step {step + window}",
        "clip gradients between loss.backward() and optimizer.step(), and lower the learning rate",
        last / lowest,
        1.5,
        step=step + window,
        codes=("RNN201", "RNN202", "RNN205", "RNN206", "RNN501"),
    )


def _constant(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    late = [spread for spread in history.spreads if spread.step >= thresholds.steps]
    if len(late) < 2:
        return
    late = late[len(late) // 2 :]
    targets = statistics.median(spread.targets for spread in late)
    predictions = statistics.median(spread.predictions for spread in late)
    if targets <= 0 or predictions / targets >= thresholds.constant:
        return
    yield Observation(
        "constant output",
        "error",
        f"the predictions hardly tell one sample from another: their spread is {predictions:.2g}, "
        f"that of the targets {targets:.2g}",
        "look at what is read of the recurrent layer, and whether it knows anything of the input: "
        "probe(model, batch, loss) tries it",
        predictions / targets,
        thresholds.constant,
        step=late[0].step,
        codes=("RNN101", "RNN103", "RNN104", "RNN105", "RNN112", "RNN401", "RNN403", "RNN501"),
    )


def _clipping(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    if not history.clip_calls or history.steps < thresholds.steps:
        return
    share = history.clipped / history.clip_calls
    if share > thresholds.clipped:
        yield Observation(
            "always clipped",
            "advice",
            f"{share:.0%} of the steps are clipped, at {_listed(history.bounds)}: the bound stands "
            "for the learning rate",
            "raise the bound, or lower the learning rate",
            share,
            thresholds.clipped,
            codes=("RNN210",),
        )
    measured = [norm for norm in history.norms.numbers if norm > 0]
    if not measured:
        yield Observation(
            "clipping without effect",
            "error",
            "the norm of the gradients is zero whenever they are clipped: there are none yet",
            "clip between loss.backward() and optimizer.step()",
            0.0,
            0.0,
            codes=("RNN202",),
        )


def _rates(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    rates = history.rates.numbers
    if not rates or history.steps < thresholds.steps:
        return
    if history.rate_changed is None:
        yield Observation(
            "constant learning rate",
            "advice",
            f"the learning rate was {rates[0]:.3g} at each of {history.steps} steps",
            "let a schedule lower it towards the end",
            0.0,
            0.0,
            codes=("RNN301", "RNN302"),
        )
    elif rates[0] > 0 and max(rates[-max(1, len(rates) // 4) :]) < 1e-7 * max(rates):
        yield Observation(
            "vanished learning rate",
            "warning",
            f"the learning rate fell from {max(rates):.3g} to {rates[-1]:.3g}, where nothing is "
            "learnt any more",
            "give the schedule the number of steps that the run has, or an eta_min",
            rates[-1] / max(rates),
            1e-7,
            codes=("RNN305",),
        )


def _not_falling(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    fall = _fall(history)
    if fall is None or history.steps < 2 * thresholds.steps or fall >= thresholds.falling:
        return
    if fall > -0.1:
        yield Observation(
            "flat loss",
            "warning",
            f"the loss does not fall: {_first(history):.3g} in the first tenth of "
            f"{history.steps} steps, {_last(history):.3g} in the last",
            "see the other findings; probe(model, batch, loss) tries whether one batch can be "
            "learnt at all",
            fall,
            thresholds.falling,
        )


# --- one layer ------------------------------------------------------------------------


def _of_layer(
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
    yield from _vanishing(name, called, kind, late, history, thresholds)
    yield from _saturated(name, called, late, history, thresholds)
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
    if share > _SOME_PADDING and lost > thresholds.vanishing:
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
    kind: str,
    late: Sequence[LayerSample],
    history: History,
    thresholds: Thresholds,
) -> Iterator[Observation]:
    ratios = [sample.early_to_late for sample in late if sample.early_to_late is not None]
    if not ratios:
        return
    ratio = statistics.median(ratios)
    fall = _fall(history)
    if ratio >= thresholds.vanishing or (fall is not None and fall > _LEARNS):
        return
    yield Observation(
        "vanishing",
        "error" if ratio < thresholds.forgotten else "warning",
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


# --- the loss over the run ------------------------------------------------------------

_FEWEST = 5
_SOME_PADDING = 0.05
_MOST_OF_IT = 0.5


def _first(history: History) -> float:
    losses = history.losses.numbers
    return statistics.fmean(losses[: max(_FEWEST, len(losses) // 10)])


def _last(history: History) -> float:
    losses = history.losses.numbers
    return statistics.fmean(losses[-max(_FEWEST, len(losses) // 10) :])


def _fall(history: History) -> float | None:
    """By how much of itself the loss has fallen; None where it is not known, or never positive."""
    losses = history.losses.numbers
    if len(losses) < 2 * _FEWEST or not all(map(math.isfinite, losses)):
        return None
    first = _first(history)
    return (first - _last(history)) / first if first > 0 else None


def _listed(bounds: Sequence[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in sorted(bounds))
