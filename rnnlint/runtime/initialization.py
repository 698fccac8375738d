"""Recurrent weights that carry a signal through time from the first step of training."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from rnnlint.runtime.description import (
    REMEMBERING_GATE,
    GateDescription,
    Recurrence,
    RecurrentDescription,
    RecurrentDescriptions,
    describe_recurrent,
    recurrences,
)

__all__ = [
    "GateDescription",
    "Initializer",
    "RecurrentDescription",
    "RecurrentDescriptions",
    "RecurrentInitializationWarning",
    "describe_recurrent",
    "init_recurrent_",
]

Fill: TypeAlias = Callable[..., Tensor | None]
Initializer: TypeAlias = (
    Literal["orthogonal", "identity", "xavier_uniform", "xavier_normal"] | Fill | None
)
ModuleT = TypeVar("ModuleT", bound=nn.Module)

_FILLS: dict[str, Fill] = {
    "orthogonal": nn.init.orthogonal_,
    "identity": nn.init.eye_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
}

_FROZEN = "frozen (requires_grad is False); unfreeze it first where it should be drawn anew"
_DERIVED = (
    "computed from other tensors, by a parametrization, weight_norm, pruning or a wrapper; "
    "initialise the layer before that is applied"
)
_EMPTY = "without values, lazy or on the meta device; call module.to_empty(device=...) first"
_SHARDED = "not in the shape that its layer gave it; initialise the module before it is sharded"
_NO_BIASES = (
    "the layer has no biases, so its forget gate starts at 0.5; build it with bias=True, or pass "
    "forget_bias=None"
)
_NO_GATES = "a plain RNN has no gate for a timescale; use an LSTM or a GRU"


class RecurrentInitializationWarning(UserWarning):
    """Something that :func:`init_recurrent_` was asked to set stays as it is."""


def init_recurrent_(
    module: ModuleT,
    *,
    recurrent: Initializer = "orthogonal",
    input: Initializer = "xavier_uniform",  # noqa: A002 - the field's name for these weights
    forget_bias: float | None = 1.0,
    timescale: float | None = None,
    generator: torch.Generator | None = None,
) -> ModuleT:
    """Initialise every recurrent layer and cell of a module in place, gate by gate.

    Covers ``nn.LSTM``, ``nn.GRU``, ``nn.RNN``, their cells and subclasses, all layers, both
    directions and ``proj_size``.  Each gate is a matrix of its own: ``orthogonal_`` on the whole
    stacked weight of an LSTM, as most code has it, leaves no gate orthogonal and shrinks a signal
    to 0.50 of itself where PyTorch's default shrinks it to 0.58.  Biases become zero but for the
    forget gate.  All else in the module, embeddings and linear layers too, stays as it is.

    Call it before a checkpoint is loaded, before parametrizations and wrappers, and not before
    ``module.apply`` or ``reset_parameters``, which undo it.  Frozen weights (``requires_grad`` is
    False) and weights that are computed from others stay as they are, with a warning.  A
    parameter that layers share is initialised once.

    Numbers are drawn on the CPU, or on the generator's device, and copied, so that a seed gives
    the same weights on every device.  Sharded parameters (DTensor) receive the draw of the first
    rank; call it on all ranks.

    Args:
        module: any module with a recurrent layer or cell inside.
        recurrent: for each gate of the hidden-to-hidden weights, shape ``(hidden, hidden)``, or
            ``(hidden, proj)`` and the projection ``(proj, hidden)``.  ``"orthogonal"``
            (arXiv:1312.6120) is the identity in an RNN with ReLU (arXiv:1504.00941), which
            orthogonal matrices do not help; pass ``nn.init.orthogonal_`` itself to have them.
            ``"identity"``, ``"xavier_uniform"``, ``"xavier_normal"``, or a function that fills a
            matrix in place or returns one, such as ``functools.partial(nn.init.normal_, std=0.1)``;
            None leaves these weights as they are.
        input: the same for each gate of the input-to-hidden weights, ``(hidden, input)``.
        forget_bias: the forget bias of LSTMs (Jozefowicz and others, ICML 2015) and the update
            bias of GRUs, where 1 is a gate at 0.73.  It is the sum of ``bias_ih`` and
            ``bias_hh``: PyTorch adds them, so that a 1 in both would be a 2.  The other biases
            become zero; None leaves all biases as they are.
        timescale: about as many steps as the longest dependency has, more than 2.  Takes the place
            of ``forget_bias`` with chrono initialisation (arXiv:1804.11188): forget biases are
            log U(1, timescale - 1), one draw a unit, and the input gate's are their negatives.
        generator: where all numbers come from; PyTorch's default for the CPU where it is left
            out.  A function is given it too where it has a parameter ``generator``.

    Returns:
        The module.

    Raises:
        TypeError: ``module`` is no module, or a function returned something else than a matrix.
        ValueError: nothing in the module is recurrent, an initialiser is unknown, a function
            returned another shape, ``forget_bias`` is not finite, or ``timescale`` is not a
            finite number above 2.

    Warns:
        RecurrentInitializationWarning: names the parameters that stay as they are against the
            caller's wish, why, and what helps.
    """
    fill_recurrent = _checked_fill("recurrent", recurrent)
    fill_input = _checked_fill("input", input)
    _check_numbers(forget_bias, timescale)
    claims = _Claims()
    # Not as a decorator, whose frame would be taken for the caller's in the warnings below.
    with torch.no_grad():
        for recurrence in recurrences(module):
            irnn = recurrent == "orthogonal" and recurrence.kind == "RNN_RELU"
            fill_hidden = nn.init.eye_ if irnn else fill_recurrent
            _fill_weight(claims, recurrence, "weight_ih", fill_input, generator)
            _fill_weight(claims, recurrence, "weight_hh", fill_hidden, generator)
            if recurrence.projected_size:
                _fill_weight(claims, recurrence, "weight_hr", fill_hidden, generator)
            if forget_bias is not None or timescale is not None:
                _set_biases(claims, recurrence, forget_bias, timescale, generator)
    for reason, names in claims.left.items():
        warnings.warn(
            f"init_recurrent_ leaves {', '.join(names)} alone: {reason}",
            RecurrentInitializationWarning,
            stacklevel=2,
        )
    return module


def _checked_fill(argument: str, initializer: Initializer) -> Fill | None:
    if initializer is None or callable(initializer):
        return initializer
    if initializer not in _FILLS:
        raise ValueError(
            f"{argument} is {', '.join(map(repr, _FILLS))}, a function that fills a matrix, or "
            f"None, not {initializer!r}"
        )
    return _FILLS[initializer]


def _check_numbers(forget_bias: float | None, timescale: float | None) -> None:
    if forget_bias is not None and not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias is a finite number, not {forget_bias}: 1.0 is usual")
    if timescale is not None and not 2 < timescale < math.inf:
        raise ValueError(
            f"timescale is a number of steps above 2, not {timescale}: pass about the length of "
            "the longest dependency"
        )


class _Claims:
    """Which parameters are written, each once, and which are left, by reason."""

    def __init__(self) -> None:
        self.left: dict[str, list[str]] = {}
        self._claimed: set[int] = set()

    def claim(self, recurrence: Recurrence, role: str) -> nn.Parameter | None:
        """The parameter, if it is to be written now."""
        parameter = recurrence.parameter(role)
        reason = _reason_to_leave(recurrence, role, parameter)
        if reason is not None:
            self.leave(recurrence, role, reason)
            return None
        if id(parameter) in self._claimed:
            return None
        self._claimed.add(id(parameter))
        return parameter

    def leave(self, recurrence: Recurrence, role: str, reason: str) -> None:
        self.left.setdefault(reason, []).append(recurrence.full_name(role))


def _reason_to_leave(
    recurrence: Recurrence, role: str, parameter: nn.Parameter | None
) -> str | None:
    if parameter is None:
        return _DERIVED
    if isinstance(parameter, nn.UninitializedParameter) or parameter.is_meta:
        return _EMPTY
    if not parameter.requires_grad:
        return _FROZEN
    rows = len(recurrence.gates) * recurrence.hidden_size
    if role == "weight_hr":
        rows = recurrence.projected_size
    if parameter.ndim != (1 if role.startswith("bias") else 2) or parameter.size(0) != rows:
        return _SHARDED
    return None


def _fill_weight(
    claims: _Claims,
    recurrence: Recurrence,
    role: str,
    fill: Fill | None,
    generator: torch.Generator | None,
) -> None:
    if fill is None:
        return
    parameter = claims.claim(recurrence, role)
    if parameter is None:
        return
    weight = recurrence.value(role).to(_drawing_device(generator)).contiguous()
    gates = 1 if role == "weight_hr" else len(recurrence.gates)
    for gate in weight.chunk(gates):
        _fill_gate(gate, fill, generator)
    _write(parameter, weight)


def _fill_gate(gate: Tensor, fill: Fill, generator: torch.Generator | None) -> None:
    pass_on = generator is not None and _takes_generator(fill)
    filled = fill(gate, generator=generator) if pass_on else fill(gate)
    if filled is None or filled is gate:
        return
    if not isinstance(filled, Tensor):
        raise TypeError(
            "an initialiser fills a matrix in place or returns one, and this one returned a "
            f"{type(filled).__name__}"
        )
    if filled.shape != gate.shape:
        raise ValueError(
            f"an initialiser was given a gate of shape {tuple(gate.shape)} and returned "
            f"{tuple(filled.shape)}"
        )
    gate.copy_(filled)


def _takes_generator(fill: Fill) -> bool:
    try:
        return "generator" in inspect.signature(fill).parameters
    except ValueError:  # a builtin, which tells nothing
        return False


def _set_biases(
    claims: _Claims,
    recurrence: Recurrence,
    forget_bias: float | None,
    timescale: float | None,
    generator: torch.Generator | None,
) -> None:
    gated = recurrence.kind in REMEMBERING_GATE
    if timescale is not None and not gated:
        claims.leave(recurrence, "weight_hh", _NO_GATES)
    if not recurrence.has_biases:
        if gated and (timescale is not None or forget_bias != 0):
            claims.leave(recurrence, "bias_ih", _NO_BIASES)
        return
    claimed = [
        (role, parameter)
        for role in ("bias_ih", "bias_hh")
        if (parameter := claims.claim(recurrence, role)) is not None
    ]
    for _, parameter in claimed:
        parameter.zero_()
    if not claimed or not gated:
        return
    role, parameter = claimed[0]
    bias = recurrence.value(role)
    gates = len(recurrence.gates)
    # A bias that stays as it is counts towards the sum, and one that is both counts twice.
    standing = (recurrence.value("bias_ih") + recurrence.value("bias_hh")).chunk(gates)
    tied = recurrence.parameter("bias_ih") is recurrence.parameter("bias_hh")
    empty = torch.empty_like(standing[0], device=_drawing_device(generator))
    sums = _gate_biases(recurrence.kind, empty, forget_bias, timescale, generator)
    for number, wanted in sums.items():
        missing = wanted.cpu() - standing[number]
        bias.chunk(gates)[number].add_(missing, alpha=0.5 if tied else 1)
    _write(parameter, bias)


def _gate_biases(
    kind: str,
    empty: Tensor,
    forget_bias: float | None,
    timescale: float | None,
    generator: torch.Generator | None,
) -> dict[int, Tensor]:
    """The biases that are not zero, by the number of their gate, each of shape ``(hidden,)``."""
    remembering = REMEMBERING_GATE[kind]
    if timescale is not None:
        biases = empty.uniform_(1, timescale - 1, generator=generator).log_()
        return {remembering: biases, 0: -biases} if kind == "LSTM" else {remembering: biases}
    return {} if forget_bias is None else {remembering: empty.fill_(forget_bias)}


def _drawing_device(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def _write(parameter: nn.Parameter, value: Tensor) -> None:
    # A DTensor; asking for the method spares importing distributed where there is none.
    if hasattr(parameter, "full_tensor"):
        value = _sharded_like(parameter, value)
    parameter.copy_(value)


def _sharded_like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    try:
        from torch.distributed.tensor import DTensor, distribute_tensor
    except ImportError:  # before PyTorch 2.5
        from torch.distributed._tensor import (  # type: ignore[attr-defined]  # gone by now
            DTensor,
            distribute_tensor,
        )
    if not isinstance(parameter, DTensor):
        return value
    return distribute_tensor(
        value.to(parameter.device, parameter.dtype), parameter.device_mesh, parameter.placements
    )
