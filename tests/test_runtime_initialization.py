"""Initialisation of recurrent layers."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recurrent import LAYERS, Recurrent, few, gates_of, named, of, recurrent_modules
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from rnnlint.runtime.initialization import (
    RecurrentInitializationWarning,
    describe_recurrent,
    init_recurrent_,
)


def assert_orthogonal(matrix: Tensor, tolerance: float = 1e-5) -> None:
    tall = matrix if matrix.size(0) >= matrix.size(1) else matrix.t()
    torch.testing.assert_close(
        tall.t() @ tall,
        torch.eye(tall.size(1), dtype=tall.dtype),
        atol=tolerance,
        rtol=0,
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- matrices -----------------------------------------------------------------------------


@few
@given(recurrent_modules())
def test_every_gate_of_every_layer_and_direction_is_orthogonal(module: Recurrent) -> None:
    assert init_recurrent_(module) is module
    for _, weight in named(module, "weight_hh"):
        for gate in weight.chunk(gates_of(module)):
            assert_orthogonal(gate)
    if getattr(module, "proj_size", 0):
        for _, weight in named(module, "weight_hr"):
            assert_orthogonal(weight)


@few
@given(recurrent_modules())
def test_input_weights_keep_to_the_bounds_of_one_gate(module: Recurrent) -> None:
    init_recurrent_(module, generator=seeded())
    for _, weight in named(module, "weight_ih"):
        bound = math.sqrt(6 / (weight.size(1) + module.hidden_size))
        assert weight.abs().max() <= bound
        assert len(set(weight.flatten().tolist())) > weight.numel() * 0.9


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell])
def test_xavier_counts_the_outputs_of_one_gate(
    cell: type[nn.LSTMCell] | type[nn.GRUCell],
) -> None:
    for initializer in ("xavier_uniform", "xavier_normal"):
        module = init_recurrent_(cell(60, 100), input=initializer, generator=seeded())
        weight = of(module, "weight_ih")
        for gate in weight.chunk(weight.size(0) // 100):
            assert float(gate.std()) == pytest.approx(math.sqrt(2 / (60 + 100)), rel=0.05)


def test_a_relu_rnn_starts_from_the_identity() -> None:
    layer = init_recurrent_(nn.RNN(3, 4, num_layers=2, bidirectional=True, nonlinearity="relu"))
    cell = init_recurrent_(nn.RNNCell(3, 4, nonlinearity="relu"))
    for _, weight in (*named(layer, "weight_hh"), *named(cell, "weight_hh")):
        assert torch.equal(weight, torch.eye(4))


def test_a_relu_rnn_has_what_is_asked_for() -> None:
    rnn = nn.RNN(3, 4, nonlinearity="relu")
    init_recurrent_(rnn, recurrent=nn.init.orthogonal_)
    assert_orthogonal(of(rnn, "weight_hh_l0"))
    assert not torch.equal(of(rnn, "weight_hh_l0"), torch.eye(4))
    init_recurrent_(rnn, recurrent="xavier_normal")
    assert not torch.equal(of(rnn, "weight_hh_l0"), torch.eye(4))


def test_the_identity_is_one_a_gate() -> None:
    lstm = init_recurrent_(nn.LSTM(3, 4, proj_size=2), recurrent="identity", input="identity")
    assert torch.equal(of(lstm, "weight_hh_l0"), torch.eye(4, 2).repeat(4, 1))
    assert torch.equal(of(lstm, "weight_hr_l0"), torch.eye(2, 4))
    assert torch.equal(of(lstm, "weight_ih_l0"), torch.eye(4, 3).repeat(4, 1))


def test_a_function_fills_each_gate_or_returns_it() -> None:
    shapes: list[tuple[int, ...]] = []

    def halves(gate: Tensor) -> None:
        shapes.append(tuple(gate.shape))
        gate.fill_(0.5)

    gru = init_recurrent_(nn.GRU(3, 4), recurrent=halves, input=lambda gate: torch.ones(4, 3))
    assert shapes == [(4, 4)] * 3
    assert torch.equal(of(gru, "weight_hh_l0"), torch.full((12, 4), 0.5))
    assert torch.equal(of(gru, "weight_ih_l0"), torch.ones(12, 3))


def test_a_function_sees_the_weights_that_are_there() -> None:
    gru = nn.GRU(3, 4)
    before = of(gru, "weight_hh_l0").clone()
    init_recurrent_(gru, recurrent=lambda gate: gate.mul_(2))
    assert torch.equal(of(gru, "weight_hh_l0"), 2 * before)


def test_none_leaves_as_it_is() -> None:
    lstm = nn.LSTM(3, 4, proj_size=2)
    before = copy.deepcopy(lstm.state_dict())
    init_recurrent_(lstm, recurrent=None, input=None, forget_bias=None)
    assert all(torch.equal(value, before[name]) for name, value in lstm.state_dict().items())
    init_recurrent_(lstm, recurrent=None)
    changed = [n for n, value in lstm.state_dict().items() if not torch.equal(value, before[n])]
    assert changed == ["weight_ih_l0", "bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_drawn_in_single_precision(dtype: torch.dtype) -> None:
    half = init_recurrent_(nn.LSTM(5, 16, dtype=dtype), generator=seeded())
    single = init_recurrent_(nn.LSTM(5, 16), generator=seeded())
    for (name, weight), whole in zip(half.named_parameters(), single.parameters(), strict=True):
        assert torch.equal(weight, whole.to(dtype)), name


# --- biases -------------------------------------------------------------------------------


@few
@given(
    recurrent_modules(kinds=("LSTM", "GRU")),
    st.floats(-5, 5),
    st.sampled_from(("", "bias_ih", "bias_hh")),
)
def test_the_forget_bias_is_the_sum_of_both(
    module: Recurrent, forget_bias: float, frozen: str
) -> None:
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not (frozen and frozen in name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecurrentInitializationWarning)
        init_recurrent_(module, forget_bias=forget_bias)
    inputs, hiddens = named(module, "bias_ih"), named(module, "bias_hh")
    for (_, bias_ih), (_, bias_hh) in zip(inputs, hiddens, strict=True):
        gate = (bias_ih + bias_hh).chunk(gates_of(module))[1]
        torch.testing.assert_close(gate, torch.full_like(gate, forget_bias))
        if not frozen:
            assert not bias_hh.any()
        if frozen != "bias_ih":
            others = [part for n, part in enumerate(bias_ih.chunk(gates_of(module))) if n != 1]
            assert not any(part.any() for part in others)


def test_a_plain_rnn_has_zero_biases() -> None:
    rnn = init_recurrent_(nn.RNN(3, 4, num_layers=2))
    assert not any(bias.any() for _, bias in named(rnn, "bias"))


def nothing(gate: Tensor) -> None:
    gate.zero_()


def test_an_open_forget_gate_keeps_the_cell() -> None:
    lstm = init_recurrent_(nn.LSTM(3, 4), recurrent=nothing, input=nothing, forget_bias=50)
    c0 = torch.randn(1, 2, 4)
    _, (_, c_n) = lstm(torch.randn(20, 2, 3), (torch.randn(1, 2, 4), c0))
    torch.testing.assert_close(c_n, c0)


def test_an_open_update_gate_keeps_the_state() -> None:
    gru = init_recurrent_(nn.GRU(3, 4), recurrent=nothing, input=nothing, forget_bias=50)
    h0 = torch.randn(1, 2, 4)
    torch.testing.assert_close(gru(torch.randn(20, 2, 3), h0)[1], h0)


@few
@given(recurrent_modules(kinds=("LSTM", "GRU")), st.floats(2.01, 1e4))
def test_chrono_biases_span_the_timescale(module: Recurrent, timescale: float) -> None:
    init_recurrent_(module, timescale=timescale, forget_bias=None)
    gates = gates_of(module)
    for _, bias in named(module, "bias_ih"):
        first, remembering, *others = bias.chunk(gates)
        assert remembering.min() >= 0
        assert remembering.max() <= math.log(timescale - 1) * (1 + 1e-6) + 1e-6
        assert torch.equal(first, -remembering if gates == 4 else torch.zeros_like(first))
        assert not any(other.any() for other in others)
    assert not any(bias.any() for _, bias in named(module, "bias_hh"))


def test_chrono_times_are_uniform() -> None:
    gru = init_recurrent_(nn.GRU(1, 2000), recurrent=None, timescale=101, generator=seeded())
    times = of(gru, "bias_ih_l0").chunk(3)[1].exp()
    assert float(times.mean()) == pytest.approx(50.5, abs=2)
    assert float(times.std()) == pytest.approx(99 / math.sqrt(12), abs=1)


def test_a_timescale_takes_the_place_of_the_forget_bias() -> None:
    one, other = (
        init_recurrent_(nn.LSTM(3, 4), timescale=30, forget_bias=bias, generator=seeded())
        for bias in (1.0, 9.0)
    )
    assert torch.equal(of(one, "bias_ih_l0"), of(other, "bias_ih_l0"))


# --- where the numbers come from ----------------------------------------------------------


@few
@given(recurrent_modules(), st.integers(0, 2**31), st.sampled_from((None, 40.0)))
def test_a_generator_decides_alone(module: Recurrent, seed: int, timescale: float | None) -> None:
    if gates_of(module) == 1:
        timescale = None
    twin = copy.deepcopy(module)
    before = torch.get_rng_state()
    init_recurrent_(module, timescale=timescale, generator=seeded(seed))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    init_recurrent_(twin, timescale=timescale, generator=seeded(seed))
    for (name, mine), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_the_global_seed_decides_without_a_generator() -> None:
    lstm = nn.LSTM(3, 4)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(of(init_recurrent_(lstm), "weight_hh_l0").clone())
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_a_function_that_takes_a_generator_is_given_it() -> None:
    fill = partial(nn.init.normal_, std=0.01)
    one, other = (
        init_recurrent_(nn.GRU(3, 4), recurrent=fill, input=fill, generator=seeded())
        for _ in range(2)
    )
    assert torch.equal(of(one, "weight_hh_l0"), of(other, "weight_hh_l0"))
    assert torch.equal(of(one, "weight_ih_l0"), of(other, "weight_ih_l0"))


@pytest.mark.parametrize("fill", [nn.init.eye_, torch.Tensor.zero_])
def test_a_function_that_takes_none_goes_without(fill: Callable[[Tensor], Tensor]) -> None:
    gru = init_recurrent_(nn.GRU(3, 4), recurrent=fill, generator=seeded())
    assert torch.equal(of(gru, "weight_hh_l0"), fill(torch.ones(4, 4)).repeat(3, 1))


def test_gates_and_layers_are_drawn_apart() -> None:
    lstm = init_recurrent_(nn.LSTM(4, 4, num_layers=2, bidirectional=True), generator=seeded())
    gates = [gate for _, weight in named(lstm, "weight_hh") for gate in weight.chunk(4)]
    assert len({tuple(gate.flatten().tolist()) for gate in gates}) == 16


# --- what is written, and what is not -----------------------------------------------------


class Tagger(nn.Module):
    """A model with recurrent layers here and there."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 5, padding_idx=0)
        self.encoder = nn.Sequential(nn.LSTM(5, 4, num_layers=2, bidirectional=True))
        self.cells = nn.ModuleDict({"decoder": nn.GRUCell(8, 4)})
        self.start = nn.Parameter(torch.randn(4))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)


