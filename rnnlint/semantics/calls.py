"""Calls: dispatching a callee to the project's code or to a library's effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.semantics import (
    attributes,
    bases,
    events,
    frameworks,
    joins,
    library,
    modules,
    tensors,
    things,
    training,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def call_method(
    run: Interpreter, receiver: Value, name: str, arguments: Arguments, place: Place
) -> Value:
    """`receiver.name(...)`."""
    if isinstance(receiver, values.Union):
        results = []
        for number, member in enumerate(receiver.members):
            with run.condition(place, -1 - number):
                results.append(call_method(run, member, name, arguments, place))
        return joins.join_results(results)
    callee = attributes.get_attribute(run, receiver, name, place)
    misread = name == "backward" and isinstance(receiver, _NO_LOSSES)
    if misread or isinstance(callee, values.Unknown):
        run.passages.unknown.add(place)
        return library.unknown_method(run, receiver, name, arguments, place)
    return call(run, callee, arguments, place)


_NO_LOSSES = (values.Size, values.Shape, values.Parameter, values.Const, values.ListObject)
"""What has no `backward`: where it is called, the value is not what it was taken for."""


def call(run: Interpreter, callee: Value, arguments: Arguments, place: Place) -> Value:
    """The value of a call."""
    run.tick()
    caller = _CALLERS.get(type(callee))
    if caller is not None:
        return caller(run, callee, arguments, place)
    run.passages.unknown.add(place)
    if frameworks.is_tokenizer_call("__call__", arguments):
        return frameworks.encode(run, arguments, place)
    return opaque(run, "", arguments, place)


def _bound(run: Interpreter, callee: values.Bound, arguments: Arguments, place: Place) -> Value:
    training.note_override(run, callee, arguments, place)
    return run.call_function(callee.function, arguments, place, callee.receiver)


def _function(
    run: Interpreter, callee: values.Function, arguments: Arguments, place: Place
) -> Value:
    return run.call_function(callee, arguments, place)


def _class(run: Interpreter, callee: values.Class, arguments: Arguments, place: Place) -> Value:
    instance = run.instantiate(callee, arguments, place)
    if "<instance>" not in callee.fields:
        run.state.set(callee.fields, "<instance>", instance)
    return instance


def _external(
    run: Interpreter, callee: values.External, arguments: Arguments, place: Place
) -> Value:
    return library.call_external(run, callee.name, arguments, place)


def _partial(run: Interpreter, callee: values.Partial, arguments: Arguments, place: Place) -> Value:
    merged = Arguments(
        [*callee.args, *arguments.positional],
        {**callee.keywords, **arguments.keywords},
        arguments.open,
    )
    return call(run, callee.function, merged, place)


def _union(run: Interpreter, callee: values.Union, arguments: Arguments, place: Place) -> Value:
    results = []
    for number, member in enumerate(callee.members):
        with run.condition(place, -1 - number):
            results.append(call(run, member, arguments, place))
    return joins.join_results(results)


def call_instance(
    run: Interpreter, instance: values.Instance, arguments: Arguments, place: Place
) -> Value:
    """`model(x)`: `__call__`, or `forward` of a torch module."""
    for name in ("__call__", "forward"):
        method = attributes.find_in_class(instance.cls, name)
        if isinstance(method, values.Function):
            return run.call_function(method, arguments, place, instance)
    replaced = instance.fields.get("forward")
    if isinstance(replaced, Value):
        return call(run, replaced, arguments, place)
    return bases.call_base(run, instance, arguments, place)


def opaque(run: Interpreter, callee: str, arguments: Arguments, place: Place) -> Value:
    """A call into code that was not seen: what went in may come out."""
    given = tuple(
        value for argument in arguments.all() for value in modules.trainables(run, argument)
    )
    if given:
        run.emit(events.Opaque(place, run.context, callee, given))
    return tensors.mixed(arguments.all())


_CALLERS: dict[type, Callable[[Interpreter, Any, Arguments, Place], Value]] = {
    values.Bound: _bound,
    values.Function: _function,
    values.Class: _class,
    values.External: _external,
    values.Native: lambda *call: library.call_native(*call),
    values.Instance: call_instance,
    values.Layer: lambda *call: modules.call_module(*call),
    values.Container: lambda *call: modules.call_module(*call),
    values.Thing: lambda *call: things.call(*call),
    values.Partial: _partial,
    values.Union: _union,
}
"""Who carries out a call, by the kind of callee; modules that need this one come late."""
