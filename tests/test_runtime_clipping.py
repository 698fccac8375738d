"""What clip_gradients does, beside PyTorch and beside plain arithmetic."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from clipped import Tagger, gradient_of, gradients, parameter, trained_tagger
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import SGD, Adam

from rnnlint.runtime.clipping import NonFiniteGradientError, clip_gradients

NORM_TYPES = (1.0, 2.0, 3.0, math.inf)


# --- the norm and the scaling --------------------------------------------------------

numbers = st.floats(-1e3, 1e3, width=32)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@st.composite
def drawn_gradients(draw: st.DrawFn) -> list[Tensor | None]:
    drawn = draw(st.lists(st.none() | st.tuples(st.lists(numbers, max_size=5), dtypes), max_size=6))
    rest: list[Tensor | None] = [
        None if one is None else torch.tensor(one[0], dtype=torch.float64).to(one[1])
        for one in drawn
    ]
    return [*rest, torch.tensor(draw(st.lists(numbers, min_size=1, max_size=5)))]


@settings(deadline=None, max_examples=80)
@given(drawn_gradients(), st.floats(1e-3, 1e4), st.sampled_from(NORM_TYPES))
def test_it_is_the_norm_of_one_long_vector(
    drawn: list[Tensor | None], max_norm: float, norm_type: float
) -> None:
    parameters = [parameter(one, like=torch.zeros(2)) for one in drawn]
    vector = torch.cat([one.double() for one in drawn if one is not None])
    expected = float(torch.linalg.vector_norm(vector, norm_type))

    norm = clip_gradients(parameters, max_norm, norm_type=norm_type)

    assert norm.shape == ()
    assert float(norm) == pytest.approx(expected, rel=1e-5, abs=1e-10)  # squares underflow
    factor = min(1.0, max_norm / expected) if expected else 1.0
    present = [one for one in drawn if one is not None]
    for one, clipped in zip(present, gradients(parameters), strict=True):
        assert clipped.dtype == one.dtype
        # Two roundings, and half precision has no smaller number than 6e-8.
        rounding = 3 * torch.finfo(one.dtype).eps + 1e-6
        torch.testing.assert_close(
            clipped.double(), one.double() * factor, rtol=rounding, atol=1e-7
        )
    absent = [p.grad for p, one in zip(parameters, drawn, strict=True) if one is None]
    assert all(grad is None for grad in absent)


@settings(deadline=None, max_examples=40)
@given(drawn_gradients(), st.floats(1e-3, 1e4))
def test_within_the_bound_nothing_is_rounded(drawn: list[Tensor | None], excess: float) -> None:
    parameters = [parameter(one, like=torch.zeros(2)) for one in drawn]
    before = gradients(parameters)
    norm = clip_gradients(parameters, math.inf)
    clip_gradients(parameters, float(norm) + excess)
    for then, now in zip(before, gradients(parameters), strict=True):
        assert torch.equal(then, now)


@pytest.mark.parametrize("norm_type", NORM_TYPES)
@pytest.mark.parametrize("max_norm", [1e-2, 1.0, 1e6])
def test_finite_dense_gradients_are_clipped_as_by_pytorch(
    max_norm: float, norm_type: float
) -> None:
    ours, theirs = trained_tagger(), trained_tagger()
    norm = clip_gradients(ours, max_norm, norm_type=norm_type)
    expected = nn.utils.clip_grad_norm_(theirs.parameters(), max_norm, norm_type)
    torch.testing.assert_close(norm, expected)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-7)


def test_what_is_given_may_be_a_module_an_optimizer_parameters_or_several() -> None:
    model = trained_tagger()
    parts = [model.embedding, model.lstm, model.head]
    given: list[Any] = [
        model,
        SGD(model.parameters(), lr=1.0),
        model.parameters(),
        list(model.parameters()),
        model.named_parameters(),
        parts,
        [SGD(part.parameters(), lr=1.0) for part in parts],
        (SGD(part.parameters(), lr=1.0) for part in parts),
        [model.embedding, SGD(model.lstm.parameters(), lr=1.0), *model.head.parameters()],
    ]
    norms = [float(clip_gradients(one, math.inf)) for one in given]
    assert norms == [norms[0]] * len(given)
    weight = parameter(torch.tensor([3.0, 4.0]))
    assert float(clip_gradients(weight, math.inf)) == 5.0


def test_what_is_given_twice_counts_once() -> None:
    tied = parameter(torch.tensor([3.0, 4.0]))
    first, second = SGD([tied], lr=1.0), SGD([tied], lr=1.0)
    pairs: list[list[Any]] = [[tied, tied], [first, second], [first, first], [first, tied]]
    for pair in pairs:
        tied.grad = torch.tensor([3.0, 4.0])
        assert float(clip_gradients(pair, 1.0)) == 5.0
        torch.testing.assert_close(gradient_of(tied), torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("norm_type", NORM_TYPES)
def test_sparse_gradients_are_clipped_as_dense_ones_are(norm_type: float) -> None:
    sparse, dense = trained_tagger(sparse=True), trained_tagger()
    assert gradient_of(sparse.embedding.weight).is_sparse
    ours = clip_gradients(sparse, 0.1, norm_type=norm_type)
    theirs = clip_gradients(dense, 0.1, norm_type=norm_type)
    torch.testing.assert_close(ours, theirs)
    clipped = gradient_of(sparse.embedding.weight)
    assert clipped.is_sparse
    torch.testing.assert_close(clipped.to_dense(), dense.embedding.weight.grad)
    before = sparse.embedding.weight.detach().clone()
    SGD(sparse.parameters(), lr=1.0).step()
    torch.testing.assert_close(before - sparse.embedding.weight, dense.embedding.weight.grad)


def test_half_precision_neither_overflows_nor_rounds_the_factor_away() -> None:
    huge = parameter(torch.full((400,), 6e4, dtype=torch.float16))
    norm = clip_gradients(huge, 1.0)
    assert norm.dtype == torch.float32
    assert float(norm) == pytest.approx(1.2e6, rel=1e-3)
    torch.testing.assert_close(
        gradient_of(huge), torch.full((400,), 0.05, dtype=torch.float16), rtol=1e-3, atol=0
    )
    huge = parameter(torch.full((4,), 6e4, dtype=torch.float16))
    clip_gradients(huge, 1e-3)  # 8e-9, which is zero in half precision
    torch.testing.assert_close(
        gradient_of(huge), torch.full((4,), 5e-4, dtype=torch.float16), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize(
    ("dtype", "value"), [(torch.float32, 1e30), (torch.float32, 3e38), (torch.float64, 1e200)]
)
def test_gradients_whose_squares_overflow_are_clipped(dtype: torch.dtype, value: float) -> None:
    exploded = parameter(torch.full((4,), value, dtype=dtype))
    small = parameter(torch.ones(3))
    norm = clip_gradients([small, exploded], 1.0, nonfinite="error")
    assert math.isfinite(norm)
    torch.testing.assert_close(gradient_of(exploded), torch.full((4,), 0.5, dtype=dtype))
    assert float(gradient_of(small).max()) < 1e-20


def test_complex_gradients_count_by_their_magnitude() -> None:
    weight = parameter(torch.full((4,), 3 + 4j))
    assert float(clip_gradients(weight, 1.0)) == 10.0
    torch.testing.assert_close(gradient_of(weight), torch.full((4,), 0.3 + 0.4j))


def test_empty_parameters_have_no_largest_number() -> None:
    parameters = [parameter(torch.zeros(0)), parameter(torch.tensor([2.0, -4.0]))]
    assert float(clip_gradients(parameters, 1.0, norm_type=math.inf)) == 4.0
    assert float(clip_gradients(parameters[0], 1.0, norm_type=math.inf)) == 0.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gradients_on_several_devices_have_one_norm() -> None:
    here = parameter(torch.tensor([3.0]))
    there = nn.Parameter(torch.zeros(1, device="cuda"))
    there.grad = torch.tensor([4.0], device="cuda")
    assert float(clip_gradients([here, there], 1.0)) == 5.0
    torch.testing.assert_close(gradient_of(here), torch.tensor([0.6]))
    torch.testing.assert_close(gradient_of(there).cpu(), torch.tensor([0.8]))


# --- what is not finite --------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    drawn_gradients(),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.sampled_from(NORM_TYPES),
    st.data(),
)
def test_an_error_names_what_is_not_finite_and_changes_nothing(
    drawn: list[Tensor | None], value: float, norm_type: float, data: st.DataObject
) -> None:
    parameters = [parameter(one, like=torch.zeros(2)) for one in drawn]
    filled = [place for place, one in enumerate(drawn) if one is not None and one.numel()]
    broken = sorted(data.draw(st.sets(st.sampled_from(filled), min_size=1)))
    for place in broken:
        gradient_of(parameters[place])[-1] = value
    before = gradients(parameters)

    with pytest.raises(NonFiniteGradientError) as raised:
        clip_gradients(parameters, 1.0, norm_type=norm_type)

    for then, now in zip(before, gradients(parameters), strict=True):
        assert torch.equal(then.nan_to_num(7.0), now.nan_to_num(7.0))
    assert raised.value.parameters == tuple(
        f"parameter {place} of shape {tuple(parameters[place].shape)}" for place in broken
    )


def test_the_error_gives_names_where_there_are_any() -> None:
    model = trained_tagger()
    gradient_of(model.get_parameter("lstm.weight_hh_l1"))[0, 0] = math.nan
    names = [name for name, _ in model.named_parameters()]
    optimizer = SGD(model.parameters(), lr=1.0)
    optimizer.param_groups[0]["param_names"] = names  # as from named_parameters, since 2.6
    for named in (model, model.named_parameters(), optimizer):
        with pytest.raises(NonFiniteGradientError, match=r"1 of 11 .*: lstm\.weight_hh_l1\. "):
            clip_gradients(named, 1.0)


def test_the_error_names_five_and_counts_the_rest() -> None:
    parameters = [parameter(torch.tensor([math.inf])) for _ in range(7)]
    with pytest.raises(NonFiniteGradientError, match=r"7 of 7 .*parameter 4 of .* and 2 more"):
        clip_gradients(parameters, 1.0)


def test_the_error_survives_the_way_to_another_process() -> None:
    with pytest.raises(NonFiniteGradientError) as raised:
        clip_gradients(parameter(torch.tensor([math.nan])), 1.0)
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value)
    assert again.parameters == ("parameter 0 of shape (1,)",)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_left_out_leaves_weights_and_averages_alone(value: float) -> None:
    model = trained_tagger()
    optimizer = Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    optimizer.step()
    weights = [p.detach().clone() for p in model.parameters()]
    averages = [optimizer.state[p]["exp_avg"].clone() for p in model.parameters()]
    gradient_of(model.head.bias)[0] = value

    norm = clip_gradients(optimizer, 1.0, nonfinite="skip")
    optimizer.step()

    assert not norm.isfinite()
    for weight, average, p in zip(weights, averages, model.parameters(), strict=True):
        assert torch.equal(weight, p)
        assert torch.equal(average, optimizer.state[p]["exp_avg"])


def test_a_step_that_is_left_out_concerns_all_optimizers() -> None:
    good, bad = parameter(torch.ones(2)), parameter(torch.tensor([math.nan]))
    clip_gradients([SGD([good], lr=1.0), SGD([bad], lr=1.0)], 1.0, nonfinite="skip")
    assert good.grad is None
    assert bad.grad is None


# --- mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0, -1.0, math.nan])
def test_the_bound_is_positive(max_norm: float) -> None:
    with pytest.raises(ValueError, match="max_norm must be positive"):
        clip_gradients(trained_tagger(), max_norm)


@pytest.mark.parametrize("norm_type", [0, -math.inf, math.nan])
def test_the_order_of_the_norm_is_positive(norm_type: float) -> None:
    with pytest.raises(ValueError, match="norm_type must be positive"):
        clip_gradients(trained_tagger(), 1.0, norm_type=norm_type)


def test_the_policy_is_one_of_two() -> None:
    policy: Any = "ignore"
    with pytest.raises(ValueError, match='"error" or "skip", not \'ignore\''):
        clip_gradients(trained_tagger(), 1.0, nonfinite=policy)


def generator_read_before() -> Iterator[nn.Parameter]:
    parameters = trained_tagger().parameters()
    SGD(parameters, lr=1.0)
    return parameters


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (generator_read_before, ValueError, "can be read once"),
        (list, ValueError, "no parameters to clip"),
        (nn.Tanh, ValueError, "the module or optimizer has none"),
        (Tagger, RuntimeError, r"clip between loss\.backward\(\) and optimizer\.step\(\)"),
        (lambda: Tagger().requires_grad_(False), RuntimeError, "frozen"),
        (lambda: 3, TypeError, "int is none of them"),
        (lambda: "model", TypeError, "str is none of them"),
        (lambda: SGD(Tagger().parameters(), lr=1.0).param_groups, TypeError, "dict is none"),
    ],
)
def test_what_cannot_be_clipped_is_told(
    given: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        clip_gradients(given(), 1.0)
