"""The callback under Lightning: what reaches loggers, what it does, and what survives."""

from __future__ import annotations

import copy
import csv
import pickle
import subprocess
import sys
import warnings
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from plugged import BATCHES, Model, examples, rates_of
from recurrent import of
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rnnlint.runtime.initialization import RecurrentInitializationWarning
from rnnlint.runtime.monitor import MonitorWarning
from rnnlint.runtime.plugins.lightning import RNNLintCallback
from rnnlint.runtime.schedules import warmup_cosine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own, of many kinds

CHECKOUT = Path(__file__).resolve().parent.parent
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Module(pl.LightningModule):
    """A model that remembers its learning rates and its first gradients."""

    def __init__(self, automatic: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = automatic
        self.model = Model()
        self.criterion: Any = nn.MSELoss()
        self.rates: list[float] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        inputs, targets = batch
        loss: Tensor = self.criterion(self.model(inputs), targets)
        optimizer: Any = self.optimizers()
        self.rates.append(optimizer.param_groups[0]["lr"])
        if not self.automatic_optimization:
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    folder: Path,
    *callbacks: Any,
    module: pl.LightningModule | None = None,
    checkpoint: str | None = None,
    **options: Any,
) -> tuple[pl.Trainer, Any]:
    torch.manual_seed(0)
    module = module or Module()
    loader: DataLoader[Any] = DataLoader(examples(), batch_size=4)
    settings = {**QUIET, "max_epochs": 2, "enable_checkpointing": False, "logger": False}
    trainer = pl.Trainer(
        default_root_dir=folder, callbacks=list(callbacks), **{**settings, **options}
    )
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer, module


def logged(folder: Path) -> list[dict[str, str]]:
    (file,) = folder.rglob("metrics.csv")
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def gradients_of(trainer: pl.Trainer) -> Tensor:
    (optimizer,) = trainer.optimizers
    found = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
    return torch.cat([gradient.flatten() for gradient in found])


def test_numbers_reach_the_logger_at_every_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = RNNLintCallback(every=7)
    logger = pl.loggers.CSVLogger(tmp_path)
    fit(tmp_path, callback, logger=logger, max_epochs=2)
    rows = [row for row in logged(tmp_path) if row["rnnlint/model.lstm/early_to_late"]]
    assert [int(row["step"]) for row in rows] == [0, 1, 2, 3, 4, 11, 18]
    assert float(rows[0]["rnnlint/learning_rate"]) == pytest.approx(0.1)
    assert callback.monitor is not None
    assert callback.monitor.history.steps == 2 * BATCHES
    assert len(callback.monitor.history.losses.values) == 2 * BATCHES
    assert callback.monitor.history.spreads
    assert f"{2 * BATCHES} steps were watched" in capsys.readouterr().out


def test_the_loss_of_a_training_step_is_heard(tmp_path: Path) -> None:
    class Functional(Module):
        def __init__(self) -> None:
            super().__init__()
            del self.criterion
            self.criterion = nn.functional.mse_loss
            self.losses: list[float] = []

        def training_step(self, batch: Any, index: int) -> Tensor:
            loss = super().training_step(batch, index)
            self.losses.append(float(loss))
            return loss

    callback = RNNLintCallback(report=False)
    _, module = fit(tmp_path, callback, module=Functional())
    assert callback.monitor is not None
    assert callback.monitor.history.losses.numbers == pytest.approx(module.losses)


def test_norms_are_those_before_lightning_clips(tmp_path: Path) -> None:
    watching = RNNLintCallback(report=False, every=1)
    fit(tmp_path, watching, max_epochs=1)
    clipped = RNNLintCallback(report=False, every=1)
    fit(tmp_path, clipped, max_epochs=1, gradient_clip_val=1e-3)
    assert watching.monitor is not None and clipped.monitor is not None
    first = watching.monitor.history.norms.numbers[0]
    assert first > 0.01
    assert clipped.monitor.history.norms.numbers[0] == pytest.approx(first)
    assert clipped.monitor.history.clipped == BATCHES


@pytest.mark.parametrize("automatic", [True, False])
def test_it_clips(tmp_path: Path, automatic: bool) -> None:
    callback = RNNLintCallback(clip=1e-3, report=False)
    trainer, _ = fit(tmp_path, callback, module=Module(automatic))
    assert float(gradients_of(trainer).norm()) == pytest.approx(1e-3)
    assert callback.monitor is not None
    assert callback.monitor.history.norms.numbers[0] > 0.01
    assert callback.monitor.history.bounds == [1e-3]


