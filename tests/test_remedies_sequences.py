"""Programs whose layers run over padding, repaired and then run: each sequence is as if alone."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from repaired import repaired
from torch.utils.data import DataLoader

HEAD = """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(0)
rows = [(torch.tensor([n * i % 29 for i in range(1, n + 1)]), n % 2) for n in (7, 3, 9, 1, 5)]


def collate(batch):
    texts, labels = zip(*batch)
    return pad_sequence(texts, batch_first=True), torch.tensor(labels)

"""

TAIL = """

def predict(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(texts) for texts, labels in loader])


def train(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for texts, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(texts), labels).backward()
        optimizer.step()


if __name__ == "__main__":
    model = Net()
    loader = DataLoader(rows, batch_size=5, shuffle=True, collate_fn=collate)
    train(model, loader)
    predict(model, loader)
"""


def model_of(layer: str, forward: str, size: int = 8) -> str:
    """A model with one recurrent layer, and what its `forward` does with `texts`."""
    body = "\n".join(f"        {line}" for line in forward.splitlines())
    return f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.rnn = {layer}
        self.head = nn.Linear({size}, 2)

    def forward(self, texts):
{body}
"""


MODELS = {
    "final state of an LSTM": model_of(
        "nn.LSTM(6, 8, batch_first=True)",
        "_, (h, c) = self.rnn(self.embedding(texts))\nreturn self.head(h[-1])",
    ),
    "state under one name": model_of(
        "nn.LSTM(6, 8, 2, batch_first=True)",
        "out, state = self.rnn(self.embedding(texts))\nreturn self.head(state[0][-1])",
    ),
    "last step": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "out, _ = self.rnn(self.embedding(texts))\nreturn self.head(out[:, -1])",
    ),
    "last step, both ways": model_of(
        "nn.LSTM(6, 4, batch_first=True, bidirectional=True)",
        "out, _ = self.rnn(self.embedding(texts))\nlast = out[:, -1, :]\nreturn self.head(last)",
    ),
    "last step and the mean": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "out, hidden = self.rnn(self.embedding(texts))\n"
        "return self.head(out[:, -1] + out.mean(dim=1))",
    ),
    "last step of what is made of the output": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "out, _ = self.rnn(self.embedding(texts))\nout = torch.relu(out)\n"
        "return self.head(out[:, -1])",
    ),
    "mean over time": model_of(
        "nn.RNN(6, 4, batch_first=True, bidirectional=True)",
        "out, _ = self.rnn(self.embedding(texts))\nreturn self.head(torch.mean(out, dim=1))",
    ),
    "maximum over time": model_of(
        "nn.LSTM(6, 8, batch_first=True)",
        "out, _ = self.rnn(self.embedding(texts))\npooled, _ = out.max(dim=1)\n"
        "return self.head(pooled)",
    ),
    "one expression": model_of(
        "nn.LSTM(6, 8, batch_first=True)",
        "return self.head(self.rnn(self.embedding(texts))[0][:, -1])",
    ),
    "an item of the result": model_of(
        "nn.LSTM(6, 4, batch_first=True, bidirectional=True)",
        "steps = self.rnn(self.embedding(texts))[0]\nreturn self.head(steps.mean(dim=1))",
    ),
    "the result under one name": model_of(
        "nn.LSTM(6, 4, batch_first=True, bidirectional=True)",
        "result = self.rnn(self.embedding(texts))\nh = result[1][0]\n"
        "return self.head(torch.cat([h[0], h[1]], dim=1))",
    ),
    "a name used again": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "x = self.embedding(texts)\nx, _ = self.rnn(x)\nx = x[:, -1]\nreturn self.head(x)",
    ),
    "an initial state": model_of(
        "nn.LSTM(6, 8, batch_first=True)",
        "start = torch.ones(1, texts.size(0), 8)\n"
        "_, (h, _) = self.rnn(self.embedding(texts), (start, start))\nreturn self.head(h[-1])",
    ),
    "time first": model_of(
        "nn.GRU(6, 8)",
        "out, _ = self.rnn(self.embedding(texts).transpose(0, 1))\nreturn self.head(out[-1])",
    ),
    "time first, the mean": model_of(
        "nn.GRU(6, 4, bidirectional=True)",
        "x = self.embedding(texts.t())\nout, h = self.rnn(x)\nreturn self.head(out.mean(0))",
    ),
    "attention": model_of(
        "nn.GRU(6, 4, batch_first=True, bidirectional=True)",
        "out, _ = self.rnn(self.embedding(texts))\nscores = self.head(out)\n"
        "return (torch.softmax(scores, dim=1) * out[..., :2]).sum(dim=1)",
    ),
    "attention, time first": model_of(
        "nn.LSTM(6, 4, bidirectional=True)",
        "out, _ = self.rnn(self.embedding(texts.t()))\n"
        "return (self.head(out).softmax(0) * out[..., :2]).sum(dim=0)",
    ),
    "embeddings that are joined": model_of(
        "nn.GRU(12, 8, batch_first=True)",
        "x = torch.cat((self.embedding(texts), self.embedding(texts)), -1)\n"
        "_, h = self.rnn(x)\nreturn self.head(h[-1])",
    ),
    "an embedding that does not learn": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "with torch.no_grad():\n    x = self.embedding(texts)\n"
        "_, h = self.rnn(x)\nreturn self.head(h[-1])",
    ),
    "ids on the way": model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "_, h = self.rnn(self.embedding(texts))\nreturn self.head(h.squeeze(0))",
    ),
}


