"""What is wrong with a run as a whole."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from rnnlint.runtime.monitor.observations import Observation
from rnnlint.runtime.monitor.records import History
from rnnlint.runtime.monitor.thresholds import Thresholds
from rnnlint.runtime.monitor.trends import FEWEST, fall, learns

_NAMED = 3
_LONG_RUN = 10
"""So many times the steps that a judgement takes are a run that could do with a schedule."""
_ROSE = -0.1


def of_run(history: History, thresholds: Thresholds) -> Iterator[Observation]:
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
    passed = any(later > step and math.isfinite(loss) for later, loss in history.losses.values)
    when = f"at step {step}, and finite later" if passed else f"from step {step} on"
    yield Observation(
        "non-finite",
        "warning" if passed else "error",
        f"the loss is NaN or infinite {when}{origin}",
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
            "get a gradient and are in no optimizer that is known",
            ("RNN604",),
            "give the optimizer the parameters of the whole model, and the monitor all optimizers",
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
    """One gradient is far above those before it, and the loss is worse after it."""
    norms = [(step, norm) for step, norm in history.norms.values if math.isfinite(norm)]
    # Behind a bound, a large gradient harms nothing.
    if len(norms) <= FEWEST or history.clip_calls:
        return
    place = max(range(FEWEST, len(norms)), key=lambda place: norms[place][1])
    step, largest = norms[place]
    # Where a network has learnt, its gradients are small, and one that is as at first is no harm.
    usual = max(
        statistics.median(norm for _, norm in norms[:FEWEST]),
        statistics.median(norm for _, norm in norms[:place]),
    )
    if usual <= 0 or largest / usual < thresholds.exploding or _falls_after(history, step):
        return
    yield Observation(
        "exploding",
        "warning",
        f"the norm of the gradients is {largest:.3g} at step {step}, {largest / usual:.0f} times "
        f"what it was before, {usual:.3g}, and the loss does not fall after it",
        "clip gradients between loss.backward() and optimizer.step()",
        largest / usual,
        thresholds.exploding,
        step=step,
        codes=("RNN201", "RNN202", "RNN501"),
    )


def _falls_after(history: History, step: int) -> bool:
    losses = history.losses.values
    before = [loss for known, loss in losses if known <= step][-FEWEST:]
    after = [loss for known, loss in losses if known > step][:FEWEST]
    return bool(before and after) and statistics.median(after) < statistics.median(before)


def _rising(history: History, thresholds: Thresholds) -> Iterator[Observation]:
    """The loss left what it had reached, and did not come back."""
    losses = [(step, loss) for step, loss in history.losses.values if math.isfinite(loss)]
    if len(losses) < thresholds.steps:
        return
    window = max(FEWEST, len(losses) // 10)
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
    late = [
        spread
        for spread in history.spreads
        if spread.step >= thresholds.steps and spread.targets > 0
    ]
    if len(late) < 2:
        return
    late = late[len(late) // 2 :]
    ratio = statistics.median(spread.predictions / spread.targets for spread in late)
    if ratio >= thresholds.constant or _still_falls(history, thresholds):
        return
    yield Observation(
        "constant output",
        "error",
        f"the predictions hardly tell one sample from another: their spread is {ratio:.2g} of that "
        "of the targets",
        "look at what is read of the recurrent layer, and whether it knows anything of the input: "
        "probe(model, batch, loss) tries it",
        ratio,
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
        if history.steps < _LONG_RUN * thresholds.steps:
            return
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
    found = fall(history)
    if found is None or history.steps < 2 * thresholds.steps or learns(history):
        return
    # A loss that rises is another matter, and told as that.
    if _ROSE < found.of_tenths < thresholds.falling:
        yield Observation(
            "flat loss",
            "warning",
            f"the loss does not fall: {found.first:.3g} in the first tenth of {history.steps} "
            f"steps, {found.last:.3g} in the last",
            "see the other findings; probe(model, batch, loss) tries whether one batch can be "
            "learnt at all",
            found.of_tenths,
            thresholds.falling,
            codes=("RNN401", "RNN402", "RNN403", "RNN501", "RNN502"),
        )


def _still_falls(history: History, thresholds: Thresholds) -> bool:
    """Whether the second half of the run goes on where the first has begun."""
    losses = [loss for _, loss in history.losses.values if math.isfinite(loss)]
    half, quarter = losses[len(losses) // 2 :], len(losses) // 4
    if quarter < FEWEST:
        return False
    before, after = statistics.fmean(half[:quarter]), statistics.fmean(half[-quarter:])
    return before > 0 and (before - after) / before >= thresholds.falling


def _listed(bounds: Sequence[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in sorted(bounds))
