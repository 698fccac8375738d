"""A callback for Lightning, ``lightning.pytorch`` and ``pytorch_lightning`` alike.

::

    from rnnlint.runtime.plugins.lightning import RNNLintCallback

    trainer = Trainer(callbacks=[RNNLintCallback()])

With the environment variable ``RNNLINT_MONITOR=1``, every trainer has one, and no code is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from rnnlint.runtime.plugins.acting import Actions, ScheduleName, refuse_a_second_bound
from rnnlint.runtime.plugins.watching import Watch, loss_of

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from rnnlint.runtime.monitor import Monitor

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class RNNLintCallback:
    """Watches the recurrent layers of a ``LightningModule``, and acts where it is asked to.

    Numbers go to all loggers of the trainer at every step that is sampled, whatever
    ``log_every_n_steps`` is.  The norm of gradients is that before clipping.  The loss is what
    ``training_step`` returns, or what the module's only child that is a loss says, whose
    predictions are then looked at as well.  An instance is a ``Callback`` of the package that the
    program has imported; a trainer of either accepts both.

    Args:
        clip: the norm that gradients are clipped to, also in manual optimization, in place of
            the trainer's ``gradient_clip_val``.
        schedule: the learning rate over ``trainer.estimated_stepping_batches``, for a model that
            configures no scheduler.
        warmup: the share of the training in which the rate rises to the optimizer's own.
        initialise: whether recurrent layers are initialised that are as PyTorch made them, unless
            ``fit`` is given a checkpoint.
        report: whether the report is printed at the end, also where an exception is the end.
        every: how many steps lie between two samples.

    Raises:
        ImportError: neither package is installed.
        ValueError: an argument is out of its range; later, where training begins: the model holds
            nothing recurrent, the trainer clips as well, the model has a scheduler, or nobody
            knows how many steps there will be.
    """

    asked_for = True
    """Whether somebody wrote it into a program; where nobody did, it lets other models pass."""

    def __new__(cls, *args: Any, **named: Any) -> RNNLintCallback:
        return _made_for(cls, _package())

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
        actions = Actions(clip, schedule, warmup, initialise)
        self._watch = Watch(actions, report=report, every=every)
        self._hears = False

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _copied, (type(self).__bases__[0], self.asked_for, self._watch)

    @property
    def state_key(self) -> str:
        """Under what checkpoints know it; a trainer may have one that nobody asked for, too."""
        return "RNNLintCallback" if self.asked_for else "RNNLintCallback of the environment"

    @property
    def monitor(self) -> Monitor | None:
        """What watches, or has watched, the training; None before there was one."""
        return self._watch.monitor

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Initialise, before anything is loaded."""
        self._watch.initialise(pl_module, resumed=trainer.ckpt_path is not None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to watch, where optimizers are restored."""
        actions = self._watch.actions
        refuse_a_second_bound(actions.clip, trainer.gradient_clip_val, "gradient_clip_val")
        if actions.schedule and trainer.lr_scheduler_configs:
            raise ValueError(
                f'schedule="{actions.schedule}" and the scheduler of configure_optimizers both set '
                "the learning rate: leave one of them out"
            )
        if not self.asked_for and (not _is_recurrent(pl_module) or _has_another(trainer)):
            return
        optimizers = trainer.optimizers
        criterion = loss_of(pl_module)
        self._hears = criterion is not None
        self._watch.begin(
            pl_module,
            optimizers,
            criterion,
            total_steps=lambda: trainer.estimated_stepping_batches,
            done=trainer.global_step // max(1, len(optimizers)),
        )

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Hear the loss, where it is one and no module tells of it."""
        if self._hears or len(trainer.optimizers) != 1:
            return
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            # The scale is a number on the device, and stays there.
            loss = loss / scaler.scale(loss.new_ones(()))
        self._watch.record(loss)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Clip gradients, which are not scaled any more."""
        self._watch.clip(optimizer, getattr(trainer.precision_plugin, "scaler", None))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *batch: object
    ) -> None:
        """Hand what was sampled to the loggers.

        ``LightningModule.log`` would let go of all but each ``log_every_n_steps``th.
        """
        if not trainer.is_global_zero:
            return
        found = self._watch.new_metrics()
        if found:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
            for logger in trainer.loggers:
                logger.log_metrics(found, step=step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report."""
        self._watch.end(first_process=trainer.is_global_zero)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Report what led to it."""
        self._watch.end(first_process=trainer.is_global_zero)

    def state_dict(self) -> dict[str, Any]:
        """What was seen, and how far the schedule is."""
        return self._watch.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another training was."""
        self._watch.load_state_dict(state_dict)


def callback_for(package: str) -> list[Any]:
    """What a trainer of one of the two packages is given that nobody gave a callback."""
    callback = _made_for(RNNLintCallback, package)
    callback.__init__()  # type: ignore[misc]  # __new__ chose no package
    callback.asked_for = False
    return [callback]


def _made_for(cls: type[RNNLintCallback], package: str) -> RNNLintCallback:
    made = _classes.get((cls, package))
    if made is None:
        base: type[Any] = import_module(package).Callback
        made = type(cls.__name__, (cls, base), {"__module__": cls.__module__})
        _classes[cls, package] = made
    return cast("RNNLintCallback", object.__new__(made))


_classes: dict[tuple[type[RNNLintCallback], str], type[Any]] = {}


def _copied(cls: type[RNNLintCallback], asked_for: bool, watch: Watch) -> RNNLintCallback:
    callback = _made_for(cls, _package())
    callback.asked_for, callback._watch, callback._hears = asked_for, watch, False
    return callback


def _package() -> str:
    """The package of the program's trainer: one that is imported, before one that could be."""
    for package in PACKAGES:
        if sys.modules.get(package) is not None:
            return package
    for package in PACKAGES:
        try:
            import_module(package)
        except ImportError:
            continue
        return package
    raise ImportError(
        "rnnlint.runtime.plugins.lightning needs Lightning: pip install 'rnnlint[lightning]'"
    )


def _is_recurrent(model: nn.Module) -> bool:
    return any(isinstance(module, nn.RNNBase | nn.RNNCellBase) for module in model.modules())


def _has_another(trainer: Trainer) -> bool:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    return any(isinstance(other, RNNLintCallback) and other.asked_for for other in callbacks)
