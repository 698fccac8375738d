"""What the hooks of one recurrent layer see in the steps that are sampled."""

from __future__ import annotations

import weakref
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.monitor import padding
from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.gates import saturation
from rnnlint.runtime.monitor.lookups import Lookups
from rnnlint.runtime.monitor.over_time import Call, over_time
from rnnlint.runtime.monitor.padding import Extent
from rnnlint.runtime.monitor.unwatched import Sampled, uncompiled

Recurrent: TypeAlias = nn.RNNBase | nn.RNNCellBase

_ROWS = 8
_CALLS = 512
"""How many calls of a cell within one step are looked at; an accident in a loop has no end."""
_OUTSIDE = -1
"""The number of the backward pass that is going on, where none is."""


class LayerWatch(Sampled):
    """Watches one layer, while :attr:`sampling` is set.

    What the layer computes is not changed by them, but for this: features that need no gradient
    ask for one in sampled steps, so that there is dLoss/dx.

    Args:
        name: the layer's, as in ``named_modules``.
        layer: the layer or cell.
        lookups: what was looked up of late, in which padding is plainest.
        failures: is told what cannot be looked at.
    """

    def __init__(self, name: str, layer: Recurrent, lookups: Lookups, failures: Failures) -> None:
        self.name = name
        self.layer = layer
        super().__init__()
        self._lookups = lookups
        self._failures = failures
        self._calls: list[Call] = []
        self._carried = False
        self._earlier: list[weakref.ref[Tensor]] = []
        self._states: list[weakref.ref[Tensor]] = []
        self._gradients: list[RemovableHandle] = []

    def close(self) -> None:
        """Look no more."""
        super().close()
        self._forget_gradients()

    def _lay_hooks(self) -> list[RemovableHandle]:
        return [
            self.layer.register_forward_pre_hook(self.hook("before"), with_kwargs=True),
            self.layer.register_forward_hook(self.hook("after"), with_kwargs=True),
        ]

    @uncompiled
    def before(self, layer: nn.Module, args: Any, kwargs: Any) -> Any:
        """Let a call begin; the forward pre-hook of the layer."""
        return self._enter(args, kwargs) if self._looks() else None

    @uncompiled
    def after(self, layer: nn.Module, args: Any, kwargs: Any, made: Any) -> None:
        """Let a call end; the forward hook of the layer."""
        if self._looks():
            self._leave(args, kwargs, made)

    @property
    def carried(self) -> bool:
        """Whether the step that is going on began from a state with the graph of an earlier one."""
        return self._carried

    def sample(self, step: int, gradient_norm: Tensor | None) -> dict[str, Any]:
        """What the step showed, for a :class:`LayerSample` once its tensors are read."""
        calls = [call for call in self._calls if call.steps]
        # Of calls that trained something, and of others that did not, the former.
        calls = [call for call in calls if call.gradient is not None] or calls
        self._calls.clear()
        self._forget_gradients()
        self._earlier, self._states = self._states, []
        carried, self._carried = self._carried, False
        if not calls:
            return {}
        found: dict[str, Any] = {
            "step": step,
            "packed": calls[0].packed is not None,
            "steps": sum(call.steps for call in calls),
            "carried": carried,
            "training": any(call.training for call in calls),
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
        return found | over_time(calls, bool(getattr(self.layer, "bidirectional", False)))

    # --- before a call ----------------------------------------------------------------

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _enter(self, args: Any, kwargs: Any) -> Any:
        if not torch.is_grad_enabled() or torch._C._get_tracing_state() is not None:
            return None
        try:
            return self._entered(args, kwargs)
        except Exception as error:
            self._failures.tell(self.place, error)
            return None

    @property
    def place(self) -> str:
        """What it is called where it cannot be looked at."""
        return f"the layer {self.name!r}" if self.name else f"the {type(self.layer).__name__}"

    def _entered(self, args: Any, kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs.get("input")
        self._look_at_state(args[1] if len(args) > 1 else kwargs.get("hx"))
        data = inputs.data if isinstance(inputs, PackedSequence) else inputs
        if not isinstance(data, Tensor) or not data.is_floating_point():
            return None
        self._begin_anew()
        recorded = len(self._calls) < _CALLS
        call = Call(training=self.layer.training or not self._trains())
        if recorded:
            self._calls.append(call)
        replaced = not data.requires_grad and self._trains() and self._is_plain()
        if replaced:
            # Whether it is recorded or not: a checkpointed call is made twice, and alike.
            data = data.detach().requires_grad_()
        if recorded and data.requires_grad:
            self._watch_gradient(data, call)
        if not replaced:
            return None
        if isinstance(inputs, PackedSequence):
            data = PackedSequence(
                data, inputs.batch_sizes, inputs.sorted_indices, inputs.unsorted_indices
            )
        return ((data, *args[1:]), kwargs) if args else (args, {**kwargs, "input": data})

    def _begin_anew(self) -> None:
        """Let calls go whose backward pass is over, and a validation that builds a graph.

        A step of the optimizer may take several passes, or be left out for gradients that are
        not finite: the newest counts.
        """
        if not self._calls or torch._C._current_graph_task_id() != _OUTSIDE:
            return
        newest = self._calls[-1]
        if newest.gradient is not None or (self.layer.training and not newest.training):
            self._calls.clear()
            self._forget_gradients()

    def _trains(self) -> bool:
        return any(parameter.requires_grad for parameter in self.layer.parameters())

    def _is_plain(self) -> bool:
        """Whether its forward is PyTorch's, which leaves its input as it is."""
        return type(self.layer).forward.__module__ == nn.RNNBase.__module__

    def _watch_gradient(self, data: Tensor, call: Call) -> None:
        def keep(gradient: Tensor) -> None:
            try:
                call.gradient = gradient.detach().float().norm(dim=-1)
            except Exception as error:
                self._failures.tell(f"the gradient of {self.place}", error)

        self._gradients.append(data.register_hook(keep))  # type: ignore[no-untyped-call]

    def _forget_gradients(self) -> None:
        for handle in self._gradients:
            handle.remove()
        self._gradients.clear()

    def _look_at_state(self, state: Any) -> None:
        """A state that an earlier step made leads this backward pass there, if it has its graph."""
        for tensor in _tensors(state):
            known = any(made() is tensor for made in self._earlier)
            self._carried |= known and tensor.grad_fn is not None

    # --- after it ---------------------------------------------------------------------

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def _leave(self, args: Any, kwargs: Any, made: Any) -> None:
        try:
            self._left(args[0] if args else kwargs.get("input"), made)
        except Exception as error:
            self._failures.tell(self.place, error)

    def _left(self, inputs: Any, made: Any) -> None:
        state = made[1:] if isinstance(self.layer, nn.RNNBase) else made
        self._states = [weakref.ref(tensor) for tensor in _tensors(state)]
        if not self._calls or self._calls[-1].steps:
            return
        if isinstance(self.layer, nn.RNNBase):
            self._look_at_sequence(self._calls[-1], inputs, made[0])
        else:
            self._look_at_step(self._calls[-1], made[0] if isinstance(made, tuple) else made)

    def _look_at_step(self, call: Call, hidden: Tensor) -> None:
        if not hidden.numel():
            return
        call.steps, call.batch = 1, hidden.numel() // hidden.size(-1)
        call.start = call.end = _size(hidden)
        if getattr(self.layer, "nonlinearity", "") == "relu":
            call.zero = (hidden == 0).reshape(-1, hidden.size(-1)).all(0)

    def _look_at_sequence(self, call: Call, inputs: Any, output: Any) -> None:
        layer = self.layer
        assert isinstance(layer, nn.RNNBase)
        if isinstance(inputs, PackedSequence):
            call.packed = inputs.batch_sizes
            # In the order in which they are packed, as the gradient is.
            inputs, lengths = pad_packed_sequence(PackedSequence(inputs.data, inputs.batch_sizes))
            output, _ = pad_packed_sequence(PackedSequence(output.data, output.batch_sizes))
            extent = padding.of_lengths(lengths.to(inputs.device), inputs.size(0))
        else:
            if inputs.dim() == 2:
                inputs, output = inputs.unsqueeze(1), output.unsqueeze(1)
            elif layer.batch_first:
                call.batch_first = True
                inputs, output = inputs.transpose(0, 1), output.transpose(0, 1)
            extent = self._extent(inputs)
        if not inputs.numel():
            return
        call.extent = extent
        call.steps, call.batch = inputs.shape[:2]
        rows = torch.arange(inputs.size(1), device=output.device)
        last = (extent.end - 1).clamp(min=0)
        forward = output[..., : layer.proj_size or layer.hidden_size]
        call.start, call.end = _size(forward[extent.first, rows]), _size(forward[last, rows])
        stride = -(-inputs.size(1) // _ROWS)
        few = slice(None, None, stride)
        call.gates = saturation(layer, inputs[:, few], forward[:, few], extent.real[:, few])
        if layer.mode == "RNN_RELU":
            call.zero = (forward == 0).reshape(-1, forward.size(-1)).all(0)

    def _extent(self, inputs: Tensor) -> Extent:
        looked_up = self._lookups.of_shape(inputs.size(0), inputs.size(1))
        if looked_up is None:
            return padding.of_values(inputs)
        ids, of_padding = looked_up
        return padding.of_values(ids) if of_padding is None else padding.of_ids(ids, of_padding)


def _size(hidden: Tensor) -> Tensor:
    """The root mean square, which does not grow with the width of the layer."""
    return hidden.float().square().mean().sqrt()


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, (tuple, list)):
        return [tensor for part in state for tensor in _tensors(part)]
    return []
