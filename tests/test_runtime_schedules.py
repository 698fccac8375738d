"""Schedules beside their formulas, and plateaus beside PyTorch's."""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from rnnlint.runtime.schedules import (
    CheckedPlateau,
    plateau,
    warmup_constant,
    warmup_cosine,
    warmup_inverse_sqrt,
    warmup_linear,
)

PEAK = 0.5
Schedule: TypeAlias = Callable[[Optimizer], LambdaLR]

SCHEDULES: dict[str, Schedule] = {
    "cosine": lambda optimizer: warmup_cosine(optimizer, 4, 20, min_ratio=0.1),
    "linear": lambda optimizer: warmup_linear(optimizer, 4, 20, min_ratio=0.1),
    "inverse sqrt": lambda optimizer: warmup_inverse_sqrt(optimizer, 4),
    "constant": lambda optimizer: warmup_constant(optimizer, 4),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))


def an_optimizer(*rates: Any) -> Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (PEAK,)]
    return SGD(groups, lr=PEAK)


def rates(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def run(schedule: Schedule, steps: int) -> list[float]:
    """The factor of each step."""
    optimizer = an_optimizer()
    scheduler = schedule(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(rates(optimizer)[0] / PEAK)
        optimizer.step()
        scheduler.step()
    return factors


# --- shapes --------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 5))
def test_the_decays_follow_their_formulas(
    warmup: int, decay: int, min_ratio: float, beyond: int
) -> None:
    total = warmup + decay
    rising = [(step + 1) / (warmup + 1) for step in range(warmup)]
    done = [step / decay for step in range(decay)] + [1.0] * beyond
    cosine = [min_ratio + (1 - min_ratio) * (1 + math.cos(math.pi * d)) / 2 for d in done]
    linear = [min_ratio + (1 - min_ratio) * (1 - d) for d in done]
    steps = total + beyond
    # The Transformer's formula, its steps counted from one.
    noam = [min((s + 1) ** -0.5, (s + 1) * (warmup + 1) ** -1.5) for s in range(steps)]

    def measured(decay: Callable[..., LambdaLR], *arguments: int, **options: float) -> list[float]:
        return run(lambda optimizer: decay(optimizer, warmup, *arguments, **options), steps)

    assert measured(warmup_cosine, total, min_ratio=min_ratio) == pytest.approx(rising + cosine)
    assert measured(warmup_linear, total, min_ratio=min_ratio) == pytest.approx(rising + linear)
    assert measured(warmup_inverse_sqrt) == pytest.approx(
        [rate * math.sqrt(warmup + 1) for rate in noam]
    )
    assert measured(warmup_constant) == pytest.approx((rising + [1.0] * steps)[:steps])


@every_schedule
def test_each_step_of_the_warm_up_is_above_the_last_and_none_of_the_decay_is(
    schedule: Schedule,
) -> None:
    factors = run(schedule, 30)
    assert factors[0] == pytest.approx(0.2)
    assert factors[4] == 1.0 == max(factors)
    assert all(now < then for now, then in pairwise(factors[:5]))
    assert all(now >= then for now, then in pairwise(factors[4:]))


def test_the_rate_stays_at_its_least_when_training_goes_on() -> None:
    assert run(lambda optimizer: warmup_cosine(optimizer, 0, 5), 8)[5:] == [0.0, 0.0, 0.0]
    factors = run(lambda optimizer: warmup_linear(optimizer, 2, 5, min_ratio=0.25), 8)
    assert factors[4] > 0.25
    assert factors[5:] == [0.25, 0.25, 0.25]


@every_schedule
def test_each_group_has_a_peak_of_its_own(schedule: Schedule) -> None:
    optimizer = an_optimizer(PEAK, 2.0)
    scheduler = schedule(optimizer)
    assert isinstance(scheduler, LRScheduler)
    for factor in run(schedule, 25):
        assert rates(optimizer) == pytest.approx([PEAK * factor, 2.0 * factor])
        assert scheduler.get_last_lr() == rates(optimizer)
        optimizer.step()
        scheduler.step()


@every_schedule
def test_a_rate_that_is_a_tensor_stays_the_same_tensor(schedule: Schedule) -> None:
    rate = torch.tensor(PEAK, dtype=torch.float64)
    optimizer = AdamW([nn.Parameter(torch.zeros(1))], lr=rate, foreach=False)
    scheduler = schedule(optimizer)
    held = optimizer.param_groups[0]["lr"]
    for factor in run(schedule, 25):
        assert optimizer.param_groups[0]["lr"] is held
        assert float(held) == pytest.approx(PEAK * factor)
        optimizer.step()
        scheduler.step()


# --- going on ------------------------------------------------------------------------


def train(
    model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler, steps: range
) -> list[float]:
    seen = []
    for step in steps:
        optimizer.zero_grad()
        features = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        model(features).square().mean().backward()
        seen += rates(optimizer)
        optimizer.step()
        scheduler.step()
    return seen


@every_schedule
@pytest.mark.parametrize("interruption", [2, 4, 11, 22])
def test_a_run_that_is_resumed_is_the_run_that_was_not_interrupted(
    schedule: Schedule, interruption: int
) -> None:
    def fresh() -> tuple[nn.Module, Optimizer, LambdaLR]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = AdamW(model.parameters(), lr=0.1)
        return model, optimizer, schedule(optimizer)

    whole = fresh()
    expected = train(*whole, range(25))

    first = fresh()
    seen = train(*first, range(interruption))
    checkpoint = io.BytesIO()
    torch.save([part.state_dict() for part in first], checkpoint)
    checkpoint.seek(0)
    second = fresh()
    states = torch.load(checkpoint, weights_only=True)
    for part, state in enumerate(states):
        second[part].load_state_dict(state)
    seen += train(*second, range(interruption, 25))

    assert seen == expected
    for ours, theirs in zip(second[0].parameters(), whole[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert second[2].state_dict() == whole[2].state_dict()


def test_a_state_brings_its_schedule_along() -> None:
    saved = warmup_cosine(an_optimizer(), 4, 20)
    optimizer = an_optimizer()
    scheduler = warmup_cosine(optimizer, 1, 2)
    scheduler.load_state_dict(saved.state_dict())
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == pytest.approx([PEAK * 2 / 5])


@pytest.mark.parametrize(
    "resumed",
    [
        lambda optimizer: warmup_cosine(optimizer, 4, 20, min_ratio=0.1, last_step=9),
        lambda optimizer: warmup_linear(optimizer, 4, 20, min_ratio=0.1, last_step=9),
        lambda optimizer: warmup_inverse_sqrt(optimizer, 4, last_step=9),
        lambda optimizer: warmup_constant(optimizer, 4, last_step=9),
    ],
    ids=list(SCHEDULES),
)
def test_a_schedule_goes_on_after_a_step_without_its_state(
    resumed: Schedule, request: pytest.FixtureRequest
) -> None:
    schedule = SCHEDULES[request.node.callspec.id]
    optimizer = an_optimizer()
    scheduler = schedule(optimizer)
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    restored = an_optimizer()
    restored.load_state_dict(optimizer.state_dict())
    continued = resumed(restored)
    for _ in range(12):
        assert rates(restored) == rates(optimizer)
        for one, other in ((optimizer, scheduler), (restored, continued)):
            one.step()
            other.step()


# --- mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [warmup_cosine, warmup_linear])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"warmup_steps": -1, "total_steps": 5}, ValueError, "warmup_steps is -1"),
        ({"warmup_steps": 5, "total_steps": 5}, ValueError, "leaves none of the 5 steps"),
        ({"warmup_steps": 9, "total_steps": 5}, ValueError, "leaves none of the 5 steps"),
        ({"warmup_steps": 0.5, "total_steps": 5}, TypeError, "0.5 is no whole number: round"),
        ({"warmup_steps": 0, "total_steps": 5.0}, TypeError, "total_steps counts"),
        ({"warmup_steps": 0, "total_steps": 5, "min_ratio": 1.5}, ValueError, "share of the peak"),
        ({"warmup_steps": 0, "total_steps": 5, "min_ratio": math.nan}, ValueError, "not nan"),
    ],
)
def test_impossible_decays_are_refused(
    decay: Callable[..., LambdaLR],
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    optimizer = an_optimizer()
    with pytest.raises(error, match=message):
        decay(optimizer, **arguments)
    assert rates(optimizer) == [PEAK]


@pytest.mark.parametrize("schedule", [warmup_inverse_sqrt, warmup_constant])
def test_impossible_warm_ups_are_refused(schedule: Callable[..., LambdaLR]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        schedule(an_optimizer(), -1)
    with pytest.raises(TypeError, match="no whole number"):
        schedule(an_optimizer(), 1.5)


# --- plateau -------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-10, 10), max_size=25),
    st.sampled_from(["min", "max"]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from(["rel", "abs"]),
)
def test_with_proper_metrics_it_is_that_of_pytorch(
    metrics: list[float], mode: Any, patience: int, cooldown: int, threshold_mode: Any
) -> None:
    options: Any = {"patience": patience, "cooldown": cooldown, "threshold_mode": threshold_mode}
    ours, theirs = an_optimizer(1.0, 0.1), an_optimizer(1.0, 0.1)
    checked = plateau(ours, mode, factor=0.5, threshold=0.1, min_lr=[0.3, 0.0], **options)
    plain = ReduceLROnPlateau(theirs, mode, factor=0.5, threshold=0.1, min_lr=[0.3, 0.0], **options)
    assert isinstance(checked, ReduceLROnPlateau)
    for metric in metrics:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the learning rate is lowered")
            checked.step(metric)
        plain.step(metric)
        assert rates(ours) == rates(theirs)


def a_plateau(mode: Any = "min", **options: Any) -> CheckedPlateau:
    return plateau(an_optimizer(), mode, **options)


@pytest.mark.parametrize(
    "metric",
    [0.25, torch.tensor(0.25), torch.tensor([[0.25]]), nn.Parameter(torch.tensor(0.25))],
)
def test_any_single_number_is_a_metric(metric: Any) -> None:
    scheduler = a_plateau()
    scheduler.step(metric)
    assert scheduler.best == 0.25


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        (None, TypeError, r"scheduler\.step\(validation_loss\)"),
        (torch.zeros(3), ValueError, r"shape \(3,\): take its mean"),
        (torch.zeros(0), ValueError, "take its mean"),
        ({"loss": 1.0}, TypeError, "dict is none"),
        ([1.0, 2.0], TypeError, "list is none"),
        ("0.5", TypeError, "str is none"),
        (math.nan, ValueError, r"NaN at call 2 \(the best so far is 1\)"),
        (torch.tensor(math.nan), ValueError, "leave out step"),
        (-math.inf, ValueError, "nothing could ever improve on"),
    ],
)
def test_what_is_no_metric_is_refused_and_not_counted(
    metric: Any, error: type[Exception], message: str
) -> None:
    scheduler = a_plateau(patience=0)
    scheduler.step(1.0)
    before = copy.deepcopy(scheduler.state_dict())
    with pytest.raises(error, match=message):
        scheduler.step(metric)
    assert scheduler.state_dict() == before
    assert rates(scheduler.optimizer) == [PEAK]


def test_a_call_without_a_metric_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match="needs the metric that should improve"):
        a_plateau().step()


def test_which_infinity_is_good_depends_on_the_mode() -> None:
    with pytest.raises(ValueError, match='mode="max"'):
        a_plateau("max").step(math.inf)
    for mode, bad in (("min", math.inf), ("max", -math.inf)):
        scheduler = a_plateau(mode, patience=0)
        scheduler.step(1.0)
        scheduler.step(bad)
        assert rates(scheduler.optimizer) == pytest.approx([PEAK / 10])


FALLING = [1.0, 0.9, 0.7, 0.8, 0.5, 0.4, 0.3]


@pytest.mark.parametrize(
    ("mode", "metrics", "remedy"),
    [
        ("max", FALLING, r'never better than at first, 1, .* now at its worst, 0\.3.*mode="min"'),
        ("min", [-metric for metric in FALLING], 'an accuracy .*mode="max"'),
    ],
)
def test_a_metric_that_goes_the_wrong_way_is_told(
    mode: Any, metrics: Sequence[float], remedy: str
) -> None:
    scheduler = a_plateau(mode, patience=5)
    for metric in metrics[:-1]:
        scheduler.step(metric)
    with pytest.warns(UserWarning, match=remedy) as caught:
        scheduler.step(metrics[-1])
    assert caught[0].filename == __file__
    assert rates(scheduler.optimizer) == pytest.approx([PEAK / 10])


@pytest.mark.parametrize(
    "metrics",
    [
        [1.0] * 8,  # flat
        [1.0, 1.2, *[1.1] * 6],  # better than at first
        [1.0, 0.5, *[0.9] * 6],  # not at its worst
    ],
)
def test_an_ordinary_plateau_is_lowered_without_a_word(metrics: Sequence[float]) -> None:
    scheduler = a_plateau("max", patience=5)
    for metric in metrics:
        scheduler.step(metric)
    assert rates(scheduler.optimizer) == pytest.approx([PEAK / 10])


def test_too_few_calls_tell_nothing_about_the_direction() -> None:
    scheduler = a_plateau("max", patience=0)
    for metric in FALLING[:4]:
        scheduler.step(metric)
    assert rates(scheduler.optimizer) == pytest.approx([PEAK / 1000])


@pytest.mark.parametrize("interruption", range(1, len(FALLING)))
def test_a_plateau_is_resumed(interruption: int) -> None:
    first = a_plateau("max", patience=5)
    for metric in FALLING[:interruption]:
        first.step(metric)
    checkpoint = io.BytesIO()
    torch.save([first.optimizer.state_dict(), first.state_dict()], checkpoint)
    checkpoint.seek(0)
    second = a_plateau("max", patience=1)
    optimizer_state, state = torch.load(checkpoint, weights_only=True)
    second.optimizer.load_state_dict(optimizer_state)
    second.load_state_dict(state)
    for metric in FALLING[interruption:-1]:
        second.step(metric)
    with pytest.warns(UserWarning, match="never better than at first, 1,"):
        second.step(FALLING[-1])
    assert rates(second.optimizer) == pytest.approx([PEAK / 10])


def test_the_state_of_a_plain_plateau_is_accepted() -> None:
    plain = ReduceLROnPlateau(an_optimizer(), "max")
    plain.step(0.5)
    scheduler = a_plateau("max")
    scheduler.load_state_dict(plain.state_dict())
    scheduler.step(0.4)
    assert (scheduler.best, scheduler.num_bad_epochs) == (0.5, 1)


def test_other_schedulers_may_be_called_in_the_same_way() -> None:
    scheduler = a_plateau()
    scheduler.step(metrics=torch.tensor(0.5))
    with pytest.warns(UserWarning, match="epoch"):
        scheduler.step(0.4, epoch=7)
    assert scheduler.last_epoch == 7


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "down"}, ValueError, "'down'"),
        ({"factor": 0.0}, ValueError, "factor=0.0 must be between 0 and 1"),
        ({"factor": 1.0}, ValueError, "multiplies the rate"),
        ({"patience": -1}, ValueError, "patience is -1"),
        ({"patience": 2.5}, TypeError, "patience counts"),
        ({"cooldown": -1}, ValueError, "cooldown is -1"),
        ({"min_lr": [0.0, 0.0]}, ValueError, "expected 1 min_lrs"),
    ],
)
def test_impossible_plateaus_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        a_plateau(**options)


def test_a_tensors_rate_is_lowered() -> None:
    weight: Tensor = nn.Parameter(torch.zeros(1))
    optimizer = AdamW([weight], lr=torch.tensor(PEAK), foreach=False)
    scheduler = plateau(optimizer, patience=0)
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert rates(optimizer) == pytest.approx([PEAK / 10])