def test_all_else_stays_as_it_is() -> None:
    model = Tagger()
    before = copy.deepcopy(model.state_dict())
    identities = [id(parameter) for parameter in model.parameters()]
    init_recurrent_(model)
    for name, value in model.state_dict().items():
        recurrent = name.startswith(("encoder", "cells"))
        assert torch.equal(value, before[name]) is not recurrent, name
    assert [id(parameter) for parameter in model.parameters()] == identities


def test_parameters_keep_their_place_and_can_be_trained() -> None:
    lstm = nn.LSTM(3, 4)
    lstm(torch.randn(5, 2, 3))[0].sum().backward()
    gradients = [parameter.grad for parameter in lstm.parameters()]
    places = [parameter.data_ptr() for parameter in lstm.parameters()]
    init_recurrent_(lstm)
    for parameter, gradient, place in zip(lstm.parameters(), gradients, places, strict=True):
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.grad is gradient
        assert parameter.data_ptr() == place
    lstm.zero_grad()
    lstm(torch.randn(5, 2, 3))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in lstm.parameters())


def test_subclasses_and_their_own_parameters() -> None:
    class Attentive(nn.LSTM):
        def __init__(self) -> None:
            super().__init__(3, 4)
            self.query = nn.Parameter(torch.randn(4, 4))

    layer = Attentive()
    query = layer.query.detach().clone()
    init_recurrent_(layer)
    assert_orthogonal(of(layer, "weight_hh_l0")[:4])
    assert torch.equal(layer.query, query)


