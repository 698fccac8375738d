"""What a monitor hears in training loops of all kinds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monitored import BATCH, FEATURES, HIDDEN, STEPS, sequences
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_  # by name, before any monitor is there
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR
from torch.utils.checkpoint import checkpoint

from rnnlint.runtime import clip_gradients
from rnnlint.runtime.monitor import History, Monitor


class Summary(nn.Module):
    """Reads the last step."""

    def __init__(self, classes: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.GRU(FEATURES, HIDDEN)
        self.head = nn.Linear(HIDDEN, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        read: Tensor = self.head(self.rnn(inputs)[0][-1])
        return read


INPUTS = sequences([STEPS] * BATCH)


def train(
    model: nn.Module,
    optimizer: Optimizer,
    monitor: Monitor,
    steps: int = 6,
    between: Callable[[], object] = lambda: None,
) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(INPUTS).square().mean()
        torch.autograd.backward(loss)
        between()
        optimizer.step()
        monitor.record(loss)
        losses.append(float(loss.detach()))
    return losses


def watched(rate: float = 0.1) -> tuple[Summary, SGD, Monitor]:
    model = Summary()
    optimizer = SGD(model.parameters(), lr=rate)
    return model, optimizer, Monitor(model, optimizer)


# --- clipping -------------------------------------------------------------------------


def norm_of(model: nn.Module) -> float:
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_gradients], ids=["pytorch", "rnnlint"])
def test_norms_before_clipping_and_how_often_they_are_beyond(
    clip: Callable[..., object],
) -> None:
    model, optimizer, monitor = watched(rate=0.5)
    norms: list[float] = []

    def between() -> None:
        norms.append(norm_of(model))
        clip(model.parameters(), bound)

    bound = 0.1
    with monitor:
        train(model, optimizer, monitor, 8, between)
    history = monitor.report().history
    assert history.norms.numbers == pytest.approx(norms, rel=1e-5)
    assert (history.clip_calls, history.bounds) == (8, [0.1])
    assert history.clipped == sum(norm > bound for norm in norms)
    assert 0 < history.clipped < 8


def test_values_that_are_clipped_are_counted_and_no_norms_are() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(
            model, optimizer, monitor,
            between=lambda: nn.utils.clip_grad_value_(model.parameters(), 0.5),
        )  # fmt: skip
    history = monitor.report().history
    assert (history.clip_calls, history.clipped, history.bounds) == (6, 0, [0.5])


def test_who_only_measures_the_norm_clips_nothing() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(
            model, optimizer, monitor,
            between=lambda: clip_grad_norm_(model.parameters(), math.inf),
        )  # fmt: skip
    history = monitor.report().history
    assert (history.clip_calls, len(history.norms.values)) == (0, 6)


def test_without_clipping_norms_are_taken_in_sampled_steps() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(model, optimizer, monitor, 60)
    # Every 50th after the first five, or fewer, where these are slow.
    steps = [step for step, _ in monitor.report().history.norms.values]
    assert steps in ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 54])


# --- rates and losses -----------------------------------------------------------------


def test_learning_rates_are_those_of_each_step() -> None:
    model, optimizer, monitor = watched()
    schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    with monitor:
        for _ in range(4):
            train(model, optimizer, monitor, 1)
            schedule.step()
    history = monitor.report().history
    assert history.rates.numbers == pytest.approx([0.1, 0.1, 0.05, 0.05])
    assert (history.rate_changed, history.first_rates) == (2, [0.1])


def test_a_rate_may_be_a_tensor() -> None:
    model = Summary()
    optimizer = Adam(model.parameters(), lr=torch.tensor(0.25))
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, monitor, 2)
    assert monitor.report().history.rates.numbers == [0.25, 0.25]


def test_losses_told_after_the_step_count_for_the_next() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        losses = train(model, optimizer, monitor)
    heard = monitor.report().history.losses
    assert [step for step, _ in heard.values] == [1, 2, 3, 4, 5]
    assert heard.numbers == pytest.approx(losses[:-1])


def test_accumulated_gradients_are_one_step_of_one_loss() -> None:
    model = Summary()
    optimizer = SGD(model.parameters(), lr=0.1)
    criterion = nn.MSELoss()
    with Monitor(model, optimizer, criterion=criterion) as monitor:
        losses = []
        for _ in range(3):
            for part in (INPUTS[:, place : place + 2] for place in (0, 2, 4)):
                loss = criterion(model(part), torch.zeros(2, 1))
                torch.autograd.backward(loss)
                losses.append(float(loss.detach()))
            optimizer.step()
            optimizer.zero_grad()
    history = monitor.report().history
    means = [sum(losses[place : place + 3]) / 3 for place in (0, 3, 6)]
    assert history.steps == 3
    assert history.losses.numbers == pytest.approx(means)
    # The newest pass is sampled, of two sequences.
    assert [sample.steps for sample in history.layers["rnn"]] == [STEPS] * 3


def test_a_validation_that_builds_a_graph_is_no_training() -> None:
    model = Summary()
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer) as monitor:
        for _ in range(2):
            model.eval()
            for _ in range(3):
                model(INPUTS)
            model.train()
            train(model, optimizer, monitor, 1)
    samples = monitor.report().history.layers["rnn"]
    assert [(sample.steps, sample.training) for sample in samples] == [(STEPS, True)] * 2
    assert all(sample.early_to_late is not None for sample in samples)


def test_of_several_optimizers_that_of_recurrent_weights_counts() -> None:
    model = Summary()
    head = SGD(model.head.parameters(), lr=0.3)
    body = SGD(model.rnn.parameters(), lr=0.2)
    with Monitor(model, head, body) as monitor:
        for _ in range(3):
            torch.autograd.backward(model(INPUTS).sum())
            head.step()
            head.step()
            body.step()
    history = monitor.report().history
    assert history.steps == 3
    assert history.rates.numbers == [0.2] * 3
    assert (history.left_out, history.without_gradient) == ([], [])


def test_parameters_that_nobody_moves_and_nothing_reaches() -> None:
    model = Summary()
    model.extra = nn.Linear(2, 2)
    weights = [*model.rnn.parameters(), *model.extra.parameters()]
    optimizer = SGD(weights, lr=0.1)
    with Monitor(model, optimizer) as monitor:
        train(model, optimizer, monitor, 2)
    history = monitor.report().history
    assert history.left_out == ["head.bias", "head.weight"]
    assert history.without_gradient == ["extra.bias", "extra.weight"]


def test_tasks_that_take_turns_reach_all_parameters() -> None:
    model = Summary()
    model.other = nn.Linear(HIDDEN, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer) as monitor:
        for turn in range(4):
            optimizer.zero_grad()
            head = model.head if turn % 2 else model.other
            torch.autograd.backward(head(model.rnn(INPUTS)[0][-1]).sum())
            optimizer.step()
    assert monitor.report().history.without_gradient == []


def test_the_closure_of_lbfgs_is_one_step() -> None:
    model = Summary()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = model(INPUTS).square().mean()
        torch.autograd.backward(loss)
        monitor.record(loss)
        return loss

    with Monitor(model, optimizer) as monitor:
        for _ in range(3):
            optimizer.step(closure)  # type: ignore[no-untyped-call]
    history = monitor.report().history
    assert (history.steps, len(history.losses.values), len(history.layers["rnn"])) == (3, 3, 3)
    assert all(sample.early_to_late is not None for sample in history.layers["rnn"])


def test_a_step_that_a_scaler_leaves_out_is_none() -> None:
    model, optimizer, monitor = watched()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with monitor:
        for step in range(4):
            optimizer.zero_grad()
            loss = model(INPUTS * (math.inf if step == 1 else 1.0)).square().mean()
            torch.autograd.backward(scaler.scale(loss))
            scaler.step(optimizer)
            scaler.update()
    history = monitor.report().history
    assert history.steps == 3
    samples = history.layers["rnn"]
    assert [sample.steps for sample in samples] == [STEPS] * 3
    assert all(0 < (sample.early_to_late or 0) < 1 for sample in samples)
    assert all(math.isfinite(sample.gradient_norm or math.nan) for sample in samples)


def test_constant_predictions_spread_nothing() -> None:
    torch.manual_seed(0)
    targets = torch.randint(0, 3, (BATCH,))
    logits = torch.randn(BATCH, 3, requires_grad=True)
    criterion = nn.CrossEntropyLoss()
    model, optimizer, _ = watched()
    with Monitor(model, optimizer, criterion=criterion) as monitor:
        criterion(logits, targets)
        criterion(logits[:1].expand(BATCH, 3), targets)
        criterion(logits.softmax(1), targets)
        monitor.record(logits.sum(), logits[:, 0], torch.arange(float(BATCH)))
    varied, constant, squashed, numbers = monitor.report().history.spreads
    probabilities = logits.detach().softmax(1)
    expected = float(probabilities.var(0, correction=0).sum().sqrt())
    wanted = float(nn.functional.one_hot(targets, 3).float().var(0, correction=0).sum().sqrt())
    assert varied.predictions == pytest.approx(expected, rel=1e-5)
    assert varied.targets == pytest.approx(wanted, rel=1e-5)
    assert constant.predictions == pytest.approx(0, abs=1e-6)
    assert [seen.probabilities for seen in (varied, constant, squashed)] == [False, False, True]
    assert numbers.loss == "mse_loss"
    assert numbers.predictions == pytest.approx(float(logits.detach()[:, 0].std(correction=0)))
    assert numbers.targets == pytest.approx(float(torch.arange(float(BATCH)).std(correction=0)))


def test_ignored_classes_do_not_count_among_predictions() -> None:
    logits = torch.zeros(2, 3, 4, requires_grad=True)
    with torch.no_grad():
        logits[:, :, 2:] = torch.randn(2, 3, 2)
    targets = torch.tensor([[0, 1, -100, -100], [2, 1, -100, -100]])
    criterion = nn.CrossEntropyLoss()
    model, optimizer, _ = watched()
    with Monitor(model, optimizer, criterion=criterion) as monitor:
        criterion(logits, targets)
        criterion(logits, torch.full_like(targets, -100))
    (seen,) = monitor.report().history.spreads
    assert seen.predictions == pytest.approx(0, abs=1e-6)
    assert seen.targets == pytest.approx(math.sqrt(1 - (1 + 4 + 1) / 16))


# --- NaN ------------------------------------------------------------------------------


class Broken(Summary):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Identity()
        self.root = nn.Softplus()
        self.root.register_forward_hook(lambda module, args, made: (made - 10).sqrt())

    def forward(self, inputs: Tensor) -> Tensor:
        read: Tensor = self.head(self.root(self.scale(self.rnn(inputs)[0][-1])))
        return read


def test_the_first_module_that_makes_nan_is_named() -> None:
    model = Broken()
    optimizer = SGD(model.parameters(), lr=0.1)
    with Monitor(model, optimizer) as monitor:
        for _ in range(2):
            # A loop that leaves such batches out.
            monitor.record(model(INPUTS).mean())
        assert monitor.history.nonfinite_module == "root"
        assert monitor.report().observations[0].signal == "non-finite"
    assert not model.scale._forward_hooks


def test_a_parameter_that_is_nan_is_named_and_after_a_step_nothing_is() -> None:
    model = Summary()
    optimizer = SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        model.head.weight[0, 0] = math.nan
    with Monitor(model, optimizer) as monitor:
        monitor.record(model(INPUTS).mean())
    assert monitor.history.nonfinite_module == "head.weight"
    broken = Broken()
    optimizer = SGD(broken.parameters(), lr=0.1)
    with Monitor(broken, optimizer) as monitor:
        # The step makes all parameters NaN, and the first layer would be named.
        for _ in range(3):
            train(broken, optimizer, monitor, 1)
    history = monitor.report().history
    assert (history.nonfinite_step, history.nonfinite_module) == (1, "rnn.weight_ih_l0")


# --- unusual calls --------------------------------------------------------------------


def test_a_compiled_model_is_seen_and_seldom_compiled() -> None:
    from torch._dynamo.testing import CompileCounter  # heavy, and needed here alone

    counter = CompileCounter()
    model = Summary()
    optimizer = SGD(model.parameters(), lr=0.1)
    compiled: nn.Module = torch.compile(model, backend=counter)  # type: ignore[assignment]
    with Monitor(compiled, optimizer, every=10, overhead=1.0) as monitor:
        train(compiled, optimizer, monitor, 31)
    samples = monitor.report().history.layers["rnn"]
    assert [sample.step for sample in samples] == [0, 1, 2, 3, 4, 14, 24]
    assert all(sample.early_to_late is not None for sample in samples)
    assert counter.frame_count <= 4


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_layer_is_seen(reentrant: bool) -> None:
    class Checkpointed(Summary):
        def forward(self, inputs: Tensor) -> Tensor:
            output = checkpoint(self.rnn, inputs, use_reentrant=reentrant)
            read: Tensor = self.head(output[0][-1])
            return read

    asked = INPUTS.clone().requires_grad_()
    plain, model = Summary(), Checkpointed()
    for module in (plain, model):
        optimizer = SGD(module.parameters(), lr=0.1)
        with Monitor(module, optimizer) as monitor:
            torch.autograd.backward(module(asked).sum())
            optimizer.step()
        (sample,) = monitor.report().history.layers["rnn"]
        if module is plain:
            expected = sample
    assert sample.early_to_late == pytest.approx(expected.early_to_late)
    assert sample.steps == STEPS


def test_a_carried_graph_is_seen_and_a_detached_state_is_none() -> None:
    for detached in (False, True):
        model = Summary()
        optimizer = SGD(model.parameters(), lr=0.0)
        state = None
        with Monitor(model, optimizer) as monitor:
            for _ in range(3):
                output, state = model.rnn(INPUTS, state)
                torch.autograd.backward(output.sum(), retain_graph=True)
                model.zero_grad()  # a step would change weights that the older graph needs
                optimizer.step()
                state = state.detach() if detached else state
        carried = [sample.carried for sample in monitor.report().history.layers["rnn"]]
        assert carried == [False, not detached, not detached]


# --- checkpoints ----------------------------------------------------------------------


def test_a_state_passes_through_files(tmp_path: Path) -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(model, optimizer, monitor, 12, lambda: clip_grad_norm_(model.parameters(), 0.2))
        state = monitor.state_dict()
    torch.save(state, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    for given in (loaded, json.loads(json.dumps(state))):
        model, optimizer, resumed = watched()
        with resumed:
            resumed.load_state_dict(given)
            assert resumed.state_dict() == state
            assert resumed.report() == monitor.report()
            train(model, optimizer, resumed, 3)
        assert resumed.history.steps == 15
        assert resumed.history.layers["rnn"][-1].step >= 12
        assert given == json.loads(json.dumps(state)) or given == state


def test_a_report_does_not_change_with_the_run() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(model, optimizer, monitor, 3)
        report = monitor.report()
        train(model, optimizer, monitor, 3)
    assert (report.history.steps, len(report.history.layers["rnn"])) == (3, 3)


def test_metrics_are_the_newest_numbers() -> None:
    model, optimizer, monitor = watched()
    with monitor:
        train(model, optimizer, monitor, 3, lambda: clip_grad_norm_(model.parameters(), 1e-9))
        metrics = monitor.metrics()
        newest = monitor.history.layers["rnn"][-1]
        assert monitor.new_metrics() == metrics
        assert monitor.new_metrics() == {}
    assert metrics["rnnlint/rnn/early_to_late"] == newest.early_to_late
    assert metrics["rnnlint/rnn/saturated_z"] == newest.gates["z"]
    assert metrics["rnnlint/clipped"] == 1.0
    assert metrics["rnnlint/learning_rate"] == 0.1
    assert metrics["rnnlint/gradient_norm"] == monitor.history.norms.numbers[-1]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({}, r"has the keys \[\]: pass what state_dict\(\) of a monitor gave"),
        ({"history": {}}, r"a history of a run has the keys \['bounds'.* and this is \[\]"),
        ({"history": 3}, "and this is int: pass what"),
    ],
)
def test_a_state_that_is_none_is_refused(state: dict[str, object], said: str) -> None:
    _, _, monitor = watched()
    with monitor, pytest.raises(ValueError, match=said):
        monitor.load_state_dict(state)
    assert monitor.history == History()


NOTHING: Any = []
LOSS: Any = nn.MSELoss()
MSE: Any = nn.functional.mse_loss


@pytest.mark.parametrize(
    ("error", "said", "build"),
    [
        (TypeError, "a model is an nn.Module, and this is a list", lambda m, o: Monitor(NOTHING)),
        (ValueError, "Linear: pass the module that holds it", lambda m, o: Monitor(m.head)),
        (TypeError, "MSELoss: a loss is passed as criterion=", lambda m, o: Monitor(m, LOSS)),
        (TypeError, r"function: tell .* by record\(loss\)", lambda m, o: Monitor(m, criterion=MSE)),
        (ValueError, "every=0 and first=5 are numbers", lambda m, o: Monitor(m, o, every=0)),
        (ValueError, "every=9 and first=-1 are", lambda m, o: Monitor(m, o, every=9, first=-1)),
        (ValueError, "overhead=2.0 is the share", lambda m, o: Monitor(m, o, overhead=2.0)),
        (ValueError, "'rnn' is watched already", lambda m, o: Monitor(m).watch("rnn", m.rnn)),
        (TypeError, "pass the layer inside", lambda m, o: Monitor(m).watch("head", m.head)),
    ],
)
def test_what_cannot_be_watched_is_refused(
    error: type[Exception], said: str, build: Callable[[Any, Any], object]
) -> None:
    model = Summary()
    with pytest.raises(error, match=said):
        build(model, SGD(model.parameters(), lr=0.1))
