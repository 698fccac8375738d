"""The monitor: what a training run shows of its recurrent layers, at little cost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from rnnlint.runtime.monitor.clips import listening
from rnnlint.runtime.monitor.clock import Clock
from rnnlint.runtime.monitor.criteria import CriterionWatch
from rnnlint.runtime.monitor.judging import judge
from rnnlint.runtime.monitor.layers import LayerWatch, Recurrent
from rnnlint.runtime.monitor.recording import Recorder
from rnnlint.runtime.monitor.records import History
from rnnlint.runtime.monitor.reports import RunReport
from rnnlint.runtime.monitor.thresholds import Thresholds
from rnnlint.runtime.monitor.unwatched import Unwatched
from rnnlint.runtime.unwrapping import unwrapped

_STATE = "history"
_METRICS = (
    "padding",
    "state_at_start",
    "state_at_end",
    "dead",
    "early_to_late",
    "into_padding",
    "gradient_norm",
)


class Monitor:
    """Watches a training run, and says what in it keeps a recurrent network from learning.

    Two lines around a loop of one's own::

        monitor = Monitor(model, optimizer, criterion=criterion)
        for inputs, targets in loader:
            ...
        print(monitor.report())

    Of recurrent layers it samples the first steps and then every 50th: padding among the steps
    that a layer runs over, its state at both ends of the sequence, gates and units that are
    saturated or dead, the gradient of the loss with respect to its inputs over time, and that of
    its parameters.  Of every step it keeps the loss, the learning rate, and the norm that clipping
    measures.  Nothing is read from an accelerator but now and then, all at once.

    What a model computes, and its gradients, are the same to the last bit with a monitor and
    without.  Where a monitor cannot look, it says so once, in a :class:`MonitorWarning`, and the
    training goes on.

    A step is one of the first optimizer that holds recurrent weights, so that accumulation of
    gradients, a ``GradScaler`` that leaves steps out, and closures need nothing more; where one
    step takes several passes, their losses are averaged, and the last pass is sampled.  Numbers
    are those of this process; under data parallelism, gradients and learning rates are those of
    all.

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

    Attributes:
        thresholds: from where on what is seen is worth a word.

    Raises:
        TypeError: ``model`` or ``criterion`` is no module, or an optimizer is none.
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
        overhead: float = 0.005,
        thresholds: Thresholds | None = None,
    ) -> None:
        if every < 1 or first < 0:
            raise ValueError(
                f"every={every} and first={first} are numbers of steps: every is at least 1, and "
                "first is not negative"
            )
        if not 0 < overhead <= 1:
            raise ValueError(
                f"overhead={overhead} is the share of the run's time that samples may take: above "
                "0, and at most 1"
            )
        self.thresholds = thresholds or Thresholds()
        model = unwrapped(model) if isinstance(model, nn.Module) else model
        self._recorder = Recorder(model, first, Clock(every, overhead))
        self._resources = ExitStack()
        self._resources.callback(self._recorder.lookups.close)
        self._resources.enter_context(listening(self._recorder.clipped))
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

    @property
    def history(self) -> History:
        """What was seen up to now, as far as it is read; :meth:`report` reads all."""
        return self._recorder.history

    # --- what is watched --------------------------------------------------------------

    def watch(self, name: str, layer: Recurrent) -> None:
        """Watch one more layer.

        Args:
            name: what it is called in the report; no other layer has that name.
            layer: an ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` or a cell of theirs.

        Raises:
            TypeError: it is no recurrent layer or cell.
            ValueError: the name is taken.
        """
        if not isinstance(layer, nn.RNNBase | nn.RNNCellBase):
            raise TypeError(
                f"{name!r} is to be an nn.LSTM, nn.GRU, nn.RNN or a cell of theirs, and is a "
                f"{type(layer).__name__}: pass the layer inside it"
            )
        recorder = self._recorder
        if name in recorder.layers:
            raise ValueError(f"a layer of the name {name!r} is watched already: give it another")
        watch = LayerWatch(name, layer, recorder.lookups, recorder.failures)
        recorder.add_layer(watch)
        self._resources.callback(watch.close)

    def watch_ids(self, embedding: nn.Embedding) -> None:
        """Take the padding of what this embedding looks up for that of the layer it feeds.

        A model's own embeddings are watched already.
        """
        self._recorder.lookups.watch(embedding)

    def follow(self, optimizer: Optimizer) -> None:
        """Count the steps of one more optimizer.

        Args:
            optimizer: PyTorch's own kind, or one that Accelerate or Fabric wraps.

        Raises:
            TypeError: it is none.
        """
        # Accelerate and Fabric wrap optimizers; the hooks are those of the one inside.
        inner = getattr(optimizer, "optimizer", optimizer)
        if not isinstance(inner, Optimizer):
            raise TypeError(
                f"an optimizer is expected, and this is a {type(optimizer).__name__}: a loss is "
                "passed as criterion="
            )
        if self._recorder.add_optimizer(inner):
            handle = inner.register_step_post_hook(self._recorder.stepped)
            self._resources.callback(handle.remove)

    def record(
        self, loss: Tensor | float, predictions: Tensor | None = None, targets: Tensor | None = None
    ) -> None:
        """Tell the monitor of a loss that it cannot hear of itself, before the step it is for.

        Args:
            loss: with no dimensions; of more numbers, their mean counts.
            predictions: what the loss was taken of: (N, C, ...) for classes, any shape otherwise.
            targets: (N, ...) of classes, or the shape of the predictions.
        """
        self._recorder.heard(loss)
        if predictions is not None and targets is not None:
            kind = "mse_loss" if targets.is_floating_point() else "cross_entropy"
            self.compare(kind, predictions, targets)

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
        self._recorder.compare(loss, predictions, targets, ignored)

    def close(self) -> None:
        """Take away every hook.  What was seen stays."""
        self._resources.close()

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        # What holds a monitor may be copied and saved with it.
        return Unwatched, ()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # --- what came of it --------------------------------------------------------------

    def report(self) -> RunReport:
        """What was seen up to now, likeliest reason first; it prints as a page."""
        history = self._recorder.snapshot()
        kinds = {name: _kind(watch.layer) for name, watch in self._recorder.layers.items()}
        return RunReport(judge(history, kinds, self.thresholds), history)

    def metrics(self) -> dict[str, float]:
        """The newest numbers, under names such as ``rnnlint/lstm/early_to_late``, for a logger."""
        self._recorder.read()
        history = self.history
        found: dict[str, float] = {}
        for name, samples in history.layers.items():
            newest, prefix = samples[-1], f"rnnlint/{name or 'model'}"
            numbers = {key: getattr(newest, key) for key in _METRICS}
            numbers |= {f"saturated_{gate}": share for gate, share in newest.gates.items()}
            found |= {
                f"{prefix}/{key}": value for key, value in numbers.items() if value is not None
            }
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
        news, self._recorder.news = self._recorder.news, False
        return self.metrics() if news else {}

    def state_dict(self) -> dict[str, Any]:
        """What was seen, for a checkpoint: plain numbers, lists and dictionaries."""
        self._recorder.read()
        return {_STATE: self.history.to_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another run was interrupted.

        Raises:
            ValueError: this is no state of a monitor.
        """
        if set(state_dict) != {_STATE}:
            raise ValueError(
                f'a monitor\'s state is {{"history": {{...}}}}; this has the keys '
                f"{sorted(map(str, state_dict))}: pass what state_dict() of a monitor gave"
            )
        self._recorder.go_on(History.from_dict(state_dict[_STATE]))

    # --- hooks ------------------------------------------------------------------------

    def _watch_all(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"a model is an nn.Module, and this is a {type(model).__name__}")
        for name, module in model.named_modules():
            if isinstance(module, nn.RNNBase | nn.RNNCellBase):
                self.watch(name, module)
            elif isinstance(module, nn.Embedding):
                self.watch_ids(module)
        if not self._recorder.layers:
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
        watch = CriterionWatch(
            criterion, self._recorder.heard, self._recorder.compare, self._recorder.failures
        )
        self._resources.callback(watch.close)


def _kind(layer: Recurrent) -> str:
    return layer.mode if isinstance(layer, nn.RNNBase) else type(layer).__name__
