"""Schedulers that Lightning steps: what `configure_optimizers` returns, with one more."""

from __future__ import annotations

from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Statement
from rnnlint.fixing.scopes import Scope
from rnnlint.lowering import ir
from rnnlint.remedies.decaying import late_drop
from rnnlint.semantics import values
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_EPOCHS = "self.trainer.max_epochs"


def schedule_in_lightning(
    program: Program, optimizer: values.Thing
) -> tuple[operations.AnyOperation, ...]:
    """A scheduler beside the optimizer that a LightningModule returns, in the form it has.

    Raises:
        CannotPlaceError: what is returned has another form.
    """
    place = optimizer.place
    if place is None:
        raise CannotPlaceError("the optimizer is built nowhere")
    layout = program.code.layout(place.path)
    statement = layout.statement_at(place.start)
    scope = Scope(layout, statement)
    if scope.node is None or scope.node.name != "configure_optimizers":
        raise CannotPlaceError("the optimizer is built elsewhere")
    returned = _returned(scope)
    if isinstance(statement.node, ir.Return):
        return _named_first(program, place, scope, statement, returned)
    if not isinstance(statement.node, ir.Assign) or len(statement.node.targets) != 1:
        raise CannotPlaceError("the optimizer has no name")
    target = statement.node.targets[0]
    name = layout.text[target.start : target.end]
    value = returned.value
    if value is None:
        raise CannotPlaceError("nothing is returned")
    scheduler = scope.fresh("scheduler", "lr_scheduler")
    built = late_drop(scheduler, name, _EPOCHS)
    text = layout.text[value.start : value.end]
    line = operations.Insert(place.path, returned.start, returned.end, (built,), "before")
    return (line, _with_scheduler(place.path, value, name, scheduler, text))


def _returned(scope: Scope) -> ir.Return:
    """The one `return` of a function."""
    found = [node for node in scope.nodes() if isinstance(node, ir.Return)]
    if len(found) != 1:
        raise CannotPlaceError("the function returns in several places")
    return found[0]


def _named_first(
    program: Program, place: Place, scope: Scope, statement: Statement, returned: ir.Return
) -> tuple[operations.AnyOperation, ...]:
    """`return Adam(...)`: the optimizer gets a name, and the scheduler stands beside it."""
    value = returned.value
    if value is None or (value.start, value.end) != (place.start, place.end):
        raise CannotPlaceError("the optimizer is part of what is returned")
    keyword = Place(place.path, statement.start, value.start)
    if program.code.text(keyword).split() != ["return"]:
        raise CannotPlaceError("the optimizer stands in parentheses")
    optimizer, scheduler = scope.fresh("optimizer"), scope.fresh("scheduler", "lr_scheduler")
    layout = program.code.layout(place.path)
    line = layout.newline + layout.indentation(statement.start)
    behind = (
        f"{line}{late_drop(scheduler, optimizer, _EPOCHS)}{line}return [{optimizer}], [{scheduler}]"
    )
    return (
        operations.Replace(place.path, keyword.start, keyword.end, f"{optimizer} = "),
        operations.Replace(place.path, statement.end, statement.end, behind),
    )


def _with_scheduler(
    path: str, value: ir.Expr, optimizer: str, scheduler: str, text: str
) -> operations.AnyOperation:
    """What is returned, with the scheduler."""
    start, end = value.start, value.end
    if text in (optimizer, f"[{optimizer}]", f"({optimizer},)"):
        return operations.Replace(path, start, end, f"[{optimizer}], [{scheduler}]")
    if isinstance(value, ir.Dict) and text.startswith("{"):
        keys = [key.value for key in value.keys if isinstance(key, ir.Const)]
        if keys == ["optimizer"] and len(value.keys) == 1:
            last = value.values[-1].end
            return operations.Replace(path, last, last, f', "lr_scheduler": {scheduler}')
    raise CannotPlaceError("what is returned has another form")
