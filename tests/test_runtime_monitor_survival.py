"""A training is the same with a monitor and without, whatever the monitor meets."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import warnings
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from monitored import BATCH, FEATURES, HIDDEN, STEPS, sequences
from torch import Tensor, nn
from torch.nn.utils import clip_grad
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.optim import SGD
from torch.utils.checkpoint import checkpoint

from rnnlint.runtime.monitor import Monitor, MonitorWarning

LENGTHS = [20, 3, 11, 7, 20, 15]


class Reader(nn.Module):
    """All that hooks are laid on: an embedding, a layer, a cell, and features beside them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(9, FEATURES, padding_idx=0)
        self.lstm = nn.LSTM(FEATURES, HIDDEN, num_layers=2, dropout=0.3, bidirectional=True)
        self.raw = nn.GRU(FEATURES, HIDDEN)
        self.cell = nn.LSTMCell(HIDDEN, HIDDEN)
        self.criterion = nn.MSELoss()

    def forward(self, ids: Tensor, features: Tensor) -> Tensor:
        output = self.lstm(self.embedding(ids))[0]
        packed = pack_padded_sequence(features, torch.tensor(LENGTHS), enforce_sorted=False)
        last: Tensor = self.raw(packed)[1][0]
        state = None
        for _ in range(4):
            state = self.cell(last, state)
            last = state[0]
        read: Tensor = self.criterion(last.sum(1) + output[-1].sum(1), torch.ones(BATCH))
        return read


def run(monitored: bool) -> tuple[list[Tensor], list[Tensor]]:
    model = Reader()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    monitor = Monitor(model, optimizer, criterion=model.criterion) if monitored else None
    ids, features = torch.randint(1, 9, (STEPS, BATCH)), sequences(LENGTHS)
    torch.manual_seed(5)
    losses, gradients = [], []
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(ids, features)
        torch.autograd.backward(loss)
        losses.append(loss.detach())
        gradients += [
            weight.grad.clone() for weight in model.parameters() if weight.grad is not None
        ]
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    if monitor is not None:
        monitor.close()
        assert set(monitor.history.layers) == {"lstm", "raw", "cell"}
    return losses, gradients


def test_outputs_and_gradients_are_the_same_to_the_last_bit() -> None:
    for with_it, without in zip(run(True), run(False), strict=True):
        assert len(with_it) == len(without) > 0
        assert all(torch.equal(one, other) for one, other in zip(with_it, without, strict=True))


def test_closing_takes_every_hook_away_and_gives_pytorch_back() -> None:
    functions = {name: getattr(clip_grad, name) for name in vars(clip_grad) if "clip_" in name}
    by_value = nn.utils.clip_grad_value_
    model = Reader()
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer, criterion=model.criterion), Monitor(model, optimizer):
        assert nn.utils.clip_grad_value_ is not by_value
        assert model.lstm._forward_hooks
    assert {name: getattr(clip_grad, name) for name in functions} == functions
    assert nn.utils.clip_grad_value_ is by_value
    assert not optimizer._optimizer_step_post_hooks
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_a_monitor_that_is_refused_leaves_no_hook() -> None:
    model = Reader()
    nothing: Any = object()
    with pytest.raises(TypeError, match="an optimizer is expected"):
        Monitor(model, nothing)
    assert not any(module._forward_hooks for module in model.modules())


class Token:
    """Held by a graph, and let go with it."""


def test_no_graph_outlives_its_step() -> None:
    model = Reader()
    optimizer = SGD(model.parameters(), lr=0.1)
    ids, features = torch.randint(1, 9, (STEPS, BATCH)), sequences(LENGTHS)
    with Monitor(model, optimizer, criterion=model.criterion, every=1):
        for _ in range(2):
            loss, token = model(ids, features), Token()
            loss.grad_fn.register_hook(lambda *given, token=token: None)
            held = weakref.ref(token)
            torch.autograd.backward(loss)
            optimizer.step()
            del token
            assert held() is not None
            del loss
            gc.collect()
            assert held() is None


class Still(SGD):
    """Steps, and moves nothing."""

    def step(self, closure: Any = None) -> Any:
        return None


