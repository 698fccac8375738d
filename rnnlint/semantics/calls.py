"""Calls: dispatching a callee to the project's code or to a library's effect."""

from __future__ import annotations

from rnnlint.semantics import (
    attributes,
    events,
    frameworks,
    library,
    modules,
    tensors,
    training,
    values,
)
from rnnlint.semantics.interpreter import Arguments, Interpreter
from rnnlint.semantics.values import Place, Value

MAX_ALTERNATIVES = 24


def call_method(
    run: Interpreter, receiver: Value, name: str, arguments: Arguments, place: Place
) -> Value:
    """`receiver.name(...)`."""

    if isinstance(receiver, values.Union):
        results = []
        for number, member in enumerate(receiver.members[:MAX_ALTERNATIVES]):
            with run.condition(place, -1 - number):
                results.append(call_method(run, member, name, arguments, place))
        return values.join_results(results)
    callee = attributes.get_attribute(run, receiver, name, place)
    if isinstance(callee, values.Unknown):
        return library.unknown_method(run, receiver, name, arguments, place)
    return call(run, callee, arguments, place)


def call(run: Interpreter, callee: Value, arguments: Arguments, place: Place) -> Value:
    """The value of a call."""

    run.tick()
    if isinstance(callee, values.Bound):
        training.note_override(run, callee, arguments, place)
        return run.call_function(callee.function, arguments, place, callee.receiver)
    if isinstance(callee, values.Function):
        return run.call_function(callee, arguments, place)
    if isinstance(callee, values.Class):
        instance = run.instantiate(callee, arguments, place)
        if "<instance>" not in callee.fields:
            callee.fields["<instance>"] = instance
        return instance
    if isinstance(callee, values.External):
        return library.call_external(run, callee.name, arguments, place)
    if isinstance(callee, values.Native):
        return library.call_native(run, callee, arguments, place)
    if isinstance(callee, values.Instance):
        return call_instance(run, callee, arguments, place)
    if isinstance(callee, (values.Layer, values.Container)):
        return modules.call_module(run, callee, arguments, place)
    if isinstance(callee, values.Thing):
        return library.call_thing(run, callee, arguments, place)
    if isinstance(callee, values.Partial):
        merged = Arguments(
            [*callee.args, *arguments.positional],
            {**callee.keywords, **arguments.keywords},
            arguments.open,
        )
        return call(run, callee.function, merged, place)
    if isinstance(callee, values.Union):
        results = []
        for number, member in enumerate(callee.members[:MAX_ALTERNATIVES]):
            with run.condition(place, -1 - number):
                results.append(call(run, member, arguments, place))
        return values.join_results(results)
    if frameworks.is_tokenizer_call("__call__", arguments):
        return frameworks.encode(run, arguments, place)
    return opaque(run, "", arguments, place)


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
    return library.call_base(run, instance, arguments, place)


def opaque(run: Interpreter, callee: str, arguments: Arguments, place: Place) -> Value:
    """A call into code that was not seen: what went in may come out."""

    given = tuple(
        value for argument in arguments.all() for value in modules.trainables(run, argument)
    )
    if given:
        run.emit(events.Opaque(place, run.context, callee, given))
    return tensors.mixed(arguments.all())
