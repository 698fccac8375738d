"""What is seen of a script while it runs, without a change to it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.gradients import clip_listeners
from rnnlint.runtime.monitor import Monitor
from rnnlint.runtime.monitor.layers import Recurrent
from rnnlint.runtime.observing.examining import Batch, examine
from rnnlint.runtime.observing.patching import Patches
from rnnlint.runtime.observing.places import Place, caller, their_files

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
        self._patches = Patches()
        self._resources = ExitStack()
        self._first_step: list[RemovableHandle] = []
        self._depth = 0
        self._batch: Batch | None = None
        self._layers: dict[str, Recurrent] = {}
        self._built: dict[str, Place | None] = {}
        self._called: dict[str, set[Place]] = {}
        self._events: list[str] = []
        self._cleared = 0
        self._silent: set[str] = set()
        self._broadcast: list[str] = []
        self._examined: dict[str, Any] = {}
        self._examining = False
        self.monitor = Monitor()

    def begin(self) -> None:
        """Take the places of what is observed."""
        replace = self._patches.replace
        for owner in (nn.RNNBase, nn.RNNCellBase):
            replace(owner, "__init__", self._around_layer)
        replace(nn.Embedding, "__init__", self._around_embedding)
        replace(Optimizer, "__init__", self._around_optimizer)
        replace(Optimizer, "zero_grad", self._around_clearing)
        replace(nn.Module, "zero_grad", self._around_clearing)
        replace(Tensor, "backward", self._around_backward)
        for name in LOSSES:
            replace(functional, name, partial(self._around_loss, name))
        if self._safe:
            self._redirect_saving()
        # Announced like any clipping, in the order in which it happens.
        clip_listeners.append(self._clipped)
        self._first_step = [
            register_module_forward_pre_hook(self._entered),
            register_module_forward_hook(self._left, with_kwargs=True, always_call=True),
        ]

    def end(self) -> None:
        """Give the places back."""
        self._forget_first_step()
        if self._clipped in clip_listeners:
            clip_listeners.remove(self._clipped)
        self._patches.undo()
        self.monitor.close()
        self._resources.close()

    def found(self) -> dict[str, Any]:
        """All that was seen: plain numbers, lists and dictionaries."""
        names = self._names()
        report = self.monitor.report().renamed(names).to_dict()
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
            "cleared": self._cleared,
            "broadcast": self._broadcast,
            "files": their_files(),
            **self._examined,
        }

    def _names(self) -> dict[str, str]:
        """What each layer is called: its path in the model, or its class, and where it is built."""
        paths: dict[int, str] = {}
        if self._batch is not None:
            paths = {id(module): path for path, module in self._batch.model.named_modules()}
        names: dict[str, str] = {}
        for key, layer in self._layers.items():
            place = self._built[key]
            where = f" at {Path(place[0]).name}:{place[1]}" if place else ""
            name = (paths.get(id(layer)) or type(layer).__name__) + where
            taken = sum(known == name or known.startswith(f"{name} #") for known in names.values())
            names[key] = f"{name} #{taken + 1}" if taken else name
        return names

    # --- what is built ----------------------------------------------------------------

    def _around_layer(self, original: Any) -> Any:
        session = self

        @wraps(original)
        def build(layer: Any, *args: Any, **kwargs: Any) -> None:
            original(layer, *args, **kwargs)
            key = str(len(session._layers))
            session._layers[key] = layer
            session._built[key] = caller()
            session.monitor.watch(key, layer)

        return build

    def _around_embedding(self, original: Any) -> Any:
        @wraps(original)
        def build(embedding: nn.Embedding, *args: Any, **kwargs: Any) -> None:
            original(embedding, *args, **kwargs)
            self.monitor.watch_ids(embedding)

        return build

    def _around_optimizer(self, original: Any) -> Any:
        @wraps(original)
        def build(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(optimizer, *args, **kwargs)
            self.monitor.follow(optimizer)
            # After the monitor's, which counts.
            optimizer.register_step_post_hook(self._stepped)

        return build

    # --- what is done -----------------------------------------------------------------

    def _entered(self, module: nn.Module, args: Any) -> None:
        self._depth += 1

    def _left(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._depth -= 1
        if self._examining:
            return
        for key, layer in self._layers.items():
            if layer is module and len(self._called.setdefault(key, set())) < _CALLS_KEPT:
                place = caller()
                if place is not None:
                    self._called[key].add(place)
        if self._depth <= 0 and torch.is_grad_enabled() and self._is_model(module):
            self._depth = 0
            if self._batch is None:
                self._batch = Batch(module, args, kwargs, output)

    def _is_model(self, module: nn.Module) -> bool:
        recurrent = {id(layer) for layer in self._layers.values()}
        return any(id(part) in recurrent for part in module.modules())

    def _around_loss(self, name: str, original: Any) -> Any:
        @wraps(original)
        def measure(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            predictions = args[0] if args else kwargs.get("input")
            targets = args[1] if len(args) > 1 else kwargs.get("target")
            if (
                not self._examining
                and torch.is_grad_enabled()
                and isinstance(predictions, Tensor)
                and isinstance(targets, Tensor)
                and predictions.requires_grad
            ):
                self.monitor.compare(name, predictions, targets, kwargs.get("ignore_index"))
                self._look_at_shapes(name, predictions, targets)
                if self._batch is not None:
                    self._batch.compared(original, args, kwargs)
            return loss

        return measure

    def _look_at_shapes(self, name: str, predictions: Tensor, targets: Tensor) -> None:
        if name in _SHAPED_ALIKE and predictions.shape != targets.shape:
            said = f"{tuple(predictions.shape)} with {tuple(targets.shape)}"
            if said not in self._broadcast and len(self._broadcast) < _CALLS_KEPT:
                self._broadcast.append(said)

    def _around_backward(self, original: Any) -> Any:
        @wraps(original)
        def backward(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._examining:
                return original(tensor, *args, **kwargs)
            self._happened("backward")
            if tensor.numel() == 1:
                self.monitor.record(tensor)
            return original(tensor, *args, **kwargs)

        return backward

    def _around_clearing(self, original: Any) -> Any:
        @wraps(original)
        def clear(owner: Any, *args: Any, **kwargs: Any) -> Any:
            self._cleared += 1
            self._happened("zero_grad")
            return original(owner, *args, **kwargs)

        return clear

    def _clipped(self, norm: Any, bound: float) -> None:
        self._happened("clip")

    def _happened(self, event: str) -> None:
        if not self._examining and len(self._events) < _EVENTS_KEPT:
            self._events.append(event)

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._examining:
            return
        self._happened("step")
        if self._first_step and self.monitor.history.steps:
            self._forget_first_step()
            self._look_for_silent_directions()
            self._examine()
        steps = self.monitor.history.steps
        late = self._seconds and time.monotonic() - self._begun > self._seconds
        if late or (self._steps and steps >= self._steps):
            raise BudgetReached

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
            self._examined = examine(
                self._batch, probes=self._probes, range_test=self._range_test,
                rate=self.monitor.history.first_rates,
            )  # fmt: skip
        finally:
            self._examining = False

    # --- what is written --------------------------------------------------------------

    def _redirect_saving(self) -> None:
        scratch = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        written: dict[Path, Path] = {}

        def save(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def write(obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
                if isinstance(f, (str, Path)):
                    path = Path(f).resolve()
                    f = written.setdefault(path, scratch / f"{len(written)}")
                return original(obj, f, *args, **kwargs)

            return write

        def load(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def read(f: Any, *args: Any, **kwargs: Any) -> Any:
                if isinstance(f, (str, Path)):
                    f = written.get(Path(f).resolve(), f)
                return original(f, *args, **kwargs)

            return read

        self._patches.replace(torch, "save", save)
        self._patches.replace(torch, "load", load)
