"""What a run says of one finding: that it is so, with the number, or that it is not."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Callable, Sequence

import msgspec

from rnnlint.diagnostic import Diagnostic
from rnnlint.doctor.evidence import Run, Watched, brief, failed


class Judgement(enum.Enum):
    """Whether a run bears out a finding."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    UNSEEN = "unseen"
    """It was not tried, or shows in no number of a run."""


class Verdict(msgspec.Struct, frozen=True):
    """A judgement, and the number that it rests on."""

    judgement: Judgement
    evidence: str = ""


_UNSEEN = Verdict(Judgement.UNSEEN)
_READ = 1e-3
"""The share of the gradient from which on padding is read; see the monitor's thresholds."""
_PADDED = 0.01
_FORGOTTEN, _REMEMBERED = 0.01, 0.03
"""Early-to-late ratios of networks that could not learn were 4e-14 to 2e-3, and those of their
repairs 0.05 to 1.2; what lies between says nothing."""
_EXPLODED = 100.0


def verdict(diagnostic: Diagnostic, run: Run, layers: Sequence[Watched]) -> Verdict:
    """What the run says of a finding.

    Args:
        diagnostic: the finding.
        run: all that was seen.
        layers: the recurrent layers that the finding is about.
    """
    judge = _JUDGES.get(diagnostic.code)
    return judge(run, layers) if judge is not None else _UNSEEN


def _confirmed(evidence: str) -> Verdict:
    return Verdict(Judgement.CONFIRMED, evidence)


def _dismissed(evidence: str) -> Verdict:
    return Verdict(Judgement.DISMISSED, evidence)


# --- padding --------------------------------------------------------------------------


def _padding(run: Run, layers: Sequence[Watched]) -> Verdict:
    padded = [layer for layer in layers if layer.padding is not None or layer.packed]
    if not padded:
        return _UNSEEN
    worst = max(padded, key=lambda layer: layer.padding or 0.0)
    share, into = worst.padding or 0.0, worst.into_padding or 0.0
    if worst.packed:
        return _dismissed(f"the input of {worst.name} was packed in every step that was sampled")
    if share < _PADDED:
        return _dismissed(f"there was hardly any padding in what {worst.name} ran over")
    said = f"{share:.0%} of the steps that {worst.name} ran over were padding, and "
    if into <= _READ:
        return _dismissed(f"{said}no gradient went there: what is read of it are real steps")
    return _confirmed(f"{said}{into:.0%} of the gradient went there")


def _order(run: Run, layers: Sequence[Watched]) -> Verdict:
    return _probe(run, "batch_order")


def _attention(run: Run, layers: Sequence[Watched]) -> Verdict:
    return _probe(run, "padding")


def _future(run: Run, layers: Sequence[Watched]) -> Verdict:
    return _probe(run, "causality")


def _chance(run: Run, layers: Sequence[Watched]) -> Verdict:
    return _probe(run, "determinism")


def _probe(run: Run, name: str) -> Verdict:
    for probe in run.probes:
        if probe.name == name and probe.status == "failed":
            return _confirmed(failed(probe))
        if probe.name == name and probe.status == "passed":
            return _dismissed(f"the probe {name} on the first batch passed")
    return _UNSEEN


def _direction(run: Run, layers: Sequence[Watched]) -> Verdict:
    both = [layer for layer in layers if layer.seen.bidirectional]
    silent = [layer.name for layer in both if layer.seen.silent]
    if silent:
        return _confirmed(
            f"the recurrent weights of the backward direction of {silent[0]} got a gradient of "
            "exactly zero: it is read at its first step"
        )
    if both and any(layer.samples for layer in both):
        return _dismissed(f"the backward direction of {both[0].name} got a gradient")
    return _UNSEEN


# --- gradients ------------------------------------------------------------------------


def _clipping(run: Run, layers: Sequence[Watched]) -> Verdict:
    history = run.history
    if history.clip_calls >= history.steps > 0:
        return _dismissed(f"gradients were clipped in all of {history.steps} steps")
    if history.nonfinite_step is not None:
        return _confirmed(f"the loss was NaN or infinite from step {history.nonfinite_step} on")
    exploded = [seen for seen in run.observations if seen.signal in ("exploding", "rising loss")]
    if exploded:
        return _confirmed(exploded[0].message)
    norms = history.norms.numbers
    if norms and max(norms) > _EXPLODED * statistics.median(norms) > 0:
        times = max(norms) / statistics.median(norms)
        return _confirmed(f"the norm of the gradients rose to {times:.0f} times its median")
    return _UNSEEN


def _clip_order(run: Run, layers: Sequence[Watched]) -> Verdict:
    clipping = [step for step in _steps(run.events) if "clip" in step]
    if not clipping:
        return _UNSEEN
    wrong = [step for step in clipping if "backward" not in step[: step.index("clip")]]
    shown = (wrong or clipping)[0]
    said = f"a step went {', '.join(shown)}"
    return _confirmed(said) if len(wrong) == len(clipping) else _dismissed(said)