def test_frozen_weights_stay_as_they_are() -> None:
    model = Tagger()
    model.encoder.requires_grad_(False)
    before = copy.deepcopy(model.encoder.state_dict())
    with pytest.warns(
        RecurrentInitializationWarning,
        match=r"leaves encoder\.0\.weight_ih_l0, .*encoder\.0\.bias_hh_l1_reverse alone: frozen .*"
        "unfreeze it first",
    ) as caught:
        init_recurrent_(model)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name])
    assert_orthogonal(of(model.cells["decoder"], "weight_hh")[:4])


def weight_normalised(lstm: nn.LSTM) -> nn.LSTM:
    parametrizations.weight_norm(lstm, "weight_hh_l0")
    return lstm


def weight_normalised_by_hook(lstm: nn.LSTM) -> nn.LSTM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(lstm, "weight_hh_l0")
    return lstm


def pruned(lstm: nn.LSTM) -> nn.LSTM:
    prune.random_unstructured(lstm, "weight_hh_l0", amount=0.5)  # type: ignore[no-untyped-call]
    return lstm


@pytest.mark.parametrize("derive", [weight_normalised, weight_normalised_by_hook, pruned])
def test_computed_weights_stay_as_they_are(derive: Callable[[nn.LSTM], nn.LSTM]) -> None:
    lstm = derive(nn.LSTM(3, 4))
    own = {n: p.detach().clone() for n, p in lstm.named_parameters() if "weight_hh" in n}
    with pytest.warns(
        RecurrentInitializationWarning,
        match="leaves weight_hh_l0 alone: computed from other .* before that is applied",
    ):
        init_recurrent_(lstm)
    assert own
    assert all(torch.equal(lstm.get_parameter(name), value) for name, value in own.items())
    assert torch.equal(of(lstm, "bias_ih_l0")[4:8], torch.ones(4))


