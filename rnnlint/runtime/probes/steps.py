"""Whether outputs know of padding, and of the future."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.probes.comparing import Axes, axes_of, closest
from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.layout import Real
from rnnlint.runtime.probes.sample import TARGETS, NotApplicable
from rnnlint.runtime.probes.structure import Path, leaves, packed_like, told, unpacked
from rnnlint.runtime.probes.subject import Subject, difference

_QUANTITY = "relative change"
_APPENDED = 5

_LEFT_TOLERANCE = 0.1
"""A recurrent layer reads padding on the left, and forgets it: 0.003 of the state was measured
after 20 steps, where packing such a batch costs 0.5."""


def padding(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.padding`."""
    layout = subject.layout
    if not isinstance(subject.inputs[layout.main], Tensor):
        raise NotApplicable("the model takes sequences without padding")
    real = subject.real
    if real is None:
        raise NotApplicable("nothing says that this batch is padded: pass lengths= where it is")
    if real.side == "left" and not real.sources:
        raise NotApplicable("the batch is padded on the left, and the model is not told where")
    axes = axes_of(subject)
    batch = padded(subject, real, _APPENDED)
    try:
        outputs = subject.outputs(batch)
    except Exception as error:
        raise NotApplicable(
            f"the model takes no batch of {layout.steps + _APPENDED} steps: "
            f"{type(error).__name__}: {error}"
        ) from error
    changes = {
        path: change
        for path, tensor in axes.base.items()
        if path in outputs
        and (change := _change(axes, path, tensor, outputs[path], real)) is not None
    }
    if not changes:
        raise NotApplicable("no output can be compared with that of a longer batch")
    path = max(changes, key=lambda path: changes[path])
    worst, where = changes[path], told(("output", *path)) if path else "the output"
    read_out = _change_of_loss(subject, batch)
    if read_out is not None and read_out > worst:
        worst, where = read_out, "the loss"
    return _padding_finding(worst, where, real, subject.tolerance)


def _padding_finding(worst: float, where: str, real: Real, tolerance: float) -> Finding:
    left = real.side == "left"
    tolerance = max(tolerance, _LEFT_TOLERANCE) if left else tolerance
    if worst <= tolerance:
        return Finding(
            False,
            worst,
            tolerance,
            _QUANTITY,
            f"padding {_APPENDED} steps more changes no output on real steps",
        )
    if left:
        return Finding(
            True,
            worst,
            tolerance,
            _QUANTITY,
            f"the batch is padded on the left, and {where} changes with {_APPENDED} steps of "
            "padding more: lengths count from the first step, where the padding is.  Pad on the "
            "right.",
            codes=("RNN118",),
        )
    return Finding(
        True,
        worst,
        tolerance,
        _QUANTITY,
        f"{where} changes when {_APPENDED} steps of padding are appended, so that a sequence "
        "counts for something else in every batch.  Pack the sequences or use run_recurrent, read "
        "the last real step (last_valid), pool over real steps (masked_mean), and mask attention.",
        codes=("RNN101", "RNN103", "RNN110", "RNN113"),
    )


def padded(subject: Subject, real: Real, count: int) -> Any:
    """The batch with ``count`` steps of padding more, on the side where padding is."""
    layout = subject.layout

    def append(path: Path, leaf: Any) -> Any:
        kind = real.sources.get(path)
        if kind == "lengths":
            return _longer_lengths(leaf, layout.steps, count)
        if not isinstance(leaf, Tensor):
            return leaf
        time = layout.time_axis_of(leaf)
        is_loose = time is None and layout.batch_axis_of(leaf) is None
        extends_otherwise = is_loose or (path != layout.main and layout.steps in leaf.shape[2:])
        if extends_otherwise and layout.steps in leaf.shape:
            # A mask of steps against steps, or positions.
            raise NotApplicable(
                f"{subject.name(path)} of the shape {tuple(leaf.shape)} cannot be made longer"
            )
        if time is None:
            return leaf
        value = _filling(subject, path, leaf, kind == "mask", time, real)
        filling = torch.full_like(leaf.narrow(time, 0, 1), value).repeat_interleave(count, time)
        return torch.cat([leaf, filling] if real.side == "right" else [filling, leaf], time)

    return subject.changed(append)


