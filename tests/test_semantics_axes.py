"""The axes of tensors: what operations do to them, held against PyTorch itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import analysed, calls
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rnnlint.semantics import events, values

BATCH, TIME, FEATURES = 3, 7, 8
NAMES = {BATCH: "batch", TIME: "time", FEATURES: "feature"}
SOURCES = {
    "time first": "embedding(pad_sequence(rows))",
    "batch first": "embedding(pad_sequence(rows, batch_first=True))",
    "outputs": "nn.GRU(8, 8, batch_first=True)(embedding(pad_sequence(rows, batch_first=True)))[0]",
    "a final state": "nn.GRU(8, 8)(embedding(pad_sequence(rows)))[1]",
    "a cell's state": "nn.GRUCell(8, 8)(embedding(pad_sequence(rows))[0])",
}
"""Tensors whose axes are named, as the analyser and as PyTorch make them."""

OPERATIONS = (
    "x.transpose(0, 1)", "x.transpose(1, 2)", "x.transpose(-1, -2)", "x.transpose(0, -1)",
    "x.permute(1, 0, 2)", "x.permute(0, 2, 1)", "x.permute(2, 0, 1)", "x.permute(1, 2, 0)",
    "x.unsqueeze(0)", "x.unsqueeze(1)", "x.unsqueeze(-1)", "x.unsqueeze(2)",
    "x.squeeze(0)", "x.squeeze(1)", "x.squeeze(-1)",
    "x[0]", "x[-1]", "x[:, 0]", "x[:, -1]", "x[:, :, 0]", "x[..., 0]", "x[None]", "x[:, None]",
    "x[:, -1:]", "x[:2]", "x[0:1]", "x[i : i + 1]", "x[:, i : i + 1]", "x.split(1)[0]",
    "x.split(1, dim=1)[-1]", "x.unbind(1)[0]", "x.unbind()[0]", "x.split(2, 1)[0]",
    "x.mean(0)", "x.sum(dim=1)", "x.max(-1)[0]", "x.mean(1, keepdim=True)",
    "x.view(x.size(0), -1)", "x.reshape(x.size(0), x.size(1), -1)", "x.contiguous()", "x.flatten()",
    "x.reshape(-1, x.size(-1))", "torch.stack([x, x])", "torch.cat([x, x], dim=-1)",
    "x + x[:1]", "x * x.mean(-1, keepdim=True)", "x[:1] - x", "x + x[0]", "x[0] * x", "x / 2.0",
    "torch.tanh(x)", "x * 2", "x + x", "x.t()", "x.flip(0)", "x.repeat(2, 1, 1)",
    "x.expand(2, *x.shape)", "nn.Linear(x.size(-1), 8)(x)", "nn.Dropout(0.1)(x)", "x > 0",
)  # fmt: skip


def executed(lines: list[str]) -> Tensor | None:
    """What PyTorch makes of the lines; None where it refuses."""
    names: dict[str, object] = {
        "torch": torch,
        "nn": nn,
        "pad_sequence": pad_sequence,
        "rows": [torch.ones(length, dtype=torch.long) for length in (TIME, 4, 2)],
        "embedding": nn.Embedding(100, FEATURES),
        "i": 0,
    }
    try:
        exec("\n".join(lines), names)
    except (RuntimeError, IndexError, TypeError):
        return None
    result = names["x"]
    return result if isinstance(result, Tensor) else None


def seen(lines: list[str]) -> values.Tensor:
    """The same, as the analyser sees it: what the last layer of the program is given."""
    program = analysed(
        "embedding = nn.Embedding(100, 8)\nrows = unseen()\ni = unseen()\n"
        + "\n".join(lines)
        + "\nnn.LSTM(8, 8)(x)\n"
    )
    found = calls(program)[-1].input
    assert isinstance(found, values.Tensor)
    return found


@settings(deadline=None, max_examples=400, derandomize=True)
@given(
    source=st.sampled_from(sorted(SOURCES)),
    operations=st.lists(st.sampled_from(OPERATIONS), max_size=4),
)
def test_no_axis_is_taken_for_another(source: str, operations: list[str]) -> None:
    lines = [f"x = {SOURCES[source]}", *(f"x = {operation}" for operation in operations)]
    real = executed(lines)
    if real is None:
        return
    abstract = seen(lines)
    if abstract.rank is not None:
        assert abstract.rank == real.dim()
    for axis, size in zip(abstract.axes, real.shape, strict=False):
        if axis.name in NAMES.values() and size in NAMES:
            assert axis.name == NAMES[size]
        if isinstance(axis.size, values.Const):
            assert axis.size.value == size


NAMED = [
    ("batch first", [], "batch time feature"),
    ("outputs", [], "batch time feature"),
    ("outputs", ["x.permute(0, 2, 1)"], "batch feature time"),
    ("outputs", ["x.permute(2, 0, 1)"], "feature batch time"),
    ("outputs", ["x[:, -1]"], "batch feature"),
    ("outputs", ["x[:, -1:]"], "batch time feature"),
    ("outputs", ["x[..., 0]"], "batch time"),
    ("outputs", ["x.mean(dim=1)"], "batch feature"),
    ("outputs", ["x.unsqueeze(1)"], "batch ? time feature"),
    ("outputs", ["x.unsqueeze(1)", "x.squeeze(1)"], "batch time feature"),
    ("outputs", ["x.reshape(x.size(0), x.size(1), 2, 4)"], "batch time ? ?"),
    ("outputs", ["x.view(x.size(0), -1)"], "batch ?"),
    ("outputs", ["x.view(-1, 8)"], "? ?"),
    ("outputs", ["nn.Linear(8, 2)(x)"], "batch time feature"),
    ("outputs", ["x @ weight"], "batch time ?"),
    ("outputs", ["x.flatten(1)"], None),
    ("a final state", [], "layers batch feature"),
    ("a final state", ["x[-1]"], "batch feature"),
    ("a final state", ["x.transpose(0, 1)"], "batch layers feature"),
    ("a cell's state", [], "batch feature"),
]


@pytest.mark.parametrize(("source", "operations", "names"), NAMED)
def test_axes_are_named(source: str, operations: list[str], names: str | None) -> None:
    found = seen([f"x = {SOURCES[source]}", *(f"x = {operation}" for operation in operations)])
    named = " ".join(axis.name or "?" for axis in found.axes)
    assert named == ("" if names is None else names)


SIZES = [
    ("nn.LSTM(8, 16, 3)(x)[1][0]", 3),
    ("nn.LSTM(8, 16, 3, bidirectional=True)(x)[1][1]", 6),
    ("nn.GRU(8, 16)(x)[1]", 1),
    ("nn.Linear(8, 5)(torch.zeros(4, 8)).t()", 5),
    ("torch.zeros(4, 8)[:, None].transpose(0, 1)", 1),
]


@pytest.mark.parametrize(("expression", "size"), SIZES)
def test_sizes_are_known(expression: str, size: int) -> None:
    assert seen(["x = unseen()", f"x = {expression}"]).axes[0].size == values.Const(size)


def test_a_size_that_the_user_chooses_is_not_known() -> None:
    found = seen(
        [
            "parser = argparse.ArgumentParser()",
            "parser.add_argument('--layers', type=int, default=2)",
            "x = nn.GRU(8, 16, parser.parse_args().layers)(unseen())[1]",
        ]
    )
    assert found.axes[0] == values.Axis("layers")


def test_minus_one_is_no_size() -> None:
    program = analysed(
        "x = torch.zeros(80).view(-1, 8)\nfor t in range(x.size(0)):\n    nn.LSTM(8, 8)(x[t])\n"
    )
    assert {call.input.rank for call in calls(program)} == {1}


def test_an_axis_is_the_same_size_wherever_it_is_moved() -> None:
    program = analysed(
        "rows = unseen()\nx = nn.Embedding(9, 8)(pad_sequence(rows))\n"
        "y = x.transpose(0, 1)\nnn.GRU(8, 8)(y.reshape(y.size(0), y.size(1), 2, 4))\n"
        "nn.GRU(8, 8)(y.reshape(x.size(1), x.size(0), 8))\n"
        "nn.GRU(8, 8)(y.reshape(x.size(0), x.size(1), 8))\n"
    )
    names = [[axis.name for axis in call.input.axes[:2]] for call in calls(program)]
    assert names == [["batch", "time"], ["batch", "time"], ["", ""]]


# --- reshapes and single numbers -------------------------------------------


def reshapes(text: str) -> list[events.Reshaped]:
    return list(analysed(f"rows = unseen()\nx = nn.GRU(8, 8)(pad_sequence(rows))[0]\n{text}").of(
        events.Reshaped
    ))  # fmt: skip


@pytest.mark.parametrize("name", ["view", "reshape"])
def test_memory_that_is_cut_anew_is_noted(name: str) -> None:
    (noted,) = reshapes(f"x.{name}(x.size(1), -1)\n")
    assert noted.name == name
    assert [axis.name for axis in noted.tensor.axes] == ["time", "batch", "feature"]
    assert noted.sizes == (noted.tensor.axes[1].size, values.Const(-1))


@pytest.mark.parametrize("call", ["torch.reshape(x, (x.size(1), -1))", "x.view((x.size(1), -1))"])
def test_sizes_may_come_in_a_tuple(call: str) -> None:
    assert len(reshapes(call)[0].sizes) == 2


@pytest.mark.parametrize("call", ["x.view(*sizes)", "x.view(sizes)", "x.view_as(y)"])
def test_sizes_that_are_not_known_are_not_noted(call: str) -> None:
    assert not reshapes(call)


def test_convolutions_give_new_sizes() -> None:
    program = analysed(
        "rows = unseen()\nx = nn.Embedding(9, 8)(pad_sequence(rows, batch_first=True))\n"
        "y = nn.Conv1d(8, 4, 3)(x.transpose(1, 2))\nnn.GRU(4, 4)(x)\nnn.GRU(4, 4)(y)\n"
    )
    before, after = (call.input.axes for call in calls(program))
    assert [axis.name for axis in after] == ["batch", "feature", "time"]
    assert after[0] == before[0]
    assert after[2].size != before[1].size


@pytest.mark.parametrize("target", ["1", "0.5", "torch.tensor(0.5)"])
def test_one_number_a_sample_makes_a_batch_of_one_axis(target: str) -> None:
    program = analysed(
        f"data = [(torch.randn(20, 8), {target}), (torch.randn(20, 8), {target})]\n"
        "for x, y in DataLoader(data, 8):\n    nn.LSTM(8, 8)(y)\n"
    )
    given = calls(program)[0].input
    assert [axis.name for axis in given.axes] == ["batch"]
    assert given.rank == 1


def test_a_tensor_made_from_sizes_knows_where() -> None:
    program = analysed("h = torch.zeros(1, 4, 8).to('cuda')\nnn.GRU(8, 8)(unseen(), h)\n")
    state = calls(program)[0].state
    assert isinstance(state, values.Tensor)
    assert state.made_at is not None


def test_the_size_of_a_batch_leads_to_its_loader() -> None:
    program = analysed(
        "for x in DataLoader([torch.zeros(20, 8)], batch_size=4):\n    nn.LSTM(8, 8)(x)\n"
    )
    size = calls(program)[0].input.axes[0].size
    assert isinstance(size, values.Size)
    (loader,) = program.loaders_built_at(size.of)
    assert loader.options["batch_size"] == values.Const(4)
    assert not program.loaders_built_at(None)


@pytest.mark.parametrize(
    ("loader", "many"),
    [
        ("DataLoader([torch.zeros(20, 8)], batch_size=4)", True),
        ("DataLoader([torch.zeros(20, 8)], batch_size=size)", True),
        ("DataLoader([torch.zeros(20, 8)], batch_size=1)", False),
        ("DataLoader([torch.zeros(20, 8)])", False),
        ("[torch.zeros(4, 20, 8)]", True),
        ("[torch.zeros(1, 20, 8)]", False),
        ("[torch.zeros(unseen(), 20, 8)]", False),
    ],
)
def test_an_axis_is_known_to_be_longer_than_one(loader: str, many: bool) -> None:
    program = analysed(f"size = unseen()\nfor x in {loader}:\n    nn.LSTM(8, 8)(x)\n")
    assert program.is_many(calls(program)[0].input.axes[0].size) is many
