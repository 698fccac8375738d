"""The whole pipeline on programs that hypothesis makes up: it never fails, and always agrees.

The programs are plausible only line by line: every name may stand for anything, so that
values of every kind meet every operation.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnnlint import engine
from rnnlint.diagnostic import Location, Span

NAMES = (
    "model net lstm x y batch lengths mask out state loss optimizer scheduler scaler loader "
    "data items config"
).split()
FUNCTIONS = "build collate train_step evaluate init_weights helper".split()
CLASSES = "Model Trainer Reader".split()
ATTRIBUTES = "rnn fc hidden optimizer model embed weight_hh_l0 options".split()

# In a template `N` is a name, `E` an expression, `F` a function, `C` a class, `A` an
# attribute, `K` a constant and `L` a recurrent layer.
CONSTANTS = (
    "0 1 -1 2 0.5 1e9 None True False 'relu' '' b'x' ... [] () {} "
    "'cuda' 'lstm' 10**9 float('inf') 3j"
).split()
LAYERS = (
    "nn.LSTM(K, K, batch_first=K)",
    "nn.GRU(8, 16, num_layers=K, bidirectional=K, dropout=K)",
    "nn.RNN(E, E, nonlinearity=K)",
    "nn.LSTMCell(8, E)",
    "getattr(nn, E)(8, 16)",
    "nn.ModuleList([nn.GRU(8, 8) for N in range(K)])",
    "nn.Sequential(nn.LSTM(8, 8), E)",
    "{'lstm': nn.LSTM, 'gru': nn.GRU}[E](8, 16)",
    "nn.LSTM(*E, **E)",
)
EXPRESSIONS = (
    *("N", "N", "N", "K", "K", "L", "F", "C", "nn", "self", "N.A", "F(E)", "F(E, N=E)", "C(E)"),
    *("N(E)", "N(E, E)", "N.A(E)", "E[K]", "E[:, K]", "E[..., N]", "E[E:E]", "N[0][1]"),
    *("E + E", "E * E", "E - E", "E % E", "E == E", "E and E", "not E", "-E", "E if E else E"),
    *("(E, E)", "[E, *E]", "{'a': E, **E}", "{E, E}", "f'{E}{N!r:>{K}}'", "lambda N, *a: E"),
    *("[E for N in E]", "{N: E for N in E if E}", "(E for N, _ in E for N in N)", "(N := E)"),
    *("len(E)", "range(E)", "zip(E, E)", "sorted(E, key=E)", "enumerate(E)", "dict(E)", "max(E)"),
    *("list(map(E, E))", "isinstance(E, nn.LSTM)", "super().forward(E)", "functools.partial(F, E)"),
    *("torch.zeros(K, E)", "torch.tensor([E])", "torch.cat([E, E], dim=K)", "torch.stack(E)"),
    *("pad_sequence(E, batch_first=K)", "pack_padded_sequence(E, E, batch_first=K)"),
    *("pad_packed_sequence(E)[0]", "E.transpose(0, 1)", "E.view(-1, E)", "E.permute(1, 0, K)"),
    *("E.to(E)", "E.cpu()", "E.detach()", "E.size(K)", "E.shape[K]", "E.squeeze(K)", "E.item()"),
    *("E.sort(descending=K)", "E.mean(1)", "E.softmax(-1)", "torch.where(E, E, E)", "E @ E"),
    *("N.parameters()", "N.named_parameters()", "N.children()", "N.state_dict()", "N.apply(F)"),
    *("DataLoader(E, batch_size=K, collate_fn=F)", "TensorDataset(E, E)", "nn.Embedding(K, K)"),
    *("nn.CrossEntropyLoss(ignore_index=K)(E, E)", "F_.softmax(E, dim=K)", "F_.mse_loss(E, E)"),
    *("torch.optim.Adam(E, lr=K)", "torch.optim.SGD([{'params': E}], E)", "nn.Linear(E, K)"),
    *(
        "lr_scheduler.StepLR(N, K)",
        "lr_scheduler.ReduceLROnPlateau(N)",
        "GradScaler()",
        "await_(E)",
    ),
    *("argparse.ArgumentParser().parse_args()", "os.environ.get('A', K)", "torch.load(E)"),
)
STATEMENTS = (
    *("N = E", "N = L", "N, N = E", "N, (N, N) = N(E)", "(N, *N), N = E", "N.A = E", "N[E] = E"),
    *(
        "self.A = L",
        "N += E",
        "N: int = E",
        "del N",
        "global N",
        "assert E, E",
        "pass",
        "E",
        "N = N",
    ),
    *("N.append(E)", "N.extend(E)", "N.update(A=E)", "N.train()", "N.eval()", "print(E)"),
    *("optimizer.zero_grad()", "loss.backward()", "E.backward()", "optimizer.step()", "N.step(E)"),
    *("scheduler.step()", "scaler.scale(E).backward()", "scaler.unscale_(N)", "scaler.step(N)"),
    *("nn.utils.clip_grad_norm_(N.parameters(), K)", "clip_grad_norm(E, K)", "nn.init.zeros_(E)"),
    *("nn.init.orthogonal_(E)", "nn.init.xavier_uniform_(N.A.data)", "N.data.fill_(K)"),
    *("state = tuple(N.detach() for N in state)", "out, state = net(x, state)", "loss = E.sum()"),
    *("N.requires_grad = K", "N.register_buffer('A', E)", "setattr(N, 'A', E)", "import b as N"),
    *("# rnnlint: ignore[RNN201]", "N = E  # noqa: RNN101", "from a import *", "nonsense = E.E_"),
)
BLOCKS = (
    *("if E:", "if isinstance(N, C):", "if N is None:", "if __name__ == '__main__':", "while E:"),
    *(
        "for N in E:",
        "for N, N in loader:",
        "for N, (N, *N) in enumerate(E):",
        "for N in range(K):",
    ),
    *("with torch.no_grad():", "with E as N:", "with autocast(), E as (N, N):", "while True:"),
    *("def F(N, N=E, *items, **config):", "def F(self, N):", "async def helper():"),
    *("@torch.no_grad()\ndef F(N):", "@E\ndef F(*N):", "class C(C):", "class C(nn.Module, E):"),
    *("class C(nn.LSTM):", "class C(pl.LightningModule):", "def forward(self, N, N=None):"),
    *("def __init__(self, N=E, **config):", "def __call__(self, *N):", "def __iter__(self):"),
    *("def training_step(self, N, N):", "def configure_optimizers(self):", "def collate(batch):"),
)
CONTINUED = {
    "if": ("else:", "elif E:"),
    "for": ("else:",),
    "while": ("else:",),
    "try": ("except Exception as N:", "finally:", "except (E, E):"),
}
ENDS = (
    "return E",
    "return N, N",
    "yield E",
    "yield from E",
    "break",
    "continue",
    "raise E",
    "pass",
)
IMPORTS = """\
import argparse, functools, os
import torch
import torch.nn.functional as F_
import pytorch_lightning as pl
from torch import nn
from torch.nn.utils import clip_grad_norm
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence, pad_packed_sequence
from torch.optim import lr_scheduler
from torch.cuda.amp import GradScaler, autocast
from torch.utils.data import DataLoader, TensorDataset
"""
SEED = """\
net = lstm = nn.LSTM(8, 16, 2)
optimizer = torch.optim.Adam(net.parameters())
loader = DataLoader(TensorDataset(torch.zeros(9, 5, 8)), collate_fn=pad_sequence)
"""

_HOLE = re.compile(r"\b[NEFCAKL]\b")
_POOLS = {"N": NAMES, "F": FUNCTIONS, "C": CLASSES, "A": ATTRIBUTES, "K": CONSTANTS}


@st.composite
def _filled(draw: st.DrawFn, template: str, depth: int) -> str:
    """A template with every hole filled."""

    def fill(hole: re.Match[str]) -> str:
        kind = hole[0]
        if kind in _POOLS:
            return draw(st.sampled_from(_POOLS[kind]))
        if kind == "L":
            return draw(_filled(draw(st.sampled_from(LAYERS)), depth + 1))
        if depth >= 3:
            return draw(st.sampled_from(NAMES))
        return draw(_filled(draw(st.sampled_from(EXPRESSIONS)), depth + 1))

    return _HOLE.sub(fill, template)


@st.composite
def _block(draw: st.DrawFn, depth: int) -> list[str]:
    """Some statements, with blocks among them."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        if depth < 3 and draw(st.integers(0, 2)) == 0:
            lines += draw(_compound(depth))
        else:
            lines.append(draw(_filled(draw(st.sampled_from(STATEMENTS)), 0)))
    if depth:
        lines.append(draw(_filled(draw(st.sampled_from(ENDS)), 1)))
    return lines


