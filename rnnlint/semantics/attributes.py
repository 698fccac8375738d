"""Reading and writing attributes of abstract values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.semantics import (
    bases,
    companion,
    joins,
    library,
    modules,
    notes,
    parameters,
    tensors,
    things,
    training,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def find_in_class(cls: values.Class, name: str, after: values.Class | None = None) -> Value | None:
    """The class attribute `name`, looked up along the bases.

    Args:
        cls: the class of the instance.
        name: the attribute's name.
        after: start behind this class, as `super()` does.
    """
    started = after is None
    for base in cls.lineage:
        if not started:
            started = base is after
            continue
        value = base.fields.get(name)
        if value is not None and isinstance(value, Value):
            return value
    return None


def known_instance(run: Interpreter, cls: values.Class) -> Value | None:
    """An instance of the class that the program builds somewhere, if it does."""
    made = cls.fields.get("<instance>")
    return made if isinstance(made, Value) else None


def get_attribute(run: Interpreter, owner: Value, name: str, place: Place) -> Value:
    """The value of `owner.name`; UNKNOWN when that was not seen."""
    if isinstance(owner, values.Union):
        found = [get_attribute(run, member, name, place) for member in owner.members]
        return joins.join_results(found)
    reader = _READERS.get(type(owner))
    if reader is not None:
        return reader(run, owner, name, place)
    if isinstance(owner, (values.ListObject, values.DictObject, values.Tuple, values.Const)):
        return _container_attribute(owner, name)
    if isinstance(owner, values.Unknown):
        return _UNKNOWNS.get(name, UNKNOWN)
    return UNKNOWN


def _container_attribute(owner: Value, name: str) -> Value:
    if isinstance(owner, values.DictObject) and name in owner.fields["entries"]:
        found = owner.fields["entries"][name]
        return found if isinstance(found, Value) else UNKNOWN
    if isinstance(owner, values.Const) and owner.value is None:
        return UNKNOWN
    if isinstance(owner, values.NamedTuple) and name in owner.names:
        return owner.items[owner.names.index(name)]
    if isinstance(owner, values.Tuple) and len(owner.items) == 2 and name in _PAIR:
        return owner.items[_PAIR[name]]
    return values.Native(name, owner)


_PAIR = {"values": 0, "indices": 1}
"""What `torch.sort`, `torch.max` and their like call the two parts of their result."""


def _module(run: Interpreter, owner: values.ModuleScope, name: str, place: Place) -> Value:
    value = owner.fields.get(name)
    if isinstance(value, Value):
        return value
    for star in owner.fields.get("<stars>", ()):
        if library.knows(f"{star}.{name}"):
            return values.External(f"{star}.{name}")
    if owner.path.endswith("__init__.py"):
        path = run.resolve(owner.path, name, 1)
        if path is not None:
            return run.imported(path)
    return UNKNOWN


def _folder(run: Interpreter, owner: values.Folder, name: str, place: Place) -> Value:
    path = run.resolve(owner.path + "__init__.py", name, 1)
    if path is None:
        return UNKNOWN
    return run.imported(path)


def _external(run: Interpreter, owner: values.External, name: str, place: Place) -> Value:
    return library.attribute_of_external(run, owner, name, place)


def _instance(run: Interpreter, owner: values.Instance, name: str, place: Place) -> Value:
    value = owner.fields.get(name)
    if isinstance(value, Value):
        return value
    if name == "__class__":
        return owner.cls
    found = find_in_class(owner.cls, name)
    if found is not None:
        return _bind(run, found, owner, owner.cls, place)
    return bases.attribute_of_base(run, owner, name, place)


def _bind(
    run: Interpreter, found: Value, receiver: Value, cls: values.Class, place: Place
) -> Value:
    if isinstance(found, values.Function):
        if found.kind == "property":
            return run.call_function(found, Arguments(), place, receiver)
        if found.kind == "static":
            return found
        if found.kind == "class":
            return values.Bound(found, cls)
        return values.Bound(found, receiver)
    return found


def _class(run: Interpreter, owner: values.Class, name: str, place: Place) -> Value:
    if name == "__name__":
        return values.Const(owner.name)
    found = find_in_class(owner, name)
    if found is not None and _is_enum(owner) and not isinstance(found, values.Function):
        member = values.Thing("member", name, place, {})
        member.fields.update({"value": found, "name": values.Const(name)})
        return member
    if found is None:
        return bases.attribute_of_class(run, owner, name, place)
    if isinstance(found, values.Function) and found.kind == "class":
        return values.Bound(found, owner)
    return found


def _is_enum(cls: values.Class) -> bool:
    return any(base.startswith("enum.") for base in cls.external_bases())


def _super(run: Interpreter, owner: values.Super, name: str, place: Place) -> Value:
    receiver = owner.receiver
    cls = receiver.cls if isinstance(receiver, values.Instance) else receiver
    if isinstance(cls, values.Class):
        found = find_in_class(cls, name, after=owner.cls)
        if found is not None:
            return _bind(run, found, receiver, cls, place)
    if isinstance(receiver, values.Instance):
        return bases.attribute_of_base(run, receiver, name, place)
    return UNKNOWN


def _layer(run: Interpreter, owner: values.Layer, name: str, place: Place) -> Value:
    value = owner.fields.get(name)
    return value if isinstance(value, Value) else modules.layer_attribute(owner, name, place)


def _library_container(run: Interpreter, owner: values.Container, name: str, place: Place) -> Value:
    value = owner.fields.get(name)
    if isinstance(value, Value):
        return value
    child = owner.fields["children"].get(name)
    if child is None and owner.kind in companion.WRAPPERS:
        return companion.wrapper_attribute(run, owner, name, place)
    return child if isinstance(child, Value) else values.Native(name, owner)


def _tensor(run: Interpreter, owner: values.Tensor, name: str, place: Place) -> Value:
    return tensors.attribute(run, owner, name, place)


def _parameter(run: Interpreter, owner: values.Parameter, name: str, place: Place) -> Value:
    return parameters.parameter_attribute(owner, name, place)


def _gradient(run: Interpreter, owner: values.Gradient, name: str, place: Place) -> Value:
    return owner if name == "data" else values.Native(name, owner)


def _native(run: Interpreter, owner: Value, name: str, place: Place) -> Value:
    return values.Native(name, owner)


def _function(run: Interpreter, owner: values.Function, name: str, place: Place) -> Value:
    return values.Const(owner.name) if name == "__name__" else values.Native(name, owner)


_READERS: dict[type, Callable[[Interpreter, Any, str, Place], Value]] = {
    values.ModuleScope: _module,
    values.Folder: _folder,
    values.External: _external,
    values.Instance: _instance,
    values.Class: _class,
    values.Super: _super,
    values.Layer: _layer,
    values.Container: _library_container,
    values.Tensor: _tensor,
    values.Parameter: _parameter,
    values.Thing: lambda *read: things.attribute(*read),
    values.Parameters: _native,
    values.Gradient: _gradient,
    values.Size: _native,
    values.Function: _function,
}


_UNKNOWNS: dict[str, Value] = {
    "grad": values.Gradient(),
    "shape": values.Shape(),
    "estimated_stepping_batches": values.Size(),
}
"""Attributes whose name says what they are, whoever's they may be."""


_PLAIN_OWNERS = (values.Instance, values.ModuleScope, values.Class, values.Thing)
"""What keeps an attribute as it was given."""
_PLAIN_CONTAINERS = (values.ListObject, values.DictObject, values.Tuple)
_GRADIENT_OWNERS = (values.Parameter, values.Tensor, values.Unknown)


def set_attribute(run: Interpreter, owner: Value, name: str, value: Value, place: Place) -> None:
    """`owner.name = value`."""
    for member in values.members(owner):
        if isinstance(member, _PLAIN_OWNERS):
            run.state.set(member.fields, name, value)
            if isinstance(value, _PLAIN_CONTAINERS) and isinstance(member, values.Instance):
                notes.note_kept(run, member, value, place)
        elif isinstance(member, (values.Layer, values.Container)):
            modules.set_layer_attribute(run, member, name, value, place)
        elif isinstance(member, values.Parameter) and name == "requires_grad":
            modules.set_learning(run, member.layer, value)
        elif isinstance(member, values.Parameter) and name == "data":
            parameters.initialise(run, member, "assign", None, place)
        elif name == "grad" and isinstance(member, _GRADIENT_OWNERS):
            training.replace_gradient(run, place)