def run(folder: Path) -> dict[str, Any]:
    """Run a program, and forget its own modules."""
    sys.path.insert(0, str(folder))
    try:
        return runpy.run_path(str(folder / "main.py"), run_name="__main__")
    finally:
        sys.path.remove(str(folder))
        for path in folder.glob("*.py"):
            sys.modules.pop(path.stem, None)


def mend(folder: Path, files: dict[str, str], style: str) -> None:
    """Write a program and repair it; all findings on padding have to go."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    settings = 'select = ["RNN101", "RNN103", "RNN113"]'
    (folder / "rnnlint.toml").write_text(settings, encoding="utf-8")
    result = repaired(folder, inline_config=(f'fix-style = "{style}"',))
    assert not result.withheld
    assert result.texts, "nothing was repaired"
    assert not result.codes
    for name, text in result.texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert not repaired(folder, inline_config=(f'fix-style = "{style}"',)).texts


def assert_each_is_as_if_alone(program: dict[str, Any]) -> None:
    rows, predict, model = program["rows"], program["predict"], program["model"]
    together = predict(model, DataLoader(rows, len(rows), collate_fn=program["collate"]))
    alone = predict(model, DataLoader(rows, 1, collate_fn=program["collate"]))
    torch.testing.assert_close(together, alone)


WITH_THE_COMPANION = (
    "state under one name",
    "last step",
    "last step, both ways",
    "mean over time",
    "maximum over time",
    "one expression",
    "an initial state",
    "time first",
    "attention",
    "attention, time first",
)


@pytest.mark.parametrize(
    ("name", "style"),
    [
        *((name, "torch") for name in MODELS),
        *((name, "runtime") for name in WITH_THE_COMPANION),
    ],
)
def test_the_collate_function_gives_the_lengths(name: str, style: str, tmp_path: Path) -> None:
    mend(tmp_path, {"main.py": HEAD + MODELS[name] + TAIL}, style)
    program = run(tmp_path)
    assert "lengths" in (tmp_path / "main.py").read_text(encoding="utf-8")
    assert_each_is_as_if_alone(program)


# --- where the lengths come from ---

LAST = model_of(
    "nn.GRU(6, 8, batch_first=True)",
    "out, _ = self.rnn(self.embedding(texts))\nreturn self.head(out[:, -1])",
)

TRAINER = {
    "data.py": """
import torch
from torch.nn.utils.rnn import pad_sequence


def pad(texts):
    return pad_sequence(texts, batch_first=True)


def collate(batch):
    texts = [text for text, _ in batch]
    labels = torch.tensor([label for _, label in batch])
    return pad(texts), labels
""",
    "model.py": """
import torch.nn as nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 6)
        self.rnn = nn.LSTM(6, 8, bidirectional=True)

    def forward(self, texts, start=None):
        return self.rnn(self.embedding(texts).permute(1, 0, 2), start)[1]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(16, 2)

    def forward(self, texts, scale=1.0):
        hidden, _ = self.encoder(texts)
        return self.head(hidden.transpose(0, 1).flatten(1)) * scale
""",
    "trainer.py": """
import torch
from torch import nn


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())

    def step(self, batch):
        texts, labels = batch
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(texts, scale=2.0), labels)
        loss.backward()
        self.optimizer.step()

    def fit(self, loader):
        for number, batch in enumerate(loader):
            self.step(batch)

    @torch.no_grad()
    def scores(self, loader):
        self.model.eval()
        found = []
        for i, (texts, labels) in enumerate(loader):
            found.append(self.model(texts))
        return torch.cat(found)
""",
    "main.py": """
import torch
from torch.utils.data import DataLoader

