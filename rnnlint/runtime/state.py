"""Hidden state that goes on from batch to batch, for truncated backpropagation through time.

A long sequence is cut into windows, and each window begins with the state in which the last one
ended.  That state must be detached: otherwise the second ``backward()`` goes back through the
first window, whose graph is gone, and PyTorch stops with "Trying to backward through the graph
a second time".  See https://github.com/pytorch/examples/tree/main/word_language_model.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnlint.runtime.lengths import Lengths
from rnnlint.runtime.sequences.running import State, run_recurrent
from rnnlint.runtime.wrapping import RecurrentWrapper

Nested = TypeVar("Nested")


def detach_state(state: Nested) -> Nested:
    """The same state without the graph that it came from.

    Args:
        state: a tensor; or tuples, named tuples, lists, dictionaries and dataclasses of tensors,
            however nested, a packed sequence among them.  None, numbers and text are passed
            through.

    Returns:
        A new structure of the same types.  Its tensors share their memory with those given.

    Raises:
        TypeError: something in the structure is none of these, and might hold on to a graph.
    """
    detached: Nested = _detached(state, "the state")
    return detached


def _detached(value: Any, where: str) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        parts = [_detached(part, f"{where}[{number}]") for number, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, MutableMapping):
        mapping = copy.copy(value)
        for key, part in value.items():
            mapping[key] = _detached(part, f"{where}[{key!r}]")
        return mapping
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = copy.copy(value)
        for field in dataclasses.fields(value):
            part = _detached(getattr(value, field.name), f"{where}.{field.name}")
            object.__setattr__(fields, field.name, part)  # frozen ones too
        return fields
    raise TypeError(
        f"{where} is of type {type(value).__name__}: a state is made of tensors, tuples, lists, "
        "dictionaries and dataclasses, and only those can be detached"
    )


class StatefulRNN(RecurrentWrapper):
    """Wraps an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` and carries its state from call to call.

    Each row of the batch is a stream: row 3 of a batch goes on where row 3 of the batch before
    ended.  The state is carried without its graph, so gradients end at the call boundary::

        rnn = StatefulRNN(nn.LSTM(64, 128, batch_first=True))
        for window, target, begins in windows:      # begins: (batch,), true where a stream does
            output, _ = rnn(window, reset=begins)
            loss(output, target).backward()

    Call :meth:`reset` at the beginning of an epoch, and evaluate inside :meth:`fresh_state`.

    The state follows the input to its device and dtype.  It is not part of the state dict, whose
    keys are those of the wrapped layer, so that checkpoints go either way; attributes such as
    ``hidden_size`` are the layer's.  A second call with the same window advances the state once
    more: do not put the layer under activation checkpointing, which calls it again.

    Args:
        rnn: the layer.

    Raises:
        TypeError: ``rnn`` is no recurrent layer.
    """

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__(rnn)
        self._state: State | None = None

    @property
    def state(self) -> State | None:
        """The state in which the next call begins, as the layer takes it; None for zeros."""
        return self._state

    @state.setter
    def state(self, state: State | None) -> None:
        self._state = detach_state(state)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002, as in nn.LSTM
        *,
        reset: Tensor | Sequence[bool] | bool | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Runs the layer from where each stream ended.

        Args:
            input: as for the wrapped layer: ``(batch, time, features)`` or
                ``(time, batch, features)`` by its ``batch_first``, one stream
                ``(time, features)``, or a packed sequence.
            reset: shape ``(batch,)``, true for the streams that begin anew with this input; or
                True for all, which also allows another number of them.
            lengths: where streams end within this window: one a stream, relative floats, or a
                mask ``(batch, time)``.  A stream stops at its last real step, and one of length
                zero stays where it is.

        Returns:
            The outputs, and the state in which the streams ended, with its graph.

        Raises:
            ValueError: the number of streams has changed, or ``reset`` or ``lengths`` do not fit.
        """
        if getattr(self, "_is_replica", False):
            raise RuntimeError(
                "nn.DataParallel runs on copies of the model and throws them away, and the state "
                "with them: use DistributedDataParallel"
            )
        state = self._begin(input, reset)
        if lengths is None:
            output, final = self.rnn(input, state)
        elif isinstance(input, PackedSequence):
            raise ValueError("a packed sequence has its lengths already: leave lengths out")
        else:
            output, final = run_recurrent(self.rnn, input, lengths, state)
        self._state = detach_state(final)
        return output, final

    def reset(self, streams: Tensor | Sequence[bool] | None = None) -> None:
        """Lets streams begin anew with the next call.

        Args:
            streams: shape ``(batch,)``, true for those that do; all of them where it is left
                out, and then their number may change.

        Raises:
            ValueError: there are more or fewer than streams, or they are not booleans.
        """
        if streams is None:
            self._state = None
        elif self._state is not None:
            self._state = _restarted(self._state, streams, _count(self._state))

    @contextmanager
    def fresh_state(self) -> Iterator[None]:
        """Sets the state aside, for evaluation in the midst of training, and brings it back.

        Inside, streams begin anew, and there may be another number of them.
        """
        kept, self._state = self._state, None
        try:
            yield
        finally:
            self._state = kept

    def _begin(
        self,
        input: Tensor | PackedSequence,  # noqa: A002, as in nn.LSTM
        reset: Tensor | Sequence[bool] | bool | None,
    ) -> State | None:
        streams = _streams(input, self.rnn.batch_first)
        state = None if reset is True else self._state
        if state is not None:
            _check_streams(_count(state), streams)
            like = input.data if isinstance(input, PackedSequence) else input
            state = _map_state(lambda part: _following(part, like), state)
        if reset is None or isinstance(reset, bool):
            return state
        return _restarted(state, reset, streams)


def _streams(input: Tensor | PackedSequence, batch_first: bool) -> int | None:  # noqa: A002
    """How many streams an input has; None for one without an axis for them."""
    if isinstance(input, PackedSequence):
        return int(input.batch_sizes[0])  # always on the CPU
    if input.ndim == 2:
        return None
    return input.size(0 if batch_first else 1)


def _count(state: State) -> int | None:
    """How many streams a state has; None for one without an axis for them."""
    hidden = state[0] if isinstance(state, tuple) else state
    return hidden.size(1) if hidden.ndim == 3 else None


def _check_streams(carried: int | None, given: int | None) -> None:
    if carried == given:
        return
    raise ValueError(
        f"the state of {_told(carried)} is carried, and this batch has {_told(given)}.  Call "
        "reset() at the beginning of an epoch; train with drop_last=True, so that the last batch "
        "is as large as the others; evaluate inside fresh_state()"
    )


def _told(streams: int | None) -> str:
    if streams is None:
        return "one stream without an axis of batch"
    return f"{streams} stream{'s' if streams != 1 else ''}"


def _mask(streams: Tensor | Sequence[bool], count: int | None) -> Tensor:
    mask = torch.as_tensor(streams)
    wanted = 1 if count is None else count
    if mask.dtype != torch.bool or tuple(mask.shape) != (wanted,):
        raise ValueError(
            f"which streams begin anew is told by {wanted} booleans, one a stream; these are "
            f"{mask.dtype} of the shape {tuple(mask.shape)}"
        )
    return mask


def _restarted(
    state: State | None, streams: Tensor | Sequence[bool], count: int | None
) -> State | None:
    mask = _mask(streams, count).unsqueeze(-1)
    if state is None:
        return None

    def restart(part: Tensor) -> Tensor:
        return part.masked_fill(mask.to(part.device, non_blocking=True), 0)

    return _map_state(restart, state)


def _following(part: Tensor, like: Tensor) -> Tensor:
    """On the device and in the dtype of the input, which autocast and ``model.to`` change."""
    part = part.to(like)
    if part.is_inference() and not torch.is_inference_mode_enabled():
        return part.clone()  # autograd refuses what was made in inference mode
    return part


def _map_state(change: Callable[[Tensor], Tensor], state: State) -> State:
    if isinstance(state, tuple):
        return change(state[0]), change(state[1])
    return change(state)
