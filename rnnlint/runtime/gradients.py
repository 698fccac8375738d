"""Norms of gradients of all kinds: sparse ones, of several types, on several devices, in shares.

What ``rnnlint.runtime.clipping`` is built on.  Every function runs under ``torch.no_grad``, which
is the caller's business.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import Placement

    Division: TypeAlias = tuple[DeviceMesh, tuple[Placement, ...]]

clip_listeners: list[Callable[[Tensor | float | None, float], None]] = []
"""Who is told of each clipping: the norm before, None where only values are bounded; the bound."""

_REDUCED_PRECISION = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class GradientGroup:
    """Gradients that one foreach kernel takes: of one device and type, divided in one way.

    Of a DTensor the share of this process stands here, and ``division`` says which share it is.
    """

    division: Division | None
    gradients: list[Tensor] = field(default_factory=list)


def grouped_gradients(parameters: Iterable[Tensor]) -> list[GradientGroup]:
    """The gradients of these parameters; those that are absent are passed over."""
    groups: dict[tuple[object, ...], GradientGroup] = {}
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        division = None
        if not _is_plain(gradient):
            gradient, division = _values(parameter, gradient)
        kind = (gradient.device, gradient.dtype, division)
        group = groups.get(kind)
        if group is None:
            group = groups[kind] = GradientGroup(division)
        group.gradients.append(gradient)
    return list(groups.values())


def _is_plain(gradient: Tensor) -> bool:
    return type(gradient) is Tensor and gradient.layout is torch.strided


def _values(parameter: Tensor, gradient: Tensor) -> tuple[Tensor, Division | None]:
    """What of a gradient can be multiplied in place: all that may be other than zero."""
    if _is_distributed(gradient):
        return _share(cast("DTensor", parameter), gradient)
    if gradient.layout is torch.strided:
        return gradient, None
    if gradient.layout is torch.sparse_coo and not gradient.is_coalesced():
        # A row that was looked up twice stands there twice: the norm is that of the sum.
        gradient = parameter.grad = gradient.coalesce()
    return gradient.values(), None


def _is_distributed(gradient: Tensor) -> TypeGuard[DTensor]:
    # Importing DTensor takes half a second, for the few that have any.
    return hasattr(gradient, "device_mesh")


def _share(parameter: DTensor, gradient: DTensor) -> tuple[Tensor, Division]:
    if gradient.placements != parameter.placements:
        # Shares that are still to be added up, as tensor parallelism leaves them.
        gradient = parameter.grad = gradient.redistribute(placements=parameter.placements)
    return gradient.to_local(), (gradient.device_mesh, tuple(gradient.placements))


def total_norm(groups: Sequence[GradientGroup], norm_type: float) -> Tensor:
    """The norm of all, as if they were one vector; on the device of the first."""
    norms = [_norm(group, norm_type) for group in groups]
    if len(norms) == 1:
        return norms[0]
    together = torch.stack([norm.to(norms[0].device) for norm in norms])
    total: Tensor = torch.linalg.vector_norm(together, norm_type)
    return total


def _norm(group: GradientGroup, norm_type: float) -> Tensor:
    gradients = group.gradients
    if math.isinf(norm_type):
        # The largest of no numbers is undefined, and the sum of no squares is not.
        gradients = [gradient for gradient in gradients if gradient.numel()]
        gradients = gradients or [group.gradients[0].new_zeros(1)]
    # In half precision a norm of 65504 overflows.
    dtype = torch.float32 if gradients[0].dtype in _REDUCED_PRECISION else None
    norms = torch._foreach_norm(gradients, norm_type, dtype=dtype)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms), norm_type)
    return norm if group.division is None else _norm_of_shares(norm, norm_type, group.division)


def _norm_of_shares(norm: Tensor, norm_type: float, division: Division) -> Tensor:
    if math.isinf(norm_type):
        # Backends disagree about the maximum of NaN and a number.
        norm = norm.nan_to_num(nan=math.inf, posinf=math.inf)
        return _reduce(norm, division, distributed.ReduceOp.MAX)
    return _reduce(norm.pow(norm_type), division, distributed.ReduceOp.SUM).pow(1 / norm_type)


def _reduce(
    tensor: Tensor, division: Division, operation: distributed.ReduceOp.RedOpType
) -> Tensor:
    mesh, placements = division
    for dimension, placement in enumerate(placements):
        if placement.is_shard():
            distributed.all_reduce(tensor, operation, mesh.get_group(dimension))
    return tensor


def norm_of_huge(groups: Sequence[GradientGroup], norm_type: float) -> float:
    """The norm of finite gradients whose powers overflow."""
    largest = float(total_norm(groups, math.inf))
    shrunk = [
        GradientGroup(group.division, [gradient / largest for gradient in group.gradients])
        for group in groups
    ]
    return min(float(total_norm(shrunk, norm_type)) * largest, sys.float_info.max)


def scale_(groups: Iterable[GradientGroup], factor: float) -> None:
    """Multiply all gradients in place."""
    for group in groups:
        device, dtype = group.gradients[0].device, group.gradients[0].dtype
        if device.type == "cpu":
            # A number takes the CPU's kernel four times as long as a tensor.  Of half precision,
            # that would round small factors to zero.
            exact = torch.float32 if dtype in _REDUCED_PRECISION else dtype
            torch._foreach_mul_(group.gradients, torch.tensor(factor, dtype=exact))
        else:
            torch._foreach_mul_(group.gradients, factor)


def nonfinite_places(parameters: Sequence[Tensor]) -> Iterator[int]:
    """Which of these parameters have NaN or infinity in their gradients, waiting for each."""
    for place, parameter in enumerate(parameters):
        if parameter.grad is not None:
            values, division = _values(parameter, parameter.grad)
            count = (~torch.isfinite(values)).sum()
            if division is not None:
                _reduce(count, division, distributed.ReduceOp.SUM)
            if int(count):
                yield place
