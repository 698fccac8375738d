"""Which batches the interpreter knows to be padded, and on which side."""

from __future__ import annotations

import pytest
from programs import analysed, only, side_of, the_call, the_input

from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program


def fed_by_collate(collate: str) -> Program:
    """A loader hands what `collate` returns to an LSTM."""
    return analysed(
        collate
        + """
lstm = nn.LSTM(8, 16, batch_first=True)
loader = DataLoader(rows, batch_size=4, collate_fn=collate)
for batch in loader:
    lstm(batch)
"""
    )


def fed_by_dataset(getitem: str, loader: str = "DataLoader(Rows(), batch_size=4)") -> Program:
    """A loader with PyTorch's own collate function hands samples of `Rows` to an LSTM."""
    return analysed(
        f"""
class Rows(Dataset):
    def __getitem__(self, index):
        ids = self.rows[index]
{getitem}

lstm = nn.LSTM(8, 16, batch_first=True)
for batch in {loader}:
    lstm(batch)
"""
    )


COLLATES = {
    "pad_sequence": """
def collate(batch):
    return pad_sequence(batch, batch_first=True)
""",
    "pad_sequence by its full name": """
def collate(batch):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(b) for b in batch], True)
""",
    "pad_sequence in a lambda": """
collate = lambda batch: pad_sequence(batch, batch_first=True)
""",
    "list plus pads": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.tensor([b + [0] * (longest - len(b)) for b in batch])
""",
    "list plus pads in a loop": """
def collate(batch):
    longest = max(map(len, batch))
    rows = []
    for b in batch:
        rows.append(list(b) + [PAD] * (longest - len(b)))
    return torch.LongTensor(rows)
""",
    "list plus pads through numpy": """
def collate(batch):
    longest = max([len(b) for b in batch])
    return torch.from_numpy(np.array([b + [0] * (longest - len(b)) for b in batch]))
""",
    "extended in place": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = []
    for b in batch:
        row = list(b)
        row += [0] * (longest - len(row))
        rows.append(row)
    return torch.tensor(rows)
""",
    "extend": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = []
    for b in batch:
        row = list(b)
        row.extend([0] * (longest - len(row)))
        rows.append(row)
    return torch.tensor(rows)
""",
    "appended in a while loop": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = []
    for b in batch:
        row = list(b)
        while len(row) < longest:
            row.append(0)
        rows.append(row)
    return torch.tensor(rows)
""",
    "appended in a for loop": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = []
    for b in batch:
        row = list(b)
        for _ in range(longest - len(row)):
            row.append(0)
        rows.append(row)
    return torch.tensor(rows)
""",
    "F.pad": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.stack([F.pad(b, (0, longest - len(b))) for b in batch])
""",
    "F.pad by keyword and size": """
def collate(batch):
    longest = max(b.size(0) for b in batch)
    return torch.stack([F.pad(b, pad=(0, 0, 0, longest - b.size(0)), value=-1.0) for b in batch])
""",
    "np.pad": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.tensor(np.stack([np.pad(b, (0, longest - len(b))) for b in batch]))
""",
    "np.pad of two axes": """
def collate(batch):
    longest = max(len(b) for b in batch)
    padded = [np.pad(b, ((0, longest - len(b)), (0, 0)), "constant") for b in batch]
    return torch.tensor(np.array(padded))
""",
    "cat with zeros": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.stack([torch.cat([b, torch.zeros(longest - len(b), 8)]) for b in batch])
""",
    "np.concatenate with zeros": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = [np.concatenate([b, np.zeros(longest - len(b))]) for b in batch]
    return torch.tensor(np.stack(rows))
""",
    "zeros filled row by row": """
def collate(batch):
    lengths = [len(b) for b in batch]
    padded = torch.zeros(len(batch), max(lengths)).long()
    for i, b in enumerate(batch):
        padded[i, :len(b)] = torch.tensor(b)
    return padded
""",
    "zeros filled up to a length": """
def collate(batch):
    lengths = [len(b) for b in batch]
    padded = torch.zeros(len(batch), max(lengths))
    for i, (b, n) in enumerate(zip(batch, lengths)):
        padded[i, :n] = b
    return padded
""",
    "zeros filled from zero": """
def collate(batch):
    lengths = [len(b) for b in batch]
    padded = np.zeros((len(batch), max(lengths)))
    for i, b in enumerate(batch):
        end = lengths[i]
        padded[i, 0:end] = b[:end]
    return torch.from_numpy(padded)
""",
    "rows of zeros indexed twice": """
def collate(batch):
    padded = torch.full((len(batch), max(len(b) for b in batch)), PAD)
    for i in range(len(batch)):
        n = len(batch[i])
        padded[i][:n] = batch[i]
    return padded
""",
    "new zeros filled row by row": """
def collate(batch):
    padded = batch[0].new_zeros(len(batch), max(b.size(0) for b in batch))
    for i, b in enumerate(batch):
        padded[i, :b.size(0)] = b
    return padded
""",
    "np.vstack with zeros": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.tensor([np.vstack([b, np.zeros((longest - len(b), 8))]) for b in batch])
""",
    "a conditional expression": """
def collate(batch):
    rows = [b + [0] * (20 - len(b)) if len(b) < 20 else b[:20] for b in batch]
    return torch.tensor(rows)
""",
    "a function that truncates or pads": """
def fit(row, size):
    if len(row) >= size:
        return row[:size]
    return row + [0] * (size - len(row))
def collate(batch):
    return torch.tensor([fit(b, 20) for b in batch])
""",
    "pads counted first": """
def collate(batch):
    longest = max(len(b) for b in batch)
    rows = []
    for b in batch:
        missing = longest - len(b)
        if missing > 0:
            b = b + [0] * missing
        rows.append(b)
    return torch.tensor(rows)
""",
    "no fewer than zero pads": """
def collate(batch):
    return torch.tensor([b + [0] * max(0, 20 - len(b)) for b in batch])
""",
    "keras, post": """
from keras.preprocessing.sequence import pad_sequences
def collate(batch):
    return torch.tensor(pad_sequences(batch, maxlen=50, padding="post"))
""",
    "zip_longest": """
def collate(batch):
    columns = itertools.zip_longest(*batch, fillvalue=0)
    return torch.tensor(list(columns)).t()
""",
}
LEFT_COLLATES = {
    "keras": """
from tensorflow.keras.preprocessing.sequence import pad_sequences
def collate(batch):
    return torch.tensor(pad_sequences(batch, maxlen=50))
""",
    "pads plus list": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.tensor([[0] * (longest - len(b)) + b for b in batch])
""",
    "F.pad in front": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.stack([F.pad(b, (longest - len(b), 0)) for b in batch])
""",
    "zeros filled from the back": """
def collate(batch):
    padded = torch.zeros(len(batch), max(len(b) for b in batch))
    for i, b in enumerate(batch):
        padded[i, -len(b):] = b
    return padded
""",
    "zeros before": """
def collate(batch):
    longest = max(len(b) for b in batch)
    return torch.stack([torch.cat([torch.zeros(longest - len(b), 8), b]) for b in batch])
""",
    "pad_sequence on the left": """
def collate(batch):
    return pad_sequence(batch, batch_first=True, padding_side="left")
""",
}