def test_it_schedules_the_whole_training_in_steps(tmp_path: Path) -> None:
    callback = RNNLintCallback(schedule="cosine", warmup=0.25, report=False)
    _, module = fit(tmp_path, callback, accumulate_grad_batches=2)
    steps = BATCHES  # of two epochs, in each of which two batches make a step
    expected = rates_of(lambda optimizer: warmup_cosine(optimizer, steps // 4, steps), steps)
    assert module.rates[::2] == pytest.approx(expected)


def test_what_acts_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gradient_clip_val=1\.0 both clip"):
        fit(tmp_path, RNNLintCallback(clip=2.0), gradient_clip_val=1.0)

    class Scheduled(Module):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    with pytest.raises(ValueError, match="both set the learning rate"):
        fit(tmp_path, RNNLintCallback(schedule="linear"), module=Scheduled())
    with pytest.raises(ValueError, match="its length is not known"):
        fit(tmp_path, RNNLintCallback(schedule="linear"), max_epochs=-1)


def test_it_initialises_what_nobody_has(tmp_path: Path) -> None:
    def first_weights(callback: Any, prepare: Any = None, **options: Any) -> Tensor:
        torch.manual_seed(0)
        module = Module()
        if prepare is not None:
            prepare(module)
        seen: list[Tensor] = []

        class Look(pl.Callback):
            def on_train_start(self, trainer: Any, pl_module: Any) -> None:
                seen.append(of(pl_module.model.lstm, "weight_hh_l0").clone())

        fit(tmp_path, callback, Look(), module=module, max_epochs=1, **options)
        return seen[0]

    made = first_weights(RNNLintCallback(report=False))
    drawn = first_weights(RNNLintCallback(initialise=True, report=False))[:16]
    torch.testing.assert_close(drawn @ drawn.T, torch.eye(16), atol=1e-5, rtol=0)

    def train(module: Module) -> None:
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
        inputs, targets = next(iter(DataLoader(examples(), batch_size=8)))
        loss: Any = nn.functional.mse_loss(module.model(inputs), targets)
        loss.backward()
        optimizer.step()

    with pytest.warns(RecurrentInitializationWarning, match=r"model\.lstm: not initialised"):
        trained = first_weights(RNNLintCallback(initialise=True, report=False), train)
    assert 0 < float((trained - made).abs().max()) < 2e-3


def test_a_run_that_is_resumed_goes_on(tmp_path: Path) -> None:
    def acting() -> RNNLintCallback:
        return RNNLintCallback(schedule="cosine", initialise=True, clip=0.5, report=False, every=7)

    class Stopping(pl.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "half.ckpt")
                trainer.should_stop = True

    whole = acting()
    _, expected = fit(tmp_path, whole)
    trainer, half = fit(tmp_path, acting(), Stopping())
    assert trainer.global_step == BATCHES
    resumed = acting()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecurrentInitializationWarning)
        _, rest = fit(tmp_path, resumed, checkpoint=str(tmp_path / "half.ckpt"))
    assert half.rates + rest.rates == pytest.approx(expected.rates)
    for name, weight in expected.named_parameters():
        torch.testing.assert_close(rest.get_parameter(name), weight)
    assert whole.monitor is not None and resumed.monitor is not None
    assert resumed.monitor.history.steps == whole.monitor.history.steps == 2 * BATCHES
    assert resumed.monitor.history.losses == whole.monitor.history.losses
    assert resumed.monitor.history.norms.values[0] == whole.monitor.history.norms.values[0]


def test_what_another_version_saw_is_left_out(tmp_path: Path) -> None:
    callback = RNNLintCallback(schedule="linear", warmup=0.0, report=False)
    callback.load_state_dict({"monitor": {"history": {"epochs": 3}}, "steps": [BATCHES]})
    with pytest.warns(MonitorWarning, match="a history of a run has the keys"):
        _, module = fit(tmp_path, callback)
    assert callback.monitor is not None
    assert callback.monitor.history.steps == 2 * BATCHES
    assert module.rates[0] == pytest.approx(0.05)


def test_an_exception_is_reported_and_leaves_no_hook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Module):
        def on_train_epoch_end(self) -> None:
            raise RuntimeError("out of luck")

    module = Failing()
    with pytest.raises(RuntimeError, match="out of luck"):
        fit(tmp_path, RNNLintCallback(), module=module)
    assert f"{BATCHES} steps were watched" in capsys.readouterr().out
    assert not module.model.lstm._forward_hooks and not module.criterion._forward_hooks


