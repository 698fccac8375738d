"""What the callbacks of all frameworks have in common: a monitor, and what they do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.modules.loss import _Loss
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rnnlint.runtime.clipping import clip_gradients
from rnnlint.runtime.monitor import Monitor, MonitorWarning
from rnnlint.runtime.plugins.acting import Actions, initialise, scheduled, stepping


class Watch:
    """Watches one training after the other, and acts on it.

    Args:
        actions: what it does besides watching.
        report: whether the report is printed at the end.
        every: how many steps lie between two samples.
    """

    def __init__(self, actions: Actions, *, report: bool, every: int) -> None:
        self.actions = actions
        self.report = report
        self.every = every
        self.monitor: Monitor | None = None
        self._running = False
        self._schedules: list[LambdaLR] = []
        self._endings: list[Callable[[], None]] = []
        self._loaded: Mapping[str, Any] | None = None

    def initialise(self, model: nn.Module, *, resumed: bool) -> None:
        """Initialise a model before its training, where that is asked for."""
        if self.actions.initialise and not resumed:
            initialise(model)

    def begin(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        criterion: nn.Module | None,
        *,
        total_steps: Callable[[], float],
        done: int,
    ) -> Monitor:
        """Watch a training that begins, or goes on, and schedule its learning rates.

        Args:
            model: holds something recurrent.
            optimizers: in the state that a checkpoint left them in.
            criterion: the loss, where it is a module.
            total_steps: how many steps each optimizer makes in all; only asked by a schedule.
            done: how many were made before, by the framework's account.

        Raises:
            ValueError: the model holds nothing recurrent, or a schedule has no end.

        Warns:
            MonitorWarning: what a checkpoint has of the monitor cannot be read.
        """
        state = self._loaded or (self.state_dict() if done else {})
        self.close()
        self._loaded = None
        self._schedules.clear()
        self.monitor = Monitor(model, *optimizers, criterion=criterion, every=self.every)
        self._running = True
        if state:
            self._go_on(self.monitor, state)
        if self.actions.schedule is None:
            return self.monitor
        # After the monitor, which is to see the rate that a step was made with.
        steps = state.get("steps", [])
        steps = steps if len(steps) == len(optimizers) else [done] * len(optimizers)
        total = total_steps()
        for optimizer, made in zip(optimizers, steps, strict=True):
            schedule = scheduled(optimizer, self.actions, total, made)
            self._schedules.append(schedule)
            self._endings.append(stepping(schedule))
        return self.monitor

    def _go_on(self, monitor: Monitor, state: Mapping[str, Any]) -> None:
        try:
            monitor.load_state_dict(state["monitor"])
        except ValueError as error:
            # Of another version of rnnlint: no reason not to train.
            warnings.warn(
                f"what was seen of this training before is left out: {error}",
                MonitorWarning,
                stacklevel=3,
            )

    def clip(self, optimizer: Optimizer, scaler: GradScaler | None = None) -> None:
        """Clip the gradients of a step that comes, where that is asked for.

        Raises:
            NonFiniteGradientError: one is NaN or infinite.
        """
        if self.actions.clip is not None:
            clip_gradients(optimizer, self.actions.clip, scaler)

    def record(self, loss: Tensor | float) -> None:
        """Tell of a loss that cannot be heard."""
        if self.monitor is not None:
            self.monitor.record(loss)

    def new_metrics(self) -> dict[str, float]:
        """The numbers of a step that was sampled since this was last asked for."""
        return {} if self.monitor is None else self.monitor.new_metrics()

    def end(self, *, first_process: bool) -> None:
        """Watch no longer, and say what was seen."""
        if self.monitor is None or not self._running:
            return
        self.close()
        if self.report and first_process:
            print(self.monitor.report())

    def close(self) -> None:
        """Take away every hook.  What was seen stays."""
        if self.monitor is not None:
            self.monitor.close()
        for end in self._endings:
            end()
        self._endings.clear()
        self._running = False

    def __reduce__(self) -> tuple[Callable[..., Watch], tuple[Any, ...]]:
        # Hooks stay with what they hang on.
        return _copied, (self.actions, self.report, self.every, self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What was seen: plain numbers, lists and dictionaries."""
        if self.monitor is None:
            return dict(self._loaded or {})
        steps = [schedule.last_epoch for schedule in self._schedules]
        return {"monitor": self.monitor.state_dict(), "steps": steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what another run had seen, as soon as this one begins."""
        self._loaded = state_dict


def _copied(actions: Actions, report: bool, every: int, state: Mapping[str, Any]) -> Watch:
    watch = Watch(actions, report=report, every=every)
    watch.load_state_dict(state)
    return watch


def loss_of(model: nn.Module) -> nn.Module | None:
    """The loss that a model holds, where it holds one."""
    losses = [module for module in model.modules() if isinstance(module, _Loss)]
    return losses[0] if len(losses) == 1 else None
