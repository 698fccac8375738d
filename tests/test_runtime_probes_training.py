"""Probes of gradients, inputs, losses and of learning by heart: faulty models as people write them,
and sound ones that look alike."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime.initialization import init_recurrent_
from rnnlint.runtime.losses import sequence_cross_entropy
from rnnlint.runtime.probes import gradients, inputs, loss, overfit_one_batch
from rnnlint.runtime.probes.backward import early_to_late
from rnnlint.runtime.probes.losses import double_softmax_floor

BATCH, STEPS, FEATURES, SIZE, CLASSES, WORDS = 6, 10, 3, 8, 4, 20
LENGTHS = torch.tensor([10, 4, 7, 5, 10, 8])

cross_entropy: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()


def features(steps: int = STEPS) -> Tensor:
    return torch.randn(BATCH, steps, FEATURES, generator=torch.Generator().manual_seed(1))


def real() -> Tensor:
    return torch.arange(STEPS) < LENGTHS.unsqueeze(1)


def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 3, 1, 2])


def step_labels(padding: int = -100) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    made = torch.randint(CLASSES, (BATCH, STEPS), generator=generator)
    return made.masked_fill(~real(), padding)


class Layers(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.LSTM(FEATURES, SIZE, **{"batch_first": True, **options})
        self.head = nn.Linear(2 * SIZE if options.get("bidirectional") else SIZE, CLASSES)


class LastStep(Layers):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0][:, -1])
        return logits


class Reading(Layers):
    """Reads its layer out in some way."""

    def __init__(self, read: Callable[[Any], Tensor], **options: Any) -> None:
        super().__init__(**options)
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.read(self.rnn(x)))
        return logits


def last_step(made: Any) -> Tensor:
    output: Tensor = made[0]
    return output[:, -1]


def both_ends(made: Any) -> Tensor:
    _, (hidden, _) = made
    return torch.cat([hidden[-2], hidden[-1]], 1)


# --- gradients --------------------------------------------------------------------------


class Detached(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach().requires_grad_()


class InAList(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.cells = [nn.LSTMCell(FEATURES, SIZE), nn.LSTMCell(SIZE, SIZE)]
        del self.rnn

    def forward(self, x: Tensor) -> Tensor:
        below: Any = None
        above: Any = None
        for step in x.unbind(1):
            below = self.cells[0](step, below)
            above = self.cells[1](below[0], above)
        logits: Tensor = self.head(above[0])
        return logits


class StateDropped(Layers):
    def forward(self, x: Tensor) -> Tensor:
        outputs = [self.rnn(x[:, step : step + 1])[0] for step in range(x.size(1))]
        logits: Tensor = self.head(torch.cat(outputs, 1).mean(1))
        return logits


class Unused(LastStep):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Linear(SIZE, 1)


class RootOfZero(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits + (logits - logits.detach()).square().sum().sqrt()


@pytest.mark.parametrize(
    ("model", "codes", "said"),
    [
        (Detached(), (), "no parameter"),
        (InAList(), ("RNN604",), "ModuleList"),
        (StateDropped(), ("RNN104", "RNN609"), "rnn.weight_hh_l0"),
        (Unused(), (), "attention.weight, attention.bias"),
        (Reading(last_step, bidirectional=True), ("RNN110",), "rnn.weight_hh_l0_reverse"),
        (RootOfZero(), (), "NaN or infinite"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_parameters_that_the_loss_does_not_reach(
    model: nn.Module, codes: tuple[str, ...], said: str
) -> None:
    found = gradients(model, (features(), labels()), cross_entropy)
    assert found.failed and found.codes == codes and said in found.explanation, found
    assert found.measured is not None and found.measured > 0


class ZeroAtFirst(LastStep):
    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class AuxiliaryInTraining(LastStep):
    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(SIZE, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        if self.training:
            logits = logits + self.auxiliary(self.rnn(x)[0].mean(1))
        return logits


class FrozenTeacher(LastStep):
    """Kept in a list on purpose, so that it is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = [LastStep()]

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.teacher[0](x)
        logits: Tensor = super().forward(x) + wanted
        return logits


