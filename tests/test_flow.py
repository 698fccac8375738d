"""What is told of a project's training loops, for a picture of them."""

from __future__ import annotations

from pathlib import Path

from rnnlint import engine
from rnnlint.diagnostic import Stage
from rnnlint.flow import Flow

HEAD = """\
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
"""
LOOP = """
def collate(batch):
    return pad_sequence([torch.tensor(each) for each in batch], batch_first=True)

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]

model = Tagger()
loader = DataLoader(samples, batch_size=4, collate_fn=collate)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
"""
WHOLE = """
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
for epoch in range(9):
    for x in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    scheduler.step()
"""
BARE = """
for x in batches:
    criterion(model(x), labels).backward()
    optimizer.step()
"""


def flows_of(root: Path, code: str, *paths: str, **files: str) -> tuple[Flow, ...]:
    (root / "train.py").write_text(code)
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    request = engine.Request(paths=paths, cwd=str(root), isolated=True, no_cache=True)
    return engine.check(request).flows


def lines_of(flow: Flow, code: str, stage: Stage) -> list[str]:
    rows = code.splitlines()
    return [rows[stop.span.location.row - 1].strip() for stop in flow.at(stage)]


def test_a_flow_has_every_stage_that_is_seen(tmp_path: Path) -> None:
    code = HEAD + LOOP + WHOLE
    (flow,) = flows_of(tmp_path, code)
    assert not flow.trainer
    assert lines_of(flow, code, Stage.DATA) == [
        "loader = DataLoader(samples, batch_size=4, collate_fn=collate)",
        "return pad_sequence([torch.tensor(each) for each in batch], batch_first=True)",
    ]
    names = {stop.stage: stop.name for stop in flow.stops}
    assert list(names) == list(Stage)
    assert names[Stage.LAYERS] == "LSTM"
    assert names[Stage.LOSS] == "CrossEntropyLoss"
    assert names[Stage.CLIP] == "clip_grad_norm_"
    assert names[Stage.STEP] == "SGD"
    assert names[Stage.SCHEDULE] == "StepLR"
    assert lines_of(flow, code, Stage.BATCH) == ["for x in loader:"]
    assert lines_of(flow, code, Stage.CLEAR) == ["optimizer.zero_grad()"]


def test_a_flow_has_no_stage_that_is_not_seen(tmp_path: Path) -> None:
    code = HEAD + LOOP + BARE
    (flow,) = flows_of(tmp_path, code)
    seen = {stop.stage for stop in flow.stops}
    assert seen == {Stage.BATCH, Stage.LAYERS, Stage.LOSS, Stage.BACKWARD, Stage.STEP}


def test_each_training_loop_has_a_flow(tmp_path: Path) -> None:
    (flow, other) = flows_of(tmp_path, HEAD + LOOP + BARE + WHOLE)
    assert not flow.at(Stage.CLIP)
    assert other.at(Stage.CLIP)


def test_what_trains_no_recurrent_layer_has_no_flow(tmp_path: Path) -> None:
    assert flows_of(tmp_path, (HEAD + LOOP + BARE).replace("nn.LSTM", "nn.Linear")) == ()


def test_a_trainer_is_named_where_it_runs_the_loop(tmp_path: Path) -> None:
    code = """\
import lightning as L
import torch
from torch import nn

class Tagger(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16)

    def training_step(self, batch, number):
        return nn.functional.mse_loss(self.lstm(batch)[0], batch)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())

L.Trainer().fit(Tagger())
"""
    (flow,) = flows_of(tmp_path, code)
    assert flow.trainer == "lightning"
    assert {stop.name for stop in flow.at(Stage.LAYERS)} == {"LSTM"}


def test_paths_choose_the_flows_that_pass_through_them(tmp_path: Path) -> None:
    code = HEAD + LOOP + WHOLE
    assert len(flows_of(tmp_path, code, "train.py", other=HEAD)) == 1
    assert flows_of(tmp_path, code, "other.py", other=HEAD) == ()


def test_flows_are_kept_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(HEAD + LOOP + WHOLE)
    request = engine.Request(cwd=str(tmp_path), isolated=True)
    first, second = engine.check(request), engine.check(request)
    assert second.summary.cached
    assert second.flows == first.flows != ()


def test_flows_are_seen_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.rnnlint]\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "train.py").write_text(HEAD + LOOP + WHOLE)
    request = engine.Request(paths=("..",), cwd=str(tmp_path / "below"), no_cache=True)
    (flow,) = engine.check(request).flows
    assert {stop.span.path for stop in flow.stops} == {"../train.py"}