from data import collate
from model import Net
from trainer import Trainer

torch.manual_seed(0)
rows = [(torch.randint(1, 30, (n,)), n % 2) for n in (7, 3, 9, 1, 5)]
model = Net()
trainer = Trainer(model)
trainer.fit(DataLoader(rows, batch_size=5, collate_fn=collate))
trainer.scores(DataLoader(rows, batch_size=5, collate_fn=collate))


def predict(model, loader):
    return trainer.scores(loader)
""",
}

PROGRAMS = {
    "a project with a trainer": TRAINER,
    "lengths that the loop throws away": {
        "main.py": (HEAD + LAST + TAIL)
        .replace(
            "    return pad_sequence(texts, batch_first=True), torch.tensor(labels)",
            "    lengths = torch.tensor([len(text) for text in texts])\n"
            "    return pad_sequence(texts, batch_first=True), lengths, torch.tensor(labels)",
        )
        .replace("for texts, labels in", "for texts, _, labels in")
    },
    "lengths in a list that nobody returns": {
        "main.py": (HEAD + LAST + TAIL).replace(
            "    return pad_sequence",
            "    sizes = [len(text) for text in texts]\n    assert all(sizes)\n"
            "    return pad_sequence",
        )
    },
    "batches that are dicts": {
        "main.py": (HEAD + LAST + TAIL)
        .replace(
            "    return pad_sequence(texts, batch_first=True), torch.tensor(labels)",
            "    return {\n"
            '        "texts": pad_sequence(texts, batch_first=True),\n'
            '        "labels": torch.tensor(labels),\n    }',
        )
        .replace("for texts, labels in", "for batch in")
        .replace("model(texts), labels", 'model(batch["texts"]), batch["labels"]')
        .replace("model(texts)", 'model(batch["texts"])')
    },
    "a mask that the model has": {
        "main.py": (HEAD + LAST + TAIL)
        .replace(
            "return pad_sequence(texts, batch_first=True), torch.tensor(labels)",
            "texts = pad_sequence(texts, batch_first=True)\n"
            "    return texts, texts != 0, torch.tensor(labels)",
        )
        .replace("forward(self, texts)", "forward(self, texts, mask)")
        .replace(
            "return self.head(out[:, -1])",
            "last = mask.sum(dim=1) - 1\n"
            "        assert last.min() >= 0\n        return self.head(out[:, -1])",
        )
        .replace("for texts, labels in", "for texts, mask, labels in")
        .replace("model(texts)", "model(texts, mask)")
    },
    "ids with a row for padding, and a loader of unknown batches": {
        "main.py": (HEAD + LAST + TAIL)
        .replace("nn.Embedding(30, 6)", "nn.Embedding(30, 6, padding_idx=0)")
        .replace(
            "    loader = Data",
            "    import os\n    if os.environ.get('SHOW_IT'):\n"
            "        show(torch.load('model.pt'), torch.load('texts.pt'))\n    loader = Data",
        )
        .replace("def train(", "def show(model, texts):\n    print(model(texts))\n\n\ndef train(")
    },
    "rows of zeros": {
        "main.py": (HEAD + LAST + TAIL).replace(
            "    return pad_sequence(texts, batch_first=True), torch.tensor(labels)",
            "    longest = max(len(text) for text in texts)\n"
            "    padded = torch.zeros(len(texts), longest, dtype=torch.long)\n"
            "    for row, text in enumerate(texts):\n"
            "        padded[row, : len(text)] = text\n"
            "    return padded, torch.tensor(labels)",
        )
    },
    "a script": {
        "main.py": """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(0)
rows = [(torch.randn(n, 4), n % 2) for n in (7, 3, 9, 1, 5)]


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs, batch_first=True), torch.tensor(ys)


lstm, head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 2)
model = nn.ModuleList([lstm, head])
optimizer = torch.optim.Adam(model.parameters())
for x, y in DataLoader(rows, batch_size=4, collate_fn=collate):
    _, (h_n, _) = lstm(x)
    loss = nn.functional.cross_entropy(head(h_n[-1]), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def predict(model, loader):
    found = []
    with torch.no_grad():
        for x, y in loader:
            _, (h_n, _) = lstm(x)
            found.append(head(h_n[-1]))
    return torch.cat(found)


predict(model, DataLoader(rows, batch_size=5, collate_fn=collate))
"""
    },
}


PAIRS = """
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

torch.manual_seed(0)


def ids(n):
    return torch.tensor([n * i % 29 for i in range(1, n + 1)])


rows = [(ids(n), ids(m), n % 2) for n, m in ((7, 2), (3, 9), (9, 5), (1, 4), (5, 1))]


def collate(batch):
    questions, answers, labels = zip(*batch)
    lengths = torch.tensor([[len(x) for x in questions], [len(x) for x in answers]])
    return (
        pad_sequence(questions, batch_first=True),
        lengths[0],
        pad_sequence(answers, batch_first=True),
        lengths[1],
        torch.tensor(labels),
    )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 6, padding_idx=0)
        self.rnn = nn.GRU(6, 8, batch_first=True)
        self.head = nn.Linear(16, 2)

    def encode(self, texts):
        _, hidden = self.rnn(self.embedding(texts))
        return hidden[-1]

    def forward(self, questions, answers):
        both = [self.encode(questions), self.encode(answers)]
        return self.head(torch.cat(both, dim=1))