class Scored(Layers):
    """The bias of the score gets a gradient of zero: a softmax undoes a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(SIZE, 1)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.rnn(x)
        logits: Tensor = self.head((self.score(output).softmax(1) * output).sum(1))
        return logits


class Dropping(LastStep):
    def __init__(self) -> None:
        super().__init__(num_layers=2, dropout=0.9)
        self.drop = nn.Dropout(0.99)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.drop(x))


@pytest.mark.parametrize(
    "model",
    [
        LastStep(),
        ZeroAtFirst(),
        AuxiliaryInTraining().eval(),
        FrozenTeacher(),
        Scored(),
        Dropping(),
        Reading(both_ends, bidirectional=True),
    ],
    ids=lambda model: type(model).__name__,
)
def test_parameters_that_the_loss_reaches(model: nn.Module) -> None:
    found = gradients(model, (features(), labels()), cross_entropy)
    assert found.passed, found
    assert found.quantity == "early-to-late dLoss/dx" and found.bound == "at least"
    assert found.measured is not None and found.measured > 1e-3


def test_one_step_needs_no_recurrent_weights() -> None:
    assert gradients(LastStep(), (features(1), labels()), cross_entropy).passed


def test_rare_words_may_be_in_no_batch() -> None:
    class Adaptive(Layers):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.AdaptiveLogSoftmaxWithLoss(SIZE, WORDS, [5, 10], div_value=2.0)  # type: ignore[assignment]

        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            found: Tensor = self.head(self.rnn(x)[0][:, -1], target).loss
            return found

    assert gradients(Adaptive(), (features(), labels())).passed


def test_sparse_gradients_are_read() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embedding = nn.Embedding(WORDS, FEATURES, sparse=True)
            self.layers = LastStep()

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.layers(self.embedding(x))
            return logits

    batch = (torch.randint(WORDS, (BATCH, STEPS)), labels())
    assert gradients(Sparse(), batch, cross_entropy).passed
    assert overfit_one_batch(Sparse(), batch, cross_entropy).passed


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("ids", [False, True])
def test_a_network_that_cannot_remember(kind: type[nn.RNNBase], ids: bool) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            make: Any = kind
            if ids:
                self.embedding = nn.Embedding(WORDS, FEATURES)
                self.embedding.weight.data /= 10
            self.rnn = make(FEATURES, 32, batch_first=True)
            self.head = nn.Linear(32, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            given = self.embedding(x) if ids else x / 10
            logits: Tensor = self.head(self.rnn(given)[0][:, -1])
            return logits

    x = torch.randint(WORDS, (BATCH, 60)) if ids else features(60)
    found = gradients(Model(), (x, labels()), cross_entropy)
    assert found.failed and "RNN401" in found.codes and found.measured is not None
    assert found.measured < 1e-4
    model = Model()
    init_recurrent_(model, forget_bias=5.0)
    repaired = gradients(model, (x, labels()), cross_entropy)
    assert repaired.passed and repaired.measured is not None and repaired.measured > 1e-2


def test_a_loss_of_every_step_reaches_the_first() -> None:
    class Tagger(Layers):
        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            logits: Tensor = self.head(pad_packed_sequence(self.rnn(packed)[0], True)[0])
            return logits.transpose(1, 2)

    found = gradients(Tagger(), (features(), LENGTHS, step_labels()), cross_entropy)
    assert found.passed and found.measured is not None and 0.2 < found.measured < 5


def test_gradients_over_time_ask_which_axis_it_is() -> None:
    square = features()[:, :BATCH]
    with pytest.raises(ValueError, match="batch_first=True"):
        gradients(LastStep(), (square, labels()), cross_entropy)
    assert gradients(LastStep(), (square, labels()), cross_entropy, batch_first=True).passed


def test_a_convolution_need_not_see_the_beginning() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv1d(FEATURES, CLASSES, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.layer(x.transpose(1, 2))[..., -1]
            return logits

    found = gradients(Last(), (features(), labels()), cross_entropy)
    assert found.passed and found.measured == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.floats(1e-6, 1e3))
def test_the_ratio_is_that_of_tenths_of_real_steps(lengths: list[int], share: float) -> None:
    steps = max(lengths)
    gradient = torch.full((len(lengths), steps, 2), 7.0)
    for row, length in enumerate(lengths):
        gradient[row, :length] = 1.0
        gradient[row, : math.ceil(length / 10)] = share
    found = early_to_late(gradient, torch.tensor(lengths))
    if steps < 4:
        assert found is None
    else:
        assert found == pytest.approx(share)


def test_nothing_to_train_and_no_loss() -> None:
    frozen = LastStep().requires_grad_(False)
    for probed in (gradients, overfit_one_batch):
        found = probed(frozen, (features(), labels()), cross_entropy)
        assert found.status == "not applicable"
        found = probed(LastStep(), (features(), labels()))
        assert found.status == "not applicable" and "pass loss" in found.explanation


# --- inputs -----------------------------------------------------------------------------


class LengthsUnread(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0][:, -1])
        return logits


class MaskUnread(Layers):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = self.rnn(x)[0].mean(2)
        scores.masked_fill(~mask, float("-inf"))
        logits: Tensor = self.head((scores.softmax(1).unsqueeze(-1) * self.rnn(x)[0]).sum(1))
        return logits


class LengthsRead(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        logits: Tensor = self.head(self.rnn(packed)[1][0][-1])
        return logits


class MaskRead(Layers):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        output, _ = self.rnn(x)
        scores = output.mean(2).masked_fill(~mask, float("-inf"))
        logits: Tensor = self.head((scores.softmax(1).unsqueeze(-1) * output).sum(1))
        return logits


class TeacherForced(Layers):
    """Reads the former answers in training only, and of half the batches only."""

    def forward(self, x: Tensor, former: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0].mean(1))
        if self.training and random.random() < 0.5:
            logits = logits + former.mean((1, 2)).unsqueeze(1)
        return logits


@pytest.mark.parametrize(
    ("model", "batch", "codes"),
    [
        (LengthsUnread(), (features(), LENGTHS, labels()), ("RNN101", "RNN113")),
        (LengthsUnread(), (features(), LENGTHS.tolist(), labels()), ("RNN101", "RNN113")),
        (MaskUnread(), (features(), real(), labels()), ("RNN101", "RNN113")),
        (Reading(last_step, bidirectional=True), (features(), labels()), ("RNN110",)),
        (Reading(lambda made: made[1][0][-1].repeat(1, 2), bidirectional=True),
         (features(), labels()), ("RNN110",)),
    ],
    ids=["lengths", "list", "mask", "last", "reverse"],
)  # fmt: skip
def test_inputs_that_change_nothing(model: nn.Module, batch: Any, codes: tuple[str, ...]) -> None:
    found = inputs(model, batch, cross_entropy)
    assert found.failed and found.codes == codes and found.measured == 1, found


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (LengthsRead(), (features(), LENGTHS, labels())),
        (LengthsRead(), (features(), torch.full((BATCH,), STEPS), labels())),
        (LengthsRead(), (features(), LENGTHS.tolist(), labels())),
        (MaskRead(), (features(), real(), labels())),
        (MaskRead(), {"x": features(), "mask": torch.ones_like(real()), "label": labels()}),
        (TeacherForced(), (features(), features().roll(1, 0), labels())),
        (Reading(both_ends, bidirectional=True, num_layers=2), (features(), labels())),
        (Reading(lambda made: made[0].mean(1), bidirectional=True), (features(), labels())),
    ],
)
def test_inputs_that_are_used(model: nn.Module, batch: Any) -> None:
    found = inputs(model, batch, cross_entropy)
    assert found.passed, found


def test_what_a_call_keeps_from_the_model_is_not_asked_for() -> None:
    batch = (features(), LENGTHS, labels())
    found = inputs(LastStep(), batch, cross_entropy, call=lambda model, batch: model(batch[0]))
    assert found.passed and "batch[0]" in found.explanation and "[1]" not in found.explanation
    found = inputs(
        LengthsUnread(), batch, cross_entropy, call=lambda model, batch: model(*batch[:2])
    )
    assert found.failed and "batch[1]" in found.explanation


# --- loss -------------------------------------------------------------------------------


class Activated(LastStep):
    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(super().forward(x))


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def by_hand(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


nll: Any = nn.NLLLoss()
binary: Any = nn.BCEWithLogitsLoss()


@pytest.mark.parametrize(
    ("activation", "function", "target", "code"),
    [
        (softmax, cross_entropy, labels(), "RNN504"),
        (by_hand, cross_entropy, labels(), "RNN504"),
        (softmax, nll, labels(), "RNN504"),
        (lambda logits: logits.log_softmax(0), nll, labels(), "RNN509"),
        (lambda logits: logits, nll, labels(), None),
        (lambda x: x.sigmoid()[:, :2].clone(), binary, torch.ones(BATCH, 2), "RNN504"),
        (lambda x: x[:, :1], nn.MSELoss(), torch.randn(BATCH), "RNN608"),
        (lambda x: x[:, :1], nn.SmoothL1Loss(), torch.randn(BATCH), "RNN608"),
        (lambda x: x[:, :1], binary, torch.ones(BATCH), "RNN608"),
    ],
)
def test_losses_that_are_given_something_else(
    activation: Any, function: Any, target: Tensor, code: str | None
) -> None:
    found = loss(Activated(activation), (features(), target), function)
    assert found.failed and found.codes == ((code,) if code else ()), found


@pytest.mark.parametrize(
    ("activation", "function", "target"),
    [
        (lambda logits: logits, cross_entropy, labels()),
        (lambda logits: logits.log_softmax(-1), cross_entropy, labels()),
        (lambda logits: logits.log_softmax(-1), nll, labels()),
        (softmax, lambda output, target: nll(output.log(), target), labels()),
        (lambda x: x.sigmoid()[:, :2], nn.BCELoss(), torch.ones(BATCH, 2)),
        (lambda x: 0.5 + x[:, :2] / 100, binary, torch.ones(BATCH, 2)),
        (lambda x: x[:, 0], nn.MSELoss(), torch.randn(BATCH)),
        (lambda x: x[:, :1], nn.MSELoss(), torch.randn(BATCH, 1)),
    ],
)
def test_losses_that_are_given_what_they_take(
    activation: Any, function: Any, target: Tensor
) -> None:
    found = loss(Activated(activation), (features(), target), function)
    assert found.passed, found


def test_a_loss_inside_of_the_model_is_seen() -> None:
    class WithLoss(LastStep):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
            logits = super().forward(x)
            given = logits.softmax(-1)
            return {"loss": F.cross_entropy(given, labels), "logits": logits}  # type: ignore[arg-type]

    found = loss(WithLoss(), {"x": features(), "labels": labels()})
    assert found.failed and found.codes == ("RNN504",)
    assert f"{math.log(1 + 3 / math.e):.3f}" in found.explanation


class Tagger(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        logits: Tensor = self.head(pad_packed_sequence(self.rnn(packed)[0], True)[0])
        return logits


def flat(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def test_padding_in_the_loss() -> None:
    found = loss(Tagger(), (features(), LENGTHS, step_labels(0)), flat)
    assert found.failed and found.codes == ("RNN102",)
    assert found.measured == pytest.approx(1 - float(real().float().mean()), abs=0.1)
    assert loss(Tagger(), (features(), LENGTHS, step_labels()), flat).passed

    def masked(output: Tensor, target: Tensor) -> Tensor:
        return sequence_cross_entropy(output, target, LENGTHS)

    assert loss(Tagger(), (features(), LENGTHS, step_labels(0)), masked).passed


def test_a_loss_of_nothing() -> None:
    ignored = torch.full((BATCH,), -100)
    found = loss(LastStep(), (features(), ignored), cross_entropy)
    assert found.failed and found.measured is not None and math.isnan(found.measured)


def test_a_loss_that_raises_or_is_no_number() -> None:
    def wrong(output: Tensor, target: Tensor) -> Tensor:
        raise ZeroDivisionError("no targets")

    found = loss(LastStep(), (features(), labels()), wrong)
    assert found.status == "error" and found.explanation == "ZeroDivisionError: no targets"
    found = loss(LastStep(), (features(), labels()), nn.CrossEntropyLoss(reduction="none"))
    assert found.status == "error" and "one number" in found.explanation


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 1000))
def test_the_floor_is_the_loss_of_a_sure_and_right_answer(classes: int) -> None:
    sure = F.one_hot(torch.tensor([0]), classes).double()
    assert double_softmax_floor(classes) == pytest.approx(
        float(F.cross_entropy(sure, torch.tensor([0])))
    )


# --- overfit_one_batch ------------------------------------------------------------------


def test_a_batch_is_learnt_by_heart() -> None:
    found = overfit_one_batch(Dropping(), (features(), labels()), cross_entropy)
    assert found.passed and found.measured is not None and found.measured < 0.5
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.05)
    assert overfit_one_batch(LastStep(), (features(), labels()), smoothed).passed


@pytest.mark.parametrize("classes", [2, 4])
def test_a_batch_that_a_double_softmax_keeps_from_being_learnt(classes: int) -> None:
    model = Activated(lambda logits: logits[:, :classes].softmax(-1))
    found = overfit_one_batch(model, (features(), labels() % classes), cross_entropy)
    assert found.failed and found.codes == ("RNN504",)
    assert f"ln(1 + {classes - 1}/e)" in found.explanation


def test_outputs_that_cannot_take_the_values_of_targets() -> None:
    class Bounded(Layers):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.head(self.rnn(x)[0][:, -1]))

    target = 10 * torch.randn(BATCH, CLASSES)
    found = overfit_one_batch(Bounded(), (features(), target), nn.MSELoss())
    assert found.failed and "RNN508" in found.codes
    assert overfit_one_batch(Bounded(), (features(), target / 20), nn.MSELoss()).passed


def test_targets_that_are_broadcast() -> None:
    model = Activated(lambda logits: logits[:, :1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = overfit_one_batch(model, (features(), torch.arange(6) % 2 * 2.0 - 1), nn.MSELoss())
    assert found.failed


def test_carried_state_starts_anew_at_each_step() -> None:
    class Carrying(Layers):
        hidden: Any = None

        def forward(self, x: Tensor) -> Tensor:
            output, self.hidden = self.rnn(x, self.hidden)
            logits: Tensor = self.head(output[:, -1])
            return logits

    assert overfit_one_batch(Carrying(), (features(), labels()), cross_entropy).passed


def test_how_far_a_negative_loss_should_fall_is_not_known() -> None:
    found = overfit_one_batch(
        LastStep(), (features(), labels()), lambda output, target: output.mean() - 5
    )
    assert found.status == "not applicable"


def test_steps_are_counted() -> None:
    runs = 0

    class Counting(LastStep):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal runs
            runs += self.training
            return 0 * super().forward(x)

    assert overfit_one_batch(Counting(), (features(), labels()), cross_entropy, steps=3).failed
    assert runs == 6
    with pytest.raises(ValueError, match="at least 1"):
        overfit_one_batch(LastStep(), (features(), labels()), cross_entropy, steps=0)
