"""A padded batch in blocks of steps, each with the sequences that reach into it.

A packed sequence stores one block a step, so a layer needs one call a step.  Here blocks are
longer: sequences that end inside a block run over its padding, and the next block goes on
without them.  A few calls do, and little padding is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A block ends where a quarter of its sequences have ended: measured, shorter blocks lose more
# by their number than they save in padding.
_KEPT = 0.75
_MIN_STEPS = 8


@dataclass(frozen=True)
class Block:
    """Steps ``start`` to ``end`` of the ``rows`` longest sequences, at ``offset`` in the data."""

    start: int
    end: int
    rows: int
    offset: int

    @property
    def size(self) -> int:
        return (self.end - self.start) * self.rows


class Staircase:
    """Where the steps of each sequence stand in the data.

    The data have the shape ``(size, features)``: block after block, step after step, the longest
    sequence first.  All indices are int64 and stand where ``lengths`` do, on the CPU.

    Args:
        lengths: int64, shape ``(batch,)``, one of them positive.
        steps: the padded length, for one block of it all, whatever the lengths are: what is
            traced must not depend on them.
    """

    def __init__(self, lengths: Tensor, steps: int | None = None) -> None:
        self.order = lengths.argsort(descending=True, stable=True)
        self.rank = self.order.argsort()
        self.lengths = lengths[self.order]
        one = [Block(0, steps, lengths.size(0), 0)] if steps is not None else []
        self.blocks = one or _blocks(self.lengths)
        # For each step, how many sequences its block has and where they begin in the data; for
        # each place in the data, its step and its sequence.
        rows, steps_there, rows_there = [], [], []
        for block in self.blocks:
            length = block.end - block.start
            rows.append(torch.full((length,), block.rows))
            steps_there.append(torch.arange(block.start, block.end).repeat_interleave(block.rows))
            rows_there.append(torch.arange(block.rows).repeat(length))
        self._offsets = torch.cat(rows).cumsum(0) - torch.cat(rows)
        self._step = torch.cat(steps_there)
        self._row = torch.cat(rows_there)

    @property
    def padding(self) -> Tensor:
        """True where the data hold padding, shape ``(size,)``."""
        return self._step >= self.lengths[self._row]

    def taken_from(self, steps: int, time_axis: int) -> Tensor:
        """Where the data stand in a padded batch that is laid out flat, shape ``(size,)``."""
        row = self.order[self._row]
        return row * steps + self._step if time_axis == 1 else self._step * self.order.size(0) + row

    def put_back(self, steps: int, time_axis: int) -> Tensor:
        """Where a padded batch that is laid out flat stands in the data; padding at 0."""
        rank = self.rank.unsqueeze(1)
        step = torch.arange(steps).clamp(max=self._offsets.size(0) - 1)
        places = self._offsets[step] + rank
        real = torch.arange(steps) < self.lengths[rank]
        places = torch.where(real, places, 0)
        return (places if time_axis == 1 else places.t()).flatten()

    @property
    def turned_round(self) -> Tensor:
        """Each sequence backwards, padding where it was, shape ``(size,)``."""
        length = self.lengths[self._row]
        step = torch.where(self._step < length, length - 1 - self._step, self._step)
        return self._offsets[step] + self._row

    @property
    def last(self) -> Tensor:
        """The last real step of each sequence, the longest first; 0 where there is none."""
        places = self._offsets[(self.lengths - 1).clamp(min=0)] + torch.arange(self.lengths.size(0))
        return torch.where(self.lengths > 0, places, 0)


def _blocks(lengths: Tensor) -> list[Block]:
    descending: list[int] = lengths.tolist()
    blocks: list[Block] = []
    start, offset = 0, 0
    rows = sum(length > 0 for length in descending)
    while rows:
        end = max(descending[int(_KEPT * rows)], start + _MIN_STEPS)
        block = Block(start, min(end, descending[0]), rows, offset)
        blocks.append(block)
        start, offset = block.end, offset + block.size
        while rows and descending[rows - 1] <= start:
            rows -= 1
    return blocks
