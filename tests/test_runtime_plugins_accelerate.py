"""The monitor itself in loops of Accelerate and of Fabric: two lines are enough."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]  # it has no types
from lightning.fabric import Fabric
from lightning.fabric.loggers.csv_logs import CSVLogger
from plugged import BATCHES, Model, examples
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from rnnlint.runtime import Monitor

pytestmark = pytest.mark.filterwarnings("ignore")  # of the frameworks, of many kinds

SAMPLED = [0, 1, 2, 3, 4, 9]


def made() -> tuple[Model, torch.optim.Optimizer, nn.Module, DataLoader[Any]]:
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, nn.MSELoss(), DataLoader(examples(), batch_size=4)


def first_norm() -> float:
    model, _, criterion, loader = made()
    inputs, targets = next(iter(loader))
    criterion(model(inputs), targets).backward()
    found = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    return float(torch.cat(found).norm())


def accelerated(folder: Path, *, accumulation: int = 1, resume: bool = False) -> Monitor:
    accelerator = Accelerator(
        cpu=True,
        log_with="tensorboard",
        project_dir=folder,
        gradient_accumulation_steps=accumulation,
    )
    accelerator.init_trackers("run")
    model, optimizer, criterion, loader = made()
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    monitor = Monitor(model, optimizer, criterion=criterion, every=5)
    accelerator.register_for_checkpointing(monitor)
    if resume:
        accelerator.load_state(folder / "state")
    step = monitor.history.steps
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            accelerator.backward(criterion(model(inputs), targets))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1e-3)
            optimizer.step()
            optimizer.zero_grad()
        if found := monitor.new_metrics():
            accelerator.log(found, step=step)
        step += accelerator.sync_gradients
    accelerator.save_state(folder / "state")
    accelerator.end_training()
    monitor.close()
    return monitor


def test_accelerate_logs_what_was_sampled(tmp_path: Path) -> None:
    monitor = accelerated(tmp_path)
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    ours = events.Scalars("rnnlint/lstm/early_to_late")
    assert [event.step for event in ours] == SAMPLED
    assert monitor.history.norms.numbers[0] == pytest.approx(first_norm())
    assert monitor.history.clipped == BATCHES
    assert len(monitor.history.losses.values) == BATCHES


def test_accelerate_accumulates_and_resumes(tmp_path: Path) -> None:
    monitor = accelerated(tmp_path, accumulation=2)
    assert monitor.history.steps == BATCHES // 2
    resumed = accelerated(tmp_path, accumulation=2, resume=True)
    assert resumed.history.steps == BATCHES
    assert resumed.history.losses.values[: BATCHES // 2] == monitor.history.losses.values


def test_fabric_logs_and_resumes(tmp_path: Path) -> None:
    def trained(*, resume: bool) -> Monitor:
        logger = CSVLogger(tmp_path, name="run", version=int(resume))
        fabric = Fabric(accelerator="cpu", loggers=[logger])
        bare, plain, criterion, data = made()
        model, optimizer = fabric.setup(bare, plain)
        loader: Any = fabric.setup_dataloaders(data)
        monitor = Monitor(model, optimizer, criterion=criterion, every=5)
        state: dict[str, Any] = {"model": model, "optimizer": optimizer, "monitor": monitor}
        if resume:
            fabric.load(tmp_path / "state.ckpt", state)
        for step, (inputs, targets) in enumerate(loader, monitor.history.steps):
            optimizer.zero_grad()
            fabric.backward(criterion(model(inputs), targets))
            fabric.clip_gradients(model, optimizer, max_norm=1e-3)
            optimizer.step()
            if found := monitor.new_metrics():
                fabric.log_dict(found, step)
        fabric.save(tmp_path / "state.ckpt", state)
        logger.finalize("success")
        monitor.close()
        return monitor

    monitor, resumed = trained(resume=False), trained(resume=True)
    for version, steps in enumerate([SAMPLED, [10, 15]]):
        metrics = tmp_path / "run" / f"version_{version}" / "metrics.csv"
        with metrics.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        assert [int(row["step"]) for row in rows] == steps
        assert all(row["rnnlint/lstm/early_to_late"] for row in rows)
    assert monitor.history.norms.numbers[0] == pytest.approx(first_norm())
    assert monitor.history.clipped == BATCHES
    assert resumed.history.steps == 2 * BATCHES
    assert resumed.history.norms.values[:BATCHES] == monitor.history.norms.values