def predict(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(questions, answers) for questions, _, answers, _, _ in loader])


model = Net()
loader = DataLoader(rows, batch_size=5, collate_fn=collate)
optimizer = torch.optim.Adam(model.parameters())
for epoch in range(2):
    for questions, _, answers, _, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(questions, answers), labels).backward()
        optimizer.step()
    for questions, _, answers, _, labels in DataLoader(rows, 5, collate_fn=collate):
        with torch.no_grad():
            model(questions, answers)
predict(model, loader)
"""

EPOCHS = (
    (HEAD + LAST)
    .replace("def collate", "def by_length")
    .replace("class Net", "def collate(batch):\n    return by_length(batch)\n\n\nclass Net")
    + """

def main():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    train_loader = DataLoader(rows, batch_size=5, shuffle=True, collate_fn=collate)
    valid_loader = DataLoader(rows, batch_size=5, collate_fn=collate)
    for epoch in range(2):
        model.train()
        for i, (texts, labels) in enumerate(train_loader):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(texts), labels).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for i, (texts, labels) in enumerate(valid_loader):
                _, predicted = torch.max(model(texts), 1)
    return model


def predict(model, loader):
    scores = []
    with torch.no_grad():
        for batch in loader:
            scores.append(model(batch[0]))
    return torch.cat(scores)


model = main()
predict(model, DataLoader(rows, batch_size=5, collate_fn=collate))
"""
)

PROGRAMS["two texts, one encoder"] = {"main.py": PAIRS}
PROGRAMS["two texts whose lengths have names"] = {
    "main.py": PAIRS.replace(", padding_idx=0", "")
    .replace(
        "lengths = torch.tensor([[len(x) for x in questions], [len(x) for x in answers]])\n",
        "question_lengths = torch.tensor([len(x) for x in questions])\n"
        "    answer_lengths = torch.tensor([len(x) for x in answers])\n",
    )
    .replace("lengths[0]", "question_lengths")
    .replace("lengths[1]", "answer_lengths")
    .replace("for questions, _, answers, _, ", "for questions, q_lengths, answers, a_lengths, ")
    .replace("model(questions", "model(answers=answers, questions=questions")
    .replace("questions=questions, answers)", "questions=questions)")
    .replace("for questions, q_lengths", "for questions, questions_len")
    .replace("answers, a_lengths", "answers, answers_len")
}
PROGRAMS["several loops in one function"] = {
    "main.py": EPOCHS.replace(
        "for batch in loader:\n            scores.append(model(batch[0]))",
        "for texts, labels in loader:\n            scores.append(model(texts))",
    )
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_lengths_come_from_where_they_are_known(name: str, tmp_path: Path) -> None:
    mend(tmp_path, PROGRAMS[name], "torch")
    assert_each_is_as_if_alone(run(tmp_path))


@pytest.mark.parametrize("name", ["last step", "mean over time"])
def test_before_the_repair_the_padding_is_felt(name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(HEAD + MODELS[name] + TAIL, encoding="utf-8")
    with pytest.raises(AssertionError):
        assert_each_is_as_if_alone(run(tmp_path))


# --- where there is none ---

SHARED = (
    LAST
    + """

class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(30, 2)

    def forward(self, texts):
        return self.embedding(texts)