def test_a_callback_is_copied_while_it_watches(tmp_path: Path) -> None:
    copies: list[Any] = []

    class Copying(pl.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if not copies:
                copies.append(copy.deepcopy(trainer.callbacks[0]))
                copies.append(pickle.loads(pickle.dumps(trainer.callbacks[0])))

    fit(tmp_path, RNNLintCallback(clip=1.0, schedule="linear", report=False), Copying())
    for copied in copies:
        assert isinstance(copied, RNNLintCallback) and isinstance(copied, pl.Callback)
        assert copied.state_dict()["monitor"]["history"]["steps"] == BATCHES


def registered() -> list[EntryPoint]:
    """What an installation registers with Lightning."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        EntryPoint(name, value, group)
        for group, entries in project["entry-points"].items()
        for name, value in entries.items()
    ]


def callbacks_of(package: str) -> list[Any]:
    (entry,) = (found for found in registered() if found.group == f"{package}.callbacks_factory")
    given: list[Any] = entry.load()()
    return given


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [entry for entry in registered() if entry.group == group]

    registry: Any = import_module("lightning.fabric.utilities.registry")
    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setenv("RNNLINT_MONITOR", "1")


@pytest.mark.usefixtures("asked_for")
def test_the_environment_gives_every_trainer_a_callback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path)
    assert "steps were watched" in capsys.readouterr().out
    # One that was asked for takes its place.
    fit(tmp_path, RNNLintCallback())
    assert capsys.readouterr().out.count("steps were watched") == 1

    class Plain(Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = nn.Sequential(nn.Flatten(), nn.Linear(7 * 3, 1))

    fit(tmp_path, module=Plain())
    assert "steps were watched" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="there is no"):
        fit(tmp_path, RNNLintCallback(), module=Plain())


def test_the_callback_is_of_the_package_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert callbacks_of("lightning.pytorch") == []
    monkeypatch.setenv("RNNLINT_MONITOR", "1")
    (ours,) = callbacks_of("lightning.pytorch")
    (theirs,) = callbacks_of("pytorch_lightning")
    other = import_module("pytorch_lightning")
    assert isinstance(ours, pl.Callback) and not isinstance(ours, other.Callback)
    assert isinstance(theirs, other.Callback) and not isinstance(theirs, pl.Callback)
    assert ours.state_key == theirs.state_key != RNNLintCallback().state_key


def test_the_entry_points_are_off_and_free() -> None:
    program = (
        "import sys\n"
        "from importlib import import_module\n"
        "from rnnlint import lightning_entry\n"
        "assert lightning_entry.callbacks_of_lightning() == []\n"
        "assert lightning_entry.callbacks_of_pytorch_lightning() == []\n"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('torch', 'lightning', 'pytorch_lightning') or name.startswith('rnnlint.runtime')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_other_package_trains_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other: Any = import_module("pytorch_lightning")

    class Theirs(other.LightningModule):  # type: ignore[misc]  # which mypy takes for Any
        def __init__(self) -> None:
            super().__init__()
            self.model = Model()

        def training_step(self, batch: Any, index: int) -> Tensor:
            return nn.functional.mse_loss(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    monkeypatch.setenv("RNNLINT_MONITOR", "1")
    callbacks = callbacks_of("pytorch_lightning")
    # Where rnnlint is installed, the trainer has the same from its entry point, and not twice.
    monkeypatch.delenv("RNNLINT_MONITOR")
    logger = other.loggers.CSVLogger(tmp_path)
    trainer = other.Trainer(
        **QUIET, max_epochs=1, callbacks=callbacks, logger=logger, enable_checkpointing=False
    )
    trainer.fit(Theirs(), DataLoader(examples(), batch_size=4))
    assert f"{BATCHES} steps were watched; loss" in capsys.readouterr().out.replace(".;", ";")
    assert [row["step"] for row in logged(tmp_path)] == ["0", "1", "2", "3", "4"]
