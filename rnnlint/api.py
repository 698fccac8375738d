"""All that a rule may import.

A rule is one module: its docstring is its documentation, and it holds one
subclass of `Rule` whose `check` is a query over the `Program`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from rnnlint.diagnostic import Applicability, Cause, Diagnostic, Fix, Level, Stage
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.renaming import renamed
from rnnlint.remedies.activations import remove_activations, take_logarithms
from rnnlint.remedies.axes import read_last_step, set_batch_first
from rnnlint.remedies.cadence import step_by_batch, step_by_epoch
from rnnlint.remedies.clearing import clear_gradients
from rnnlint.remedies.clipping import clip_after, clip_in_trainer
from rnnlint.remedies.detaching import detach_state
from rnnlint.remedies.filling import (
    fill_gate_by_gate,
    move_to_forget_gate,
    raise_forget_bias,
)
from rnnlint.remedies.final_states import join_final_states
from rnnlint.remedies.ignoring import ignore_padding
from rnnlint.remedies.masking import mask_padding
from rnnlint.remedies.metrics import watch_loss
from rnnlint.remedies.modes import evaluate_in_mode, train_in_mode
from rnnlint.remedies.optimising import optimise_too
from rnnlint.remedies.ordering import move_clip, move_scheduler, unscale_before
from rnnlint.remedies.packed_data import take_data, unpack_output
from rnnlint.remedies.registering import register_layers
from rnnlint.remedies.repadded import read_last_valid
from rnnlint.remedies.replicas import give_total_length
from rnnlint.remedies.reserving import is_token, reserve_row
from rnnlint.remedies.rounding import round_lengths, round_packed_lengths
from rnnlint.remedies.scheduling import schedule
from rnnlint.remedies.sequences import tell_lengths
from rnnlint.remedies.sizes import size_of_input, size_of_tensor
from rnnlint.remedies.stacking import fill_all_layers, fill_orthogonally
from rnnlint.remedies.stepping import step_scheduler
from rnnlint.remedies.transposing import transpose_instead
from rnnlint.remedies.unpacking import swap_state_names
from rnnlint.remedies.unsorting import leave_unsorted
from rnnlint.remedies.widening import clip_all
from rnnlint.semantics import events, lengths, modules, tensors, values
from rnnlint.semantics.events import (
    Accumulated,
    Backward,
    Clip,
    Discarded,
    Diverted,
    Event,
    Fit,
    Init,
    Kept,
    LayerCall,
    Load,
    LossComputed,
    Measured,
    Mode,
    ModeRead,
    Opaque,
    OptimizerEvent,
    Packing,
    Reading,
    Reshaped,
)
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place, Step

__all__ = [
    "Accumulated",
    "Applicability",
    "Backward",
    "CannotPlaceError",
    "Cause",
    "Clip",
    "Diagnostic",
    "Discarded",
    "Diverted",
    "Event",
    "Fit",
    "Fix",
    "Init",
    "Kept",
    "LayerCall",
    "Level",
    "Load",
    "LossComputed",
    "Measured",
    "Mode",
    "ModeRead",
    "Opaque",
    "OptimizerEvent",
    "Packing",
    "Place",
    "Program",
    "Reading",
    "Reshaped",
    "Rule",
    "Stage",
    "Step",
    "clear_gradients",
    "clip_after",
    "clip_all",
    "clip_in_trainer",
    "detach_state",
    "evaluate_in_mode",
    "events",
    "fill_all_layers",
    "fill_gate_by_gate",
    "fill_orthogonally",
    "give_total_length",
    "ignore_padding",
    "is_token",
    "join_final_states",
    "leave_unsorted",
    "lengths",
    "mask_padding",
    "modules",
    "move_clip",
    "move_scheduler",
    "move_to_forget_gate",
    "operations",
    "optimise_too",
    "raise_forget_bias",
    "read_last_step",
    "read_last_valid",
    "register_layers",
    "remove_activations",
    "renamed",
    "reserve_row",
    "round_lengths",
    "round_packed_lengths",
    "schedule",
    "set_batch_first",
    "size_of_input",
    "size_of_tensor",
    "step_by_batch",
    "step_by_epoch",
    "step_scheduler",
    "swap_state_names",
    "take_data",
    "take_logarithms",
    "tell_lengths",
    "tensors",
    "train_in_mode",
    "transpose_instead",
    "unpack_output",
    "unscale_before",
    "values",
    "watch_loss",
]


class Rule:
    """A rule: its level, and the query that finds what it is about.

    `code` and `name` come from the module's file: `rnn101_unpacked_padded_input.py`
    is RNN101, unpacked-padded-input.  `cause` is the family of faults that it finds one of,
    and `effect` says what this does to training, in one sentence without a full stop that
    begins in lower case.  `lacks` is the stage of a training step that the rule misses, if one.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    level: ClassVar[Level]
    fixable: ClassVar[Applicability | None] = None
    cause: ClassVar[Cause] = Cause.OTHER
    effect: ClassVar[str] = ""
    lacks: ClassVar[Stage | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        stem = cls.__module__.rsplit(".", 1)[-1]
        code, _, name = stem.partition("_")
        cls.code = code.upper()
        cls.name = name.replace("_", "-")

    def check(self, program: Program) -> Iterator[Diagnostic]:
        """Yield what the rule finds in a program."""
        raise NotImplementedError

    def report(
        self,
        program: Program,
        place: Place,
        message: str,
        *,
        help: str,  # noqa: A002 - the field's name in every report
        trail: Iterable[Step] = (),
        level: Level | None = None,
        effect: str | None = None,
        fix: Fix | None = None,
    ) -> Diagnostic:
        """A diagnostic of this rule at a place of the program.

        `level` and `effect` are those of the rule, unless this finding has its own.
        """
        return Diagnostic(
            code=self.code,
            name=self.name,
            level=level or self.level,
            message=message,
            span=program.span(place),
            help=help,
            trail=program.trail(trail),
            fix=fix,
            cause=self.cause,
            effect=self.effect if effect is None else effect,
            lacks=self.lacks,
        )
