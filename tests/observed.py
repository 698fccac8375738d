"""Training scripts that run twice, alone and under `rnnlint doctor`, for its tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

CHECKOUT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1", "COLUMNS": "80"}

MODEL = """\
import copy, os, pickle, sys
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 12, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(12, 2)

    def forward(self, x):
        y, self.state = self.lstm(self.embedding(x))
        return self.out(self.dropout(y[:, -1]))

def step():
    optimizer.zero_grad()
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    return loss.item()

def digest(*modules):
    return [p.double().sum().item().hex() for module in modules for p in module.parameters()]

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
x, y = torch.randint(1, 20, (6, 9)), torch.randint(0, 2, (6,))
"""


class Done(msgspec.Struct, frozen=True):
    """What became of a script."""

    code: int
    out: str
    err: str
    found: dict[str, Any] = {}
    """The diagnosis, where one was written."""


def alone(folder: Path, *command: str) -> Done:
    """Run a script as Python does."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def observed(folder: Path, *command: str) -> Done:
    """Run it under observation, and read the diagnosis; options come first in the command."""
    report = folder / "diagnosis.json"
    report.unlink(missing_ok=True)
    wanted = ["--output-format", "json", "-o", report.name]
    done = subprocess.run(
        [sys.executable, "-m", "rnnlint", "doctor", *wanted, *command],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return Done(done.returncode, done.stdout, done.stderr, found)
