"""The order of a batch's rows, and the number that padding consists of."""

from __future__ import annotations

import pytest
from programs import analysed, only

from rnnlint.semantics import events, values

SORTED = """
def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor([len(x) for x in xs]), torch.tensor(ys)
rnn = nn.GRU(8, 16, batch_first=True)
for x, lengths, y in DataLoader(rows, batch_size=4, shuffle=True, collate_fn=collate):
    lengths, order = lengths.sort(descending=True)
    packed = pack_padded_sequence(x[order], lengths, batch_first=True)
    packed_output, h = rnn(packed)
    out, _ = pad_packed_sequence(packed_output, batch_first=True)
"""


def prediction(program_text: str) -> values.Tensor:
    loss = analysed(program_text).of(events.LossComputed)[0]
    assert isinstance(loss.prediction, values.Tensor)
    return loss.prediction


@pytest.mark.parametrize(
    "made",
    [
        "h[-1]",
        "nn.Linear(16, 3)(torch.relu(h[0]))",
        "out.mean(1)",
        "out[:, -1]",
        "out.gather(1, index)[:, 0]",
        "torch.cat([h[-1], h[0]], dim=1)",
        "torch.cat([h[-1], h[0]], -1)",
    ],
)
def test_what_is_made_of_a_sorted_batch_is_sorted(made: str) -> None:
    text = f"{SORTED}    F.cross_entropy({made}, y)\n"
    assert [step.words for step in prediction(text).sorted_by] == ["sorts by length"]


@pytest.mark.parametrize(
    "made",
    [
        "h[-1][order.argsort()]",
        "h[:, torch.sort(order)[1]]",
        "h[-1][order.sort(0)[1]]",
        "h[-1].index_select(0, order.argsort())",
        "h[-1][unseen(order)]",
        "h[-1].scatter(0, order, h[-1])",
        "out.gather(0, index)",
        "torch.stack([h[-1][n] for n in unseen(order)])",
        "out.flip(0)",
    ],
)
def test_an_order_that_is_restored_or_lost_is_not_sorted(made: str) -> None:
    assert prediction(f"{SORTED}    F.cross_entropy({made}, y)\n").sorted_by == ()


@pytest.mark.parametrize("again", ["order", "order.argsort(descending=True)"])
def test_another_permutation_does_not_restore_the_order(again: str) -> None:
    found = prediction(f"{SORTED}    F.cross_entropy(h[-1][{again}], y)\n")
    assert len(found.sorted_by) == (2 if again == "order" else 0)


def test_targets_keep_the_order_of_the_loader() -> None:
    loss = analysed(f"{SORTED}    F.cross_entropy(h[-1], y)\n").of(events.LossComputed)[0]
    assert isinstance(loss.target, values.Tensor)
    assert (loss.target.order, loss.target.sorted_by) == ("arbitrary", ())


def test_a_sorted_batch_is_not_taken_out_of_order() -> None:
    text = SORTED.replace("    xs, ys", "    batch.sort(key=len, reverse=True)\n    xs, ys")
    assert prediction(f"{text}    F.cross_entropy(h[-1], y)\n").sorted_by == ()


FILLERS = [
    ("pad_sequence(ys, batch_first=True)", 0),
    ("pad_sequence(ys, True, -100)", -100),
    ("filled(ys, torch.zeros(4, 9))", 0),
    ("filled(ys, np.full((4, 9), 7))", 7),
    ("filled(ys, ys[0].new_ones(4, 9))", 1),
    ("filled(ys, torch.empty(4, 9))", None),
    ("pad_sequence(ys).long().to(device)", 0),
    ("pad_sequence(ys)[:, 1:]", 0),
    ("pad_sequence(ys) - 1", None),
    ("pad_sequence(ys) + noise(ys)", None),
    ("overwritten(pad_sequence(ys))", None),
]


