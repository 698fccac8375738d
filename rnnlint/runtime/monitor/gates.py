"""How many gates and units stand at the ends of their range, on a few sequences of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import _VF, Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from rnnlint.runtime.description import GATES, REMEMBERING_GATE

_CLOSED, _OPEN = 0.05, 0.95


@torch.no_grad()
def saturation(
    layer: nn.RNNBase, inputs: Tensor, states: Tensor, mask: Tensor
) -> dict[str, Tensor]:
    """The share of values of each gate that are saturated, of the lowest layer's forward direction.

    A forget gate that is open, or an update gate that keeps the state, is what makes a network
    remember: these count where they are closed.  The layer is taken to begin from a state of zeros.

    Args:
        layer: an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``.
        inputs: a few sequences, (T, B, F).
        states: what the layer made of them in its forward direction, (T, B, H); of several
            layers, that is the highest, and the lowest is run again.
        mask: which steps are real, (T, B).

    Returns:
        By gate; for a plain tanh RNN ``h``, its state.  Empty where weights cannot be read, NaN
        where no step is real.
    """
    # cuDNN warns of weights that do not lie side by side, as copies do not.
    with (
        torch.backends.cudnn.flags(enabled=False),
        torch.autocast(inputs.device.type, enabled=False),
    ):
        weights = _weights(layer)
        if weights is None or layer.mode == "RNN_RELU":
            return {}
        inputs = inputs.to(weights[0].dtype)
        if layer.num_layers > 1:
            states = _states(layer, inputs, weights)
        states = states.to(inputs.dtype)
        if layer.mode == "RNN_TANH":
            return {"h": _share(states.abs() > _OPEN, mask)}
        return {
            gate: _share(_saturated(layer.mode, number, block), mask)
            for number, (gate, block) in enumerate(_gates(layer, inputs, states, weights))
            # The candidates of both are tanh, and saturate with the state; a GRU's is gated.
            if gate not in ("g", "n")
        }


def _gates(
    layer: nn.RNNBase, inputs: Tensor, states: Tensor, weights: list[Tensor]
) -> list[tuple[str, Tensor]]:
    """What goes into the squashing function of each gate, (T, B, H)."""
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
    added = nn.functional.linear(inputs, weights[0], weights[2] if layer.bias else None)
    added += nn.functional.linear(before, weights[1], weights[3] if layer.bias else None)
    names = GATES[layer.mode]
    return list(zip(names, added.chunk(len(names), -1), strict=True))


def _saturated(mode: str, number: int, block: Tensor) -> Tensor:
    opened = block.sigmoid()
    closed = opened < _CLOSED
    return closed if REMEMBERING_GATE[mode] == number else closed | (opened > _OPEN)


def _share(saturated: Tensor, mask: Tensor) -> Tensor:
    return (saturated.float().mean(-1) * mask).sum() / mask.sum()


def _weights(layer: nn.RNNBase) -> list[Tensor] | None:
    if is_parametrized(layer):
        # Some, such as spectral norms, change with each reading.
        return None
    roles = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if layer.bias else [])]
    if layer.proj_size:
        roles.append("weight_hr")
    weights = [getattr(layer, f"{role}_l0") for role in roles]
    # A share of a weight, as FSDP has between its passes, is no weight.
    if any(hasattr(weight, "device_mesh") for weight in weights):
        return None
    return [weight.detach().float() for weight in weights]


def _states(layer: nn.RNNBase, inputs: Tensor, weights: list[Tensor]) -> Tensor:
    hidden = inputs.new_zeros(1, inputs.size(1), layer.proj_size or layer.hidden_size)
    run: dict[str, Any] = {"LSTM": _VF.lstm, "GRU": _VF.gru, "RNN_TANH": _VF.rnn_tanh}
    state: object = hidden
    if layer.mode == "LSTM":
        state = (hidden, inputs.new_zeros(1, inputs.size(1), layer.hidden_size))
    states: Tensor = run[layer.mode](
        inputs, state, weights, layer.bias, 1, 0.0, False, False, False
    )[0]
    return states
