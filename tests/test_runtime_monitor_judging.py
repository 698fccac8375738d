"""Healthy trainings raise no alarm; of faulty ones, the fault is named first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest
import torch
from recurrent import of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from rnnlint.runtime import last_valid, lengths_to_mask, masked_mean
from rnnlint.runtime.monitor import Monitor, RunReport

WORDS, WIDTH, BATCH, STEPS, CLASSES = 12, 16, 16, 20, 4


Model = TypeVar("Model", bound=nn.Module)


@dataclass
class Training(Generic[Model]):
    """A model, and how one step takes its loss."""

    model: Model
    loss: Callable[[int], Tensor]
    rate: float = 0.01
    bound: float | None = 1.0
    clips_first: bool = False
    trained: list[nn.Parameter] = field(default_factory=list)
    fades: float = 1.0
    criterion: nn.Module | None = None

    def run(self, steps: int = 120, *, tells: bool = True) -> RunReport:
        optimizer = Adam(self.trained or self.model.parameters(), lr=self.rate)
        schedule = ExponentialLR(optimizer, self.fades)
        with Monitor(
            self.model, optimizer, criterion=self.criterion, every=10, overhead=1.0
        ) as monitor:
            for step in range(steps):
                self._step(step, optimizer, monitor if tells and self.criterion is None else None)
                schedule.step()
            return monitor.report()

    def _step(self, step: int, optimizer: Optimizer, monitor: Monitor | None) -> None:
        optimizer.zero_grad()
        loss = self.loss(step)
        if self.clips_first:
            clip_grad_norm_(self.model.parameters(), 1.0)
        torch.autograd.backward(loss)
        if self.bound is not None and not self.clips_first:
            clip_grad_norm_(self.model.parameters(), self.bound)
        if monitor is not None:
            monitor.record(loss)
        optimizer.step()


class Net(nn.Module):
    """An embedding, a recurrent layer and a linear one, each used as a task likes."""

    def __init__(
        self,
        rnn: nn.RNNBase,
        out: int,
        inputs: int = WORDS,
        width: int = WIDTH,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding: nn.Module = nn.Embedding(inputs, WIDTH, padding_idx=padding)
        self.rnn = rnn
        self.head = nn.Linear(width, out)


def seeded() -> None:
    torch.manual_seed(0)


def cyclic() -> Tensor:
    """Sequences that can be continued: each adds its own number at every step, (B, T + 1)."""
    starts, adds = torch.randint(WORDS, (BATCH, 1)), torch.randint(1, 3, (BATCH, 1))
    return (starts + adds * torch.arange(STEPS + 1)) % WORDS


def marked(padded: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids that begin with their class, their lengths, and the classes; 0 is padding."""
    lengths = torch.randint(STEPS // 4, STEPS - padded + 1, (BATCH,))
    lengths[0] = STEPS - padded
    ids = torch.randint(CLASSES + 1, WORDS, (BATCH, STEPS))
    labels = torch.randint(CLASSES, (BATCH,))
    ids[:, 0] = labels + 1
    ids[~lengths_to_mask(lengths, STEPS)] = 0
    return ids, lengths, labels


# --- healthy trainings ----------------------------------------------------------------


def language_model() -> Training[Net]:
    net = Net(nn.LSTM(WIDTH, WIDTH, batch_first=True), WORDS)

    def loss(step: int) -> Tensor:
        words = cyclic()
        logits = net.head(net.rnn(net.embedding(words[:, :-1]))[0])
        return cross_entropy(logits.transpose(1, 2), words[:, 1:])

    return Training(net, loss)


def sine(scale: float = 1.0) -> Training[Net]:
    net = Net(nn.LSTM(1, WIDTH), 1)

    def loss(step: int) -> Tensor:
        phases = torch.rand(BATCH) * 6.28
        waves = torch.sin(torch.arange(STEPS + 1).unsqueeze(1) * 0.3 + phases).unsqueeze(-1)
        return mse_loss(net.head(net.rnn(waves[:-1] * scale)[0][-1]), waves[-1])

    net.embedding = nn.Identity()
    return Training(net, loss)


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.encoder, self.decoder = nn.GRUCell(WIDTH, WIDTH), nn.GRUCell(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, words: Tensor, asked: Tensor) -> Tensor:
        state = torch.zeros(len(words), WIDTH)
        for step in self.embedding(words).unbind(1):
            state = self.encoder(step, state)
        read = []
        for step in self.embedding(asked).unbind(1):
            state = self.decoder(step, state)
            read.append(self.head(state))
        return torch.stack(read, dim=2)


def translation() -> Training[Translator]:
    net = Translator()

    def loss(step: int) -> Tensor:
        words = torch.randint(1, WORDS, (BATCH, 3))
        asked = torch.cat([torch.zeros(BATCH, 1, dtype=torch.long), words[:, :-1]], dim=1)
        return cross_entropy(net(words, asked), words)

    return Training(net, loss)


def packed_classifier() -> Training[Net]:
    rnn = nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True)
    net = Net(rnn, CLASSES, width=2 * WIDTH, padding=0)

    def loss(step: int) -> Tensor:
        ids, lengths, labels = marked(0)
        packed = pack_padded_sequence(
            net.embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        final = net.rnn(packed)[1][0]
        return cross_entropy(net.head(torch.cat([final[0], final[1]], dim=-1)), labels)

    return Training(net, loss)


def pooled_classifier() -> Training[Net]:
    net = Net(nn.GRU(WIDTH, WIDTH, batch_first=True), CLASSES, padding=0)

    def loss(step: int) -> Tensor:
        ids, lengths, labels = marked(0)
        output = net.rnn(net.embedding(ids))[0]
        return cross_entropy(net.head(masked_mean(output, lengths)), labels)

    return Training(net, loss)


def stateful(*, detached: bool = True) -> Training[Net]:
    net = Net(nn.GRU(WIDTH, WIDTH, batch_first=True), WORDS)
    carried: list[Tensor] = []

    def loss(step: int) -> Tensor:
        words = (torch.arange(STEPS + 1) + step * STEPS) % WORDS
        words = (words + torch.arange(BATCH).unsqueeze(1)) % WORDS
        output, state = net.rnn(net.embedding(words[:, :-1]), carried[0] if carried else None)
        carried[:] = [state.detach() if detached else state]
        return cross_entropy(net.head(output).transpose(1, 2), words[:, 1:])

    return Training(net, loss)


def two_tasks() -> Training[Net]:
    net = Net(nn.LSTM(WIDTH, WIDTH, batch_first=True), CLASSES, padding=0)
    length_head = nn.Linear(WIDTH, 1)
    net.add_module("length", length_head)

    def loss(step: int) -> Tensor:
        ids, lengths, labels = marked(0)
        last = last_valid(net.rnn(net.embedding(ids))[0], lengths)
        length = length_head(last).squeeze(1)
        return cross_entropy(net.head(last), labels) + mse_loss(length, lengths / STEPS)

    return Training(net, loss)


def identity() -> Training[Net]:
    rnn = nn.RNN(2, 32, nonlinearity="relu")
    nn.init.eye_(of(rnn, "weight_hh_l0"))
    nn.init.zeros_(of(rnn, "bias_hh_l0"))
    nn.init.zeros_(of(rnn, "bias_ih_l0"))
    net = Net(rnn, 1, width=32)
    net.embedding = nn.Identity()

    def loss(step: int) -> Tensor:
        # The sum of two numbers, which are marked.
        numbers = torch.rand(STEPS, BATCH)
        marks = torch.zeros(STEPS, BATCH)
        marks[0], marks[STEPS // 2] = 1, 1
        asked = (numbers * marks).sum(0).unsqueeze(1)
        return mse_loss(net.head(net.rnn(torch.stack([numbers, marks], -1))[0][-1]), asked)

    return Training(net, loss)


def blank_pictures() -> Training[Net]:
    """Rows of pictures that are dark above and below, read like steps."""
    net = Net(nn.GRU(WIDTH, WIDTH, batch_first=True), CLASSES)
    net.embedding = nn.Identity()

    def loss(step: int) -> Tensor:
        labels = torch.randint(CLASSES, (BATCH,))
        pictures = torch.zeros(BATCH, STEPS, WIDTH)
        for row, label in enumerate(labels.tolist()):
            top, bottom = 1 + row % 4, STEPS - 1 - row % 5
            pictures[row, top:bottom] = torch.rand(bottom - top, WIDTH) / 2
            pictures[row, top:bottom, label] += 1
        return cross_entropy(net.head(net.rnn(pictures)[0][:, -1]), labels)

    return Training(net, loss)


HEALTHY: list[Callable[[], Training[Any]]] = [
    language_model,
    sine,
    translation,
    packed_classifier,
    pooled_classifier,
    stateful,
    two_tasks,
    identity,
    blank_pictures,
]


@pytest.mark.parametrize("build", HEALTHY)
def test_a_healthy_training_raises_no_alarm(build: Callable[[], Training[Any]]) -> None:
    seeded()
    report = build().run()
    losses = report.history.losses.numbers
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert report.passed, str(report)


@pytest.mark.parametrize("build", HEALTHY)
def test_a_healthy_training_whose_loss_is_not_told_raises_no_alarm(
    build: Callable[[], Training[Any]],
) -> None:
    seeded()
    report = build().run(30, tells=False)
    assert report.history.losses.values == []
    assert report.passed, str(report)


# --- faults ---------------------------------------------------------------------------


def softmax_before_the_loss() -> Training[Net]:
    net = Net(nn.LSTM(WIDTH, WIDTH, batch_first=True), WORDS)
    criterion = nn.CrossEntropyLoss()

    def loss(step: int) -> Tensor:
        words = cyclic()
        logits = net.head(net.rnn(net.embedding(words[:, :-1]))[0])
        measured: Tensor = criterion(logits.softmax(-1).flatten(0, 1), words[:, 1:].flatten())
        return measured

    return Training(net, loss, criterion=criterion)


def last_step_of_padding() -> Training[Net]:
    net = Net(nn.LSTM(WIDTH, WIDTH, batch_first=True), CLASSES, padding=0)

    def loss(step: int) -> Tensor:
        ids, _, labels = marked(0)
        return cross_entropy(net.head(net.rnn(net.embedding(ids))[0][:, -1]), labels)

    return Training(net, loss)


def mean_over_padding() -> Training[Net]:
    net = Net(nn.GRU(WIDTH, WIDTH, batch_first=True, bidirectional=True), CLASSES, width=2 * WIDTH)

    def loss(step: int) -> Tensor:
        ids, _, labels = marked(0)
        return cross_entropy(net.head(net.rnn(net.embedding(ids))[0].mean(1)), labels)

    return Training(net, loss)


def clips_nothing() -> Training[Translator]:
    training = translation()
    training.clips_first = True
    return training


def leaves_weights_out() -> Training[Net]:
    training = two_tasks()
    training.trained = [*training.model.rnn.parameters(), *training.model.head.parameters()]
    return training


def dead_units() -> Training[Net]:
    training = identity()
    with torch.no_grad():
        of(training.model.rnn, "bias_ih_l0")[:30] = -10.0
    return training


def forgets() -> Training[Net]:
    """A tanh RNN as PyTorch makes it, that is to remember the first of 100 steps."""
    net = Net(nn.RNN(WIDTH, WIDTH, batch_first=True), CLASSES)

    def loss(step: int) -> Tensor:
        labels = torch.randint(CLASSES, (BATCH,))
        ids = torch.randint(CLASSES, WORDS, (BATCH, 100))
        ids[:, 0] = labels
        return cross_entropy(net.head(net.rnn(net.embedding(ids))[0][:, -1]), labels)

    return Training(net, loss, rate=0.001)


def unscaled_inputs() -> Training[Net]:
    training = sine(scale=1e4)
    training.rate = 1e-4
    return training


def too_fast() -> Training[Net]:
    training = identity()
    training.rate, training.bound = 1.0, None
    return training


def random_labels() -> Training[Net]:
    net = Net(nn.LSTM(WIDTH, WIDTH, batch_first=True), CLASSES)

    def loss(step: int) -> Tensor:
        ids, labels = torch.randint(WORDS, (BATCH, 4)), torch.randint(CLASSES, (BATCH,))
        return cross_entropy(net.head(net.rnn(net.embedding(ids))[0][:, -1]), labels)

    return Training(net, loss)


def in_evaluation_mode() -> Training[Net]:
    training = language_model()
    training.model.eval()
    return training


def fades_away() -> Training[Net]:
    training = language_model()
    training.fades = 0.7
    return training


FAULTS: dict[Callable[[], Training[Any]], str] = {
    softmax_before_the_loss: "probabilities as logits",
    last_step_of_padding: "padding is read",
    mean_over_padding: "padding is read",
    clips_nothing: "clipping without effect",
    leaves_weights_out: "unmoved parameters",
    dead_units: "dead units",
    forgets: "vanishing",
    unscaled_inputs: "saturated",
    too_fast: "non-finite",
    random_labels: "flat loss",
    in_evaluation_mode: "evaluation mode",
    fades_away: "vanished learning rate",
}


@pytest.mark.parametrize(
    ("build", "signal"), FAULTS.items(), ids=[build.__name__ for build in FAULTS]
)
def test_the_fault_of_a_training_comes_first(
    build: Callable[[], Training[Any]], signal: str
) -> None:
    seeded()
    report = build().run()
    assert report.observations, str(report)
    assert report.observations[0].signal == signal, str(report)
    assert report.observations[0].message[:20] in " ".join(str(report).split())


def test_a_carried_graph_is_told_though_its_backward_pass_fails() -> None:
    seeded()
    training = stateful(detached=False)
    optimizer = Adam(training.model.parameters())
    with Monitor(training.model, optimizer) as monitor:
        training._step(0, optimizer, monitor)
        with pytest.raises(RuntimeError, match=r"second time|inplace"):
            training._step(1, optimizer, monitor)
        (seen,) = monitor.report().observations
    assert (seen.signal, seen.level, seen.step, seen.layer) == ("carried graph", "error", 1, "rnn")


def fed(losses: list[float], norms: list[float] | None = None) -> list[str]:
    """What is said of a run with these losses, and these norms of gradients."""
    cell = nn.GRUCell(1, 1)
    optimizer = Adam(cell.parameters(), lr=0.0)
    with Monitor(cell, optimizer, every=1) as monitor:
        for step, loss in enumerate(losses):
            for weight in cell.parameters():
                weight.grad = torch.zeros_like(weight)
            if norms is not None:
                cell.weight_ih.grad = torch.tensor([[norms[step]], [0.0], [0.0]])
            monitor.record(loss)
            optimizer.step()
    seen = monitor.report().observations
    return [each.signal for each in seen if each.signal != "unmoved parameters"]


FALLING = [10 * 0.97**step + 1 for step in range(200)]


def test_losses_that_rise_stand_still_and_fall() -> None:
    assert fed(FALLING) == []
    assert fed([1.0] * 200) == ["flat loss"]
    assert fed(FALLING[:100] + [20.0 + step for step in range(100)]) == ["rising loss"]
    # A spike, the noise of batches, and a floor that is soon reached.
    assert fed([*FALLING[:100], 500.0, *FALLING[101:]]) == []
    assert fed([2.0 + (step * 7919 % 13) / 13 - step / 200 for step in range(200)]) == []
    assert fed([1.0 + 2 * 0.5**step for step in range(400)]) == []


def test_a_gradient_explodes_where_the_loss_is_worse_for_it() -> None:
    shrinking = [0.98**step for step in range(200)]
    assert fed(FALLING, shrinking) == []
    assert fed(FALLING, [*shrinking[:100], 0.9, *shrinking[101:]]) == []
    # A plateau that is left: gradients grow, and the loss begins to fall.
    leaving = [1e-5] * 100 + [1.0] * 100
    assert fed([5.0] * 100 + [5 * 0.95**step for step in range(100)], leaving) == []
    spike = [*shrinking[:100], 1e4, *shrinking[101:]]
    worse = [*FALLING[:100], *(loss + 5 for loss in FALLING[100:])]
    assert fed(worse, spike) == ["exploding"]


def test_one_loss_that_is_not_finite_is_not_the_end() -> None:
    assert fed([*FALLING[:100], math.nan, *FALLING[101:]])[0] == "non-finite"
    assert fed([*FALLING[:100], *[math.nan] * 100])[0] == "non-finite"
