"""The callback under the Trainer of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from plugged import BATCHES, Model, gates_are_orthogonal, pairs, rates_of
from recurrent import of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from rnnlint.runtime.initialization import RecurrentInitializationWarning
from rnnlint.runtime.plugins.huggingface import RNNLintCallback
from rnnlint.runtime.schedules import warmup_cosine

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers and accelerate, of many kinds


class Scored(nn.Module):
    """A model as the trainer has them: it is told the labels, and returns the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def forward(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        scores = self.model(features)
        return {"loss": nn.functional.mse_loss(scores, labels), "logits": scores}


class Remembering(TrainerCallback):
    """Remembers the rate and the norm of the gradients of each step."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.rates: list[float] = []
        self.norms: list[float] = []
        self.stop_after = stop_after

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.rates.append(given["optimizer"].param_groups[0]["lr"])
        found = [weight.grad.flatten() for weight in given["model"].parameters()]
        self.norms.append(float(torch.cat(found).norm()))

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if state.global_step == self.stop_after:
            control.should_save = control.should_training_stop = True


def make_trainer(
    folder: Path,
    callback: RNNLintCallback | None,
    *others: Any,
    model: nn.Module | None = None,
    **options: Any,
) -> Trainer:
    torch.manual_seed(0)
    data = [{"features": inputs, "labels": targets} for inputs, targets in pairs()]
    arguments = TrainingArguments(
        output_dir=str(folder),
        **{
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "learning_rate": 0.1,
            "optim": "sgd",
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "save_strategy": "no",
            "logging_strategy": "no",
            **options,
        },
    )
    trainer = Trainer(model or Scored(), arguments, train_dataset=data, callbacks=list(others))
    if callback is not None:
        assert callback.attach(trainer) is callback
    return trainer


def test_numbers_reach_tensorboard_at_every_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    callback = RNNLintCallback(every=7)
    trainer = make_trainer(
        tmp_path, callback, report_to="tensorboard", logging_strategy="steps", logging_steps=5
    )
    trainer.train()
    (file,) = (tmp_path / "logs").rglob("events*")
    events = EventAccumulator(str(file))
    events.Reload()
    ours = events.Scalars("train/rnnlint/model.lstm/early_to_late")
    assert [event.step for event in ours] == [1, 2, 3, 4, 5, 12, 19]
    # The trainer's own at step 5 is not lost to ours.
    assert [event.step for event in events.Scalars("train/loss")] == [5, 10, 15, 20]
    assert callback.monitor is not None
    assert len(callback.monitor.history.losses.values) == 2 * BATCHES
    assert callback.monitor.history.spreads
    assert f"{2 * BATCHES} steps were watched" in capsys.readouterr().out
    assert trainer.model is not None and not trainer.model._forward_hooks


def test_the_loss_that_is_logged_stands_in_for_that_of_the_model(tmp_path: Path) -> None:
    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = Model()

        def forward(self, features: Tensor) -> dict[str, Tensor]:
            return {"logits": self.model(features)}

    callback = RNNLintCallback(report=False)
    trainer = make_trainer(
        tmp_path,
        callback,
        model=Scores(),
        logging_strategy="steps",
        logging_steps=4,
        label_names=["labels"],
    )
    trainer.compute_loss_func = lambda outputs, labels, **_: nn.functional.mse_loss(
        outputs["logits"], labels
    )
    trainer.train()
    assert callback.monitor is not None
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(logged) == 5
    # The last comes after the last step.
    assert callback.monitor.history.losses.numbers == logged[:-1]


def test_norms_are_those_before_the_trainer_clips(tmp_path: Path) -> None:
    free, bound = RNNLintCallback(report=False), RNNLintCallback(report=False)
    make_trainer(tmp_path, free, max_grad_norm=0).train()
    remembered = Remembering()
    make_trainer(tmp_path, bound, remembered, max_grad_norm=1e-3).train()
    assert free.monitor is not None and bound.monitor is not None
    first = free.monitor.history.norms.numbers[0]
    assert first > 0.01
    assert bound.monitor.history.norms.numbers[0] == pytest.approx(first)
    assert remembered.norms[0] == pytest.approx(1e-3, rel=1e-3)


def test_it_clips_and_schedules_in_place_of_the_trainer(tmp_path: Path) -> None:
    remembered = Remembering()
    callback = RNNLintCallback(clip=1e-3, schedule="cosine", warmup=0.25, report=False)
    make_trainer(tmp_path, callback, remembered, gradient_accumulation_steps=2).train()
    steps = BATCHES
    expected = rates_of(lambda optimizer: warmup_cosine(optimizer, steps // 4, steps), steps)
    assert remembered.rates == pytest.approx(expected)
    assert remembered.norms == pytest.approx([1e-3] * steps, rel=1e-3)
    assert callback.monitor is not None
    assert callback.monitor.history.bounds == [1e-3]
    assert callback.monitor.history.clip_calls == steps
    assert callback.monitor.history.rates.numbers == pytest.approx(expected)


def test_it_initialises_what_nobody_has(tmp_path: Path) -> None:
    model = Scored()
    make_trainer(
        tmp_path,
        RNNLintCallback(initialise=True, report=False),
        model=model,
        learning_rate=0.0,
        max_steps=1,
    ).train()
    assert gates_are_orthogonal(model)
    weights = of(model.model.lstm, "weight_hh_l0").clone()
    with pytest.warns(RecurrentInitializationWarning, match=r"model\.lstm: not initialised"):
        make_trainer(
            tmp_path,
            RNNLintCallback(initialise=True, report=False),
            model=model,
            learning_rate=0.0,
            max_steps=1,
        ).train()
    assert torch.equal(of(model.model.lstm, "weight_hh_l0"), weights)


@pytest.mark.parametrize("restoring", [False, True])
def test_a_run_that_is_resumed_goes_on(tmp_path: Path, restoring: bool) -> None:
    def acting() -> RNNLintCallback:
        return RNNLintCallback(schedule="cosine", initialise=True, clip=0.5, report=False, every=7)

    def run(callback: RNNLintCallback, remembered: Remembering, checkpoint: Any = None) -> Trainer:
        trainer = make_trainer(
            tmp_path,
            callback,
            remembered,
            restore_callback_states_from_checkpoint=restoring,
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    whole, first, rest = Remembering(), Remembering(stop_after=7), Remembering()
    expected = run(acting(), whole)
    run(acting(), first)
    checkpoint = tmp_path / "checkpoint-7"
    saved = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    assert saved["stateful_callbacks"]["RNNLintCallback"]["args"]["schedule"] == "cosine"
    trainer = run(acting(), rest, str(checkpoint))
    assert first.rates + rest.rates == pytest.approx(whole.rates)
    assert first.norms + rest.norms == pytest.approx(whole.norms)
    assert expected.model is not None and trainer.model is not None
    for name, weight in expected.model.named_parameters():
        torch.testing.assert_close(trainer.model.get_parameter(name), weight)
    monitors = [
        callback.monitor
        for run_of in (expected, trainer)
        for callback in run_of.callback_handler.callbacks
        if isinstance(callback, RNNLintCallback)
    ]
    histories = [monitor.history for monitor in monitors if monitor is not None]
    assert [history.steps for history in histories] == [2 * BATCHES] * 2
    assert histories[0].losses.numbers == pytest.approx(histories[1].losses.numbers)


def test_without_its_trainer_it_says_how_to_attach_it(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, None, RNNLintCallback())
    with pytest.raises(RuntimeError, match=r"attach\(trainer\)"):
        trainer.train()
