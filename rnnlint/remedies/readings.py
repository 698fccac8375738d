"""How the output of a layer is read once it is known where each sequence ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.fixing import operations
from rnnlint.fixing.code import Code
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import chain_to
from rnnlint.lowering import ir
from rnnlint.remedies.indexing import is_last, is_whole
from rnnlint.semantics.values import Place

if TYPE_CHECKING:
    from rnnlint.remedies.packing import Recurrence

_CAT = "{torch.cat}"
_ARANGE = "{torch.arange}"
_RUNTIME = "{{from rnnlint.runtime import {}}}"
_MEANS = ("mean",)
_MAXIMA = ("max", "amax")


class ReadSteps(msgspec.Struct, frozen=True):
    """A place at which the last step is read, or the steps are pooled."""

    place: Place
    how: str
    """ "last-step", "half-step" or "pooled"."""


class Way(msgspec.Struct, frozen=True):
    """What is at hand for reading anew."""

    lengths: str
    counts: str
    """The lengths where none is zero."""
    output: str = ""
    """The code that is the layer's output itself; "" where only something made of it is."""
    hidden: str = ""
    """The code for the final hidden state; "" where there is none."""
    uses: int = 0
    """How often the output's name is used."""
    companion: bool = False


class Mend(msgspec.Struct, frozen=True):
    """What is done about one reading."""

    operations: tuple[operations.AnyOperation, ...] = ()
    uses_hidden: bool = False
    """Whether it reads the final state instead of the output."""
    fills: bool = False
    """Whether it wants minus infinity behind the end of each sequence."""


def mended(code: Code, layer: Recurrence, reading: ReadSteps, way: Way) -> Mend:
    """Read the last valid step, or pool over valid steps alone.

    Raises:
        CannotPlaceError: this reading cannot be told the lengths.
    """
    statement = code.statement(reading.place)
    chain = chain_to(statement.node, reading.place.start, reading.place.end)
    if not chain:
        raise CannotPlaceError("the reading is not found")
    node = chain[-1]
    if isinstance(node, ir.Subscript):
        return _last_step(code, layer, reading, way, node)
    if isinstance(node, ir.Call) and reading.how == "pooled":
        around = chain[-2] if len(chain) > 1 else None
        return _pooled(code, layer, reading, way, node, around)
    raise CannotPlaceError("the reading cannot be written anew")


# --- the last step ----------------------------------------------------------


def _last_step(
    code: Code, layer: Recurrence, reading: ReadSteps, way: Way, node: ir.Subscript
) -> Mend:
    axis, rest = _last_index(layer, node.index)
    text = code.layout(reading.place.path).text
    base = text[node.value.start : node.value.end]
    whole = all(is_whole(part) for part in rest)
    if whole and way.hidden and base == way.output and layer.bidirectional is not None:
        read = f"{way.hidden}[-1]"
        if layer.bidirectional:
            read = f"{_CAT}([{way.hidden}[-2], {way.hidden}[-1]], dim=1)"
        return Mend((_replaced(reading, read),), uses_hidden=True)
    if way.companion and whole:
        options = ", bidirectional=True" if layer.bidirectional else ""
        options += "" if axis == 1 else ", batch_first=False"
        given = f", {way.lengths}{options})"
        return _wrapped(reading.place, "last_valid", node.value, node.end, given)
    if base == way.output and isinstance(node.value, ir.Subscript):
        raise CannotPlaceError("the output has no name to be read by")
    rows = f"{_ARANGE}({base}.size({1 - axis}))"
    picked = [rows, f"{way.lengths} - 1"] if axis == 1 else [f"{way.lengths} - 1", rows]
    parts = [*picked, *(text[part.start : part.end] for part in rest if not is_whole(part))]
    return Mend((_replaced(reading, f"{base}[{', '.join(parts)}]"),))


def _last_index(layer: Recurrence, index: tuple[ir.Expr, ...]) -> tuple[int, tuple[ir.Expr, ...]]:
    """The axis of time of `[:, -1]` or `[-1]`, and the indices behind both axes."""
    if layer.batch_first:
        if len(index) >= 2 and is_whole(index[0]) and is_last(index[1]):
            return 1, index[2:]
    elif index and is_last(index[0]) and all(is_whole(part) for part in index[1:2]):
        return 0, index[2:]
    raise CannotPlaceError("the last step is read in another way")


# --- pooling ----------------------------------------------------------------


