"""Reading and writing items of abstract values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    bases,
    excerpts,
    expressions,
    indexing,
    iteration,
    operations,
    parameters,
    things,
    training,
    values,
)
from rnnlint.semantics.frames import Arguments, Frame
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def get_item(
    run: Interpreter, owner: Value, index: tuple[Value, ...], node: ir.Subscript, place: Place
) -> Value:
    """`owner[index]`."""
    if isinstance(owner, values.Union):
        return join([get_item(run, member, index, node, place) for member in owner.members])
    if isinstance(owner, values.Tensor):
        return indexing.index(run, owner, index, place)
    if isinstance(owner, values.Parameter):
        return parameters.slice_parameter(owner, index, node)
    first = index[0] if index else UNKNOWN
    if isinstance(owner, values.Shape):
        position = values.integer(first)
        return values.Size() if position is None else owner.axis(position)
    if isinstance(owner, values.DictObject):
        return dict_item(owner, first)
    if isinstance(owner, (values.Tuple, values.ListObject, values.Container)):
        return _sequence_item(run, owner, first)
    if isinstance(owner, values.Thing):
        return things.item(run, owner, first, place)
    if isinstance(owner, values.Instance):
        method = attributes.find_in_class(owner.cls, "__getitem__")
        if isinstance(method, values.Function):
            return run.call_function(method, Arguments(list(index)), place, owner)
        return bases.item_of_base(run, owner, first, place)
    if isinstance(owner, values.Const) and isinstance(owner.value, str):
        return _text_item(owner, first)
    if isinstance(owner, (values.External, values.Class)):
        return owner  # a generic alias: list[int]
    return UNKNOWN


def _text_item(owner: values.Const, index: Value) -> Value:
    bounds: list[Any] = []
    if isinstance(index, values.Slice):
        for part in (index.lower, index.upper, index.step):
            if part is not None and not isinstance(part, values.Const):
                return UNKNOWN
            bounds.append(None if part is None else part.value)
        try:
            return values.Const(owner.value[slice(*bounds)], option=owner.option)
        except (TypeError, ValueError):
            return UNKNOWN
    return UNKNOWN


def dict_item(owner: values.DictObject, key: Value) -> Value:
    entries = owner.fields["entries"]
    rest = owner.fields["rest"]
    if isinstance(key, values.Const) and not key.option:
        found = entries.get(key.value, rest)
        return found if isinstance(found, Value) else UNKNOWN
    candidates = [value for value in entries.values() if isinstance(value, Value)]
    if isinstance(key, values.Const) and key.value in entries:
        chosen = entries[key.value]
        candidates = [chosen, *(value for value in candidates if value is not chosen)]
        return join(candidates) if _are_callable(candidates) else operations.optional(chosen)
    if isinstance(rest, Value):
        candidates.append(rest)
    return join(candidates) if candidates else UNKNOWN


def _are_callable(candidates: list[Value]) -> bool:
    return all(isinstance(c, (values.Class, values.External, values.Function)) for c in candidates)


def _sequence_item(run: Interpreter, owner: Value, key: Value) -> Value:
    items = iteration.known_items(run, owner)
    if isinstance(key, values.Const) and isinstance(key.value, int) and items is not None:
        try:
            return items[key.value]
        except IndexError:
            return UNKNOWN
    if isinstance(key, values.Slice):
        if items is not None:
            bounds = _bounds(key)
            if bounds is not None:
                chosen = items[bounds]
                if isinstance(owner, values.Tuple):
                    return values.Tuple(chosen)
                return values.ListObject(chosen)
        part = values.ListObject(None, iteration.element(run, owner))
        if isinstance(owner, values.ListObject):
            for fact in ("padding", "order", "order_steps"):
                part.fields[fact] = owner.fields.get(fact, part.fields.get(fact))
        return part
    if isinstance(owner, values.Container) and isinstance(key, values.Const):
        child = owner.fields["children"].get(key.value)
        return child if isinstance(child, Value) else UNKNOWN
    return iteration.element(run, owner)


def _bounds(key: values.Slice) -> slice | None:
    parts: list[Any] = []
    for part in (key.lower, key.upper, key.step):
        if part is None:
            parts.append(None)
        elif isinstance(part, values.Const) and isinstance(part.value, int):
            parts.append(part.value)
        else:
            return None
    return None if parts[2] == 0 else slice(*parts)


def set_item(run: Interpreter, target: ir.Subscript, value: Value, frame: Frame) -> Value | None:
    """`owner[index] = value`.

    Returns:
        The value that the owner's name has to be bound to anew, for values that
        cannot change in place, else None.
    """
    owner = expressions.evaluate(run, target.value, frame)
    index = tuple(expressions.evaluate(run, part, frame) for part in target.index)
    place = Place(frame.module.path, target.start, target.end)
    before = values.members(owner)
    after = [_set_member_item(run, member, index, value, target, place) for member in before]
    if all(changed is None for changed in after):
        return None
    return join([old if new is None else new for old, new in zip(before, after, strict=True)])


def _is_settings_entry(owner: ir.Expr) -> bool:
    """`settings["optimizer"]["lr"]`: an entry of a configuration, not of a param group."""
    if not isinstance(owner, ir.Subscript) or len(owner.index) != 1:
        return False
    key = owner.index[0]
    return isinstance(key, ir.Const) and key.kind == "str" and key.value != "param_groups"


def _set_member_item(
    run: Interpreter,
    owner: Value,
    index: tuple[Value, ...],
    value: Value,
    target: ir.Subscript,
    place: Place,
) -> Value | None:
    first = index[0] if index else UNKNOWN
    if isinstance(owner, values.DictObject):
        _set_dict_item(run, owner, first, value)
    elif isinstance(owner, values.ListObject):
        _set_list_item(run, owner, first, value)
    elif isinstance(owner, values.Unknown):
        if not _is_settings_entry(target.value):
            training.set_unknown_item(run, first, place)
    elif isinstance(owner, values.Container):
        children = dict(owner.fields["children"])
        children[first.value if isinstance(first, values.Const) else len(children)] = value
        run.state.set(owner.fields, "children", children)
    elif isinstance(owner, values.Thing):
        things.set_item(run, owner, first, value, place)
    elif isinstance(owner, values.Parameter):
        part = parameters.slice_parameter(owner, index, target)
        parameters.initialise(run, part, "assign", value, place)
    elif isinstance(owner, values.Tensor):
        after = indexing.written(run, owner, index, value, place)
        return excerpts.written(target, value, owner, after)
    return None


def _set_dict_item(run: Interpreter, owner: values.DictObject, key: Value, value: Value) -> None:
    if isinstance(key, values.Const):
        entries = dict(owner.fields["entries"])
        entries[key.value] = value
        run.state.set(owner.fields, "entries", entries)
    else:
        rest = owner.fields["rest"]
        joined = join([rest, value]) if isinstance(rest, Value) else value
        run.state.set(owner.fields, "rest", joined)
        entries = owner.fields["entries"]
        changed = {name: join([entry, value]) for name, entry in entries.items()}
        run.state.set(owner.fields, "entries", changed)


def _set_list_item(run: Interpreter, owner: values.ListObject, key: Value, value: Value) -> None:
    items = owner.fields["items"]
    if items is not None and isinstance(key, values.Const) and isinstance(key.value, int):
        if -len(items) <= key.value < len(items):
            changed = list(items)
            changed[key.value] = value
            run.state.set(owner.fields, "items", tuple(changed))
        return
    operations.append_unknown(run, owner, value)
