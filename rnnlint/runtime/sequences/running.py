"""A recurrent layer over sequences of different length, as if each were alone.

PyTorch's own way is a packed sequence: exact, and slow on a CPU, because the backward pass of
every step allocates a gradient for all of them
(https://github.com/pytorch/pytorch/issues/149194).  Running over the padding is exact as well,
if it is done with care:

- A step reads only what came before it, so the padding behind a sequence cannot reach its
  outputs.  The last state of a sequence is its last real output.
- The backward direction meets the padding first.  It runs over each sequence turned round by
  itself, which puts the padding last again.
- The cell state of an LSTM is no output.  One more input, 1 on padding, with weights that close
  the input gate and open the forget gate entirely, carries it through the padding unchanged.
- Where the padding is long, nothing runs over it: :mod:`rnnlint.runtime.sequences.staircase`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlint.runtime.lengths import (
    Lengths,
    PaddingSide,
    is_traced,
    real_steps,
    resolve_lengths,
)
from rnnlint.runtime.sequences.places import rolled, take_steps
from rnnlint.runtime.sequences.staircase import Staircase

State: TypeAlias = Tensor | tuple[Tensor, Tensor]
Method: TypeAlias = Literal["auto", "pack", "causal", "reverse"]

# sigmoid(-1e4) is 0 and sigmoid(1e4) is 1 in every floating dtype, and half precision holds 1e4.
_SATURATED = 1e4


def run_recurrent(
    rnn: nn.RNNBase,
    padded: Tensor,
    lengths: Lengths,
    state: State | None = None,
    *,
    method: Method = "auto",
    final_state: bool = True,
    padding_side: PaddingSide | None = None,
) -> tuple[Tensor, State | None]:
    """Runs an LSTM, GRU or RNN over a padded batch, as if each sequence were alone.

    What the padding holds, even NaN, changes neither results nor gradients.  The order of the
    batch is free.  A sequence of length zero has outputs of zero and keeps its initial state.

    ``torch.export`` takes it with ``strict=False``, for any lengths and any batch size; the
    padded length is fixed, as PyTorch's layers fix it.  ``torch.compile`` leaves it to Python as
    it leaves every recurrent layer, and compiles it whole with
    ``torch._dynamo.config.allow_rnn``.  Neither can pack.  While they trace, the numbers in
    ``lengths`` are not checked.

    Args:
        rnn: ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, with any number of layers, directions and
            ``proj_size``.  Its ``batch_first`` says how ``padded`` is laid out.
        padded: shape ``(batch, time, features)``, or ``(time, batch, features)`` where the layer
            is not ``batch_first``.
        lengths: one a sequence, in steps, on any device; or floats relative to the padded length;
            or a mask of shape ``(batch, time)``.  Lengths on an accelerator are waited for once.
        state: the initial state, as the layer takes it; zeros where it is left out.
        method: how the padding is kept out; the results are the same.

            - ``"pack"``: PyTorch's packed sequences.  Always possible, slow on a CPU.
            - ``"causal"``: over the padding.  Layers of one direction only.
            - ``"reverse"``: over the padding, the backward direction on sequences turned round.
            - ``"auto"``: the fastest that gives what was asked.

            ``"causal"`` and ``"reverse"`` read the weights of the layer and do not call it, where
            they need the state inside of it.  A layer with hooks or a ``forward`` of its own can
            then only be packed, and ``"auto"`` does so.
        final_state: whether the final state is wanted.
        padding_side: where the padding stands.  None means right, after a look at whether the
            data contradict it: right is then taken only if the first steps of the short
            sequences do not repeat while their last ones differ.

    Returns:
        ``(output, state)``.  The output has the shape that the layer gives, the full padded
        length and zeros on the padding.  The state is that after the last real step of each
        sequence, as the layer gives it, in the order of the batch; or None.

    Raises:
        TypeError: ``rnn`` is no recurrent layer.
        ValueError: the shapes, the lengths or the side of the padding contradict each other, or
            the method cannot do what was asked.
        RuntimeError: the layer does not take this input or state.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html
    """
    if not isinstance(rnn, nn.RNNBase):
        raise TypeError(f"rnn is an nn.LSTM, nn.GRU or nn.RNN, not {type(rnn).__name__}")
    if padded.ndim != 3:
        layout = "(batch, time, features)" if rnn.batch_first else "(time, batch, features)"
        raise ValueError(f"padded has the shape {layout}, not {tuple(padded.shape)}")
    steps = padded.size(_time_axis(rnn))
    whole = resolve_lengths(
        lengths,
        batch=padded.size(1 - _time_axis(rnn)),
        steps=steps,
        padding_side=padding_side or "right",
    )
    initial = _initial_state(rnn, padded, state)
    if not is_traced():
        # The base class is annotated for one tensor, and an LSTM takes two.
        rnn.check_forward_args(padded, cast("Tensor", initial), None)
    batch = _Batch(padded, whole, _time_axis(rnn))
    chosen = _choose_method(rnn, batch, method, final_state)
    if padding_side is None and batch.contradicts_right_padding():
        raise ValueError(
            "these sequences look padded on the left: their first steps repeat and their last "
            'ones do not.  Pass padding_side="left"; or "right" if they only look so'
        )
    turned = batch.rolled() if padding_side == "left" else batch
    run = _run_packed if chosen == "pack" else _run_over_padding
    output, final = run(rnn, turned.cut(), initial, final_state)
    if output.size(batch.time_axis) < steps:
        output = _lengthen(output, steps, batch.time_axis)
    if padding_side == "left":
        output = batch.rolled_back(output)
    return output, final


@dataclass(frozen=True)
class _Batch:
    """A padded batch with its lengths, which stand on the CPU."""

    padded: Tensor
    lengths: Tensor
    time_axis: int

    @property
    def steps(self) -> int:
        return self.padded.size(self.time_axis)

    @property
    def is_full(self) -> bool:
        """No padding at all, as far as may be known."""
        return not is_traced() and bool((self.lengths == self.steps).all())

    @property
    def is_empty(self) -> bool:
        """Not one real step."""
        if is_traced():
            return not self.padded.numel()
        return not bool((self.lengths > 0).any())

    def by_batch(self, values: Tensor) -> Tensor:
        """``(batch, time, ...)``, whatever the layout."""
        return values if self.time_axis == 1 else values.transpose(0, 1)

    def padding(self) -> Tensor:
        """True on padding, shaped to stand beside the features."""
        mask = ~real_steps(self.lengths, self.steps).to(self.padded.device)
        return self.by_batch(mask).unsqueeze(2)

    def cut(self) -> _Batch:
        """Without the steps that are padding in every sequence; one step is left."""
        if is_traced():
            return self
        longest = max(int(self.lengths.max()), 1) if self.lengths.numel() else 1
        if longest >= self.steps:
            return self
        return replace(self, padded=self.padded.narrow(self.time_axis, 0, longest))

    def contradicts_right_padding(self) -> bool:
        """Whether sequences with two steps of padding or more have it in front.

        Padding repeats, and real steps hardly ever do in all features.
        """
        short = (self.lengths <= self.steps - 2) & (self.lengths > 0)
        if is_traced() or not bool(short.any()):
            return False
        rows = self.by_batch(self.padded.detach())[short.to(self.padded.device)]
        first_repeats = (rows[:, 0] == rows[:, 1]).all(1)
        last_repeats = (rows[:, -1] == rows[:, -2]).all(1)
        left, right = first_repeats & ~last_repeats, last_repeats & ~first_repeats
        return bool(left.any() & ~right.any())

    def rolled(self) -> _Batch:
        """The padding moved from the left to the right."""
        places = rolled(self.lengths, self.steps, 1)
        return replace(self, padded=take_steps(self.padded, places, self.time_axis))

    def rolled_back(self, output: Tensor) -> Tensor:
        """The padding of an output moved from the right to the left."""
        places = rolled(self.lengths, self.steps, -1)
        return take_steps(output, places, self.time_axis)


def _time_axis(rnn: nn.RNNBase) -> int:
    return 1 if rnn.batch_first else 0


def _initial_state(rnn: nn.RNNBase, padded: Tensor, state: State | None) -> State:
    if state is not None:
        return state
    rows = rnn.num_layers * (2 if rnn.bidirectional else 1)
    count = padded.size(1 - _time_axis(rnn))
    # As the layer does: in the dtype of the input, which autocast may yet change.
    hidden = padded.new_zeros(rows, count, rnn.proj_size or rnn.hidden_size)
    if not isinstance(rnn, nn.LSTM):
        return hidden
    return hidden, padded.new_zeros(rows, count, rnn.hidden_size)


# --- the choice -------------------------------------------------------------------------


def _choose_method(rnn: nn.RNNBase, batch: _Batch, method: Method, final_state: bool) -> Method:
    if method not in ("auto", "pack", "causal", "reverse"):
        raise ValueError(f'method is "auto", "pack", "causal" or "reverse", not {method!r}')
    if method == "auto":
        return _fastest(rnn, batch, final_state)
    if method == "causal" and rnn.bidirectional:
        raise ValueError(
            'method="causal" is for one direction, and this layer has two: the backward one would '
            'begin in the padding.  Use "reverse", "pack" or "auto"'
        )
    if method != "pack" and not (_is_plain(rnn) or _outputs_suffice(rnn, final_state)):
        raise ValueError(
            f"method={method!r} reads the weights of the layer without calling it, and "
            'this layer has hooks or a forward of its own.  Use "pack" or "auto"'
        )
    return method


def _fastest(rnn: nn.RNNBase, batch: _Batch, final_state: bool) -> Method:
    if _outputs_suffice(rnn, final_state):
        return "causal"
    if not _weights_may_be_read(rnn, batch):
        return "pack"
    return "reverse" if rnn.bidirectional else "causal"


def _outputs_suffice(rnn: nn.RNNBase, final_state: bool) -> bool:
    """Whether one call of the layer over the padding gives all that is wanted."""
    # The state of a ReLU layer can grow beyond all bounds in the padding, and 0 times infinity
    # is no gradient of zero.
    return not rnn.bidirectional and not final_state and rnn.mode != "RNN_RELU"


def _weights_may_be_read(rnn: nn.RNNBase, batch: _Batch) -> bool:
    """Whether reading the weights of the layer is as good as calling it, and as fast."""
    # cuDNN has kernels for packed sequences, and wants all weights in one piece.
    return batch.padded.device.type == "cpu" and _is_plain(rnn)


def _is_plain(rnn: nn.RNNBase) -> bool:
    """Whether the weights say all that calling the layer does."""
    hooks = (
        rnn._forward_hooks,
        rnn._forward_pre_hooks,
        rnn._backward_hooks,
        rnn._backward_pre_hooks,
    )
    plain = (nn.LSTM.forward, nn.GRU.forward, nn.RNN.forward)
    return type(rnn).forward in plain and not any(hooks)


# --- the ways ---------------------------------------------------------------------------


def _run_packed(
    rnn: nn.RNNBase, batch: _Batch, initial: State, final_state: bool
) -> tuple[Tensor, State | None]:
    padded, lengths = batch.padded, batch.lengths
    if batch.is_full and padded.numel():
        output, final = rnn(padded, initial)
        return output, final if final_state else None
    if batch.is_empty:
        return _nothing_to_read(rnn, batch, initial, final_state)
    empty = lengths == 0
    if bool(empty.any()):
        # A packed sequence has one step at least.  What it reads there must stay without effect.
        padded = padded.masked_fill(batch.padding(), 0)
    packed = pack_padded_sequence(
        padded, lengths.clamp(min=1), batch_first=rnn.batch_first, enforce_sorted=False
    )
    packed_output, final = rnn(packed, initial)
    output, _ = pad_packed_sequence(
        packed_output, batch_first=rnn.batch_first, total_length=batch.steps
    )
    if bool(empty.any()):
        output = output.masked_fill(batch.padding(), 0)
        final = _keep_initial(final, initial, empty.to(padded.device))
    return output, final if final_state else None


def _nothing_to_read(
    rnn: nn.RNNBase, batch: _Batch, initial: State, final_state: bool
) -> tuple[Tensor, State | None]:
    """Not one real step in the batch."""
    size = (rnn.proj_size or rnn.hidden_size) * (2 if rnn.bidirectional else 1)
    output = batch.padded.new_zeros(*batch.padded.shape[:2], size)
    return output, initial if final_state else None


def _run_over_padding(
    rnn: nn.RNNBase, batch: _Batch, initial: State, final_state: bool
) -> tuple[Tensor, State | None]:
    if batch.is_empty:
        return _nothing_to_read(rnn, batch, initial, final_state)
    if batch.is_full:
        output, final = rnn(batch.padded, initial)
        return output, final if final_state else None
    if _outputs_suffice(rnn, final_state) and not _weights_may_be_read(rnn, batch):
        padding = batch.padding()
        # NaN in the padding would reach the gradients of the weights, as 0 times NaN.
        output, _ = rnn(batch.padded.masked_fill(padding, 0), initial)
        return output.masked_fill(padding, 0), None
    return _Stack(rnn, batch, initial, final_state).run()


class _Stack:
    """The layers and directions of a recurrent layer, one at a time, over a staircase."""

    def __init__(self, rnn: nn.RNNBase, batch: _Batch, initial: State, final_state: bool) -> None:
        self.rnn = rnn
        self.batch = batch
        self.final_state = final_state
        self.directions = 2 if rnn.bidirectional else 1
        self.stairs = Staircase(batch.lengths, batch.steps if is_traced() else None)
        order = self._there(self.stairs.order)
        sorted_state = [part.index_select(1, order) for part in _parts(initial)]
        self.hidden = sorted_state[0]
        self.cell = sorted_state[1] if len(sorted_state) == 2 else None
        self.padding = self._there(self.stairs.padding).unsqueeze(1)
        self.last = self._there(self.stairs.last)
        self.has_steps = self._there(self.stairs.lengths > 0).unsqueeze(1)
        self.turned_round = self._there(self.stairs.turned_round) if rnn.bidirectional else None

    def run(self) -> tuple[Tensor, State | None]:
        padded, axis = self.batch.padded, self.batch.time_axis
        taken = self._there(self.stairs.taken_from(self.batch.steps, axis))
        # NaN in the padding would reach the gradients of the weights, as 0 times NaN.
        data = padded.flatten(0, 1).index_select(0, taken).masked_fill(self.padding, 0)
        finals: list[tuple[Tensor, ...]] = []
        for layer in range(self.rnn.num_layers):
            if layer and self.rnn.dropout:
                data = dropout(data, self.rnn.dropout, self.rnn.training)
            forward, final = self._run_direction(data, layer, 0)
            finals.append(final)
            if self.turned_round is not None:
                turned = data.index_select(0, self.turned_round)
                backward, final = self._run_direction(turned, layer, 1)
                finals.append(final)
                data = torch.cat([forward, backward.index_select(0, self.turned_round)], 1)
            else:
                data = forward
        back = self._there(self.stairs.put_back(self.batch.steps, axis))
        output = data.index_select(0, back).view(*padded.shape[:2], data.size(1))
        return output.masked_fill(self.batch.padding(), 0), self._in_order(finals)

    def _run_direction(
        self, data: Tensor, layer: int, direction: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs, and the final state of the sorted sequences, ``(batch, size)`` each."""
        weights = _weights(self.rnn, layer, direction)
        column = _padding_weights(self.rnn, weights[0], self.final_state)
        if column is not None:
            data = torch.cat([data, self.padding.to(data.dtype)], 1)
            weights[0] = torch.cat([weights[0], column], 1)
        number = layer * self.directions + direction
        hidden = initial = self.hidden[number : number + 1]
        cell = None if self.cell is None else self.cell[number : number + 1]
        outputs, ended = [], []
        for block in self.stairs.blocks:
            if cell is not None:
                # Those that ended in the block before.
                ended.append(cell[:, block.rows :])
                cell = cell[:, : block.rows]
            values = data[block.offset : block.offset + block.size]
            values = values.view(block.end - block.start, block.rows, data.size(1))
            output, hidden, cell = _call(self.rnn, weights, values, hidden[:, : block.rows], cell)
            outputs.append(output.flatten(0, 1))
        result = torch.cat(outputs)
        if not self.final_state:
            return result, ()
        last = result.index_select(0, self.last)
        final = torch.where(self.has_steps, last, initial[0])
        if cell is None:
            return result, (final,)
        return result, (final, torch.cat([cell, *reversed(ended)], 1)[0])

    def _in_order(self, finals: list[tuple[Tensor, ...]]) -> State | None:
        """The final states of all layers and directions, in the order of the batch."""
        if not self.final_state:
            return None
        rank = self._there(self.stairs.rank)
        parts = [torch.stack(part).index_select(1, rank) for part in zip(*finals, strict=True)]
        return _state(parts)

    def _there(self, index: Tensor) -> Tensor:
        return index.to(self.batch.padded.device, non_blocking=True)