def _longer_lengths(leaf: Any, steps: int, count: int) -> Any:
    """Relative lengths are parts of the padded length, which grows."""
    if isinstance(leaf, Tensor):
        return leaf * (steps / (steps + count)) if leaf.is_floating_point() else leaf
    return type(leaf)(
        part * (steps / (steps + count)) if isinstance(part, float) else part for part in leaf
    )


def _filling(
    subject: Subject, path: Path, leaf: Tensor, is_mask: bool, time: int, real: Real
) -> float | bool:
    if is_mask:
        first = leaf.select(time, 0 if real.side == "right" else -1).flatten()[0]
        return not bool(first)
    if path == subject.layout.main:
        return subject.padding_value
    return -100 if subject.name(path) in TARGETS and not leaf.is_floating_point() else 0


def _change(axes: Axes, path: Path, before: Tensor, after: Tensor, real: Real) -> float | None:
    """By how much an output changes on real steps; None where that cannot be told."""
    steps = axes.steps
    if before.shape == after.shape:
        return difference(before, after)
    found = axes.batch_axis(path)
    if found is None or before.ndim != after.ndim:
        return None
    if found.flattened:
        forms = zip(
            axes.batch_forms(path, before),
            axes.batch_forms(path, after, steps + _APPENDED),
            strict=True,
        )
        return min(_on_real_steps(one, other, real, steps) for one, other in forms)
    grown = [axis for axis in range(before.ndim) if before.size(axis) != after.size(axis)]
    if any((before.size(a), after.size(a)) != (steps, steps + _APPENDED) for a in grown):
        return None
    for axis in grown[1:]:
        after = after.narrow(axis, 0 if real.side == "right" else _APPENDED, steps)
    one, other = (tensor.movedim((found.axis, grown[0]), (0, 1)) for tensor in (before, after))
    return _on_real_steps(one, other, real, steps)


def _on_real_steps(before: Tensor, after: Tensor, real: Real, steps: int) -> float:
    after = after.narrow(1, 0 if real.side == "right" else _APPENDED, steps)
    mask = real.mask(steps).to(before.device)
    return difference(before[mask], after[mask])


def _change_of_loss(subject: Subject, batch: Any) -> float | None:
    """By how much the loss changes, where the target has no axis of time to be padded."""
    layout = subject.layout
    targets = leaves(subject.target_of(subject.batch)).values()
    if not subject.has_target or any(layout.time_axis_of(leaf) is not None for leaf in targets):
        return None
    if any(isinstance(leaf, Tensor) and layout.steps in leaf.shape for leaf in targets):
        return None
    try:
        before, after = (subject.loss_of(subject.run(given)) for given in (None, batch))
    except Exception:  # a mask of the old length, for instance
        return None
    return difference(before, after)


# --- the future -------------------------------------------------------------------------


