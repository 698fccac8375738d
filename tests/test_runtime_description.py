"""Descriptions of recurrent layers."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recurrent import LAYERS, Recurrent, few, gates_of, named, of, recurrent_modules
from torch import nn
from torch.nn.utils import parametrizations

from rnnlint.runtime.initialization import describe_recurrent, init_recurrent_


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", "ifgo"), ("GRU", "rzn"), ("RNN", "h")])
def test_the_default_shrinks_a_signal_and_ours_keeps_it(kind: str, gates: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind](8, 128)
    (default,) = describe_recurrent(layer)
    assert [gate.gate for gate in default.gates] == list(gates)
    for gate in default.gates:
        assert gate.rms == pytest.approx(1 / math.sqrt(3), rel=0.02)
        assert gate.median == pytest.approx(0.463, rel=0.06)
        assert gate.maximum == pytest.approx(1.16, rel=0.06)
        assert gate.spectral_radius == pytest.approx(0.6, rel=0.12)
    (ours,) = describe_recurrent(init_recurrent_(layer))
    for gate in ours.gates:
        numbers = (gate.minimum, gate.rms, gate.median, gate.maximum, gate.spectral_radius)
        assert numbers == pytest.approx((1,) * 5, abs=1e-4)


def test_one_orthogonal_matrix_for_all_gates_halves_a_signal() -> None:
    lstm = nn.LSTM(8, 64)
    nn.init.orthogonal_(of(lstm, "weight_hh_l0"))
    (stacked,) = describe_recurrent(lstm)
    squares = [gate.rms**2 for gate in stacked.gates]
    assert sum(squares) == pytest.approx(1, abs=1e-4)
    assert math.sqrt(squares[0]) == pytest.approx(0.5, rel=0.03)


def test_numbers_of_a_known_matrix() -> None:
    rnn = nn.RNN(3, 4)
    of(rnn, "weight_hh_l0").copy_(torch.diag(torch.tensor([-3.0, 2.0, 1.0, 0.0])))
    of(rnn, "weight_hh_l0")[3, 2] = 0.5
    (description,) = describe_recurrent(rnn)
    (gate,) = description.gates
    assert description.spectral_radius == gate.spectral_radius == pytest.approx(3)
    assert gate.minimum == pytest.approx(0, abs=1e-6)
    assert gate.maximum == pytest.approx(3)
    assert gate.rms == pytest.approx(math.sqrt((9 + 4 + 1.25) / 4))
    assert gate.median == pytest.approx((2 + math.sqrt(1.25)) / 2)


def test_the_radius_of_a_projected_gate_is_that_of_the_loop() -> None:
    lstm = nn.LSTM(3, 4, proj_size=2)
    of(lstm, "weight_hh_l0").zero_()
    of(lstm, "weight_hr_l0").copy_(torch.eye(2, 4))
    # Rows 2 and 3 of a gate are lost in this projection.
    of(lstm, "weight_hh_l0")[4:8] = torch.tensor([[0.5, 1.0], [0.0, 0.25], [9.0, 0.0], [0.0, 9.0]])
    (description,) = describe_recurrent(lstm)
    assert description.gates[1].spectral_radius == pytest.approx(0.5)
    assert description.gates[1].maximum > 9
    assert description.gates[0].spectral_radius == 0
    assert description.spectral_radius == pytest.approx(0.5)


@few
@given(recurrent_modules(), st.floats(-4, 4))
def test_every_recurrence_is_described(module: Recurrent, forget_bias: float) -> None:
    init_recurrent_(module, forget_bias=forget_bias)
    descriptions = describe_recurrent(nn.ModuleDict({"inner": module}))
    weights = named(module, "weight_hh")
    assert [d.name for d in descriptions] == [f"inner.{name}" for name, _ in weights]
    for description, (_, weight) in zip(descriptions, weights, strict=True):
        blocks = weight.chunk(gates_of(module))
        for gate, block in zip(description.gates, blocks, strict=True):
            # The Frobenius norm is that of the singular values.
            expected = block.norm() / math.sqrt(min(block.shape))
            assert gate.rms == pytest.approx(float(expected), rel=1e-4)
            assert gate.minimum <= gate.median <= gate.maximum
        if gates_of(module) == 1:
            assert description.mean_forget_gate is None
        else:
            expected_gate = 1 / (1 + math.exp(-forget_bias))
            assert description.mean_forget_gate == pytest.approx(expected_gate, rel=1e-4)


def test_the_forget_gate_is_of_both_biases() -> None:
    lstm = nn.LSTM(3, 4, bias=True)
    of(lstm, "bias_ih_l0").zero_()[4:8] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    of(lstm, "bias_hh_l0").fill_(1)
    (description,) = describe_recurrent(lstm)
    expected = sum(1 / (1 + math.exp(-bias)) for bias in (2, 3, 4, 5)) / 4
    assert description.mean_forget_gate == pytest.approx(expected)
    assert describe_recurrent(nn.GRU(3, 4, bias=False))[0].mean_forget_gate == 0.5


def test_kinds() -> None:
    modules = nn.ModuleList(
        [nn.LSTMCell(2, 3), nn.GRU(2, 3), nn.RNNCell(2, 3), nn.RNN(2, 3, nonlinearity="relu")]
    )
    assert [(d.name, d.kind) for d in describe_recurrent(modules)] == [
        ("0.weight_hh", "LSTM"),
        ("1.weight_hh_l0", "GRU"),
        ("2.weight_hh", "RNN_TANH"),
        ("3.weight_hh_l0", "RNN_RELU"),
    ]


def test_half_precision_is_described() -> None:
    (description,) = describe_recurrent(init_recurrent_(nn.GRU(3, 16, dtype=torch.bfloat16)))
    assert description.gates[0].rms == pytest.approx(1, abs=0.01)


def test_the_weights_that_are_used_are_described() -> None:
    lstm = nn.LSTM(3, 4)
    parametrizations.orthogonal(lstm, "weight_hh_l0")
    rms = [gate.rms for gate in describe_recurrent(lstm)[0].gates]
    assert sum(value**2 for value in rms) == pytest.approx(1, abs=1e-5)


def test_describing_changes_nothing() -> None:
    gru = nn.ModuleDict({"layer": nn.GRU(3, 4)}).train()
    parametrizations.spectral_norm(gru["layer"], "weight_hh_l0")
    before, seed = copy.deepcopy(gru.state_dict()), torch.get_rng_state()
    assert describe_recurrent(gru) == describe_recurrent(gru)
    assert all(torch.equal(value, before[name]) for name, value in gru.state_dict().items())
    assert torch.equal(torch.get_rng_state(), seed)
    assert all(module.training for module in gru.modules())


def test_weights_that_diverged_are_described() -> None:
    lstm = nn.LSTM(3, 4)
    of(lstm, "weight_hh_l0")[0, 0] = math.nan
    of(lstm, "weight_hh_l0")[4, 0] = math.inf
    (description,) = describe_recurrent(lstm)
    assert [math.isnan(gate.rms) for gate in description.gates] == [True, True, False, False]
    assert math.isnan(description.spectral_radius)
    assert "nan" in str(description)


def test_weights_without_values_are_not_described() -> None:
    with pytest.raises(ValueError, match=r"0\.weight_hh_l0 has no values yet: .*to_empty"):
        describe_recurrent(nn.Sequential(nn.LSTM(3, 4, device="meta")))


def test_a_table() -> None:
    model = nn.ModuleDict(
        {
            "encoder": nn.GRU(3, 4, bias=False),
            "a" * 90: nn.RNN(3, 4),
        }
    )
    init_recurrent_(model, recurrent="identity", forget_bias=0)
    assert str(describe_recurrent(model)).splitlines() == [
        "        spectral                         singular values",
        "  gate    radius       min       rms    median       max",
        "encoder.weight_hh_l0: GRU, mean forget gate 0.500",
        "     r     1.000     1.000     1.000     1.000     1.000",
        "     z     1.000     1.000     1.000     1.000     1.000",
        "     n     1.000     1.000     1.000     1.000     1.000",
        "..." + "a" * 54 + ".weight_hh_l0: RNN_TANH",
        "     h     1.000     1.000     1.000     1.000     1.000",
    ]
    assert str(describe_recurrent(model)[1]).splitlines()[:2] == [
        "        spectral                         singular values",
        "  gate    radius       min       rms    median       max",
    ]


@few
@given(st.floats(1e-30, 1e30), st.text("ab", min_size=1, max_size=120))
def test_a_table_is_no_wider_than_a_terminal(scale: float, name: str) -> None:
    model = nn.ModuleDict({name: nn.LSTM(2, 3)})
    of(model[name], "weight_hh_l0").mul_(scale)
    lines = str(describe_recurrent(model)).splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    assert all(len(line.split()) == 6 for line in lines[3:])
