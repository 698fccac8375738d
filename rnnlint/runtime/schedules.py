"""Learning rates that follow the step: warm-up, then a decay; or a decay once progress stops.

The four schedules that warm up count optimizer steps, not epochs.  Each multiplies the
learning rate that the optimizer was given, which is the peak, by a factor::

    scheduler = warmup_cosine(optimizer, warmup_steps=500, total_steps=epochs * len(batches))
    for epoch in range(epochs):
        for batch in batches:
            ...
            optimizer.step()
            scheduler.step()

Stepped once an epoch, they would hardly leave their warm-up.  The first step has a rate above
zero, and step ``warmup_steps``, counted from zero, has the peak.  The rates of a scheduler and of
those that PyTorch defines are saved and restored in the same way: ``state_dict`` of both the
scheduler and the optimizer.
"""

from __future__ import annotations

import math
import operator
import warnings
from dataclasses import dataclass
from typing import Literal, SupportsFloat

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def warmup_cosine(
    optimizer: Optimizer,
    warmup_steps: int,
    total_steps: int,
    *,
    min_ratio: float = 0.0,
    last_step: int = -1,
) -> LambdaLR:
    """Linear warm-up, then half a cosine down to a share of the peak (SGDR, arXiv 1608.03983).

    Args:
        optimizer: its learning rates, one a parameter group, are the peaks.
        warmup_steps: how many steps come before the peak; 0 for no warm-up.
        total_steps: after how many steps, the warm-up included, the decay ends.  The rate stays
            there if training goes on.
        min_ratio: the share of the peak where the decay ends.
        last_step: the step after which to go on, for an optimizer whose state was restored and
            whose scheduler's was not; -1 begins.

    Raises:
        ValueError: the steps are negative, no step is left after the warm-up, or ``min_ratio``
            is not between 0 and 1.
        TypeError: a number of steps is not whole.
    """
    factor = _Cosine(*_checked_steps(warmup_steps, total_steps), _checked_ratio(min_ratio))
    return LambdaLR(optimizer, factor, last_step)


def warmup_linear(
    optimizer: Optimizer,
    warmup_steps: int,
    total_steps: int,
    *,
    min_ratio: float = 0.0,
    last_step: int = -1,
) -> LambdaLR:
    """Linear warm-up, then a straight line down to a share of the peak, as BERT was trained.

    See :func:`warmup_cosine` for the arguments and what is raised; the source is
    arXiv 1810.04805.
    """
    factor = _Linear(*_checked_steps(warmup_steps, total_steps), _checked_ratio(min_ratio))
    return LambdaLR(optimizer, factor, last_step)


def warmup_inverse_sqrt(
    optimizer: Optimizer, warmup_steps: int, *, last_step: int = -1
) -> LambdaLR:
    """Linear warm-up, then a decay with the inverse square root of the step, without an end.

    The schedule of the Transformer (arXiv 1706.03762), with the optimizer's rate as its peak.
    See :func:`warmup_cosine` for the arguments and what is raised.
    """
    return LambdaLR(
        optimizer, _InverseSqrt(_checked_count(warmup_steps, "warmup_steps")), last_step
    )


def warmup_constant(optimizer: Optimizer, warmup_steps: int, *, last_step: int = -1) -> LambdaLR:
    """Linear warm-up, then the peak for good.

    See :func:`warmup_cosine` for the arguments and what is raised.
    """
    return LambdaLR(optimizer, _Warmup(_checked_count(warmup_steps, "warmup_steps")), last_step)


