"""What a library's class gives to the project's classes that inherit from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    calls,
    catalogue,
    data,
    frameworks,
    library,
    methods,
    things,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


_CONSTRUCTED = frozenset(
    "layer optimizer optimizer_base scheduler loader trainer container".split()
)
"""Effects of library classes whose constructor matters to heirs of the project."""


def construct_base(
    run: Interpreter, instance: values.Instance, arguments: Arguments, place: Place
) -> None:
    """Run a library base class's constructor for an instance of a project class."""
    place = instance.place or place
    for base in instance.cls.external_bases():
        entry = catalogue.find(base)
        if entry is None:
            continue
        if entry.effect in _CONSTRUCTED:
            made = run.effects[entry.effect](run, entry, base, arguments, place)
            run.state.set(instance.fields, "<base>", made)
            if isinstance(made, values.Thing):
                made.fields["<owner>"] = instance
            reset = attributes.find_in_class(instance.cls, "reset_parameters")
            if entry.effect == "layer" and isinstance(reset, values.Function):
                run.call_function(reset, Arguments(), place, instance)
            return
    _fill_dataclass(run, instance, arguments)


def _fill_dataclass(run: Interpreter, instance: values.Instance, arguments: Arguments) -> None:
    """Fields of a dataclass or named tuple from the constructor's arguments."""
    names: list[str] = []
    for base in reversed(instance.cls.lineage):
        for statement in base.node.body:
            if isinstance(statement, ir.Assign) and statement.annotation is not None:
                target = statement.targets[0]
                if isinstance(target, ir.Name) and target.id not in names:
                    names.append(target.id)
    for name, value in arguments.bind(tuple(names)).items():
        run.state.set(instance.fields, name, value)


def attribute_of_base(
    run: Interpreter, instance: values.Instance, name: str, place: Place
) -> Value:
    """An attribute that the project's class inherits from a library class."""
    base = instance.fields.get("<base>")
    if isinstance(base, values.Thing):
        return things.attribute(run, base, name, place)
    if isinstance(base, values.Value) and name != "__init__":
        found = attributes.get_attribute(run, base, name, place)
        if not isinstance(found, values.Unknown):
            return found
    if name == "__init__" or _inherits_method(instance.cls, name):
        return values.Native(name, instance)
    return UNKNOWN


def _inherits_method(cls: values.Class, name: str) -> bool:
    bases = cls.external_bases()
    if any(library.is_module_class(base) for base in bases):
        return name in methods.MODULE_METHODS or name in frameworks.LIGHTNING_METHODS
    return False


def attribute_of_class(run: Interpreter, cls: values.Class, name: str, place: Place) -> Value:
    if name == "load_from_checkpoint":
        return values.Native(name, cls)
    if name == "__init__":
        return UNKNOWN
    return UNKNOWN


def call_base_method(
    run: Interpreter, instance: values.Instance, name: str, arguments: Arguments, place: Place
) -> Value:
    if name == "__init__":
        construct_base(run, instance, arguments, place)
        return NONE
    if name in frameworks.LIGHTNING_METHODS:
        return frameworks.call_lightning_method(run, instance, name, arguments, place)
    return methods.call_module_method(run, instance, name, arguments, place)


def call_base(
    run: Interpreter, instance: values.Instance, arguments: Arguments, place: Place
) -> Value:
    """Call an instance whose `__call__` comes from a library class."""
    base = instance.fields.get("<base>")
    if isinstance(base, Value):
        return calls.call(run, base, arguments, place)
    return calls.opaque(run, instance.cls.name, arguments, place)


def element_of_base(run: Interpreter, instance: values.Instance) -> Value:
    base = instance.fields.get("<base>")
    return data.element(run, base) if isinstance(base, values.Thing) else UNKNOWN


def item_of_base(run: Interpreter, instance: values.Instance, key: Value, place: Place) -> Value:
    base = instance.fields.get("<base>")
    return things.item(run, base, key, place) if isinstance(base, values.Thing) else UNKNOWN
