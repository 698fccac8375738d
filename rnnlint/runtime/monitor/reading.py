"""Numbers that lie on devices, read all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def tensors_of(found: Mapping[str, Any]) -> list[Tensor]:
    tensors: list[Tensor] = []
    for value in found.values():
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, Mapping):
            tensors += tensors_of(value)
    return tensors


def read_all(tensors: list[Tensor]) -> list[Any]:
    """Their numbers, with one wait for each device."""
    if not tensors:
        return []
    flat = [tensor.detach().reshape(-1).double() for tensor in tensors]
    devices = {tensor.device for tensor in flat}
    read: dict[int, list[float]] = {}
    for device in devices:
        places = [place for place, tensor in enumerate(flat) if tensor.device == device]
        values = torch.cat([flat[place] for place in places]).tolist()
        for place in places:
            size = flat[place].numel()
            read[place], values = values[:size], values[size:]
    return [read[place] if tensor.dim() else read[place][0] for place, tensor in enumerate(tensors)]


def filled(found: Mapping[str, Any], numbers: Iterator[Any]) -> dict[str, Any]:
    return {
        key: next(numbers)
        if isinstance(value, Tensor)
        else filled(value, numbers)
        if isinstance(value, Mapping)
        else value
        for key, value in found.items()
    }