@pytest.mark.parametrize("collate", COLLATES.values(), ids=COLLATES)
def test_a_collate_function_pads_behind(collate: str) -> None:
    assert side_of(fed_by_collate(collate)) == "right"


@pytest.mark.parametrize("collate", LEFT_COLLATES.values(), ids=LEFT_COLLATES)
def test_a_collate_function_pads_in_front(collate: str) -> None:
    assert side_of(fed_by_collate(collate)) == "left"


SAMPLES = {
    "list plus pads": "        return torch.tensor(ids + [0] * (self.longest - len(ids)))",
    "F.pad": "        return F.pad(ids, (0, self.longest - len(ids)))",
    "zeros": (
        "        row = np.zeros(self.longest)\n        row[:len(ids)] = ids\n        return row"
    ),
    "only where it is short": (
        "        if len(ids) < self.longest:\n"
        "            ids = ids + [0] * (self.longest - len(ids))\n"
        "        else:\n"
        "            ids = ids[:self.longest]\n"
        "        return torch.tensor(ids)"
    ),
}


@pytest.mark.parametrize("getitem", SAMPLES.values(), ids=SAMPLES)
def test_samples_padded_by_a_dataset_make_a_padded_batch(getitem: str) -> None:
    given = the_input(fed_by_dataset(getitem))
    assert given.padding is not None
    assert given.padding.side == "right"
    assert given.batch_axis == 0


def test_a_dict_of_padded_samples_is_a_dict_of_padded_batches() -> None:
    program = fed_by_dataset(
        '        return {"ids": ids + [0] * (self.longest - len(ids)), "label": 1}',
        'map(lambda batch: batch["ids"], DataLoader(Rows(), batch_size=4))',
    )
    assert side_of(program) == "right"


