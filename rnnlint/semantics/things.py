"""Objects of libraries that are no modules: optimizers, loaders, trainers, batches, parsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import calls, data, frameworks, tensors, torchtext, training, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def attribute(run: Interpreter, thing: values.Thing, name: str, place: Place) -> Value:
    """`thing.name`"""
    value = thing.fields.get(name)
    if isinstance(value, Value):
        return value
    if thing.kind == "optimizer":
        return training.optimizer_attribute(thing, name)
    if thing.kind == "text_batch":
        return torchtext.text_batch_attribute(run, thing, name)
    if thing.kind == "encoding":
        return frameworks.encoding_item(thing, name)
    if thing.kind == "loader" and name == "dataset":
        return thing.options.get("dataset", UNKNOWN)
    if thing.kind == "namespace":
        return UNKNOWN
    if thing.kind == "fabric" and name == "device":
        return values.Device("gpu")
    return values.Native(name, thing)


def item(run: Interpreter, thing: values.Thing, key: Value, place: Place) -> Value:
    """`thing[key]`"""
    if thing.kind == "group":
        return training.group_item(thing, key)
    if thing.kind in ("encoding", "text_batch") and isinstance(key, values.Const):
        return attribute(run, thing, str(key.value), place)
    if thing.kind in ("namespace", "model_output") and isinstance(key, values.Const):
        value = thing.fields.get(key.value)
        return value if isinstance(value, Value) else UNKNOWN
    if thing.kind == "tensor_dataset":
        return data.element(run, thing)
    return UNKNOWN


def set_item(run: Interpreter, thing: values.Thing, key: Value, value: Value, place: Place) -> None:
    """`thing[key] = value`"""
    if thing.kind == "group":
        training.set_group_item(run, thing, key, place)
    elif isinstance(key, values.Const):
        run.state.set(thing.fields, key.value, value)


def items(run: Interpreter, thing: values.Thing) -> tuple[Value, ...] | None:
    """All items in order; None when they are not known one by one."""
    if thing.kind == "model_output":
        return (thing.fields["last_hidden_state"], thing.fields["pooler_output"])
    return None


def call(run: Interpreter, thing: values.Thing, arguments: Arguments, place: Place) -> Value:
    """`thing(...)`"""
    if thing.kind == "padding_collator":
        return frameworks.encode(run, arguments, thing.place or place)
    if thing.kind == "transformer":
        return frameworks.run_transformer(run, thing, arguments, place)
    if frameworks.is_tokenizer_call("__call__", arguments):
        return frameworks.encode(run, arguments, place)
    return tensors.mixed(arguments.all())


def call_method(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    """`thing.name(...)`"""
    if thing.kind == "environment":
        return UNKNOWN
    if thing.kind == "text_dataset":
        return values.ListObject(None, thing)
    handler = run.thing_methods.get(thing.kind)
    if handler is not None:
        return handler(run, thing, name, arguments, place)
    return calls.opaque(run, name, arguments, place)
