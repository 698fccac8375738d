"""Unpacked padded input.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import (
    Diagnostic,
    LayerCall,
    Level,
    LossComputed,
    Program,
    Rule,
    modules,
    tensors,
    values,
)

MASKED_BY = ("ignore_index", "weight")


class UnpackedPaddedInput(Rule):
    level = Level.WARNING

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for call in program.chosen(LayerCall):
            padding = call.input.padding
            if padding is None or padding.side == "left" or not modules.is_recurrent(call.layer):
                continue
            felt = self._felt(program, call)
            if felt is None and not self._counted(program, call):
                continue
            kind = call.layer.kind
            reason = felt or "its loss counts the padded steps"
            yield self.report(
                program,
                call.place,
                f"this {kind} runs over the padding of its batch, and {reason}",
                help="pack the batch with pack_padded_sequence(x, lengths.cpu(), "
                "enforce_sorted=False), or read only valid steps",
                trail=[*padding.steps, *program.call_path(call)],
                level=Level.WARNING if felt else Level.ADVICE,
            )

    def _felt(self, program: Program, call: LayerCall) -> str | None:
        """Where padding changes what is read of the layer, in words."""
        if values.default_truth(modules.option(call.layer, "bidirectional")) is True:
            return "its backward half starts in the padding"
        for reading in program.readings_of(call):
            if reading.how == "state":
                return "its final state is read after the padding"
            if reading.how in ("last-step", "half-step"):
                return "its last step is read after the padding"
            if reading.how == "attended":
                return "attention weighs its padded steps"
            if reading.how == "pooled":
                return "its steps are pooled with the padded ones"
        return None

    def _counted(self, program: Program, call: LayerCall) -> bool:
        """Whether a loss over the layer's steps counts the padded ones."""
        return any(
            call in tensors.graph_of(loss.prediction) and not _is_masked(loss)
            for loss in program.of(LossComputed)
        )


def _is_masked(loss: LossComputed) -> bool:
    if any(name in loss.options for name in MASKED_BY):
        return True
    reduction = loss.options.get("reduction")
    if isinstance(reduction, values.Const) and reduction.value == "none":
        return True
    return loss.kind == "CTCLoss"
