"""What becomes of a recurrent layer's outputs, what activates them, and what drops out."""

from __future__ import annotations

import pytest
from programs import analysed, only

from rnnlint.semantics import events, values

LAYERS = """
lstm, gru, cell = nn.LSTM(4, 8), nn.GRU(4, 8), nn.LSTMCell(4, 8)
out, (h, c) = lstm(torch.randn(9, 2, 4))
last, memory = cell(torch.randn(2, 4))
packed, _ = lstm(pack_padded_sequence(x, lengths))
"""

HELD = [
    "out",
    "h",
    "out[-1]",
    "out[:, :, 3]",
    "h[-1].squeeze(0)",
    "out.transpose(0, 1).contiguous().view(-1, 8)",
    "torch.cat([h[-2], h[-1]], dim=1)",
    "torch.stack([last, last])",
    "pad_packed_sequence(packed)[0]",
    "out.detach()",
    "nn.Dropout(0.5)(out)",
    "F.dropout(out, 0.5)",
    "out.max(0)[0]",
    "out.gather(1, index)",
    "out.flatten()",
    "[step for step in out][0]",
]
CHANGED = [
    "c",
    "memory",
    "nn.Linear(8, 8)(out)",
    "out * 2",
    "-out",
    "out + torch.randn(9, 2, 8)",
    "torch.tanh(out)",
    "nn.LayerNorm(8)(out)",
    "nn.BatchNorm1d(8)(out[-1])",
    "out.mean(0)",
    "out.sum(0)",
    "torch.cat([h[-1], extra], dim=1)",
    "torch.cat([h[-1], c[-1]], dim=1)",
    "out if flag else nn.Linear(8, 8)(out)",
]


@pytest.mark.parametrize("expression", HELD)
def test_outputs_stay_outputs_when_they_are_selected(expression: str) -> None:
    assert _predicted(expression).values_of is not None


@pytest.mark.parametrize("expression", CHANGED)
def test_computed_values_are_no_outputs_any_more(expression: str) -> None:
    loss = _loss(expression)
    members = values.members(loss.prediction)
    assert not all(isinstance(one, values.Tensor) and one.values_of for one in members)


def _loss(expression: str) -> events.LossComputed:
    program = analysed(f"{LAYERS}\nF.mse_loss({expression}, target)\n")
    return only(program.of(events.LossComputed))


def _predicted(expression: str) -> values.Tensor:
    prediction = _loss(expression).prediction
    assert isinstance(prediction, values.Tensor)
    return prediction


RANKS = [
    ("out", 3),
    ("nn.Linear(8, 5)(out)", 3),
    ("out.transpose(0, 1)", 3),
    ("out.unsqueeze(1)", 4),
    ("out.squeeze()", None),
    ("out.view(-1, 8)", 2),
    ("out.reshape((n, t, 8))", 3),
    ("out.view(shape)", None),
    ("out[0]", 2),
    ("out[1:]", 3),
    ("out[1:, :, 0]", 2),
    ("out[None]", 4),
    ("last", 2),
    ("images.view(-1, 784, 1)", 3),
]


@pytest.mark.parametrize(("expression", "rank"), RANKS)
def test_the_number_of_axes_is_known_or_not(expression: str, rank: int | None) -> None:
    assert _predicted(expression).rank == rank


ACTIVATED = [
    ("F.relu(out)", "relu", None),
    ("torch.relu(out)", "relu", None),
    ("out.relu()", "relu", None),
    ("nn.ReLU()(out)", "relu", None),
    ("F.softmax(out)", "softmax", None),
    ("nn.Softmax()(out)", "softmax", None),
    ("F.softmax(out, 1)", "softmax", 1),
    ("F.log_softmax(out, dim=-1)", "log_softmax", -1),
    ("nn.LogSoftmax(dim=2)(out)", "log_softmax", 2),
]


@pytest.mark.parametrize(("expression", "kind", "dim"), ACTIVATED)
def test_activations_of_recurrent_results_are_noted(
    expression: str, kind: str, dim: int | None
) -> None:
    note = only(analysed(f"{LAYERS}\ny = {expression}\n").of(events.Activated))
    assert note.kind == kind
    assert note.given.values_of is not None
    assert values.integer(note.dim) == dim


def test_activations_of_other_things_are_not_noted() -> None:
    assert not analysed("y = F.relu(nn.Linear(3, 4)(torch.randn(2, 3)))\n").of(events.Activated)


NET = """
class Net(nn.Module):
    def forward(self, x):
        {}
        return x

    def helper(self, x):
        return F.dropout(x, 0.5)

net = Net()
lstm = nn.LSTM(4, 8)
"""