"""
)

REFUSED = {
    "another model is called in the same place": (HEAD + SHARED + TAIL).replace(
        "model = Net()", "import sys\n    model = Net() if len(sys.argv) < 9 else Bag()"
    ),
    "the output is read in another function": HEAD
    + model_of(
        "nn.GRU(6, 8, batch_first=True)", "return last(self.rnn(self.embedding(texts))[0])", 8
    ).replace(
        "class Net",
        "def last(out):\n    return nn.functional.pad(out[:, -1], (0, 0))\n\n\nclass Net",
    )
    + TAIL,
    "the batch is cut": HEAD
    + model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "_, h = self.rnn(self.embedding(texts[:, :4]))\nreturn self.head(h[-1])",
    )
    + TAIL,
    "the batch is cut where the model is called": (HEAD + LAST + TAIL).replace(
        "model(texts)", "model(texts[:, :4])"
    ),
    "the ids are prolonged along their last axis": HEAD
    + model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "texts = torch.cat((texts[:, :1], texts), -1)\n_, h = self.rnn(self.embedding(texts))\n"
        "return self.head(h[-1])",
    )
    + TAIL,
    "an assertion is about a step of the output": HEAD
    + model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "out, h = self.rnn(self.embedding(texts))\nassert torch.equal(out[:, -1], h.squeeze(0))\n"
        "return self.head(h.squeeze(0))",
    )
    + TAIL,
    "the batch is used as a whole": (HEAD + LAST + TAIL).replace(
        "    for texts, labels in loader:\n        optimizer",
        "    for batch in loader:\n        texts, labels = batch\n        assert len(batch) == 2\n"
        "        optimizer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_there_is_no_repair(name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(REFUSED[name], encoding="utf-8")
    result = repaired(tmp_path, inline_config=('select = ["RNN101", "RNN103"]',))
    assert "RNN101" in result.codes
    assert not result.offered
    assert not result.texts


def test_what_was_padded_again_is_read_by_its_lengths(tmp_path: Path) -> None:
    model = model_of(
        "nn.GRU(6, 8, batch_first=True)",
        "from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence\n"
        "lengths = (texts != 0).sum(1).clamp(min=1).cpu()\n"
        "x = self.embedding(texts)\n"
        "x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)\n"
        "x, _ = pad_packed_sequence(self.rnn(x)[0], batch_first=True)\n"
        "if texts.dim() == 1:\n    x = x[-1]\nelse:\n    x = x[:, -1]\n"
        "return self.head(x)",
    )
    mend(tmp_path, {"main.py": HEAD + model + TAIL}, "torch")
    assert_each_is_as_if_alone(run(tmp_path))


@pytest.mark.parametrize(
    "rows_of_all",
    [
        "for rows in torch.randperm(4).split(2):\n    batch, y = ids[rows], labels[rows]",
        "for i in range(0, 4, 2):\n    batch, y = ids[i : i + 2], labels[i : i + 2]",
        "for i in range(0, 4, 2):\n    batch, y = ids[i : i + 2], labels[i : i + 2]\n"
        "    sizes = lengths[i : i + 2]",
    ],
)
def test_some_rows_of_all_have_their_own_lengths(rows_of_all: str, tmp_path: Path) -> None:
    text = f"""
texts = [row[0] for row in rows]
lengths = torch.tensor([len(text) for text in texts])
ids, labels = pad_sequence(texts, batch_first=True), torch.tensor([row[1] for row in rows])
model = Net()
optimizer = torch.optim.Adam(model.parameters())
{rows_of_all}
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(batch), y).backward()
    optimizer.step()
"""
    mend(tmp_path, {"main.py": HEAD + LAST + text}, "torch")
    program = run(tmp_path)
    model, ids, lengths = program["model"], program["ids"], program["lengths"]
    with torch.no_grad():
        alone = [model(ids[n : n + 1, :size], lengths[n : n + 1]) for n, size in enumerate(lengths)]
        torch.testing.assert_close(model(ids, lengths), torch.cat(alone))


def test_lengths_at_hand_are_safe_and_others_want_a_look(tmp_path: Path) -> None:
    text = (HEAD + LAST + TAIL).replace(
        "    return pad_sequence(texts, batch_first=True), torch.tensor(labels)",
        "    lengths = torch.tensor([len(text) for text in texts])\n"
        "    return pad_sequence(texts, batch_first=True), lengths, torch.tensor(labels)",
    )
    text = text.replace("for texts, labels in", "for texts, lengths, labels in")
    (tmp_path / "main.py").write_text(text, encoding="utf-8")
    select = ('select = ["RNN101", "RNN103"]',)
    assert not repaired(tmp_path, unsafe=False, inline_config=select).texts
    at_hand = text.replace("(self, texts)", "(self, texts, lengths)")
    at_hand = at_hand.replace("model(texts)", "model(texts, lengths)")
    (tmp_path / "main.py").write_text(at_hand, encoding="utf-8")
    result = repaired(tmp_path, unsafe=False, inline_config=select)
    assert not result.codes
    (tmp_path / "main.py").write_text(result.texts["main.py"], encoding="utf-8")
    assert_each_is_as_if_alone(run(tmp_path))