def test_curves_of_100_000_steps_are_thinned() -> None:
    layer = nn.RNNCell(1, 1)
    optimizer = Still(layer.parameters(), lr=0.5)
    with Monitor(layer, optimizer) as monitor:
        for step in range(100_000):
            monitor.record(1.0 + step)
            optimizer.step()
    history = monitor.history
    assert history.steps == 100_000
    for curve in (history.losses, history.rates):
        assert 1024 <= len(curve.values) <= 2048
        assert curve.values[0][0] == 0
        assert curve.values[-1][0] > 99_900
    assert all(loss == 1.0 + step for step, loss in history.losses.values)
    assert len(pickle.dumps(monitor.state_dict())) < 100_000


def test_samples_are_thinned_but_for_the_first_and_the_newest() -> None:
    layer = nn.RNNCell(1, 1)
    optimizer = Still(layer.parameters(), lr=0.5)
    inputs = torch.zeros(1, 1)
    with Monitor(layer, optimizer, every=1) as monitor:
        for _ in range(700):
            torch.autograd.backward(layer(inputs).sum())
            optimizer.step()
            monitor.record(1.0, torch.rand(4), torch.rand(4))
    history = monitor.report().history
    for steps in (
        [sample.step for sample in history.layers[""]],
        [spread.step for spread in history.spreads],
    ):
        assert 100 <= len(steps) <= 256
        assert steps[-1] >= 699
        assert steps == sorted(steps)
    assert [sample.step for sample in history.layers[""]][:7] == [0, 1, 2, 3, 4, 5, 6]


# --- what is met ----------------------------------------------------------------------


def step_of(model: nn.Module, loss: Callable[[], Tensor]) -> Monitor:
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer) as monitor:
        torch.autograd.backward(loss())
        optimizer.step()
    return monitor


def total(layer: nn.Module, inputs: Tensor) -> Tensor:
    output: Tensor = layer(inputs)[0]
    return output.sum()


class Odd(nn.LSTM):
    """Takes what no layer of PyTorch takes, and changes it."""

    def forward(self, inputs: Any, hx: Any = None) -> Any:
        features = inputs["features"] if isinstance(inputs, dict) else inputs
        features.mul_(2.0)
        output, _ = super().forward(features.reshape(STEPS, BATCH, FEATURES))
        return {"output": output}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_layer_that_is_called_otherwise_warns_once_and_trains(wrapped: bool) -> None:
    torch.manual_seed(0)
    layer = Odd(FEATURES, HIDDEN)
    model = nn.ModuleDict({"odd": layer})
    features = sequences(LENGTHS).reshape(STEPS, BATCH, 2, 2)
    inputs = {"features": features} if wrapped else features
    optimizer = SGD(model.parameters(), lr=0.1)
    with warnings.catch_warnings(record=True) as caught, Monitor(model, optimizer) as monitor:
        warnings.simplefilter("always")
        for _ in range(3):
            torch.autograd.backward(layer(inputs)["output"].sum())
            optimizer.step()
    (told,) = [str(warning.message) for warning in caught if warning.category is MonitorWarning]
    assert told.startswith("the monitor cannot look at the layer 'odd', and leaves it out")
    assert monitor.history.steps == 3
    assert monitor.report().history.layers == {}


def test_a_loss_whose_shapes_surprise_trains() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(FEATURES, HIDDEN)})
    criterion = nn.CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer, criterion=criterion) as monitor:
        output = model["rnn"](sequences(LENGTHS))[0]
        losses = [
            criterion(output[-1, 0], torch.tensor(1)),
            criterion(output[-1], torch.rand(BATCH, HIDDEN).softmax(1)),
            criterion(output[:0].reshape(0, HIDDEN), torch.zeros(0, dtype=torch.long)),
            criterion(output[-1], target=torch.zeros(BATCH, dtype=torch.long)),
        ]
        torch.autograd.backward(losses[0] + losses[1] + losses[3])
        optimizer.step()
        # What a loss takes and a monitor does not.
        nothing: Any = None
        with pytest.warns(MonitorWarning, match="what cross_entropy compares"):
            monitor.compare("cross_entropy", output[-1], nothing)
        monitor.record(losses[0], output[-1, :, 0], torch.zeros(1, 2, 3))
    assert len(monitor.report().history.spreads) == 1


def test_an_empty_batch_and_a_single_step_train() -> None:
    for shape in ((STEPS, 0, FEATURES), (1, BATCH, FEATURES), (2, 1, FEATURES)):
        layer = nn.GRU(FEATURES, HIDDEN)
        inputs = torch.zeros(shape)
        monitor = step_of(layer, partial(total, layer, inputs))
        samples = monitor.report().history.layers.get("", [])
        assert len(samples) == (shape[1] > 0)
        assert all(sample.early_to_late is None for sample in samples)


