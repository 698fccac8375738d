"""What operations do to a batch: its padding, its axes, packing."""

from __future__ import annotations

import pytest
from programs import PADDED, analysed, side_of, the_input

from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program


def fed(expression: str, layer: str = "nn.LSTM(8, 16, batch_first=True)") -> Program:
    """An LSTM reads an expression over the padded batch `x`, embedded `embedded`."""
    return analysed(f"{PADDED}\nlstm = {layer}\nlstm({expression})\n")


# --- padding ---------------------------------------------------------------

KEEPING = [
    "x",
    "embedded",
    "x.to(device)",
    "x.cuda().float()",
    "x.clone().contiguous()",
    "torch.autograd.Variable(x)",
    "x.transpose(0, 1)",
    "x.permute(1, 0, 2)",
    "x.permute((1, 0, 2))",
    "x.t()",
    "x.T",
    "x.unsqueeze(-1)",
    "x.unsqueeze(2)",
    "x.float().unsqueeze(-1)",
    "nn.Linear(8, 8)(embedded)",
    "F.relu(nn.Linear(8, 8)(embedded))",
    "torch.tanh(embedded)",
    "nn.Dropout(0.5)(embedded)",
    "F.dropout(embedded, 0.5, training=True)",
    "nn.LayerNorm(8)(embedded)",
    "nn.Sequential(nn.Linear(8, 8), nn.ReLU())(embedded)",
    "torch.cat([embedded, embedded], dim=-1)",
    "torch.cat((embedded, other), 2)",
    "embedded + other",
    "embedded * 2",
    "2 * embedded",
    "embedded[:, :, :4]",
    "x[:, :-1]",
    "x[:, 1:]",
    "nn.Conv1d(8, 8, 3, padding=1)(embedded.transpose(1, 2)).transpose(1, 2)",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2)(embedded)",
    "F.embedding(x, weight)",
    "(x)",
]
LOSING = [
    "embedded * (x != 0).unsqueeze(-1)",
    "embedded.masked_fill(mask, 0)",
    "pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)",
    "embedded[:, 0]",
    "embedded[:, -1]",
    "embedded[:, 3:4]",
    "embedded.mean(1)",
    "embedded.sum(dim=1)",
    "embedded[x != 0]",
    "torch.zeros(4, 5, 8)",
    "unseen(embedded)",
    "embedded.gather(1, index)",
]


@pytest.mark.parametrize("expression", KEEPING)
def test_padding_survives(expression: str) -> None:
    assert side_of(fed(expression)) == "right"


@pytest.mark.parametrize("expression", LOSING)
def test_padding_ends(expression: str) -> None:
    assert side_of(fed(expression)) is None


def test_one_step_in_a_loop_over_time_is_not_padded() -> None:
    program = analysed(
        PADDED
        + """
cell = nn.GRUCell(8, 16)
for t in range(x.size(1)):
    h = cell(embedded[:, t], h)
"""
    )
    assert side_of(program) is None


def test_a_row_of_a_padded_batch_is_still_padded() -> None:
    program = analysed(
        PADDED
        + """
lstm = nn.LSTM(8, 16, batch_first=True)
for row in x:
    lstm(embedding(row))
"""
    )
    assert side_of(program) == "right"


def test_an_alternative_without_padding_speaks_for_the_code() -> None:
    program = analysed(
        PADDED
        + """
lstm = nn.LSTM(8, 16, batch_first=True)
if unknown:
    embedded = pack_padded_sequence(embedded, lengths, batch_first=True)
lstm(embedded)
"""
    )
    given = the_input(program)
    assert given.packed
    assert given.padding is None


def test_the_output_of_a_layer_over_padding_is_padded() -> None:
    program = analysed(
        PADDED
        + """
first, second = nn.LSTM(8, 16, batch_first=True), nn.LSTM(16, 16, batch_first=True)
out, _ = first(embedded)
second(nn.Dropout(0.1)(out))
"""
    )
    sides = [
        call.input.padding and call.input.padding.side for call in program.of(events.LayerCall)
    ]
    assert sides == ["right", "right"]


# --- axes ------------------------------------------------------------------