def test_a_dropout_of_a_function_is_noted_with_its_arguments() -> None:
    program = analysed(NET.format("F.dropout(x, 0.3, self.training)") + "net(lstm(x)[0])\n")
    note = only(program.of(events.DroppedOut))
    assert list(note.options) == ["input", "p", "training"]
    assert note.forward is not None
    assert note.function is note.forward


def test_the_module_around_a_helper_that_drops_out_is_known() -> None:
    program = analysed(NET.format("x = self.helper(x)") + "net(lstm(x)[0])\nnet.helper(x)\n")
    inside, outside = program.of(events.DroppedOut)
    assert inside.forward is not None and inside.forward.name == "forward"
    assert inside.function is not None and inside.function.name == "helper"
    assert outside.forward is None


def test_a_dropout_with_arguments_that_are_not_written_out_is_not_noted() -> None:
    program = analysed(NET.format("F.dropout(x, **self.options)") + "net(lstm(x)[0])\n")
    assert not program.of(events.DroppedOut)


CTC = "nn.LSTM(4, 8)\nlogits = F.log_softmax(nn.LSTM(4, 8)(x)[0], 2)\n"


def test_a_loss_knows_its_module() -> None:
    program = analysed(CTC + "nn.CTCLoss(0, 'sum', True)(logits, y, lengths, others)\n")
    loss = only(program.of(events.LossComputed))
    assert loss.criterion is not None and loss.criterion.kind == "CTCLoss"
    assert loss.options["zero_infinity"] == values.TRUE


def test_a_loss_function_knows_its_arguments_by_name() -> None:
    program = analysed(CTC + "F.ctc_loss(logits, y, lengths, others, 0, 'mean', True)\n")
    loss = only(program.of(events.LossComputed))
    assert loss.criterion is None
    assert loss.options["zero_infinity"] == values.TRUE


FINITENESS = [
    "torch.isnan(loss)",
    "loss.isinf().any()",
    "torch.isfinite(loss)",
    "math.isnan(loss.item())",
    "np.isinf(value)",
    "value == float('inf')",
    "value in (np.inf, -np.inf)",
    "value != -math.inf",
]
COMPARISONS = ["value < float('inf')", "value == float(other)", "value == 3", "value is None"]


@pytest.mark.parametrize("test", FINITENESS)
def test_tests_for_infinity_are_noted(test: str) -> None:
    program = analysed(f"import math\nloss = F.mse_loss(x, y)\nif {test}:\n    pass\n")
    assert len(program.of(events.FinitenessTested)) == 1


@pytest.mark.parametrize("test", COMPARISONS)
def test_other_comparisons_are_no_tests_for_infinity(test: str) -> None:
    assert not analysed(f"if {test}:\n    pass\n").of(events.FinitenessTested)


def test_turns_that_a_loop_does_not_take_are_told() -> None:
    loop = "for _ in range({}):\n    out = torch.relu(out)\n    out, h = gru(out, h)\n"
    once = analysed("gru, out, h = nn.GRU(4, 4), x, None\n" + loop.format(1))
    twice = analysed("gru, out, h = nn.GRU(4, 4), x, None\n" + loop.format(2))
    unknown = analysed("gru, out, h = nn.GRU(4, 4), x, None\n" + loop.format("n"))
    assert [once.is_reached(note) for note in once.of(events.Activated)] == [False]
    assert [twice.is_reached(note) for note in twice.of(events.Activated)] == [True]
    assert [unknown.is_reached(note) for note in unknown.of(events.Activated)] == [True]


ADJUSTED = ["w.data.mul_(mask)", "w.data.fill_diagonal_(1)", "w.data[0].add_(noise)"]
LEFT_ALONE = ["w.requires_grad_(False)", "w.data.zero_()", "w.data.add_(w.grad)", "w.mul(2)"]


@pytest.mark.parametrize("statement", ADJUSTED)
def test_a_parameter_that_is_changed_in_place_is_noted(statement: str) -> None:
    program = analysed(f"w = nn.Linear(2, 2).weight\n{statement}\n")
    assert only(program.of(events.Adjusted)).parameter.name == "weight"


@pytest.mark.parametrize("statement", LEFT_ALONE)
def test_what_overwrites_or_keeps_a_parameter_does_not_adjust_it(statement: str) -> None:
    assert not analysed(f"w = nn.Linear(2, 2).weight\n{statement}\n").of(events.Adjusted)


def test_an_embedding_zeroes_its_own_row_of_padding() -> None:
    program = analysed("nn.Embedding(9, 4, padding_idx=0)._fill_padding_idx_with_zero()\n")
    init = only(program.of(events.Init))
    assert (init.how, init.parameter.name, init.parameter.part) == ("zeros", "weight", "slice")
