"""What is seen of a script while it runs, without a change to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as module_hooks
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.gradients import clip_listeners
from rnnlint.runtime.monitor import Monitor
from rnnlint.runtime.monitor.failures import Failures
from rnnlint.runtime.monitor.layers import Recurrent
from rnnlint.runtime.observing.clearing import Clearing
from rnnlint.runtime.observing.copies import Copies
from rnnlint.runtime.observing.examining import Batch, examine
from rnnlint.runtime.observing.patching import Patches
from rnnlint.runtime.observing.places import Place, caller, their_files
from rnnlint.runtime.observing.saving import Aside

LOSSES = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
)
_SHAPED_ALIKE = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy"}
_EVENTS_KEPT = 24
_CALLS_KEPT = 8


class BudgetReached(BaseException):
    """Ends a script that has shown enough; no ``except Exception`` holds it up."""


class Session:
    """Observes what a script does with PyTorch, from :meth:`begin` to :meth:`end`.

    Where it cannot look, it says so in what it found, and the script goes on.

    Args:
        steps: how many steps of the optimizer are watched before the script is ended; 0 for all.
        seconds: how long, likewise.
        probes: whether the probes of the companion are tried on the first batch.
        range_test: whether learning rates are tried on a copy of the model.
        safe: whether what ``torch.save`` writes goes to a scratch folder instead.
    """

    def __init__(
        self,
        steps: int = 0,
        seconds: float = 0.0,
        *,
        probes: bool = True,
        range_test: bool = False,
        safe: bool = False,
    ) -> None:
        self._steps, self._seconds = steps, seconds
        self._probes, self._range_test, self._safe = probes, range_test, safe
        self._begun = time.monotonic()
        self._process = os.getpid()
        self._patches = Patches()
        self._copies = Copies()
        self._clearing = Clearing()
        self._aside: Aside | None = None
        self._first_step: list[RemovableHandle] = []
        self._depth = 0
        self._batch: Batch | None = None
        self._layers: dict[str, Recurrent] = {}
        self._built: dict[str, Place | None] = {}
        self._called: dict[str, set[Place]] = {}
        self._events: list[str] = []
        self._paths: dict[int, str] = {}
        self._silent: set[str] = set()
        self._broadcast: list[str] = []
        self._examined: dict[str, Any] = {}
        self._examining = False
        self._surprises: dict[str, str] = {}
        self._scaled: tuple[Tensor, Tensor] | None = None
        self.main_file = ""
        """The file of the module that is run, where that is not among the modules."""
        self.monitor = Monitor()

    def begin(self) -> None:
        """Take the places of what is observed."""
        replace = self._patches.replace
        # What the monitor would warn of stands in the report.
        replace(Failures, "tell", lambda original: lambda _, place, error: self._met(place, error))
        for owner in (nn.RNNBase, nn.RNNCellBase):
            replace(owner, "__init__", self._around_layer)
        replace(nn.Embedding, "__init__", self._around_embedding)
        replace(Optimizer, "__init__", self._around_optimizer)
        replace(Optimizer, "zero_grad", self._around_clearing)
        replace(nn.Module, "zero_grad", self._around_clearing)
        replace(Tensor, "backward", self._around_backward)
        replace(torch.amp.GradScaler, "scale", self._around_scaling)
        for name in LOSSES:
            replace(functional, name, partial(self._around_loss, name))
        if self._safe:
            self._aside = Aside(self._patches)
        # Announced like any clipping, in the order in which it happens.
        clip_listeners.append(self._clipped)
        # A compiled model would warn of ours; all that asks is this warning.
        replace(module_hooks, "_has_any_global_hook", lambda original: self._has_other_hooks)
        self._first_step = [
            register_module_forward_pre_hook(self._entered),
            register_module_forward_hook(self._left, with_kwargs=True, always_call=True),
        ]

    def _has_other_hooks(self) -> bool:
        ours = {handle.id for handle in self._first_step}
        return any(
            key not in ours
            for hooks in (
                module_hooks._global_backward_pre_hooks,
                module_hooks._global_backward_hooks,
                module_hooks._global_forward_hooks,
                module_hooks._global_forward_pre_hooks,
            )
            for key in hooks
        )

    def end(self) -> None:
        """Give the places back."""
        self._forget_first_step()
        if self._clipped in clip_listeners:
            clip_listeners.remove(self._clipped)
        self._patches.undo()
        self._copies.undo()
        self.monitor.close()
        if self._aside is not None:
            self._aside.close()

    def found(self) -> dict[str, Any]:
        """All that was seen: plain numbers, lists and dictionaries."""
        names = self._names()
        report: dict[str, Any] = {"history": {}, "observations": []}

        def read() -> None:
            report.update(self.monitor.report().renamed(names).to_dict())

        self._look("what the monitor saw", read)
        return {
            **report,
            "layers": {
                names[key]: {
                    "kind": layer.mode if isinstance(layer, nn.RNNBase) else type(layer).__name__,
                    "built": self._built[key],
                    "called": sorted(self._called.get(key, ())),
                    "bidirectional": bool(getattr(layer, "bidirectional", False)),
                    "silent": key in self._silent,
                }
                for key, layer in self._layers.items()
            },
            "events": self._events,
            "looked": self._clearing.looked,
            "accumulated": self._clearing.accumulated,
            "broadcast": self._broadcast,
            "files": sorted({*their_files(), *filter(None, [self.main_file])}),
            "surprises": [f"{place} ({said})" for place, said in self._surprises.items()],
            **self._examined,
        }

    def _names(self) -> dict[str, str]:
        """What each layer is called: its path in the model, or its class, and where it is built."""
        names: dict[str, str] = {}
        for key, layer in self._layers.items():
            place = self._built[key]
            where = f" at {Path(place[0]).name}:{place[1]}" if place else ""
            name = (self._paths.get(id(layer)) or type(layer).__name__) + where
            taken = sum(known == name or known.startswith(f"{name} #") for known in names.values())
            names[key] = f"{name} #{taken + 1}" if taken else name
        return names

    # --- where nothing can be looked at -----------------------------------------------

    def _look(self, place: str, look: Callable[..., None], *args: Any) -> None:
        """Look at something; the script never hears of what goes wrong in it."""
        if self._examining or torch.compiler.is_compiling() or os.getpid() != self._process:
            return
        try:
            look(*args)
        except Exception as error:
            self._met(place, error)

    def _met(self, place: str, error: Exception) -> None:
        first = f"{type(error).__name__}: {error}".partition("\n")[0]
        self._surprises.setdefault(place, first)

    # --- what is built ----------------------------------------------------------------

    def _after(self, original: Any, place: str, look: Callable[..., None]) -> Any:
        """A constructor that has what it made looked at."""

        @wraps(original)
        def build(made: Any, *args: Any, **kwargs: Any) -> None:
            original(made, *args, **kwargs)
            self._look(place, look, made)

        return build

    def _around_layer(self, original: Any) -> Any:
        return self._after(original, "a recurrent layer", self._layer_built)

    def _layer_built(self, layer: Recurrent) -> None:
        key = str(len(self._layers))
        self._layers[key] = layer
        self._built[key] = caller()
        self._copies.leave_out(type(layer))
        self.monitor.watch(key, layer)

    def _around_embedding(self, original: Any) -> Any:
        return self._after(original, "an embedding", self._embedding_built)

    def _embedding_built(self, embedding: nn.Embedding) -> None:
        self._copies.leave_out(type(embedding))
        self.monitor.watch_ids(embedding)

    def _around_optimizer(self, original: Any) -> Any:
        return self._after(original, "an optimizer", self._optimizer_built)

    def _optimizer_built(self, optimizer: Optimizer) -> None:
        if self._examining:
            return  # that of the range test is none of the script's
        self.monitor.follow(optimizer)
        self._clearing.follow(optimizer)
        # After the monitor's, which counts.
        optimizer.register_step_post_hook(self._stepped)

    # --- what is done -----------------------------------------------------------------

    def _entered(self, module: nn.Module, args: Any) -> None:
        if not torch.compiler.is_compiling():
            self._depth += 1

    def _left(self, module: nn.Module, args: Any, *more: Any) -> None:
        if not torch.compiler.is_compiling():
            self._depth = max(self._depth - 1, 0)
            if len(more) > 1:  # A call that raised is told of without its names.
                self._look("a call of a module", self._called_with, module, args, *more)

    def _called_with(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        for key, layer in self._layers.items():
            if layer is module and len(self._called.setdefault(key, set())) < _CALLS_KEPT:
                place = caller()
                if place is not None:
                    self._called[key].add(place)
        outermost = self._depth == 0 and output is not None and torch.is_grad_enabled()
        if self._batch is None and outermost and self._is_model(module):
            self._batch = Batch(module, args, kwargs, output)
            self._paths = {id(part): path for path, part in module.named_modules()}

    def _is_model(self, module: nn.Module) -> bool:
        recurrent = {id(layer) for layer in self._layers.values()}
        return any(id(part) in recurrent for part in module.modules())

    def _around_loss(self, name: str, original: Any) -> Any:
        @wraps(original)
        def measure(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            self._look(f"a {name}", self._measured, name, original, args, kwargs)
            return loss

        return measure

    def _measured(self, name: str, original: Any, args: Any, kwargs: Any) -> None:
        predictions = args[0] if args else kwargs.get("input")
        targets = args[1] if len(args) > 1 else kwargs.get("target")
        if not (isinstance(predictions, Tensor) and isinstance(targets, Tensor)):
            return
        if torch.is_grad_enabled() and predictions.requires_grad:
            self.monitor.compare(name, predictions, targets, kwargs.get("ignore_index"))
            self._look_at_shapes(name, predictions, targets)
            if self._batch is not None:
                self._batch.compared(original, args, kwargs)

    def _look_at_shapes(self, name: str, predictions: Tensor, targets: Tensor) -> None:
        if name not in _SHAPED_ALIKE or predictions.shape == targets.shape:
            return
        sizes = torch.broadcast_tensors(predictions, targets)  # type: ignore[no-untyped-call]
        compared = sizes[0].numel()
        # A target that holds for all predictions is meant; each with each is not.
        if compared > max(predictions.numel(), targets.numel()):
            said = f"{tuple(predictions.shape)} with {tuple(targets.shape)}"
            if said not in self._broadcast and len(self._broadcast) < _CALLS_KEPT:
                self._broadcast.append(said)

    def _around_backward(self, original: Any) -> Any:
        @wraps(original)
        def backward(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._look("a backward pass", self._backward_begins, tensor)
            return original(tensor, *args, **kwargs)

        return backward

    def _backward_begins(self, tensor: Tensor) -> None:
        self._happened("backward")
        self._clearing.backward()
        scaled, self._scaled = self._scaled, None
        loss = scaled[1] if scaled is not None and scaled[0] is tensor else tensor
        if loss.numel() == 1:
            self.monitor.record(loss)

    def _around_scaling(self, original: Any) -> Any:
        @wraps(original)
        def scale(scaler: Any, outputs: Any) -> Any:
            scaled = original(scaler, outputs)
            if isinstance(outputs, Tensor):
                # The loss is what was scaled, and the backward pass sees what it was scaled to.
                self._scaled = (scaled, outputs)
            return scaled

        return scale

    def _around_clearing(self, original: Any) -> Any:
        @wraps(original)
        def clear(owner: Any, *args: Any, **kwargs: Any) -> Any:
            self._look("zero_grad", self._happened, "zero_grad")
            return original(owner, *args, **kwargs)

        return clear

    def _clipped(self, norm: Any, bound: float) -> None:
        self._look("clipping", self._happened, "clip")

    def _happened(self, event: str) -> None:
        if len(self._events) < _EVENTS_KEPT:
            self._events.append(event)

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._look("a step of the optimizer", self._step_done, optimizer)
        if self._examining or os.getpid() != self._process:
            return
        late = self._seconds and time.monotonic() - self._begun > self._seconds
        if late or (self._steps and self._step_count(optimizer) >= self._steps):
            raise BudgetReached

    def _step_count(self, optimizer: Optimizer) -> int:
        """Of the optimizer that trains what is recurrent, or of any, while that makes none."""
        return self.monitor.history.steps or self._clearing.steps(optimizer)

    def _step_done(self, optimizer: Optimizer) -> None:
        self._happened("step")
        self._clearing.stepped(optimizer)
        if self._first_step and self.monitor.history.steps:
            self._forget_first_step()
            self._look("backward directions", self._look_for_silent_directions)
            self._look("the first batch", self._examine)
            self._batch = None

    def _forget_first_step(self) -> None:
        for handle in self._first_step:
            handle.remove()
        self._first_step.clear()

    def _look_for_silent_directions(self) -> None:
        """Backward directions whose recurrent weights got a gradient of exactly zero."""
        for key, layer in self._layers.items():
            top = getattr(layer, "num_layers", 1) - 1
            weight = getattr(layer, f"weight_hh_l{top}_reverse", None)
            gradient = None if weight is None else weight.grad
            if gradient is not None and not bool(gradient.any()):
                self._silent.add(key)

    def _examine(self) -> None:
        if self._batch is None or not (self._probes or self._range_test):
            return
        self._examining = True
        try:
            rate = self.monitor.history.first_rates
            # One after the other, so that what the first found stays where the second fails.
            for probes, range_test in ((self._probes, False), (False, self._range_test)):
                self._examined |= examine(
                    self._batch, probes=probes, range_test=range_test, rate=rate
                )
        finally:
            self._examining = False
