"""A callback for the ``Trainer`` of transformers.

::

    from rnnlint.runtime.plugins.huggingface import RNNLintCallback

    RNNLintCallback().attach(trainer)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.monitor import Monitor
from rnnlint.runtime.monitor.unwatched import Watching
from rnnlint.runtime.plugins.acting import Actions, ScheduleName, scheduled
from rnnlint.runtime.plugins.watching import Watch

try:
    from transformers import (
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )
    from transformers.trainer_callback import ExportableState
except ImportError as error:
    raise ImportError(
        "rnnlint.runtime.plugins.huggingface needs transformers: "
        "pip install 'rnnlint[transformers]'"
    ) from error

_IGNORED = -100


class RNNLintCallback(TrainerCallback, ExportableState):
    """Watches the recurrent layers of a model, and acts where it is asked to.

    Numbers are logged by the trainer itself at every step that is sampled, so that TensorBoard,
    W&B and all others see them, which have had their turn when a callback of one's own has
    its.  That takes the trainer, hence :meth:`attach` in place of ``callbacks=``.  The norm of
    gradients is that before the trainer clips.  The loss is the model's own, and its logits and
    labels are looked at as well; where the model has none, it is what the trainer logs.

    What was seen is a part of checkpoints, and goes on where ``resume_from_checkpoint`` does,
    whatever ``restore_callback_states_from_checkpoint`` is.

    Args:
        clip: the norm that gradients are clipped to, in place of ``max_grad_norm``.
        schedule: the learning rate over ``max_steps``, in place of ``lr_scheduler_type``; the
            trainer steps and saves it.
        warmup: the share of the training in which the rate rises to the optimizer's own.
        initialise: whether recurrent layers are initialised that are as PyTorch made them, in a
            training that does not resume.
        report: whether the report is printed at the end.
        every: how many steps lie between two samples.

    Raises:
        ValueError: an argument is out of its range; later, where training begins: the model holds
            nothing recurrent.
        RuntimeError: later, where training begins: no trainer is known.
    """

    _trainers: ClassVar[WeakSet[Trainer]] = WeakSet()

    def __init__(
        self,
        *,
        clip: float | None = None,
        schedule: ScheduleName | None = None,
        warmup: float = 0.05,
        initialise: bool = False,
        report: bool = True,
        every: int = 50,
    ) -> None:
        self._actions = Actions(clip, schedule, warmup, initialise)
        # The trainer clips, steps its scheduler, and saves it.
        self._watch = Watch(Actions(initialise=initialise), report=report, every=every)
        self._loss: _LossWatch | None = None

    @property
    def monitor(self) -> Monitor | None:
        """What watches, or has watched, the training; None before there was one."""
        return self._watch.monitor

    def attach(self, trainer: Trainer) -> RNNLintCallback:
        """Become a callback of a trainer; returns itself."""
        trainer.add_callback(self)
        self._trainers.add(trainer)
        return self

    def state(self) -> dict[str, Any]:
        """With what it was made, and what it saw: plain numbers, lists and dictionaries."""
        actions = self._actions
        made_with = {
            "clip": actions.clip,
            "schedule": actions.schedule,
            "warmup": actions.warmup,
            "initialise": actions.initialise,
            "report": self._watch.report,
            "every": self._watch.every,
        }
        return {"args": made_with, "attributes": {"seen": self.seen}}

    @property
    def seen(self) -> dict[str, Any]:
        """What was seen, as a checkpoint has it."""
        return self._watch.state_dict()

    @seen.setter
    def seen(self, state: Mapping[str, Any]) -> None:
        self._watch.load_state_dict(state)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **more: Any,
    ) -> None:
        """Begin to watch and to act; what is resumed is restored by now."""
        trainer, model, optimizer = self._trainer(), more["model"], more["optimizer"]
        if state.global_step:
            self.seen = _saved(state, type(self).__name__)
        self._watch.initialise(model, resumed=state.global_step > 0)
        if self._actions.clip is not None:
            args.max_grad_norm = self._actions.clip
        if self._actions.schedule is not None:
            self._schedule(trainer, state, getattr(optimizer, "optimizer", optimizer))
        self._unhear()
        monitor = self._watch.begin(
            model, [optimizer], None, total_steps=lambda: state.max_steps, done=state.global_step
        )
        self._loss = _LossWatch(model, monitor)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Have the trainer log what was sampled."""
        if not state.is_world_process_zero:
            return
        found = self._watch.new_metrics()
        if found:
            # To log counts as having logged what is due.
            due = control.should_log
            self._trainer().log(found)
            control.should_log = due

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Hear the loss where the model does not tell of it."""
        if logs and "loss" in logs and self._loss is not None and not self._loss.heard:
            self._watch.record(float(logs["loss"]))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Report."""
        self._unhear()
        self._watch.end(first_process=state.is_world_process_zero)

    def _trainer(self) -> Trainer:
        # A trainer that restores callbacks makes new ones, which know of nobody.
        for trainer in self._trainers:
            if any(callback is self for callback in trainer.callback_handler.callbacks):
                return trainer
        raise RuntimeError(
            "no trainer is known to log with: call RNNLintCallback(...).attach(trainer) and leave "
            "it out of Trainer(callbacks=...)"
        )

    def _schedule(self, trainer: Trainer, state: TrainerState, optimizer: Optimizer) -> None:
        restored = trainer.lr_scheduler
        done = restored.last_epoch if restored is not None and state.global_step else 0
        schedule = scheduled(optimizer, self._actions, state.max_steps, done)
        trainer.lr_scheduler = trainer.callback_handler.lr_scheduler = schedule

    def _unhear(self) -> None:
        if self._loss is not None:
            self._loss.close()


class _LossWatch(Watching):
    """Hears the loss that a model returns, and what it was taken of."""

    def __init__(self, model: nn.Module, monitor: Monitor) -> None:
        self.heard = False
        self._monitor = monitor
        hook = self.hook("after")
        self._handle: RemovableHandle = model.register_forward_hook(hook, with_kwargs=True)

    def close(self) -> None:
        """Hear no more."""
        self._handle.remove()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def after(self, model: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        """Hear one batch; the forward hook of the model."""
        named = isinstance(output, Mapping)
        loss = output.get("loss") if named else output[0] if isinstance(output, tuple) else None
        if not isinstance(loss, Tensor) or not loss.requires_grad or loss.dim():
            return
        self.heard = True
        self._monitor.record(loss)
        logits, labels = (output.get("logits") if named else None), kwargs.get("labels")
        if not isinstance(logits, Tensor) or not isinstance(labels, Tensor):
            return
        if labels.is_floating_point():
            self._monitor.compare("mse_loss", logits, labels)
        elif logits.dim() == labels.dim() + 1:
            # Classes come last here, and one position counts like another.
            self._monitor.compare(
                "cross_entropy", logits.flatten(0, -2), labels.flatten(), _IGNORED
            )


def _saved(state: TrainerState, name: str) -> Mapping[str, Any]:
    """What a checkpoint has of this callback, whether or not the trainer restores callbacks."""
    # As it is read from a file; it is declared to be a list of callbacks.
    callbacks: Any = state.stateful_callbacks
    saved = callbacks.get(name, {})
    if isinstance(saved, list):
        saved = saved[-1] if saved else {}
    found: Mapping[str, Any] = saved.get("attributes", {}).get("seen", {})
    return found
