"""Writes trees of generated training projects, the same for the same numbers.

    python benchmarks/synthesis.py FOLDER --files 2000

A package of 25 files holds one recurrent model, its data, its training loop, and
ordinary code around them, some of which mentions torch.  Nothing in a tree is meant
to run; its sizes and its share of recurrent code are those of published projects.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

PACKAGE_SIZE = 25
WORDS = (
    "account batch buffer bundle cell chunk column corpus cursor entry epoch event factor field "
    "frame group history index item label layer level limit margin measure node offset option "
    "order parcel phase point portion query range record region report result sample scale "
    "section segment series share signal slot source stage step stream table target token trace "
    "value vector vertex weight window".split()
)


def write_tree(folder: Path, files: int, *, every_file_mentions_torch: bool = False) -> None:
    """Write `files` Python files into packages below `folder`."""
    randomness = random.Random(files)
    for number, path in enumerate(_paths(folder, files)):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = _TEXTS.get(path.name, _ordinary)(randomness, number)
        if every_file_mentions_torch and "import torch" not in text:
            text = f"import torch\n{text}"
        path.write_text(text, encoding="utf-8")


def _paths(folder: Path, files: int) -> Iterator[Path]:
    for number in range(files):
        package, position = divmod(number, PACKAGE_SIZE)
        names = ("__init__.py", "model.py", "data.py", "train.py")
        name = names[position] if position < len(names) else f"part_{position:02}.py"
        yield folder / f"project_{package:03}" / name


def _initial(randomness: random.Random, number: int) -> str:
    return f'"""Project number {number // PACKAGE_SIZE}."""\n\n__version__ = "0.{number}"\n'


def _model(randomness: random.Random, number: int) -> str:
    """About 500 lines: several encoders and a model on top of them."""
    parts = ["import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"]
    parts += [_encoder(randomness, index) for index in range(12)]
    parts += [_function(randomness) for _ in range(19)]
    return "\n\n".join(parts)


def _encoder(randomness: random.Random, index: int) -> str:
    kind = randomness.choice(["LSTM", "GRU", "RNN"])
    size = randomness.choice([64, 128, 256])
    attribute = randomness.choice(["rnn", "encoder", "recurrent"])
    return f'''class Encoder{index}(nn.Module):
    """Reads a batch of sequences with a layer of kind {kind}."""

    def __init__(self, vocabulary_size, hidden_size={size}, num_layers=2, dropout=0.1):
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(vocabulary_size, {size}, padding_idx=0)
        self.{attribute} = nn.{kind}({size}, hidden_size, num_layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, {randomness.randint(2, 30)})

    def forward(self, tokens, lengths=None):
        embedded = self.dropout(self.embedding(tokens))
        output, state = self.{attribute}(embedded)
        if lengths is not None:
            last = output[torch.arange(len(lengths)), lengths - 1]
        else:
            last = output[:, -1]
        return self.head(F.relu(last))
'''


def _data(randomness: random.Random, number: int) -> str:
    parts = [
        """import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset


class Sequences(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        tokens, label = self.rows[index]
        return torch.tensor(tokens), label


def collate(batch):
    tokens, labels = zip(*batch)
    lengths = torch.tensor([len(row) for row in tokens])
    return pad_sequence(tokens, batch_first=True), lengths, torch.tensor(labels)


def make_loader(rows, batch_size=32):
    return DataLoader(Sequences(rows), batch_size=batch_size, collate_fn=collate)
"""
    ]
    parts += [_function(randomness) for _ in range(randomness.randint(3, 8))]
    return "\n\n".join(parts)


def _train(randomness: random.Random, number: int) -> str:
    package = f"project_{number // PACKAGE_SIZE:03}"
    encoder = f"Encoder{randomness.randint(0, 11)}"
    clips = randomness.random() < 0.5
    clip = "        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n" if clips else ""
    parts = [
        f"""import torch
from torch import nn

from {package}.data import make_loader
from {package}.model import {encoder}
from {package}.part_{randomness.randint(4, PACKAGE_SIZE - 1):02} import *


def run_epoch(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for tokens, lengths, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(tokens), labels)
        loss.backward()
{clip}        optimizer.step()
        total += loss.item()
    return total / len(loader)


def main(rows):
    model = {encoder}(10_000)
    loader = make_loader(rows)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(20):
        print(epoch, run_epoch(model, loader, criterion, optimizer))
"""
    ]
    parts += [_function(randomness) for _ in range(randomness.randint(2, 6))]
    parts.append('if __name__ == "__main__":\n    main([([1, 2, 3], 0), ([4, 5], 1)])\n')
    return "\n\n".join(parts)


def _ordinary(randomness: random.Random, number: int) -> str:
    """Code of no interest, 40 to 400 lines of it; one file in two mentions torch."""
    imports = ["import json", "import os", "from collections import defaultdict"]
    if randomness.random() < 0.5:
        imports.append("import torch")
    parts = ["\n".join(imports) + "\n"]
    parts += [_function(randomness) for _ in range(randomness.randint(4, 40))]
    return "\n\n".join(parts)


def _function(randomness: random.Random) -> str:
    one, two, three, four = randomness.sample(WORDS, 4)
    number = randomness.randint(2, 99)
    return f'''def {one}_{two}({three}, {four}=None, *, at_most={number}):
    """Collect the {one} of each {three}, and at most {number} of them."""
    found = defaultdict(list)
    for position, {two} in enumerate({three}):
        if {four} is not None and {two} not in {four}:
            continue
        key = (position % {number}, str({two}).lower().strip("{one[0]}"))
        found[key].append({{"{one}": {two}, "{four}": position + {number}}})
        if len(found) >= at_most:
            break
    return {{key: rows[0]["{one}"] for key, rows in found.items() if rows}}
'''


_TEXTS = {
    "__init__.py": _initial,
    "model.py": _model,
    "data.py": _data,
    "train.py": _train,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--every-file-mentions-torch", action="store_true")
    options = parser.parse_args()
    write_tree(
        options.folder,
        options.files,
        every_file_mentions_torch=options.every_file_mentions_torch,
    )


if __name__ == "__main__":
    main()
