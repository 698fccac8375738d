"""What a monitor's hooks hear, step by step, on its way into the history of the run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rnnlint.runtime.gradients import grouped_gradients, total_norm
from rnnlint.runtime.monitor.clock import Clock
from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.layers import LayerWatch
from rnnlint.runtime.monitor.lookups import Lookups
from rnnlint.runtime.monitor.origins import Origin, nonfinite_parameter
from rnnlint.runtime.monitor.predictions import compared
from rnnlint.runtime.monitor.reading import Unread
from rnnlint.runtime.monitor.records import History, LayerSample, Spread

_SAMPLES_KEPT = 256
_BOUNDS_KEPT = 8
_UNREAD_KEPT = 100


class Recorder:
    """Keeps the history of a run: its hooks' ears, and its clock.

    Args:
        model: whose parameters are looked at; None where only layers are known.
        first: how many steps are sampled at first.
        clock: says how many steps lie between later samples.
    """

    def __init__(self, model: nn.Module | None, first: int, clock: Clock) -> None:
        self.history = History()
        self.layers: dict[str, LayerWatch] = {}
        self.failures = Failures()
        self.lookups = Lookups(self.failures)
        self.sampling = False
        self.news = False
        self._model = model
        self._first = first
        self._clock = clock
        self._optimizers: list[Optimizer] = []
        self._main: Optimizer | None = None
        self._unread = Unread()
        self._loss: Tensor | float = 0.0
        self._losses = 0
        self._norm: Tensor | float | None = None
        self._next_sample = 0
        self._covered = False
        self._origin: Origin | None = None
        self._arm()

    def add_layer(self, watch: LayerWatch) -> None:
        """Sample one more layer."""
        watch.sampling = self.sampling
        self.layers[watch.name] = watch
        self._main = None

    def add_optimizer(self, optimizer: Optimizer) -> bool:
        """Expect the steps of one more optimizer; False where that is known."""
        if any(known is optimizer for known in self._optimizers):
            return False
        self._optimizers.append(optimizer)
        self._main = None
        return True

    def read(self) -> None:
        """Bring what lies on devices into the history."""
        self._unread.read()

    def snapshot(self) -> History:
        """The history up to now, which what comes does not change."""
        self.read()
        history = self.history.copied()
        for name, watch in self.layers.items():
            if watch.carried:
                # The backward pass of such a step fails as a rule, so that it never ends.
                samples = history.layers.setdefault(name, [])
                newest = samples[-1] if samples else LayerSample(history.steps)
                samples.append(replace(newest, step=history.steps, carried=True))
        return history

    def go_on(self, history: History) -> None:
        """Go on where another run was interrupted."""
        self.history = history
        self._next_sample = history.steps
        self._covered = history.steps > 0
        self._arm()

    # --- what is heard ----------------------------------------------------------------

    def compare(
        self, loss: str, predictions: Tensor, targets: Tensor, ignored: int | None = None
    ) -> None:
        """Look at the predictions and targets of a loss, where this step is sampled."""
        if not self.sampling:
            return
        try:
            numbers = compared(loss, predictions, targets, ignored)
        except Exception as error:
            self.failures.tell(f"what {loss} compares", error)
            return
        step = self.history.steps

        def keep(read: Mapping[str, Any]) -> None:
            if math.isfinite(read["predictions"]) and math.isfinite(read["targets"]):
                probabilities = bool(read.get("probabilities", False))
                self.history.spreads.append(
                    Spread(step, loss, read["predictions"], read["targets"], probabilities)
                )
                _thin(self.history.spreads)

        if numbers:
            self._unread.add(keep, numbers)
        if len(self._unread) > _UNREAD_KEPT:
            # However many losses there are before a step, if that ever comes.
            self._unread.read()

    def clipped(self, norm: Tensor | float | None, bound: float) -> None:
        """Gradients were clipped: the norm before, None where only values are bounded."""
        history = self.history
        if norm is not None:
            self._norm = norm
        if math.isinf(bound):
            # Somebody measures the norm, and clips nothing.
            return
        history.clip_calls += 1
        if bound not in history.bounds and len(history.bounds) < _BOUNDS_KEPT:
            history.bounds.append(bound)
        if norm is None:
            return

        def count(norm: float) -> None:
            history.clipped += norm > bound

        self._unread.later(count, norm)

    def heard(self, loss: Tensor | float) -> None:
        """A loss was taken, for the step that comes."""
        if isinstance(loss, Tensor):
            loss = loss.detach() if loss.numel() == 1 else loss.detach().mean()
            if loss.is_cpu:
                loss = loss.item()
        if isinstance(loss, (int, float)) and not math.isfinite(loss):
            self._not_finite(self.history.steps)
        self._loss = self._loss + loss
        self._losses += 1

    def _not_finite(self, step: int) -> None:
        if self.history.nonfinite_step is not None:
            return
        self.history.nonfinite_step = step
        if self._model is None or step != self.history.steps:
            # After a step, there is NaN everywhere, and nothing shows where it began.
            return

        def found(name: str) -> None:
            self.history.nonfinite_module = name

        broken = nonfinite_parameter(self._model)
        if broken is None:
            # Of the next pass, as long as no step has changed parameters.
            self._origin = Origin(self._model, found)
        else:
            found(broken)

    # --- steps ------------------------------------------------------------------------

    def _main_optimizer(self) -> Optimizer:
        weights = {
            id(weight) for watch in self.layers.values() for weight in watch.layer.parameters()
        }
        for optimizer in self._optimizers:
            if any(id(weight) in weights for weight in _parameters(optimizer)):
                return optimizer
        return self._optimizers[0]

    def stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """A step is over; the post-hook of every optimizer."""
        if self._main is None:
            self._main = self._main_optimizer()
        if optimizer is not self._main:
            return
        try:
            self._see(optimizer)
        except Exception as error:
            self.failures.tell(f"a step of {type(optimizer).__name__}", error)
        self._norm = None
        self.history.steps += 1
        self._arm()

    def _see(self, optimizer: Optimizer) -> None:
        step = self.history.steps
        self._clock.tick(self.sampling)
        if self._origin is not None:
            self._origin.close()
            self._origin = None
        self._see_loss(step)
        self._see_rates(optimizer, step)
        if self.sampling:
            self._see_sample(optimizer, step)
        elif self._norm is not None:
            self._unread.later(lambda norm: self.history.norms.add(step, norm), self._norm)

    def _see_loss(self, step: int) -> None:
        if not self._losses:
            return
        loss, self._loss = self._loss / self._losses, 0.0
        self._losses = 0

        def keep(value: float) -> None:
            self.history.losses.add(step, value)
            if not math.isfinite(value):
                self._not_finite(step)

        self._unread.later(keep, loss)

    def _see_rates(self, optimizer: Optimizer, step: int) -> None:
        rates = [group["lr"] for group in optimizer.param_groups]
        history = self.history
        if not self.sampling and any(map(_is_far, rates)):
            return
        rates = [float(rate) for rate in rates]
        if not history.first_rates:
            history.first_rates = rates
        elif history.rate_changed is None and rates != history.first_rates:
            history.rate_changed = step
        history.rates.add(step, rates[0])

    def _see_sample(self, optimizer: Optimizer, step: int) -> None:
        self.news = True
        norm = _norm(_parameters(optimizer)) if self._norm is None else self._norm
        if norm is not None:
            self._unread.later(lambda norm: self.history.norms.add(step, norm), norm)
        for watch in self.layers.values():
            self._see_layer(watch, step)
        self._see_coverage()

    def _see_layer(self, watch: LayerWatch, step: int) -> None:
        def keep(read: Mapping[str, Any]) -> None:
            samples = self.history.layers.setdefault(watch.name, [])
            samples.append(_layer_sample(read))
            _thin(samples)

        try:
            found = watch.sample(step, _norm(watch.layer.parameters()))
        except Exception as error:
            self.failures.tell(watch.place, error)
            return
        if found:
            self._unread.add(keep, found)

    def _see_coverage(self) -> None:
        """Which parameters no optimizer moves, and which no loss reaches, in any step sampled."""
        if self._model is None:
            return
        held = {id(weight) for optimizer in self._optimizers for weight in _parameters(optimizer)}
        without, left_out = set(), set()
        for name, parameter in self._model.named_parameters():
            if id(parameter) not in held and parameter.grad is not None:
                left_out.add(name)
            elif id(parameter) in held and parameter.requires_grad and parameter.grad is None:
                without.add(name)
        history = self.history
        if self._covered:
            # What one step leaves out, another may reach: tasks that take turns, for instance.
            without &= set(history.without_gradient)
            left_out &= set(history.left_out)
        self._covered = True
        history.without_gradient, history.left_out = sorted(without), sorted(left_out)

    def _arm(self) -> None:
        """Whether the step that comes is sampled."""
        step = self.history.steps
        # Of the first steps nothing is read before the last of them.
        if step >= self._first and (self.sampling or len(self._unread) > _UNREAD_KEPT):
            self._unread.read()
        due = step < self._first or step >= self._next_sample
        if due:
            self._next_sample = step + self._clock.every()
        if due != self.sampling:
            self.sampling = self.lookups.sampling = due
            for watch in self.layers.values():
                watch.sampling = due
        self.lookups.clear()


def _parameters(optimizer: Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


def _is_far(rate: Tensor | float) -> bool:
    """Whether a learning rate lies on an accelerator, which would be waited for."""
    return isinstance(rate, Tensor) and rate.device.type != "cpu"


@torch.no_grad()
def _norm(parameters: Iterable[Tensor]) -> Tensor | None:
    groups = grouped_gradients(parameters)
    return total_norm(groups, 2.0) if groups else None


def _thin(samples: list[Any]) -> None:
    """Let every other sample go, but for the first and the newest, where there are too many."""
    if len(samples) > _SAMPLES_KEPT:
        del samples[7::2]


def _layer_sample(read: Mapping[str, Any]) -> LayerSample:
    found = {key: value for key, value in read.items() if _is_known(value)}
    gates = {gate: share for gate, share in read["gates"].items() if math.isfinite(share)}
    profile = tuple(read.get("profile", ()))
    if not all(map(math.isfinite, profile)):
        profile = ()
    return LayerSample(**{**found, "gates": gates, "profile": profile})


def _is_known(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
