"""What calls of the companion `rnnlint.runtime` do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import (
    attributes,
    axes,
    calls,
    events,
    joins,
    library,
    methods,
    modules,
    padding,
    parameters,
    recurrence,
    tensors,
    training,
    values,
)
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect, Method
from rnnlint.semantics.values import NONE, UNKNOWN, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


WRAPPERS = ("PackedRNN", "StatefulRNN")


# --- initialisation --------------------------------------------------------

_REMEMBERING_GATE = {"LSTM": "forget", "GRU": "update"}
_FILLS = {"identity": "eye"}
"""Fills that have another name in `torch.nn.init`."""


def _init_recurrent(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    module = arguments.get(0, "module")
    if module is None:
        return UNKNOWN
    for _, layer in modules.leaves(module):
        if modules.has_recurrence(layer) and not modules.is_frozen(layer):
            _fill_weights(run, layer, arguments, place)
            _fill_biases(run, layer, arguments, place)
    return module


def _fill_weights(
    run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place
) -> None:
    """Fill the matrix of each gate."""
    recurrent = _fill(arguments, "recurrent", "orthogonal")
    given = _fill(arguments, "input", "xavier_uniform")
    if recurrent == "orthogonal" and modules.has_relu(layer):
        recurrent = "eye"
    gates = parameters.GATES.get(layer.kind.removesuffix("Cell"), ("",))
    for name, rank in parameters.parameter_names(layer):
        how = recurrent if name.startswith("weight_hh") else given
        if rank == 2 and how is not None:
            for gate in gates:
                parameter = values.Parameter(layer, name, rank, part=gate)
                parameters.initialise(run, parameter, how, None, place)


def _fill(arguments: Arguments, name: str, default: str) -> str | None:
    """The name of an initialiser; None where the weights are left as they are."""
    given = arguments.get(None, name)
    if given is None:
        return default
    if isinstance(given, values.Const):
        return None if given.value is None else _FILLS.get(str(given.value), str(given.value))
    if isinstance(given, values.External):
        return given.name.rpartition(".")[2].rstrip("_")
    return "function"


def _fill_biases(run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place) -> None:
    """Make all biases zero, and then raise the gate that remembers in one of two."""
    timescale = arguments.get(None, "timescale") or NONE
    raised = arguments.get(None, "forget_bias") or values.Const(1.0)
    if raised == NONE and timescale == NONE:
        return
    biases = [
        values.Parameter(layer, name, rank)
        for name, rank in parameters.parameter_names(layer)
        if rank == 1
    ]
    for bias in biases:
        parameters.initialise(run, bias, "zeros", None, place)
    gate = _REMEMBERING_GATE.get(layer.kind.removesuffix("Cell"))
    for bias in biases:
        if gate is not None and bias.name.startswith("bias_ih"):
            part = values.Parameter(layer, bias.name, bias.rank, part=gate)
            how = "constant" if timescale == NONE else "chrono"
            parameters.initialise(run, part, how, raised, place)


# --- padded sequences ------------------------------------------------------


def _run_recurrent(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.bind(entry.parameters)
    side = padding.side_of(given.get("padding_side"))
    padded = given.get("padded", UNKNOWN)
    _note_lengths(run, given.get("lengths"), entry.kind, place)
    return _run_over_lengths(
        run, given.get("rnn", UNKNOWN), padded, given.get("state"), side, place
    )


def _note_lengths(run: Interpreter, told: Value | None, name: str, place: Place) -> None:
    if told is not None:
        run.note(events.LengthsUsed(place, run.context, told, "given", name))


def _run_over_lengths(
    run: Interpreter, rnn: Value, padded: Value, state: Value | None, side: str, place: Place
) -> Value:
    """Run a layer as if each sequence were alone; its output has zeros on the padding."""
    source = modules.as_tensor(padded)
    alone = tensors.changed(source, packed=True, padding=None)
    given: list[Value] = [alone] if state is None else [alone, state]
    result = calls.call(run, rnn, Arguments(given), place)
    return joins.join_results(
        [_with_zeros(member, source, side, place) for member in values.members(result)]
    )


def _with_zeros(result: Value, padded: Tensor, side: str, place: Place) -> Value:
    if not isinstance(result, values.Tuple) or not isinstance(result.items[0], Tensor):
        return result
    output = result.items[0]
    step = Step(place, "gives zeros for the padding")
    unpacked = tensors.changed(
        output,
        packed=False,
        unpacked=True,
        padding=Padding(side, (step,)),
    )
    if output.output_of is not None:
        unpacked = axes.with_axes(unpacked, recurrence.output_axes(output.output_of.layer, padded))
    return values.Tuple((unpacked, *result.items[1:]))


def _recurrent_wrapper(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.bind(entry.parameters)
    made = values.Container(entry.kind, place, {"rnn": given.get("rnn", UNKNOWN)})
    made.fields["padding_side"] = given.get("padding_side", NONE)
    return made


def call_wrapper(
    run: Interpreter, wrapper: values.Container, arguments: Arguments, place: Place
) -> Value:
    """Run a PackedRNN, or a StatefulRNN, whose own state has no graph."""
    rnn = wrapper.fields["children"]["rnn"]
    given = arguments.get(0, "input") or UNKNOWN
    state = arguments.get(1, "hx") if wrapper.kind == "PackedRNN" else None
    lengths = arguments.get(None, "lengths")
    if lengths is None or lengths == NONE:
        passed = [given] if state is None else [given, state]
        return calls.call(run, rnn, Arguments(passed), place)
    _note_lengths(run, lengths, wrapper.kind, place)
    side = padding.side_of(wrapper.fields["padding_side"])
    return _run_over_lengths(run, rnn, given, state, side, place)


def wrapper_attribute(
    run: Interpreter, wrapper: values.Container, name: str, place: Place
) -> Value:
    """What a wrapper does not have itself is the attribute of its layer."""
    if name in methods.MODULE_METHODS:
        return values.Native(name, wrapper)
    if name == "fresh_state":
        return values.External("rnnlint.runtime.StatefulRNN.fresh_state")
    if name in ("state", "reset"):
        return values.External("rnnlint.runtime.StatefulRNN.reset")
    return attributes.get_attribute(run, wrapper.fields["children"]["rnn"], name, place)


def _reads_real_steps(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """One vector a sequence, to which the padding gives nothing."""
    _note_lengths(run, arguments.get(1, "lengths"), entry.kind, place)
    return tensors.derived(modules.as_tensor(arguments.get(0, "output", "values")))


def _reverse_padded(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    padded = modules.as_tensor(arguments.get(0, "padded"))
    _note_lengths(run, arguments.get(1, "lengths"), entry.kind, place)
    return tensors.changed(padded, output_of=None, part="")


def _lengths_to_mask(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.get(0, "lengths")
    _note_lengths(run, given, entry.kind, place)
    lengths = modules.as_tensor(given)
    return Tensor(
        mask=True,
        axes=axes.of_batch(0, place)[:2],
        open=False,
        device=lengths.device,
        device_steps=lengths.device_steps,
        order=lengths.order,
        order_steps=lengths.order_steps,
    )


def _mask_to_lengths(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    mask = modules.as_tensor(arguments.get(0, "mask"))
    return Tensor(
        lengths=True,
        device=mask.device,
        device_steps=mask.device_steps,
        order=mask.order,
        order_steps=mask.order_steps,
    )


def _detach_state(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return _detached(arguments.get(0, "state") or UNKNOWN)


def _detached(state: Value) -> Value:
    if isinstance(state, Tensor):
        return tensors.detached(state)
    if isinstance(state, values.Union):
        return joins.join_results([_detached(member) for member in state.members])
    if isinstance(state, values.Tuple):
        return values.of_its_kind(state, map(_detached, state.items))
    if isinstance(state, values.ListObject) and state.fields["items"] is not None:
        return values.ListObject(tuple(_detached(item) for item in state.fields["items"]))
    if isinstance(state, values.DictObject) and state.fields["rest"] is None:
        entries = {key: _detached(item) for key, item in state.fields["entries"].items()}
        return values.DictObject(entries)
    return state if isinstance(state, values.Const) else UNKNOWN


# --- training --------------------------------------------------------------


def _clip_gradients(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.bind(("parameters_or_optimizer", "max_norm", "scaler"))
    return _clip(run, entry.kind, given, place)


def _clip(run: Interpreter, name: str, given: dict[str, Value], place: Place) -> Value:
    """Clip all gradients of what is given, unscaled first where a scaler is."""
    clipped = given.get("parameters_or_optimizer", UNKNOWN)
    if given.get("scaler", NONE) != NONE:
        run.emit(events.OptimizerEvent(place, run.context, "unscale", clipped))
    training.record_clip(run, name, clipped, place)
    return UNKNOWN


def _clipper(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("clipper", entry.kind, place, dict(arguments.keywords))


def _call_clipper(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name == "clip":
        given = arguments.bind(("parameters_or_optimizer", "scaler"))
        return _clip(run, thing.name, given, place)
    return UNKNOWN


def _sequence_loss(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    given = arguments.bind(entry.parameters)
    prediction, target = (given.pop(role, UNKNOWN) for role in entry.parameters[:2])
    _note_lengths(run, given.get("lengths"), name.rpartition(".")[2], place)
    return library.compute_loss(run, entry.kind, given, Arguments([prediction, target]), place)


EFFECTS: dict[str, Effect] = {
    "init_recurrent": _init_recurrent,
    "run_recurrent": _run_recurrent,
    "recurrent_wrapper": _recurrent_wrapper,
    "reads_real_steps": _reads_real_steps,
    "reverse_padded": _reverse_padded,
    "lengths_to_mask": _lengths_to_mask,
    "mask_to_lengths": _mask_to_lengths,
    "detach_state": _detach_state,
    "clip_gradients": _clip_gradients,
    "clipper": _clipper,
    "sequence_loss": _sequence_loss,
}

METHODS: dict[str, Method] = {
    "clipper": _call_clipper,
}