def test_a_batch_of_one_sequence_is_not_padded() -> None:
    program = analysed(
        """
def collate(batch):
    return pad_sequence(batch, batch_first=True)
lstm = nn.LSTM(8, 16, batch_first=True)
for batch in DataLoader(rows, collate_fn=collate):
    lstm(batch)
for batch in DataLoader(rows, batch_size=1, collate_fn=collate):
    lstm(batch)
"""
    )
    assert [call.input.padding for call in program.of(events.LayerCall)] == [None] * 4


def test_a_batch_size_that_an_option_sets_may_be_more_than_one() -> None:
    program = analysed(
        """
parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=1)
args = parser.parse_args()
lstm = nn.LSTM(8, 16, batch_first=True)
collate = lambda batch: pad_sequence(batch, batch_first=True)
for batch in DataLoader(rows, batch_size=args.batch_size, collate_fn=collate):
    lstm(batch)
"""
    )
    assert side_of(program) == "right"


def test_a_collate_function_may_take_more_arguments_through_partial() -> None:
    program = analysed(
        """
from functools import partial
def collate(batch, pad):
    return pad_sequence(batch, batch_first=True, padding_value=pad)
lstm = nn.LSTM(8, 16, batch_first=True)
for batch in DataLoader(rows, batch_size=4, collate_fn=partial(collate, pad=0)):
    lstm(batch)
"""
    )
    assert side_of(program) == "right"


def test_a_collate_object_or_method_pads_too() -> None:
    program = analysed(
        """
class Collate:
    def __init__(self, pad):
        self.pad = pad
    def __call__(self, batch):
        xs, ys = zip(*batch)
        return pad_sequence(xs, batch_first=True, padding_value=self.pad), torch.tensor(ys)
lstm = nn.LSTM(8, 16, batch_first=True)
for x, y in DataLoader(rows, batch_size=4, collate_fn=Collate(0)):
    lstm(x)
"""
    )
    assert side_of(program) == "right"


def test_a_collate_method_of_the_dataset_pads_too() -> None:
    program = analysed(
        """
class Rows(Dataset):
    def __getitem__(self, index):
        return self.rows[index]
    @staticmethod
    def collate(batch):
        return pad_sequence(batch, batch_first=True)
lstm = nn.LSTM(8, 16, batch_first=True)
rows = Rows()
for x in DataLoader(rows, batch_size=4, collate_fn=rows.collate):
    lstm(x)
"""
    )
    assert side_of(program) == "right"


def test_the_provenance_names_the_padding_and_the_loader() -> None:
    text = COLLATES["pad_sequence"]
    program = fed_by_collate(text)
    padding = the_input(program).padding
    assert padding is not None
    assert [step.words for step in padding.steps] == [
        "pads every batch to its longest sequence",
        "this loader yields the padded batches",
    ]
    rows = [step.span.location.row for step in program.trail(padding.steps)]
    assert rows == sorted(rows)
    assert len(set(rows)) == 2


FIXED = {
    "a window": "torch.stack([b[i:i + 20] for b in batch])",
    "a stack": "torch.stack(batch)",
    "constant pads of a convolution": "torch.stack([F.pad(b, (1, 1)) for b in batch])",
    "a constant run": "torch.tensor([[0] * 10 + b for b in batch])",
    "random data": "torch.randn(len(batch), 20, 8)",
    "something unseen": "unseen(batch)",
    "unpadded zeros": "torch.zeros(len(batch), 20)",
    "whole rows": "rows_of(torch.zeros(len(batch), 20), batch)",
    "random ids that begin with keys": "begun(torch.randint(0, 9, (len(batch), 20)), *batch)",
    "random numbers that begin with keys": "begun(torch.rand(len(batch), 20), *batch)",
    "numbers in order that begin with keys": "begun(torch.arange(20).unsqueeze(0), *batch)",
    "two arrays in one": "joined(torch.zeros(len(batch), 20), *batch)",
    "two blocks in one": "blocks(np.zeros((len(batch), 20)), *batch)",
}


@pytest.mark.parametrize("expression", FIXED.values(), ids=FIXED)
def test_fixed_lengths_are_not_padding(expression: str) -> None:
    program = fed_by_collate(
        f"""
def rows_of(padded, batch):
    for i, b in enumerate(batch):
        padded[i] = b
    return padded
def joined(both, first, second):
    both[:len(first)] = first
    both[len(first):] = second
    return both
def begun(reads, keys, *others):
    reads[:, :len(keys)] = keys
    return reads
def blocks(both, first, second):
    both[:first.shape[0], :first.shape[1]] = first
    return both
def collate(batch):
    i = 3
    return {expression}
"""
    )
    assert side_of(program) is None


def test_sequences_that_are_packed_in_collate_are_packed() -> None:
    given = the_input(
        fed_by_collate(
            """
def collate(batch):
    return pack_sequence(batch, enforce_sorted=False)
"""
        )
    )
    assert given.packed
    assert given.padding is None


