"""Losses over padded sequences that count real steps only.

``torch.nn.functional.cross_entropy`` wants classes on the second axis, where recurrent layers
have time; it knows padding by one target value only, and is NaN where nothing is real.  The
other losses know no padding at all: in a batch that is 60 % padding their mean is 60 % too
small.  Here

- what the padding holds changes neither the loss nor its gradients: NaN, infinities, targets
  that are no class;
- the loss is 0, and so are its gradients, where nothing is real;
- shapes are compared and never broadcast;
- the average is taken over all real steps of a batch, or over its sequences, and says so.  Over
  steps, long sequences weigh more; over sequences, all weigh the same, as in AllenNLP
  (https://docs.allennlp.org/main/api/nn/util/#sequence_cross_entropy_with_logits).

Half precision is computed in, and returned as, float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from rnnlint.runtime.lengths import (
    Lengths,
    PaddingSide,
    check_values,
    real_steps,
    resolve_lengths,
)

Average: TypeAlias = Literal["token", "sequence", "none"]

# No target is this by accident.  PyTorch's own default is -100, which would pass for padding
# where real steps hold it.
_NO_CLASS = torch.iinfo(torch.int64).min


def sequence_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    lengths: Lengths | None = None,
    *,
    mask: Tensor | None = None,
    ignore_index: int | None = None,
    average: Average = "token",
    label_smoothing: float = 0.0,
    weight: Tensor | None = None,
    batch_first: bool = True,
    padding_side: PaddingSide = "right",
) -> Tensor:
    """The cross entropy between logits and a class at every real step.

    What is real is said by ``lengths``, or ``mask``, or ``ignore_index``.  The last may join
    either of the others, for real steps that are not to be learned.

    Args:
        logits: shape ``(batch, time, classes)``; PyTorch's own cross entropy wants
            ``(batch, classes, time)``, and where there are as many steps as classes the two
            cannot be told apart.
        targets: integers of shape ``(batch, time)``.
        lengths: one a sequence; integers, relative floats, or a mask.  Those on an accelerator
            are waited for once.
        mask: shape ``(batch, time)`` whatever ``batch_first`` says, true where a step is real;
            holes are allowed.  A mask that is not boolean is looked at, and waited for.
        ignore_index: the target that marks a step as not real.
        average: ``"token"``, the mean over all real steps; ``"sequence"``, the mean over the
            real steps of each sequence and then over the sequences that have any; ``"none"``,
            no average: the loss of each step, 0 where it is not real.
        label_smoothing: the share of the target that is spread over all classes, from 0 to 1
            (arXiv 1512.00567).
        weight: one factor a class, shape ``(classes,)``.  A mean over steps is weighted with
            the factors of their targets, as in PyTorch.
        batch_first: False where logits are ``(time, batch, classes)`` and targets
            ``(time, batch)``.
        padding_side: where ``lengths`` have their padding.

    Returns:
        A scalar; with ``average="none"`` the shape of ``targets``.

    Raises:
        ValueError: the shapes do not fit each other, a real target is no class (on the CPU; an
            accelerator stops as it does in PyTorch), or nothing says what is real.
        TypeError: targets are not integers, or logits not floating point.
    """
    _check_logits(logits, targets)
    _check_options(average, label_smoothing, weight, logits.size(-1))
    numbers = targets.long()
    marked = None if ignore_index is None else numbers != ignore_index
    real = _real_steps(targets, lengths, mask, batch_first, padding_side, marked)
    classes = numbers.masked_fill(~real, 0)
    losses = _cross_entropy(logits, classes, real, label_smoothing, weight)
    factors = real if weight is None else real * weight.to(losses)[classes]
    return _averaged(losses, real, factors, average, batch_first)


def masked_mse_loss(
    predictions: Tensor,
    targets: Tensor,
    lengths: Lengths | None = None,
    *,
    mask: Tensor | None = None,
    average: Average = "token",
    batch_first: bool = True,
    padding_side: PaddingSide = "right",
) -> Tensor:
    """The squared error at every real step, averaged over its features.

    Args:
        predictions: floating point, shape ``(batch, time)`` or ``(batch, time, ...)``.
        targets: the same shape.
        lengths: one a sequence; integers, relative floats, or a mask.  Those on an accelerator
            are waited for once.
        mask: instead of lengths: shape ``(batch, time)`` whatever ``batch_first`` says, true
            where a step is real; holes are allowed.  A mask that is not boolean is looked at,
            and waited for.
        average: ``"token"``, ``"sequence"`` or ``"none"``, as in :func:`sequence_cross_entropy`.
        batch_first: False where the shapes begin with ``(time, batch)``.
        padding_side: where ``lengths`` have their padding.

    Returns:
        A scalar; with ``average="none"`` one loss a step, ``(batch, time)``, or
        ``(time, batch)`` where ``batch_first`` is False.

    Raises:
        ValueError: the shapes do not fit each other, or not exactly one of ``lengths`` and
            ``mask`` is given.
        TypeError: the predictions are not floating point.
    """
    return _masked(
        functional.mse_loss,
        predictions,
        targets,
        lengths,
        mask,
        average,
        batch_first,
        padding_side,
    )


def masked_l1_loss(
    predictions: Tensor,
    targets: Tensor,
    lengths: Lengths | None = None,
    *,
    mask: Tensor | None = None,
    average: Average = "token",
    batch_first: bool = True,
    padding_side: PaddingSide = "right",
) -> Tensor:
    """The absolute error at every real step, averaged over its features.

    Arguments, result and errors are those of :func:`masked_mse_loss`.
    """
    return _masked(
        functional.l1_loss,
        predictions,
        targets,
        lengths,
        mask,
        average,
        batch_first,
        padding_side,
    )


def masked_binary_cross_entropy_with_logits(
    logits: Tensor,
    targets: Tensor,
    lengths: Lengths | None = None,
    *,
    mask: Tensor | None = None,
    average: Average = "token",
    pos_weight: Tensor | None = None,
    batch_first: bool = True,
    padding_side: PaddingSide = "right",
) -> Tensor:
    """The binary cross entropy at every real step, averaged over its features.

    Arguments, result and errors are those of :func:`masked_mse_loss`, and

    Args:
        logits: before the sigmoid, which is part of the loss: taken apart they overflow.
        targets: from 0 to 1; integers and booleans will do.
        pos_weight: a factor for positive targets: one number, or one a feature, of the shape of
            the last axis.
    """
    if pos_weight is not None:
        features = tuple(logits.shape[2:][-1:])
        if pos_weight.numel() != 1 and tuple(pos_weight.shape) != features:
            raise ValueError(
                f"pos_weight has the shape {tuple(pos_weight.shape)}; it is one number, or one a "
                f"feature: {features or 'here there are no features'}"
            )

    def loss(values: Tensor, truth: Tensor, *, reduction: str) -> Tensor:
        factor = None if pos_weight is None else pos_weight.to(values)
        return functional.binary_cross_entropy_with_logits(
            values, truth, pos_weight=factor, reduction=reduction
        )

    return _masked(loss, logits, targets, lengths, mask, average, batch_first, padding_side)


# --- what is real -----------------------------------------------------------------------


def _real_steps(
    like: Tensor,
    lengths: Lengths | None,
    mask: Tensor | None,
    batch_first: bool,
    padding_side: PaddingSide,
    marked: Tensor | None = None,
) -> Tensor:
    """True on the steps that count, in the layout of ``like``.

    ``marked`` is true on those that count by their target, and in that layout already.
    """
    if lengths is not None and mask is not None:
        raise ValueError("lengths and mask both say what is real: pass one of them")
    if lengths is None and mask is None:
        if marked is not None:
            return marked
        raise ValueError(
            "nothing says which steps are real: pass lengths or mask, or for class targets "
            "ignore_index.  Where every step is, torch.nn.functional has this loss"
        )
    batch, steps = like.shape[:2] if batch_first else (like.size(1), like.size(0))
    if mask is not None:
        real = _checked_mask(mask, batch, steps)
    else:
        assert lengths is not None
        whole = resolve_lengths(lengths, batch=batch, steps=steps, padding_side=padding_side)
        real = real_steps(whole, steps, padding_side)
    real = real.to(like.device, non_blocking=True)
    real = real if batch_first else real.t()
    return real if marked is None else real & marked


def _checked_mask(mask: Tensor, batch: int, steps: int) -> Tensor:
    if tuple(mask.shape) != (batch, steps):
        turned = tuple(mask.shape) == (steps, batch)
        raise ValueError(
            f"the mask has the shape {tuple(mask.shape)}, and this batch {batch} sequences of "
            f"{steps} steps: a mask is (batch, time) in either layout"
            + (", so pass mask.t()" if turned else "")
        )
    check_values(mask)
    return mask.bool()


# --- shapes -----------------------------------------------------------------------------


def _check_logits(logits: Tensor, targets: Tensor) -> None:
    if not logits.is_floating_point():
        raise TypeError(f"logits are floating point, and these {logits.dtype}")
    if targets.dtype == torch.bool or targets.is_floating_point() or targets.is_complex():
        raise TypeError(
            f"targets are the number of a class at each step, integers, and these {targets.dtype}"
        )
    if logits.ndim == 3 and logits.shape[:2] == targets.shape:
        return
    given = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} do not fit: "
    if logits.ndim != 3 or targets.ndim != 2:
        raise ValueError(
            given + "they have the shapes (batch, time, classes) and (batch, time).  Do not "
            "flatten them, and keep the axis of time where there is one step"
        )
    if (logits.size(0), logits.size(2)) == tuple(targets.shape):
        raise ValueError(
            given + "these logits are (batch, classes, time), which PyTorch's own cross entropy "
            "wants: pass logits.transpose(1, 2).  With as many steps as classes nothing would "
            "show the mistake"
        )
    if logits.shape[:2] == targets.shape[::-1]:
        raise ValueError(
            given + "one is (batch, time) and the other (time, batch): pass targets.t(), and "
            "batch_first=False if logits are (time, batch, classes)"
        )
    raise ValueError(
        given + "there must be a target for each step; were they padded to different lengths?"
    )


def _check_options(
    average: Average, label_smoothing: float, weight: Tensor | None, classes: int
) -> None:
    _check_average(average)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is from 0 to 1, not {label_smoothing}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(
            f"weight has the shape {tuple(weight.shape)}, and there are {classes} classes: it is "
            "one factor a class"
        )


def _check_average(average: Average) -> None:
    if average not in ("token", "sequence", "none"):
        raise ValueError(f'average is "token", "sequence" or "none", not {average!r}')


def _check_same_shape(predictions: Tensor, targets: Tensor) -> None:
    if not predictions.is_floating_point():
        raise TypeError(f"predictions are floating point, and these {predictions.dtype}")
    if predictions.shape != targets.shape:
        given = (
            f"predictions {tuple(predictions.shape)} and targets {tuple(targets.shape)} differ, "
            "and broadcasting would compare each step with others: "
        )
        if predictions.shape == (*targets.shape, 1):
            raise ValueError(given + "pass predictions.squeeze(-1)")
        if targets.shape == (*predictions.shape, 1):
            raise ValueError(given + "pass targets.squeeze(-1)")
        raise ValueError(given + "give both the same shape")
    if predictions.ndim < 2:
        raise ValueError(
            f"predictions have the shape (batch, time) or (batch, time, ...), and these "
            f"{tuple(predictions.shape)}: with one value a sequence there is no padding, and "
            "torch.nn.functional has this loss"
        )


# --- the computation --------------------------------------------------------------------


def _cross_entropy(
    logits: Tensor,
    classes: Tensor,
    real: Tensor,
    label_smoothing: float,
    weight: Tensor | None,
) -> Tensor:
    """The loss of each step, in the layout of ``classes``."""
    # Filled before and not after: the gradient of a masked NaN is 0 times NaN, which is NaN.
    clean = _at_least_single(logits.masked_fill(~real.unsqueeze(-1), 0))
    try:
        losses = functional.cross_entropy(
            clean.flatten(0, 1),
            classes.flatten(),
            weight=None if weight is None else weight.to(clean),
            ignore_index=_NO_CLASS,
            reduction="none",
            label_smoothing=label_smoothing,
        )
    except IndexError as error:
        raise ValueError(
            f"the target of a real step is none of the {logits.size(-1)} classes ({error}): are "
            "lengths too long, or is it padding, to be named with ignore_index?"
        ) from error
    return losses.view_as(classes)


def _masked(
    loss: Callable[..., Tensor],
    predictions: Tensor,
    targets: Tensor,
    lengths: Lengths | None,
    mask: Tensor | None,
    average: Average,
    batch_first: bool,
    padding_side: PaddingSide,
) -> Tensor:
    _check_average(average)
    _check_same_shape(predictions, targets)
    real = _real_steps(predictions, lengths, mask, batch_first, padding_side)
    padding = ~real.view(*real.shape, *[1] * (predictions.ndim - 2))
    values = _at_least_single(predictions.masked_fill(padding, 0))
    truth = targets.masked_fill(padding, 0).to(values.dtype)
    losses = loss(values, truth, reduction="none").unsqueeze(-1).flatten(2)
    of_steps = losses.sum(-1) / max(1, losses.size(-1))
    return _averaged(of_steps, real, real, average, batch_first)


def _averaged(
    losses: Tensor, real: Tensor, factors: Tensor, average: Average, batch_first: bool
) -> Tensor:
    """The mean of the losses of steps.

    Args:
        losses: shape ``(batch, time)``, or ``(time, batch)``.
        real: true on the steps that count.
        factors: the weight of each step in the mean, 0 where it is not real.
        average: over what.
        batch_first: the layout.
    """
    losses = losses.masked_fill(~real, 0)
    if average == "none":
        return losses
    if average == "token":
        return _quotient(losses.sum(), factors.sum())
    time = 1 if batch_first else 0
    means = _quotient(losses.sum(time), factors.sum(time))
    return _quotient(means.sum(), real.any(time).sum())


def _quotient(total: Tensor, count: Tensor) -> Tensor:
    """0 where there is nothing to divide by, without a look at the values."""
    return (total / torch.where(count == 0, 1, count)).masked_fill(count == 0, 0)


def _at_least_single(values: Tensor) -> Tensor:
    """In float32 where it was in half precision, whose sums overflow or lose small addends."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