def plateau(
    optimizer: Optimizer,
    mode: Literal["min", "max"] = "min",
    *,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float | list[float] = 0.0,
) -> CheckedPlateau:
    """Lower the rate where a validation metric has stopped improving.

    Call ``scheduler.step(metric)`` after each validation, usually once an epoch.  Where several
    processes train one model, all must pass the same metric, reduced over them, or their rates
    part.

    Args:
        optimizer: whose learning rates to lower, all of them by the same factor.
        mode: ``"min"`` for a metric that should fall, as a loss, ``"max"`` for one that should
            rise, as an accuracy.
        factor: what the rates are multiplied by, between 0 and 1.
        patience: how many calls without improvement are let pass.
        threshold: how much better than the best a metric must be.
        threshold_mode: whether that is ``"rel"``, a share of the best, or ``"abs"``.
        cooldown: for how many calls after a reduction nothing is counted.
        min_lr: where reductions end, for all parameter groups or one by one.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 < factor < 1:
        raise ValueError(f"factor={factor} must be between 0 and 1: it multiplies the rate")
    if mode not in ("min", "max"):
        raise ValueError(
            f'mode is "min" for a metric that should fall or "max" for one that should rise, not '
            f"{mode!r}"
        )
    return CheckedPlateau(
        optimizer,
        mode,
        factor=factor,
        patience=_checked_count(patience, "patience"),
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=_checked_count(cooldown, "cooldown"),
        min_lr=min_lr,
    )


class CheckedPlateau(ReduceLROnPlateau):
    """A ``ReduceLROnPlateau`` that looks at its metric; :func:`plateau` makes one."""

    _CALLS_BEFORE_DOUBT = 5

    _first: float | None = None
    _worst: float | None = None

    # As in ReduceLROnPlateau, the metric stands where other schedulers have the epoch.
    def step(  # type: ignore[override]
        self, metrics: SupportsFloat | None = None, epoch: int | None = None
    ) -> None:
        """Count the metric, and lower the rate where there has been no improvement for long.

        Args:
            metrics: one number, such as the validation loss.  Infinity counts as a metric that
                is worse than any.
            epoch: only for those who call schedulers of all kinds alike; PyTorch deprecates it.

        Raises:
            TypeError: there is no metric, or it is no number.
            ValueError: the metric has several elements, is NaN, which PyTorch counts as no
                improvement, or is infinitely good, which nothing could improve on.

        Warns:
            UserWarning: the rate is lowered, and the metric went the wrong way from the start:
                ``mode`` may be the wrong one.
        """
        metric = self._checked(metrics)
        before = _rates(self.optimizer)
        super().step(metric, epoch)
        self._remember(metric)
        if _rates(self.optimizer) < before and self._runs_the_wrong_way(metric):
            other, example = ("min", "a loss") if self.mode == "max" else ("max", "an accuracy")
            warnings.warn(
                f"the learning rate is lowered: the metric was never better than at first, "
                f"{self._first:g}, and is now at its worst, {metric:g}. If it is {example} or "
                f'the like, pass mode="{other}"; if it is not, training diverges',
                stacklevel=2,
            )

    def _checked(self, metrics: SupportsFloat | None) -> float:
        metric = _number(metrics)
        if math.isnan(metric):
            raise ValueError(
                f"the metric is NaN at call {self.last_epoch + 1} (the best so far is "
                f"{self.best:g}), and would count as no improvement. Has training diverged, was "
                "the validation set empty, or were all of its targets ignored? Where a metric is "
                "not defined for some epochs, leave out step() there"
            )
        if metric == -self.mode_worse:
            raise ValueError(
                f"the metric is {metric:g} at call {self.last_epoch + 1}, which nothing could ever "
                f'improve on in mode="{self.mode}"'
            )
        return metric

    def _remember(self, metric: float) -> None:
        if self._first is None or self._worst is None:
            self._first = self._worst = metric
        elif self.mode == "min":
            self._worst = max(self._worst, metric)
        else:
            self._worst = min(self._worst, metric)

    def _runs_the_wrong_way(self, metric: float) -> bool:
        long_enough = self.last_epoch >= self._CALLS_BEFORE_DOUBT
        return long_enough and self.best == self._first != metric == self._worst


@dataclass
class _Warmup:
    """The factor of each step, as numbers alone, which a state holds and any loader accepts."""

    warmup_steps: int

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return self.after_warmup(step)

    def after_warmup(self, step: int) -> float:
        return 1.0


@dataclass
class _InverseSqrt(_Warmup):
    def after_warmup(self, step: int) -> float:
        return math.sqrt((self.warmup_steps + 1) / (step + 1))


@dataclass
class _Linear(_Warmup):
    total_steps: int
    min_ratio: float

    def after_warmup(self, step: int) -> float:
        done = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.min_ratio + (1 - self.min_ratio) * self.left(done)

    def left(self, done: float) -> float:
        return 1 - done


@dataclass
class _Cosine(_Linear):
    def left(self, done: float) -> float:
        return (1 + math.cos(math.pi * done)) / 2


def _checked_steps(warmup_steps: int, total_steps: int) -> tuple[int, int]:
    warmup = _checked_count(warmup_steps, "warmup_steps")
    total = _checked_count(total_steps, "total_steps")
    if warmup >= total:
        raise ValueError(
            f"a warm-up of {warmup} steps leaves none of the {total} steps in total for the decay: "
            "both count optimizer steps, epochs * len(batches) in total"
        )
    return warmup, total


def _checked_count(count: int, name: str) -> int:
    try:
        whole = operator.index(count)
    except TypeError:
        raise TypeError(f"{name} counts, and {count!r} is no whole number: round it") from None
    if whole < 0:
        raise ValueError(f"{name} is {whole}, and must not be negative")
    return whole


def _checked_ratio(ratio: float) -> float:
    if not 0 <= ratio <= 1:
        raise ValueError(
            f"min_ratio is a share of the peak, from 0 to 1, not {ratio}: divide the lowest "
            "learning rate by the optimizer's"
        )
    return ratio


def _rates(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def _number(metrics: SupportsFloat | None) -> float:
    if metrics is None:
        raise TypeError(
            "step() needs the metric that should improve, such as the validation loss: "
            "scheduler.step(validation_loss)"
        )
    if isinstance(metrics, Tensor):
        if metrics.numel() != 1:
            raise ValueError(
                f"the metric is one number, and this tensor has the shape {tuple(metrics.shape)}: "
                "take its mean"
            )
        metrics = metrics.detach()
    try:
        if not isinstance(metrics, str):
            return float(metrics)
    except (TypeError, ValueError):
        pass
    raise TypeError(
        f"the metric is one number, and {type(metrics).__name__} is none: "
        "scheduler.step(validation_loss)"
    )
