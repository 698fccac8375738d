"""What AdaptiveClipper remembers, and what it clips to."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from clipped import Tagger, gradient_of, parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import Adam, Optimizer

from rnnlint.runtime.clipping import AdaptiveClipper, NonFiniteGradientError


def clip_a_norm_of(clipper: AdaptiveClipper, norm: float) -> float:
    """The norm that is left of a gradient of this norm."""
    weight = parameter(torch.tensor([norm, 0.0], dtype=torch.float64))
    assert float(clipper.clip(weight)) == norm
    return float(gradient_of(weight)[0])


positive = st.floats(1e-6, 1e6)


@settings(deadline=None, max_examples=80)
@given(st.lists(positive, min_size=1, max_size=30), st.floats(0, 100), st.integers(1, 12))
def test_the_bound_is_the_percentile_of_the_newest_norms(
    norms: list[float], percentile: float, window: int
) -> None:
    clipper = AdaptiveClipper(percentile, window=window, warmup_steps=0)
    for step, norm in enumerate(norms):
        newest = torch.tensor(norms[: step + 1][-window:], dtype=torch.float64)
        expected = float(torch.quantile(newest, percentile / 100))
        assert clip_a_norm_of(clipper, norm) == pytest.approx(min(norm, expected), rel=1e-9)
        assert clipper.threshold == pytest.approx(expected, rel=1e-9)
    assert clipper.state_dict() == {"norms": norms[-window:]}


def test_norms_are_only_remembered_during_the_warm_up() -> None:
    clipper = AdaptiveClipper(0, warmup_steps=3)
    assert clipper.threshold == math.inf
    assert [clip_a_norm_of(clipper, norm) for norm in (2.0, 1.0, 50.0)] == [2.0, 1.0, 50.0]
    assert clip_a_norm_of(clipper, 50.0) == pytest.approx(1.0)


def test_a_fixed_bound_holds_from_the_first_step_on() -> None:
    clipper = AdaptiveClipper(50, warmup_steps=1, max_norm=10.0)
    assert clip_a_norm_of(clipper, 100.0) == pytest.approx(10.0)
    assert clip_a_norm_of(clipper, 300.0) == pytest.approx(10.0)
    for _ in range(5):
        clip_a_norm_of(clipper, 4.0)
    assert clip_a_norm_of(clipper, 100.0) == pytest.approx(4.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_never_remembered(value: float) -> None:
    clipper = AdaptiveClipper(50, warmup_steps=0, nonfinite="skip")
    for norm in (1.0, 2.0, 3.0):
        clip_a_norm_of(clipper, norm)
    before = clipper.state_dict()
    weight = parameter(torch.tensor([value, 1.0]))
    assert not clipper.clip(weight).isfinite()
    assert weight.grad is None
    assert clipper.state_dict() == before
    assert clip_a_norm_of(clipper, 173.0) == pytest.approx(2.5)


def test_by_default_what_is_not_finite_is_an_error() -> None:
    with pytest.raises(NonFiniteGradientError):
        AdaptiveClipper().clip(parameter(torch.tensor([math.nan])))


def test_gradients_of_zero_do_not_stop_training() -> None:
    clipper = AdaptiveClipper(10, warmup_steps=0)
    for _ in range(10):
        clip_a_norm_of(clipper, 0.0)
    assert clipper.state_dict() == {"norms": []}
    assert clip_a_norm_of(clipper, 2.0) == 2.0


def train(
    model: Tagger, optimizer: Optimizer, clipper: AdaptiveClipper, steps: range
) -> list[float]:
    norms = []
    for step in steps:
        words = torch.randint(0, 11, (4, 7), generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(words).square().sum().backward()
        norms.append(float(clipper.clip(optimizer)))
        optimizer.step()
    return norms


def test_a_run_that_is_resumed_is_the_run_that_was_not_interrupted() -> None:
    def fresh() -> tuple[Tagger, Optimizer, AdaptiveClipper]:
        torch.manual_seed(0)
        model = Tagger()
        clipper = AdaptiveClipper(25, window=8, warmup_steps=3)
        return model, Adam(model.parameters(), lr=0.01), clipper

    model, optimizer, clipper = fresh()
    whole = train(model, optimizer, clipper, range(20))

    first = fresh()
    norms = train(*first, range(11))
    checkpoint = io.BytesIO()
    torch.save([part.state_dict() for part in first], checkpoint)
    checkpoint.seek(0)
    second = fresh()
    states = torch.load(checkpoint, weights_only=True)
    for part, state in enumerate(states):
        second[part].load_state_dict(state)
    norms += train(*second, range(11, 20))

    assert norms == whole
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), second[0].parameters(), strict=True)
    )
    assert second[2].state_dict() == clipper.state_dict()


def test_a_shorter_window_keeps_the_newest_norms() -> None:
    clipper = AdaptiveClipper(window=2, warmup_steps=0)
    clipper.load_state_dict({"norms": [1.0, 2.0, 3.0]})
    assert clipper.state_dict() == {"norms": [2.0, 3.0]}
    clip_a_norm_of(clipper, 4.0)
    assert clipper.state_dict() == {"norms": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "this one has the keys"),
        ({"ema": 1.0}, "'ema'"),
        ({"norms": 3.0}, "this one has the keys"),
        ({"norms": [1.0, math.nan]}, "nan is not"),
        ({"norms": [0.0]}, r"0\.0 is not"),
        ({"norms": ["1"]}, "'1' is not"),
    ],
)
def test_a_state_of_something_else_is_refused(state: dict[str, Any], message: str) -> None:
    clipper = AdaptiveClipper()
    clipper.load_state_dict({"norms": [1.0]})
    with pytest.raises(ValueError, match=message):
        clipper.load_state_dict(state)
    assert clipper.state_dict() == {"norms": [1.0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"percentile": 101}, "between 0 and 100"),
        ({"percentile": math.nan}, "between 0 and 100"),
        ({"window": 0}, "warmup_steps"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"window": 5, "warmup_steps": 5}, "less than the 5 norms"),
        ({"max_norm": 0}, "max_norm must be positive"),
        ({"nonfinite": "ignore"}, '"error" or "skip"'),
        ({"norm_type": 0}, "norm_type must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveClipper(**arguments)
