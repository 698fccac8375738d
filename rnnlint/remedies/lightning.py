"""What Lightning is told of the one scheduler that `configure_optimizers` returns."""

from __future__ import annotations

from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir
from rnnlint.semantics.events import OptimizerEvent
from rnnlint.semantics.values import Place


def tell_lightning(
    layout: Layout, event: OptimizerEvent, returned: ir.Expr, option: str, told: str
) -> operations.AnyOperation:
    """`{"scheduler": scheduler, "interval": "step"}` in the place of a scheduler.

    Args:
        layout: of the file.
        event: the scheduler is handed over.
        returned: what `configure_optimizers` returns.
        option: what Lightning is told, such as "interval".
        told: the value of it, a text.

    Raises:
        CannotPlaceError: what is returned has another form.
    """
    given, path = _scheduler_in(returned), event.place.path
    built = event.scheduler.place if event.scheduler is not None else None
    text = layout.text[given.start : given.end]
    quote = layout.quote
    value = f"{quote}{told}{quote}"
    entry = f"{quote}{option}{quote}: {value}"
    if not isinstance(given, ir.Dict):
        if built is None or built.path != path or not _is_built(layout, given, built):
            raise CannotPlaceError("what is returned may be a dictionary with a name")
        code = f"{{{quote}scheduler{quote}: {text}, {entry}}}"
        return operations.Replace(path, given.start, given.end, code)
    if any(key is None for key in given.keys) or not text.startswith("{") or not given.values:
        raise CannotPlaceError("the entries are not written out")
    known = _entry(given, option)
    if known is not None:
        return operations.Replace(path, known.start, known.end, value)
    last = given.values[-1]
    return operations.Replace(path, last.end, last.end, f", {entry}")


def _scheduler_in(value: ir.Expr) -> ir.Expr:
    """The one scheduler in `[optimizer], [scheduler]` or `{..., "lr_scheduler": scheduler}`."""
    found: ir.Expr | None = None
    if isinstance(value, ir.Dict):
        found = _entry(value, "lr_scheduler")
    elif isinstance(value, ir.Sequence) and len(value.elements) == 2:
        second = value.elements[1]
        if isinstance(second, ir.Sequence) and len(second.elements) == 1:
            found = second.elements[0]
    if not isinstance(found, (ir.Name, ir.Attribute, ir.Call, ir.Dict)):
        raise CannotPlaceError("what is returned has another form")
    return found


def _is_built(layout: Layout, given: ir.Expr, place: Place) -> bool:
    """Whether an expression builds what is built at a place, or is the name that it gets."""
    if isinstance(given, ir.Call):
        return (given.start, given.end) == (place.start, place.end)
    node = layout.statement_at(place.start).node
    if not isinstance(node, ir.Assign) or node.value is None:
        return False
    name = layout.text[given.start : given.end]
    names = [layout.text[target.start : target.end] for target in node.targets]
    return name in names and (node.value.start, node.value.end) == (place.start, place.end)


def _entry(given: ir.Dict, name: str) -> ir.Expr | None:
    pairs = zip(given.keys, given.values, strict=True)
    return next(
        (one for key, one in pairs if isinstance(key, ir.Const) and key.value == name), None
    )
