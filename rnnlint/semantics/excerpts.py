"""Excerpts of sequences: `x[:, :-1]` and `x[:, 1:]` are steps of one, and one step apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import iteration, tensors, values
from rnnlint.semantics.frames import Arguments, Frame
from rnnlint.semantics.values import ANY_AXIS, Axis, Excerpt, Place, Tensor, UnknownExcerpt, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def of(value: Value) -> Excerpt | None:
    """Which steps of what sequence a value has, where that was seen."""
    if isinstance(value, (Tensor, UnknownExcerpt)):
        return value.excerpt
    if isinstance(value, values.ListObject):
        found = value.fields.get("excerpt")
        return found if isinstance(found, Excerpt) else None
    return None


def with_excerpt(value: Value, excerpt: Excerpt | None) -> Value:
    """A value that was just made, as the excerpt that it is; None for none."""
    if isinstance(value, Tensor):
        return value if value.excerpt == excerpt else tensors.changed(value, excerpt=excerpt)
    if isinstance(value, values.ListObject):
        value.fields["excerpt"] = excerpt
    elif type(value) in _UNSEEN:
        return values.UNKNOWN if excerpt is None else UnknownExcerpt(excerpt)
    return value


_UNSEEN = (values.Unknown, UnknownExcerpt)


def shared(one: Excerpt | None, other: Excerpt | None) -> Excerpt | None:
    """The excerpt of what is computed of two step by step."""
    if one is None or other is None:
        return one or other
    return one if one == other else None


def of_rows(run: Interpreter, rows: Value, axis: int | None) -> Excerpt | None:
    """The excerpt of a batch of sequences that have time on this axis then."""
    if isinstance(rows, Tensor):
        return None
    row = of(iteration.element(run, rows))
    return None if row is None or row.axis != 0 or axis is None else on_axis(row, axis)


def batched(excerpt: Excerpt) -> Excerpt | None:
    """The excerpt of a batch of such sequences, which is the first axis."""
    if excerpt.axis == ANY_AXIS:
        return excerpt
    return on_axis(excerpt, 1) if excerpt.axis == 0 else None


def on_axis(excerpt: Excerpt | None, axis: int | None) -> Excerpt | None:
    return None if excerpt is None else msgspec.structs.replace(excerpt, axis=axis)


def note_wholes(node: ir.Call, arguments: Arguments, frame: Frame) -> None:
    """What a module is given by its name is a whole, of which other code may take excerpts."""
    for number, argument in enumerate(node.args):
        if argument.star or argument.keyword is not None:
            return
        if isinstance(argument.value, ir.Name) and number < len(arguments.positional):
            given = arguments.positional[number]
            if type(given) is values.Unknown or (
                isinstance(given, Tensor) and given.excerpt is None and not given.calls
            ):
                sequence = (*_activation(frame), _key(argument.value, frame))
                whole = Excerpt(sequence, axis=ANY_AXIS)
                arguments.positional[number] = with_excerpt(given, whole)


def with_siblings(node: ir.Expr, value: Value, frame: Frame) -> Value:
    """`x, x[:, 1:]`: beside an excerpt of it, a name stands for the whole."""
    if not isinstance(node, ir.Sequence) or not isinstance(value, values.Tuple):
        return value
    sequences = {found.of for found in map(of, value.items) if found is not None}
    if not sequences or len(node.elements) != len(value.items):
        return value
    items = list(value.items)
    for number, element in enumerate(node.elements):
        if isinstance(element, ir.Name) and of(items[number]) is None:
            sequence = (*_activation(frame), _key(element, frame))
            if sequence in sequences:
                items[number] = with_excerpt(items[number], Excerpt(sequence, axis=ANY_AXIS))
    return values.Tuple(tuple(items))


# --- taking and writing ----------------------------------------------------


def taken(
    node: ir.Subscript, owner: Value, index: tuple[Value, ...], made: Value, frame: Frame
) -> Value:
    """What `owner[index]` gives, as the excerpt that it is."""
    known = of(owner)
    if known is not None and known.axis is None:
        known = None
    elif known is None and not any(isinstance(part, ir.Slice) for part in node.index):
        return made
    if not isinstance(owner, (Tensor, values.ListObject)) and type(owner) not in _UNSEEN:
        return made
    return with_excerpt(made, _taken(node, owner, index, known, frame))


def _taken(
    node: ir.Subscript, owner: Value, index: tuple[Value, ...], known: Excerpt | None, frame: Frame
) -> Excerpt | None:
    whole = known is not None and known.axis == ANY_AXIS
    time = _first_cut(node.index) if known is None or whole else known.axis
    if time is None or not all(map(_is_plain, index)):
        return None
    behind = node.index[time + 1 :]
    if isinstance(owner, Tensor) and owner.calls and not all(map(_is_whole, behind)):
        return None  # one direction of two, or less
    picked = [part for part in node.index[:time] if not isinstance(part, ir.Slice)]
    part = node.index[time] if time < len(node.index) else None
    axis = time - len(picked)
    if part is None or _is_whole(part):
        return on_axis(known, axis)
    begin = _begin(part, frame)
    if begin is None:
        return None
    after, start = begin
    if whole and picked:
        return None
    if known is not None and (after is None or whole):
        changes = {"after": after} if whole else {}
        return msgspec.structs.replace(known, start=known.start + start, axis=axis, **changes)
    sequence = tuple(_key(one, frame) for one in (node.value, *picked))
    if None in sequence:
        return None
    return Excerpt((*_activation(frame), *sequence), after, start, axis)


def _first_cut(index: tuple[ir.Expr, ...]) -> int | None:
    for number, part in enumerate(index):
        if isinstance(part, ir.Slice) and not _is_whole(part):
            return number
    return None


def _is_whole(part: ir.Expr) -> bool:
    return isinstance(part, ir.Slice) and part.lower is None and part.upper is None


def _is_plain(part: Value) -> bool:
    """Whether a part of an index is one position of its axis, or a stretch of it."""
    if isinstance(part, values.Const):
        return type(part.value) is int
    return isinstance(part, (values.Slice, values.Unknown, values.Size))


def _begin(part: ir.Expr, frame: Frame) -> tuple[Any, int] | None:
    """Where a slice begins: so many steps after what an expression says, or after the front."""
    if not isinstance(part, ir.Slice) or part.step is not None:
        return None
    begin = (None, 0) if part.lower is None else _position(part.lower, frame)
    end = None if part.upper is None else _position(part.upper, frame)
    if begin is None or (begin[0] is None and begin[1] < 0):
        return None
    single = end is not None and end[0] == begin[0] and end[1] == begin[1] + 1
    return None if single else begin


def _position(node: ir.Expr, frame: Frame) -> tuple[Any, int] | None:
    number = ir.integer(node)
    if number is not None:
        return None, number
    if isinstance(node, ir.Binary) and node.op in ("+", "-"):
        left, right = ir.integer(node.left), ir.integer(node.right)
        if right is not None:
            key = _key(node.left, frame)
            return None if key is None else (key, right if node.op == "+" else -right)
        if left is not None and node.op == "+":
            key = _key(node.right, frame)
            return None if key is None else (key, left)
    key = _key(node, frame)
    return None if key is None else (key, 0)


def _key(node: ir.Expr, frame: Frame) -> Any:
    """What identifies the value of an expression while its names are bound as they are."""
    if isinstance(node, ir.Name):
        return (node.id, frame.bound.get(node.id))
    if isinstance(node, ir.Const):
        return (node.kind, node.value)
    if isinstance(node, ir.Attribute):
        parts: list[Any] = [_key(node.value, frame), node.attr]
    elif isinstance(node, ir.Binary):
        parts = [_key(node.left, frame), node.op, _key(node.right, frame)]
    elif isinstance(node, ir.Subscript):
        parts = [_key(one, frame) for one in (node.value, *node.index)]
    else:
        return None
    return None if None in parts else tuple(parts)


def _activation(frame: Frame) -> tuple[Any, ...]:
    """What identifies one activation of a function."""
    node = None if frame.function is None else frame.function.node.start
    return (frame.module.path, node, id(frame.names))


def note_variables(target: ir.Expr, over: ir.Expr, frame: Frame) -> None:
    """In a comprehension, what a variable stands for is one of what is gone over."""
    key = _key(over, frame)
    if key is None:
        return
    if isinstance(target, ir.Name):
        frame.bound[target.id] = ("each", key)
    elif isinstance(target, ir.Sequence):
        for number, element in enumerate(target.elements):
            if isinstance(element, ir.Name):
                frame.bound[element.id] = ("each", key, number)


def written(target: ir.Subscript, value: Value, before: Value, after: Value) -> Value:
    """`y[:, :-1] = x[:, 1:]`: what begins with an excerpt is aligned with it."""
    given = of(value)
    if given is None:
        return after
    number = _first_cut(target.index)
    part = None if number is None else target.index[number]
    fits = isinstance(part, ir.Slice) and part.lower is None and part.step is None
    return with_excerpt(after, given if fits and given.axis == number else of(before))


# --- methods ---------------------------------------------------------------


def after_method(
    run: Interpreter, before: Excerpt, name: str, arguments: Arguments, place: Place
) -> Excerpt | None:
    """What becomes of an excerpt by `x.name(...)`."""
    name = name.rstrip("_")
    if name in _KEEPING:
        return before
    if before.axis == ANY_AXIS:
        return before if name in _MOVING else None
    if before.axis is None:
        return before if name in _MOVING or name in _RESHAPING else None
    if name in _MOVING:
        return on_axis(before, _moved(run, before.axis, name, arguments, place))
    if name in _RESHAPING:
        return on_axis(before, _reshaped(before.axis, arguments))
    shift = values.integer(arguments.get(0, "shifts")) if name == "roll" else None
    return None if shift is None else msgspec.structs.replace(before, start=before.start - shift)


_KEEPING = frozenset(
    "contiguous clone copy to cpu cuda long int float double half type type_as astype numpy detach "
    "pin_memory requires_grad dropout relu tanh sigmoid softmax log_softmax exp log abs neg pow "
    "sqrt clamp clip normalize leaky_relu elu gelu selu softplus masked_fill add sub mul div "
    "divide multiply float32 to_dense tolist".split()
)
"""Methods that compute each step on its own, or nothing at all."""
_MOVING = frozenset("transpose swapaxes t permute unsqueeze squeeze".split())
_RESHAPING = frozenset("view reshape flatten".split())


def _moved(
    run: Interpreter, axis: int, name: str, arguments: Arguments, place: Place
) -> int | None:
    """Where an axis is afterwards: it is given a name, and looked for."""
    named = tuple(Axis(f"{number}") for number in range(axis + 1))
    made = tensors.call_method(run, Tensor(axes=named), name, arguments, place)
    found = [each.name for each in made.axes] if isinstance(made, Tensor) else []
    return found.index(f"{axis}") if f"{axis}" in found else None


def _reshaped(axis: int, arguments: Arguments) -> int | None:
    """Where an axis is after `x.view(batch, steps, -1)`, as far as numbers tell."""
    sizes = [values.integer(size) for size in arguments.positional]
    if axis == 0 and len(sizes) > 1 and 1 in sizes[:2]:
        return 1 - sizes.index(1)
    return axis if len(sizes) > axis + 1 > 1 and sizes[: axis + 1] == [None] * (axis + 1) else None
