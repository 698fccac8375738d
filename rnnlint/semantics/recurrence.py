"""What a call of a recurrent layer or cell gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import axes, events, excerpts, modules, naming, notes, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Axis, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


UNBATCHED = 2
"""Axes of the input of a layer that runs over a single sequence."""
MAX_GRAPH = 48
"""Calls of recurrent layers that a tensor remembers."""


def call_recurrent(
    run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place
) -> Value:
    given = arguments.get(0, "input")
    state = _given_state(arguments)
    for tensor in tensors.tensors_in(state) if state is not None else []:
        tensors.touch(run, tensor, place)
    source = modules.as_tensor(given)
    tensors.touch(run, source, place)
    notes.note_mode_read(run, layer, place)
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    output = Tensor(
        padding=source.padding,
        packed=source.packed,
        axes=() if source.packed else output_axes(layer, source),
        open=source.packed,
        batch_axis_steps=(
            Step(layer.place or place, f"declares batch_first={_batch_axis(layer) == 0}"),
        ),
        calls=graph,
        output_of=call,
        values_of=call,
        part="output",
        sorted_by=source.sorted_by,
        device=source.device,
        device_steps=source.device_steps,
        order=source.order,
        order_steps=source.order_steps,
        excerpt=_steps_of(layer, source),
    )
    hidden = Tensor(
        calls=graph,
        output_of=call,
        values_of=call,
        part="hidden",
        sorted_by=source.sorted_by,
        axes=_state_axes(layer, source),
        open=False,
        device=source.device,
    )
    if layer.kind != "LSTM":
        return values.Tuple((output, hidden))
    cell = tensors.changed(hidden, part="cell", values_of=None)
    return values.Tuple((output, values.Tuple((hidden, cell))))


def _steps_of(layer: values.Layer, source: Tensor) -> values.Excerpt | None:
    """The excerpt over whose steps a layer runs; None where its time may be another axis."""
    excerpt = source.excerpt
    if excerpt is None or source.packed:
        return excerpt
    batch = _batch_axis(layer)
    time = 0 if source.rank == UNBATCHED else (None if batch is None else 1 - batch)
    fits = time is not None and excerpt.axis in (time, values.ANY_AXIS)
    return excerpts.on_axis(excerpt, time) if fits else None


def _given_state(arguments: Arguments) -> Value | None:
    """The state that a call is given; None where it is surely given none."""
    state = arguments.get(1, "hx")
    return UNKNOWN if state is None and arguments.open else state


def _batch_axis(layer: values.Layer) -> int | None:
    batch_first = modules.option(layer, "batch_first")
    if not isinstance(batch_first, values.Const):
        return None
    return 0 if batch_first.value else 1


def output_axes(layer: values.Layer, source: Tensor) -> tuple[Axis, ...]:
    """The axes of what a layer gives for each step: (batch, time, feature), as it declares."""
    features = Axis("feature", _features(layer, _directions(layer)))
    if source.rank == UNBATCHED:
        return (Axis("time", source.axes[0].size), features)
    first, second, _ = axes.of_batch(_batch_axis(layer), None)
    sizes = [axis.size for axis in axes.at_least(source, 2)]
    return (Axis(first.name, sizes[0]), Axis(second.name, sizes[1]), features)


def _directions(layer: values.Layer) -> int | None:
    both = modules.known_option(layer, "bidirectional", bool)
    return None if both is None else 1 + both


def _state_axes(layer: values.Layer, source: Tensor) -> tuple[Axis, ...]:
    """(layers, batch, feature), whatever batch_first says."""
    stacked = modules.known_option(layer, "num_layers", int)
    layers = Axis("layers", _product(stacked, _directions(layer)))
    features = Axis("feature", _features(layer))
    if source.rank == UNBATCHED:
        return (layers, features)
    number = None if source.packed else _batch_axis(layer)
    batch = [] if number is None else source.axes[number : number + 1]
    return (layers, Axis("batch", batch[0].size if batch else UNKNOWN), features)


def _features(layer: values.Layer, directions: int | None = 1) -> Value:
    """How many features a layer's output has."""
    size = modules.known_option(layer, "hidden_size", int)
    projected = modules.known_option(layer, "proj_size", int)
    return UNKNOWN if projected is None else _product(projected or size, directions)


def _product(first: int | None, second: int | None) -> Value:
    return UNKNOWN if first is None or second is None else values.Const(first * second)


def _emit_call(
    run: Interpreter, layer: values.Layer, source: Tensor, state: Value | None, place: Place
) -> events.LayerCall:
    carries = state is not None and bool(tensors.graph_of(state))
    under = tuple(run.calls) if carries else ()
    call = events.LayerCall(place, run.context, layer, source, state, under)
    if source.padding is not None:
        call.scope = naming.innermost_scope(run, place.path)
    run.emit(call)
    return call


def _extended(
    graph: frozenset[events.LayerCall], call: events.LayerCall
) -> frozenset[events.LayerCall]:
    """A graph with one more call; of a layer called many times only the last calls."""
    if len(graph) < MAX_GRAPH:
        return graph | {call}
    kept: dict[values.Layer, list[events.LayerCall]] = {}
    for known in sorted(graph, key=lambda each: each.time):
        kept.setdefault(known.layer, []).append(known)
    return frozenset(each for latest in kept.values() for each in latest[-2:]) | {call}


def call_cell(run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place) -> Value:
    source = modules.as_tensor(arguments.get(0, "input"))
    state = _given_state(arguments)
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    hidden = Tensor(
        calls=graph,
        output_of=call,
        values_of=call,
        part="hidden",
        axes=(Axis("batch", axes.at_least(source, 1)[0].size), Axis("feature", _features(layer))),
        open=False,
        device=source.device,
    )
    if layer.kind != "LSTMCell":
        return hidden
    return values.Tuple((hidden, tensors.changed(hidden, part="cell", values_of=None)))
