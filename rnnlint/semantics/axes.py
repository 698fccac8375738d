"""The axes of tensors: what each runs over, how long it is, and what operations do to them.

Names are the field's: "batch", "time", "feature", and "layers", which is layers times
directions, the first axis of a recurrent state.  "" is an axis of which nothing is known.

The axes of an *open* tensor are those that it would have as a batch of sequences of features,
as most are; there may be more or fewer.  Where none of them has a name, nothing is counted from
the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rnnlint.semantics import values
from rnnlint.semantics.values import UNKNOWN, Axis, Tensor, Value

ONE = Axis("", values.Const(1))


def of_batch(batch_axis: int | None, root: Any) -> tuple[Axis, ...]:
    """The axes of an open batch of sequences.

    Args:
        batch_axis: 0 or 1, the other being time; None where it is not known.
        root: what identifies the sizes of the batch.
    """
    names = {0: ("batch", "time", ""), 1: ("time", "batch", ""), None: ("", "", "")}[batch_axis]
    return tuple(Axis(name, values.Size(root, number)) for number, name in enumerate(names))


def of_sizes(sizes: Sequence[Value]) -> tuple[Axis, ...]:
    """Axes of which only the sizes are known."""
    return tuple(Axis("", size) for size in sizes)


def with_axes(tensor: Tensor, axes: Sequence[Axis], open_: bool = False) -> Tensor:
    return msgspec.structs.replace(tensor, axes=tuple(axes), open=open_)


def without(tensor: Tensor) -> Tensor:
    """The same tensor, of whose axes nothing is known any more."""
    return msgspec.structs.replace(tensor, axes=(), open=True)


def same_as(tensor: Tensor, other: Tensor) -> Tensor:
    """The same tensor with the axes of another."""
    return msgspec.structs.replace(
        tensor, axes=other.axes, open=other.open, batch_axis_steps=other.batch_axis_steps
    )


def position(tensor: Tensor, number: int | None) -> int | None:
    """An axis counted from the front, where that can be told."""
    if number is None or number >= 0:
        return number
    if tensor.open and not any(axis.name for axis in tensor.axes):
        return None
    place = len(tensor.axes) + number
    return place if place >= 0 else None


def at_least(tensor: Tensor, count: int) -> list[Axis]:
    """The axes of a tensor that has so many at least."""
    return [*tensor.axes, *[Axis()] * (count - len(tensor.axes))]


def swapped(tensor: Tensor, first: int, second: int) -> Tensor:
    """Two axes in each other's place."""
    if not tensor.open and max(first, second) >= len(tensor.axes):
        return without(tensor)
    axes = at_least(tensor, max(first, second) + 1)
    axes[first], axes[second] = axes[second], axes[first]
    return with_axes(tensor, axes, tensor.open)


def permuted(tensor: Tensor, order: Sequence[int | None]) -> Tensor:
    """All axes in another order, which also says how many there are."""
    count = len(order)
    places = [None if number is None else number % count for number in order]
    if not count or (not tensor.open and len(tensor.axes) != count):
        return without(tensor)
    axes = at_least(tensor, count)
    return with_axes(tensor, [Axis() if place is None else axes[place] for place in places])


def inserted(tensor: Tensor, number: int, axis: Axis = ONE) -> Tensor:
    """One more axis before an axis; a negative number counts from the end of the result."""
    if number < 0 and tensor.open:
        if number < -1 or position(tensor, -1) is None:
            return without(tensor)
        last = tensor.axes[-1]
        if not last.name and last.size != ONE.size:  # in the place of features that it may not have
            return with_last(tensor, Axis("feature"))
    if number < 0:
        number += len(tensor.axes) + 1
    if not tensor.open and not 0 <= number <= len(tensor.axes):
        return without(tensor)
    axes = at_least(tensor, number)
    axes.insert(number, axis)
    return with_axes(tensor, axes, tensor.open)


