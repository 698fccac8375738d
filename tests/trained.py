"""A small training project to look at, and how to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rnnlint import engine

TORCH = "import torch\nfrom torch import nn\n"
FAULT = "probe = nn.GRU(3, 4, dropout=0.5)\n"
"""A line that is always found fault with (RNN503)."""

FAULTY = "from torch import nn\n\nlayer = nn.LSTM(8, 16, dropout=0.5)\n"
"""A file in which that is all."""
TAGGER = """\
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, num_layers=1, dropout=0.5)

    def forward(self, x):
        return self.lstm(x)[0]
"""
"""A model of which the same is said."""
TAGGING = """\
import torch
from model import Tagger

model = Tagger()
optimizer = torch.optim.Adam(model.parameters())
for x, y in []:
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
"""
"""What trains it."""

MODEL = """\
from torch import nn


class Tagger(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.lstm = nn.LSTM(size, 16, batch_first=True)

    def forward(self, words):
        return self.lstm(words)[0][:, -1]
"""
DATA = """\
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


def collate(batch):
    return pad_sequence(batch, batch_first=True)


def make_loader(dataset):
    return DataLoader(dataset, batch_size=8, collate_fn=collate)
"""
TRAIN = """\
import torch

from {package}data import make_loader
from {package}model import Tagger


def main(dataset):
    model = Tagger(8)
    optimizer = torch.optim.Adam(model.parameters())
    for words in make_loader(dataset):
        optimizer.zero_grad()
        loss = model(words).sum()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main([])
"""


def lay(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def training_project(root: Path, folder: str = "", package: str = "") -> Path:
    """A project whose findings have their causes in three files."""
    return lay(
        root,
        {
            f"{folder}data.py": DATA,
            f"{folder}model.py": MODEL,
            f"{folder}train.py": TRAIN.format(package=package),
        },
    )


def check(cwd: Path, *paths: str, **options: object) -> engine.Outcome:
    return engine.check(engine.Request(paths=paths, cwd=str(cwd), **options))  # type: ignore[arg-type]


def codes(outcome: engine.Outcome, path: str | None = None) -> list[str]:
    return sorted(d.code for d in outcome.diagnostics if path in (None, d.span.path))
