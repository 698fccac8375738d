"""Losses over padded sequences, against loops over each sequence alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from rnnlint.runtime.lengths import lengths_to_mask
from rnnlint.runtime.losses import (
    masked_binary_cross_entropy_with_logits,
    masked_l1_loss,
    masked_mse_loss,
    sequence_cross_entropy,
)

MASKED: list[tuple[Callable[..., Tensor], Callable[..., Tensor]]] = [
    (masked_mse_loss, functional.mse_loss),
    (masked_l1_loss, functional.l1_loss),
    (
        masked_binary_cross_entropy_with_logits,
        functional.binary_cross_entropy_with_logits,
    ),
]
CLASSES = 5


@st.composite
def padded_lengths(draw: st.DrawFn) -> list[int]:
    return draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))


def logits_and_targets(lengths: list[int], steps: int) -> tuple[Tensor, Tensor]:
    """The padding of the logits is NaN, and that of the targets no class."""
    generator = torch.Generator().manual_seed(sum(lengths) + steps)
    shape = len(lengths), steps
    logits = torch.randn(*shape, CLASSES, generator=generator)
    targets = torch.randint(CLASSES, shape, generator=generator)
    padding = ~lengths_to_mask(lengths, steps)
    logits[padding] = torch.nan
    targets[padding] = 1_000
    return logits.requires_grad_(), targets


def real_parts(
    lengths: list[int], predictions: Tensor, targets: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    for number, length in enumerate(lengths):
        if length:
            yield predictions[number, :length], targets[number, :length]


def expected_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    lengths: list[int],
    average: Literal["token", "sequence"],
    **options: Any,
) -> Tensor:
    parts = list(real_parts(lengths, logits, targets))
    if not parts:
        return torch.tensor(0.0)
    if average == "token":
        whole_logits, whole_targets = (torch.cat(part) for part in zip(*parts, strict=True))
        return functional.cross_entropy(whole_logits, whole_targets, **options)
    means = [functional.cross_entropy(ours, truth, **options) for ours, truth in parts]
    return torch.stack(means).mean()


@settings(deadline=None, max_examples=60)
@given(
    lengths=padded_lengths(),
    extra=st.integers(0, 2),
    average=st.sampled_from(["token", "sequence"]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    weighted=st.booleans(),
    batch_first=st.booleans(),
)
def test_cross_entropy_is_that_of_the_sequences_alone(
    lengths: list[int],
    extra: int,
    average: Literal["token", "sequence"],
    label_smoothing: float,
    weighted: bool,
    batch_first: bool,
) -> None:
    logits, targets = logits_and_targets(lengths, max(lengths) + extra)
    options: dict[str, Any] = {"label_smoothing": label_smoothing}
    if weighted:
        options["weight"] = torch.arange(1.0, CLASSES + 1)
    expected = expected_cross_entropy(logits, targets, lengths, average, **options)
    given_logits, given_targets = logits, targets
    if not batch_first:
        given_logits, given_targets = logits.transpose(0, 1), targets.t()
    loss = sequence_cross_entropy(
        given_logits, given_targets, lengths, average=average, batch_first=batch_first, **options
    )
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool(gradient.isfinite().all())
    padding = ~lengths_to_mask(lengths, targets.size(1))
    assert not gradient[padding].any()
    if any(lengths):
        (wanted,) = torch.autograd.grad(expected, logits)
        torch.testing.assert_close(gradient[~padding], wanted[~padding])


@settings(deadline=None, max_examples=60)
@given(
    lengths=padded_lengths(),
    features=st.sampled_from([(), (3,), (2, 3)]),
    average=st.sampled_from(["token", "sequence"]),
    batch_first=st.booleans(),
    pair=st.sampled_from(MASKED),
)
def test_masked_losses_are_those_of_the_sequences_alone(
    lengths: list[int],
    features: tuple[int, ...],
    average: str,
    batch_first: bool,
    pair: tuple[Callable[..., Tensor], Callable[..., Tensor]],
) -> None:
    masked, alone = pair
    steps = max(lengths) + 1
    generator = torch.Generator().manual_seed(steps)
    predictions = torch.randn(len(lengths), steps, *features, generator=generator)
    targets = torch.rand(predictions.shape, generator=generator)
    padding = ~lengths_to_mask(lengths, steps)
    predictions[padding] = torch.nan
    targets[padding] = torch.inf
    predictions.requires_grad_()
    parts = list(real_parts(lengths, predictions, targets))
    if not parts:
        expected = torch.tensor(0.0)
    elif average == "token":
        expected = alone(*(torch.cat(part) for part in zip(*parts, strict=True)))
    else:
        expected = torch.stack([alone(*part) for part in parts]).mean()
    if batch_first:
        loss = masked(predictions, targets, lengths, average=average)
    else:
        loss = masked(
            predictions.transpose(0, 1),
            targets.transpose(0, 1),
            lengths,
            average=average,
            batch_first=False,
        )
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, predictions)
    assert bool(gradient.isfinite().all())
    assert not gradient[padding].any()


def test_lengths_mask_and_ignore_index_say_the_same() -> None:
    lengths = [4, 0, 2]
    logits, targets = logits_and_targets(lengths, 4)
    by_lengths = sequence_cross_entropy(logits, targets, lengths)
    assert by_lengths.item() > 0
    for other in (
        sequence_cross_entropy(logits, targets, mask=lengths_to_mask(lengths, 4)),
        sequence_cross_entropy(logits, targets, mask=lengths_to_mask(lengths, 4).int()),
        sequence_cross_entropy(logits, targets, lengths_to_mask(lengths, 4)),
        sequence_cross_entropy(logits, targets, [1.0, 0.0, 0.5]),
        sequence_cross_entropy(logits, targets, ignore_index=1_000),
        sequence_cross_entropy(logits, targets.int(), torch.tensor(lengths)),
    ):
        torch.testing.assert_close(other, by_lengths)


def test_ignore_index_joins_lengths() -> None:
    logits, targets = torch.randn(2, 3, CLASSES), torch.tensor([[1, -100, 2], [3, 4, 0]])
    loss = sequence_cross_entropy(logits, targets, [3, 2], ignore_index=-100)
    kept = logits[[0, 0, 1, 1], [0, 2, 0, 1]]
    expected = functional.cross_entropy(kept, torch.tensor([1, 2, 3, 4]))
    torch.testing.assert_close(loss, expected)


def test_an_ignored_number_beyond_the_type_of_the_targets_ignores_nothing() -> None:
    logits, targets = torch.randn(1, 1, 200), torch.tensor([[156]], dtype=torch.uint8)
    loss = sequence_cross_entropy(logits, targets, ignore_index=-100)
    torch.testing.assert_close(loss, functional.cross_entropy(logits[0], targets[0].long()))


def test_a_mask_may_have_holes_and_left_padding_is_left() -> None:
    logits, targets = torch.randn(1, 4, CLASSES), torch.tensor([[1, 2, 3, 4]])
    holes = torch.tensor([[True, False, False, True]])
    torch.testing.assert_close(
        sequence_cross_entropy(logits, targets, mask=holes),
        functional.cross_entropy(logits[0, [0, 3]], targets[0, [0, 3]]),
    )
    torch.testing.assert_close(
        sequence_cross_entropy(logits, targets, [3], padding_side="left"),
        functional.cross_entropy(logits[0, 1:], targets[0, 1:]),
    )


def test_without_an_average_every_step_has_its_loss() -> None:
    lengths = [3, 1]
    logits, targets = logits_and_targets(lengths, 3)
    losses = sequence_cross_entropy(logits, targets, lengths, average="none")
    assert losses.shape == (2, 3)
    assert losses[1, 1:].tolist() == [0, 0]
    torch.testing.assert_close(
        losses[0], functional.cross_entropy(logits[0], targets[0], reduction="none")
    )
    turned = sequence_cross_entropy(
        logits.transpose(0, 1), targets.t(), lengths, average="none", batch_first=False
    )
    torch.testing.assert_close(turned, losses.t())
    features = torch.rand(2, 3, 4)
    errors = masked_l1_loss(features, torch.zeros(2, 3, 4), lengths, average="none")
    torch.testing.assert_close(errors[0], features[0].mean(-1))


def test_averages_differ_where_lengths_do() -> None:
    predictions = torch.tensor([[1.0, 1.0, 1.0], [4.0, 0.0, 0.0]])
    targets = torch.zeros(2, 3)
    assert masked_l1_loss(predictions, targets, [3, 1]).item() == pytest.approx(7 / 4)
    by_sequence = masked_l1_loss(predictions, targets, [3, 1], average="sequence")
    assert by_sequence.item() == pytest.approx(5 / 2)


@pytest.mark.parametrize("average", ["token", "sequence"])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2, 0)])
def test_nothing_real_is_zero_and_not_nan(shape: tuple[int, int], average: Any) -> None:
    logits = torch.full((*shape, CLASSES), torch.nan, requires_grad=True)
    targets = torch.full(shape, -1)
    nothing = torch.zeros(shape, dtype=torch.bool)
    values = torch.full((*shape, 2), torch.nan, requires_grad=True)
    for loss, leaf in (
        (sequence_cross_entropy(logits, targets, mask=nothing, average=average), logits),
        (sequence_cross_entropy(logits, targets, ignore_index=-1, average=average), logits),
        (masked_mse_loss(values, values.detach(), mask=nothing, average=average), values),
    ):
        assert loss.item() == 0
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert not gradient.any()


def test_classes_of_no_weight_leave_nothing_to_average() -> None:
    logits, targets = torch.randn(1, 2, 2), torch.tensor([[1, 1]])
    weight = torch.tensor([1.0, 0.0])
    assert sequence_cross_entropy(logits, targets, [2], weight=weight).item() == 0


def test_targets_without_features_of_their_own_have_no_mean() -> None:
    nothing = torch.zeros(2, 3, 0)
    assert masked_mse_loss(nothing, nothing, [3, 1]).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    # 80,000 losses of log(5) are more than half precision can count.
    logits = torch.zeros(80, 1_000, CLASSES, dtype=dtype, requires_grad=True)
    targets = torch.zeros(80, 1_000, dtype=torch.int64)
    loss = sequence_cross_entropy(logits, targets, [1_000] * 80)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1.609438, abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.dtype == dtype
    assert bool(gradient.any())
    values = torch.full((80, 1_000), 1.0, dtype=dtype)
    assert masked_mse_loss(values, torch.zeros_like(values), [1_000] * 80).item() == 1


def test_losses_run_under_autocast() -> None:
    lengths = [3, 1]
    logits, targets = logits_and_targets(lengths, 3)
    layer = torch.nn.Linear(CLASSES, CLASSES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted = layer(logits.nan_to_num())
        assert predicted.dtype == torch.bfloat16
        loss = sequence_cross_entropy(predicted, targets, lengths)
        binary = masked_binary_cross_entropy_with_logits(predicted, predicted > 0, lengths)
    assert loss.dtype == binary.dtype == torch.float32
    (gradient,) = torch.autograd.grad(loss + binary, layer.weight)
    assert bool(gradient.isfinite().all())


def test_binary_targets_may_be_whole_numbers_and_positives_may_weigh_more() -> None:
    logits, targets = torch.randn(2, 3, 2), torch.randint(2, (2, 3, 2))
    factor = torch.tensor([3.0, 1.0])
    loss = masked_binary_cross_entropy_with_logits(logits, targets, [3, 2], pos_weight=factor)
    kept = lengths_to_mask([3, 2], 3)
    expected = functional.binary_cross_entropy_with_logits(
        logits[kept], targets[kept].float(), pos_weight=factor
    )
    torch.testing.assert_close(loss, expected)
    single = masked_binary_cross_entropy_with_logits(
        logits[..., 0], targets[..., 0], [3, 2], pos_weight=torch.tensor(3.0)
    )
    assert single.item() > 0


def test_gradients_are_those_of_finite_differences() -> None:
    logits = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(4, (2, 3))

    def loss(values: Tensor) -> Tensor:
        return sequence_cross_entropy(
            values, targets, [3, 2], average="sequence", label_smoothing=0.1
        )

    assert torch.autograd.gradcheck(loss, logits)


def test_a_compiled_loss_is_one_graph() -> None:
    logits, targets = torch.randn(2, 3, CLASSES), torch.randint(CLASSES, (2, 3))
    mask = lengths_to_mask([3, 2])
    compiled = torch.compile(sequence_cross_entropy, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(logits, targets, mask=mask), sequence_cross_entropy(logits, targets, mask=mask)
    )


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ((2, 5, 3), (2, 3), r"\(batch, classes, time\).*logits.transpose\(1, 2\)"),
        ((2, 3, 5), (3, 2), r"pass targets.t\(\)"),
        ((6, 5), (6,), "Do not flatten them"),
        ((2, 3, 5), (2, 3, 5), "have the shapes"),
        ((2, 3, 5), (2, 4), "padded to different lengths"),
        ((2, 3, 5), (1, 3), "do not fit"),
    ],
)
def test_logits_and_targets_that_do_not_fit(
    logits: tuple[int, ...], targets: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sequence_cross_entropy(torch.randn(logits), torch.zeros(targets, dtype=torch.int64), [3, 2])


@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        ((4, 3, 1), (4, 3), r"predictions.squeeze\(-1\)"),
        ((4, 3), (4, 3, 1), r"targets.squeeze\(-1\)"),
        ((4, 1), (4,), r"predictions.squeeze\(-1\)"),
        ((4, 3), (1, 3), "give both the same shape"),
        ((4,), (4,), "there is no padding"),
    ],
)
@pytest.mark.parametrize("masked", [masked for masked, _ in MASKED])
def test_predictions_are_never_broadcast(
    masked: Callable[..., Tensor],
    predictions: tuple[int, ...],
    targets: tuple[int, ...],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        masked(torch.zeros(predictions), torch.zeros(targets), [1] * 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "nothing says which steps are real"),
        ({"lengths": [3, 2], "mask": torch.ones(2, 3)}, "pass one of them"),
        ({"lengths": [3, 2, 1]}, "3 lengths and 2 sequences"),
        ({"lengths": [4, 2]}, "padded to 3 steps"),
        ({"mask": torch.ones(3, 2)}, r"pass mask.t\(\)"),
        ({"mask": torch.ones(2, 1)}, r"the mask has the shape \(2, 1\)"),
        ({"mask": torch.ones(3)}, r"the mask has the shape \(3,\)"),
        ({"mask": torch.full((2, 3), 0.5)}, "holds zeros and ones"),
        ({"lengths": [3, 2], "average": "batch"}, '"token", "sequence" or "none"'),
        ({"lengths": [3, 2], "label_smoothing": 1.5}, "from 0 to 1"),
        ({"lengths": [3, 2], "weight": torch.ones(3)}, "there are 5 classes"),
    ],
)
def test_arguments_that_contradict_each_other(changed: dict[str, Any], message: str) -> None:
    targets = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        sequence_cross_entropy(torch.randn(2, 3, CLASSES), targets, **changed)


@pytest.mark.parametrize("target", [-100, -1, CLASSES])
def test_a_real_target_that_is_no_class(target: int) -> None:
    with pytest.raises(ValueError, match=f"none of the 5 classes.*{target} is out of bounds"):
        sequence_cross_entropy(torch.randn(1, 1, CLASSES), torch.tensor([[target]]), [1])


def test_types_that_are_no_logits_targets_or_predictions() -> None:
    targets = torch.zeros(1, 1, dtype=torch.int64)
    with pytest.raises(TypeError, match="logits are floating point"):
        sequence_cross_entropy(torch.zeros(1, 1, 2, dtype=torch.int64), targets, [1])
    for wrong in (targets.float(), targets.bool()):
        with pytest.raises(TypeError, match="number of a class"):
            sequence_cross_entropy(torch.zeros(1, 1, 2), wrong, [1])
    with pytest.raises(TypeError, match="predictions are floating point"):
        masked_mse_loss(targets, targets, [1])


def test_positives_weigh_one_factor_a_feature() -> None:
    values = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="here there are no features"):
        masked_binary_cross_entropy_with_logits(values, values, [3, 2], pos_weight=torch.ones(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_losses_on_an_accelerator_do_not_wait_for_it() -> None:
    logits, targets = logits_and_targets([3, 1], 3)
    expected = sequence_cross_entropy(logits, targets, [3, 1])
    there = logits.detach().cuda(), targets.cuda()
    mask = lengths_to_mask([3, 1]).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = sequence_cross_entropy(*there, mask=mask, average="token")
        sequence_cross_entropy(*there, [3, 1], average="sequence")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(loss.cpu(), expected)
