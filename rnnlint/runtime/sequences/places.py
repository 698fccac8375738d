"""Which step of a sequence goes where."""

from __future__ import annotations

import torch
from torch import Tensor


def turned_round(lengths: Tensor, steps: int) -> Tensor:
    """The places of the real steps backwards; padding stays where it is.

    Args:
        lengths: int64, shape ``(batch,)``.
        steps: the padded length.

    Returns:
        int64, shape ``(batch, steps)``.
    """
    places = torch.arange(steps, device=lengths.device).expand(lengths.numel(), -1)
    last = lengths.unsqueeze(1) - 1
    return torch.where(places <= last, last - places, places)


def rolled(lengths: Tensor, steps: int, direction: int) -> Tensor:
    """The places after the padding has gone from the left to the right (1), or back (-1).

    Args:
        lengths: int64, shape ``(batch,)``.
        steps: the padded length.
        direction: 1 or -1.

    Returns:
        int64, shape ``(batch, steps)``.
    """
    places = torch.arange(steps, device=lengths.device)
    return (places + direction * (steps - lengths).unsqueeze(1)) % max(steps, 1)


def take_steps(values: Tensor, places: Tensor, time_axis: int) -> Tensor:
    """The steps of each sequence at ``places``.

    Args:
        values: shape ``(batch, time, ...)``, or ``(time, batch, ...)`` where ``time_axis`` is 0.
        places: int64, shape ``(batch, time)``.
        time_axis: 0 or 1.

    Returns:
        The shape of ``values``.
    """
    # One index over batch and time together: a gather would repeat it for every feature.
    count, steps = places.shape
    rows = torch.arange(count, device=places.device).unsqueeze(1)
    index = places + rows * steps if time_axis == 1 else (places * count + rows).t()
    index = index.reshape(-1).to(values.device, non_blocking=True)
    return values.flatten(0, 1).index_select(0, index).view_as(values)