AXES = [
    ("x", 0),
    ("embedded", 0),
    ("embedded.transpose(0, 1)", 1),
    ("embedded.transpose(1, 0).contiguous()", 1),
    ("torch.transpose(embedded, 0, 1)", 1),
    ("embedded.permute(1, 0, 2)", 1),
    ("embedded.permute(0, 1, 2)", 0),
    ("x.t()", 1),
    ("embedding(x.t())", 1),
    ("embedding(x.T)", 1),
    ("embedded.transpose(0, 1).transpose(0, 1)", 0),
    ("embedded.swapaxes(0, 1)", 1),
    ("embedded.transpose(1, 2)", 0),
    ("nn.Conv1d(8, 8, 3)(embedded.transpose(1, 2)).transpose(1, 2)", 0),
    ("nn.Conv1d(8, 8, 3)(embedded.permute(0, 2, 1)).permute(0, 2, 1)", 0),
    ("nn.Conv1d(8, 8, 3)(embedded.permute(0, 2, 1)).permute(2, 0, 1)", 1),
    ("embedded.view(embedded.size(0), embedded.size(1), 2, 4)", 0),
    ("embedded.view(-1, 8)", None),
    ("embedded.reshape(20, 4, 8)", None),
    ("embedded.unsqueeze(0)", 1),
    ("embedded.unsqueeze(-1)", 0),
    ("torch.stack(rows)", None),
    ("torch.randn(4, 5, 8)", None),
    ("pad_sequence(rows)", 1),
    ("pad_sequence(rows, batch_first=False)", 1),
    ("pad_sequence(rows, batch_first=flag)", None),
    ("pad_packed_sequence(packed)[0]", 1),
    ("pad_packed_sequence(packed, batch_first=True)[0]", 0),
    ("pad_packed_sequence(packed, True)[0]", 0),
]


@pytest.mark.parametrize(("expression", "axis"), AXES)
def test_the_batch_axis_follows(expression: str, axis: int | None) -> None:
    assert the_input(fed(expression)).batch_axis == axis


def test_features_moved_before_time_leave_time_as_the_third_axis() -> None:
    given = the_input(fed("embedded.transpose(1, 2)"))
    assert [axis.name for axis in given.axes] == ["batch", "feature", "time"]
    assert given.time_axis == 2


@pytest.mark.parametrize(
    ("options", "axis"),
    [
        ("", 1),
        (", batch_first=True", 0),
        (", batch_first=False", 1),
        (", batch_first=unknown", None),
    ],
)
def test_a_layer_says_which_axis_of_its_output_is_the_batch(options: str, axis: int | None) -> None:
    program = analysed(
        f"""
first = nn.GRU(8, 16{options})
second = nn.LSTM(16, 16)
out, h = first(unknown_data)
second(out)
"""
    )
    second = program.of(events.LayerCall)[1].input
    assert second.batch_axis == axis


def test_the_axis_says_where_it_comes_from() -> None:
    given = the_input(fed("embedded"))
    assert [step.words for step in given.batch_axis_steps] == ["pads with batch_first=True"]


# --- packing ---------------------------------------------------------------


def packing_of(call: str) -> events.Packing:
    return analysed(f"{PADDED}\n{call}\n").of(events.Packing)[0]


@pytest.mark.parametrize(
    ("arguments", "batch_first", "enforce_sorted"),
    [
        ("", False, True),
        (", batch_first=True", True, True),
        (", True, False", True, False),
        (", enforce_sorted=False", False, False),
    ],
)
def test_packing_knows_its_arguments(
    arguments: str, batch_first: bool, enforce_sorted: bool
) -> None:
    packing = packing_of(f"pack_padded_sequence(embedded, lengths{arguments})")
    assert not packing.unpacks
    assert packing.batch_first == values.Const(batch_first)
    assert packing.enforce_sorted == values.Const(enforce_sorted)


def test_arguments_that_were_not_seen_are_unknown() -> None:
    packing = packing_of("pack_padded_sequence(embedded, lengths, **options)")
    assert packing.batch_first == values.UNKNOWN
    assert packing.enforce_sorted == values.UNKNOWN


def test_a_packed_batch_goes_through_a_layer_and_is_unpacked() -> None:
    program = analysed(
        PADDED
        + """
first, second = nn.LSTM(8, 16, batch_first=True), nn.LSTM(16, 16, batch_first=True)
out, (h, c) = first(pack_padded_sequence(embedded, lengths, batch_first=True))
out, n = pad_packed_sequence(out, batch_first=True)
second(out)
"""
    )
    one, two = (call.input for call in program.of(events.LayerCall))
    assert one.packed
    assert not two.packed
    assert two.unpacked
    assert two.batch_axis == 0
    assert two.output_of is program.of(events.LayerCall)[0]


def test_a_chain_of_layers_stays_packed() -> None:
    program = analysed(
        PADDED
        + """
first, second = nn.LSTM(8, 16, batch_first=True), nn.LSTM(16, 16, batch_first=True)
out, _ = first(pack_padded_sequence(embedded, lengths, batch_first=True))
second(out)
"""
    )
    assert [call.input.packed for call in program.of(events.LayerCall)] == [True, True]


def test_an_element_by_element_step_inside_a_packed_sequence_keeps_it_packed() -> None:
    program = analysed(
        PADDED
        + """
packed = pack_padded_sequence(x, lengths, batch_first=True)
packed = PackedSequence(embedding(packed.data), packed.batch_sizes)
lstm = nn.LSTM(8, 16)
lstm(packed)
"""
    )
    assert the_input(program).packed
