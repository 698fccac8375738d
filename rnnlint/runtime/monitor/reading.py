"""Numbers that lie on devices, brought here together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from torch import Tensor


class Unread:
    """Numbers that are to be kept once they are read, each with who keeps it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[Any], None], Any]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def later(self, keep: Callable[[float], None], value: Tensor | float) -> None:
        """Keep a number: at once if that needs no waiting."""
        if isinstance(value, Tensor) and value.device.type != "cpu":
            self._waiting.append((keep, value))
        else:
            keep(float(value))

    def add(self, keep: Callable[[Mapping[str, Any]], None], found: Mapping[str, Any]) -> None:
        """Keep a dictionary in which numbers, or lists of them, stand for tensors."""
        self._waiting.append((keep, found))

    def read(self) -> None:
        """Hand all to those who keep them, in the order in which they came."""
        waiting, self._waiting = self._waiting, []
        tensors = [tensor for _, found in waiting for tensor in _tensors(found)]
        numbers = iter(_read_together(tensors))
        for keep, found in waiting:
            keep(_filled(found, numbers))


def _tensors(found: Any) -> Iterator[Tensor]:
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _tensors(value)


def _filled(found: Any, numbers: Iterator[Any]) -> Any:
    if isinstance(found, Tensor):
        return next(numbers)
    if isinstance(found, Mapping):
        return {key: _filled(value, numbers) for key, value in found.items()}
    return found


def _read_together(tensors: list[Tensor]) -> list[Any]:
    """The numbers of each, with one wait for each device."""
    read: list[Any] = [None] * len(tensors)
    for device in {tensor.device for tensor in tensors}:
        places = [place for place, tensor in enumerate(tensors) if tensor.device == device]
        # MPS has no double precision, and a count of steps fits into single.
        flat = [tensors[place].detach().reshape(-1).float() for place in places]
        values = iter(torch.cat(flat).tolist())
        for place, part in zip(places, flat, strict=True):
            mine = list(islice(values, part.numel()))
            read[place] = mine if tensors[place].dim() else mine[0]
    return read
