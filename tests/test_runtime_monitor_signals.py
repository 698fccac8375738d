"""What a monitor measures of a layer, beside the same computed by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from monitored import (
    BATCH,
    FEATURES,
    HIDDEN,
    STEPS,
    root_mean_square,
    sampled,
    sequences,
)
from recurrent import of
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LENGTHS = [20, 3, 11, 7, 20, 15]
SHARE = 1 - sum(LENGTHS) / (STEPS * BATCH)


def lstm(*, batch_first: bool = False, **more: object) -> nn.LSTM:
    torch.manual_seed(1)
    return nn.LSTM(FEATURES, HIDDEN, batch_first=batch_first, **more)


def total(layer: nn.Module, inputs: Tensor) -> Tensor:
    output: Tensor = layer(inputs)[0]
    return output.sum()


# --- padding --------------------------------------------------------------------------


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_is_seen_in_raw_features(left: bool, batch_first: bool) -> None:
    layer = lstm(batch_first=batch_first)
    inputs = sequences(LENGTHS, left=left)
    inputs = inputs.transpose(0, 1) if batch_first else inputs
    seen = sampled(layer, lambda: layer(inputs)[0].sum())
    assert seen.padding == pytest.approx(SHARE)
    assert (seen.steps, seen.packed) == (STEPS, False)


class Reader(nn.Module):
    def __init__(self, padding_idx: int | None, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(40, FEATURES, padding_idx=padding_idx)
        self.dropout = nn.Dropout(dropout)
        self.lstm = lstm(batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        output: Tensor = self.lstm(self.dropout(self.embedding(ids)))[0]
        return output


def ids_of(lengths: list[int], padding: int, *, left: bool = False) -> Tensor:
    torch.manual_seed(3)
    ids = torch.randint(2, 40, (len(lengths), STEPS))
    for row, length in enumerate(lengths):
        places = slice(0, STEPS - length) if left else slice(length, STEPS)
        ids[row, places] = padding
    return ids


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("padding_idx", "padding"), [(0, 0), (None, 0), (1, 1), (None, 1)])
def test_padding_is_seen_in_ids_under_dropout(
    padding_idx: int | None, padding: int, left: bool
) -> None:
    model = Reader(padding_idx, dropout=0.5)
    ids = ids_of(LENGTHS, padding, left=left)
    seen = sampled(model, lambda: model(ids).sum(), "lstm")
    assert seen.padding == pytest.approx(SHARE)


def test_padding_of_all_sequences_is_seen_where_its_id_is_known() -> None:
    model = Reader(padding_idx=0)
    ids = ids_of([15] * BATCH, 0)
    assert sampled(model, lambda: model(ids).sum(), "lstm").padding == pytest.approx(0.25)
    model = Reader(padding_idx=None)
    assert sampled(model, lambda: model(ids).sum(), "lstm").padding == 0


def test_as_many_steps_as_sequences_leave_no_doubt_which_is_which() -> None:
    model = Reader(padding_idx=0)
    ids = ids_of([20, 3] * 10, 0)
    assert ids.shape == (20, 20)
    assert sampled(model, lambda: model(ids).sum(), "lstm").padding == pytest.approx(17 / 40)


def test_the_embedding_that_knows_padding_goes_before_one_that_does_not() -> None:
    class Two(Reader):
        def __init__(self) -> None:
            super().__init__(padding_idx=0)
            self.tags = nn.Embedding(3, FEATURES)

        def forward(self, ids: Tensor) -> Tensor:
            # Every tag ends in a run of its own.
            tags = torch.arange(len(ids)).unsqueeze(1).expand_as(ids) % 3
            output: Tensor = self.lstm(self.embedding(ids) + self.tags(tags))[0]
            return output

    model, ids = Two(), ids_of(LENGTHS, 0)
    assert sampled(model, lambda: model(ids).sum(), "lstm").padding == pytest.approx(SHARE)


def rows_of_pictures() -> Tensor:
    """Like MNIST row by row: dark above and below, each as it comes."""
    pictures = torch.rand(28, 8, FEATURES) + 0.1
    for column in range(8):
        pictures[: column % 4] = pictures[: column % 4]
        pictures[: column % 4, column] = 0
        pictures[28 - column % 3 :, column] = 0
    return pictures


@pytest.mark.parametrize(
    "inputs",
    [
        sequences([STEPS] * BATCH),
        sequences([13] * BATCH),
        torch.ones(STEPS, BATCH, FEATURES),
        sequences(LENGTHS)[:, :1],
        rows_of_pictures(),
        torch.randn(STEPS, BATCH, 1).sign(),
    ],
    ids=["equal", "equally padded", "constant", "one sequence", "pictures", "signs"],
)
def test_what_is_no_padding_is_not_taken_for_it(inputs: Tensor) -> None:
    layer = nn.GRU(inputs.size(-1), HIDDEN)
    assert sampled(layer, lambda: layer(inputs)[0].sum()).padding == 0


def test_ids_that_repeat_within_are_no_padding() -> None:
    model = Reader(padding_idx=None)
    torch.manual_seed(0)
    few = torch.randint(0, 2, (32, STEPS))
    assert sampled(model, lambda: model(few).sum(), "lstm").padding == 0


def test_of_a_packed_sequence_no_padding_is_run_over() -> None:
    layer = lstm()
    packed = pack_padded_sequence(sequences(LENGTHS), torch.tensor(LENGTHS), enforce_sorted=False)
    seen = sampled(layer, lambda: layer(packed)[0].data.sum())
    assert (seen.packed, seen.padding, seen.into_padding) == (True, None, 0)


# --- states ---------------------------------------------------------------------------


@pytest.mark.parametrize("left", [False, True])
def test_states_are_measured_at_real_steps(left: bool) -> None:
    layer, inputs = lstm(), sequences(LENGTHS, left=left)
    seen = sampled(layer, lambda: layer(inputs)[0].sum())
    output = layer(inputs)[0]
    rows = range(BATCH)
    first = [STEPS - length if left else 0 for length in LENGTHS]
    last = [STEPS - 1 if left else length - 1 for length in LENGTHS]
    starts = torch.stack([output[first[row], row] for row in rows])
    ends = torch.stack([output[last[row], row] for row in rows])
    assert seen.state_at_start == pytest.approx(root_mean_square(starts))
    assert seen.state_at_end == pytest.approx(root_mean_square(ends))


def test_states_of_a_packed_sequence_are_those_of_its_real_steps() -> None:
    layer = lstm(bidirectional=True)
    packed = pack_padded_sequence(sequences(LENGTHS), torch.tensor(LENGTHS), enforce_sorted=False)
    seen = sampled(layer, lambda: layer(packed)[0].data.sum())
    output = pad_packed_sequence(layer(packed)[0])[0][..., :HIDDEN]
    ends = torch.stack([output[length - 1, row] for row, length in enumerate(LENGTHS)])
    assert seen.state_at_start == pytest.approx(root_mean_square(output[0]))
    assert seen.state_at_end == pytest.approx(root_mean_square(ends))


# --- gates and units ------------------------------------------------------------------


@torch.no_grad()
def set_bias(layer: nn.RNNBase, gate: int, value: float) -> None:
    of(layer, "bias_ih_l0")[gate * HIDDEN : (gate + 1) * HIDDEN] = value


@pytest.mark.parametrize(
    ("gate", "name", "value", "saturated"),
    [
        (0, "i", 20.0, 1.0),
        (0, "i", -20.0, 1.0),
        (1, "f", 20.0, 0.0),
        (1, "f", -20.0, 1.0),
        (3, "o", -20.0, 1.0),
    ],
)
def test_saturated_gates_of_an_lstm(gate: int, name: str, value: float, saturated: float) -> None:
    layer, inputs = lstm(), sequences(LENGTHS)
    set_bias(layer, gate, value)
    shares = sampled(layer, lambda: layer(inputs)[0].sum()).gates
    assert set(shares) == {"i", "f", "o"}
    assert shares[name] == saturated
    assert all(share == 0 for other, share in shares.items() if other != name)


def test_gates_are_those_of_a_cell_run_by_hand() -> None:
    torch.manual_seed(0)
    layer = nn.GRU(FEATURES, HIDDEN)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(8)
    inputs = sequences([STEPS] * BATCH)
    shares = sampled(layer, lambda: layer(inputs)[0].sum()).gates
    hidden = torch.zeros(BATCH, HIDDEN)
    saturated: dict[str, list[Tensor]] = {"r": [], "z": []}
    for step in inputs:
        added = step @ of(layer, "weight_ih_l0").T + of(layer, "bias_ih_l0")
        added = added + hidden @ of(layer, "weight_hh_l0").T + of(layer, "bias_hh_l0")
        reset, update = added[:, :HIDDEN].sigmoid(), added[:, HIDDEN : 2 * HIDDEN].sigmoid()
        saturated["r"].append((reset < 0.05) | (reset > 0.95))
        saturated["z"].append(update < 0.05)
        hidden = layer(step.unsqueeze(0), hidden.unsqueeze(0))[1][0].detach()
    for name, found in saturated.items():
        expected = float(torch.stack(found).float().mean())
        assert 0 < expected < 1
        assert shares[name] == pytest.approx(expected)


def test_padding_has_no_share_in_gates() -> None:
    layer = nn.RNN(FEATURES, HIDDEN)
    with torch.no_grad():
        of(layer, "weight_ih_l0").fill_(100.0)
        of(layer, "weight_hh_l0").zero_()
        of(layer, "bias_ih_l0").zero_()
        of(layer, "bias_hh_l0").zero_()
    inputs = sequences(LENGTHS).abs() * 10
    # A state of padding is zero, that of real steps one.
    assert sampled(layer, lambda: layer(inputs)[0].sum()).gates == {"h": 1.0}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_gates_of_projected_and_biasless_and_double_layers() -> None:
    for layer in (
        nn.LSTM(FEATURES, HIDDEN, proj_size=2),
        nn.LSTM(FEATURES, HIDDEN, bias=False, num_layers=2, bidirectional=True),
        nn.LSTM(FEATURES, HIDDEN, dtype=torch.float64),
    ):
        inputs = sequences(LENGTHS).to(of(layer, "weight_ih_l0").dtype)
        gates = sampled(layer, partial(total, layer, inputs)).gates
        assert set(gates) == {"i", "f", "o"}


def test_dead_units_of_a_relu_layer() -> None:
    torch.manual_seed(0)
    layer = nn.RNN(FEATURES, HIDDEN, nonlinearity="relu")
    with torch.no_grad():
        of(layer, "bias_ih_l0")[:2] = -100.0
        of(layer, "bias_ih_l0")[2:] = 1.0
        of(layer, "weight_hh_l0").zero_()
    inputs = sequences([STEPS] * BATCH)
    seen = sampled(layer, lambda: layer(inputs)[0].sum())
    assert seen.dead == pytest.approx(2 / 5)
    assert seen.gates == {}


# --- the gradient over time -----------------------------------------------------------


def by_hand(gradient: Tensor, lengths: list[int]) -> float:
    """The early-to-late ratio of dLoss/dx, (T, B, F), of right-padded sequences."""
    norms = gradient.norm(dim=-1)
    ratios = []
    for row, length in enumerate(lengths):
        tenth = -(-length // 10)
        ratios.append(float(norms[:tenth, row].mean() / norms[:, row].max()))
    # torch.median takes the lower of two.
    return sorted(ratios)[(len(ratios) - 1) // 2]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("raw", [False, True])
def test_early_to_late_is_that_of_autograd(batch_first: bool, raw: bool) -> None:
    layer = lstm(batch_first=batch_first)
    inputs = sequences(LENGTHS).transpose(0, 1 if batch_first else 0).contiguous()

    def loss(given: Tensor) -> Tensor:
        output = layer(given)[0]
        output = output.transpose(0, 1) if batch_first else output
        return torch.stack([output[length - 1, row] for row, length in enumerate(LENGTHS)]).sum()

    asked = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(asked), asked)
    gradient = gradient.transpose(0, 1) if batch_first else gradient
    seen = sampled(layer, lambda: loss(inputs if raw else asked))
    assert seen.early_to_late == pytest.approx(by_hand(gradient, LENGTHS), rel=1e-4)
    assert seen.into_padding == 0
    profile = gradient.norm(dim=-1).mean(1)
    assert seen.profile == pytest.approx((profile / profile.max()).tolist(), rel=1e-4)


def test_early_to_late_of_an_unsorted_packed_sequence() -> None:
    layer = lstm()
    asked = sequences(LENGTHS).requires_grad_()

    def loss() -> Tensor:
        packed = pack_padded_sequence(asked, torch.tensor(LENGTHS), enforce_sorted=False)
        final: Tensor = layer(packed)[1][0]
        return final.sum()

    (gradient,) = torch.autograd.grad(loss(), asked)
    seen = sampled(layer, loss)
    assert seen.early_to_late == pytest.approx(by_hand(gradient, LENGTHS), rel=1e-4)
    assert seen.into_padding == 0


def test_packed_features_that_need_no_gradient_get_one() -> None:
    layer = lstm()
    packed = pack_padded_sequence(sequences(LENGTHS), torch.tensor(LENGTHS), enforce_sorted=False)
    seen = sampled(layer, lambda: layer(packed)[1][0].sum())
    assert seen.early_to_late is not None
    assert not packed.data.requires_grad


def test_of_two_directions_there_is_no_early_to_late() -> None:
    layer, inputs = lstm(bidirectional=True), sequences(LENGTHS)
    seen = sampled(layer, lambda: layer(inputs)[0].sum())
    assert seen.early_to_late is None
    assert seen.profile


class Loop(nn.Module):
    """A recurrent module that is called for one step after the other."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.kind = kind
        self.layer = nn.LSTMCell(FEATURES, HIDDEN) if kind == "cell" else nn.GRU(FEATURES, HIDDEN)

    def forward(self, inputs: Tensor) -> Tensor:
        state = None
        hidden = inputs
        for step in inputs:
            if self.kind == "cell":
                state = self.layer(step, state)
                hidden = state[0]
            else:
                hidden, state = self.layer(step.unsqueeze(0), state)
        return hidden


