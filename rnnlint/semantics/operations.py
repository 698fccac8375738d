"""Operators over abstract values, and lists that they extend."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.semantics import iteration, joins, lengths, library, tensors, values
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import UNKNOWN, Place, Step, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "|": operator.or_,
    "&": operator.and_,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.eq,
    "is not": operator.ne,
}


def unary(op: str, operand: Value) -> Value:
    if op == "not":
        decided = values.truth(operand)
        if decided is not None:
            return values.Const(not decided)
        if isinstance(operand, values.Const):
            return values.Const(not operand.value, option=operand.option)
        return UNKNOWN
    if isinstance(operand, values.Union):
        return joins.join_results([unary(op, member) for member in operand.members])
    if isinstance(operand, values.Const) and isinstance(operand.value, (int, float)):
        if op == "-":
            return values.Const(-operand.value, option=operand.option)
        return operand
    if isinstance(operand, values.Size) and op == "-":
        return values.Slice(operand, None, None)
    if isinstance(operand, values.Tensor):
        return tensors.kept(operand)
    return UNKNOWN


def binary(run: Interpreter, op: str, left: Value, right: Value, place: Place) -> Value:
    if isinstance(left, values.Union) or isinstance(right, values.Union):
        results = [
            binary(run, op, one, two, place)
            for one in values.members(left)[:4]
            for two in values.members(right)[:4]
        ]
        return join(results)
    if isinstance(left, values.Const) and isinstance(right, values.Const):
        return _constants(op, left, right)
    if isinstance(left, values.Const) and isinstance(left.value, str) and op in ("+", "%"):
        return values.Prefix(left.value if op == "+" else left.value.split("%")[0])
    relative = lengths.computed(op, left, right, place)
    if relative is not None:
        return lengths.with_relative(op, left, right, relative)
    graphs = [v for v in (left, right) if isinstance(v, values.Tensor) and (v.calls or v.loss)]
    # `loss * len(batch)` is no size.
    symbolic = None if graphs else _symbolic(op, left, right, place)
    if symbolic is not None:
        return symbolic
    if op == "+" and _is_sequence(left) and _is_sequence(right):
        return _concatenated(run, left, right)
    parameters = isinstance(left, values.Parameter) or isinstance(right, values.Parameter)
    if parameters and not graphs:
        # Still the parameter's own content: `mask * weight`.
        return left if isinstance(left, values.Parameter) else right
    if isinstance(left, values.Tensor) or isinstance(right, values.Tensor):
        return tensors.combined(op, left, right)
    if isinstance(left, values.ListObject) and op == "*":
        return values.ListObject(None, iteration.element(run, left))
    if isinstance(left, values.Parameters) or isinstance(right, values.Parameters):
        both = [v for v in (left, right) if isinstance(v, values.Parameters)]
        return values.Parameters(tuple(m for v in both for m in v.modules))

    return tensors.mixed([left, right])


def _constants(op: str, left: values.Const, right: values.Const) -> Value:
    function = _ARITHMETIC.get(op)
    option = left.option or right.option
    if function is None or (op == "*" and _is_long(left, right)):
        return UNKNOWN
    if op == "%" and isinstance(left.value, str) and values.formats_widely(left.value):
        return UNKNOWN
    try:
        result = function(left.value, right.value)
    except (TypeError, ValueError, ArithmeticError, MemoryError):
        return UNKNOWN
    if values.is_unwieldy(result):
        return UNKNOWN
    return values.Const(result, option=option)


def _is_long(left: values.Const, right: values.Const) -> bool:
    """Whether repeating a text would make it long."""
    for text, count in ((left.value, right.value), (right.value, left.value)):
        if isinstance(text, str) and isinstance(count, int) and len(text) * count > 1000:
            return True
    return False


def _symbolic(op: str, left: Value, right: Value, place: Place) -> Value | None:
    """Arithmetic on sizes, and the padding idioms built from it."""
    if op == "-" and _is_length(left, right):
        is_size = isinstance(right, values.Size)
        if is_size and isinstance(left, values.Const) and left.value in (0, 1):
            return values.Size()
        return values.Shortfall()
    if op == "*" and isinstance(right, values.Shortfall):
        return values.Filler(place, _repeated(left))
    if op == "*" and isinstance(left, values.Shortfall):
        return values.Filler(place, _repeated(right))
    if isinstance(left, values.Size) and op in ("//", "/", "*", "-", "+"):
        if isinstance(right, values.Const):
            return values.Size(("scaled", left.of, op, right.value), left.axis)
        return values.Size()
    if isinstance(right, values.Size) and op in ("*", "+"):
        if isinstance(left, values.Const):
            return values.Size(("scaled", right.of, op, left.value), right.axis)
        return values.Size()
    if op == "+" and isinstance(right, values.Filler):
        return padded(left, right, "right")
    if op == "+" and isinstance(left, values.Filler):
        return padded(right, left, "left")
    return None


def _is_length(longest: Value, value: Value) -> bool:
    """Whether what is taken from the longest is the length of one sequence."""
    if isinstance(value, values.DrawnNumber):  # `MAXLEN - k`, where k was drawn for the sequence
        return isinstance(longest, values.Size) or values.integer(longest) is not None
    return isinstance(value, values.Size) or (isinstance(value, values.Tensor) and value.lengths)


def _repeated(value: Value) -> Value:
    """What `[0] * n` consists of; such lists are objects, each another than the last."""
    items = value.fields["items"] if isinstance(value, values.ListObject) else None
    if items is not None and len(items) == 1 and not is_content(items[0]):
        return UNKNOWN if isinstance(items[0], values.Object) else items[0]
    return value


def padded(content: Value, filler: values.Filler, side: str) -> Value:
    """A sequence to which padding was added."""
    step = Step(filler.place, "pads each sequence to a common length")
    base = content if isinstance(content, values.Tensor) else values.Tensor()
    if base.padding is not None and base.padding.side != side:
        side = ""
    return tensors.changed(base, padding=values.Padding(side, (step,), filler.value), lengths=False)


def _is_sequence(value: Value) -> bool:
    return isinstance(value, (values.ListObject, values.Tuple))


def _concatenated(run: Interpreter, left: Value, right: Value) -> Value:
    first, second = iteration.known_items(run, left), iteration.known_items(run, right)
    if isinstance(left, values.Tuple) and first is not None and second is not None:
        return values.Tuple((*first, *second))
    padding = _list_padding(left) or _list_padding(right)
    if first is not None and second is not None and len(first) + len(second) <= 64:
        made = values.ListObject((*first, *second))
    else:
        made = values.ListObject(
            None, join([iteration.element(run, left), iteration.element(run, right)])
        )
    if padding is not None:
        made.fields["padding"] = padding
    return made


def _list_padding(value: Value) -> values.Padding | None:
    return value.fields.get("padding") if isinstance(value, values.ListObject) else None


def extend_list(run: Interpreter, target: values.ListObject, more: Value, place: Place) -> None:
    """`target.extend(more)` and `target += more`."""
    if isinstance(more, values.Filler) and not is_content(more.value):
        step = Step(more.place, "pads each sequence to a common length")
        run.state.set(target.fields, "padding", values.Padding("right", (step,), more.value))
        return
    old, new = target.fields["items"], iteration.known_items(run, more)
    if old is not None and new is not None and len(old) + len(new) <= 64:
        run.state.set(target.fields, "items", (*old, *new))
    else:
        append_unknown(run, target, iteration.element(run, more))


def is_content(value: Value) -> bool:
    """Whether a value is more than the number or symbol that sequences are filled up with."""
    return any(isinstance(m, (values.Tensor, values.Instance)) for m in values.members(value))


def append_unknown(run: Interpreter, target: values.ListObject, value: Value) -> None:
    """Let `value` be one more element of a list whose items are no longer known."""
    known = target.fields["items"]
    parts = list(known) if known else []
    if isinstance(target.fields["element"], Value):
        parts.append(target.fields["element"])
    run.state.set(target.fields, "items", None)
    run.state.set(target.fields, "element", join([*parts, value]))


def compare(op: str, left: Value, right: Value) -> Value:
    """The outcome of one comparison; UNKNOWN, or an option, when it is open."""
    if isinstance(left, values.Const) and isinstance(right, values.Const):
        return _compare_constants(op, left, right)
    if op in ("is", "is not") and (_is_none(left) or _is_none(right)):
        other = right if _is_none(left) else left
        if _never_none(other):
            return values.Const(op == "is not")
        return UNKNOWN
    if op in ("in", "not in"):
        return _membership(op, left, right)
    if op in ("==", "is", "!=", "is not"):
        same = _same_type(left, right)
        if same is not None:
            return values.Const(same == (op in ("==", "is")))
    if isinstance(left, values.Tensor) or isinstance(right, values.Tensor):
        return tensors.mask_of(left if isinstance(left, values.Tensor) else right)
    if isinstance(left, _MEASURES) or isinstance(right, _MEASURES):
        return values.LengthTest()
    return UNKNOWN


_MEASURES = (values.Size, values.Shortfall)


def _compare_constants(op: str, left: values.Const, right: values.Const) -> Value:
    if op in ("in", "not in"):
        return _membership(op, left, right)
    function = _COMPARISONS.get(op)
    if function is None:
        return UNKNOWN
    try:
        result = bool(function(left.value, right.value))
    except TypeError:
        return UNKNOWN
    return values.Const(result, option=left.option or right.option)


def _is_none(value: Value) -> bool:
    return isinstance(value, values.Const) and value.value is None and not value.option


_NEVER_NONE = (
    values.Tensor,
    values.Tuple,
    values.Object,
    values.Function,
    values.Bound,
    values.Size,
    values.Parameter,
    values.Parameters,
    values.Device,
)


def _never_none(value: Value) -> bool:
    if isinstance(value, values.Const):
        return value.value is not None and not value.option
    return isinstance(value, _NEVER_NONE)


def _same_type(left: Value, right: Value) -> bool | None:
    """`type(x) == Class` and the like."""
    if isinstance(left, values.External) and isinstance(right, values.External):
        return library.canonical(left.name) == library.canonical(right.name)
    kinds = (values.External, values.Class)
    if isinstance(left, kinds) and isinstance(right, kinds):
        return left is right
    return None


def _membership(op: str, left: Value, right: Value) -> Value:
    inside = op == "in"
    items: tuple[Any, ...] | None = None
    if isinstance(right, values.Const) and isinstance(right.value, str):
        if isinstance(left, values.Const) and isinstance(left.value, str):
            answer = (left.value in right.value) == inside
            return values.Const(answer, option=left.option or right.option)
        return UNKNOWN
    if isinstance(right, values.Tuple):
        items = right.items
    elif isinstance(right, values.ListObject):
        items = right.fields["items"]
    elif isinstance(right, values.DictObject) and right.fields["rest"] is None:
        items = tuple(values.Const(key) for key in right.fields["entries"])
    if items is None:
        return UNKNOWN
    if isinstance(left, values.Const) and all(isinstance(item, values.Const) for item in items):
        found = any(item.value == left.value for item in items)
        option = left.option or any(item.option for item in items)
        return values.Const(found == inside, option=option)
    if isinstance(left, (values.Class, values.External)):
        if any(_same_type(left, item) for item in items):
            return values.Const(inside)
        if all(isinstance(item, (values.Class, values.External)) for item in items):
            return values.Const(not inside)
    return UNKNOWN


def optional(value: Value, depth: int = 4) -> Value:
    """A constant chosen by an option is itself an option."""
    if isinstance(value, values.Const):
        return values.Const(value.value, option=True)
    if not depth:
        return value
    if isinstance(value, values.ListObject) and value.fields["items"] is not None:
        items = tuple(optional(item, depth - 1) for item in value.fields["items"])
        return values.ListObject(items, kind=value.kind)
    if isinstance(value, values.DictObject):
        entries = value.fields["entries"]
        return values.DictObject(
            {key: optional(item, depth - 1) for key, item in entries.items()}, value.fields["rest"]
        )
    return value
