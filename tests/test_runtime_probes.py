"""All probes at once: batches of every form, the report, and that nothing is left behind."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime import probes
from rnnlint.runtime.probes import ProbeReport, ProbeResult, probe

BATCH, STEPS, SIZE, CLASSES, WORDS = 4, 7, 6, 3, 12
LENGTHS = torch.tensor([7, 3, 5, 7])
NAMES = [
    "batch_order",
    "padding",
    "causality",
    "determinism",
    "gradients",
    "inputs",
    "loss",
    "overfit_one_batch",
]

cross_entropy: Callable[[Tensor, Tensor], Tensor] = nn.CrossEntropyLoss()


def ids() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    real = torch.arange(STEPS) < LENGTHS.unsqueeze(1)
    return torch.randint(1, WORDS, (BATCH, STEPS), generator=generator) * real


def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 1])


class Classifier(nn.Module):
    """Sound, with a padded batch of ids and their lengths."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, SIZE, padding_idx=0)
        self.rnn = nn.GRU(SIZE, SIZE, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * SIZE), nn.Dropout(), nn.Linear(2 * SIZE, CLASSES)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(
            self.embedding(x), lengths, batch_first=True, enforce_sorted=False
        )
        _, hidden = self.rnn(packed)
        logits: Tensor = self.head(torch.cat([hidden[-2], hidden[-1]], 1))
        return logits


class Faulty(Classifier):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.head(self.rnn(self.embedding(x))[0][:, -1])
        return logits.softmax(-1)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    return ids(), LENGTHS, labels()


# --- forms of batches -------------------------------------------------------------------


class Named(NamedTuple):
    x: Tensor
    lengths: Tensor
    label: Tensor


class WithLoss(Classifier):
    def forward(self, x: Tensor, lengths: Tensor, labels: Tensor) -> Any:  # type: ignore[override]
        logits = super().forward(x, lengths)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


class OfPair(Classifier):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(*pair)


class TimeFirst(Classifier):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return super().forward(x.transpose(0, 1), lengths)


def first_two(model: nn.Module, batch: Any) -> Tensor:
    made: Tensor = model(batch[0], batch[2])
    return made


@pytest.mark.parametrize(
    ("model", "given_batch", "loss", "options"),
    [
        (Classifier(), batch(), cross_entropy, {}),
        (Classifier(), list(batch()), cross_entropy, {}),
        (Classifier(), Named(*batch()), cross_entropy, {}),
        (Classifier(), (ids(), LENGTHS.tolist(), labels()), cross_entropy, {}),
        (Classifier(), ((ids(), LENGTHS), labels()), cross_entropy, {}),
        (Classifier(), ({"x": ids(), "lengths": LENGTHS}, labels()), cross_entropy, {}),
        (OfPair(), ((ids(), LENGTHS), labels()), cross_entropy, {}),
        (Classifier(), {"x": ids(), "lengths": LENGTHS, "y": labels()}, cross_entropy, {}),
        (Classifier(), {"x": ids(), "lengths": LENGTHS, "kind": labels()}, cross_entropy,
         {"target": "kind"}),
        (Classifier(), (labels(), ids(), LENGTHS), cross_entropy, {"target": 0}),
        (Classifier(), (ids(), labels(), LENGTHS), cross_entropy, {"target": 1, "call": first_two}),
        (WithLoss(), {"x": ids(), "lengths": LENGTHS, "labels": labels()}, None, {}),
        (WithLoss(), batch(), None, {}),
        (TimeFirst(), (ids().T, LENGTHS, labels()), cross_entropy, {}),
        (torch.nn.DataParallel(Classifier()), batch(), cross_entropy, {}),
    ],
)  # fmt: skip
def test_batches_of_every_form(model: nn.Module, given_batch: Any, loss: Any, options: Any) -> None:
    report = probe(model, given_batch, loss, show=False, **options)
    assert [result.name for result in report] == NAMES
    assert not report.failures, report
    for name in ("batch_order", "padding", "determinism", "gradients", "inputs", "loss"):
        assert report[name].passed, report


