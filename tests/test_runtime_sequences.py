"""A padded batch gives what a loop over its sequences gives, in every form and by every way."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from rnnlint.runtime.sequences import (
    PackedRNN,
    last_valid,
    lengths_to_mask,
    mask_to_lengths,
    masked_max,
    masked_mean,
    reverse_padded,
    run_recurrent,
)

State = Any
RELU = "RNN_RELU"
FEATURES, HIDDEN = 3, 4


# --- the oracle -------------------------------------------------------------------------


def parts(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def whole(tensors: list[Tensor]) -> State:
    return tuple(tensors) if len(tensors) == 2 else tensors[0]


def alone(rnn: nn.RNNBase, padded: Tensor, lengths: list[int], state: State | None) -> Any:
    """Output and final state of each sequence by itself, put together."""
    by_batch = padded if rnn.batch_first else padded.transpose(0, 1)
    directions = 2 if rnn.bidirectional else 1
    size = (rnn.proj_size or rnn.hidden_size) * directions
    sizes = [rnn.proj_size or rnn.hidden_size, rnn.hidden_size][: 2 if rnn.mode == "LSTM" else 1]
    rows = rnn.num_layers * directions
    if state is None:
        state = whole([padded.new_zeros(rows, len(lengths), size) for size in sizes])
    outputs, finals = [], []
    for number, length in enumerate(lengths):
        own = whole([part[:, number : number + 1] for part in parts(state)])
        output = padded.new_zeros(by_batch.size(1), size)
        if length:
            one = by_batch[number : number + 1, :length]
            result, own = rnn(one if rnn.batch_first else one.transpose(0, 1), own)
            output = torch.cat([result.reshape(length, size), output[length:]])
        outputs.append(output)
        finals.append(parts(own))
    stacked = torch.stack(outputs)
    output = stacked if rnn.batch_first else stacked.transpose(0, 1)
    return output, whole([torch.cat(column, 1) for column in zip(*finals, strict=True)])


@dataclass
class Case:
    rnn: nn.RNNBase
    padded: Tensor
    lengths: list[int]
    state: State | None

    def methods(self) -> list[str]:
        return ["auto", "pack", "reverse"] + ["causal"] * (not self.rnn.bidirectional)

    def gradients(self, output: Tensor, state: State | None) -> list[Tensor]:
        """Of a loss that weighs every number of the results differently."""
        generator = torch.Generator().manual_seed(7)
        # Where no step is real, nothing hangs on anything: a gradient of zero all the same.
        loss = torch.stack([0 * weight.sum().double() for weight in self.rnn.parameters()]).sum()
        for part in (output, *(parts(state) if state is not None else ())):
            weight = torch.randn(part.shape, generator=generator).to(part.dtype)
            loss = loss + (part * weight).sum().double()
        wanted = [self.padded, *self.rnn.parameters()]
        wanted += parts(self.state) if self.state is not None else ()
        given = torch.autograd.grad(loss, wanted, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, given, strict=True)]


def build(
    mode: str,
    *,
    lengths: list[int],
    steps: int | None = None,
    with_state: bool = False,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    **options: Any,
) -> Case:
    torch.manual_seed(seed)
    if mode == "LSTM":
        rnn: nn.RNNBase = nn.LSTM(FEATURES, HIDDEN, **options)
    elif mode == "GRU":
        rnn = nn.GRU(FEATURES, HIDDEN, **options)
    else:
        rnn = nn.RNN(FEATURES, HIDDEN, nonlinearity="relu" if mode == RELU else "tanh", **options)
    rnn = rnn.to(dtype)
    steps = max(lengths) if steps is None else steps
    shape = (len(lengths), steps) if rnn.batch_first else (steps, len(lengths))
    padded = torch.randn(*shape, FEATURES, dtype=dtype).requires_grad_()
    state = None
    if with_state:
        rows = rnn.num_layers * (2 if rnn.bidirectional else 1)
        sizes = [rnn.proj_size or HIDDEN, HIDDEN][: 2 if mode == "LSTM" else 1]
        state = whole(
            [torch.randn(rows, len(lengths), s, dtype=dtype).requires_grad_() for s in sizes]
        )
    return Case(rnn, padded, lengths, state)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    mode = draw(st.sampled_from(["LSTM", "GRU", "RNN_TANH", RELU]))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    options: dict[str, Any] = {
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if mode == "LSTM":
        options["proj_size"] = draw(st.integers(0, HIDDEN - 1))
    return build(
        mode,
        lengths=lengths,
        steps=max(*lengths, 1, 1) + draw(st.integers(0, 3)),
        with_state=draw(st.booleans()),
        seed=draw(st.integers(0, 99)),
        **options,
    )


# --- the same as alone ------------------------------------------------------------------


def check_every_way(
    case: Case, output: Tensor, state: State | None, gradients: list[Tensor]
) -> None:
    """Every method gives these results, without the final state where there is none."""
    for method in case.methods():
        got, final = run_recurrent(
            case.rnn,
            case.padded,
            case.lengths,
            case.state,
            method=method,  # type: ignore[arg-type]  # drawn as a str
            final_state=state is not None,
            padding_side="right",
        )
        assert got.shape == output.shape
        torch.testing.assert_close(got, output, rtol=0, atol=1e-10)
        assert type(final) is type(state)
        if state is not None:
            torch.testing.assert_close(final, state, rtol=0, atol=1e-10)
        for one, other in zip(case.gradients(got, final), gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@settings(max_examples=120, deadline=None)
@given(cases())
def test_every_way_gives_what_each_sequence_gives_alone(case: Case) -> None:
    output, state = alone(case.rnn, case.padded, case.lengths, case.state)
    check_every_way(case, output, state, case.gradients(output, state))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_outputs_alone_are_the_same_without_the_final_state(case: Case) -> None:
    output, _ = alone(case.rnn, case.padded, case.lengths, case.state)
    check_every_way(case, output, None, case.gradients(output, None))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from([float("nan"), float("inf"), 1e30]))
def test_what_the_padding_holds_has_no_effect(case: Case, filling: float) -> None:
    output, state = alone(case.rnn, case.padded, case.lengths, case.state)
    gradients = case.gradients(output, state)
    mask = lengths_to_mask(case.lengths, case.padded.size(1 if case.rnn.batch_first else 0))
    real = (mask if case.rnn.batch_first else mask.t()).unsqueeze(2)
    with torch.no_grad():
        case.padded.masked_fill_(~real, filling)
    check_every_way(case, output, state, gradients)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_left_padding_is_moved_and_moved_back(case: Case) -> None:
    time = 1 if case.rnn.batch_first else 0
    steps = case.padded.size(time)
    rows = case.padded.detach().transpose(0, 1) if time == 0 else case.padded.detach()
    left = torch.stack(
        [row.roll(steps - length, 0) for row, length in zip(rows, case.lengths, strict=True)]
    )
    left = left if time == 1 else left.transpose(0, 1)
    expected, expected_state = alone(case.rnn, case.padded, case.lengths, case.state)
    expected = expected if time == 1 else expected.transpose(0, 1)
    for lengths in (case.lengths, lengths_to_mask(case.lengths, steps, padding_side="left")):
        output, state = run_recurrent(case.rnn, left, lengths, case.state, padding_side="left")
        output = output if time == 1 else output.transpose(0, 1)
        for row, length, wanted in zip(output, case.lengths, expected, strict=True):
            torch.testing.assert_close(row.roll(length, 0), wanted, rtol=0, atol=1e-10)
        torch.testing.assert_close(state, expected_state, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)],
)
@pytest.mark.parametrize("mode", ["LSTM", "GRU", "RNN_TANH", RELU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_other_dtypes(mode: str, dtype: torch.dtype, tolerance: float, bidirectional: bool) -> None:
    case = build(
        mode,
        lengths=[3, 40, 1, 17],
        steps=60,
        dtype=dtype,
        num_layers=2,
        bidirectional=bidirectional,
        batch_first=True,
    )
    output, state = alone(case.rnn, case.padded, case.lengths, None)
    gradients = case.gradients(output, state)
    for method in case.methods():
        got, final = run_recurrent(case.rnn, case.padded, case.lengths, method=method)  # type: ignore[arg-type]
        assert got.dtype == dtype
        torch.testing.assert_close(got, output, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(final, state, rtol=tolerance, atol=tolerance)
        for one, other in zip(case.gradients(got, final), gradients, strict=True):
            scale = float(other.abs().max())
            torch.testing.assert_close(one, other, rtol=tolerance, atol=10 * tolerance * scale)


def test_a_cell_state_goes_through_a_thousand_steps_of_padding_unchanged() -> None:
    case = build("LSTM", lengths=[5, 1000], dtype=torch.float32, batch_first=True)
    _, over = run_recurrent(case.rnn, case.padded, case.lengths, method="causal")
    _, packed = run_recurrent(case.rnn, case.padded, case.lengths, method="pack")
    assert over is not None and packed is not None
    torch.testing.assert_close(over[1], packed[1], rtol=0, atol=1e-6)


def test_a_growing_relu_layer_leaves_no_nan_in_the_gradients() -> None:
    case = build(RELU, lengths=[2, *[500] * 4], dtype=torch.float32, batch_first=True)
    weights = dict(case.rnn.named_parameters())
    with torch.no_grad():
        # It doubles at every step, unless the input holds it down.
        weights["weight_hh_l0"].copy_(2 * torch.eye(HIDDEN))
        weights["weight_ih_l0"].fill_(-1e3)
        weights["bias_hh_l0"].fill_(1)
        case.padded.fill_(1)
        case.padded[0] = 0
    output, _ = run_recurrent(case.rnn, case.padded, case.lengths, final_state=False)
    gradients = torch.autograd.grad(output[0].sum(), list(case.rnn.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_dropout_between_layers_drops_in_training_and_not_in_evaluation() -> None:
    case = build("GRU", lengths=[4, 6], num_layers=2, dropout=0.5, batch_first=True)
    first, _ = run_recurrent(case.rnn, case.padded, case.lengths, method="causal")
    second, _ = run_recurrent(case.rnn, case.padded, case.lengths, method="causal")
    assert not torch.equal(first, second)
    case.rnn.eval()
    output, _ = alone(case.rnn, case.padded, case.lengths, None)
    for method in case.methods():
        got, _ = run_recurrent(case.rnn, case.padded, case.lengths, method=method)  # type: ignore[arg-type]
        torch.testing.assert_close(got, output, rtol=0, atol=1e-10)


def test_nothing_is_dropped_before_the_first_layer() -> None:
    case = build("GRU", lengths=[4, 6], num_layers=2, dropout=1.0, batch_first=True)
    _, training = run_recurrent(case.rnn, case.padded, case.lengths)
    _, evaluation = run_recurrent(case.rnn.eval(), case.padded, case.lengths)
    assert isinstance(training, Tensor) and isinstance(evaluation, Tensor)
    assert torch.equal(training[0], evaluation[0])
    assert not torch.equal(training[1], evaluation[1])


def test_autocast_gives_half_precision_as_the_layer_does() -> None:
    case = build("GRU", lengths=[3, 5], dtype=torch.float32, batch_first=True, num_layers=2)
    with torch.autocast("cpu", torch.bfloat16):
        expected = case.rnn(case.padded)[0]
        outputs = [
            run_recurrent(case.rnn, case.padded, case.lengths, method=method)[0]
            for method in ("pack", "causal")
        ]
    assert {output.dtype for output in outputs} == {expected.dtype}
    torch.testing.assert_close(outputs[0], outputs[1], rtol=2e-2, atol=2e-2)


# --- lengths in every form --------------------------------------------------------------


@pytest.mark.parametrize("method", ["pack", "causal"])
def test_lengths_come_in_every_form(method: Any) -> None:
    case = build("GRU", lengths=[2, 5, 4], batch_first=True)
    expected, _ = run_recurrent(case.rnn, case.padded, case.lengths)
    forms: list[Any] = [
        tuple(case.lengths),
        torch.tensor(case.lengths),
        torch.tensor(case.lengths, dtype=torch.int32),
        torch.tensor(case.lengths, dtype=torch.uint8),
        lengths_to_mask(case.lengths),
        lengths_to_mask(case.lengths).long(),
        lengths_to_mask(case.lengths).float(),
        [0.4, 1.0, 0.8],
        torch.tensor([0.4, 1.0, 0.8], dtype=torch.float64),
    ]
    for form in forms:
        got, _ = run_recurrent(case.rnn, case.padded, form, method=method)
        torch.testing.assert_close(got, expected, msg=f"{form}")


def test_relative_lengths_are_rounded_for_every_length_up_to_a_thousand() -> None:
    for steps in (22, 999, 1000):
        whole_lengths = torch.arange(steps + 1)
        relative = (whole_lengths / steps).float()
        assert torch.equal(lengths_to_mask(relative, steps).sum(1), whole_lengths)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.sampled_from(["right", "left"]))
def test_masks_and_lengths_are_two_forms_of_one_thing(lengths: list[int], side: Any) -> None:
    mask = lengths_to_mask(lengths, 7, padding_side=side)
    assert mask.shape == (len(lengths), 7)
    assert mask_to_lengths(mask, padding_side=side).tolist() == lengths
    assert lengths_to_mask(torch.tensor(lengths)).size(1) == max(lengths)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([2, 6], "sequence 1 has the length 6, and the batch is padded to 5"),
        ([2, -1], "sequence 1 has the length -1"),
        ([2, 3, 4], "3 lengths and 2 sequences"),
        ([2.0, 5.0], "float lengths are relative"),
        ([0.5, float("nan")], "NaN or infinite"),
        (torch.tensor([True, False]), "lengths are numbers"),
        (torch.ones(2, 5, 1), r"shape\n?.* \(2, 5, 1\)"),
        (torch.ones(2, 4, dtype=torch.bool), "mask covers 4 steps"),
        (torch.tensor([[2, 1, 1, 1, 1]] * 2), "holds other values"),
        (torch.tensor([[1, 0, 1, 0, 0]] * 2), "row 0 of this mask has padding between"),
        (torch.tensor([[0, 0, 1, 1, 1]] * 2), 'pass padding_side="left"'),
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths: Any, message: str) -> None:
    case = build("GRU", lengths=[5, 5], batch_first=True)
    with pytest.raises(ValueError, match=message):
        run_recurrent(case.rnn, case.padded, lengths)


def test_lengths_of_the_wrong_axis_are_refused_even_where_batch_and_time_agree() -> None:
    case = build("GRU", lengths=[5, 5], batch_first=False)
    with pytest.raises(ValueError, match="5 lengths and 2 sequences"):
        run_recurrent(case.rnn, case.padded, [2, 2, 2, 2, 2])


# --- refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize("repeated", [0.0, 0.37])
def test_data_that_are_padded_on_the_left_are_refused(repeated: float) -> None:
    rnn = nn.GRU(FEATURES, HIDDEN, batch_first=True)
    sequences = [torch.randn(length, FEATURES) for length in (3, 7, 2)]
    left = torch.full((3, 7, FEATURES), repeated)
    for row, sequence in zip(left, sequences, strict=True):
        row[7 - len(sequence) :] = sequence
    with pytest.raises(ValueError, match='Pass padding_side="left"'):
        run_recurrent(rnn, left, [3, 7, 2])
    run_recurrent(rnn, left, [3, 7, 2], padding_side="right")


def test_silence_at_the_beginning_is_no_left_padding() -> None:
    rnn = nn.GRU(FEATURES, HIDDEN, batch_first=True)
    sequences = [torch.randn(length, FEATURES) for length in (5, 9)]
    sequences[0][:3] = 0
    run_recurrent(rnn, pad_sequence(sequences, batch_first=True), [5, 9])


def test_what_is_no_recurrent_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="not Linear"):
        run_recurrent(nn.Linear(2, 2), torch.zeros(1, 1, 2), [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not Linear"):
        PackedRNN(nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_batch_without_its_axis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, time, features\), not \(4, 3\)"):
        run_recurrent(nn.GRU(3, 4, batch_first=True), torch.zeros(4, 3), [4])
    with pytest.raises(ValueError, match=r"\(time, batch, features\), not \(4, 3\)"):
        run_recurrent(nn.GRU(3, 4), torch.zeros(4, 3), [4])


def test_a_method_that_cannot_do_it_is_refused() -> None:
    case = build("LSTM", lengths=[2, 3], bidirectional=True, batch_first=True)
    with pytest.raises(ValueError, match='method="causal" is for one direction'):
        run_recurrent(case.rnn, case.padded, case.lengths, method="causal")
    with pytest.raises(ValueError, match="not 'fast'"):
        run_recurrent(case.rnn, case.padded, case.lengths, method="fast")  # type: ignore[arg-type]


def test_a_state_of_another_shape_is_refused_as_the_layer_does() -> None:
    case = build("GRU", lengths=[2, 3], batch_first=True)
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        run_recurrent(case.rnn, case.padded, case.lengths, torch.zeros(2, 2, HIDDEN).double())


# --- layers with more to them than weights ----------------------------------------------


class Doubled(nn.GRU):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output, state = super().forward(*args, **kwargs)
        return output if not isinstance(output, Tensor) else 2 * output, state


def test_a_layer_with_hooks_or_a_forward_of_its_own_is_called() -> None:
    case = build("GRU", lengths=[2, 3], num_layers=2, batch_first=True)
    calls = []
    case.rnn.register_forward_hook(lambda *_: calls.append(1))
    run_recurrent(case.rnn, case.padded, case.lengths)
    assert calls == [1]
    with pytest.raises(ValueError, match="hooks or a forward of its own"):
        run_recurrent(case.rnn, case.padded, case.lengths, method="causal")
    run_recurrent(case.rnn, case.padded, case.lengths, method="causal", final_state=False)
    assert calls == [1, 1]
    with pytest.raises(ValueError, match="hooks or a forward of its own"):
        run_recurrent(Doubled(3, 4), torch.zeros(3, 1, 3), [2], method="reverse")


def test_parametrised_weights_are_read_as_the_layer_reads_them() -> None:
    case = build("GRU", lengths=[2, 4, 1], num_layers=2, bidirectional=True, batch_first=True)
    orthogonal(case.rnn, "weight_hh_l0_reverse")
    expected, state = run_recurrent(case.rnn, case.padded, case.lengths, method="pack")
    got, final = run_recurrent(case.rnn, case.padded, case.lengths, method="reverse")
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(final, state)


# --- empty things -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "pack", "causal"])
@pytest.mark.parametrize(("count", "steps"), [(0, 5), (3, 0), (3, 4)])
def test_batches_without_one_real_step(method: Any, count: int, steps: int) -> None:
    rnn = nn.LSTM(FEATURES, HIDDEN, num_layers=2, batch_first=True)
    state = (torch.randn(2, count, HIDDEN), torch.randn(2, count, HIDDEN))
    output, final = run_recurrent(
        rnn, torch.randn(count, steps, FEATURES), [0] * count, state, method=method
    )
    assert output.shape == (count, steps, HIDDEN)
    assert not output.any()
    torch.testing.assert_close(final, state)


# --- PackedRNN --------------------------------------------------------------------------


class Model(nn.Module):
    def __init__(self, packed: bool) -> None:
        super().__init__()
        lstm = nn.LSTM(FEATURES, HIDDEN, bidirectional=True, batch_first=True)
        self.lstm = PackedRNN(lstm) if packed else lstm
        self.head = nn.Linear(2 * HIDDEN, 1)


def test_checkpoints_go_either_way() -> None:
    plain, packed = Model(packed=False), Model(packed=True)
    assert list(plain.state_dict()) == list(packed.state_dict())
    packed.load_state_dict(plain.state_dict())
    for one, other in zip(plain.parameters(), packed.parameters(), strict=True):
        assert torch.equal(one, other)
    plain.load_state_dict(packed.state_dict())
    lstm = nn.LSTM(FEATURES, HIDDEN)
    wrapped = PackedRNN(lstm)
    assert list(wrapped.state_dict()) == list(lstm.state_dict())
    wrapped.load_state_dict(lstm.state_dict())


def test_a_checkpoint_that_does_not_fit_is_refused() -> None:
    state = Model(packed=False).state_dict()
    state["lstm.weight_hh_l7"] = state.pop("lstm.weight_hh_l0")
    with pytest.raises(RuntimeError, match=r"(?s)Missing.*weight_hh_l0.*Unexpected.*weight_hh_l7"):
        Model(packed=True).load_state_dict(state)


def test_packed_rnn_is_the_layer_without_lengths_and_exact_with_them() -> None:
    case = build("LSTM", lengths=[4, 2], bidirectional=True, batch_first=True)
    packed = PackedRNN(case.rnn)
    torch.testing.assert_close(packed(case.padded), case.rnn(case.padded))
    sequence = pack_padded_sequence(case.padded, [4, 2], batch_first=True)
    torch.testing.assert_close(packed(sequence)[0].data, case.rnn(sequence)[0].data)
    torch.testing.assert_close(
        packed(case.padded, lengths=case.lengths),
        alone(case.rnn, case.padded, case.lengths, None),
    )
    with pytest.raises(ValueError, match="leave lengths out"):
        packed(sequence, lengths=[4, 2])


def test_packed_rnn_has_the_attributes_of_the_layer() -> None:
    packed = PackedRNN(nn.LSTM(FEATURES, HIDDEN), method="pack")
    assert packed.hidden_size == HIDDEN
    assert packed.weight_hh_l0 is packed.rnn.weight_hh_l0
    packed.flatten_parameters()
    assert "method='pack'" in repr(packed)
    with pytest.raises(AttributeError, match="no attribute 'hidden_sise'"):
        _ = packed.hidden_sise


def test_packed_rnn_is_copied_pickled_and_converted() -> None:
    packed = PackedRNN(nn.LSTM(FEATURES, HIDDEN, batch_first=True))
    padded = torch.randn(2, 5, FEATURES)
    expected = packed(padded, lengths=[5, 2])
    for twin in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        torch.testing.assert_close(twin(padded, lengths=[5, 2]), expected)
    assert packed.double()(padded.double(), lengths=[5, 2])[0].dtype == torch.float64


# --- reading out ------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.booleans(), st.integers(0, 99))
@settings(deadline=None)
def test_reading_out_is_what_it_is_for_each_sequence_alone(
    lengths: list[int], batch_first: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    values = torch.randn(len(lengths), 6, 4)
    nothing = torch.zeros(4)
    rows = [row[:length] for row, length in zip(values, lengths, strict=True)]
    given_values = values if batch_first else values.transpose(0, 1)
    options = {"batch_first": batch_first}

    def check(got: Tensor, wanted: list[Tensor]) -> None:
        torch.testing.assert_close(got, torch.stack(wanted))

    check(
        last_valid(given_values, lengths, **options),
        [row[-1] if len(row) else nothing for row in rows],
    )
    check(
        last_valid(given_values, lengths, bidirectional=True, **options),
        [torch.cat([row[-1, :2], row[0, 2:]]) if len(row) else nothing for row in rows],
    )
    check(
        masked_mean(given_values, lengths, **options),
        [row.mean(0) if len(row) else nothing for row in rows],
    )
    check(
        masked_max(given_values, lengths, **options),
        [row.amax(0) if len(row) else nothing for row in rows],
    )
    turned = reverse_padded(given_values, lengths, **options)
    check(
        turned if batch_first else turned.transpose(0, 1),
        [
            torch.cat([row.flip(0), whole_row[len(row) :]])
            for row, whole_row in zip(rows, values, strict=True)
        ],
    )
    assert torch.equal(reverse_padded(turned, lengths, **options), given_values)


def test_the_last_valid_output_of_two_directions_is_the_final_state() -> None:
    case = build("GRU", lengths=[4, 2, 6], bidirectional=True, num_layers=2, batch_first=True)
    output, state = run_recurrent(case.rnn, case.padded, case.lengths)
    assert isinstance(state, Tensor)
    torch.testing.assert_close(
        last_valid(output, case.lengths, bidirectional=True), torch.cat([state[-2], state[-1]], 1)
    )


@pytest.mark.parametrize("pool", [masked_mean, masked_max])
def test_nan_in_the_padding_reaches_neither_pool_nor_gradient(pool: Any) -> None:
    values = torch.randn(2, 4, 3)
    values[0, 2:] = float("nan")
    values.requires_grad_()
    pooled = pool(values, [2, 4])
    pooled.sum().backward()
    assert bool(pooled.isfinite().all())
    assert values.grad is not None and bool(values.grad.isfinite().all())


def test_pools_take_whole_numbers_and_two_axes() -> None:
    assert masked_max(torch.tensor([[-3, -5, 0]]), [2]).tolist() == [-3]
    assert masked_mean(torch.tensor([[1.0, 3.0, 9.0]]), [2]).tolist() == [2.0]
    assert masked_max(torch.zeros(2, 0, 3), [0, 0]).shape == (2, 3)
    assert last_valid(torch.zeros(2, 0, 3), [0, 0]).shape == (2, 3)


def test_a_mean_in_half_precision_counts_beyond_2048() -> None:
    values = torch.ones(1, 4097, dtype=torch.float16)
    assert masked_mean(values, [4097]).item() == 1.0


def test_reading_out_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="3 lengths and 2 sequences"):
        masked_mean(torch.zeros(2, 3, 4), [1, 1, 1])
    with pytest.raises(ValueError, match="5 features are odd"):
        last_valid(torch.zeros(2, 3, 5), [1, 1], bidirectional=True)
    with pytest.raises(ValueError, match="axes of batch and time"):
        masked_max(torch.zeros(3), [1, 1, 1])
    with pytest.raises(ValueError, match="pass steps="):
        lengths_to_mask([0.5, 1.0])
    with pytest.raises(ValueError, match="not 'top'"):
        lengths_to_mask([1], padding_side="top")  # type: ignore[arg-type]