def test_sequences_of_no_steps_are_padding() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(FEATURES, HIDDEN)
    inputs = sequences([20, 0, 5, 0, 20, 20])
    monitor = step_of(layer, lambda: layer(inputs)[0].sum())
    (sample,) = monitor.report().history.layers[""]
    assert sample.padding == pytest.approx(1 - 65 / 120)


def test_features_of_a_frozen_layer_get_no_gradient() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(FEATURES, HIDDEN), "head": nn.Linear(HIDDEN, 1)})
    model["rnn"].requires_grad_(False)
    outputs = []

    def loss() -> Tensor:
        output = model["rnn"](sequences(LENGTHS))[0]
        outputs.append(output)
        read: Tensor = model["head"](output[-1])
        return read.sum()

    step_of(model, loss)
    assert not outputs[0].requires_grad
    assert outputs[0].numpy().shape == (STEPS, BATCH, HIDDEN)


def test_a_packed_sequence_keeps_its_order() -> None:
    layer = nn.LSTM(FEATURES, HIDDEN)
    packed = pack_padded_sequence(sequences(LENGTHS), torch.tensor(LENGTHS), enforce_sorted=False)
    expected = layer(packed)[1][0]
    made: list[Tensor] = []

    def loss() -> Tensor:
        output, (final, _) = layer(packed)
        assert isinstance(output, PackedSequence)
        assert output.unsorted_indices is packed.unsorted_indices
        made.append(final)
        return torch.as_tensor(final.sum())

    step_of(layer, loss)
    assert torch.equal(made[0], expected)


def test_weights_that_change_with_each_reading_are_not_read() -> None:
    found = []
    for monitored in (False, True):
        torch.manual_seed(0)
        layer = nn.LSTM(FEATURES, HIDDEN)
        spectral_norm(layer, "weight_hh_l0")
        if monitored:
            monitor = step_of(layer, partial(total, layer, sequences(LENGTHS)))
            assert monitor.report().history.layers[""][0].gates == {}
        else:
            layer(sequences(LENGTHS))
        found.append([buffer.clone() for buffer in layer.buffers()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_more_calls_than_are_looked_at_can_be_checkpointed() -> None:
    cell = nn.GRUCell(FEATURES, HIDDEN)
    step = torch.randn(2, FEATURES)

    def unrolled(state: Tensor) -> Tensor:
        for _ in range(300):
            state = cell(step, state)
        return state

    def loss() -> Tensor:
        state = torch.zeros(2, HIDDEN)
        for _ in range(2):
            state = checkpoint(unrolled, state, use_reentrant=False)
        return state.sum()

    monitor = step_of(cell, loss)
    assert monitor.report().history.layers[""][0].steps == 512


def test_transforms_of_functions_warn_at_most_once_and_are_right() -> None:
    cell = nn.RNNCell(FEATURES, HIDDEN)
    weights = dict(cell.named_parameters())
    step = torch.randn(2, FEATURES)

    def loss(given: Mapping[str, Tensor]) -> Tensor:
        made: Tensor = torch.func.functional_call(cell, dict(given), (step,))
        return made.sum()

    expected = torch.func.grad(loss)(weights)
    with Monitor(cell, SGD(cell.parameters(), lr=0.1)), warnings.catch_warnings():
        warnings.simplefilter("ignore", MonitorWarning)
        found = torch.func.grad(loss)(weights)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


trace: Any = torch.jit.trace


def test_a_traced_layer_has_nothing_of_the_monitor() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(FEATURES, HIDDEN)})
    inputs = sequences(LENGTHS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = str(trace(model["rnn"], (inputs,)).graph)
        with Monitor(model, SGD(model.parameters(), lr=0.1)):
            watched = str(trace(model["rnn"], (inputs,)).graph)
    assert watched.count("aten::") == plain.count("aten::")


def test_copies_are_not_watched() -> None:
    model = Reader()
    optimizer = SGD(model.parameters(), lr=0.1)
    ids, features = torch.randint(1, 9, (STEPS, BATCH)), sequences(LENGTHS)
    with Monitor(model, optimizer, criterion=model.criterion) as monitor:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
            torch.autograd.backward(other(ids, features))
        optimizer.step()
        copy.deepcopy({"monitor": monitor})
    assert monitor.report().history.layers == {}
    assert monitor.report().history.losses.values == []