def test_a_computed_bias_counts_towards_the_sum() -> None:
    class Doubled(nn.Module):
        def forward(self, bias: Tensor) -> Tensor:
            return 2 * bias

    gru = nn.GRU(3, 4)
    parametrize.register_parametrization(gru, "bias_ih_l0", Doubled())
    with pytest.warns(RecurrentInitializationWarning, match="bias_ih_l0 alone: computed"):
        init_recurrent_(gru, forget_bias=3.0)
    total = (of(gru, "bias_ih_l0") + of(gru, "bias_hh_l0"))[4:8]
    torch.testing.assert_close(total, torch.full((4,), 3.0))


def test_weights_without_values_stay_without() -> None:
    model = nn.ModuleDict({"far": nn.GRU(3, 4, device="meta"), "near": nn.GRU(3, 4)})
    with pytest.warns(
        RecurrentInitializationWarning, match=r"far\.weight_ih_l0, .* alone: without .*to_empty"
    ):
        init_recurrent_(model)
    assert of(model["far"], "weight_hh_l0").is_meta
    assert_orthogonal(of(model["near"], "weight_hh_l0")[:4])
    model.to_empty(device="cpu")
    init_recurrent_(model)
    assert_orthogonal(of(model["far"], "weight_hh_l0")[:4])


def test_lazy_weights_stay_lazy() -> None:
    lstm = nn.LSTM(3, 4)
    lstm.weight_ih_l0 = nn.UninitializedParameter()
    with pytest.warns(RecurrentInitializationWarning, match="weight_ih_l0 alone: without values"):
        init_recurrent_(lstm)


def test_flattened_shards_stay_as_they_are() -> None:
    lstm = nn.LSTM(3, 4)
    lstm.weight_hh_l0 = nn.Parameter(torch.zeros(32))
    with pytest.warns(RecurrentInitializationWarning, match="weight_hh_l0 alone: not in the shape"):
        init_recurrent_(lstm)
    assert not of(lstm, "weight_hh_l0").any()


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_layers_without_biases(kind: str) -> None:
    layer = LAYERS[kind](3, 4, bias=False)
    with pytest.warns(
        RecurrentInitializationWarning, match="bias_ih_l0 alone: the layer has no biases.*bias=True"
    ):
        init_recurrent_(layer)
    for quiet in (0.0, None):
        init_recurrent_(layer, forget_bias=quiet)
    with pytest.warns(RecurrentInitializationWarning, match="has no biases"):
        init_recurrent_(layer, forget_bias=None, timescale=10)
    assert_orthogonal(of(layer, "weight_hh_l0")[:4])
    init_recurrent_(nn.RNN(3, 4, bias=False))


def test_a_plain_rnn_has_no_timescale() -> None:
    with pytest.warns(RecurrentInitializationWarning, match="weight_hh alone: a plain RNN has no"):
        cell = init_recurrent_(nn.RNNCell(3, 4), timescale=10)
    assert_orthogonal(cell.weight_hh.detach())
    assert not cell.bias_ih.any()


