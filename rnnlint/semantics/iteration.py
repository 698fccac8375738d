"""What iterating over an abstract value yields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rnnlint.semantics import attributes, bases, data, parameters, tensors, things, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

MAX_UNROLLED = 200
"""Known items are visited one by one up to this number."""


def known_items(run: Interpreter, value: Value) -> tuple[Value, ...] | None:
    """All items in order, or None when they are not known one by one."""
    if isinstance(value, values.Tuple):
        return value.items
    if isinstance(value, values.ListObject):
        items = value.fields["items"]
        return items if items is None or isinstance(items, tuple) else None
    if isinstance(value, values.DictObject):
        if value.fields["rest"] is not None:
            return None
        return tuple(values.Const(key) for key in value.fields["entries"])
    if isinstance(value, values.Parameters):
        return parameters.parameter_items(value)
    if isinstance(value, values.Container):
        return tuple(value.fields["children"].values())
    if isinstance(value, values.Const) and isinstance(value.value, str):
        return None
    if isinstance(value, values.Thing):
        return things.items(run, value)
    return None


def element(run: Interpreter, value: Value) -> Value:
    """Any one item."""
    items = known_items(run, value)
    if items:
        return join(list(items))
    if isinstance(value, values.ListObject):
        found = value.fields["element"]
        return found if isinstance(found, Value) else UNKNOWN
    if isinstance(value, values.DictObject):
        return UNKNOWN
    if isinstance(value, values.Tensor):
        return tensors.row(value)
    if isinstance(value, values.Shape):
        return values.Size()
    if isinstance(value, values.Union):
        return join([element(run, member) for member in value.members])
    if isinstance(value, values.Thing):
        return data.element(run, value)
    if isinstance(value, values.Instance):
        return _instance_element(run, value)
    return UNKNOWN


def _instance_element(run: Interpreter, value: values.Instance) -> Value:
    place = value.place or Place("", 0, 0)
    method = attributes.find_in_class(value.cls, "__iter__")
    if isinstance(method, values.Function):
        produced = run.call_function(method, Arguments(), place, value)
        if produced is not value:
            return element(run, produced)
        method = attributes.find_in_class(value.cls, "__next__")
        if isinstance(method, values.Function):
            return run.call_function(method, Arguments(), place, value)
        return UNKNOWN
    method = attributes.find_in_class(value.cls, "__getitem__")
    if isinstance(method, values.Function):
        return run.call_function(method, Arguments([UNKNOWN]), place, value)
    return bases.element_of_base(run, value)


def item(run: Interpreter, value: Value, index: int, total: int | None = None) -> Value:
    """The item at `index`, when unpacking into `total` names."""
    if isinstance(value, values.Union):
        found = [item(run, member, index, total) for member in value.members]
        return join(found)
    items = known_items(run, value)
    if items is not None:
        if total is not None and len(items) != total:
            return UNKNOWN
        return items[index] if index < len(items) else UNKNOWN
    if isinstance(value, values.Shape):
        return value.axis(index)
    return element(run, value)


def turns(run: Interpreter, value: Value) -> Iterator[tuple[Value, bool]]:
    """The items of the turns in which a loop's body is looked at.

    Known items are visited one by one; otherwise the body runs twice over the
    same abstract element, so that what one iteration carries into the next shows.
    A single turn is enough where nothing happened in it, where autograd is off, and
    within the second turn of another such loop: what it carries has shown in the first.
    """
    items = _all_items(run, value)
    if items is not None and len(items) <= MAX_UNROLLED and _worth_unrolling(items):
        yield from ((item, False) for item in items)
        if len(items) == 1 and not isinstance(items[0], values.Parameter):
            yield items[0], True
        return
    if items is not None and not items:
        yield UNKNOWN, False
        return
    repeated = element(run, value)
    seen = len(run.events)
    yield values.fresh_copy(repeated), False
    if len(run.events) > seen and not run.context.settled and run.context.gradients:
        yield values.fresh_copy(repeated), True


def _all_items(run: Interpreter, value: Value) -> tuple[Value, ...] | None:
    """The items of every alternative, one after the other."""
    if not isinstance(value, values.Union):
        return known_items(run, value)
    found: list[Value] = []
    for member in value.members:
        items = known_items(run, member)
        if items is None:
            return None
        found.extend(item for item in items if item not in found)
    return tuple(found)


def _worth_unrolling(items: tuple[Value, ...]) -> bool:
    return len(items) > 0 and (
        len(items) <= 4 or any(not isinstance(item, values.Const) for item in items)
    )


def padding_of(value: Value) -> values.Padding | None:
    """The padding of one sequence: a list that was filled up, or a row of a batch."""
    if isinstance(value, values.ListObject):
        found = value.fields.get("padding")
        return found if isinstance(found, values.Padding) else None
    if isinstance(value, values.Tensor) and value.batch_axis is None:
        return value.padding
    return None


def order_of(value: Value) -> tuple[str, values.Provenance]:
    """Whether a batch or its lengths are "sorted", in "arbitrary" order, or ""."""
    if isinstance(value, values.ListObject):
        return value.fields["order"], value.fields["order_steps"]
    if isinstance(value, values.Tensor):
        return value.order, value.order_steps
    return "", ()
