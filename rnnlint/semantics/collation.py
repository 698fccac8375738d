"""Batches of the companion's `pad_collate`, in the structure of a sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rnnlint.semantics import data, iteration, values
from rnnlint.semantics.axes import of_batch
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect
from rnnlint.semantics.padding import side_of
from rnnlint.semantics.values import NONE, UNKNOWN, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _pad_collate(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    samples = arguments.get(0, "samples") or UNKNOWN
    batch_first = arguments.get(None, "batch_first") or values.TRUE
    axis = None
    if isinstance(batch_first, values.Const):
        axis = 0 if batch_first.value else 1
    order, order_steps = iteration.order_of(samples)
    shown = "True" if axis == 0 else "False"
    padded = Tensor(
        padding=Padding(
            side_of(arguments.get(None, "padding_side")),
            (Step(place, values.TO_LONGEST),),
        ),
        axes=of_batch(axis, place),
        batch_axis_steps=(Step(place, f"pads with batch_first={shown}"),),
        order=order,
        order_steps=order_steps,
    )
    lengths = Tensor(lengths=True, device="cpu", order=order, order_steps=order_steps)
    padding = arguments.get(None, "padding_value") or values.Const(0)
    sample = iteration.element(run, samples)
    batch = _collated(sample, padding, padded, lambda field: data.default_collate(field, place))
    each = arguments.get(None, "lengths")
    if each is not None and each != values.Const("shared"):
        return values.Tuple((batch, _collated(sample, padding, lengths, lambda field: NONE)))
    return values.Tuple((batch, lengths))


def _collated(
    sample: Value, padding: Value, of_sequence: Tensor, of_other: Callable[[Value], Value]
) -> Value:
    """The structure of a sample, with what its sequences and its other fields become."""
    if isinstance(sample, values.Tuple):
        return values.Tuple(
            tuple(
                _collated(item, _padding_at(padding, number), of_sequence, of_other)
                for number, item in enumerate(sample.items)
            )
        )
    if isinstance(sample, values.DictObject) and sample.fields["rest"] is None:
        return values.DictObject(
            {
                key: _collated(item, _padding_at(padding, key), of_sequence, of_other)
                for key, item in sample.fields["entries"].items()
            }
        )
    if padding != NONE and _is_sequence(sample):
        return of_sequence
    return of_other(sample)


def _is_sequence(field: Value) -> bool:
    return isinstance(field, values.ListObject) or (isinstance(field, Tensor) and field.rank != 0)


def _padding_at(padding: Value, key: object) -> Value:
    """The padding value of one part of a sample."""
    if isinstance(padding, values.DictObject):
        found = padding.fields["entries"].get(key, values.Const(0))
        return found if isinstance(found, Value) else UNKNOWN
    if isinstance(padding, values.Tuple) and isinstance(key, int):
        return padding.items[key] if key < len(padding.items) else UNKNOWN
    return padding


EFFECTS: dict[str, Effect] = {"pad_collate": _pad_collate}
