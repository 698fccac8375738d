"""A recurrent layer that is told the lengths, in place of one that is not."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.lengths import Lengths, PaddingSide
from rnnlint.runtime.sequences.running import Method, State, run_recurrent
from rnnlint.runtime.wrapping import RecurrentWrapper


class PackedRNN(RecurrentWrapper):
    """Wraps an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` and runs it without the padding.

    ``self.lstm = PackedRNN(nn.LSTM(...))`` takes ``self.lstm(padded, lengths=lengths)`` and
    gives what :func:`~rnnlint.runtime.sequences.run_recurrent` gives.  Without lengths it is
    the wrapped layer.  The keys of its state dict are those of the wrapped layer, so that
    checkpoints go either way, and attributes such as ``hidden_size`` are the layer's.

    Args:
        rnn: the layer.
        method: see :func:`~rnnlint.runtime.sequences.run_recurrent`.
        padding_side: where the padding stands; None means right, after a look.

    Raises:
        TypeError: ``rnn`` is no recurrent layer.
    """

    def __init__(
        self,
        rnn: nn.RNNBase,
        *,
        method: Method = "auto",
        padding_side: PaddingSide | None = None,
    ) -> None:
        super().__init__(rnn)
        self.method = method
        self.padding_side = padding_side

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002, as in nn.LSTM
        hx: State | None = None,
        *,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Runs the layer.

        Args:
            input: as for the wrapped layer.
            hx: the initial state, as for the wrapped layer.
            lengths: one a sequence, relative floats, or a mask ``(batch, time)``.

        Returns:
            The outputs and the final state, as the wrapped layer gives them for each sequence
            alone.

        Raises:
            ValueError: lengths are given for a packed sequence, which has its own, or do not
                fit the batch.
        """
        if lengths is None:
            result: tuple[Tensor | PackedSequence, State] = self.rnn(input, hx)
            return result
        if isinstance(input, PackedSequence):
            raise ValueError("a packed sequence has its lengths already: leave lengths out")
        output, state = run_recurrent(
            self.rnn,
            input,
            lengths,
            hx,
            method=self.method,
            padding_side=self.padding_side,
        )
        assert state is not None  # final_state is True
        return output, state

    def extra_repr(self) -> str:
        return f"method={self.method!r}"