def test_the_batch_axis_is_asked_for_where_nothing_tells() -> None:
    class Tagger(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    x = torch.randn(4, 6, 2)
    with pytest.raises(ValueError, match=r"input x, of the shape \(4, 6, 2\).*batch_first=True"):
        probe(Tagger(), (x, torch.zeros(4, 6)), show=False)
    square = torch.randn(4, 4, 2)
    with pytest.raises(ValueError, match="batch_first"):
        probes.batch_order(Tagger(), (square, torch.zeros(4)))
    assert probes.batch_order(Tagger(), (square, torch.zeros(4)), batch_first=True).passed
    assert probes.determinism(Tagger(), (x, torch.zeros(4, 6))).passed


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="is a function"):
        probe(first_two, batch(), cross_entropy)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no option 'batchfirst'"):
        probe(Classifier(), batch(), cross_entropy, batchfirst=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="run the model once"):
        probe(nn.Sequential(nn.LazyLinear(3)), (torch.randn(4, 3), labels()), cross_entropy)
    with pytest.raises(ValueError, match="lengths=: sequence 1 has the length 9"):
        probe(Classifier(), batch(), cross_entropy, lengths=[7, 9, 1, 1], show=False)


def test_a_model_that_raises() -> None:
    report = probe(Classifier(), (ids(), labels()), cross_entropy, show=False)
    assert {result.status for result in report} == {"error"}
    assert "missing 1 required positional argument" in report[0].explanation
    assert "pass call=" in report[0].explanation
    assert not report.passed and not report.failures
    assert str(report).endswith("8 could not be made, because the model or the loss raised.")
    assert repr(report) == "ProbeReport(8 error)"


def test_what_has_no_axes_of_batch_and_time() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, CLASSES))

        def forward(self, text: list[str]) -> Tensor:
            lengths = torch.tensor([[float(len(line))] for line in text])
            logits: Tensor = self.layer(lengths)
            return logits

    report = probe(Whole(), (["a", "bcd", "efghij", "klm"], labels()), cross_entropy, show=False)
    assert not report.failures
    assert report["batch_order"].status == "not applicable"
    assert report["gradients"].passed and report["loss"].passed


def test_a_list_of_sequences_that_were_not_padded() -> None:
    class Each(Classifier):
        def forward(self, x: list[Tensor]) -> Tensor:  # type: ignore[override]
            lengths = torch.tensor([part.size(0) for part in x])
            return super().forward(nn.utils.rnn.pad_sequence(x, batch_first=True), lengths)

    given_batch = ([ids()[n, :length] for n, length in enumerate(LENGTHS.tolist())], labels())
    report = probe(Each(), given_batch, cross_entropy, show=False)
    assert not report.failures
    assert report["batch_order"].passed and report["padding"].status == "not applicable"


# --- the report -------------------------------------------------------------------------


def test_the_report_of_a_sound_model(capsys: pytest.CaptureFixture[str]) -> None:
    report = probe(Classifier(), batch(), cross_entropy)
    printed = capsys.readouterr().out
    assert printed == f"{report}\n" and printed.endswith("\nNothing was found.\n")
    assert report.passed and len(report) == len(NAMES) == len(report[:])
    assert isinstance(report[2:4], ProbeReport) and report[-1] is report["overfit_one_batch"]
    with pytest.raises(KeyError, match="batch_order"):
        report["order"]


def test_the_report_of_a_faulty_model(capsys: pytest.CaptureFixture[str]) -> None:
    report = probe(Faulty(), batch(), cross_entropy, show=False)
    assert capsys.readouterr().out == ""
    assert {result.name for result in report.failures} >= {"padding", "inputs", "loss"}
    lines = str(report).splitlines()
    assert lines[0].split() == ["probe", "result", "measured", "must", "be", "rules"]
    ends = {line.index("  RNN") for line in lines[1 : len(NAMES) + 1] if "RNN" in line}
    assert len(ends) == 1
    assert max(map(len, lines)) <= 100
    assert "causality: no output has the axis of time of the input" in lines
    assert str(report).index("padding (relative change): ") < str(report).index(
        "causality: no output"
    )
    assert "rnnlint check --select RNN101," in " ".join(lines[-2:])


def test_a_result_in_one_line() -> None:
    result = ProbeResult("padding", "failed", 0.5, 1e-4, ("RNN101",), "it is felt", "change")
    assert str(result) == "padding: failed (change 0.5): it is felt"
    assert result.failed and not result.passed
    with pytest.raises(AttributeError):
        result.status = "passed"  # type: ignore[misc]


