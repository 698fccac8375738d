"""clip_gradients under a GradScaler, which must unscale once and see what is infinite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from clipped import gradient_of, parameter, scaled, trained_tagger
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD, Optimizer

from rnnlint.runtime.clipping import AdaptiveClipper, NonFiniteGradientError, clip_gradients


def only_weight(optimizer: Optimizer) -> float:
    weight: Tensor = optimizer.param_groups[0]["params"][0]
    return weight.item()


@pytest.fixture
def scaler() -> GradScaler:
    return GradScaler("cpu", init_scale=1024.0)


def test_gradients_are_clipped_at_their_true_scale(scaler: GradScaler) -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = SGD(weights, lr=1.0)
    scaled(optimizer, scaler, [3.0, 4.0])
    assert float(clip_gradients(optimizer, 1.0, scaler)) == 5.0
    scaler.step(optimizer)
    scaler.update()
    assert [w.item() for w in weights] == pytest.approx([-0.6, -0.8])


def test_a_caller_may_have_unscaled_before(scaler: GradScaler) -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scaled(optimizer, scaler, [3.0])
    scaler.unscale_(optimizer)
    assert float(clip_gradients(optimizer, 1.0, scaler)) == 3.0
    assert float(clip_gradients(optimizer, 1.0, scaler)) == pytest.approx(1.0)


def test_several_optimizers_are_each_unscaled_once_and_share_a_norm(scaler: GradScaler) -> None:
    optimizers = [SGD([nn.Parameter(torch.zeros(1))], lr=1.0) for _ in range(2)]
    for optimizer, slope in zip(optimizers, [3.0, 4.0], strict=True):
        scaled(optimizer, scaler, [slope])
    assert float(clip_gradients([*optimizers, optimizers[0]], 1.0, scaler)) == 5.0
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
    weights = [only_weight(optimizer) for optimizer in optimizers]
    assert weights == pytest.approx([-0.6, -0.8])


@pytest.mark.parametrize("nonfinite", ["error", "skip"])
def test_infinite_gradients_are_left_to_the_scaler(scaler: GradScaler, nonfinite: Any) -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = SGD(weights, lr=1.0)
    scaled(optimizer, scaler, [3.0, 1e38])  # infinite once it is scaled
    norm = clip_gradients(optimizer, 1.0, scaler, nonfinite)
    assert not norm.isfinite()
    assert [float(gradient_of(w)) for w in weights] == [3.0, math.inf]
    scaler.step(optimizer)
    scaler.update()
    assert [w.item() for w in weights] == [0.0, 0.0]
    assert scaler.get_scale() == 512.0


def test_under_a_scaler_too_huge_gradients_are_clipped() -> None:
    scaler = GradScaler("cpu", init_scale=1.0)
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scaled(optimizer, scaler, [1e30])
    assert float(clip_gradients(optimizer, 1.0, scaler)) == pytest.approx(1e30)
    scaler.step(optimizer)
    assert only_weight(optimizer) == pytest.approx(-1.0)


def test_a_scaler_that_is_disabled_changes_nothing() -> None:
    scaler = GradScaler("cpu", enabled=False)
    weight = parameter(torch.tensor([3.0, 4.0]))
    optimizer = SGD([weight], lr=1.0)
    assert float(clip_gradients(optimizer, 1.0, scaler)) == 5.0
    gradient_of(weight)[0] = math.nan
    with pytest.raises(NonFiniteGradientError):
        clip_gradients(optimizer, 1.0, scaler)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_scaler_needs_the_optimizer(enabled: bool) -> None:
    model = trained_tagger()
    scaler = GradScaler("cpu", enabled=enabled)
    mixed: list[Any] = [model, SGD(model.parameters(), lr=1.0)]
    for parameters in (model, model.parameters(), mixed):
        with pytest.raises(TypeError, match="with a scaler, pass the optimizer"):
            clip_gradients(parameters, 1.0, scaler)


def test_a_scaler_would_unscale_a_shared_gradient_twice(scaler: GradScaler) -> None:
    shared = nn.Parameter(torch.zeros(1))
    first, second = SGD([shared], lr=1.0), SGD([shared], lr=1.0)
    scaled(first, scaler, [3.0])
    with pytest.raises(ValueError, match="a parameter in common"):
        clip_gradients([first, second], 1.0, scaler)


def test_clipping_after_the_step_is_too_late(scaler: GradScaler) -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scaled(optimizer, scaler, [3.0])
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        clip_gradients(optimizer, 1.0, scaler)


def test_a_policy_in_the_scalers_place_is_told() -> None:
    with pytest.raises(TypeError, match=r"scaler is a torch\.amp\.GradScaler, not str"):
        clip_gradients(trained_tagger(), 1.0, "skip")  # type: ignore[arg-type]  # the mistake


def test_the_wrapper_of_accelerate_is_unscaled_once(scaler: GradScaler) -> None:
    accelerate = pytest.importorskip("accelerate")
    optimizer_module = pytest.importorskip("accelerate.optimizer")
    accelerate.Accelerator(cpu=True)
    weight = nn.Parameter(torch.zeros(1))
    wrapped = optimizer_module.AcceleratedOptimizer(SGD([weight], lr=1.0), scaler=scaler)
    scaled(wrapped, scaler, [3.0])
    assert float(clip_gradients(wrapped, 1.0, scaler)) == 3.0
    wrapped.step()
    assert weight.item() == pytest.approx(-1.0)


def test_an_adaptive_clipper_remembers_norms_at_their_true_scale(scaler: GradScaler) -> None:
    clipper = AdaptiveClipper(50, warmup_steps=0)
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    for slope in (3.0, 1e38, 5.0):
        scaled(optimizer, scaler, [slope])
        clipper.clip(optimizer, scaler)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    assert clipper.state_dict() == {"norms": [3.0, 5.0]}
    assert only_weight(optimizer) == pytest.approx(-3.0 - 4.0)