def _pooled(
    code: Code,
    layer: Recurrence,
    reading: ReadSteps,
    way: Way,
    node: ir.Call,
    around: ir.Node | None,
) -> Mend:
    text = code.layout(reading.place.path).text
    name, source, axis = _pooling(node)
    base = text[source.start : source.end]
    time = 1 if layer.batch_first else 0
    if axis != time:
        raise CannotPlaceError("the pooling is not over time")
    first = "" if layer.batch_first else ", batch_first=False"
    if name in _MEANS:
        if way.companion:
            given = f", {way.lengths}{first})"
            return _wrapped(reading.place, "masked_mean", source, node.end, given)
        if base != way.output:
            raise CannotPlaceError("what is pooled is not the output itself")
        counts = f"{way.counts}.to({base}.device).unsqueeze(1)"
        mean = f"{base}.sum(dim={time}) / {counts}"
        alone = around is None or isinstance(around, ir.Argument)
        return Mend((_replaced(reading, mean if alone else f"({mean})"),))
    if way.companion:
        return _greatest(code, reading, way, node, around, source, f", {way.lengths}{first})")
    if base != way.output or way.uses != 1:
        raise CannotPlaceError("the output is used for more than its maximum")
    return Mend(fills=True)


def _greatest(
    code: Code,
    reading: ReadSteps,
    way: Way,
    node: ir.Call,
    around: ir.Node | None,
    source: ir.Expr,
    given: str,
) -> Mend:
    """The maximum by the companion, which gives no indices."""
    function = node.func
    if isinstance(function, ir.Attribute) and function.attr == "amax":
        return _wrapped(reading.place, "masked_max", source, node.end, given)
    if around is not None and _takes_values(around, node):
        return _wrapped(reading.place, "masked_max", source, around.end, given)
    statement = code.statement(reading.place).node
    if isinstance(statement, ir.Assign) and statement.value is node and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ir.Sequence) and len(target.elements) == 2:
            first, second = target.elements
            if isinstance(second, ir.Name) and not second.id.strip("_"):
                text = code.text(Place(reading.place.path, first.start, first.end))
                named = operations.Replace(reading.place.path, target.start, target.end, text)
                wrapped = _wrapped(reading.place, "masked_max", source, node.end, given)
                return Mend((named, *wrapped.operations))
    raise CannotPlaceError("the indices of the maximum are used too")


def _wrapped(place: Place, name: str, source: ir.Expr, end: int, given: str) -> Mend:
    """A function of the companion around a tensor, and nothing left of what was behind it."""
    opening = f"{_RUNTIME.format(name)}("
    return Mend(
        (
            operations.Replace(place.path, min(place.start, source.start), source.start, opening),
            operations.Replace(place.path, source.end, end, given),
        )
    )


def _pooling(node: ir.Call) -> tuple[str, ir.Expr, int]:
    """The name, the tensor and the axis of `x.mean(dim=1)` or `torch.mean(x, 1)`."""
    function = node.func
    if not isinstance(function, ir.Attribute) or function.attr not in (*_MEANS, *_MAXIMA):
        raise CannotPlaceError("the pooling is of another kind")
    positional = [one.value for one in node.args if one.keyword is None and not one.star]
    by_name = {one.keyword: one.value for one in node.args if one.keyword is not None}
    if isinstance(function.value, ir.Name) and function.value.id == "torch":
        if not positional:
            raise CannotPlaceError("what is pooled is given by name")
        source, *positional = positional
    else:
        source = function.value
    axis = by_name.pop("dim", None) or by_name.pop("axis", None)
    if axis is None and positional:
        axis = positional.pop(0)
    if positional or by_name or not isinstance(axis, ir.Const) or not isinstance(axis.value, int):
        raise CannotPlaceError("the pooling has more arguments than an axis")
    return function.attr, source, axis.value


def _takes_values(around: ir.Node | None, node: ir.Call) -> bool:
    """`x.max(dim=1)[0]`, `x.max(dim=1).values`"""
    if isinstance(around, ir.Subscript) and around.value is node and len(around.index) == 1:
        index = around.index[0]
        return isinstance(index, ir.Const) and index.value == 0
    return isinstance(around, ir.Attribute) and around.attr == "values"


def _replaced(reading: ReadSteps, text: str) -> operations.Replace:
    return operations.Replace(reading.place.path, reading.place.start, reading.place.end, text)
