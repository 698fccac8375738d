"""Clipping gradients by their norm, for recurrent networks, whose gradients explode.

``torch.nn.utils.clip_grad_norm_`` lets four things pass: one NaN makes every gradient NaN,
gradients that are still multiplied by a ``GradScaler``'s scale are clipped at that scale, a
generator that was read already clips nothing, and sparse gradients fail.  ``clip_gradients``
refuses or handles each, and ``AdaptiveClipper`` chooses the bound itself.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.nn import Module
from torch.optim import Optimizer

from rnnlint.runtime.gradients import (
    clip_listeners,
    grouped_gradients,
    nonfinite_places,
    norm_of_huge,
    scale_,
    total_norm,
)

_Source: TypeAlias = Module | Optimizer | Tensor | tuple[str, Tensor]
Clippable: TypeAlias = Module | Optimizer | Tensor | Iterable[_Source]
"""A module, an optimizer, a parameter, or several: a list of optimizers, ``model.parameters()``."""
Nonfinite: TypeAlias = Literal["error", "skip"]

_NAMED_IN_FULL = 5


class NonFiniteGradientError(RuntimeError):
    """Gradients are NaN or infinite, and clipping would spread that to all of them.

    Attributes:
        parameters: the names of their parameters; a place and a shape where there is no name.
    """

    parameters: tuple[str, ...] = ()


def clip_gradients(
    parameters_or_optimizer: Clippable,
    max_norm: float,
    scaler: GradScaler | None = None,
    nonfinite: Nonfinite = "error",
    *,
    norm_type: float = 2.0,
) -> Tensor:
    """Scale gradients in place so that their norm, taken over all of them, is at most a bound.

    Call it between ``loss.backward()`` and ``optimizer.step()``::

        scaler.scale(loss).backward()
        norm = clip_gradients(optimizer, 1.0, scaler)
        scaler.step(optimizer)

    The norm is read by the host, which waits for an accelerator once, as ``GradScaler.step``
    does.  Gradients within the bound are then left alone.

    Non-finite gradients never change the others.  What happens instead:

    - ``"error"``: an error names their parameters, and all gradients stay as they are.
    - ``"skip"``: all gradients become None, so that ``optimizer.step()`` changes none of these
      parameters, nor the optimizer's averages, as gradients of zero would.  The norm that is
      returned is then NaN or infinite.  Parameters that were not given are stepped.
    - under an enabled ``scaler`` neither: all gradients stay as they are, because dynamic loss
      scaling provokes infinite gradients on purpose, and ``scaler.step`` leaves the step out and
      ``scaler.update`` lowers the scale.

    Finite gradients whose norm is too large for their type are clipped like any others.

    Args:
        parameters_or_optimizer: a module, an optimizer, a parameter, or an iterable of these,
            or of pairs of a name and a parameter.  One norm is taken over all; what is given
            twice, such as tied weights, counts once.  Gradients may be sparse, absent, of
            several types and on several devices, or DTensors, as under FSDP2; every process of
            their mesh must then make this call.
        max_norm: the bound, positive; infinity measures and clips nothing.
        scaler: with mixed precision, the scaler that scaled the loss.  It unscales the
            gradients of the optimizers given, unless ``scaler.unscale_`` was called before.
            A framework's is welcome: ``accelerator.scaler`` with an optimizer that Accelerate
            has prepared, ``trainer.precision_plugin.scaler`` in Lightning's
            ``configure_gradient_clipping``.
        nonfinite: what to do about NaN and infinite gradients, see above.
        norm_type: the order of the norm, positive; infinity takes the largest magnitude.

    Returns:
        The norm before clipping, with no dimensions.  It is finite unless the step must be
        left out.

    Raises:
        NonFiniteGradientError: a gradient is NaN or infinite and ``nonfinite`` is ``"error"``.
        ValueError: an argument is out of its range, there are no parameters (such as in a
            generator that was read before), or two optimizers under a scaler share one.
        TypeError: something else than parameters was given, or parameters and a scaler.
        RuntimeError: no parameter has a gradient, or FSDP1 keeps a part of each gradient in
            every process.
    """
    if not float(max_norm) > 0:
        raise ValueError(f"max_norm must be positive, not {max_norm}: it bounds a norm")
    bound = float(max_norm)
    return _clip(parameters_or_optimizer, lambda norm: bound, scaler, nonfinite, norm_type)


class AdaptiveClipper:
    """Clips gradients to a percentile of the norms seen so far, as AutoClip does.

    The bound follows the gradients of the task at hand instead of being guessed (AutoClip,
    arXiv 2007.14469).  Like there, the norm of the step itself counts, before clipping; unlike
    there, only the newest norms are remembered, NaN, infinite and zero norms are not, and the
    history is a part of a checkpoint::

        clipper = AdaptiveClipper(max_norm=10.0)
        ...
        norm = clipper.clip(optimizer)

    Its state says nothing of the arguments: a run that is resumed may choose others.

    Args:
        percentile: which percentile of the norms is the bound, from 0 to 100, interpolated
            between norms.  Under 10, the paper's choice, nine steps in ten are clipped.
        window: how many norms are remembered.
        warmup_steps: for how many steps at first the norms are only remembered.
        max_norm: a bound that holds in addition, from the first step on.
        nonfinite: see ``clip_gradients``.
        norm_type: see ``clip_gradients``.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        percentile: float = 10.0,
        *,
        window: int = 1000,
        warmup_steps: int = 20,
        max_norm: float = math.inf,
        nonfinite: Nonfinite = "error",
        norm_type: float = 2.0,
    ) -> None:
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile is between 0 and 100, not {percentile}")
        if not 0 <= warmup_steps < window:
            raise ValueError(
                f"warmup_steps={warmup_steps} must not be negative, and less than the {window} "
                "norms that are remembered (window)"
            )
        if not max_norm > 0:
            raise ValueError(f"max_norm must be positive, not {max_norm}: it bounds a norm")
        _check_options(nonfinite, norm_type)
        self.percentile = percentile
        self.window = window
        self.warmup_steps = warmup_steps
        self.max_norm = max_norm
        self.nonfinite = nonfinite
        self.norm_type = norm_type
        self._norms: deque[float] = deque()
        self._ordered: list[float] = []

    @property
    def threshold(self) -> float:
        """The bound that the last step was clipped to; infinity for none."""
        if len(self._norms) <= self.warmup_steps:
            return self.max_norm
        return min(_percentile(self._ordered, self.percentile), self.max_norm)

    def clip(self, parameters_or_optimizer: Clippable, scaler: GradScaler | None = None) -> Tensor:
        """Remember the norm of the gradients, and clip them to the percentile.

        See ``clip_gradients`` for the arguments, for what is returned and for what is raised.
        """
        return _clip(parameters_or_optimizer, self._observe, scaler, self.nonfinite, self.norm_type)

    def state_dict(self) -> dict[str, Any]:
        """The norms remembered, oldest first, as ``{"norms": [...]}``."""
        return {"norms": list(self._norms)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the norms that another clipper remembered, the newest that ``window`` allows.

        Raises:
            ValueError: this is no state of an ``AdaptiveClipper``.
        """
        norms = state_dict.get("norms")
        if not isinstance(norms, list):
            raise ValueError(
                f'an AdaptiveClipper\'s state is {{"norms": [...]}}; this one has the keys '
                f"{sorted(map(str, state_dict))}"
            )
        for norm in norms:
            if not (isinstance(norm, (int, float)) and 0 < norm < math.inf):
                raise ValueError(f"a norm remembered is positive and finite, and {norm!r} is not")
        self._norms = deque(map(float, norms[-self.window :]))
        self._ordered = sorted(self._norms)

    def _observe(self, norm: float) -> float:
        # A percentile of zero would be a bound of zero, and nothing would ever move again.
        if norm > 0:
            if len(self._norms) == self.window:
                del self._ordered[bisect_left(self._ordered, self._norms.popleft())]
            self._norms.append(norm)
            insort(self._ordered, norm)
        return self.threshold


def _percentile(ordered: Sequence[float], percentile: float) -> float:
    position = (len(ordered) - 1) * percentile / 100
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower])


@torch.no_grad()
def _clip(
    given: Clippable,
    bound: Callable[[float], float],
    scaler: GradScaler | None,
    nonfinite: Nonfinite,
    norm_type: float,
) -> Tensor:
    _check_options(nonfinite, norm_type)
    sources = _sources(given)
    if scaler is not None:
        _unscale(sources, scaler)
    parameters = _parameters(sources)
    _refuse_fsdp1(parameters)
    groups = grouped_gradients(parameters)
    if not groups:
        raise _no_gradient(parameters)
    total = total_norm(groups, norm_type)
    norm = float(total)
    if not math.isfinite(norm):
        broken = list(nonfinite_places(parameters))
        if broken:
            if scaler is None or not scaler.is_enabled():
                if nonfinite == "error":
                    raise _nonfinite_error(sources, parameters, broken)
                _drop_gradients(parameters)
            return total
        norm = norm_of_huge(groups, norm_type)
        total = torch.full_like(total, min(norm, torch.finfo(total.dtype).max))
    limit = bound(norm)
    for listener in clip_listeners:
        listener(norm, limit)
    if limit < norm:
        scale_(groups, limit / norm)
    return total


def _nonfinite_error(
    sources: Iterable[_Source], parameters: Sequence[Tensor], places: Sequence[int]
) -> NonFiniteGradientError:
    names = {id(parameter): name for source in sources for name, parameter in _named(source)}
    labels = [
        names[id(parameters[place])]
        or f"parameter {place} of shape {tuple(parameters[place].shape)}"
        for place in places
    ]
    present = sum(parameter.grad is not None for parameter in parameters)
    shown = "; ".join(labels[:_NAMED_IN_FULL])
    if len(labels) > _NAMED_IN_FULL:
        shown += f" and {len(labels) - _NAMED_IN_FULL} more"
    error = NonFiniteGradientError(
        f"{len(labels)} of {present} gradients are NaN or infinite: {shown}. Where the loss is "
        "finite, torch.autograd.set_detect_anomaly(True) finds the operation whose gradient is "
        'not; nonfinite="skip" leaves such steps out'
    )
    error.parameters = tuple(labels)
    return error


def _drop_gradients(parameters: Iterable[Tensor]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _check_options(nonfinite: str, norm_type: float) -> None:
    if nonfinite not in ("error", "skip"):
        raise ValueError(f'nonfinite is "error" or "skip", not {nonfinite!r}')
    if not norm_type > 0:
        raise ValueError(f"norm_type must be positive, not {norm_type}: 2.0 is the usual norm")


# --- whose gradients -----------------------------------------------------------------


def _sources(given: Clippable) -> list[_Source]:
    if isinstance(given, (Module, Optimizer, Tensor)):
        return [given]
    if not isinstance(given, Iterable):
        raise _cannot_clip(given)
    sources = list(given)
    if not sources:
        raise _nothing_to_clip(given)
    return sources


def _nothing_to_clip(given: Iterable[_Source]) -> ValueError:
    if isinstance(given, Iterator):
        return ValueError(
            "this generator of parameters has nothing left: it can be read once, and something "
            "read it before. Pass the module or the optimizer, or a list of the parameters"
        )
    return ValueError("there are no parameters to clip")


def _parameters(sources: Iterable[_Source]) -> list[Tensor]:
    """Each parameter once."""
    parameters: dict[int, Tensor] = {}
    for source in sources:
        if isinstance(source, Tensor):  # without a generator: there may be thousands
            parameters[id(source)] = source
        else:
            parameters.update((id(parameter), parameter) for _, parameter in _named(source))
    return list(parameters.values())


def _named(source: _Source) -> Iterator[tuple[str | None, Tensor]]:
    if isinstance(source, Tensor):
        yield None, source
    elif isinstance(source, Module):
        yield from source.named_parameters()
    elif isinstance(source, Optimizer):
        for group in source.param_groups:
            yield from zip(group.get("param_names", repeat(None)), group["params"], strict=False)
    elif isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], Tensor):
        yield source
    else:
        raise _cannot_clip(source)


def _cannot_clip(given: object) -> TypeError:
    return TypeError(
        "clipping takes a module, an optimizer, or an iterable of these or of parameters, and "
        f"{type(given).__name__} is none of them"
    )


def _refuse_fsdp1(parameters: Sequence[Tensor]) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    if any(hasattr(parameter, "_fsdp_flattened") for parameter in parameters):
        raise RuntimeError(
            "FullyShardedDataParallel keeps a part of these gradients in every process, and "
            "only it knows the norm of the whole: call model.clip_grad_norm_(max_norm) on the "
            "wrapped model, or shard it with torch.distributed.fsdp.fully_shard"
        )


def _no_gradient(parameters: Sequence[Tensor]) -> Exception:
    if not parameters:
        return ValueError("there are no parameters to clip: the module or optimizer has none")
    if not any(parameter.requires_grad for parameter in parameters):
        return RuntimeError(
            "all of these parameters are frozen (requires_grad is False), so that none will ever "
            "have a gradient: pass those that are trained"
        )
    return RuntimeError(
        "no parameter has a gradient: clip between loss.backward() and optimizer.step(), and "
        "before optimizer.zero_grad()"
    )


# --- loss scaling --------------------------------------------------------------------


def _unscale(sources: Sequence[_Source], scaler: GradScaler) -> None:
    if not isinstance(scaler, GradScaler):
        raise TypeError(f"scaler is a torch.amp.GradScaler, not {type(scaler).__name__}")
    optimizers = [source for source in sources if isinstance(source, Optimizer)]
    if len(optimizers) != len(sources):
        raise TypeError(
            "a GradScaler unscales the gradients of an optimizer: with a scaler, pass the "
            "optimizer, or a list of all of them, instead of parameters"
        )
    if not scaler.is_enabled():
        return
    optimizers = list({id(optimizer): optimizer for optimizer in optimizers}.values())
    _refuse_shared_parameters(optimizers)
    for optimizer in optimizers:
        _unscale_once(_stepped_by(scaler, optimizer), scaler)


def _refuse_shared_parameters(optimizers: Sequence[Optimizer]) -> None:
    seen: set[int] = set()
    for optimizer in optimizers:
        own = {id(parameter) for _, parameter in _named(optimizer)}
        if own & seen:
            raise ValueError(
                "two of these optimizers have a parameter in common, and a GradScaler would "
                "unscale its gradient twice: give each parameter to one optimizer"
            )
        seen |= own


def _stepped_by(scaler: GradScaler, optimizer: Optimizer) -> Optimizer:
    """The optimizer by which the scaler keeps count.

    Accelerate wraps an optimizer and holds the scaler in the wrapper, whose ``step`` hands the
    optimizer within to the scaler.  That would unscale it a second time.
    """
    within = getattr(optimizer, "optimizer", None)
    if getattr(optimizer, "scaler", None) is scaler and isinstance(within, Optimizer):
        return within
    return optimizer


def _unscale_once(optimizer: Optimizer, scaler: GradScaler) -> None:
    try:
        scaler.unscale_(optimizer)
    except RuntimeError as error:
        # The scaler has no public way to ask, and says this to every second call.
        if "already been called" not in str(error):
            raise