def causality(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.causality`."""
    causal = subject.options.get("causal")
    layout = subject.layout
    if causal is False:
        raise NotApplicable("outputs may look ahead: causal=False")
    cut = layout.steps // 2
    if cut < 1:
        raise NotApplicable("the sequences are too short to have a past")
    predicted = _predicted_input(subject)
    axes = axes_of(subject)
    if not any(axes.step_forms(path) for path in axes.base):
        raise NotApplicable("no output has the axis of time of the input")
    outputs = subject.outputs(_with_other_future(subject, cut, predicted))
    changes = [
        closest(
            [form[:, :cut] for form in forms],
            [form[:, :cut] for form in axes.forms_of(path, outputs[path])],
        )
        for path in axes.base
        if path in outputs and (forms := axes.step_forms(path))
    ]
    worst = max(changes)
    if worst > subject.tolerance and predicted is None and not causal:
        raise NotApplicable(
            "outputs depend on later steps, as those of a bidirectional layer do, and nothing "
            "says that they must not: pass causal=True where they must not"
        )
    if worst <= subject.tolerance:
        said = f"the outputs of the first {cut} steps do not depend on what comes later"
        return Finding(False, worst, subject.tolerance, _QUANTITY, said)
    why = (
        "although the target is the input of the next step, so that the model can copy what it "
        "should predict and will learn nothing else"
        if predicted is not None
        else "and causal=True says that they must not"
    )
    return Finding(
        True,
        worst,
        subject.tolerance,
        _QUANTITY,
        f"the outputs of the first {cut} steps depend on later steps, {why}.  Look for a "
        "bidirectional layer, attention without a causal mask, a convolution that is padded on "
        "both sides, and a normalisation over time.",
    )


def _predicted_input(subject: Subject) -> Path | None:
    """The input whose next step is the target."""
    if not subject.has_target:
        return None
    for target in leaves(subject.target_of(subject.batch)).values():
        for path, leaf in subject.inputs.items():
            if (
                isinstance(leaf, Tensor)
                and isinstance(target, Tensor)
                and _is_next(leaf, target, subject)
            ):
                return path
    return None


def _is_next(leaf: Tensor, target: Tensor, subject: Subject) -> bool:
    time = subject.layout.time_axis_of(leaf)
    if time is None or leaf.shape[:2] != target.shape[:2] or leaf.size(time) < 3:
        return False
    if leaf.ndim == target.ndim + 1 and leaf.size(-1) == 1:
        leaf = leaf.squeeze(-1)
    if leaf.shape != target.shape or leaf.dtype != target.dtype or time >= target.ndim:
        return False
    following = leaf.narrow(time, 1, leaf.size(time) - 1).movedim(time, 1)
    told_next = target.narrow(time, 0, leaf.size(time) - 1).movedim(time, 1)
    steps = leaf.movedim(time, 1)
    if bool((steps[:, 1:] == steps[:, :-1]).all()):
        return False  # a constant is its own next step
    # Targets mark what they ignore.
    equal = (following == told_next) | (told_next == -100)
    return bool(equal.float().mean() > 0.99) and not bool((leaf == target).all())


def _with_other_future(subject: Subject, cut: int, only: Path | None) -> Any:
    """The batch with other values on real steps from ``cut`` on, in all inputs with time."""
    layout, real = subject.layout, subject.real
    changes = 0
    generator = torch.Generator().manual_seed(0)

    def change(path: Path, leaf: Any) -> Any:
        nonlocal changes
        is_source = real is not None and path in real.sources
        if is_source or (path != only and only is not None):
            return leaf
        if isinstance(leaf, PackedSequence):
            data, lengths = unpacked(leaf)
            new = _other(data, cut, None, generator)
            changes += not torch.equal(new, data)
            return packed_like(new, lengths)
        time = layout.time_axis_of(leaf)
        if time is None or not isinstance(leaf, Tensor) or leaf.dtype == torch.bool:
            return leaf
        batch = layout.batch_axis_of(leaf) or 0
        steps = leaf.detach().movedim((batch, time), (0, 1))
        mask = _changeable(subject, path, steps)
        new = _other(steps, cut, mask, generator).movedim((0, 1), (batch, time))
        changes += not torch.equal(new, leaf)
        return new

    batch = subject.changed(change)
    if not changes:
        raise NotApplicable(f"no input has real steps after the first {cut} to be changed")
    return batch


def _changeable(subject: Subject, path: Path, steps: Tensor) -> Tensor | None:
    """Which steps are real: padding stays, as models tell it by its value."""
    real = subject.real
    if real is not None:
        return real.mask(subject.layout.steps).to(steps.device)
    if not steps.is_floating_point() and path == subject.layout.main and steps.ndim == 2:
        return steps != subject.padding_value
    return None


def _other(steps: Tensor, cut: int, mask: Tensor | None, generator: torch.Generator) -> Tensor:
    """Other values from ``cut`` on: numbers with noise, ids that are other ids of the batch."""
    if mask is None:
        mask = torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
    new = steps.clone()
    known = steps[:, :cut][mask[:, :cut]].flatten()
    mask = mask.clone()
    mask[:, :cut] = False
    chosen = steps[mask]
    if steps.is_floating_point():
        spread = float(steps.cpu().double().std()) or 1.0
        noise = torch.randn(chosen.shape, generator=generator, dtype=torch.float64)
        new[mask] = chosen + (noise * spread).to(chosen.dtype).to(chosen.device)
        return new
    present = torch.cat([known, chosen.flatten()]).unique()  # type: ignore[no-untyped-call]  # untyped in PyTorch
    if chosen.numel() and present.numel() > 1:
        places = torch.searchsorted(present, chosen)
        new[mask] = present[(places + 1) % present.numel()]
    return new
