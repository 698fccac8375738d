"""Batch first mismatch.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Diagnostic,
    LayerCall,
    Level,
    Packing,
    Program,
    Reading,
    Rule,
    Step,
    modules,
    values,
)

ORDER = {0: "(batch, time, ...)", 1: "(time, batch, ...)"}


class BatchFirstMismatch(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for call in program.chosen(LayerCall):
            if modules.is_recurrent(call.layer) and not call.input.packed:
                yield from self._layer_call(program, call)
        for packing in program.chosen(Packing):
            if not packing.unpacks and isinstance(packing.given, values.Tensor):
                yield from self._packing(program, packing, packing.given)
        for reading in program.chosen(Reading):
            yield from self._reading(program, reading)

    def _layer_call(self, program: Program, call: LayerCall) -> Iterator[Diagnostic]:
        wanted = _declared_axis(modules.option(call.layer, "batch_first"))
        given = None if call.input.swapped else call.input.batch_axis
        declared = Step(call.layer.place or call.place, f"the {call.layer.kind} is built here")
        if wanted is not None and given is not None and wanted != given:
            yield self._mismatch(
                program, call, given, wanted, [*call.input.batch_axis_steps, declared]
            )
            return
        if given is not None and _state_is_batch_first(call, given):
            yield self.report(
                program,
                call.place,
                "the initial state has the batch on its first axis; a state is "
                "(layers * directions, batch, hidden) whatever batch_first says",
                help="build the state with the layers first and the batch second",
                trail=[declared],
            )

    def _packing(
        self, program: Program, packing: Packing, given: values.Tensor
    ) -> Iterator[Diagnostic]:
        wanted = _declared_axis(packing.batch_first)
        if wanted is not None and given.batch_axis is not None and wanted != given.batch_axis:
            yield self._mismatch(
                program, packing, given.batch_axis, wanted, list(given.batch_axis_steps)
            )

    def _reading(self, program: Program, reading: Reading) -> Iterator[Diagnostic]:
        tensor = reading.tensor
        if reading.how not in ("last-step", "half-step") or tensor.batch_axis is None:
            return
        if reading.axis == tensor.batch_axis and not self._is_mismatched(tensor):
            index = "[-1]" if reading.axis == 0 else "[:, -1]"
            yield self.report(
                program,
                reading.place,
                f"{index} takes the end of the batch axis, not the last time step: "
                f"the output is {ORDER[tensor.batch_axis]}",
                help="index the time axis, or set batch_first to match",
                trail=tensor.batch_axis_steps,
            )

    def _is_mismatched(self, tensor: values.Tensor) -> bool:
        """Whether the layer's own call is already reported."""
        call = tensor.output_of
        if call is None or call.input.packed or call.input.batch_axis is None:
            return False
        wanted = _declared_axis(modules.option(call.layer, "batch_first"))
        return wanted is not None and wanted != call.input.batch_axis

    def _mismatch(
        self,
        program: Program,
        event: LayerCall | Packing,
        given: int,
        wanted: int,
        trail: list[Step],
    ) -> Diagnostic:
        return self.report(
            program,
            event.place,
            f"the input is {ORDER[given]} but this expects {ORDER[wanted]}: "
            "batch and time are mixed up",
            help=f"set batch_first={given == 0} here, or transpose the input",
            trail=trail,
        )


def _declared_axis(batch_first: values.Value) -> int | None:
    if isinstance(batch_first, values.Const) and not batch_first.option:
        return 0 if batch_first.value else 1
    return None


def _state_is_batch_first(call: LayerCall, batch_axis: int) -> bool:
    """Whether a state made with `torch.zeros(x.size(0), ...)` starts with the batch."""
    state = call.state.items[0] if isinstance(call.state, values.Tuple) else call.state
    if not isinstance(state, values.Tensor) or len(state.dims) != 3 or call.input.root is None:
        return False
    first = state.dims[0]
    return (
        isinstance(first, values.Size)
        and first.of == call.input.root
        and first.axis == batch_axis
    )
