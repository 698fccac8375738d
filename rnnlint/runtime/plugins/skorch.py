"""A callback for the nets of skorch.

::

    from rnnlint.runtime.plugins.skorch import RNNLintCallback

    net = NeuralNetClassifier(Tagger, callbacks=[RNNLintCallback()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import distributed, nn

from rnnlint.runtime.plugins.acting import Actions, ScheduleName, refuse_a_second_bound
from rnnlint.runtime.plugins.watching import Watch

try:
    from skorch import NeuralNet
    from skorch.callbacks import Callback, GradientNormClipping, LRScheduler, PrintLog
except ImportError as error:
    raise ImportError(
        "rnnlint.runtime.plugins.skorch needs skorch: pip install 'rnnlint[skorch]'"
    ) from error

if TYPE_CHECKING:
    from rnnlint.runtime.monitor import Monitor


class RNNLintCallback(Callback):  # type: ignore[misc]  # which has no types
    """Watches the recurrent layers of a net, and acts where it is asked to.

    Numbers go to ``net.history``: to the batch of every step that is sampled, and the newest to
    each epoch, where ``TensorBoard`` and its like read them if they come later in ``callbacks``.
    The table that is printed leaves them out.  A net that is pickled takes along what was seen;
    of one that ``LoadInitState`` restores, the schedule goes on.

    Args:
        clip: the norm that gradients are clipped to, in place of ``GradientNormClipping``.
        schedule: the learning rate over the epochs that were made and the ``max_epochs`` to come,
            in steps, in place of ``LRScheduler``.
        warmup: the share of the training in which the rate rises to the optimizer's own.
        initialise: whether recurrent layers are initialised that are as PyTorch made them, in a
            net that is not trained.
        report: whether the report is printed at the end.
        every: how many steps lie between two samples.

    Raises:
        ValueError: when the net is initialised, an argument is out of its range; when training
            begins, the module holds nothing recurrent, or another callback does the same.
    """

    watch_: Watch
    begun_: bool

    def __init__(
        self,
        *,
        clip: float | None = None,
        schedule: ScheduleName | None = None,
        warmup: float = 0.05,
        initialise: bool = False,
        report: bool = True,
        every: int = 50,
    ) -> None:
        self.clip = clip
        self.schedule = schedule
        self.warmup = warmup
        self.initialise = initialise
        self.report = report
        self.every = every

    def initialize(self) -> RNNLintCallback:
        """Forget what was seen."""
        if hasattr(self, "watch_"):
            self.watch_.close()
        actions = Actions(self.clip, self.schedule, self.warmup, self.initialise)
        self.watch_ = Watch(actions, report=self.report, every=self.every)
        self.begun_ = False
        return self

    @property
    def monitor(self) -> Monitor | None:
        """What watches, or has watched, the training; None before there was one."""
        return self.watch_.monitor

    def on_train_begin(self, net: NeuralNet, **data: Any) -> None:
        """Let other callbacks load what they have."""
        self.begun_ = False

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **more: Any) -> None:
        """Begin to watch, in the first epoch."""
        if self.begun_:
            return
        self.begun_ = True
        _refuse_others(net, self.clip, self.schedule)
        done = sum(epoch.get("train_batch_count", 0) for epoch in net.history)
        self.watch_.initialise(net.module_, resumed=done > 0)
        criterion = net.criterion_
        self.watch_.begin(
            net.module_,
            [net.optimizer_],
            criterion if isinstance(criterion, nn.Module) else None,
            total_steps=lambda: done + net.max_epochs * _batches(net, dataset_train),
            done=done,
        )

    def on_grad_computed(self, net: NeuralNet, named_parameters: Any, **more: Any) -> None:
        """Clip."""
        self.watch_.clip(net.optimizer_)

    def on_batch_end(
        self, net: NeuralNet, batch: Any = None, training: bool = False, **step: Any
    ) -> None:
        """Record what was sampled."""
        if not training:
            return
        if not isinstance(net.criterion_, nn.Module):
            self.watch_.record(step["loss"])
        if _is_first_process():
            for name, value in self.watch_.new_metrics().items():
                net.history.record_batch(name, value)

    def on_epoch_end(self, net: NeuralNet, **more: Any) -> None:
        """Record the newest numbers for loggers."""
        if self.watch_.monitor is None or not _is_first_process():
            return
        found = self.watch_.monitor.metrics()
        for name, value in found.items():
            net.history.record(name, value)
        for _, callback in net.callbacks_:
            if isinstance(callback, PrintLog):
                callback.keys_ignored_.update(found)

    def on_train_end(self, net: NeuralNet, **data: Any) -> None:
        """Report."""
        self.watch_.end(first_process=_is_first_process())


def _refuse_others(net: NeuralNet, clip: float | None, schedule: str | None) -> None:
    for name, callback in net.callbacks_:
        if isinstance(callback, GradientNormClipping):
            refuse_a_second_bound(
                clip, callback.gradient_clip_value, f"gradient_clip_value of {name}"
            )
        if schedule and isinstance(callback, LRScheduler):
            raise ValueError(
                f'schedule="{schedule}" and the callback {name} both set the learning rate: leave '
                "one of them out"
            )


def _batches(net: NeuralNet, dataset: Any) -> float:
    iterator = net.get_iterator(dataset, training=True)
    return len(iterator) if hasattr(iterator, "__len__") else float("inf")


def _is_first_process() -> bool:
    if not distributed.is_available() or not distributed.is_initialized():
        return True
    return distributed.get_rank() == 0
