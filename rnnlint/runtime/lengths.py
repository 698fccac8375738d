"""What is real in a padded batch: lengths and masks, in whatever form they come.

Lengths are accepted everywhere in :mod:`rnnlint.runtime` as

- integers, one a sequence: a tensor of shape ``(batch,)`` on any device, a list, a tuple, an
  array;
- floats, one a sequence, relative to the padded length, as in SpeechBrain: 1.0 is the whole of
  it.  They are rounded to the nearest step; truncating them loses the last step of about one
  sequence in twenty-six;
- a mask of shape ``(batch, time)``, boolean or of zeros and ones, true where a step is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Lengths: TypeAlias = Tensor | Sequence[int] | Sequence[float]
PaddingSide: TypeAlias = Literal["right", "left"]


def lengths_to_mask(
    lengths: Lengths, steps: int | None = None, *, padding_side: PaddingSide = "right"
) -> Tensor:
    """The mask of a padded batch, true where a step is real.

    Args:
        lengths: one length a sequence; relative floats need ``steps``.
        steps: the padded length; the longest length where it is left out.
        padding_side: where the padding stands.

    Returns:
        A boolean tensor of shape ``(batch, steps)``, on the device of ``lengths``.

    Raises:
        ValueError: a length is negative or longer than ``steps``.
    """
    given = torch.as_tensor(lengths)
    if steps is None:
        if given.is_floating_point():
            raise ValueError(
                "relative lengths need the padded length: pass steps=padded.size(1), or the "
                "size of whichever axis is time"
            )
        longest = int(given.max()) if given.numel() else 0
        steps = given.size(1) if given.ndim == 2 else longest
    resolved = resolve_lengths(given, batch=None, steps=steps).to(given.device)
    return real_steps(resolved, steps, padding_side)


def mask_to_lengths(mask: Tensor, *, padding_side: PaddingSide = "right") -> Tensor:
    """The lengths of a padded batch, from its mask.

    Args:
        mask: shape ``(batch, time)``, boolean or of zeros and ones, true where a step is real.
        padding_side: where the padding stands.

    Returns:
        An int64 tensor of shape ``(batch,)``, on the device of ``mask``.

    Raises:
        ValueError: the mask has another shape, other values, padding on the other side, or
            padding between real steps, which no length can express.
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask has the shape (batch, time), and this one {tuple(mask.shape)}")
    real = mask.bool()
    if is_traced():
        return real.sum(1)
    check_values(mask)
    side = _checked_side(padding_side)
    lengths = real.sum(1)
    if _is_contiguous(real, lengths, side):
        return lengths
    other: PaddingSide = "left" if side == "right" else "right"
    if _is_contiguous(real, lengths, other):
        raise ValueError(
            f"this mask has its padding on the {other}, and {side} padding is expected: pass "
            f'padding_side="{other}" where it can be chosen, or pad on the {side}'
        )
    rows = (real != real_steps(lengths, real.size(1), side)).any(1)
    raise ValueError(
        f"row {int(rows.nonzero()[0])} of this mask has padding between real steps: lengths cannot "
        "say so, and a recurrent layer reads every step up to the last real one"
    )


def _is_contiguous(real: Tensor, lengths: Tensor, side: PaddingSide) -> bool:
    return bool((real == real_steps(lengths, real.size(1), side)).all())


def real_steps(lengths: Tensor, steps: int, padding_side: PaddingSide = "right") -> Tensor:
    """The mask of lengths that were resolved already: nothing is checked, or waited for.

    Args:
        lengths: int64, shape ``(batch,)``.
        steps: the padded length.
        padding_side: where the padding stands.

    Returns:
        A boolean tensor of shape ``(batch, steps)``, on the device of ``lengths``.
    """
    places = torch.arange(steps, device=lengths.device)
    if _checked_side(padding_side) == "left":
        places = places.flip(0)
    return places < lengths.unsqueeze(1)


def check_values(mask: Tensor) -> None:
    """Refuses a mask that holds other numbers than zeros and ones.

    Raises:
        ValueError: it does.
    """
    if mask.dtype != torch.bool and not bool((mask == mask.bool()).all()):
        raise ValueError("a mask is boolean, or holds zeros and ones; this one holds other values")


def resolve_lengths(
    lengths: Lengths,
    *,
    batch: int | None,
    steps: int,
    padding_side: PaddingSide = "right",
) -> Tensor:
    """Lengths in any form as whole numbers of steps, checked.

    Args:
        lengths: integers, relative floats, or a mask; see the module.
        batch: the number of sequences that there must be; None for any.
        steps: the padded length.
        padding_side: where a mask must have its padding.

    Returns:
        An int64 tensor of shape ``(batch,)`` on the CPU, where ``pack_padded_sequence`` wants
        it.  Lengths on an accelerator are waited for once.

    Raises:
        ValueError: there are too many or too few, one is negative or longer than ``steps``, or
            they are neither lengths nor a mask.  Under ``torch.compile`` and ``torch.export``
            only shapes and dtypes are checked.
    """
    given = torch.as_tensor(lengths).detach()
    if given.ndim == 2:
        if given.size(1) != steps:
            raise ValueError(
                f"the mask covers {given.size(1)} steps and the batch is padded to {steps}"
            )
        whole = mask_to_lengths(given, padding_side=padding_side).cpu()
    elif given.ndim != 1:
        raise ValueError(
            "lengths have the shape (batch,) and masks (batch, time); this tensor has the shape "
            f"{tuple(given.shape)}"
        )
    elif given.dtype == torch.bool or given.is_complex():
        raise ValueError(f"lengths are numbers, one a sequence; these are {given.dtype}")
    elif given.is_floating_point():
        whole = _whole(given.cpu(), steps)
    else:
        whole = given.to("cpu", torch.int64)
    if batch is not None and whole.numel() != batch:
        raise ValueError(
            f"there are {whole.numel()} lengths and {batch} sequences: is the batch on the other "
            "axis (batch_first)?"
        )
    _check_range(whole, steps)
    return whole


def is_traced() -> bool:
    """Whether a compiler reads this: what numbers there are it cannot know, nor can we check."""
    return torch.compiler.is_compiling()


def _whole(relative: Tensor, steps: int) -> Tensor:
    """Relative lengths in steps: rounded, as 0.59 of 22 steps is 13 and not 12."""
    scaled = (relative.double() * steps).round()
    if is_traced():
        return scaled.to(torch.int64)
    if not bool(torch.isfinite(scaled).all()):
        raise ValueError("a relative length is NaN or infinite")
    if bool((scaled > steps).any()):
        raise ValueError(
            f"float lengths are relative to the padded length, and {float(relative.max()):g} is "
            "more than the whole of it: pass integers for lengths in steps"
        )
    return scaled.to(torch.int64)


def _check_range(lengths: Tensor, steps: int) -> None:
    if not lengths.numel() or is_traced():
        return
    longest, shortest = int(lengths.max()), int(lengths.min())
    if longest > steps:
        raise ValueError(
            f"sequence {int(lengths.argmax())} has the length {longest}, and the batch is padded "
            f"to {steps} steps: were the lengths taken before the sequences were cut?"
        )
    if shortest < 0:
        raise ValueError(f"sequence {int(lengths.argmin())} has the length {shortest}")


def _checked_side(padding_side: str) -> PaddingSide:
    if padding_side not in ("right", "left"):
        raise ValueError(f'padding_side is "right" or "left", not {padding_side!r}')
    return "left" if padding_side == "left" else "right"