def removed(tensor: Tensor, number: int) -> Tensor:
    """Without one axis."""
    place = position(tensor, number)
    if place is None or (not tensor.open and place >= len(tensor.axes)):
        return without(tensor)
    return with_axes(tensor, [*tensor.axes[:place], *tensor.axes[place + 1 :]], tensor.open)


def resized(tensor: Tensor, number: int, size: Value = UNKNOWN) -> Tensor:
    """With another size of one axis."""
    if number >= len(tensor.axes):
        return tensor
    axes = list(tensor.axes)
    axes[number] = msgspec.structs.replace(axes[number], size=size)
    return with_axes(tensor, axes, tensor.open)


def with_last(tensor: Tensor, axis: Axis) -> Tensor:
    """With another last axis, as a linear layer gives it."""
    if position(tensor, -1) is None:
        return without(tensor)
    return with_axes(tensor, [*tensor.axes[:-1], axis], tensor.open)


def appended(tensor: Tensor, axis: Axis) -> Tensor:
    """With one more axis behind the others, as an embedding gives it.

    Where an open tensor may have features, its ids have none: the axis takes their place.
    """
    if (
        tensor.open
        and tensor.axes
        and not tensor.axes[-1].name
        and tensor.axes[-1].size != ONE.size
    ):
        return with_last(tensor, axis)
    return with_axes(tensor, [*tensor.axes, axis], tensor.open) if tensor.axes else tensor


def filtered(tensor: Tensor, root: Any) -> Tensor:
    """After a convolution or pooling: the same axes, of which all but the batch have new sizes.

    Args:
        tensor: what went in.
        root: what identifies the new sizes.
    """
    kept = [
        axis if axis.name == "batch" else Axis(axis.name, values.Size(root, number))
        for number, axis in enumerate(tensor.axes)
    ]
    return with_axes(tensor, kept, tensor.open)


def viewed(tensor: Tensor, sizes: Sequence[Value]) -> Tensor:
    """In another shape: axes that keep their place and size, from the front, stay what they are."""
    axes = [Axis("", UNKNOWN if size == values.Const(-1) else size) for size in sizes]
    for number, (old, new) in enumerate(zip(tensor.axes, sizes, strict=False)):
        if not is_same_size(old.size, new):
            break
        axes[number] = old
    return with_axes(tensor, axes)


def is_same_size(first: Value, second: Value) -> bool:
    """Whether two sizes are surely the same number."""
    if isinstance(first, values.Size):
        return first.of is not None and first == second
    return isinstance(first, values.Const) and first == second


def broadcast(first: Tensor, second: Tensor) -> tuple[tuple[Axis, ...], bool]:
    """The axes of an operation on two tensors, element by element, and whether it is open."""
    if None not in (first.batch_axis, second.batch_axis) and first.batch_axis != second.batch_axis:
        return (), True
    if first.open or second.open:
        known = first if first.batch_axis is not None or second.batch_axis is None else second
        if len(first.axes) != len(second.axes):
            known = max(first, second, key=lambda tensor: len(tensor.axes))
        # An axis of size one takes the size of the other's.
        return tuple(
            Axis(axis.name) if axis.size == ONE.size else axis for axis in known.axes
        ), True
    count = max(len(first.axes), len(second.axes))
    pairs = zip(_filled(first, count), _filled(second, count), strict=True)
    return tuple(_joined(one, other) for one, other in pairs), False


def _filled(tensor: Tensor, count: int) -> list[Axis]:
    """The axes of a tensor, with those in front that it is given beside one of more axes."""
    return [*[ONE] * (count - len(tensor.axes)), *tensor.axes]


def _joined(one: Axis, other: Axis) -> Axis:
    """What two axes become, of which one may be stretched to the other."""
    if one.size == ONE.size:
        return other if other.name or other.size != ONE.size else one
    if other.size == ONE.size or one.name or not other.name:
        return one
    return other
