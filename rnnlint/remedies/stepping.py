"""Schedulers that are built get their step: once an epoch, or once a batch."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.remedies.epochs import Epochs
from rnnlint.remedies.metrics import loss_before
from rnnlint.semantics import values
from rnnlint.semantics.program import Program

_BY_THE_BATCH = ("OneCycleLR", "CyclicLR", "NoamLR")
_PLATEAU = "ReduceLROnPlateau"


def step_scheduler(
    program: Program, scheduler: values.Thing, optimizer: values.Thing
) -> Fix | None:
    """Step a scheduler where its optimizer trains, as often as its kind asks for."""
    try:
        wanted = _steps(program, scheduler, optimizer)
    except CannotPlaceError:
        return None
    return program.code.repair("step the scheduler", wanted, Applicability.UNSAFE)


def _steps(
    program: Program, scheduler: values.Thing, optimizer: values.Thing
) -> list[operations.AnyOperation]:
    by_the_batch = _counts_batches(program, scheduler)
    found: dict[object, Epochs] = {}
    for epochs in epochs_of(program, optimizer, innermost=by_the_batch):
        found.setdefault(epochs.node, epochs)
    if len(found) != 1:
        raise CannotPlaceError("there is not just one loop in which it could be stepped")
    epochs = next(iter(found.values()))
    name = name_in(epochs, scheduler)
    metric = loss_before(epochs) if scheduler.name == _PLATEAU else ""
    return [epochs.in_each_turn((f"{name}.step({metric})",))]


def name_in(epochs: Epochs, scheduler: values.Thing) -> str:
    """The scheduler's name in the code of a loop.

    Raises:
        CannotPlaceError: it has none there.
    """
    name = next(epochs.names.names_of(lambda value: value == scheduler), None)
    if name is None:
        raise CannotPlaceError("the scheduler has no name in the loop")
    return name


def _counts_batches(program: Program, scheduler: values.Thing) -> bool:
    """Whether a scheduler is of a kind that counts batches, or told how many there are."""
    if scheduler.place is None:
        raise CannotPlaceError("the scheduler is built nowhere")
    return scheduler.name in _BY_THE_BATCH or "len(" in program.code.text(scheduler.place)


def epochs_of(program: Program, optimizer: values.Thing, innermost: bool = False) -> list[Epochs]:
    """The loops over epochs in which an optimizer is stepped, one for each way to its steps.

    Args:
        program: the program.
        optimizer: the optimizer.
        innermost: whether the loops over batches are wanted instead.

    Raises:
        CannotPlaceError: one of them is no loop of the project's own.
    """
    built = {
        number
        for event in program.optimizer_events(optimizer, "built")
        for _, number, _ in event.loops
    }
    found: dict[object, Epochs] = {}
    for step in program.optimizer_events(optimizer, "step"):
        levels = [n for n, (_, number, _) in enumerate(step.loops) if number not in built]
        if step.hypothetical or not levels:
            continue
        level = levels[-1] if innermost else levels[0]
        key = (step.place, step.context.stack, step.loops[level][0])
        if key not in found:
            found[key] = Epochs(program, step, level)
    return list(found.values())
