"""Probes of the order of a batch, of padding, of the future and of chance: faulty models as people
write them, and sound ones that look alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from rnnlint.runtime.probes import batch_order, causality, determinism, padding
from rnnlint.runtime.sequences import last_valid, masked_mean, run_recurrent
from rnnlint.runtime.state import StatefulRNN

BATCH, STEPS, FEATURES, SIZE, CLASSES, WORDS = 5, 9, 3, 8, 4, 20
LENGTHS = torch.tensor([9, 4, 7, 5, 9])


def features() -> Tensor:
    return torch.randn(BATCH, STEPS, FEATURES, generator=torch.Generator().manual_seed(1))


def ids(pad: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    made = torch.randint(1, WORDS, (BATCH, STEPS), generator=generator)
    return made.masked_fill(~real(), 0) if pad else made


def real() -> Tensor:
    return torch.arange(STEPS) < LENGTHS.unsqueeze(1)


def labels() -> Tensor:
    return torch.randint(CLASSES, (BATCH,), generator=torch.Generator().manual_seed(2))


def step_labels() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    made = torch.randint(CLASSES, (BATCH, STEPS), generator=generator)
    return made.masked_fill(~real(), -100)


def step_loss(output: Any, target: Tensor) -> Tensor:
    logits = output[0] if isinstance(output, tuple) else output
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


cross_entropy: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()


class Layers(nn.Module):
    """The layers that the models below are made of."""

    def __init__(self, size: int = SIZE, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, FEATURES, padding_idx=0)
        self.rnn = nn.LSTM(FEATURES, SIZE, **{"batch_first": True, **options})
        self.head = nn.Linear(size, CLASSES)
        self.eval()


# --- batch_order ------------------------------------------------------------------------


class TimeForBatch(Layers):
    def __init__(self) -> None:
        super().__init__(batch_first=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0][:, -1])
        return logits


class AttentionOverBatch(nn.Module):
    """Without positions, permuting the batch permutes the output all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(FEATURES, 1)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.attention(x, x, x)[0].mean(1))
        return logits


class ViewedState(Layers):
    def __init__(self) -> None:
        super().__init__(2 * SIZE, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        _, (hidden, _) = self.rnn(x)
        logits: Tensor = self.head(hidden.view(x.size(0), -1))
        return logits


class SortedOnly(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        lengths, order = lengths.sort(descending=True)
        _, (hidden, _) = self.rnn(pack_padded_sequence(x[order], lengths, batch_first=True))
        logits: Tensor = self.head(hidden[-1])
        return logits


class SortedAndBack(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        lengths, order = lengths.sort(descending=True)
        _, (hidden, _) = self.rnn(pack_padded_sequence(x[order], lengths, batch_first=True))
        logits: Tensor = self.head(hidden[-1][order.argsort()])
        return logits


class SoftmaxOverBatch(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.head(self.rnn(x)[0]), dim=0)


class Packed(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        logits: Tensor = self.head(output)
        return logits


class SortedPacked(Layers):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        _, (hidden, _) = self.rnn(pack_padded_sequence(x, lengths, batch_first=True))
        logits: Tensor = self.head(hidden[-1])
        return logits


class LastStep(Layers):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0][:, -1])
        return logits


class Tagger(Layers):
    """Causal, over whatever padding there is; returns its state, which nobody reads."""

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        output, state = self.rnn(x)
        return self.head(output), state


class Flattened(Layers):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0])
        return logits.reshape(-1, CLASSES)


class FlattenedTimeFirst(Layers):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(x)[0])
        return logits.transpose(0, 1).reshape(-1, CLASSES)


