"""Where the real steps of a padded batch begin and end, seen from its values alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SHORTEST_RUN = 2


@dataclass(frozen=True)
class Extent:
    """The real steps of each sequence of a batch.

    Attributes:
        first: the first real step, (B,).
        end: the step after the last real one, (B,).
        steps: T, how many steps the batch has.
    """

    first: Tensor
    end: Tensor
    steps: int

    @property
    def share(self) -> Tensor:
        """The share of padding among all steps, with no dimensions."""
        return 1 - (self.end - self.first).float().mean() / max(self.steps, 1)


def whole(batch: int, steps: int, device: torch.device) -> Extent:
    """Of a batch without padding."""
    return Extent(
        torch.zeros(batch, dtype=torch.long, device=device),
        torch.full((batch,), steps, dtype=torch.long, device=device),
        steps,
    )


def of_lengths(lengths: Tensor, steps: int) -> Extent:
    """Of a batch that is padded after these lengths, (B,)."""
    return Extent(torch.zeros_like(lengths), lengths, steps)


def of_values(inputs: Tensor, padding: int | None = None) -> Extent:
    """Of a batch whose padding is one value, or one vector, repeated to the end or from the start.

    What repeats in all sequences alike is taken for data: sequences of one length have no
    padding, and blank steps that end all of them are a part of the task.  So is what occurs
    between other steps, too, unless it is known to be padding.

    Args:
        inputs: (T, B) of ids, or (T, B, F).
        padding: the id of padding, where it is known.
    """
    steps, batch = inputs.shape[:2]
    if steps < _SHORTEST_RUN or batch < _SHORTEST_RUN:
        return whole(batch, steps, inputs.device)
    after = _run(inputs.flip(0), padding)
    before = _run(inputs, padding)
    # A sequence of nothing but padding is padding after its end, of which there is none.
    before = torch.where(after == steps, torch.zeros_like(before), before)
    return Extent(before, steps - after, steps)


def _run(inputs: Tensor, padding: int | None) -> Tensor:
    """How many of the first steps are padding, (B,)."""
    flat = inputs.reshape(*inputs.shape[:2], -1)
    if padding is not None:
        same = flat[..., 0] == padding
    else:
        repeats = _leading((flat == flat[0]).all(-1))
        # The sequence with the longest run shows the value of padding.
        value = flat[0, repeats.argmax()]
        same = (flat == value).all(-1) & (repeats.max() >= _SHORTEST_RUN)
    run = _leading(same)
    if padding is None:
        run = run * (run.sum() == same.sum())
    return torch.where(run.min() == run.max(), torch.zeros_like(run), run)


def _leading(same: Tensor) -> Tensor:
    return same.long().cumprod(0).sum(0)
