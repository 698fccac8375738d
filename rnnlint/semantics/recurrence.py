"""What a call of a recurrent layer or cell gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import events, modules, naming, notes, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


MAX_GRAPH = 48
"""Calls of recurrent layers that a tensor remembers."""


def call_recurrent(
    run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place
) -> Value:
    given = arguments.get(0, "input")
    state = arguments.get(1, "hx")
    for tensor in tensors.tensors_in(state) if state is not None else []:
        tensors.touch(run, tensor, place)
    source = modules.as_tensor(given)
    tensors.touch(run, source, place)
    notes.note_mode_read(run, layer, place)
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    batch_first = modules.option(layer, "batch_first")
    axis = None
    if isinstance(batch_first, values.Const):
        axis = 0 if batch_first.value else 1
    output = Tensor(
        padding=source.padding,
        packed=source.packed,
        batch_axis=None if source.packed else axis,
        batch_axis_steps=(Step(layer.place or place, f"declares batch_first={axis == 0}"),),
        calls=graph,
        output_of=call,
        values_of=call,
        part="output",
        device=source.device,
        device_steps=source.device_steps,
        order=source.order,
        order_steps=source.order_steps,
        root=("output", place) if source.root is not None else None,
        rank=3,
    )
    hidden = Tensor(
        calls=graph, output_of=call, values_of=call, part="hidden", rank=3, device=source.device
    )
    if layer.kind != "LSTM":
        return values.Tuple((output, hidden))
    cell = tensors.changed(hidden, part="cell", values_of=None)
    return values.Tuple((output, values.Tuple((hidden, cell))))


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
    state = arguments.get(1, "hx")
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    hidden = Tensor(
        calls=graph, output_of=call, values_of=call, part="hidden", rank=2, device=source.device
    )
    if layer.kind != "LSTMCell":
        return hidden
    return values.Tuple((hidden, tensors.changed(hidden, part="cell", values_of=None)))
