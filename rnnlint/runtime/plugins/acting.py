"""What callbacks do to a run where they are asked to: clip, schedule, initialise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rnnlint.runtime.initialization import RecurrentInitializationWarning, init_recurrent_
from rnnlint.runtime.schedules import (
    warmup_constant,
    warmup_cosine,
    warmup_inverse_sqrt,
    warmup_linear,
)

ScheduleName: TypeAlias = Literal["cosine", "linear", "inverse_sqrt", "constant"]
Recurrent: TypeAlias = nn.RNNBase | nn.RNNCellBase

_FEW_VALUES = 32


@dataclass(frozen=True)
class Actions:
    """What a callback does besides watching; by default nothing.

    Attributes:
        clip: the norm that gradients are clipped to before each step, positive.
        schedule: the learning rate over the training, in steps of the optimizer.
        warmup: the share of the training in which the rate rises to the optimizer's own.
        initialise: whether recurrent layers are initialised that are as PyTorch made them.

    Raises:
        ValueError: one of them is out of its range.
    """

    clip: float | None = None
    schedule: ScheduleName | None = None
    warmup: float = 0.05
    initialise: bool = False

    def __post_init__(self) -> None:
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip} must be positive: it bounds a norm")
        if self.schedule is not None and self.schedule not in get_args(ScheduleName):
            names = ", ".join(get_args(ScheduleName))
            raise ValueError(f"schedule is one of {names}, and not {self.schedule!r}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup={self.warmup} is a share of the training, less than 1")


# --- the learning rate ------------------------------------------------------------------


def scheduled(optimizer: Optimizer, actions: Actions, total_steps: float, done: int) -> LambdaLR:
    """The schedule of an optimizer that has made some of its steps.

    Args:
        optimizer: its state is restored where it has made steps.
        actions: which schedule.
        total_steps: of the optimizer in the whole training.
        done: how many of them were made.

    Raises:
        ValueError: nobody knows how many steps there will be, or there are none.
    """
    if not math.isfinite(total_steps) or total_steps < 1:
        raise ValueError(
            f'schedule="{actions.schedule}" spans the training, and its length is not known: limit '
            "it by a number of steps, such as max_steps"
        )
    total = int(total_steps)
    warmup = int(total * actions.warmup)
    for group in optimizer.param_groups:
        # Where the weights were restored and the optimizer was not.
        group.setdefault("initial_lr", group["lr"])
    last_step = done - 1
    if actions.schedule == "cosine":
        return warmup_cosine(optimizer, warmup, total, last_step=last_step)
    if actions.schedule == "linear":
        return warmup_linear(optimizer, warmup, total, last_step=last_step)
    if actions.schedule == "inverse_sqrt":
        return warmup_inverse_sqrt(optimizer, warmup, last_step=last_step)
    return warmup_constant(optimizer, warmup, last_step=last_step)


def stepping(schedule: LambdaLR) -> Callable[[], None]:
    """Have a schedule follow each step that its optimizer makes; returns what ends that.

    A step that a ``GradScaler`` leaves out is none, and a closure is one.
    """

    def follow(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        schedule.step()

    remove: Callable[[], None] = schedule.optimizer.register_step_post_hook(follow).remove
    return remove


def refuse_a_second_bound(clip: float | None, bound: object, where: str) -> None:
    """Gradients that are clipped twice obey the lower bound, and nobody chose that.

    Raises:
        ValueError: the framework clips as well.
    """
    if clip is not None and bound:
        raise ValueError(f"clip={clip} and {where}={bound} both clip: leave one of them out")


# --- the first weights ------------------------------------------------------------------


def initialise(model: nn.Module) -> None:
    """Initialise the recurrent layers that are as PyTorch made them, alike in all processes.

    Warns:
        RecurrentInitializationWarning: some are not.
    """
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase | nn.RNNCellBase)
    ]
    fresh = [layer for _, layer in layers if _is_fresh(layer)]
    left = [name or type(layer).__name__ for name, layer in layers if not _is_fresh(layer)]
    generator = torch.Generator().manual_seed(_shared_seed())
    for layer in fresh:
        init_recurrent_(layer, generator=generator)
    if left:
        warnings.warn(
            f"{', '.join(left)}: not initialised, because the weights are not those that PyTorch "
            "draws: they were loaded, trained or initialised before",
            RecurrentInitializationWarning,
            stacklevel=2,
        )


def _is_fresh(layer: Recurrent) -> bool:
    """Whether all weights lie where the constructor draws them, and fill that range.

    It draws from U(-b, b) with b = 1/sqrt(hidden size).  The first steps of training already carry
    some of many weights over the edge, and what else initialises weights has another range.
    """
    bound = 1 / math.sqrt(layer.hidden_size)
    return all(_fills(parameter, bound) for parameter in layer.parameters(recurse=False))


@torch.no_grad()
def _fills(parameter: Tensor, bound: float) -> bool:
    if parameter.is_meta or not parameter.numel():
        return False
    largest: Any = parameter.detach().abs().amax()
    if hasattr(largest, "full_tensor"):
        largest = largest.full_tensor()
    rounding = bound * torch.finfo(parameter.dtype).eps
    if float(largest) > bound + rounding:
        return False
    # Of few values, all may happen to be small.
    return parameter.numel() < _FEW_VALUES or float(largest) > bound / 2


def _shared_seed() -> int:
    seeds = [int(torch.randint(2**31, ()))]
    if distributed.is_available() and distributed.is_initialized():
        distributed.broadcast_object_list(seeds)
    return seeds[0]