@pytest.mark.parametrize("kind", ["cell", "layer"])
@pytest.mark.parametrize("raw", [False, True])
def test_early_to_late_of_single_steps(kind: str, raw: bool) -> None:
    model = Loop(kind)
    inputs = sequences([STEPS] * BATCH)
    asked = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(asked).sum(), asked)
    seen = sampled(model, lambda: model(inputs if raw else asked).sum(), "layer")
    assert seen.early_to_late == pytest.approx(by_hand(gradient, [STEPS] * BATCH), rel=1e-4)
    assert seen.steps == STEPS
    assert seen.into_padding == 0


def test_the_share_of_the_gradient_in_padding() -> None:
    layer, inputs = lstm(), sequences(LENGTHS)
    asked = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(asked)[0][-1].sum(), asked)
    norms = gradient.norm(dim=-1)
    outside = torch.arange(STEPS).unsqueeze(1) >= torch.tensor(LENGTHS)
    expected = float(norms[outside].sum() / norms.sum())
    seen = sampled(layer, lambda: layer(inputs)[0][-1].sum())
    assert expected > 0.3
    assert seen.into_padding == pytest.approx(expected, rel=1e-4)
    mask = ~outside.unsqueeze(-1)
    assert sampled(layer, lambda: (layer(inputs)[0] * mask).sum()).into_padding == 0


