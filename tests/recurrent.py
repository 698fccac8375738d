"""Recurrent modules of all kinds, and their weights, for the tests of the companion."""

from __future__ import annotations

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

Recurrent = nn.RNNBase | nn.RNNCellBase

CELLS = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "RNN": nn.RNNCell}
LAYERS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

few = settings(deadline=None, max_examples=30)


@st.composite
def recurrent_modules(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(LAYERS)) -> Recurrent:
    """Cells and layers of all kinds, sizes, depths, directions and projections."""
    kind = draw(st.sampled_from(kinds))
    inputs, hidden = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    if draw(st.booleans()):
        cell: Recurrent = CELLS[kind](inputs, hidden, dtype=dtype)
        return cell
    projected = draw(st.integers(0, hidden - 1)) if kind == "LSTM" else 0
    layer: Recurrent = LAYERS[kind](
        inputs,
        hidden,
        num_layers=draw(st.integers(1, 3)),
        bidirectional=draw(st.booleans()),
        dtype=dtype,
        **({"proj_size": projected} if projected else {}),
    )
    return layer


def gates_of(module: nn.Module) -> int:
    return next(GATES[kind] for kind in GATES if kind in type(module).__name__)


def named(module: nn.Module, role: str) -> list[tuple[str, Tensor]]:
    found = [(n, p.detach()) for n, p in module.named_parameters() if role in n]
    assert found
    return found


def of(module: nn.Module, name: str) -> Tensor:
    value = getattr(module, name)
    assert isinstance(value, Tensor)
    return value.detach()