def test_shared_parameters_are_drawn_once() -> None:
    one, other = nn.LSTM(4, 4), nn.LSTM(4, 4)
    other.weight_hh_l0, other.bias_ih_l0 = one.weight_hh_l0, one.bias_ih_l0
    calls = []
    model = nn.ModuleList([one, other, one])
    init_recurrent_(model, recurrent=lambda gate: calls.append(gate), timescale=50)
    assert len(calls) == 4
    # The second layer keeps the promise of the sum with the bias that is its own.
    total = (of(other, "bias_ih_l0") + of(other, "bias_hh_l0")).chunk(4)[1]
    assert total.min() >= 0
    assert total.max() <= math.log(49) + 1e-5
    assert of(other, "bias_hh_l0")[4:8].any()


@pytest.mark.parametrize("timescale", [None, 20.0])
def test_one_parameter_for_both_biases(timescale: float | None) -> None:
    tied, apart = nn.LSTM(3, 4), nn.LSTM(3, 4)
    tied.bias_hh_l0 = tied.bias_ih_l0
    for lstm in (tied, apart):
        init_recurrent_(lstm, timescale=timescale, generator=seeded())
    torch.testing.assert_close(
        of(tied, "bias_ih_l0") + of(tied, "bias_hh_l0"), of(apart, "bias_ih_l0")
    )


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", world_size=1, rank=0
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_sharded_parameters() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    lstm, plain = nn.LSTM(3, 4, proj_size=2), nn.LSTM(3, 4, proj_size=2)
    mesh = init_device_mesh("cpu", (1,))
    for name, parameter in list(lstm.named_parameters()):
        setattr(lstm, name, nn.Parameter(distribute_tensor(parameter, mesh, [Shard(0)])))
    init_recurrent_(lstm, generator=seeded())
    init_recurrent_(plain, generator=seeded())
    for (name, sharded), whole in zip(lstm.named_parameters(), plain.parameters(), strict=True):
        assert isinstance(sharded, DTensor)
        assert torch.equal(sharded.full_tensor(), whole), name
    assert describe_recurrent(lstm) == describe_recurrent(plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_seed_gives_the_same_weights_on_every_device() -> None:
    here = init_recurrent_(nn.LSTM(3, 4, num_layers=2), generator=seeded())
    there = init_recurrent_(nn.LSTM(3, 4, num_layers=2, device="cuda"), generator=seeded())
    for (name, far), near in zip(there.named_parameters(), here.parameters(), strict=True):
        assert torch.equal(far.cpu(), near), name
    init_recurrent_(there, timescale=20, generator=torch.Generator("cuda").manual_seed(0))
    assert describe_recurrent(there)[0].gates[0].rms == pytest.approx(1, abs=1e-5)


# --- what is refused ----------------------------------------------------------------------


def test_no_module() -> None:
    with pytest.raises(TypeError, match=r"nn\.Module is expected, and this is a generator"):
        init_recurrent_(nn.LSTM(3, 4).parameters())  # type: ignore[type-var]


def test_nothing_recurrent() -> None:
    for function in (init_recurrent_, describe_recurrent):
        with pytest.raises(ValueError, match=r"no nn\.LSTM, .* in this Linear: pass the module"):
            function(nn.Linear(3, 4))


@pytest.mark.parametrize("argument", ["recurrent", "input"])
def test_unknown_initialisers(argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} is 'orthogonal', .* not 'orthogonol'"):
        init_recurrent_(nn.LSTM(3, 4), **{argument: "orthogonol"})  # type: ignore[arg-type]


@pytest.mark.parametrize("forget_bias", [math.nan, math.inf])
def test_impossible_forget_biases(forget_bias: float) -> None:
    with pytest.raises(ValueError, match="forget_bias is a finite number"):
        init_recurrent_(nn.LSTM(3, 4), forget_bias=forget_bias)


@pytest.mark.parametrize("timescale", [2, 0, -5, math.nan, math.inf])
def test_impossible_timescales(timescale: float) -> None:
    with pytest.raises(ValueError, match="timescale is a number of steps above 2"):
        init_recurrent_(nn.LSTM(3, 4), timescale=timescale)


def test_functions_that_return_no_gate() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 4\) and returned \(16, 4\)"):
        init_recurrent_(nn.LSTM(3, 4), recurrent=lambda gate: torch.zeros(16, 4))
    with pytest.raises(TypeError, match="returned a float"):
        init_recurrent_(nn.LSTM(3, 4), recurrent=lambda gate: 0.5)  # type: ignore[arg-type,return-value]
