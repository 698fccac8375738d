"""The monitor and the callbacks where two processes train one model."""

from __future__ import annotations

import math
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from plugged import BATCHES, Model, gates_are_orthogonal, pairs
from together import run_together
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from rnnlint.runtime import Monitor
from rnnlint.runtime.plugins.acting import initialise

PROCESSES = 2
STEPS = 40
fully_shard: Any = getattr(import_module("torch.distributed.fsdp"), "fully_shard", None)
KINDS = ("DDP", "FSDP2") if fully_shard else ("DDP",)  # before 2.6 it needs a GPU


def gathered(value: object) -> list[Any]:
    """What each process has."""
    found: list[Any] = [None] * PROCESSES
    distributed.all_gather_object(found, value)
    return found


def batches(rank: int) -> list[tuple[Tensor, Tensor]]:
    """Other sequences in each process, and longer ones."""
    generator = torch.Generator().manual_seed(rank)
    inputs = [torch.randn(4, 5 + rank, 3, generator=generator) for _ in range(STEPS)]
    return [(features, features[:, :, :1].sum(1)) for features in inputs]


def train(model: nn.Module, rank: int, broken_from: int = STEPS) -> Monitor:
    """Train; from some step on, the second process alone has a loss of NaN."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    criterion = nn.MSELoss()
    monitor = Monitor(model, optimizer, criterion=criterion, every=4)
    for step, (inputs, targets) in enumerate(batches(rank)):
        if rank and step >= broken_from:
            targets = targets * math.nan
        optimizer.zero_grad()
        criterion(model(inputs), targets).backward()
        optimizer.step()
        monitor.new_metrics()
    monitor.close()
    return monitor


def first_norm() -> float:
    """Of one process that has the batches of both."""
    torch.manual_seed(0)
    model = Model()
    losses = [
        nn.functional.mse_loss(model(inputs), targets)
        for inputs, targets in (batches(rank)[0] for rank in range(PROCESSES))
    ]
    loss: Any = torch.stack(losses).mean()
    loss.backward()
    found = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    return float(torch.cat(found).norm())


def wrapped(kind: str) -> nn.Module:
    torch.manual_seed(0)
    model = Model()
    if kind == "DDP":
        return DistributedDataParallel(model)
    fully_shard(model, mesh=init_device_mesh("cpu", (PROCESSES,)))
    return model


def check_that_all_see_the_same_gradients(rank: int, kind: str) -> None:
    monitor = train(wrapped(kind), rank)
    history = monitor.history
    (name,) = history.layers
    assert name == "lstm"
    sampled = gathered([sample.step for sample in history.layers[name]])
    assert sampled == [[0, 1, 2, 3, *range(4, STEPS, 4)]] * PROCESSES
    norms = gathered(history.norms.values)
    assert norms[0] == norms[1]
    assert norms[0][0][1] == pytest.approx(first_norm(), rel=1e-5)
    # What is not shared is that of each process.
    steps = gathered(history.layers[name][0].steps)
    assert steps == [5, 6]
    assert len(set(gathered(history.losses.numbers[0]))) == PROCESSES


def check_that_one_loss_of_nan_stops_nobody(rank: int, kind: str) -> None:
    monitor = train(wrapped(kind), rank, broken_from=6)
    assert monitor.history.steps == STEPS
    assert gathered(monitor.history.nonfinite_step)[1] == 6


def check_that_all_draw_the_same_weights(rank: int) -> None:
    torch.manual_seed(rank)
    model = Model()
    initialise(model)
    assert gates_are_orthogonal(model)
    weights = gathered([weight.tolist() for weight in model.lstm.parameters()])
    assert weights[0] == weights[1]


def in_each_process(rank: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=PROCESSES
    )
    for kind in KINDS:
        check_that_all_see_the_same_gradients(rank, kind)
        check_that_one_loss_of_nan_stops_nobody(rank, kind)
    check_that_all_draw_the_same_weights(rank)
    distributed.barrier()
    distributed.destroy_process_group()
    # What PyTorch remembers of the mesh keeps gloo's threads alive, and one that lets go of a
    # tensor while Python shuts down aborts the process.  So Python is not shut down.
    os._exit(0)


def test_two_processes_watch_one_model(tmp_path: Path) -> None:
    """In one test, as the processes take longer to start than to check anything."""
    # The function is what the package means by its name, and the module what mypy sees.
    spawn: Any = vars(torch.multiprocessing)["spawn"]
    spawn(in_each_process, args=(str(tmp_path / "rendezvous"),), nprocs=PROCESSES)


LIGHTNING = """
import contextlib, json, os, sys, warnings
warnings.simplefilter("ignore")
import lightning.pytorch as pl
import torch
from plugged import Model, examples, gates_are_orthogonal
from rnnlint.runtime.plugins.lightning import RNNLintCallback
from torch import nn
from torch.utils.data import DataLoader

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Model()
        self.first = None

    def training_step(self, batch, index):
        if self.first is None:
            self.first = gates_are_orthogonal(self.model)
        return nn.functional.mse_loss(self.model(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

callback = RNNLintCallback(clip=0.5, schedule="cosine", initialise=True, every=2)
trainer = pl.Trainer(
    accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, callbacks=[callback],
    logger=pl.loggers.CSVLogger(sys.argv[1]), enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)
module = Module()
with open(f"{sys.argv[1]}/{os.environ['RANK']}.txt", "w") as told:
    with contextlib.redirect_stdout(told):
        trainer.fit(module, DataLoader(examples(), batch_size=4))
history = callback.monitor.history
with open(f"{sys.argv[1]}/{trainer.global_rank}.json", "w") as file:
    json.dump({
        "orthogonal": module.first,
        "weights": [weight.tolist() for weight in module.parameters()],
        "norms": history.norms.numbers,
        "losses": history.losses.numbers,
        "rates": history.rates.numbers,
        "bounds": history.bounds,
    }, file)
"""


def test_lightning_acts_alike_in_two_processes(tmp_path: Path) -> None:
    ranks = run_together(LIGHTNING, tmp_path, NODE_RANK="0")
    assert ranks[0]["orthogonal"] and ranks[1]["orthogonal"]
    for shared in ("weights", "norms", "rates", "bounds"):
        assert ranks[0][shared] == ranks[1][shared]
    assert ranks[0]["losses"] != ranks[1]["losses"]
    assert len(ranks[0]["rates"]) == BATCHES == len(pairs()) // 4
    assert ranks[0]["rates"][-1] < 0.1 * ranks[0]["rates"][1]
    (metrics,) = tmp_path.rglob("metrics.csv")
    steps = [line.split(",") for line in metrics.read_text(encoding="utf-8").splitlines()]
    place = steps[0].index("step")
    assert [int(line[place]) for line in steps[1:]] == [0, 1, 2, 3, 4, 6, 8]
    told = [(tmp_path / f"{rank}.txt").read_text(encoding="utf-8") for rank in range(2)]
    assert f"{BATCHES} steps were watched" in told[0]
    assert "steps were watched" not in told[1]
