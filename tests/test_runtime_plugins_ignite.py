"""The handler under the engines of Ignite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from ignite.handlers.tensorboard_logger import TensorboardLogger
from plugged import BATCHES, Model, examples, gates_are_orthogonal, rates_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rnnlint.runtime.initialization import RecurrentInitializationWarning
from rnnlint.runtime.plugins.ignite import RNNLintEvents, RNNLintHandler
from rnnlint.runtime.schedules import warmup_cosine


class Training:
    """An engine with its model, which remembers the rate of each iteration."""

    def __init__(self, handler: RNNLintHandler, *, accumulation: int = 1) -> None:
        torch.manual_seed(0)
        self.handler = handler
        self.model, criterion = Model(), nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.engine: Engine = create_supervised_trainer(
            self.model, self.optimizer, criterion, gradient_accumulation_steps=accumulation
        )
        self.rates: list[float] = []
        self.norms: list[float] = []
        self.engine.add_event_handler(Events.ITERATION_STARTED, self._remember_rate)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._remember_norm)
        handler.attach(
            self.engine,
            self.model,
            self.optimizer,
            criterion,
            gradient_accumulation_steps=accumulation,
        )

    def _remember_rate(self) -> None:
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def _remember_norm(self) -> None:
        found = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        self.norms.append(float(torch.cat([gradient.flatten() for gradient in found]).norm()))

    def run(self, epochs: int = 2) -> Training:
        self.engine.run(DataLoader(examples(), batch_size=4), max_epochs=epochs)
        return self

    @property
    def parts(self) -> dict[str, Any]:
        return {
            "trainer": self.engine,
            "model": self.model,
            "optimizer": self.optimizer,
            "rnnlint": self.handler,
        }


def test_numbers_reach_tensorboard_at_every_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = TensorboardLogger(log_dir=str(tmp_path))
    training = Training(RNNLintHandler(logger, every=7))
    heard: list[int] = []
    training.engine.add_event_handler(
        RNNLintEvents.SAMPLED, lambda engine: heard.append(engine.state.iteration)
    )
    training.run()
    logger.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    ours = events.Scalars("rnnlint/lstm/early_to_late")
    assert [event.step for event in ours] == heard == [1, 2, 3, 4, 5, 12, 19]
    metrics = training.engine.state.metrics
    assert metrics["rnnlint/lstm/early_to_late"] == pytest.approx(ours[-1].value)
    monitor = training.handler.monitor
    assert monitor is not None
    assert len(monitor.history.losses.values) == 2 * BATCHES
    assert f"{2 * BATCHES} steps were watched" in capsys.readouterr().out
    assert not training.model.lstm._forward_hooks
    assert not training.optimizer._optimizer_step_pre_hooks


def test_the_loss_that_the_engine_outputs_is_heard() -> None:
    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses: list[float] = []

    def update(engine: Engine, batch: Any) -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = nn.functional.mse_loss(model(batch[0]), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's own
        optimizer.step()
        losses.append(loss.item())
        return loss

    handler = RNNLintHandler(report=False)
    engine = Engine(update)
    handler.attach(engine, model, optimizer)
    engine.run(DataLoader(examples(), batch_size=4))
    assert handler.monitor is not None
    # The engine outputs the last after the last step.
    assert handler.monitor.history.losses.numbers == pytest.approx(losses[:-1])


def test_it_clips_after_it_has_seen_the_norm() -> None:
    free = Training(RNNLintHandler(report=False)).run()
    bound = Training(RNNLintHandler(clip=1e-3, report=False)).run()
    assert free.norms[0] > 0.01
    assert bound.norms == pytest.approx([1e-3] * 2 * BATCHES, rel=1e-3)
    assert bound.handler.monitor is not None
    assert bound.handler.monitor.history.norms.numbers[0] == pytest.approx(free.norms[0])


def test_it_schedules_the_whole_training_in_steps() -> None:
    handler = RNNLintHandler(schedule="cosine", warmup=0.25, report=False)
    training = Training(handler, accumulation=2).run()
    steps = BATCHES
    expected = rates_of(lambda optimizer: warmup_cosine(optimizer, steps // 4, steps), steps)
    assert training.rates[::2] == pytest.approx(expected)


def test_it_initialises_what_nobody_has() -> None:
    training = Training(RNNLintHandler(initialise=True, report=False))
    seen: list[bool] = []
    training.engine.add_event_handler(
        Events.STARTED, lambda: seen.append(gates_are_orthogonal(training.model))
    )
    training.run(1)
    assert seen == [True]
    with pytest.warns(RecurrentInitializationWarning, match="lstm: not initialised"):
        training.run(1)


def test_a_run_that_is_resumed_goes_on(tmp_path: Path) -> None:
    def acting() -> Training:
        handler = RNNLintHandler(
            schedule="cosine", initialise=True, clip=0.5, report=False, every=7
        )
        return Training(handler)

    whole = acting().run()
    half = acting()
    saver = Checkpoint(half.parts, DiskSaver(str(tmp_path), require_empty=False), n_saved=1)
    half.engine.add_event_handler(Events.ITERATION_COMPLETED(once=BATCHES), saver)
    half.engine.add_event_handler(Events.ITERATION_COMPLETED(once=BATCHES), half.engine.terminate)
    half.run()
    assert len(half.rates) == BATCHES
    rest = acting()
    (file,) = tmp_path.glob("*.pt")
    Checkpoint.load_objects(rest.parts, torch.load(file, weights_only=True))
    rest.run()
    assert half.rates + rest.rates == pytest.approx(whole.rates)
    for name, weight in whole.model.named_parameters():
        torch.testing.assert_close(rest.model.get_parameter(name), weight)
    monitors = whole.handler.monitor, rest.handler.monitor
    assert monitors[0] is not None and monitors[1] is not None
    assert monitors[1].history.steps == 2 * BATCHES
    assert monitors[1].history.losses == monitors[0].history.losses
