"""The monitor: what a training run shows of its recurrent layers, at little cost."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.gradients import grouped_gradients, total_norm
from rnnlint.runtime.monitor.clips import listening
from rnnlint.runtime.monitor.clock import Clock
from rnnlint.runtime.monitor.judging import judge
from rnnlint.runtime.monitor.layers import LayerWatch, Recurrent, Unwatched
from rnnlint.runtime.monitor.origins import first_nonfinite, nonfinite_parameter
from rnnlint.runtime.monitor.predictions import compared
from rnnlint.runtime.monitor.reading import filled, read_all, tensors_of
from rnnlint.runtime.monitor.records import History, LayerSample, Spread
from rnnlint.runtime.monitor.reports import RunReport
from rnnlint.runtime.monitor.thresholds import Thresholds
from rnnlint.runtime.monitor.wrapping import unwrapped

_SAMPLES_KEPT = 256
_BOUNDS_KEPT = 8
_UNREAD_KEPT = 100
_STATE = "history"


class Monitor:
    """Watches a training run, and says what in it keeps a recurrent network from learning.

    Two lines in a loop of one's own::

        monitor = Monitor(model, optimizer, criterion)
        for inputs, targets in loader:
            ...
        print(monitor.report())

    Of recurrent layers it samples the first steps and then every 50th: padding among the steps
    that a layer runs over, its state at both ends of the sequence, gates and units that are
    saturated or dead, the gradient of the loss with respect to its inputs over time, and that of
    its parameters.  Of every step it keeps the loss, the learning rate, and the norm that clipping
    measures.  Nothing is read from an accelerator but now and then, all at once.

    A step is one of the first optimizer that holds recurrent weights, so that accumulation of
    gradients, a ``GradScaler`` that leaves steps out, and closures need nothing more.  Numbers are
    those of this process; under data parallelism, gradients and learning rates are those of all.

    Args:
        model: any module with ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` or their cells inside, also
            one that was prepared for several processes or compiled; None to name layers by
            :meth:`watch`.
        optimizers: all that train it; more can :meth:`follow`.
        criterion: the loss, a module that is called with predictions and targets.  Where it is
            none, :meth:`record` tells the monitor of the loss.
        every: how many steps lie between two samples; more, where a sample costs more than
            ``overhead`` of the steps between.
        first: how many steps are sampled at first.
        overhead: the share of the run's time that samples may take.
        thresholds: from where on what is seen is worth a word.

    Raises:
        TypeError: ``model`` is no module, or an optimizer is none.
        ValueError: ``every``, ``first`` or ``overhead`` is out of its range, or the model holds
            nothing recurrent.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        *optimizers: Optimizer,
        criterion: nn.Module | None = None,
        every: int = 50,
        first: int = 5,
        overhead: float = 0.01,
        thresholds: Thresholds | None = None,
    ) -> None:
        if every < 1 or first < 0:
            raise ValueError(f"every={every} is at least 1, and first={first} is not negative")
        if not 0 < overhead <= 1:
            raise ValueError(f"overhead is a share of the run's time, up to 1, not {overhead}")
        self.history = History()
        self.thresholds = thresholds or Thresholds()
        self._first, self._every, self._overhead = first, every, overhead
        self._model = model = unwrapped(model) if isinstance(model, nn.Module) else model
        self._layers: dict[str, LayerWatch] = {}
        self._optimizers: list[Optimizer] = []
        self._handles: list[RemovableHandle] = []
        self._resources = ExitStack()
        self._ids: list[tuple[Tensor, int | None]] = []
        self._unread: list[tuple[Callable[[Any], None], dict[str, Any]]] = []
        self._norm: Tensor | float | None = None
        self._clock = Clock()
        self._next_sample = 0
        self._sampling = False
        self._news = False
        self._resources.enter_context(listening(self._clipped))
        try:
            if model is not None:
                self._watch_all(model)
            for optimizer in optimizers:
                self.follow(optimizer)
            if criterion is not None:
                self._listen_to(criterion)
        except BaseException:
            self.close()
            raise
        self._arm()

    # --- what is watched --------------------------------------------------------------

    def watch(self, name: str, layer: Recurrent) -> None:
        """Watch one more layer, under a name that no other has.

        Raises:
            TypeError: it is no recurrent layer or cell.
            ValueError: the name is taken.
        """
        if not isinstance(layer, nn.RNNBase | nn.RNNCellBase):
            raise TypeError(f"{name} is an nn.LSTM, nn.GRU, nn.RNN or a cell, not {layer!r}")
        if name in self._layers:
            raise ValueError(f"a layer of the name {name!r} is watched already")
        self._layers[name] = LayerWatch(name, layer, self._looked_up)
        self._layers[name].sampling = self._sampling

    def watch_ids(self, embedding: nn.Embedding) -> None:
        """Take the padding of what this embedding looks up for that of the layer it feeds."""
        self._handles.append(embedding.register_forward_hook(self.after))

    def follow(self, optimizer: Optimizer) -> None:
        """Count the steps of one more optimizer.

        Raises:
            TypeError: it is none.
        """
        # Accelerate and Fabric wrap optimizers; the hooks are those of the one inside.
        inner = getattr(optimizer, "optimizer", optimizer)
        if not isinstance(inner, Optimizer):
            raise TypeError(f"an optimizer is expected, not {type(optimizer).__name__}")
        if any(known is inner for known in self._optimizers):
            return
        self._optimizers.append(inner)
        self._handles.append(inner.register_step_post_hook(self._stepped))

    def record(
        self, loss: Tensor | float, predictions: Tensor | None = None, targets: Tensor | None = None
    ) -> None:
        """Tell the monitor of a loss that it cannot hear of itself.

        Args:
            loss: with no dimensions.
            predictions: what the loss was taken of: (N, C, ...) for classes, any shape otherwise.
            targets: (N, ...) of classes, or the shape of the predictions.
        """
        self._lost(loss)
        if self._sampling and predictions is not None and targets is not None:
            kind = "mse_loss" if targets.is_floating_point() else "cross_entropy"
            self.compare(kind, predictions, targets, None)

    def close(self) -> None:
        """Take away every hook.  What was seen stays."""
        for watch in self._layers.values():
            watch.close()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._resources.close()

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        # An embedding is copied and saved with its hook.
        return Unwatched, ()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # --- what came of it --------------------------------------------------------------

    def report(self) -> RunReport:
        """What was seen up to now, likeliest reason first; it prints as a page."""
        self._read()
        kinds = {name: _kind(watch.layer) for name, watch in self._layers.items()}
        return RunReport(judge(self.history, kinds, self.thresholds), self.history)

    def metrics(self) -> dict[str, float]:
        """The newest numbers, under names such as ``rnnlint/lstm/early_to_late``, for a logger."""
        self._read()
        history = self.history
        found: dict[str, float] = {}
        for name, samples in history.layers.items():
            newest = samples[-1]
            for key in (
                "padding",
                "state_at_start",
                "state_at_end",
                "dead",
                "early_to_late",
                "gradient_norm",
            ):
                value = getattr(newest, key)
                if value is not None:
                    found[f"rnnlint/{name or 'model'}/{key}"] = value
            for gate, share in newest.gates.items():
                found[f"rnnlint/{name or 'model'}/saturated_{gate}"] = share
        if history.norms.values:
            found["rnnlint/gradient_norm"] = history.norms.values[-1][1]
        if history.clip_calls:
            found["rnnlint/clipped"] = history.clipped / history.clip_calls
        if history.rates.values:
            found["rnnlint/learning_rate"] = history.rates.values[-1][1]
        return found

    def new_metrics(self) -> dict[str, float]:
        """The same where a step was sampled since this was last called, and nothing otherwise.

        In a loop, after each step::

            if found := monitor.new_metrics():
                accelerator.log(found, step=step)
        """
        news, self._news = self._news, False
        return self.metrics() if news else {}

    def state_dict(self) -> dict[str, Any]:
        """What was seen, for a checkpoint: plain numbers, lists and dictionaries."""
        self._read()
        return {_STATE: self.history.to_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another run was interrupted.

        Raises:
            ValueError: this is no state of a monitor.
        """
        if set(state_dict) != {_STATE}:
            raise ValueError(
                f'a monitor\'s state is {{"history": {{...}}}}; this has the keys '
                f"{sorted(map(str, state_dict))}"
            )
        self.history = History.from_dict(state_dict[_STATE])
        self._next_sample = self.history.steps
        self._arm()

    # --- hooks ------------------------------------------------------------------------

    def _watch_all(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"a model is an nn.Module, and this is a {type(model).__name__}")
        for name, module in model.named_modules():
            if isinstance(module, nn.RNNBase | nn.RNNCellBase):
                self.watch(name, module)
            elif isinstance(module, nn.Embedding):
                self.watch_ids(module)
        if not self._layers:
            raise ValueError(
                f"there is no nn.LSTM, nn.GRU, nn.RNN or cell of theirs in this "
                f"{type(model).__name__}: pass the module that holds it"
            )

    def _listen_to(self, criterion: nn.Module) -> None:
        if not isinstance(criterion, nn.Module):
            raise TypeError(
                f"a criterion is an nn.Module such as nn.CrossEntropyLoss(), and this is a "
                f"{type(criterion).__name__}: tell the monitor of a loss by record(loss)"
            )
        ignored = getattr(criterion, "ignore_index", None)
        kind = (
            "cross_entropy"
            if isinstance(criterion, nn.CrossEntropyLoss)
            else type(criterion).__name__
        )
        kind = "nll_loss" if isinstance(criterion, nn.NLLLoss) else kind

        def heard(module: nn.Module, args: Any, loss: Any) -> None:
            if (
                not isinstance(loss, Tensor)
                or not torch.is_grad_enabled()
                or not loss.requires_grad
            ):
                return
            self._lost(loss)
            if len(args) > 1:
                self.compare(kind, args[0], args[1], ignored)

        self._handles.append(criterion.register_forward_hook(heard))

    def after(self, module: nn.Module, args: Any, output: Any) -> None:
        """Remember what an embedding looked up; its forward hook."""
        if self._sampling and args and isinstance(args[0], Tensor) and args[0].dim() == 2:
            padding = getattr(module, "padding_idx", None)
            self._ids = [*self._ids[-7:], (args[0].detach(), padding)]

    def _looked_up(self, shape: torch.Size) -> tuple[Tensor, int | None] | None:
        for ids, padding in reversed(self._ids):
            if ids.shape == shape:
                return ids, padding
            if ids.shape[::-1] == shape:
                return ids.t(), padding
        return None

    def _clipped(self, norm: Tensor | float | None, bound: float) -> None:
        self.history.clip_calls += 1
        if bound not in self.history.bounds and len(self.history.bounds) < _BOUNDS_KEPT:
            self.history.bounds.append(bound)
        if norm is None:
            return
        self._norm = norm

        def count(norm: float) -> None:
            self.history.clipped += norm > bound

        self._later(count, norm)

    def _lost(self, loss: Tensor | float) -> None:
        step = self.history.steps
        if isinstance(loss, Tensor):
            loss = loss.detach()
            if loss.numel() != 1:
                loss = loss.mean()

        def keep(value: float) -> None:
            self.history.losses.add(step, value)
            if not math.isfinite(value) and self.history.nonfinite_step is None:
                self.history.nonfinite_step = step
                self._look_for_origin()

        self._later(keep, loss)

    def _look_for_origin(self) -> None:
        if self._model is None:
            return
        named = nonfinite_parameter(self._model)
        if named is not None:
            self.history.nonfinite_module = named
            return

        def found(name: str) -> None:
            self.history.nonfinite_module = name

        self._handles += first_nonfinite(self._model, found)

    def compare(
        self, loss: str, predictions: Tensor, targets: Tensor, ignored: int | None = None
    ) -> None:
        """Look at the predictions and targets of a loss, in the steps that are sampled.

        Args:
            loss: the name of the function, ``cross_entropy`` or ``mse_loss`` for instance.
            predictions: (N, C, ...) for classes, any shape otherwise.
            targets: (N, ...) of classes, or the shape of the predictions.
            ignored: the class that the loss passes over.
        """
        if not self._sampling:
            return
        numbers = compared(loss, predictions, targets, ignored)
        if numbers:
            step = self.history.steps

            def keep(**read: Any) -> None:
                read["probabilities"] = bool(read.get("probabilities", False))
                self.history.spreads.append(Spread(step=step, loss=loss, **read))
                _thin(self.history.spreads)

            self._unread.append((lambda read: keep(**read), numbers))

    # --- steps ------------------------------------------------------------------------

    def _main(self) -> Optimizer:
        weights = {
            id(weight) for watch in self._layers.values() for weight in watch.layer.parameters()
        }
        for optimizer in self._optimizers:
            if any(id(weight) in weights for weight in _parameters(optimizer)):
                return optimizer
        return self._optimizers[0]

    def _stepped(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if len(self._optimizers) > 1 and optimizer is not self._main():
            return
        history, step = self.history, self.history.steps
        self._clock.tick(self._sampling)
        self._news |= self._sampling
        self._see_rates(optimizer, step)
        if self._sampling:
            self._see_gradients(optimizer, step)
            for watch in self._layers.values():
                self._see_layer(watch, step)
            if step == 0:
                self._see_coverage()
            self._ids.clear()
        elif self._norm is not None:
            self._keep_norm(step, self._norm)
        self._norm = None
        history.steps += 1
        if self._sampling or len(self._unread) > _UNREAD_KEPT:
            if history.steps > self._first:
                self._read()
            self._every = self._clock.every(self._every, self._overhead)
        self._arm()

    def _arm(self) -> None:
        step = self.history.steps
        due = step < self._first or step >= self._next_sample
        if due:
            self._next_sample = step + self._every
        if due != self._sampling:
            self._sampling = due
            for watch in self._layers.values():
                watch.sampling = due

    def _see_rates(self, optimizer: Optimizer, step: int) -> None:
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        if not self.history.first_rates:
            self.history.first_rates = rates
        elif self.history.rate_changed is None and rates != self.history.first_rates:
            self.history.rate_changed = step
        self.history.rates.add(step, rates[0])

    def _see_gradients(self, optimizer: Optimizer, step: int) -> None:
        if self._norm is not None:
            self._keep_norm(step, self._norm)
            return
        norm = _norm(_parameters(optimizer))
        if norm is not None:
            self._keep_norm(step, norm)

    def _keep_norm(self, step: int, norm: Tensor | float) -> None:
        self._later(lambda value: self.history.norms.add(step, value), norm)

    def _see_layer(self, watch: LayerWatch, step: int) -> None:
        found = watch.sample(step, _norm(watch.layer.parameters()))
        if found:

            def keep(read: dict[str, Any]) -> None:
                samples = self.history.layers.setdefault(watch.name, [])
                samples.append(_layer_sample(read))
                _thin(samples)

            self._unread.append((keep, found))

    def _see_coverage(self) -> None:
        """Which parameters no optimizer moves, and which no loss reaches."""
        if self._model is None:
            return
        held = {id(weight) for optimizer in self._optimizers for weight in _parameters(optimizer)}
        for name, parameter in self._model.named_parameters():
            if id(parameter) in held and parameter.requires_grad and parameter.grad is None:
                self.history.without_gradient.append(name)
            if id(parameter) not in held and parameter.grad is not None:
                self.history.left_out.append(name)

    # --- reading ----------------------------------------------------------------------

    def _later(self, keep: Callable[[float], None], value: Tensor | float) -> None:
        if isinstance(value, Tensor) and value.device.type != "cpu":
            self._unread.append((keep, {"": value}))
        else:
            keep(float(value))

    def _read(self) -> None:
        """Bring what lies on devices here, all at once."""
        unread, self._unread = self._unread, []
        numbers = iter(read_all([tensor for _, found in unread for tensor in tensors_of(found)]))
        for keep, found in unread:
            read = filled(found, numbers)
            keep(read[""] if set(read) == {""} else read)


def _kind(layer: Recurrent) -> str:
    return layer.mode if isinstance(layer, nn.RNNBase) else type(layer).__name__


def _parameters(optimizer: Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])


@torch.no_grad()
def _norm(parameters: Iterable[Tensor]) -> Tensor | None:
    groups = grouped_gradients(parameters)
    return total_norm(groups, 2.0) if groups else None


def _thin(samples: list[Any]) -> None:
    """Let every other sample go, but for the beginning of the run, where there are too many."""
    if len(samples) > _SAMPLES_KEPT:
        del samples[6::2]


def _layer_sample(read: Mapping[str, Any]) -> LayerSample:
    known = inspect.signature(LayerSample).parameters
    found = {key: value for key, value in read.items() if key in known}
    for share in ("early_to_late", "into_padding"):
        if not math.isfinite(found.get(share) or 0.0):
            found[share] = None
    return LayerSample(**{**found, "profile": tuple(found.get("profile", ()))})
