"""Lengths: whether they are sorted, and on which device they live."""

from __future__ import annotations

import pytest
from programs import PADDED, analysed

from rnnlint.semantics import events, values

ORDERS = [
    ("lengths", "arbitrary"),
    ("torch.tensor(lengths)", "arbitrary"),
    ("torch.LongTensor(lengths)", "arbitrary"),
    ("torch.tensor([len(b) for b in batch])", "arbitrary"),
    ("sorted(lengths, reverse=True)", "sorted"),
    ("torch.tensor(lengths).sort(descending=True)[0]", "sorted"),
    ("torch.sort(torch.tensor(lengths), descending=True)[0]", "sorted"),
    ("torch.sort(torch.tensor(lengths), 0, descending=True).values", "sorted"),
    ("[len(b) for b in sorted(batch, key=len, reverse=True)]", "sorted"),
    ("by_length(torch.tensor(lengths))", "sorted"),
    ("unseen(lengths)", ""),
]


@pytest.mark.parametrize(("lengths", "order"), ORDERS)
def test_lengths_know_their_order(lengths: str, order: str) -> None:
    program = analysed(
        f"""
def by_length(lengths):
    lengths, index = lengths.sort(descending=True)
    return lengths
def collate(batch):
    lengths = [len(b) for b in batch]
    return pad_sequence(batch), {lengths}
for x, lengths in DataLoader(rows, batch_size=4, shuffle=True, collate_fn=collate):
    pack_padded_sequence(x, lengths)
"""
    )
    assert _order(program.of(events.Packing)[0].lengths) == order


def _order(lengths: values.Value) -> object:
    if isinstance(lengths, values.Tensor):
        return lengths.order
    if isinstance(lengths, values.ListObject):
        return lengths.fields["order"]
    return ""


def test_a_batch_sorted_in_place_has_sorted_lengths() -> None:
    program = analysed(
        """
def collate(batch):
    batch.sort(key=lambda pair: len(pair[0]), reverse=True)
    xs, ys = zip(*batch)
    return pad_sequence(xs), torch.tensor([len(x) for x in xs])
for x, lengths in DataLoader(rows, batch_size=4, shuffle=True, collate_fn=collate):
    pack_padded_sequence(x, lengths)
"""
    )
    assert _order(program.of(events.Packing)[0].lengths) == "sorted"


def test_indexing_by_the_sorting_permutation_sorts() -> None:
    program = analysed(
        """
def collate(batch):
    return pad_sequence(batch, True), torch.tensor([len(b) for b in batch])
for x, lengths in DataLoader(rows, batch_size=4, collate_fn=collate):
    order = lengths.argsort(descending=True)
    pack_padded_sequence(x[order], lengths[order], batch_first=True)
"""
    )
    packing = program.of(events.Packing)[0]
    assert _order(packing.lengths) == "sorted"
    assert _order(packing.given) == "sorted"


def test_a_loader_with_its_own_sampler_may_sort() -> None:
    program = analysed(
        """
def collate(batch):
    return pad_sequence(batch), torch.tensor([len(b) for b in batch])
for x, lengths in DataLoader(rows, batch_sampler=sampler, collate_fn=collate):
    pack_padded_sequence(x, lengths)
"""
    )
    assert _order(program.of(events.Packing)[0].lengths) == ""


DEVICES = [
    ("torch.tensor(lengths)", ""),
    ("torch.tensor(lengths).cuda()", "gpu"),
    ("torch.tensor(lengths).to('cuda')", "gpu"),
    ("torch.tensor(lengths).to('cuda:1')", "gpu"),
    ("torch.tensor(lengths, device='cuda')", "gpu"),
    ("torch.tensor(lengths).to(device)", "gpu"),
    ("torch.tensor(lengths).to(choice)", "gpu"),
    ("torch.tensor(lengths).cuda().cpu()", "cpu"),
    ("torch.tensor(lengths).to(device).to('cpu')", "cpu"),
    ("torch.cuda.LongTensor(lengths)", "gpu"),
    ("(x != 0).to(device).sum(1)", "gpu"),
    ("x.to(device).ne(0).sum(dim=1)", "gpu"),
    ("torch.tensor(lengths).to(unknown)", ""),
]


@pytest.mark.parametrize(("lengths", "device"), DEVICES)
def test_lengths_know_their_device(lengths: str, device: str) -> None:
    program = analysed(
        f"""
device = torch.device("cuda")
choice = torch.device("cuda" if torch.cuda.is_available() else "cpu")
{PADDED}
pack_padded_sequence(embedded, {lengths}, batch_first=True)
"""
    )
    lengths_given = program.of(events.Packing)[0].lengths
    assert isinstance(lengths_given, values.Tensor)
    assert lengths_given.lengths
    assert lengths_given.device == device
    assert bool(lengths_given.device_steps) == (device != "")


def test_unpacked_lengths_live_on_the_cpu() -> None:
    program = analysed(
        """
lstm = nn.LSTM(8, 16)
out, lengths = pad_packed_sequence(packed)
pack_padded_sequence(out, lengths)
"""
    )
    lengths = program.of(events.Packing)[1].lengths
    assert isinstance(lengths, values.Tensor)
    assert lengths.device == "cpu"
