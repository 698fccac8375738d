"""A handler for the engines of Ignite.

::

    from rnnlint.runtime.plugins.ignite import RNNLintHandler

    handler = RNNLintHandler(logger=tensorboard)
    handler.attach(trainer, model, optimizer, criterion)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rnnlint.runtime.plugins.acting import Actions, ScheduleName
from rnnlint.runtime.plugins.watching import Watch

try:
    import ignite.distributed as idist
    from ignite.engine import Engine, EventEnum, Events
    from ignite.handlers.base_logger import BaseLogger
except ImportError as error:
    raise ImportError(
        "rnnlint.runtime.plugins.ignite needs Ignite: pip install 'rnnlint[ignite]'"
    ) from error

if TYPE_CHECKING:
    from rnnlint.runtime.monitor import Monitor


class RNNLintEvents(EventEnum):
    """What a trainer fires that has a :class:`RNNLintHandler`, in the first process."""

    SAMPLED = "rnnlint_sampled"


# Loggers take this attribute of a state for the step at which they log.
_COUNTED = {RNNLintEvents.SAMPLED: "rnnlint_iteration"}


class RNNLintHandler:
    """Watches the recurrent layers of a model that an engine trains, and acts where it is asked to.

    At every step that is sampled, numbers go to ``engine.state.metrics`` and to the logger, and
    ``RNNLintEvents.SAMPLED`` is fired, to which more loggers can be attached.  It has a
    ``state_dict`` for ``Checkpoint``.

    Args:
        logger: any of Ignite's, ``TensorboardLogger`` for instance.
        clip: the norm that gradients are clipped to, for an update function that does not clip.
        schedule: the learning rate over ``max_epochs`` of ``epoch_length`` iterations, for an
            optimizer that has no scheduler.
        warmup: the share of the training in which the rate rises to the optimizer's own.
        initialise: whether recurrent layers are initialised that are as PyTorch made them, in a
            run that does not resume.
        report: whether the report is printed at the end.
        every: how many steps lie between two samples.

    Raises:
        ValueError: an argument is out of its range; later, where training begins: the model holds
            nothing recurrent.
    """

    def __init__(
        self,
        logger: BaseLogger | None = None,
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
        self._logger = logger
        self._clipping: RemovableHandle | None = None

    @property
    def monitor(self) -> Monitor | None:
        """What watches, or has watched, the training; None before there was one."""
        return self._watch.monitor

    def attach(
        self,
        engine: Engine,
        model: nn.Module,
        optimizer: Optimizer,
        criterion: nn.Module | None = None,
        *,
        gradient_accumulation_steps: int = 1,
    ) -> None:
        """Watch what an engine trains.

        Args:
            engine: the trainer, of which an iteration is a batch.
            model: as the update function calls it, or as it was made.
            optimizer: what steps it.
            criterion: the loss, where it is a module; else the loss is what the engine outputs,
                where that is a number, and counts for the step after.
            gradient_accumulation_steps: how many iterations make a step.
        """
        engine.register_events(*RNNLintEvents, event_to_attr=_COUNTED)
        engine.add_event_handler(
            Events.STARTED, self._start, model, optimizer, criterion, gradient_accumulation_steps
        )
        hears = isinstance(criterion, nn.Module)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._complete, hears)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.TERMINATE, self._end)
        if self._logger is not None:
            self._logger.attach_output_handler(
                engine,
                event_name=RNNLintEvents.SAMPLED,
                tag="rnnlint",
                output_transform=lambda output: self._named_for_logger(),
            )

    def state_dict(self) -> dict[str, Any]:
        """What was seen, and how far the schedule is."""
        return self._watch.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another run was."""
        self._watch.load_state_dict(state_dict)

    def _start(
        self,
        engine: Engine,
        model: nn.Module,
        optimizer: Optimizer,
        criterion: nn.Module | None,
        accumulated: int,
    ) -> None:
        state = engine.state

        def total_steps() -> float:
            if state.max_epochs is None or state.epoch_length is None:
                return math.inf
            return state.max_epochs * state.epoch_length // accumulated

        self._watch.initialise(model, resumed=state.iteration > 0)
        self._watch.begin(
            model,
            [optimizer],
            criterion,
            total_steps=total_steps,
            done=state.iteration // accumulated,
        )
        self._stop_clipping()

        def clip(stepped: Optimizer, args: Any, kwargs: Any) -> None:
            # The update function has made the gradients, and a scaler has unscaled them.
            self._watch.clip(stepped)

        self._clipping = optimizer.register_step_pre_hook(clip)

    def _complete(self, engine: Engine, hears: bool) -> None:
        if not hears:
            self._hear(engine.state.output)
        if idist.get_rank() == 0:
            found = self._watch.new_metrics()
            if found:
                engine.state.metrics.update(found)
                setattr(engine.state, _COUNTED[RNNLintEvents.SAMPLED], engine.state.iteration)
                engine.fire_event(RNNLintEvents.SAMPLED)

    def _hear(self, output: Any) -> None:
        if isinstance(output, float) or (isinstance(output, Tensor) and not output.dim()):
            self._watch.record(output)

    def _named_for_logger(self) -> dict[str, float]:
        monitor = self._watch.monitor
        found = {} if monitor is None else monitor.metrics()
        return {name.removeprefix("rnnlint/"): value for name, value in found.items()}

    def _stop_clipping(self) -> None:
        if self._clipping is not None:
            self._clipping.remove()
            self._clipping = None

    def _end(self, engine: Engine) -> None:
        self._stop_clipping()
        self._watch.end(first_process=idist.get_rank() == 0)
