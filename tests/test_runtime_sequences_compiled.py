"""What torch.compile, torch.export and a GPU make of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn

from rnnlint.runtime.sequences import last_valid, masked_max, masked_mean, run_recurrent

Kind: TypeAlias = type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]

LENGTHS = torch.tensor([2, 6, 0])


class Reader(nn.Module):
    def __init__(self, kind: Kind, *, bidirectional: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bidirectional = bidirectional
        self.rnn = kind(3, 4, num_layers=2, batch_first=True, bidirectional=bidirectional)

    def forward(self, padded: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        output, state = run_recurrent(self.rnn, padded, lengths)
        assert state is not None
        final = state if isinstance(state, tuple) else (state,)
        summary = last_valid(output, lengths, bidirectional=self.bidirectional)
        return output, summary, masked_mean(output, lengths), masked_max(output, lengths), *final


@pytest.fixture
def compiler() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        # torch's own: deprecations inside of its tracer.
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.usefixtures("compiler")
def test_compiled_it_gives_the_same(kind: Kind, whole: bool) -> None:
    model = Reader(kind, bidirectional=True)
    compiled = torch.compile(model, backend="eager", fullgraph=whole)
    # Without allow_rnn, torch.compile leaves every frame alone that has an nn.RNNBase in it.
    with torch._dynamo.config.patch(allow_rnn=whole):
        for steps, lengths in ((6, LENGTHS), (9, torch.tensor([1, 9, 9]))):
            padded = torch.randn(3, steps, 3)
            torch.testing.assert_close(compiled(padded, lengths), model(padded, lengths))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.usefixtures("compiler")
def test_exported_it_takes_other_lengths_and_other_batches(kind: Kind) -> None:
    model = Reader(kind)
    free = {0: torch.export.Dim("batch", min=2)}
    exported = torch.export.export(
        model, (torch.randn(3, 6, 3), LENGTHS), dynamic_shapes=(free, free), strict=False
    ).module()
    for lengths in (LENGTHS, torch.tensor([6, 1, 3, 6])):
        padded = torch.randn(lengths.numel(), 6, 3)
        torch.testing.assert_close(exported(padded, lengths), model(padded, lengths))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_a_gpu_it_gives_the_same_with_lengths_anywhere(
    kind: Kind, bidirectional: bool, device: str
) -> None:
    model = Reader(kind, bidirectional=bidirectional).double()
    padded = torch.randn(3, 6, 3, dtype=torch.float64)
    expected = model(padded, LENGTHS)
    got = model.cuda()(padded.cuda(), LENGTHS.to(device))
    for one, other in zip(got, expected, strict=True):
        assert one.device.type == "cuda"
        torch.testing.assert_close(one.cpu(), other, rtol=0, atol=1e-10)
    for method in ("pack", "reverse"):
        output, _ = run_recurrent(model.rnn, padded.cuda(), LENGTHS, method=method)
        torch.testing.assert_close(output.cpu(), expected[0], rtol=0, atol=1e-10)
