"""Padding and packing batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import (
    axes,
    events,
    excerpts,
    iteration,
    modules,
    operations,
    tensors,
    values,
)
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect
from rnnlint.semantics.values import UNKNOWN, Axis, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _pad_sequence(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.bind(entry.parameters)
    batch_first = given.get("batch_first", values.FALSE)
    axis = None
    if isinstance(batch_first, values.Const):
        axis = 0 if batch_first.value else 1
    step = Step(place, values.TO_LONGEST)
    sequences = given.get("sequences", UNKNOWN)
    order, order_steps = iteration.order_of(sequences)
    shown = "True" if axis == 0 else "False"
    return Tensor(
        padding=Padding(
            side_of(given.get("padding_side")),
            (step,),
            given.get("padding_value", UNKNOWN if arguments.open else values.Const(0)),
        ),
        axes=axes.of_batch(axis, place),
        batch_axis_steps=(Step(place, f"pads with batch_first={shown}"),),
        calls=tensors.graph_of(sequences),
        order=order,
        order_steps=order_steps,
        excerpt=excerpts.of_rows(run, sequences, None if axis is None else 1 - axis),
    )


def side_of(given: Value | None) -> str:
    """The side that `padding_side=` names: right where it is left out, "" where it is unknown."""
    if given is None or given == values.NONE:
        return "right"
    return str(given.value) if isinstance(given, values.Const) else ""


def _pad(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    """`F.pad(x, (0, longest - len(x)))`, `np.pad`."""
    given = arguments.bind(entry.parameters)
    amounts: list[Value] = []
    _flatten(run, given.get("pad", given.get("pad_width", UNKNOWN)), amounts)
    content = given.get("input", UNKNOWN)
    for position, amount in enumerate(amounts):
        if isinstance(amount, values.Shortfall):
            side = "right" if position % 2 else "left"
            filler = given.get("value", UNKNOWN if arguments.open else values.Const(0))
            return operations.padded(content, values.Filler(place, filler), side)
    return tensors.kept(content) if isinstance(content, Tensor) else tensors.mixed([content])


def _flatten(run: Interpreter, value: Value, into: list[Value]) -> None:
    items = iteration.known_items(run, value)
    if items is None:
        into.append(value)
        return
    for item in items:
        _flatten(run, item, into)


def keras_pad(run: Interpreter, arguments: Arguments, place: Place) -> Tensor:
    """Keras's pad_sequences, which pads on the left unless told otherwise."""
    side = arguments.get(3, "padding")
    text = side.value if isinstance(side, values.Const) else "pre"
    step = Step(place, "pads every sequence to a common length")
    filler = arguments.get(5, "value") or (UNKNOWN if arguments.open else values.Const(0))
    return Tensor(
        padding=Padding("right" if text == "post" else "left", (step,), filler),
        axes=axes.of_batch(0, place)[:2],
        open=False,
    )


def _keras_pad(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return keras_pad(run, arguments, place)


def _pack(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    given = arguments.bind(entry.parameters)
    source = given.get("input", UNKNOWN)
    lengths = given.get("lengths", UNKNOWN)
    tensor = modules.as_tensor(source)
    default = UNKNOWN if arguments.open else values.FALSE
    batch_first = given.get("batch_first", default)
    sorted_ = given.get("enforce_sorted", UNKNOWN if arguments.open else values.TRUE)
    run.emit(
        events.Packing(place, run.context, source, lengths, batch_first, sorted_, unpacks=False)
    )
    time = int(isinstance(batch_first, values.Const) and bool(batch_first.value))
    excerpt = tensor.excerpt
    fits = excerpt is not None and excerpt.axis in (time, values.ANY_AXIS)
    return Tensor(
        packed=True, calls=tensor.calls, padding=None, device=tensor.device, order=tensor.order,
        sorted_by=tensor.sorted_by, values_of=tensor.values_of,
        excerpt=excerpts.on_axis(excerpt, time) if fits else None,
    )  # fmt: skip


def _pack_list(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.get(0, "sequences")
    return Tensor(packed=True, calls=tensors.graph_of(given) if given is not None else frozenset())


def _packed(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return Tensor(packed=True, calls=tensors.graph_of(values.Tuple(tuple(arguments.all()))))


def _unpack(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    given = arguments.bind(entry.parameters)
    source = given.get("sequence", UNKNOWN)
    tensor = modules.as_tensor(source)
    batch_first = given.get("batch_first", values.FALSE)
    axis = None
    if isinstance(batch_first, values.Const):
        axis = 0 if batch_first.value else 1
    run.emit(
        events.Packing(place, run.context, source, UNKNOWN, batch_first, UNKNOWN, unpacks=True)
    )
    step = Step(place, "unpacks, with zeros behind each sequence's end")
    shown = "True" if axis == 0 else "False"
    output = Tensor(
        padding=Padding("right", (step,)),
        unpacked=True,
        axes=(*axes.of_batch(axis, place)[:2], Axis("feature")),
        open=False,
        batch_axis_steps=(Step(place, f"unpacks with batch_first={shown}"),),
        calls=tensor.calls,
        output_of=tensor.output_of,
        values_of=tensor.values_of,
        part="output" if tensor.output_of is not None else "",
        sorted_by=tensor.sorted_by,
        device=tensor.device,
        device_steps=tensor.device_steps,
        excerpt=excerpts.on_axis(tensor.excerpt, None if axis is None else 1 - axis),
    )
    return values.Tuple((output, Tensor(lengths=True, device="cpu", order=tensor.order)))


EFFECTS: dict[str, Effect] = {
    "pad_sequence": _pad_sequence,
    "pad": _pad,
    "keras_pad": _keras_pad,
    "pack": _pack,
    "pack_list": _pack_list,
    "packed": _packed,
    "unpack": _unpack,
}