def test_data_padded_once_and_split_stays_padded() -> None:
    program = analysed(
        """
padded = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
train, test = torch.utils.data.random_split(TensorDataset(padded, labels), [80, 20])
lstm, embedding = nn.LSTM(8, 16, batch_first=True), nn.Embedding(100, 8)
for x, y in DataLoader(train, batch_size=4, shuffle=True):
    lstm(embedding(x))
"""
    )
    assert only(program.layers) is the_call(program).layer
    given = the_input(program)
    assert given.padding is not None
    assert given.batch_axis == 0


def test_arrays_split_by_scikit_learn_stay_padded() -> None:
    program = analysed(
        """
from keras.preprocessing.sequence import pad_sequences
from sklearn.model_selection import train_test_split
x = pad_sequences(sequences, maxlen=50, padding="post")
train_x, test_x, train_y, test_y = train_test_split(x, y)
data = TensorDataset(torch.from_numpy(train_x), torch.from_numpy(train_y))
lstm, embedding = nn.LSTM(8, 16, batch_first=True), nn.Embedding(100, 8)
for batch, labels in DataLoader(data, batch_size=4):
    lstm(embedding(batch))
"""
    )
    assert side_of(program) == "right"


def test_packing_behind_a_test_on_the_length_is_not_forgotten() -> None:
    program = analysed(
        """
x = pad_sequence(rows, batch_first=True)
if x.size(0) > 1:
    x = pack_padded_sequence(x, lengths, batch_first=True)
nn.LSTM(8, 16, batch_first=True)(x)
"""
    )
    assert the_input(program).packed


@pytest.mark.parametrize("filler", ["0", "PAD", "vocabulary[PAD]", "unseen()"])
def test_sequences_that_are_filled_up_in_turn_make_one_padded_batch(filler: str) -> None:
    program = analysed(
        "PAD = 0\nlayer = nn.LSTM(8, 16)\ndef batches():\n    batch = []\n"
        f"    for row in rows:\n        batch.append(row + [{filler}] * (longest - len(row)))\n"
        "    return torch.tensor(batch)\nlayer(batches())\n"
    )
    assert side_of(program) == "right"


def test_random_numbers_are_no_padding() -> None:
    program = analysed(
        "layer = nn.LSTM(8, 16)\nrest = torch.randn(20 - x.size(0), 4, 8)\n"
        "layer(torch.cat([x, rest]))\n"
    )
    assert the_input(program).padding is None


DRAWN = [
    ("k = random.randint(3, 9)", "right"),
    ("k = random.randrange(9)", "right"),
    ("k = np.random.randint(3, 9)", "right"),
    ("k = int(torch.randint(3, 9, (1,)))", "right"),
    ("k = torch.randint(3, 9, ()).item()", "right"),
    ("k = int(torch.randperm(9)[0])", None),
    ("k = 4", None),
    ("k = args.kept", None),
]


@pytest.mark.parametrize(("drawn", "side"), DRAWN)
def test_a_list_is_filled_up_after_a_length_that_was_drawn(drawn: str, side: str | None) -> None:
    program = analysed(
        f"""
import random
import numpy as np

rows = []
for _ in range(100):
    {drawn}
    rows.append([random.random() for _ in range(k)] + [0.0] * (20 - k))
lstm = nn.LSTM(1, 16, batch_first=True)
lstm(torch.tensor(rows).unsqueeze(-1))
"""
    )
    assert side_of(program) == side


def test_the_elements_of_a_sequence_are_its_length() -> None:
    collate = """
def collate(batch):
    seqs = [torch.tensor(row) for row in batch]
    lengths = torch.tensor([s.numel() for s in seqs])
    padded = pad_sequence(seqs, batch_first=True)
    return pack_padded_sequence(padded, lengths, batch_first=True)
"""
    packing = only(fed_by_collate(collate).possible(events.Packing))
    assert isinstance(packing.lengths, values.Tensor)
    assert packing.lengths.lengths


@pytest.mark.parametrize("fields", ['"x y"', '["x", "y"]', '"x, y"'])
def test_a_batch_is_a_named_tuple(fields: str) -> None:
    program = analysed(
        f"""
from collections import namedtuple

Batch = namedtuple("Batch", {fields})

def collate(batch):
    return Batch(pad_sequence(batch, batch_first=True), y=torch.zeros(4))

lstm = nn.LSTM(8, 16, batch_first=True)
for batch in DataLoader(rows, batch_size=4, collate_fn=collate):
    lstm(batch.x)
"""
    )
    assert side_of(program) == "right"
