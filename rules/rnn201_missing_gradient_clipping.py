"""Missing gradient clipping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnnlint.api import (
    Backward,
    Clip,
    Diagnostic,
    Event,
    Fit,
    Level,
    Opaque,
    OptimizerEvent,
    Program,
    Rule,
    Step,
    values,
)

HINTS = ("clip", "norm", "grad", "train", "fit", "optimi", "update", "engine", "step")
CLIPPING_OPTIONS = {
    "lightning": ("gradient_clip_val",),
    "allennlp": ("grad_norm", "grad_clipping"),
    "skorch": ("callbacks",),
    "fastai": ("cbs", "callbacks", "callback_fns"),
}


class MissingGradientClipping(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for backward in program.of(Backward):
            if backward.place in found:
                continue
            layers = frozenset() if backward.implicit else program.layers_of(backward)
            if not layers or self._clips(program, backward, layers):
                continue
            iteration = program.iteration_of(backward)
            if not any(_steps(event) for event in iteration):
                continue
            found.add(backward.place)
            yield self._found(
                program,
                backward,
                layers,
                "clip between backward and step: "
                "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
            )
        for fit in program.of(Fit):
            layers = program.recurrent_layers(fit.module)
            if layers and self._trainer_lacks_clipping(program, fit, layers):
                yield self._found(program, fit, layers, _remedy(fit.trainer))

    def _found(
        self, program: Program, event: Backward | Fit, layers: Iterable[values.Layer], remedy: str
    ) -> Diagnostic:
        ordered = sorted(layers, key=lambda layer: layer.place or event.place)
        plain = any(layer.kind in ("RNN", "RNNCell") for layer in ordered)
        kinds = " or ".join(sorted({layer.kind for layer in ordered}))
        place = event.place
        if isinstance(event, Fit) and event.trainer.place is not None:
            place = event.trainer.place
        return self.report(
            program,
            place,
            f"this trains a recurrent network ({kinds}) and nothing clips its gradients",
            help=remedy,
            trail=[
                Step(layer.place, f"the {layer.kind} that is trained")
                for layer in ordered[:3]
                if layer.place is not None
            ],
            level=Level.WARNING if plain else Level.ADVICE,
        )

    def _clips(
        self, program: Program, backward: Backward, layers: frozenset[values.Layer]
    ) -> bool:
        """Whether something clips these layers, or may do so out of sight."""
        iteration = program.iteration_of(backward)
        if any(_covers(event, layers) for event in iteration):
            return True
        if any(_may_clip(event) for event in iteration):
            return True
        hooks = [clip for clip in program.possible(Clip) if clip.name == "register_hook"]
        return any(_covers(hook, layers) for hook in hooks)

    def _trainer_lacks_clipping(
        self, program: Program, fit: Fit, layers: frozenset[values.Layer]
    ) -> bool:
        trainer = fit.trainer
        if trainer.name not in ("lightning", "skorch", "ignite", "fastai", "allennlp"):
            return False
        if "<open>" in trainer.options:
            return False
        for option in CLIPPING_OPTIONS.get(trainer.name, ()):
            given = trainer.options.get(option)
            if given is not None and not _switched_off(given, option):
                return False
        return not any(_covers(clip, layers) for clip in program.possible(Clip))


def _covers(event: Event, layers: frozenset[values.Layer]) -> bool:
    return isinstance(event, Clip) and (event.layers is None or bool(event.layers & layers))


def _may_clip(event: Event) -> bool:
    """Whether unseen code was given what it takes to clip, or a whole training step."""
    if not isinstance(event, Opaque):
        return False
    name = event.callee.rsplit(".", 1)[-1].lower()
    return not name or any(hint in name for hint in HINTS)


def _steps(event: Event) -> bool:
    return isinstance(event, OptimizerEvent) and event.what == "step"


def _switched_off(given: values.Value, option: str) -> bool:
    if option in ("callbacks", "cbs", "callback_fns"):
        return not _has_clipping_callback(given)
    return isinstance(given, values.Const) and given.value in (None, 0, 0.0) and not given.option


def _has_clipping_callback(value: values.Value) -> bool:
    """Whether a list of callbacks holds one that clips, or one that was not seen."""
    for member in values.members(value):
        if isinstance(member, values.Thing) and member.kind == "callback":
            if "Clip" in member.name:
                return True
        elif isinstance(member, values.Tuple):
            if any(_has_clipping_callback(item) for item in member.items):
                return True
        elif isinstance(member, values.ListObject):
            items = member.fields["items"]
            if items is None or any(_has_clipping_callback(item) for item in items):
                return True
        elif isinstance(member, values.Unknown):
            return True
    return False


def _remedy(trainer: values.Thing) -> str:
    if trainer.name == "lightning":
        return "pass gradient_clip_val=1.0 to the Trainer"
    if trainer.name == "allennlp":
        return "pass grad_norm=1.0 to the Trainer"
    if trainer.name == "skorch":
        return "add skorch.callbacks.GradientNormClipping(gradient_clip_value=1.0) to callbacks"
    if trainer.name == "fastai":
        return "pass cbs=GradientClip(1.0) to the Learner"
    return "clip with torch.nn.utils.clip_grad_norm_ in the update function"