def test_single_probes_say_the_same_as_all() -> None:
    given_batch = batch()
    report = probe(Faulty(), given_batch, cross_entropy, show=False)
    for name in NAMES:
        assert getattr(probes, name)(Faulty(), given_batch, cross_entropy) == report[name]


# --- nothing is left behind -------------------------------------------------------------


class Stateful(Faulty):
    """Does to itself whatever a model can."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Any = torch.zeros(2, BATCH, SIZE)
        self.history: list[Any] = [1]
        self.recent: deque[int] = deque([1, 2])
        self.seen = {"count": 0, "steps": {3}}
        self.register_buffer("total", torch.zeros(2))
        self.total: Tensor
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def reset(self) -> None:
        self.hidden = None

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output, hidden = self.rnn(self.embedding(x))
        self.hidden.add_(1)
        self.hidden = hidden
        self.history.append(hidden)
        self.recent.popleft()
        self.seen["count"] = 5
        self.seen["steps"].add(x.size(1))  # type: ignore[attr-defined]
        self.total += 1
        self.scale.requires_grad_(True)
        self.made = output
        x.zero_()
        random.random(), torch.rand(1)
        logits: Tensor = self.head(output[:, -1]) * self.scale
        return logits


def everything(model: nn.Module) -> Iterator[Any]:
    """What a model is, in values and identities."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        yield name, id(tensor), tensor.requires_grad, tensor.detach().clone().tolist()
        yield None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist())
    for module in model.modules():
        yield module.training, sorted(vars(module)), len(module._forward_hooks)
        yield len(module._forward_pre_hooks)
    if isinstance(model, Stateful):
        yield id(model.hidden), model.hidden.tolist(), list(model.history), list(model.recent)
        yield model.seen["count"], sorted(model.seen["steps"])  # type: ignore[call-overload]


def surroundings() -> Any:
    cudnn = torch.backends.cudnn
    switches = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch.is_grad_enabled())
    return torch.get_rng_state().tolist(), random.getstate(), switches


class Raising(Stateful):
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        super().forward(x, lengths)
        torch.set_grad_enabled(False)
        raise RuntimeError("no")