def _parts(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _state(parts: list[Tensor]) -> State:
    return (parts[0], parts[1]) if len(parts) == 2 else parts[0]


def _weights(rnn: nn.RNNBase, layer: int, direction: int) -> list[Tensor]:
    names = ["weight_ih", "weight_hh"]
    if rnn.bias:
        names += ["bias_ih", "bias_hh"]
    if rnn.proj_size:
        names.append("weight_hr")
    suffix = f"_l{layer}_reverse" if direction else f"_l{layer}"
    return [getattr(rnn, name + suffix) for name in names]


def _call(
    rnn: nn.RNNBase, weights: list[Tensor], values: Tensor, hidden: Tensor, cell: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One layer and direction over ``(time, batch, features)``."""
    options = (weights, rnn.bias, 1, 0.0, rnn.training, False, False)
    if cell is not None:
        output, final, final_cell = torch.lstm(values, (hidden, cell), *options)
        # While PyTorch 2.4 traces, it gives the state one axis too many.
        return output, final, final_cell.view_as(cell)
    output, final = _WITHOUT_CELL[rnn.mode](values, hidden, *options)
    return output, final, None


_WITHOUT_CELL: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


def _padding_weights(rnn: nn.RNNBase, weight_ih: Tensor, final_state: bool) -> Tensor | None:
    """Weights of an input that is 1 on padding, or None where none is needed."""
    if rnn.mode == "RNN_RELU":
        return weight_ih.new_full((weight_ih.size(0), 1), -_SATURATED)  # every unit off
    if rnn.mode != "LSTM" or not final_state:
        return None
    column = weight_ih.new_zeros(weight_ih.size(0), 1)
    size = rnn.hidden_size
    column[:size] = -_SATURATED  # nothing enters the cell
    column[size : 2 * size] = _SATURATED  # and nothing is forgotten
    return column


def _keep_initial(final: State, initial: State, empty: Tensor) -> State:
    """The initial state, where a sequence had not one step."""
    pairs = zip(_parts(initial), _parts(final), strict=True)
    return _state([torch.where(empty.unsqueeze(1), before, after) for before, after in pairs])


def _lengthen(output: Tensor, steps: int, time_axis: int) -> Tensor:
    missing = steps - output.size(time_axis)
    after = (0, 0, 0, missing) if time_axis == 1 else (0, 0, 0, 0, 0, missing)
    return pad(output, after)
