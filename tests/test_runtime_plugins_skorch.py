"""The callback under the nets of skorch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from plugged import BATCHES, Model, examples, rates_of
from sklearn.base import clone  # type: ignore[import-untyped]  # it has no types
from skorch import NeuralNetRegressor
from skorch.callbacks import (
    Callback,
    Checkpoint,
    GradientNormClipping,
    LoadInitState,
    LRScheduler,
    TensorBoard,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from rnnlint.runtime.initialization import RecurrentInitializationWarning
from rnnlint.runtime.plugins.skorch import RNNLintCallback
from rnnlint.runtime.schedules import warmup_cosine

INPUTS, TARGETS = (part.numpy() for part in examples().tensors)


class Remembering(Callback):  # type: ignore[misc]  # which has no types
    """Remembers the rates, and the norms of gradients that the optimizer is given."""

    def initialize(self) -> Remembering:
        self.rates_: list[float] = []
        self.norms_: list[float] = []
        self.first_weights_: Tensor | None = None
        return self

    def on_grad_computed(self, net: Any, named_parameters: Any, **more: Any) -> None:
        if self.first_weights_ is None:
            self.first_weights_ = net.module_.lstm.weight_hh_l0.detach().clone()
        self.rates_.append(net.optimizer_.param_groups[0]["lr"])
        found = [weight.grad.flatten() for _, weight in named_parameters]
        self.norms_.append(float(torch.cat(found).norm()))


def make_net(*callbacks: Any, epochs: int = 2, **options: Any) -> Any:
    torch.manual_seed(0)
    return NeuralNetRegressor(
        Model,
        lr=0.1,
        max_epochs=epochs,
        batch_size=4,
        train_split=None,
        callbacks=[*callbacks, ("remembering", Remembering())],
        **options,
    )


def remembered(net: Any) -> Remembering:
    found: Remembering = dict(net.callbacks_)["remembering"]
    return found


def test_numbers_reach_the_history_and_tensorboard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = RNNLintCallback(every=7)
    writer = SummaryWriter(str(tmp_path))
    net = make_net(callback, TensorBoard(writer)).fit(INPUTS, TARGETS)
    writer.close()
    batches = [batch for epoch in net.history for batch in epoch["batches"]]
    name = "rnnlint/lstm/early_to_late"
    sampled = [number for number, batch in enumerate(batches) if name in batch]
    assert sampled == [0, 1, 2, 3, 4, 11, 18]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (tag,) = [tag for tag in events.Tags()["scalars"] if tag.endswith(name)]
    values = [event.value for event in events.Scalars(tag)]
    assert values == pytest.approx([batches[4][name], batches[18][name]])
    assert callback.monitor is not None
    assert len(callback.monitor.history.losses.values) == 2 * BATCHES
    printed = capsys.readouterr().out
    assert "train_loss" in printed and name not in printed
    assert f"{2 * BATCHES} steps were watched" in printed


def test_it_is_cloned_as_it_was_made() -> None:
    callback = RNNLintCallback(clip=0.5, schedule="linear", every=7, report=False)
    net = make_net(("rnnlint", callback), verbose=0).fit(INPUTS, TARGETS)
    copied = clone(net).set_params(callbacks__rnnlint__clip=2.0)
    assert copied.get_params()["callbacks__rnnlint__every"] == 7
    copied.fit(INPUTS, TARGETS)
    made = dict(copied.callbacks_)["rnnlint"]
    assert made is not callback
    assert made.monitor.history.bounds == [2.0]
    assert callback.monitor is not None and callback.monitor.history.bounds == [0.5]
    net.fit(INPUTS, TARGETS)
    assert callback.monitor.history.steps == 2 * BATCHES


def test_it_clips_after_it_has_seen_the_norm() -> None:
    free = make_net(RNNLintCallback(report=False), verbose=0).fit(INPUTS, TARGETS)
    callback = RNNLintCallback(clip=1e-3, report=False)
    bound = make_net(callback, verbose=0).fit(INPUTS, TARGETS)
    assert remembered(free).norms_[0] > 0.01
    assert remembered(bound).norms_ == pytest.approx([1e-3] * 2 * BATCHES, rel=1e-3)
    assert callback.monitor is not None
    assert callback.monitor.history.norms.numbers[0] == pytest.approx(remembered(free).norms_[0])


def test_it_schedules_the_whole_training_in_steps() -> None:
    net = make_net(RNNLintCallback(schedule="cosine", warmup=0.25, report=False), verbose=0)
    net.fit(INPUTS, TARGETS)
    steps = 2 * BATCHES
    expected = rates_of(lambda optimizer: warmup_cosine(optimizer, steps // 4, steps), steps)
    assert remembered(net).rates_ == pytest.approx(expected)


def test_what_acts_twice_is_refused() -> None:
    clipping = GradientNormClipping(1.0)
    with pytest.raises(ValueError, match=r"gradient_clip_value of GradientNormClipping=1\.0"):
        make_net(RNNLintCallback(clip=2.0), clipping).fit(INPUTS, TARGETS)
    scheduling = LRScheduler("StepLR", step_size=1)
    with pytest.raises(ValueError, match="the callback LRScheduler both set"):
        make_net(RNNLintCallback(schedule="linear"), scheduling).fit(INPUTS, TARGETS)
    with pytest.raises(ValueError, match="schedule is one of"):
        make_net(RNNLintCallback(schedule="exponential")).initialize()  # type: ignore[arg-type]


def test_it_initialises_what_nobody_has() -> None:
    net = make_net(RNNLintCallback(initialise=True, report=False), verbose=0)
    net.fit(INPUTS, TARGETS)
    first = remembered(net).first_weights_
    assert first is not None
    torch.testing.assert_close(first[:16] @ first[:16].T, torch.eye(16), atol=1e-5, rtol=0)

    loaded = make_net(RNNLintCallback(initialise=True, report=False), verbose=0).initialize()
    loaded.module_.load_state_dict(net.module_.state_dict())
    weights = loaded.module_.lstm.weight_hh_l0.detach().clone()
    with pytest.warns(RecurrentInitializationWarning, match="lstm: not initialised"):
        loaded.partial_fit(INPUTS, TARGETS)
    unchanged = remembered(loaded).first_weights_
    assert unchanged is not None and torch.equal(unchanged, weights)


class Interrupting(Callback):  # type: ignore[misc]  # which has no types
    """Ends the training after its first epoch, as a keyboard does, and keeps a copy of the net."""

    def on_epoch_end(self, net: Any, **more: Any) -> None:
        if len(net.history) == 1:
            self.copy_ = pickle.dumps(net)
            raise KeyboardInterrupt


def acting() -> RNNLintCallback:
    return RNNLintCallback(schedule="cosine", initialise=True, clip=0.5, report=False, every=7)


def test_a_pickled_net_goes_on() -> None:
    whole = make_net(("rnnlint", acting()), verbose=0).fit(INPUTS, TARGETS)
    interrupting = Interrupting()
    half = make_net(("rnnlint", acting()), interrupting, verbose=0).fit(INPUTS, TARGETS)
    for copied in (interrupting.copy_, pickle.dumps(half)):
        rest = pickle.loads(copied).set_params(max_epochs=1).partial_fit(INPUTS, TARGETS)
        assert remembered(rest).rates_ == pytest.approx(remembered(whole).rates_)
        for name, weight in whole.module_.named_parameters():
            torch.testing.assert_close(rest.module_.get_parameter(name), weight)
        histories = [dict(net.callbacks_)["rnnlint"].monitor.history for net in (whole, rest)]
        assert histories[1].steps == 2 * BATCHES
        assert histories[1].losses == histories[0].losses


def test_the_schedule_goes_on_where_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    whole = make_net(acting(), verbose=0).fit(INPUTS, TARGETS)
    checkpoint = Checkpoint(monitor=None, dirname=str(tmp_path))
    half = make_net(acting(), checkpoint, Interrupting(), verbose=0).fit(INPUTS, TARGETS)
    rest = make_net(acting(), LoadInitState(checkpoint), epochs=1, verbose=0).fit(INPUTS, TARGETS)
    rates = remembered(half).rates_ + remembered(rest).rates_
    assert rates == pytest.approx(remembered(whole).rates_)
    for name, weight in whole.module_.named_parameters():
        torch.testing.assert_close(rest.module_.get_parameter(name), weight)