@st.composite
def _compound(draw: st.DrawFn, depth: int) -> list[str]:
    head = draw(st.sampled_from((*BLOCKS, "try:")))
    word = head.partition(" ")[0].rstrip(":")
    lines = draw(_filled(head, 1)).split("\n") + _indented(draw(_block(depth + 1)))
    if word == "try" or (word in CONTINUED and draw(st.booleans())):
        lines.append(draw(_filled(draw(st.sampled_from(CONTINUED[word])), 1)))
        lines += _indented(draw(_block(depth + 1)))
    return lines


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def projects(draw: st.DrawFn) -> dict[str, str]:
    """One to three files that import each other."""
    paths = draw(st.sampled_from((("a.py",), ("a.py", "b.py"), ("a.py", "b.py", "pkg/c.py"))))
    files: dict[str, str] = {}
    for path in paths:
        head = IMPORTS
        for other in paths:
            if other != path and draw(st.booleans()):
                module = other.removesuffix(".py").replace("/", ".")
                names = ", ".join([*CLASSES[:2], *FUNCTIONS[:2], "net", "loader"])
                imported = draw(st.sampled_from((f"from {module} import {names}", "")))
                head += f"{imported or f'from {module} import *'}\n"
        seed = SEED if draw(st.booleans()) else "net = nn.GRU(8, 16)\n"
        files[path] = head + seed + "\n".join(draw(_block(0))) + "\n"
    return files


