"""Where the real steps of a padded batch begin and end, seen from its values alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SHORTEST_RUN = 2
_INSIDE = 0.02
"""The share of real steps that may have the value of padding, before that is taken for content."""


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

    @property
    def real(self) -> Tensor:
        """Which steps are real, (T, B)."""
        places = torch.arange(self.steps, device=self.first.device).unsqueeze(1)
        return (places >= self.first) & (places < self.end)


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


def of_ids(ids: Tensor, padding: int) -> Extent:
    """Of a batch of ids, (T, B), one of which is known to be padding."""
    same = ids == padding
    return _between(_leading(same), _leading(same.flip(0)), ids.size(0))


def of_values(inputs: Tensor) -> Extent:
    """Of a batch whose padding is one value, or one vector, repeated to the end or from the start.

    What repeats in all sequences alike is taken for data: sequences of one length have no
    padding, and blank steps that end all of them are a part of the task.  So is what stands
    within the sequences, too, like the dark rows of a picture.

    Args:
        inputs: (T, B) of ids, or (T, B, F).
    """
    steps, batch = inputs.shape[:2]
    if steps < _SHORTEST_RUN or batch < _SHORTEST_RUN:
        return whole(batch, steps, inputs.device)
    flat = inputs.reshape(steps, batch, -1)
    return _between(_run(flat), _run(flat.flip(0)), steps)


def _between(before: Tensor, after: Tensor, steps: int) -> Extent:
    # A sequence of nothing but padding is padding after its end, of which there is none.
    before = torch.where(after == steps, torch.zeros_like(before), before)
    return Extent(before, steps - after, steps)


def _run(inputs: Tensor) -> Tensor:
    """How many of the first steps of (T, B, F) are padding, (B,)."""
    repeats = _leading((inputs == inputs[0]).all(-1))
    # The sequence with the longest run shows the value of padding.  No number is read for that,
    # which on an accelerator would be waited for.
    value = inputs[0].index_select(0, repeats.argmax().reshape(1))
    same = (inputs == value).all(-1)
    run = _leading(same)
    inside = (same.sum() - run.sum()) / (same.numel() - run.sum()).clamp(min=1)
    padded = (repeats.max() >= _SHORTEST_RUN) & (run.min() < run.max()) & (inside <= _INSIDE)
    return run * padded


def _leading(same: Tensor) -> Tensor:
    return same.long().cumprod(0).sum(0)
