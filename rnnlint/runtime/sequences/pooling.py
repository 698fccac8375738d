"""One vector a sequence from the outputs of all its steps, without the padding."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnlint.runtime.lengths import Lengths, real_steps, resolve_lengths
from rnnlint.runtime.sequences.places import take_steps, turned_round


def last_valid(
    output: Tensor, lengths: Lengths, *, bidirectional: bool = False, batch_first: bool = True
) -> Tensor:
    """The output after the last real step of each sequence.

    The backward half of a bidirectional output has read the whole sequence at its first step,
    not at its last, and is taken from there.

    Args:
        output: shape ``(batch, time, size)``, or ``(time, batch, size)``; padded on the right.
        lengths: one a sequence; integers, relative floats, or a mask ``(batch, time)``.
        bidirectional: whether the second half of ``size`` comes from the backward direction.
        batch_first: the layout of ``output``.

    Returns:
        Shape ``(batch, size)``; zeros for a sequence of length zero.

    Raises:
        ValueError: the shapes do not fit each other, or ``size`` is odd and cannot be two
            directions.
    """
    values = _by_batch(output, batch_first)
    whole = resolve_lengths(lengths, batch=values.size(0), steps=values.size(1))
    if not values.size(1):
        return values.new_zeros(values.size(0), values.size(2))
    there = whole.to(values.device)
    index = (there - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, values.size(2))
    last = values.gather(1, index).squeeze(1)
    if bidirectional:
        half, odd = divmod(values.size(2), 2)
        if odd:
            raise ValueError(
                f"a bidirectional output has two halves, and {values.size(2)} features are odd"
            )
        last = torch.cat([last[:, :half], values[:, 0, half:]], 1)
    return last.masked_fill((there == 0).unsqueeze(1), 0)


def masked_mean(values: Tensor, lengths: Lengths, *, batch_first: bool = True) -> Tensor:
    """The mean over the real steps of each sequence.

    Args:
        values: shape ``(batch, time, ...)``, or ``(time, batch, ...)``.
        lengths: one a sequence; integers, relative floats, or a mask ``(batch, time)``.
        batch_first: the layout of ``values``.

    Returns:
        Shape ``(batch, ...)``; zeros for a sequence of length zero.  What the padding holds,
        even NaN, changes neither the mean nor its gradient.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    by_batch = _by_batch(values, batch_first)
    mask, real = _mask(by_batch, lengths)
    # Counted in the mask's integers: half precision cannot count beyond 2,048.
    count = real.sum(1).clamp(min=1).view(-1, *[1] * (by_batch.ndim - 2))
    return by_batch.masked_fill(~mask, 0).sum(1) / count


def masked_max(values: Tensor, lengths: Lengths, *, batch_first: bool = True) -> Tensor:
    """The maximum over the real steps of each sequence, feature by feature.

    Zeros as padding would win over every negative feature; here they do not take part.

    Args:
        values: shape ``(batch, time, ...)``, or ``(time, batch, ...)``.
        lengths: one a sequence; integers, relative floats, or a mask ``(batch, time)``.
        batch_first: the layout of ``values``.

    Returns:
        Shape ``(batch, ...)``; zeros for a sequence of length zero.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    by_batch = _by_batch(values, batch_first)
    mask, real = _mask(by_batch, lengths)
    if not by_batch.size(1):
        return by_batch.new_zeros(by_batch.size(0), *by_batch.shape[2:])
    floor = -torch.inf if by_batch.is_floating_point() else torch.iinfo(by_batch.dtype).min
    greatest = by_batch.masked_fill(~mask, floor).amax(1)
    empty = ~real.any(1).view(-1, *[1] * (by_batch.ndim - 2))
    return greatest.masked_fill(empty, 0)


def reverse_padded(padded: Tensor, lengths: Lengths, *, batch_first: bool = True) -> Tensor:
    """Each sequence backwards, its padding where it was.

    ``padded.flip(1)`` would put the padding in front.  Doing it twice changes nothing.

    Args:
        padded: shape ``(batch, time, ...)``, or ``(time, batch, ...)``; padded on the right.
        lengths: one a sequence; integers, relative floats, or a mask ``(batch, time)``.
        batch_first: the layout of ``padded``.

    Returns:
        The shape of ``padded``.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    count, steps = _by_batch(padded, batch_first).shape[:2]
    places = turned_round(resolve_lengths(lengths, batch=count, steps=steps), steps)
    return take_steps(padded, places, time_axis=1 if batch_first else 0)


def _by_batch(values: Tensor, batch_first: bool) -> Tensor:
    """``(batch, time, ...)``, whatever the layout."""
    if values.ndim < 2:
        raise ValueError(
            "a padded batch has the axes of batch and time at least, and this tensor the shape "
            f"{tuple(values.shape)}"
        )
    return values if batch_first else values.transpose(0, 1)


def _mask(by_batch: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor]:
    """True on real steps: shaped to stand beside the features, and ``(batch, time)``."""
    count, steps = by_batch.shape[:2]
    whole = resolve_lengths(lengths, batch=count, steps=steps).to(by_batch.device)
    real = real_steps(whole, steps)
    return real.view(count, steps, *[1] * (by_batch.ndim - 2)), real
