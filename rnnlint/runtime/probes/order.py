"""Whether the sequences of a batch know of each other."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.probes.comparing import Axes, axes_of, closest
from rnnlint.runtime.probes.finding import Finding
from rnnlint.runtime.probes.sample import NotApplicable
from rnnlint.runtime.probes.structure import Path, leaves, told
from rnnlint.runtime.probes.subject import Subject, difference, largest_difference

_QUANTITY = "relative change"


def batch_order(subject: Subject) -> Finding:
    """See :func:`rnnlint.runtime.probes.batch_order`."""
    layout, tolerance = subject.layout, subject.tolerance
    if layout.sequences < 2:
        raise NotApplicable("one sequence has no order: use a batch of two or more")
    order = [*range(1, layout.sequences), 0]
    axes = axes_of(subject)
    turned = _outputs(subject, order)
    if all(tensor.ndim == 0 for tensor in axes.base.values()):
        return _of_single_numbers(largest_difference(axes.base, turned), tolerance)
    worst, where = _worst(axes, turned, order)
    if axes.larger is not None:
        again = _worst(axes, axes.larger, [0, *range(layout.sequences)])
        if again[0] > max(worst, tolerance):
            worst, where = again
    if worst > tolerance:
        return Finding(
            True,
            worst,
            tolerance,
            _QUANTITY,
            f"{where} of a sequence depends on the other sequences of the batch, or on their "
            "order.  Look for a layer that takes batch for time (batch_first), a view or reshape "
            "in the place of a transpose, a softmax or normalisation over the axis of the batch, "
            "and a sort by length that is not undone.",
        )
    return _of_loss(subject, axes, order) or Finding(
        False,
        worst,
        tolerance,
        _QUANTITY,
        "the outputs of a permuted batch are the permuted outputs",
    )


def _outputs(subject: Subject, order: list[int]) -> dict[Any, Tensor]:
    try:
        return subject.outputs(subject.selected(order))
    except RuntimeError as error:
        if "sorted" in str(error):
            raise NotApplicable(
                "the model wants its sequences in order of length, and this batch has them so; "
                "enforce_sorted=False would spare the loader the sort"
            ) from error
        raise


def _worst(axes: Axes, outputs: dict[Any, Tensor], index: list[int]) -> tuple[float, str]:
    found = [
        (closest([form[index] for form in forms], axes.batch_forms(path, outputs[path])), path)
        for path, tensor in axes.base.items()
        if path in outputs and (forms := axes.batch_forms(path, tensor))
    ]
    if not found:
        raise NotApplicable("no output has the axis of the batch")
    worst, path = max(found, key=lambda pair: pair[0])
    return worst, told(("output", *path)) if path else "the output"


def _of_single_numbers(change: float, tolerance: float) -> Finding:
    return Finding(
        change > tolerance,
        change,
        tolerance,
        "relative change of the loss",
        "the loss depends on the order of the batch: look for a layer that takes batch for time, "
        "a view in the place of a transpose, and a sort by length that is not undone"
        if change > tolerance
        else "the loss of a permuted batch is the same",
    )


def _of_loss(subject: Subject, axes: Axes, order: list[int]) -> Finding | None:
    """Whether the loss pairs outputs with the targets of other sequences."""
    if not subject.has_target or not _is_closed(subject.loss):
        return None
    targets = leaves(subject.target_of(subject.batch)).values()
    if not targets or any(subject.layout.batch_axis_of(leaf) is None for leaf in targets):
        return None
    try:
        before, after = subject.output_gradients, subject.gradients_of(subject.selected(order))
        if not _is_of_each(subject, axes):
            return None
    except Exception:  # the probe of losses says so
        return None
    changes = [
        closest([form[order] for form in forms], axes.batch_forms(path, after[path]))
        for path, gradient in before.items()
        if path in after
        and gradient.shape == axes.base[path].shape == after[path].shape
        and (forms := axes.batch_forms(path, gradient))
    ]
    if not max(changes, default=0) > 10 * subject.tolerance:
        return None
    return Finding(
        True,
        max(changes),
        10 * subject.tolerance,
        "relative change of dLoss/dOutput",
        "the outputs of a permuted batch are the permuted outputs, and what the loss wants of "
        "them is not: it pairs outputs with targets of other sequences.  Look at how both are "
        "flattened: one has the batch first and the other time, or one is sorted by length and "
        "the other not.",
    )


def _is_of_each(subject: Subject, axes: Axes) -> bool:
    """Whether the loss takes each output by itself, and not in pairs as a contrastive one does."""

    def nudge(path: Path, leaf: Any) -> Any:
        found = axes.batch_axis(path) if path in axes.base else None
        if found is None or not isinstance(leaf, Tensor):
            return leaf
        first = torch.zeros_like(leaf)
        first.select(found.axis, 0).fill_(1)
        return leaf + first

    nudged = subject.gradients_of(None, nudge)
    for path, gradient in subject.output_gradients.items():
        found = axes.batch_axis(path) if path in axes.base else None
        if found is None or gradient.shape != axes.base[path].shape:
            continue
        others = (found.axis, 1, gradient.size(found.axis) - 1)
        if difference(gradient.narrow(*others), nudged[path].narrow(*others)) > subject.tolerance:
            return False
    return True


def _is_closed(loss: Any) -> bool:
    """Whether a loss knows nothing of this batch but what it is given."""
    if isinstance(loss, nn.Module):
        return type(loss).__module__.startswith("torch.")
    if not inspect.isfunction(loss):
        return False
    seen = inspect.getclosurevars(loss)
    held = [*seen.nonlocals.values(), *seen.globals.values(), *(loss.__defaults__ or ())]
    return not any(
        isinstance(value, (Tensor, PackedSequence, list, tuple, dict, torch.utils.data.Dataset))
        for value in held
    )