def test_a_loss_that_reads_nothing_has_no_profile() -> None:
    layer, inputs = lstm(), sequences(LENGTHS)
    seen = sampled(layer, lambda: layer(inputs)[0].sum() * 0)
    assert (seen.early_to_late, seen.into_padding) == (None, None)


def test_the_norm_of_the_gradient_of_each_layer() -> None:
    model = nn.ModuleDict({"first": nn.GRU(FEATURES, HIDDEN), "second": nn.LSTM(HIDDEN, HIDDEN)})
    inputs = sequences(LENGTHS)

    def loss() -> Tensor:
        output: Tensor = model["second"](model["first"](inputs)[0])[0]
        return output.sum()

    for name in ("first", "second"):
        model.zero_grad()
        seen = sampled(model, loss, name)
        gradients = [weight.grad for weight in model[name].parameters() if weight.grad is not None]
        expected = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
        assert seen.gradient_norm == pytest.approx(expected, rel=1e-5)


def test_an_unbatched_sequence() -> None:
    layer = lstm()
    inputs = sequences([STEPS])[:, 0]
    asked = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(asked)[0][-1].sum(), asked)
    seen = sampled(layer, lambda: layer(inputs)[0][-1].sum())
    assert seen.early_to_late == pytest.approx(by_hand(gradient.unsqueeze(1), [STEPS]), rel=1e-4)
    assert (seen.padding, seen.steps) == (0, STEPS)


def test_in_half_precision_the_same_is_seen() -> None:
    # Not every CPU has an LSTM of half precision.
    torch.manual_seed(1)
    layer, inputs = nn.GRU(FEATURES, HIDDEN), sequences(LENGTHS)
    exact = sampled(layer, lambda: layer(inputs)[0][-1].sum())
    layer = layer.to(torch.bfloat16)

    def loss() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output: Tensor = layer(inputs.to(torch.bfloat16))[0]
        assert output.dtype is torch.bfloat16
        return output[-1].sum()

    seen = sampled(layer, loss)
    assert seen.early_to_late == pytest.approx(exact.early_to_late, rel=0.2)
    assert seen.gates == pytest.approx(exact.gates, abs=0.02)
    assert seen.padding == exact.padding


def test_features_by_name() -> None:
    layer, inputs = lstm(), sequences(LENGTHS)
    state = (torch.zeros(1, BATCH, HIDDEN), torch.zeros(1, BATCH, HIDDEN))
    seen = sampled(layer, lambda: layer(hx=state, input=inputs)[0].sum())
    assert seen.padding == pytest.approx(SHARE)
    assert seen.early_to_late is not None
