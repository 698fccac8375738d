"""The order of a batch's rows: what sorts them, and what undoes this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import axes, indexing, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

AGAIN = "this sorts once more, where the inverse of the permutation would restore the order"


def sort(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`lengths.sort()`: what is sorted, and the permutation that sorts."""
    if tensor.order == "permutation":
        return _inverted(tensor, arguments)
    step = Step(place, "sorts by length")
    by = (step,) if tensor.lengths and tensor.order == "arbitrary" else ()
    ordered = tensors.changed(tensor, order="sorted", order_steps=(step,), sorted_by=by)
    permutation = Tensor(
        order="permutation",
        order_steps=(step,),
        sorted_by=by,
        device=tensor.device,
        device_steps=tensor.device_steps,
    )
    return values.Tuple((axes.resized(ordered, 0), permutation))


def _inverted(permutation: Tensor, arguments: Arguments) -> Value:
    """`permutation.sort()`: the index that undoes a permutation, unless it is sorted backwards."""
    backwards = arguments.get(1, "descending") not in (None, values.FALSE)
    order = "" if backwards or arguments.open else "inverse"
    inverse = tensors.changed(permutation, order=order)
    return values.Tuple((tensors.derived(permutation), inverse))


def argsort(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`lengths.argsort()`: the permutation alone."""
    pair = sort(run, tensor, arguments, place)
    return pair.items[1] if isinstance(pair, values.Tuple) else UNKNOWN


def select(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`tensor.index_select(axis, index)`"""
    which = arguments.get(1, "index")
    if isinstance(which, Tensor):
        return indexing.advanced(tensor, (which,), place)
    return tensors.changed(tensors.picked(tensor), sorted_by=())


def masked_select(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """Numbers from anywhere."""
    return tensors.changed(tensors.picked(tensor), sorted_by=())


def gather(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """Numbers along one axis, which leaves the rows of a batch alone if it is another."""
    axis = axes.position(tensor, values.integer(arguments.get(0, "dim")))
    if axis is None or tensor.batch_axis in (None, axis):
        return tensors.changed(tensors.picked(tensor), sorted_by=())
    return tensors.picked(tensor)


def reordered(tensor: Tensor, index: Tensor, place: Place) -> Tensor:
    """The rows of a tensor in the order that an index names."""
    sorts = index.order == "permutation"
    by = index.sorted_by if sorts else ()
    if by and tensor.sorted_by == by:
        by = (*by, Step(place, AGAIN))
    return tensors.changed(
        tensor,
        order="sorted" if sorts else "",
        order_steps=index.order_steps,
        sorted_by=by,
        counted=tensor.counted if index.order else (),
    )


def kept(tensor: Tensor, parts: tuple[Value, ...]) -> Tensor:
    """The order of rows, where an index takes them as they stand, or one of them."""
    if not tensor.sorted_by or all(map(_is_in_order, parts)):
        return tensor
    return tensors.changed(tensor, sorted_by=())


def _is_in_order(part: Value) -> bool:
    if isinstance(part, values.External):
        return True  # `...`
    return isinstance(part, (values.Slice, values.Const, values.Size))