@pytest.mark.parametrize(("padded", "filler"), FILLERS)
def test_padding_knows_what_it_consists_of(padded: str, filler: int | None) -> None:
    program = analysed(
        f"""
def filled(rows, made):
    for number, row in enumerate(rows):
        made[number, : len(row)] = row
    return made
def overwritten(padded):
    padded[padded == 0] = -100
    return padded
F.cross_entropy(scores, {padded})
"""
    )
    target = only(program.of(events.LossComputed)).target
    assert isinstance(target, values.Tensor)
    assert target.padding is not None
    known = target.padding.filler
    assert (known.value if isinstance(known, values.Const) else None) == filler


@pytest.mark.parametrize("cut", ["padded[number, :length]", "padded[number][:length]"])
def test_a_row_that_is_cut_to_its_length_is_not_padded(cut: str) -> None:
    program = analysed(
        f"""
padded = pad_sequence(ys, batch_first=True)
for number, length in enumerate([len(y) for y in ys]):
    F.cross_entropy(scores, {cut})
"""
    )
    target = program.of(events.LossComputed)[0].target
    assert isinstance(target, values.Tensor)
    assert target.padding is None


def test_truth_values_pick_steps() -> None:
    program = analysed(
        """
padded = pad_sequence(ys, batch_first=True)
F.cross_entropy(scores, padded[unseen(padded).bool()])
F.cross_entropy(scores, padded[torch.zeros(3, 4).bool()])
"""
    )
    found = [loss.target for loss in program.of(events.LossComputed)]
    assert isinstance(found[-1], values.Tensor)
    assert found[-1].padding is None


@pytest.mark.parametrize(
    ("lengths", "counted"),
    [
        ("(ids != 0).sum(1)", True),
        ("ids.ne(0).long().sum(dim=1).cpu()", True),
        ("(ids != 0).sum(1).sort(descending=True)[0]", True),
        ("(ids != 0).sum(1).clamp(min=1)", False),
        ("(ids != 0).sum(1) + 1", False),
        ("(ids != 0).sum(1)[ids[:, 0] != 0]", False),
        ("torch.tensor([len(y) for y in ys])", False),
    ],
)
def test_counted_lengths_may_be_zero(lengths: str, counted: bool) -> None:
    program = analysed(
        f"ids = pad_sequence(ys, True)\npack_padded_sequence(ids, {lengths}, True)\n"
    )
    found = only(program.of(events.Packing)).lengths
    assert isinstance(found, values.Tensor)
    assert bool(found.counted) is counted


@pytest.mark.parametrize(
    ("use", "how"),
    [
        ("a, b = packed", "unpacked"),
        ("packed[:, -1]", "indexed"),
        ("packed.view(3, 4)", "called"),
        ("nn.Linear(3, 4)(packed)", "given"),
        ("packed[0]", ""),
        ("packed.data[:, -1]", ""),
        ("packed.data.view(3, 4)", ""),
        ("packed.to(device)", ""),
        ("a, *b = packed", ""),
        ("nn.GRU(3, 4)(packed)", ""),
    ],
)
def test_packed_sequences_are_no_tensors(use: str, how: str) -> None:
    program = analysed(f"packed = pack_padded_sequence(x, lengths)\n{use}\n")
    assert [note.how for note in program.of(events.PackedUsed)] == ([how] if how else [])


@pytest.mark.parametrize(
    ("model", "calls"),
    [
        ("nn.DataParallel(nn.Linear(3, 4))", 1),
        ("nn.DataParallel(nn.Linear(3, 4), [0, 1])", 1),
        ("nn.DataParallel(nn.Linear(3, 4), device_ids=unseen)", 1),
        ("nn.DataParallel(nn.Linear(3, 4), device_ids=[0])", 0),
        ("nn.Sequential(nn.Linear(3, 4))", 0),
    ],
)
def test_replicated_calls_are_noted(model: str, calls: int) -> None:
    program = analysed(f"model = {model}\nmodel(x)\n")
    assert len(program.of(events.Replicated)) == calls