class Interrupted(Stateful):
    """As by a user who has waited long enough."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        logits = super().forward(x, lengths)
        if self.training:
            raise KeyboardInterrupt
        return logits


@pytest.mark.parametrize("kind", [Classifier, Faulty, Stateful, Raising, Interrupted])
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind(kind: type[nn.Module], training: bool) -> None:
    model = kind().train(training)
    list(model.children())[-1].train(not training)
    model.embedding.weight.grad = torch.randn(WORDS, SIZE)  # type: ignore[union-attr]
    given_batch = batch()
    before, around = list(everything(model)), surroundings()
    if kind is Interrupted:
        with pytest.raises(KeyboardInterrupt):
            probe(model, given_batch, cross_entropy, show=False)
    else:
        report = probe(model, given_batch, cross_entropy, show=False)
        assert all(r.status == "error" for r in report) == (kind is Raising)
    assert list(everything(model)) == before
    assert surroundings() == around
    assert all(torch.equal(*pair) for pair in zip(given_batch, batch(), strict=True))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_mode_of_autograd_is_kept(mode: Any) -> None:
    model = Classifier()
    with mode():
        was = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        report = probe(model, batch(), cross_entropy, show=False)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == was
    assert not report.failures and report["gradients"].passed
    model(ids(), LENGTHS).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_models_of_every_precision(dtype: torch.dtype) -> None:
    class OfNumbers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn = nn.GRU(SIZE, SIZE, batch_first=True)
            self.head = nn.Linear(SIZE, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(self.rnn(x)[0][:, -1])
            return logits

    x = torch.randn(BATCH, STEPS, SIZE, generator=torch.Generator().manual_seed(5))
    report = probe(OfNumbers().to(dtype), (x.to(dtype), labels()), cross_entropy, show=False)
    assert report.passed and report["overfit_one_batch"].passed, report
    with torch.autocast("cpu", torch.bfloat16):
        model = OfNumbers()
        before = model(x)
        report = probe(model, (x, labels()), cross_entropy, show=False)
        assert report.passed and report["overfit_one_batch"].passed, report
        assert torch.equal(model(x), before)


def test_hooks_that_step_an_optimizer_do_not_run() -> None:
    model, steps = Classifier(), []
    for parameter in model.parameters():
        hooked: Any = parameter
        hooked.register_post_accumulate_grad_hook(lambda parameter: steps.append(parameter))
    probe(model, batch(), cross_entropy, show=False)
    assert not steps
    torch.autograd.backward(F.cross_entropy(model(ids(), LENGTHS), labels()))
    assert len(steps) == len(list(model.parameters()))


def test_what_cannot_be_copied_can_be_probed() -> None:
    class Unique(Classifier):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("there is one of it")

    assert not probe(Unique(), batch(), cross_entropy, show=False).failures


def test_modules_in_a_plain_list_are_restored_too() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = {"parts": [Classifier()]}

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            logits: Tensor = self.held["parts"][0](x, lengths)
            return logits

    model = Held()
    inner = model.held["parts"][0]
    before = list(everything(inner))
    report = probe(model, batch(), cross_entropy, show=False)
    assert list(everything(inner)) == before
    assert report["gradients"].status == "not applicable"


def test_compiled_models_are_probed_inside() -> None:
    class Compiled(nn.Module):
        """As torch.compile makes them, without the time it takes to import the compiler."""

        def __init__(self) -> None:
            super().__init__()
            self._orig_mod = Classifier()

        def forward(self, *args: Any) -> Any:
            raise AssertionError("every changed batch would be compiled anew")

    assert not probe(Compiled(), batch(), cross_entropy, show=False).failures


@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_whatever_is_returned_the_probes_end(data: st.DataObject) -> None:
    tensors = st.sampled_from([(), (BATCH,), (BATCH, STEPS), (STEPS, BATCH, 2), (3,), (0,)])
    shapes = data.draw(
        st.recursive(
            tensors, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
        )
    )

    class Returning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def build(self, shape: Any) -> Any:
            if isinstance(shape, tuple):
                return self.weight.expand(shape).clone()
            if isinstance(shape, dict):
                return {key: self.build(part) for key, part in shape.items()}
            return [self.build(part) for part in shape]

        def forward(self, x: Tensor) -> Any:
            return self.build(shapes)

    report = probe(Returning(), (torch.randn(BATCH, STEPS, 2), labels()), show=False)
    assert [result.name for result in report] == NAMES
    assert str(report)


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor | None = None


def test_outputs_in_dataclasses_are_read() -> None:
    class Returning(Faulty):
        def forward(self, x: Tensor, lengths: Tensor) -> Any:
            return Output(super().forward(x, lengths))

    def loss(output: Output, target: Tensor) -> Tensor:
        return F.cross_entropy(output.logits, target)

    found = probes.padding(Returning(), batch(), loss)
    assert found.failed and "output['logits']" in found.explanation


def test_a_tagger_over_packed_batches_of_every_order() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, SIZE, padding_idx=0)
            self.rnn = nn.LSTM(SIZE, SIZE)
            self.head = nn.Linear(SIZE, CLASSES)

        def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
            lengths, order = lengths.sort(descending=True)
            packed = pack_padded_sequence(self.embedding(x.T[:, order]), lengths)
            packed, state = self.rnn(packed)
            output, _ = pad_packed_sequence(packed, total_length=x.size(1))
            return self.head(output[:, order.argsort()]).transpose(0, 1), state

    target = torch.randint(CLASSES, (BATCH, STEPS)).masked_fill(ids() == 0, -100)
    report = probe(
        Tagger(),
        (ids(), LENGTHS, target),
        lambda output, target: F.cross_entropy(output[0].flatten(0, 1), target.flatten()),
        batch_first=True,
        show=False,
    )
    assert report.passed, report
    assert all(result.passed for result in report), report


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_nothing_is_left_behind_either() -> None:
    model = Classifier().cuda()
    before, random_state = list(everything(model)), torch.cuda.get_rng_state()
    report = probe(model, batch(), cross_entropy, show=False)
    assert not report.failures, report
    assert list(everything(model)) == before
    assert torch.equal(torch.cuda.get_rng_state(), random_state)