class TimeFirst(Layers):
    def __init__(self) -> None:
        super().__init__(batch_first=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        output, (hidden, _) = self.rnn(x)
        return {"logits": self.head(output[-1]), "hidden": hidden}


class Convolution(nn.Module):
    """Takes features before time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(FEATURES, SIZE, 3, padding=1), nn.BatchNorm1d(SIZE), nn.ReLU()
        )
        self.head = nn.Linear(SIZE, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(x).mean(2))
        return logits


class Encoder(nn.Module):
    """A Transformer encoder with a mask, true where there is padding."""

    def __init__(self, masked: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.masked = masked
        self.embedding = nn.Embedding(WORDS, SIZE)
        layer = nn.TransformerEncoderLayer(SIZE, 2, 16, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(SIZE, CLASSES)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        given = mask if self.masked else None
        hidden = self.encoder(self.embedding(x), src_key_padding_mask=given)
        logits: Tensor = self.head(masked_mean(hidden, ~mask))
        return logits


class PackedThroughout(Layers):
    def forward(self, x: PackedSequence) -> PackedSequence:
        output: PackedSequence = self.rnn(x)[0]
        return output


class WithInitialState(Layers):
    def forward(self, x: Tensor, hx: tuple[Tensor, Tensor]) -> Tensor:
        logits: Tensor = self.head(self.rnn(x, hx)[0][:, -1])
        return logits


def mse_of_packed(output: PackedSequence, target: Tensor) -> Tensor:
    return output.data.square().mean() + 0 * target.sum()


@pytest.mark.parametrize(
    ("model", "batch", "codes"),
    [
        (TimeForBatch(), (features(), labels()), "RNN104"),
        (AttentionOverBatch(), (features(), labels()), "RNN104"),
        (ViewedState(), (features(), labels()), "RNN112"),
        (SortedOnly(), (features(), LENGTHS, labels()), "RNN105"),
        (SoftmaxOverBatch(), (features(), labels()), "RNN509"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_sequences_that_know_of_each_other(model: nn.Module, batch: Any, codes: str) -> None:
    found = batch_order(model, batch, cross_entropy if batch[0].ndim < 3 else None)
    assert found.failed and codes in found.codes
    assert found.measured is not None and found.tolerance is not None
    assert found.measured > 10 * found.tolerance


STATE = (torch.randn(1, BATCH, SIZE), torch.randn(1, BATCH, SIZE))

SOUND: list[tuple[nn.Module, Any, Any]] = [
    (Packed(), (features(), LENGTHS, step_labels()), step_loss),
    (SortedAndBack(), (features(), LENGTHS, labels()), cross_entropy),
    (LastStep(), (features(), labels()), cross_entropy),
    (Tagger(), (features(), LENGTHS, labels()), None),
    (Encoder(), (ids(), ~real(), labels()), cross_entropy),
    (Convolution(), (features().transpose(1, 2), labels()), cross_entropy),
    (TimeFirst(), (features().transpose(0, 1), labels()), None),
    (WithInitialState(), (features(), STATE, labels()), cross_entropy),
    (
        PackedThroughout(),
        (pack_sequence([features()[n, : 9 - n] for n in range(BATCH)]), labels()),
        mse_of_packed,
    ),
]


@pytest.mark.parametrize(
    ("model", "batch", "loss"), SOUND, ids=[type(sound[0]).__name__ for sound in SOUND]
)
def test_sequences_that_do_not_know_of_each_other(model: nn.Module, batch: Any, loss: Any) -> None:
    if isinstance(model, Tagger):
        batch = batch[::2]
    found = batch_order(model, batch, loss)
    assert found.passed, found


def test_flattened_outputs_meet_targets_that_are_flattened_otherwise() -> None:
    batch = (features(), step_labels())

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target.view(-1))

    assert batch_order(Flattened(), batch, loss, batch_first=True).passed
    found = batch_order(FlattenedTimeFirst(), batch, loss, batch_first=True)
    assert found.failed and found.quantity == "relative change of dLoss/dOutput"


def test_a_loss_of_pairs_is_not_asked() -> None:
    def pairs(output: Tensor, target: Tensor) -> Tensor:
        return (output[0::2] - output[1::2]).square().mean() * target.float().sum()

    batch = (features()[:4], labels()[:4])
    assert batch_order(LastStep(), batch, pairs).passed


def test_a_loss_that_knows_the_lengths_of_this_batch_is_not_asked() -> None:
    lengths = LENGTHS

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(last_valid(output[0], lengths), target)

    assert batch_order(Tagger(), (features(), labels()), loss).passed


def test_a_model_that_returns_its_loss_is_read_by_it() -> None:
    def step(model: nn.Module, batch: Any) -> Tensor:
        return cross_entropy(model(batch[0]), batch[1])

    batch = (features(), labels())
    assert batch_order(LastStep(), batch, call=step).passed
    assert batch_order(TimeForBatch(), batch, call=step).failed


def test_a_model_that_wants_its_batch_sorted_is_left_alone() -> None:
    lengths = LENGTHS.sort(descending=True).values
    found = batch_order(SortedPacked(), (features(), lengths, labels()), cross_entropy)
    assert found.status == "not applicable" and "order of length" in found.explanation


def test_one_sequence_has_no_order() -> None:
    found = batch_order(LastStep(), (features()[:1], labels()[:1]), cross_entropy)
    assert found.status == "not applicable"


@settings(deadline=None, max_examples=15)
@given(
    batch=st.integers(2, 6),
    steps=st.integers(2, 6),
    first=st.booleans(),
    right=st.booleans(),
    seed=st.integers(0, 99),
)
def test_batch_order_knows_which_axis_a_layer_takes_for_the_batch(
    batch: int, steps: int, first: bool, right: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = nn.GRU(FEATURES, SIZE, batch_first=first)
    x = torch.randn((batch, steps, FEATURES) if first == right else (steps, batch, FEATURES))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.layer(x)[0]
            return output

    found = batch_order(Model(), (x, torch.zeros(batch)), batch_first=first == right)
    assert found.passed == right, found


# --- padding ----------------------------------------------------------------------------


class Reading(Layers):
    """A classifier over ids that reads its layer out in some way."""

    def __init__(self, read: Callable[[Tensor, Tensor], Tensor], **options: Any) -> None:
        super().__init__(2 * SIZE if options else SIZE, **options)
        self.read_out = read

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).sum(1)
        logits: Tensor = self.head(self.read_out(self.rnn(self.embedding(x))[0], lengths))
        return logits


class Running(Layers):
    """A bidirectional layer, run as the companion does."""

    def __init__(self) -> None:
        super().__init__(2 * SIZE, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.head(
            last_valid(run_recurrent(self.rnn, x, lengths)[0], lengths, bidirectional=True)
        )
        return logits


class Attending(Layers):
    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.score = nn.Linear(SIZE, 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output, _ = self.rnn(x)
        scores = self.score(output).squeeze(-1)
        if self.masked:
            padding = torch.arange(x.size(1)) >= lengths.unsqueeze(1)
            scores = scores.masked_fill(padding, float("-inf"))
        logits: Tensor = self.head((scores.softmax(1).unsqueeze(-1) * output).sum(1))
        return logits


def padded_features() -> Tensor:
    return features() * real().unsqueeze(-1)


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (Reading(lambda output, _: output[:, -1]), (ids(), labels())),
        (Reading(lambda output, _: output.mean(1)), (ids(), labels())),
        (Reading(lambda output, _: output.max(1).values), (ids(), labels())),
        (Reading(lambda out, n: last_valid(out, n), bidirectional=True), (ids(), labels())),
        (Attending(masked=False), (padded_features(), LENGTHS, labels())),
        (LastStep(), (padded_features(), labels())),
        (Encoder(masked=False), (ids(), ~real(), labels())),
    ],
    ids=["last", "mean", "max", "bidirectional", "attention", "zeros", "encoder"],
)
def test_padding_that_is_felt(model: nn.Module, batch: Any) -> None:
    found = padding(model, batch, cross_entropy)
    assert found.failed and "RNN101" in found.codes, found
    assert found.measured is not None and found.measured > 1e-3


@pytest.mark.parametrize(
    ("model", "batch", "loss"),
    [
        (Reading(last_valid), (ids(), labels()), cross_entropy),
        (Reading(masked_mean), (ids(), labels()), cross_entropy),
        (Attending(masked=True), (padded_features(), LENGTHS, labels()), cross_entropy),
        (Running(), (padded_features(), LENGTHS, labels()), cross_entropy),
        (Running(), (padded_features(), LENGTHS / STEPS, labels()), cross_entropy),
        (Encoder(), (ids(), ~real(), labels()), cross_entropy),
        (Packed(), (padded_features(), LENGTHS.tolist(), step_labels()), step_loss),
        (SortedAndBack(), (padded_features(), LENGTHS, labels()), cross_entropy),
        (Tagger(), (padded_features(), step_labels()), step_loss),
    ],
    ids=["last", "mean", "attention", "run", "relative", "mask", "packed", "sorted", "tagger"],
)
def test_padding_that_is_not_felt(model: nn.Module, batch: Any, loss: Any) -> None:
    found = padding(model, batch, loss, batch_first=True)
    assert found.passed, found


def test_a_loss_that_reads_the_last_step_feels_padding() -> None:
    batch = (padded_features(), labels())

    def last(output: Any, target: Tensor) -> Tensor:
        return cross_entropy(output[0][:, -1], target)

    def valid(output: Any, target: Tensor) -> Tensor:
        return cross_entropy(last_valid(output[0], LENGTHS), target)

    assert padding(Tagger(), batch, last).failed
    assert padding(Tagger(), batch, valid).passed


def test_windows_of_one_length_have_no_padding() -> None:
    found = padding(LastStep(), (features(), labels()), cross_entropy)
    assert found.status == "not applicable" and "lengths=" in found.explanation
    bits = torch.tensor([[1.0, 0, 0], [0, 1, 1], [1, 1, 0]]).unsqueeze(-1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, CLASSES))
    assert padding(model, (bits, labels()[:3]), batch_first=True).status == "not applicable"


def test_what_is_real_can_be_told() -> None:
    batch = (features(), labels())
    assert padding(LastStep(), batch, cross_entropy, lengths=LENGTHS).failed
    assert padding(LastStep(), batch, cross_entropy, lengths=real()).failed
    constant = features().masked_fill(~real().unsqueeze(-1), 7.0)
    found = padding(Tagger(), (constant, labels()), lengths=LENGTHS, padding_value=-1.0)
    assert found.passed


def test_packing_what_is_padded_on_the_left() -> None:
    x = torch.stack(
        [features()[n].roll(STEPS - int(LENGTHS[n]), 0) for n in range(BATCH)]
    ) * real().flip(1).unsqueeze(-1)
    found = padding(SortedAndBack(), (x, LENGTHS, labels()), cross_entropy)
    assert found.failed and found.codes == ("RNN118",)
    # The last step is right there.
    assert padding(LastStep(), (x, labels()), cross_entropy).status == "not applicable"


def test_a_model_of_one_length_takes_no_padding() -> None:
    class Fixed(Layers):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ torch.ones(STEPS * FEATURES, CLASSES)

    found = padding(Fixed(), (padded_features(), labels()), cross_entropy)
    assert found.status == "not applicable" and "RuntimeError" in found.explanation


def test_masks_of_steps_against_steps_are_not_lengths() -> None:
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

        def forward(self, x: Tensor, src_mask: Tensor) -> Tensor:
            made: Tensor = self.layer(x, src_mask=src_mask)[:, -1]
            return made

    x = torch.randn(BATCH, STEPS, 4)
    mask = torch.ones(STEPS, STEPS, dtype=torch.bool).triu(1)
    batch = (x, mask, labels())
    assert batch_order(Causal(), batch, cross_entropy).passed
    assert padding(Causal(), batch, cross_entropy).status == "not applicable"
    found = padding(Causal(), batch, cross_entropy, lengths=LENGTHS)
    assert found.status == "not applicable" and "cannot be made longer" in found.explanation
    square = (x[:, :BATCH], mask[:BATCH, :BATCH], labels())
    found = padding(Causal(), square, cross_entropy, batch_first=True)
    assert found.status == "not applicable" and "nothing says" in found.explanation


# --- causality --------------------------------------------------------------------------


def next_step() -> tuple[Tensor, Tensor]:
    sequence = torch.randint(WORDS, (BATCH, STEPS + 1), generator=torch.Generator().manual_seed(4))
    return sequence[:, :-1], sequence[:, 1:]


class LanguageModel(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, SIZE)
        self.layer = layer
        self.head = nn.LazyLinear(WORDS)
        self(next_step()[0])

    def forward(self, x: Tensor) -> Tensor:
        made = self.layer(self.embedding(x))
        logits: Tensor = self.head(made[0] if isinstance(made, tuple) else made)
        return logits


class SelfAttention(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.layer = nn.TransformerEncoderLayer(SIZE, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1)) if self.causal else None
        made: Tensor = self.layer(x, src_mask=mask, is_causal=self.causal)
        return made


class Convolved(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.pad, self.layer = (before, after), nn.Conv1d(SIZE, SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layer(F.pad(x.transpose(1, 2), self.pad))
        return made.transpose(1, 2)


@pytest.mark.parametrize(
    ("layer", "sound"),
    [
        (nn.LSTM(SIZE, SIZE, batch_first=True, bidirectional=True), False),
        (SelfAttention(causal=False), False),
        (Convolved(1, 1), False),
        (nn.LSTM(SIZE, SIZE, batch_first=True), True),
        (SelfAttention(causal=True), True),
        (Convolved(2, 0), True),
    ],
)
def test_what_predicts_its_next_step_must_not_see_it(layer: nn.Module, sound: bool) -> None:
    found = causality(LanguageModel(layer), next_step(), step_loss, batch_first=True)
    assert found.passed == sound and found.failed != sound, found
    assert found.codes == ("RNN117",)


def test_a_forecast_of_numbers_is_seen_as_one() -> None:
    series = torch.randn(BATCH, STEPS + 1, 1)
    model = nn.Sequential(
        nn.Linear(1, SIZE), nn.GRU(SIZE, SIZE, batch_first=True, bidirectional=True)
    )

    class Forecast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.layers(x)[0]
            return made[..., -1:]

    batch = (series[:, :-1], series[:, 1:])
    assert causality(Forecast(), batch, nn.MSELoss(), batch_first=True).failed


def test_a_bidirectional_tagger_may_look_ahead() -> None:
    class Both(Layers):
        def __init__(self) -> None:
            super().__init__(2 * SIZE, bidirectional=True)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(self.rnn(x)[0])
            return logits

    batch = (features(), step_labels())
    found = causality(Both(), batch, step_loss, batch_first=True)
    assert found.status == "not applicable" and "causal=True" in found.explanation
    assert causality(Both(), batch, step_loss, batch_first=True, causal=True).failed
    found = causality(Both(), batch, step_loss, batch_first=True, causal=False)
    assert found.status == "not applicable"


def test_a_classifier_has_no_outputs_to_be_causal() -> None:
    found = causality(LastStep(), (features(), labels()), cross_entropy)
    assert found.status == "not applicable"


def test_packed_and_flattened_outputs_are_probed_too() -> None:
    packed = pack_sequence([features()[n, : 9 - n] for n in range(BATCH)])
    assert causality(PackedThroughout(), (packed, labels()), mse_of_packed, causal=True).passed
    backwards = PackedThroughout(bidirectional=True)
    assert causality(backwards, (packed, labels()), mse_of_packed, causal=True).failed
    flat = causality(
        FlattenedTimeFirst(), (features(), step_labels()), None, batch_first=True, causal=True
    )
    assert flat.passed


# --- determinism ------------------------------------------------------------------------


class DropoutAlwaysOn(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        dropped: Tensor = F.dropout(super().forward(x), 0.5)
        return dropped


class DropoutInTraining(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5, training=self.training)


class RandomState(Layers):
    def forward(self, x: Tensor) -> Tensor:
        state = (torch.randn(1, x.size(0), SIZE), torch.randn(1, x.size(0), SIZE))
        logits: Tensor = self.head(self.rnn(x, state)[0][:, -1])
        return logits


class CoinInPython(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * random.random()


class CoinInNumPy(LastStep):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * numpy.random.random()


class LeakingState(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.hidden: Any = None

    def forward(self, x: Tensor) -> Tensor:
        output, hidden = self.rnn(x, self.hidden)
        self.hidden = tuple(part.detach() for part in hidden)
        logits: Tensor = self.head(output[:, -1])
        return logits


class ResettableState(LeakingState):
    def reset_hidden(self) -> None:
        self.hidden = None


class Wrapped(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.stateful = StatefulRNN(nn.LSTM(FEATURES, SIZE, batch_first=True))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stateful(x)[0][:, -1])
        return logits


@pytest.mark.parametrize(
    "kind", [DropoutAlwaysOn, RandomState, CoinInPython, CoinInNumPy, LeakingState]
)
def test_evaluations_that_differ(kind: type[nn.Module]) -> None:
    before = str(numpy.random.get_state())
    found = determinism(kind(), (features(), labels()), cross_entropy)
    assert found.failed and "RNN603" in found.codes
    assert str(numpy.random.get_state()) == before


@pytest.mark.parametrize("kind", [LastStep, DropoutInTraining, ResettableState, Wrapped])
def test_evaluations_that_agree(kind: type[nn.Module]) -> None:
    found = determinism(kind().train(), (features(), labels()), cross_entropy)
    assert found.passed, found


def test_random_outputs_are_not_compared() -> None:
    batch = (features(), labels())
    for other in (batch_order, causality):
        found = other(DropoutAlwaysOn(), batch, cross_entropy)
        assert found.status == "not applicable" and "determinism" in found.explanation
    assert padding(DropoutAlwaysOn(), batch, lengths=LENGTHS).status == "not applicable"


@pytest.mark.parametrize("kind", [ResettableState, Wrapped])
def test_state_of_another_batch_is_not_permuted(kind: type[nn.Module]) -> None:
    model, batch = kind(), (features(), labels())
    assert batch_order(model, batch, cross_entropy).passed
    model(features())
    found = batch_order(model, batch, cross_entropy)
    assert found.status == "not applicable" and "reset" in found.explanation