SKELETON = {
    "a.py": """\
class Reader(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return self.items[index], len(self.items[index])
def collate(batch):
    batch.sort(key=lambda item: item[1], reverse=True)
    items, lengths = zip(*batch)
    x = pad_sequence(items, batch_first=True, padding_value=0)
    mask = x != 0
    return x, torch.tensor(lengths)
def build(data):
    return DataLoader(data, batch_size=8, shuffle=True, collate_fn=collate)
loader = build(Reader())
""",
    "b.py": """\
class Model(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.embed = nn.Embedding(100, 8, padding_idx=0)
        self.rnn = nn.LSTM(8, 16, num_layers=1, dropout=0.5, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(32, 2)
        self.init_weights()
    def init_weights(self):
        for name, param in self.rnn.named_parameters():
            nn.init.orthogonal_(param)
        self.rnn.bias_hh_l0.data.fill_(0)
    def forward(self, x, lengths, state=None):
        x = self.embed(x)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths.cuda(), batch_first=False)
        out, (hidden, cell) = self.rnn(x, state)
        out, _ = pad_packed_sequence(out)
        self.hidden = hidden
        return F_.softmax(self.fc(out[:, -1]), dim=-1), hidden
net = Model()
""",
    "pkg/c.py": """\
def train_step(model, batch, optimizer, state=None):
    x, lengths = batch
    out, state = model(x, lengths, state)
    loss = nn.CrossEntropyLoss()(out, lengths)
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm(model.parameters(), 1.0)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    optimizer.step()
    return state
def evaluate(model, loader):
    model.eval()
    with torch.no_grad():
        for x, lengths in loader:
            out, _ = model(x, lengths)
class Trainer:
    def __init__(self, model, loader):
        self.model, self.loader = model, loader
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        self.scheduler = lr_scheduler.ReduceLROnPlateau(self.optimizer)
    def fit(self, epochs):
        state = None
        for epoch in range(epochs):
            for batch in self.loader:
                self.optimizer.zero_grad()
                self.scheduler.step()
                state = train_step(self.model, batch, self.optimizer, state)
            evaluate(self.model, self.loader)
scaler = GradScaler()
if __name__ == "__main__":
    Trainer(Model(), loader).fit(3)
""",
}


@st.composite
def _disturbed(draw: st.DrawFn, text: str) -> str:
    """A program in which some lines are gone, doubled or have got a strange neighbour."""
    lines: list[str] = []
    for line in text.splitlines():
        change = draw(st.integers(0, 11))
        indentation = line[: len(line) - len(line.lstrip())]
        if change == 0 and not line.endswith(":"):
            line = f"{indentation}pass"
        elif change == 1:
            added = draw(_compound(2)) if draw(st.booleans()) else draw(_block(3))[:1]
            lines += [f"{indentation}{each}" for each in added]
        lines += [line, line] if change == 2 and not line.endswith(":") else [line]
    return "\n".join(lines) + "\n"


@st.composite
def disturbed_projects(draw: st.DrawFn) -> dict[str, str]:
    """A sound project of three files, disturbed."""
    others = {"a.py": "", "b.py": "", "pkg/c.py": "from a import *\nfrom b import *\n"}
    return {
        path: IMPORTS + others[path] + draw(_disturbed(text)) for path, text in SKELETON.items()
    }


ENTANGLED = {
    "a.py": IMPORTS
    + "from b import *\nclass Model(Model, nn.LSTM):\n    net = Model\nModel(1, 2)(x)\n",
    "b.py": IMPORTS
    + "from a import *\nclass Model(Model):\n    pass\nnet = nn.LSTM(1, 2)(Model)\n",
}


@pytest.fixture(autouse=True)
def faults_of_our_own_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLINT_TRACEBACK", "1")


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@example(ENTANGLED)
@example({path: IMPORTS + text for path, text in SKELETON.items()})
@given(st.one_of(projects(), disturbed_projects()))
def test_no_program_stops_the_pipeline(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            target = Path(folder, path)
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")
        request = engine.Request(cwd=folder, isolated=True)
        outcome = engine.check(request)
        assert not any(notice.fatal for notice in outcome.notices)
        for diagnostic in outcome.diagnostics:
            for span in (diagnostic.span, *(step.span for step in diagnostic.trail)):
                assert_inside(span, files)
                assert span.location.row in outcome.excerpts[span.path]
        again = engine.check(engine.Request(cwd=folder, isolated=True, no_cache=True))
        assert (again.diagnostics, again.notices) == (outcome.diagnostics, outcome.notices)
        warm = engine.check(request)
        assert (warm.diagnostics, warm.summary.cached) == (outcome.diagnostics, True)


def assert_inside(span: Span, files: Mapping[str, str]) -> None:
    """A span is a stretch of its own file."""
    lines = files[span.path].split("\n")
    assert span.location <= span.end_location
    for location in (span.location, span.end_location):
        assert Location(1, 1) <= location
        assert location.row <= len(lines)
        assert location.column <= len(lines[location.row - 1]) + 1
