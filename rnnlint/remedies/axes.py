"""Two calls that disagree about which axis is the batch are brought to agree."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.remedies.final_states import last_step
from rnnlint.semantics import modules, tensors, values
from rnnlint.semantics.events import LayerCall, Packing, Reading
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_POSITION = {"LSTM": 4, "GRU": 4, "RNN": 5}
"""Of `batch_first`, when a layer is built."""
_POSITION_OF_PACKING = 2


def set_batch_first(program: Program, event: LayerCall | Packing, batch_axis: int) -> Fix | None:
    """Declare the order that the input has, where a layer is built or a batch is packed."""
    if isinstance(event, Packing):
        return _declared(program, event.place, _POSITION_OF_PACKING, batch_axis)
    layer = event.layer
    if layer.place is None or layer.place in layer.stack:
        return None  # a class of the project may do more with its arguments
    calls = [one for one in program.possible(LayerCall) if one.layer.place == layer.place]
    if not all(_would_agree(call, batch_axis) for call in calls):
        return None
    if any(call.input.padding is not None and not call.input.packed for call in calls):
        return None  # along the right axis, padding would be read
    return _declared(program, layer.place, _POSITION.get(layer.kind), batch_axis)


def _would_agree(call: LayerCall, batch_axis: int) -> bool:
    """Whether a call's input and state would be right for a layer that is told this order."""
    if call.input.packed:
        return True
    return call.input.batch_axis in (None, batch_axis) and _is_state_right(call, batch_axis)


def _is_state_right(call: LayerCall, batch_axis: int) -> bool:
    state = call.state.items[0] if isinstance(call.state, values.Tuple) else call.state
    if state is None or state == values.NONE:
        return True
    if isinstance(state, values.Tensor) and state.rank == 3 and len(call.input.axes) > batch_axis:
        batch, wanted = state.axes[1].size, call.input.axes[batch_axis].size
        return isinstance(batch, values.Size) and batch.of is not None and batch == wanted
    # The layer's own state has the batch where the layer had it, whatever it is told.
    return any(one.layer is call.layer for one in tensors.graph_of(state))


def _declared(program: Program, call: Place, position: int | None, batch_axis: int) -> Fix | None:
    code, wanted = program.code, str(batch_axis == 0)
    try:
        if code.spreads(call):
            return None
        given = code.argument(call, "batch_first", position)
        by_keyword = code.argument(call, "batch_first") is not None
    except CannotPlaceError:
        return None
    change: operations.AnyOperation
    if given is not None and code.text(given) not in ("True", "False"):
        return None  # a variable says so
    if given is not None and not by_keyword:
        change = operations.Replace(given.path, given.start, given.end, wanted)
    elif wanted == "False":
        change = operations.RemoveArgument(call.path, call.start, call.end, "batch_first")
    else:
        change = operations.SetArgument(call.path, call.start, call.end, "batch_first", wanted)
    message = "say that the batch comes first" if batch_axis == 0 else "say that time comes first"
    return code.repair(message, [change], Applicability.UNSAFE)


def read_last_step(program: Program, reading: Reading) -> Fix | None:
    """Take the last step along the axis of time.

    Where it is not known in which order the input came, the index is believed.
    """
    call, axis = reading.tensor.output_of, reading.tensor.batch_axis
    if call is None or axis is None or not modules.is_recurrent(call.layer):
        return None
    if not reading.tensor.unpacked and call.input.batch_axis is None and not call.input.packed:
        return set_batch_first(program, call, 1 - axis)
    try:
        layout = program.code.layout(reading.place.path)
        index = last_step(layout.statement_at(reading.place.start).node, reading.place)
    except CannotPlaceError:
        return None
    owner = layout.text[index.value.start : index.value.end]
    code = f"{owner}[:, -1]" if axis == 0 else f"{owner}[-1]"
    change = operations.Replace(reading.place.path, index.start, index.end, code)
    return program.code.repair("take the last step of time", [change], Applicability.UNSAFE)