def _steps(events: Sequence[str]) -> list[tuple[str, ...]]:
    """What happened up to each step of an optimizer, and with it."""
    ends = [at for at, event in enumerate(events) if event == "step"]
    starts = [0, *(end + 1 for end in ends)]
    return [tuple(events[start : end + 1]) for start, end in zip(starts, ends, strict=False)]


def _state(run: Run, layers: Sequence[Watched]) -> Verdict:
    if "backward through the graph a second time" in run.raised:
        return _confirmed(f"step {run.history.steps + 1} ended with it: {brief(run.raised)}")
    carried = [
        (layer.name, sample.step) for layer in layers for sample in layer.samples if sample.carried
    ]
    if carried:
        name, step = carried[0]
        return _confirmed(
            f"{name} began step {step} from a state of the step before, with its graph"
        )
    if run.history.steps > 1 and any(layer.samples for layer in layers):
        return _dismissed("no state brought the graph of an earlier step with it")
    return _UNSEEN


def _clearing(run: Run, layers: Sequence[Watched]) -> Verdict:
    if not run.looked:
        return _UNSEEN
    if run.accumulated == run.looked:
        return _confirmed(f"{run.looked} steps of {run.looked} began with the gradients of others")
    return _dismissed("steps began without gradients of the step before")


def _memory(run: Run, layers: Sequence[Watched]) -> Verdict:
    known = [(layer.early_to_late, layer.name) for layer in layers]
    ratios = [(ratio, name) for ratio, name in known if ratio is not None]
    if not ratios:
        return _UNSEEN
    ratio, name = min(ratios)
    said = f"the first steps that {name} read got {ratio:.1g} of the gradient of those with most"
    if ratio < _FORGOTTEN:
        return _confirmed(said)
    return _dismissed(said) if ratio > _REMEMBERED else _UNSEEN


# --- the loop -------------------------------------------------------------------------


def _rate(run: Run, layers: Sequence[Watched]) -> Verdict:
    rates = run.history.rates.numbers
    if not rates:
        return _UNSEEN
    if run.history.rate_changed is not None:
        return _dismissed(f"the learning rate changed at step {run.history.rate_changed}")
    if not run.whole:
        return _UNSEEN
    return _confirmed(f"the learning rate was {rates[0]:.3g} at all {run.history.steps} steps")


def _mode(run: Run, layers: Sequence[Watched]) -> Verdict:
    samples = [sample for layer in layers for sample in layer.samples]
    if samples and not any(sample.training for sample in samples):
        return _confirmed("the layers were in evaluation mode in every step that was sampled")
    return _UNSEEN


def _logits(run: Run, layers: Sequence[Watched]) -> Verdict:
    spreads = [spread for spread in run.history.spreads if spread.loss == "cross_entropy"]
    if not spreads:
        return _UNSEEN
    if all(spread.probabilities for spread in spreads):
        return _confirmed("what the cross-entropy took for logits summed to one in every sample")
    return _dismissed("what the cross-entropy took for logits did not sum to one")


def _shapes(run: Run, layers: Sequence[Watched]) -> Verdict:
    if run.broadcast:
        return _confirmed(f"a loss compared {run.broadcast[0]}")
    return _dismissed("no loss had to broadcast") if run.history.losses.values else _UNSEEN


def _left_out(run: Run, layers: Sequence[Watched]) -> Verdict:
    if run.history.left_out:
        names = run.history.left_out
        return _confirmed(f"{len(names)} parameters got a gradient and no optimizer: {names[0]}")
    return _UNSEEN


def _stepped(run: Run, layers: Sequence[Watched]) -> Verdict:
    steps = run.history.steps
    if steps or "step" in run.events:
        return _dismissed(f"the optimizer made {steps or 'its'} steps")
    return _confirmed("there was no step") if "backward" in run.events else _UNSEEN


_JUDGES: dict[str, Callable[[Run, Sequence[Watched]], Verdict]] = {
    "RNN101": _padding,
    "RNN102": _padding,
    "RNN103": _padding,
    "RNN104": _order,
    "RNN105": _order,
    "RNN110": _direction,
    "RNN112": _order,
    "RNN113": _attention,
    "RNN117": _future,
    "RNN201": _clipping,
    "RNN202": _clip_order,
    "RNN205": _state,
    "RNN206": _clearing,
    "RNN207": _state,
    "RNN209": _state,
    "RNN301": _rate,
    "RNN302": _rate,
    "RNN401": _memory,
    "RNN402": _memory,
    "RNN403": _memory,
    "RNN404": _memory,
    "RNN405": _memory,
    "RNN501": _memory,
    "RNN502": _memory,
    "RNN504": _logits,
    "RNN506": _chance,
    "RNN509": _order,
    "RNN602": _mode,
    "RNN604": _left_out,
    "RNN607": _stepped,
    "RNN608": _shapes,
}
