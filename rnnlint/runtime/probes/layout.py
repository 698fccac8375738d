"""What the axes of a batch are, and which of its parts are lengths and masks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.lengths import PaddingSide, real_steps
from rnnlint.runtime.probes.structure import (
    Leaves,
    Path,
    is_ragged,
    leaves,
    numbers,
    told,
)

Names: TypeAlias = Mapping[Path, str]


class OptionError(ValueError):
    """What the user must say, or has said and cannot be."""


Source: TypeAlias = Literal["lengths", "mask"]

_LENGTHS = re.compile(r"(^|_)len(s|gths?)?(_|$)|(lens?|lengths?)$")
"""As `valence` and `silence` are none."""

_STATES = ("h0", "h_0", "c0", "c_0", "hx", "cx", "hidden", "state", "hc")


@dataclass(frozen=True)
class Layout:
    """Where batch and time are.

    Attributes:
        main: the path of the input that holds the sequences.
        sequences: the size of the batch.
        steps: the padded length.
        batch_axis: which axis of the main input is the batch.
        time_axis: which is time.
    """

    main: Path
    sequences: int
    steps: int
    batch_axis: int
    time_axis: int

    def batch_axis_of(self, leaf: Any) -> int | None:
        """Which axis of a part of the batch is the batch; None for one without."""
        if isinstance(leaf, PackedSequence):
            return 0 if int(leaf.batch_sizes[0]) == self.sequences else None
        if not isinstance(leaf, Tensor):
            return 0 if len(leaf) == self.sequences else None
        if self._is_like_main(leaf):
            return self.batch_axis
        fitting = [axis for axis in range(min(leaf.ndim, 2)) if leaf.size(axis) == self.sequences]
        return fitting[0] if fitting else None

    def time_axis_of(self, leaf: Any) -> int | None:
        """Which axis of a part of the batch is time; None for one without."""
        if not isinstance(leaf, Tensor) or leaf.ndim < 2:
            return None
        if self._is_like_main(leaf):
            return self.time_axis
        batch = self.batch_axis_of(leaf)
        if batch is None or leaf.size(1 - batch) != self.steps:
            return None
        return 1 - batch

    def _is_like_main(self, leaf: Tensor) -> bool:
        return (
            leaf.ndim > max(self.batch_axis, self.time_axis)
            and leaf.size(self.batch_axis) == self.sequences
            and leaf.size(self.time_axis) == self.steps
        )


def find_layout(
    inputs: Leaves, target: Any, names: Names, batch_first: bool | None, convolutional: bool
) -> Layout | None:
    """Where batch and time are, None where no input has two axes.

    Args:
        inputs: the leaves of the inputs.
        target: the target, any structure.
        names: the names of inputs.
        batch_first: what the user says; None to be told by targets and lengths.
        convolutional: whether the model may want time on the last axis, as ``nn.Conv1d`` does.

    Raises:
        OptionError: neither targets nor lengths tell.
    """
    main = _main_input(inputs, names)
    if main is None:
        return None
    leaf = inputs[main]
    if isinstance(leaf, PackedSequence):
        return Layout(main, int(leaf.batch_sizes[0]), len(leaf.batch_sizes), 0, 1)
    if not isinstance(leaf, Tensor):
        return Layout(main, len(leaf), max(part.size(0) for part in leaf), 0, 1)
    others = {path: other for path, other in inputs.items() if path != main}
    targets = leaves(target)
    if batch_first is None:
        axis = _told_axis(leaf, others, targets)
        if axis is None:
            raise OptionError(
                f"which axis of the input {names.get(main, told(main))}, of the shape "
                f"{tuple(leaf.shape)}, is the batch cannot be told from targets and lengths: pass "
                "batch_first=True where it is the first, and batch_first=False where it is the "
                "second"
            )
    else:
        axis = 0 if batch_first else 1
    time = 1 - axis
    if convolutional and axis == 0 and leaf.ndim == 3 and _is_time_last(leaf, others, targets):
        time = 2
    return Layout(main, leaf.size(axis), leaf.size(time), axis, time)


def _main_input(inputs: Leaves, names: Names) -> Path | None:
    ranks = {
        path: rank
        for path, leaf in inputs.items()
        if (rank := _rank(leaf, names.get(path, ""))) is not None
    }
    return min(ranks, key=lambda path: ranks[path]) if ranks else None


def _rank(leaf: Any, name: str) -> int | None:
    """How late an input is asked whether it holds the sequences; None for never."""
    if name.lower().startswith(_STATES):
        return None
    if isinstance(leaf, PackedSequence):
        return 0
    if not isinstance(leaf, Tensor):
        return 5 if is_ragged(leaf) else None
    if leaf.ndim < 2 or leaf.dtype == torch.bool or "mask" in name.lower() or not leaf.numel():
        return None
    if leaf.ndim == 3:
        return 1
    if leaf.ndim == 2:
        return 3 if leaf.is_floating_point() else 2
    return 4


def _told_axis(main: Tensor, others: Leaves, targets: Leaves) -> int | None:
    for size in [*_counts(others), *_counts(targets)]:
        fitting = [axis for axis in (0, 1) if main.size(axis) == size]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    for other in [*targets.values(), *others.values()]:
        if isinstance(other, Tensor) and other.ndim >= 2:
            axis = _axis_by_pairs(main, other)
            if axis is not None:
                return axis
    return None


def _counts(leaves: Leaves) -> Iterator[int]:
    """The sizes of what has one entry a sequence."""
    for leaf in leaves.values():
        if not isinstance(leaf, Tensor):
            yield len(leaf)
        elif leaf.ndim == 1:
            yield leaf.numel()


def _axis_by_pairs(main: Tensor, other: Tensor) -> int | None:
    first, second = main.size(0), main.size(1)
    if first == second or {other.size(0), other.size(1)} == {first, second}:
        return None
    if other.size(0) == first:
        return 0
    if other.size(0) == second or other.size(1) == second:
        return 1
    return None


def _is_time_last(main: Tensor, others: Leaves, targets: Leaves) -> bool:
    """Whether lengths or per-step targets fit the last axis and not the middle one."""
    middle, last = main.size(1), main.size(2)
    if middle == last:
        return False
    for _, leaf in numbers(others):
        if leaf.ndim == 1 and not leaf.is_floating_point() and leaf.numel() == main.size(0):
            return middle < int(leaf.max()) <= last
    return any(
        isinstance(leaf, Tensor) and leaf.shape == (main.size(0), last) for leaf in targets.values()
    )


@dataclass(frozen=True)
class Real:
    """What is real in a batch.

    Attributes:
        lengths: the steps of each sequence, int64 on the CPU.
        side: where the padding is.
        sources: the inputs that say so, by path, as lengths or as a mask.
    """

    lengths: Tensor
    side: PaddingSide
    sources: Mapping[Path, Source]

    def mask(self, steps: int) -> Tensor:
        """Shape ``(batch, steps)``, true where a step is real; on the CPU."""
        return real_steps(self.lengths, steps, self.side)


def find_lengths(inputs: Leaves, layout: Layout, names: Names) -> Iterator[tuple[Path, Tensor]]:
    """The inputs that are lengths, whole or relative, as int64 on the CPU."""
    for path, leaf in numbers(inputs):
        lengths = _as_lengths(
            leaf, layout, _LENGTHS.search(names.get(path, "").lower()) is not None
        )
        if lengths is not None:
            yield path, lengths


def _as_lengths(leaf: Tensor, layout: Layout, is_named: bool) -> Tensor | None:
    if leaf.ndim != 1 or leaf.numel() != layout.sequences or leaf.dtype == torch.bool:
        return None
    values = leaf.detach().cpu()
    if values.is_floating_point():
        if not is_named or not bool(((values > 0) & (values <= 1)).all()):
            return None
        values = (values.double() * layout.steps).round()
    longest, shortest = int(values.max()), int(values.min())
    if shortest < (0 if is_named else 1) or longest > layout.steps:
        return None
    # What has no name may as well be the number of a speaker.
    return values.to(torch.int64) if is_named or longest == layout.steps > 1 else None


def find_masks(
    inputs: Leaves, layout: Layout, names: Names
) -> Iterator[tuple[Path, Tensor, PaddingSide]]:
    """The inputs that are masks of padding, as ``(batch, time)``, true where a step is real."""
    for path, leaf in inputs.items():
        if path == layout.main or not isinstance(leaf, Tensor) or leaf.ndim != 2:
            continue
        if leaf.dtype != torch.bool and "mask" not in names.get(path, "").lower():
            continue
        time, batch = layout.time_axis_of(leaf), layout.batch_axis_of(leaf)
        if time is None or batch is None or not bool((leaf == leaf.bool()).all()):
            continue
        real = _real_of_mask(leaf.detach().cpu().bool().movedim(time, 1))
        if real is not None and not _is_causal(real[0]):
            yield path, *real


def _is_causal(real: Tensor) -> bool:
    """Whether a mask of as many rows as steps is one of steps against steps."""
    return real.size(0) == real.size(1) > 1 and torch.equal(real, torch.ones_like(real).tril())


def _real_of_mask(marked: Tensor) -> tuple[Tensor, PaddingSide] | None:
    """Whichever value marks what is real: all sequences have it where they begin."""
    for column, side in ((0, "right"), (-1, "left")):
        begins = marked[:, column]
        if bool((begins == begins[0]).all()):
            real = marked == begins[0]
            outwards = real if side == "right" else real.flip(1)
            if bool((outwards[:, 1:] <= outwards[:, :-1]).all()):
                return real, "right" if side == "right" else "left"
    return None


def evident_padding(
    main: Tensor, layout: Layout, padding_index: int | None
) -> tuple[Tensor, PaddingSide] | None:
    """Lengths that the values themselves tell; None where nothing is certain.

    Ids tell where an embedding declares its ``padding_idx``; numbers where steps of nothing but
    zeros stand at the end of two sequences or more, in different number, and nowhere else.
    """
    steps = main.detach().cpu().movedim((layout.batch_axis, layout.time_axis), (0, 1))
    if not steps.is_floating_point():
        if padding_index is None or steps.ndim != 2:
            return None
        return _one_sided(steps != padding_index, fewest=1)
    if steps.ndim < 3 or steps.size(2) < 2:
        return None  # a feature alone is zero for its own reasons
    return _one_sided(steps.flatten(2).ne(0).any(2), fewest=2)


def _one_sided(real: Tensor, fewest: int) -> tuple[Tensor, PaddingSide] | None:
    lengths = real.sum(1)
    shorter = lengths[lengths < real.size(1)]
    if int(lengths.min()) == 0 or len(set(shorter.tolist())) < fewest:
        return None
    sides: tuple[PaddingSide, ...] = ("right", "left")
    for side in sides:
        if bool((real == real_steps(lengths, real.size(1), side)).all()):
            return lengths, side
    return None
