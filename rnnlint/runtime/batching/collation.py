"""One batch from samples of different length."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnlint.runtime.lengths import PaddingSide

PaddingValue: TypeAlias = (
    float | Mapping[Any, "PaddingValue"] | tuple["PaddingValue", ...] | list["PaddingValue"] | None
)


def pad_collate(
    samples: Sequence[Any],
    *,
    padding_value: PaddingValue = 0,
    padding_side: PaddingSide = "right",
    batch_first: bool = True,
    lengths: Literal["shared", "each"] = "shared",
) -> tuple[Any, Any]:
    """Puts samples of different length into one batch.

    A sample is a sequence, or a tuple, named tuple, list, dictionary or dataclass of fields,
    however nested.  A tensor or an array is a sequence of steps, and so is a list of numbers,
    but not a tuple; each is padded to the longest of the batch.  Numbers and tensors without axes
    are stacked; text is put into a list.  With other arguments than the defaults, give a
    ``DataLoader`` ``functools.partial(pad_collate, ...)``, which its workers can be sent.

    >>> pad_collate([torch.ones(2), torch.ones(3)])
    (tensor([[1., 1., 0.], [1., 1., 1.]]), tensor([2, 3]))
    >>> (tokens, labels), lengths = pad_collate([(torch.ones(2), 0), (torch.ones(3), 1)])

    Args:
        samples: what a data set holds, one or more.
        padding_value: a number for all sequences; or a dictionary, tuple or list that mirrors
            a sample, with -100, say, for a class at each step.  None in place of a number
            marks fields that are no sequences, such as the features of a speaker: they are
            stacked.  What a dictionary leaves out is padded with 0.
        padding_side: where the padding goes.  Recurrent layers want it on the right.
        batch_first: whether padded sequences are ``(batch, time, ...)`` or
            ``(time, batch, ...)``.
        lengths: ``"shared"``, where all sequences of a sample have one length; ``"each"``, where
            they may differ, as in translation.

    Returns:
        The batch, with the structure of a sample; and the lengths before padding, int64 of shape
        ``(batch,)`` on the CPU, where ``pack_padded_sequence`` wants them.  With
        ``lengths="each"`` they come in the structure of a sample, None for what was not padded.

    Raises:
        ValueError: the samples differ in structure, dtype, or the axes after time; the sequences
            of a sample differ in length and share one; the padding value does not fit the
            structure or the dtype; there are no samples, or no sequences in them.
        TypeError: a field is nothing that can be put into a batch.
    """
    if lengths not in ("shared", "each"):
        raise ValueError(f'lengths is "shared" or "each", not {lengths!r}')
    if not samples:
        raise ValueError("there are no samples to put into a batch")
    collation = _Collation(padding_side, batch_first)
    batch, each = collation.collate(list(samples), padding_value, "")
    if not collation.padded:
        raise ValueError(
            "these samples hold no sequence to pad; torch.utils.data.default_collate stacks them"
        )
    return batch, each if lengths == "each" else _shared(collation.padded)


def _shared(padded: list[tuple[str, Tensor]]) -> Tensor:
    first, shared = padded[0]
    for place, lengths in padded[1:]:
        different = (lengths != shared).nonzero()
        if len(different):
            number = int(different[0])
            raise ValueError(
                f"sample{place} has {int(lengths[number])} steps in sample {number} of the batch, "
                f'and sample{first} {int(shared[number])}: pass lengths="each" where sequences of '
                "a sample differ in length, and None as the padding_value of fields that are no "
                "sequences"
            )
    return shared


class _Collation:
    """One call of :func:`pad_collate`: its options, and the lengths of what it has padded."""

    def __init__(self, padding_side: PaddingSide, batch_first: bool) -> None:
        if padding_side not in ("right", "left"):
            raise ValueError(f'padding_side is "right" or "left", not {padding_side!r}')
        self.padding_side = padding_side
        self.batch_first = batch_first
        self.padded: list[tuple[str, Tensor]] = []

    def collate(self, values: list[Any], padding: PaddingValue, place: str) -> tuple[Any, Any]:
        """The batch of ``values``, one a sample, and the lengths; ``place`` is for messages."""
        opened = _open(values[0])
        if opened is None:
            return self._collate_leaves(values, padding, place)
        keys, rebuild = opened
        rows = [
            _fields(value, values[0], keys, number, place) for number, value in enumerate(values)
        ]
        paddings = _paddings(padding, keys, place)
        parts = [
            self.collate(list(column), inner, f"{place}[{key!r}]")
            for key, inner, column in zip(keys, paddings, zip(*rows, strict=True), strict=True)
        ]
        return rebuild([batch for batch, _ in parts]), rebuild([lengths for _, lengths in parts])

    def _collate_leaves(
        self, values: list[Any], padding: PaddingValue, place: str
    ) -> tuple[Any, Tensor | None]:
        if padding is not None and not isinstance(padding, (int, float)):
            raise ValueError(
                f"sample{place} is one field, and its padding_value {padding!r} is not one number"
            )
        if all(isinstance(value, (str, bytes)) for value in values):
            return values, None
        if all(isinstance(value, Real) for value in values):
            return torch.tensor(values), None
        tensors = _tensors(values, place)
        _check_alike(tensors, place, is_padded=padding is not None)
        if padding is None or not tensors[0].ndim:
            return torch.stack(tensors), None
        lengths = torch.tensor([len(tensor) for tensor in tensors], device="cpu")
        self.padded.append((place, lengths))
        return self._pad(tensors, padding, place), lengths

    def _pad(self, tensors: list[Tensor], padding: float, place: str) -> Tensor:
        dtype = tensors[0].dtype
        # PyTorch would pad integers with 0 where 0.5 is wanted.
        is_whole = not (dtype.is_floating_point or dtype.is_complex)
        if is_whole and torch.tensor(padding, device="cpu").to(dtype).item() != padding:
            raise ValueError(f"sample{place} is {dtype}, which cannot hold {padding} as padding")
        if self.padding_side == "right":
            return pad_sequence(tensors, self.batch_first, padding)
        # Its own padding_side is younger than the oldest PyTorch that is supported.
        backwards = pad_sequence([tensor.flip(0) for tensor in tensors], self.batch_first, padding)
        return backwards.flip(1 if self.batch_first else 0)


def _open(value: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    """The keys of a structure, and how to make one of other parts; None for a single field."""
    if isinstance(value, Mapping):
        keys = list(value)
        return keys, lambda parts: dict(zip(keys, parts, strict=True))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(value._fields), lambda parts: type(value)(*parts)
    if isinstance(value, tuple) or (isinstance(value, list) and not _is_numbers(value)):
        return list(range(len(value))), tuple if isinstance(value, tuple) else list
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return names, functools.partial(_with_fields, value, names)
    return None


def _with_fields(value: Any, names: list[str], parts: list[Any]) -> Any:
    made = copy.copy(value)
    for name, part in zip(names, parts, strict=True):
        object.__setattr__(made, name, part)  # frozen ones too
    return made


def _fields(value: Any, first: Any, keys: list[Any], number: int, place: str) -> list[Any]:
    """The parts of one sample, which must be built as the first one is."""
    opened = _open(value)
    if opened is None or type(value) is not type(first) or set(opened[0]) != set(keys):
        raise ValueError(
            f"sample{place} is {_told(value)} in sample {number} of the batch, and {_told(first)} "
            "in the first: all must be built alike"
        )
    if isinstance(value, Mapping):
        return [value[key] for key in keys]
    if isinstance(value, (tuple, list)):
        return list(value)
    return [getattr(value, name) for name in keys]


def _told(value: Any) -> str:
    opened = _open(value)
    name = type(value).__name__
    return f"a {name}" if opened is None else f"a {name} of {opened[0]}"


def _paddings(padding: PaddingValue, keys: list[Any], place: str) -> list[PaddingValue]:
    """The padding value of each part."""
    if isinstance(padding, Mapping):
        unknown = [key for key in padding if key not in keys]
        if unknown:
            raise ValueError(
                f"padding_value names {unknown}, and sample{place} has only {list(keys)}"
            )
        return [padding.get(key, 0) for key in keys]
    if isinstance(padding, (tuple, list)):
        if len(padding) != len(keys):
            raise ValueError(
                f"padding_value has {len(padding)} parts, and sample{place} has {len(keys)}"
            )
        return list(padding)
    return [padding] * len(keys)


def _is_numbers(values: list[Any]) -> bool:
    """Whether a list is a sequence, of numbers or of rows of them, and not a list of fields."""
    return all(
        _is_numbers(value) if isinstance(value, list) else isinstance(value, Real)
        for value in values
    )


def _tensors(values: list[Any], place: str) -> list[Tensor]:
    if not all(_holds_numbers(value) for value in values):
        kinds = sorted({type(value).__name__ for value in values})
        raise TypeError(
            f"sample{place} is {', '.join(kinds)} in this batch: a field is a tensor, an array, a "
            "number, a list of numbers, or text, and the same in all samples"
        )
    tensors = [value if isinstance(value, Tensor) else torch.tensor(value) for value in values]
    # Lists have no dtype of their own: [1, 2] may stand beside [0.5], and [] beside anything.
    filled = [tensor for value, tensor in zip(values, tensors, strict=True) if not _is_empty(value)]
    if not filled:
        return tensors
    dtype = functools.reduce(torch.promote_types, (tensor.dtype for tensor in filled))
    for number, value in enumerate(values):
        if _is_empty(value):
            tensors[number] = filled[0].new_empty((0, *filled[0].shape[1:]), dtype=dtype)
        elif isinstance(value, list):
            tensors[number] = tensors[number].to(dtype)
    return tensors


def _is_empty(value: Any) -> bool:
    return isinstance(value, list) and not value


def _holds_numbers(value: Any) -> bool:
    return isinstance(value, (Tensor, list, Real)) or hasattr(value, "__array__")


def _check_alike(tensors: list[Tensor], place: str, *, is_padded: bool) -> None:
    first = tensors[0]
    axes = 1 if is_padded else 0
    for number, tensor in enumerate(tensors):
        if tensor.dtype != first.dtype:
            raise ValueError(
                f"sample{place} is {tensor.dtype} in sample {number} of the batch, and "
                f"{first.dtype} in the first: all must have one dtype"
            )
        if tensor.ndim != first.ndim or tensor.shape[axes:] != first.shape[axes:]:
            raise ValueError(
                f"sample{place} has the shape {tuple(tensor.shape)} in sample {number} of the "
                f"batch, and {tuple(first.shape)} in the first: "
                + (
                    "only the first axis, time, is padded"
                    if is_padded
                    else "they cannot be stacked"
                )
            )
