"""Tuples, dictionaries and dataclasses of tensors: batches, and what models return."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

Path: TypeAlias = tuple[int | str, ...]
Leaves: TypeAlias = dict[Path, Any]


def leaves(value: Any, path: Path = ()) -> Leaves:
    """The leaves of a structure by their paths.

    A leaf is a tensor; a packed sequence; a list with one number or text a sequence; a list of
    tensors of different length, one a sequence.
    """
    found: Leaves = {}

    def note(path: Path, leaf: Any) -> Any:
        found[path] = leaf
        return leaf

    changed(value, note, path)
    return found


def changed(value: Any, change: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The same structure with other leaves.  What is neither leaf nor structure is kept.

    Args:
        value: the structure.
        change: takes the path of a leaf and the leaf, and returns what stands in its place.
        path: where ``value`` stands.
    """
    if is_leaf(value):
        return change(path, value)
    if isinstance(value, (tuple, list)):
        parts = [changed(part, change, (*path, place)) for place, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, Mapping):
        return _changed_mapping(value, change, path)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = copy.copy(value)
        for field in dataclasses.fields(value):
            part = changed(getattr(value, field.name), change, (*path, field.name))
            object.__setattr__(fields, field.name, part)  # frozen ones too
        return fields
    return value


def _changed_mapping(
    value: Mapping[Any, Any], change: Callable[[Path, Any], Any], path: Path
) -> Any:
    parts = {key: changed(part, change, (*path, key)) for key, part in value.items()}
    mapping: Any = copy.copy(value)
    try:
        for key, part in parts.items():
            mapping[key] = part
    except TypeError:  # it cannot be written to
        return parts
    return mapping


def is_leaf(value: Any) -> bool:
    """Whether this is a leaf, see :func:`leaves`."""
    if isinstance(value, (Tensor, PackedSequence)):
        return True
    if not isinstance(value, (list, tuple)) or hasattr(value, "_fields") or not value:
        return False
    return all(isinstance(part, (int, float, str)) for part in value) or is_ragged(value)


def is_ragged(value: Any) -> bool:
    """Whether this is a list of sequences that were not padded."""
    if not all(isinstance(part, Tensor) and part.ndim for part in value):
        return False
    kinds = {(part.dtype, part.shape[1:]) for part in value}
    return len(kinds) == 1 and len({part.size(0) for part in value}) > 1


def fresh(leaf: Any, device: torch.device | None = None) -> Any:
    """A copy that a model may do with what it likes; gradients go through it."""
    if isinstance(leaf, Tensor):
        return leaf.to(device).clone() if device is not None else leaf.clone()
    if isinstance(leaf, PackedSequence):
        return with_data(leaf, fresh(leaf.data, device))
    return type(leaf)(fresh(part, device) if isinstance(part, Tensor) else part for part in leaf)


def with_data(packed: PackedSequence, data: Tensor) -> PackedSequence:
    """The same packing of other values."""
    orders = [
        order if order is None else order.to(data.device)
        for order in (packed.sorted_indices, packed.unsorted_indices)
    ]
    return PackedSequence(data, packed.batch_sizes, *orders)


def unpacked(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """The padded tensor, batch first, and the lengths."""
    padded, lengths = pad_packed_sequence(packed, batch_first=True)
    return padded, lengths


def packed_like(padded: Tensor, lengths: Tensor) -> PackedSequence:
    """Packed again, in whatever order."""
    return pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)


def selected(leaf: Any, axis: int, index: list[int]) -> Any:
    """Sequences of a leaf, by their places in the batch."""
    if isinstance(leaf, Tensor):
        return leaf.index_select(axis, torch.tensor(index, device=leaf.device))
    if isinstance(leaf, PackedSequence):
        padded, lengths = unpacked(leaf)
        return packed_like(selected(padded, 0, index), lengths[index])
    return type(leaf)(leaf[place] for place in index)


def floating(output: Any) -> dict[Path, Tensor]:
    """The tensors of real numbers that a model returned, packed ones padded, batch first."""
    found: dict[Path, Tensor] = {}
    for path, leaf in leaves(output).items():
        tensor = unpacked(leaf)[0] if isinstance(leaf, PackedSequence) else leaf
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
            found[path] = tensor
    return found


def told(path: Path) -> str:
    """A path in words that a reader of Python knows."""
    if not path:
        return "the output"
    first, *others = path
    return f"{first}" + "".join(f"[{part!r}]" for part in others)


def numbers(leaves: Leaves) -> Iterator[tuple[Path, Tensor]]:
    """The tensors among leaves; lists of whole numbers as tensors."""
    for path, leaf in leaves.items():
        if isinstance(leaf, Tensor):
            yield path, leaf
        elif not isinstance(leaf, PackedSequence) and not isinstance(leaf[0], (str, Tensor)):
            yield path, torch.as_tensor(leaf)
