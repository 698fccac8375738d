"""Learning rates that follow a schedule: a scheduler, and its step once in each epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir
from rnnlint.remedies.configured import schedule_in_lightning
from rnnlint.remedies.decaying import FEW, late_drop
from rnnlint.remedies.epochs import Epochs
from rnnlint.remedies.stepping import epochs_of
from rnnlint.remedies.turns import number_of_turns
from rnnlint.semantics import values
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Value

_OPTIMIZER = re.compile(r"optimi[sz]er|optim(?![a-z])|(?<![a-z])opt(?![a-z])", re.IGNORECASE)
_MESSAGE = "lower the rate for the last quarter of the training"
_WORD = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*")


def schedule(program: Program, optimizers: Iterable[values.Thing]) -> Fix | None:
    """A scheduler for the optimizers that one expression builds, stepped in their training."""
    try:
        wanted: dict[operations.AnyOperation, None] = {}
        for optimizer in optimizers:
            wanted.update(dict.fromkeys(_operations(program, optimizer)))
    except CannotPlaceError:
        return None
    if not wanted:
        return None
    return program.code.repair(_MESSAGE, wanted, Applicability.UNSAFE)


def _operations(program: Program, optimizer: values.Thing) -> tuple[operations.AnyOperation, ...]:
    if optimizer.options.get("<function>") == values.Const("configure_optimizers"):
        return schedule_in_lightning(program, optimizer)
    found: dict[ir.Stmt, Epochs] = {}
    for epochs in epochs_of(program, optimizer):
        found.setdefault(epochs.node, epochs)
    if len(found) > 1:
        raise CannotPlaceError("the optimizer is stepped in several loops")
    return tuple(
        operation for epochs in found.values() for operation in _scheduled(epochs, optimizer)
    )


def _scheduled(epochs: Epochs, optimizer: Value) -> list[operations.AnyOperation]:
    name = _name(epochs, optimizer)
    count = number_of_turns(epochs.layout, epochs.node, epochs.scope)
    if epochs.turns is not None and epochs.turns < FEW:
        raise CannotPlaceError("so few epochs are better trained at one rate")
    scheduler = scheduler_name(epochs, name)
    needs = frozenset(_WORD.findall(count))
    return [
        epochs.before((late_drop(scheduler, name, count),), name, needs),
        epochs.in_each_turn((f"{scheduler}.step()",)),
    ]


def _name(epochs: Epochs, optimizer: Value) -> str:
    """The optimizer's name in the code of the loop.

    Raises:
        CannotPlaceError: it has none there.
    """
    found = epochs.names.names_of(lambda value: optimizer in values.members(value))
    name = next(found, None)
    if name is None:
        raise CannotPlaceError("the optimizer has no name beside the loop")
    return name


def scheduler_name(epochs: Epochs, optimizer: str) -> str:
    """A new name like that of the optimizer: `encoder_scheduler` for `encoder_optimizer`."""
    last = optimizer.rpartition(".")[2]
    name = _OPTIMIZER.sub(_in_its_case, last)
    if name == last:
        name = "scheduler"
    wanted = [name, "lr_scheduler"] if name == "scheduler" else [name]
    return epochs.scope.fresh(*wanted, besides=_names_of_the_file(epochs.layout))


def _in_its_case(match: re.Match[str]) -> str:
    if match[0].isupper():
        return "SCHEDULER"
    return "Scheduler" if match[0][:1].isupper() else "scheduler"


def _names_of_the_file(layout: Layout) -> set[str]:
    """The names that a file binds outside of functions, by imports too."""
    found = set(layout.names_bound)
    for node in layout.body:
        if isinstance(node, (ir.Import, ir.ImportFrom)):
            found.update(one.asname or one.name.partition(".")[0] for one in node.names)
    return found
