"""The loss that a scheduler may watch: a name that holds one where it steps."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.bindings import names_bound
from rnnlint.fixing.layout import CannotPlaceError, Statement, place_in
from rnnlint.lowering import ir
from rnnlint.remedies.epochs import Epochs
from rnnlint.remedies.lightning import tell_lightning
from rnnlint.semantics import values
from rnnlint.semantics.events import OptimizerEvent
from rnnlint.semantics.program import Program

_VALIDATION = re.compile(r"(?=.*loss)(?=.*(?:val|valid|dev|eval|test))", re.IGNORECASE)
_EPOCH = re.compile(r"(?=.*loss)(?=.*(?:train|epoch|total|running|mean|avg|average|sum))", re.I)
_ANY = re.compile(r"loss", re.IGNORECASE)
_NO_VALUE = re.compile(r"losses|fn|func|best|min|criterion|history", re.IGNORECASE)
"""Names of what is no loss of this turn, but a list, a function or the best so far."""
_LOGGED = re.compile(r"\.log\(\s*[\"'](?P<name>[^\"']+)[\"']")


def loss_before(epochs: Epochs) -> str:
    """A loss that each turn of a loop has computed at its end.

    Raises:
        CannotPlaceError: there is none, or several that may be meant.
    """
    node = epochs.last_in_turn()
    number = place_in(epochs.node.body, node)
    if number is None:
        raise CannotPlaceError("not every turn computes a loss")
    return _loss_of(epochs.node.body[: number + 1])


def _loss_of(block: tuple[ir.Stmt, ...]) -> str:
    """The loss that some statements bind, that of a validation first."""
    bound = [name for node in block if _is_simple(node) for name in names_bound((node,))]
    return _loss_among(name for name in bound if _is_computed(block, name))


def _is_computed(block: tuple[ir.Stmt, ...], name: str) -> bool:
    """Whether a name gets another value than the constant that it may begin with."""
    return any(
        name in names_bound((node,))
        for node in ir.nodes_in(block)
        if isinstance(node, ir.AugAssign)
        or (isinstance(node, ir.Assign) and not isinstance(node.value, ir.Const))
    )


def _loss_among(names: Iterable[str]) -> str:
    """The one name that speaks of a loss, that of a validation first."""
    names = {name for name in names if not _NO_VALUE.search(name)}
    for pattern in (_VALIDATION, _EPOCH, _ANY):
        found = {name for name in names if pattern.search(name)}
        if len(found) == 1:
            return found.pop()
        if found:
            raise CannotPlaceError("several losses may be meant")
    raise CannotPlaceError("no loss is at hand")


def _is_simple(node: ir.Stmt) -> bool:
    return isinstance(node, (ir.Assign, ir.AugAssign, ir.With))


def watch_loss(program: Program, event: OptimizerEvent) -> Fix | None:
    """Tell a scheduler that waits for a plateau the loss that is at hand where it steps."""
    scheduler = event.scheduler
    if scheduler is None or scheduler.options.get("mode") == values.Const("max"):
        return None
    try:
        statement = program.code.statement(event.place)
        wanted = (
            _monitored(program, event, statement)
            if isinstance(statement.node, ir.Return)
            else _told(program, event, statement)
        )
    except CannotPlaceError:
        return None
    return program.code.repair("watch the loss", [wanted], Applicability.UNSAFE)


def _told(program: Program, event: OptimizerEvent, statement: Statement) -> operations.AnyOperation:
    place = event.place
    call_at(program.code.layout(place.path), place.start, place.end)
    loss = _loss_of(statement.block[: statement.number])
    return operations.AddArgument(place.path, place.start, place.end, loss)


# --- Lightning -----------------------------------------------------------------


def _monitored(
    program: Program, event: OptimizerEvent, statement: Statement
) -> operations.AnyOperation:
    """What `configure_optimizers` returns, with the value that the module logs."""
    layout = program.code.layout(event.place.path)
    owner = next((one for one in statement.parents if isinstance(one, ir.ClassDef)), None)
    value = statement.node.value if isinstance(statement.node, ir.Return) else None
    if owner is None or value is None:
        raise CannotPlaceError("the class is not seen")
    start, end = layout.extent(owner)
    logged = {match["name"] for match in _LOGGED.finditer(layout.text, start, end)}
    loss = _loss_among(logged)
    return tell_lightning(layout, event, value, "monitor", loss)
