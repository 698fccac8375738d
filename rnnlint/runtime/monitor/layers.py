"""What the hooks of one recurrent layer see in the steps that are sampled."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.monitor import padding
from rnnlint.runtime.monitor.gates import saturation
from rnnlint.runtime.monitor.padding import Extent

Recurrent: TypeAlias = nn.RNNBase | nn.RNNCellBase

_ROWS = 8
_BINS = 32
_FEWEST_STEPS = 3
_CALLS = 512
"""How many calls of a cell within one step are looked at; an accident in a loop has no end."""


@dataclass
class _Call:
    """One call of the layer in a sampled step; the numbers stay on their device."""

    steps: int = 0
    batch: int = 0
    batch_first: bool = False
    packed: Tensor | None = None
    """The batch sizes of a packed sequence, in whose order the gradient is."""
    extent: Extent | None = None
    start: Tensor | None = None
    end: Tensor | None = None
    gates: dict[str, Tensor] = field(default_factory=dict)
    zero: Tensor | None = None
    gradient: Tensor | None = None
    """The norm of the gradient with respect to the input, without the axis of features."""


class Unwatched:
    """Stands for what watches a layer in a copy of that layer, and in a file: nobody does."""

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        return Unwatched, ()

    def before(self, *arguments: Any) -> None:
        """Let a call begin."""

    def after(self, *arguments: Any) -> None:
        """Let a call end."""


class LayerWatch:
    """Watches one layer.  Its hooks stay for good and look only while :attr:`sampling` is set.

    Args:
        name: the layer's, as in ``named_modules``.
        layer: the layer or cell.
        ids: gives the ids that were looked up last with these first two sizes, and the id of
            padding, None where there are none.
    """

    def __init__(
        self,
        name: str,
        layer: Recurrent,
        ids: Callable[[torch.Size], tuple[Tensor, int | None] | None],
    ) -> None:
        self.name = name
        self.layer = layer
        self.sampling = False
        self._ids = ids
        self._calls: list[_Call] = []
        self._carried = False
        self._earlier: list[weakref.ref[Tensor]] = []
        self._states: list[weakref.ref[Tensor]] = []
        self._gradients: list[RemovableHandle] = []
        self._handles = [
            layer.register_forward_pre_hook(self.before, with_kwargs=True),
            layer.register_forward_hook(self.after, with_kwargs=True),
        ]

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        # A layer is copied and saved with its hooks.
        return Unwatched, ()

    def close(self) -> None:
        """Take the hooks away."""
        for handle in [*self._handles, *self._gradients]:
            handle.remove()

    def sample(self, step: int, gradient_norm: Tensor | None) -> dict[str, Any]:
        """What the step showed, for a :class:`LayerSample` once its tensors are read."""
        calls, self._calls = self._calls, []
        for handle in self._gradients:
            handle.remove()
        self._gradients.clear()
        self._earlier, self._states = self._states, []
        carried, self._carried = self._carried, False
        if not calls:
            return {}
        found: dict[str, Any] = {
            "step": step,
            "packed": calls[0].packed is not None,
            "steps": sum(call.steps for call in calls),
            "carried": carried,
            "training": self.layer.training,
            "gradient_norm": gradient_norm,
            "state_at_start": calls[0].start,
            "state_at_end": calls[-1].end,
            "gates": calls[0].gates,
        }
        if calls[0].extent is not None and calls[0].packed is None:
            found["padding"] = calls[0].extent.share
        zero = [call.zero for call in calls if call.zero is not None]
        if zero:
            found["dead"] = torch.stack(zero).all(0).float().mean()
        return found | _over_time(calls, bool(getattr(self.layer, "bidirectional", False)))

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def before(self, layer: nn.Module, args: Any, kwargs: Any) -> Any:
        if not self.sampling or len(self._calls) >= _CALLS:
            return None
        if not torch.is_grad_enabled():
            return None
        inputs = args[0] if args else kwargs.get("input")
        state = args[1] if len(args) > 1 else kwargs.get("hx")
        self._look_at_state(state)
        data = inputs.data if isinstance(inputs, PackedSequence) else inputs
        if not isinstance(data, Tensor) or not data.is_floating_point():
            return None
        if data.requires_grad:
            self._calls.append(_Call())
            self._watch_gradient(data, self._calls[-1])
            return None
        # Raw features get no gradient unless they ask for one.
        data = data.detach().requires_grad_()
        self._calls.append(_Call())
        self._watch_gradient(data, self._calls[-1])
        if isinstance(inputs, PackedSequence):
            data = PackedSequence(
                data, inputs.batch_sizes, inputs.sorted_indices, inputs.unsorted_indices
            )
        if args:
            return (data, *args[1:]), kwargs
        return args, {**kwargs, "input": data}

    def _watch_gradient(self, data: Tensor, call: _Call) -> None:
        def keep(gradient: Tensor) -> None:
            call.gradient = gradient.detach().float().norm(dim=-1)

        self._gradients.append(data.register_hook(keep))  # type: ignore[no-untyped-call]

    def _look_at_state(self, state: Any) -> None:
        """A state that an earlier step made leads this backward pass there, if it has its graph."""
        for tensor in _tensors(state):
            known = any(made() is tensor for made in self._earlier)
            self._carried |= known and tensor.grad_fn is not None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def after(self, layer: nn.Module, args: Any, kwargs: Any, made: Any) -> None:
        if isinstance(made, tuple):
            # Only the newest states go on; older ones are let go with the step.
            state = made[1:] if isinstance(self.layer, nn.RNNBase) else made
            self._states[-2:] = [weakref.ref(tensor) for tensor in _tensors(state)]
        elif isinstance(made, Tensor):
            self._states[-2:] = [weakref.ref(made)]
        if not self.sampling or not self._calls or self._calls[-1].steps:
            return
        call = self._calls[-1]
        inputs = args[0] if args else kwargs["input"]
        if isinstance(self.layer, nn.RNNBase):
            self._look_at_sequence(call, inputs, made[0])
        else:
            self._look_at_step(call, made[0] if isinstance(made, tuple) else made)

    def _look_at_step(self, call: _Call, hidden: Tensor) -> None:
        call.steps, call.batch = 1, hidden.numel() // hidden.size(-1)
        call.start = call.end = _size(hidden)
        if getattr(self.layer, "nonlinearity", "") == "relu":
            call.zero = (hidden == 0).reshape(-1, hidden.size(-1)).all(0)

    def _look_at_sequence(self, call: _Call, inputs: Any, output: Any) -> None:
        layer = self.layer
        assert isinstance(layer, nn.RNNBase)
        if isinstance(inputs, PackedSequence):
            call.packed = inputs.batch_sizes
            # In the order in which they are packed, as the gradient is.
            inputs = PackedSequence(inputs.data, inputs.batch_sizes)
            output = PackedSequence(output.data, output.batch_sizes)
            inputs, lengths = pad_packed_sequence(inputs)
            output, _ = pad_packed_sequence(output)
            extent = padding.of_lengths(lengths.to(inputs.device), inputs.size(0))
        else:
            if inputs.dim() == 2:
                inputs, output = inputs.unsqueeze(1), output.unsqueeze(1)
            elif layer.batch_first:
                call.batch_first = True
                inputs, output = inputs.transpose(0, 1), output.transpose(0, 1)
            extent = self._extent(inputs)
        call.extent = extent
        call.steps, call.batch = inputs.shape[:2]
        if not inputs.numel():
            return
        rows = torch.arange(inputs.size(1), device=output.device)
        last = (extent.end - 1).clamp(min=0)
        forward = output[..., : layer.proj_size or layer.hidden_size]
        call.start, call.end = _size(forward[extent.first, rows]), _size(forward[last, rows])
        few = rows[:: max(1, len(rows) // _ROWS)][:_ROWS]
        places = torch.arange(inputs.size(0), device=output.device).unsqueeze(1)
        real = (places >= extent.first) & (places < extent.end)
        call.gates = saturation(layer, inputs[:, few], real[:, few])
        if layer.mode == "RNN_RELU":
            call.zero = (forward == 0).reshape(-1, forward.size(-1)).all(0)

    def _extent(self, inputs: Tensor) -> Extent:
        looked_up = self._ids(inputs.shape[:2])
        if looked_up is None:
            return padding.of_values(inputs)
        ids, of_padding = looked_up
        return padding.of_values(ids, of_padding)


def _over_time(calls: list[_Call], both_ways: bool) -> dict[str, Any]:
    """The profile of dLoss/dx over time, and how much of it reaches the first steps."""
    found = _gradient(calls)
    if found is None:
        return {}
    gradient, extent = found
    over_time = gradient.mean(1)
    bins = nn.functional.adaptive_avg_pool1d(
        over_time.reshape(1, 1, -1), min(_BINS, len(over_time))
    ).flatten()
    places = torch.arange(gradient.size(0), device=gradient.device).unsqueeze(1)
    outside = (places < extent.first) | (places >= extent.end)
    seen = {
        "profile": bins / bins.max().clamp(min=torch.finfo(bins.dtype).tiny),
        "into_padding": (gradient * outside).sum() / gradient.sum(),
    }
    # Of two directions, one ends where the other begins: the first steps always get their share.
    if not both_ways:
        seen["early_to_late"] = _early_to_late(gradient, extent)
    return seen


def _gradient(calls: list[_Call]) -> tuple[Tensor, Extent] | None:
    """The norm of dLoss/dx, (T, B), and which steps are real."""
    first = calls[0]
    if first.gradient is None:
        return None
    if len(calls) > 1 and first.gradient.numel() == first.batch:
        # A cell, or a layer that is given one step at a time.
        steps = [
            call.gradient.flatten()
            for call in calls
            if call.gradient is not None and call.gradient.numel() == first.batch
        ]
        over_time = torch.stack(steps)
        return over_time, padding.whole(first.batch, len(steps), over_time.device)
    if first.extent is None or first.steps < _FEWEST_STEPS:
        return None
    gradient = first.gradient
    if first.packed is not None:
        packed = PackedSequence(gradient, first.packed)
        gradient = pad_packed_sequence(packed)[0]
    elif gradient.dim() == 1:
        gradient = gradient.unsqueeze(1)
    elif first.batch_first:
        gradient = gradient.t()
    return gradient, first.extent


def _early_to_late(gradient: Tensor, extent: Extent) -> Tensor:
    """Of the median sequence, NaN where no gradient came."""
    tenth = ((extent.end - extent.first) * 0.1).ceil().clamp(min=1)
    places = torch.arange(gradient.size(0), device=gradient.device).unsqueeze(1)
    first = (places >= extent.first) & (places < extent.first + tenth)
    early = (gradient * first).sum(0) / tenth
    # Not where the sequence ends, but where the loss reads it, may be far in the padding.
    return (early / gradient.amax(0)).nanmedian()


def _size(hidden: Tensor) -> Tensor:
    """The root mean square, which does not grow with the width of the layer."""
    return hidden.float().square().mean().sqrt()


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, (tuple, list)):
        return [tensor for part in state for tensor in _tensors(part)]
    return []
