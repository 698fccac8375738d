"""Methods of torch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from rnnlint.semantics import (
    attributes,
    calls,
    events,
    modules,
    notes,
    parameters,
    tensors,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def call_module_method(
    run: Interpreter, module: Value, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method that every torch module has."""
    method = _METHODS.get(name)
    if method is not None:
        return method(run, module, arguments, place)
    if isinstance(module, values.Layer) and name == "from_pretrained":
        return module
    if isinstance(module, values.Layer) and name.startswith("reset_parameters"):
        return values.NONE
    if isinstance(module, values.Layer) and name == "_fill_padding_idx_with_zero":
        row = values.Parameter(module, "weight", 2, part="slice")
        parameters.initialise(run, row, "zeros", values.Const(0), place)
        return values.NONE

    return calls.opaque(
        run, name, Arguments([module, *arguments.positional], arguments.keywords), place
    )


Method: TypeAlias = "Callable[[Interpreter, Value, Arguments, Place], Value]"


def _itself(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return module


def _nothing(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.NONE


def _train(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    mode = arguments.get(0, "mode")
    notes.note_mode(run, module, True if mode is None else values.truth(mode), place)
    return module


def _eval(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    notes.note_mode(run, module, False, place)
    return module


def _parameters(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.Parameters((module,))


def _named_parameters(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.Parameters((module,), named=True)


def _state_dict(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    """The parameters by name: they share their storage with the module's."""
    items = parameters.parameter_items(values.Parameters((module,), named=True))
    if items is None:
        return UNKNOWN
    entries = {
        item.items[0].value: item.items[1]
        for item in items
        if isinstance(item, values.Tuple) and isinstance(item.items[0], values.Const)
    }
    return values.DictObject(entries)


def _load(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    run.emit(events.Load(place, run.context, modules.layers_in(module)))
    return UNKNOWN


def _zero_grad(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    run.emit(events.OptimizerEvent(place, run.context, "zero_grad", module))
    return values.NONE


def _require_grad(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    wanted = arguments.get(0, "requires_grad")
    for layer in modules.layers_in(module):
        modules.set_learning(run, layer, values.TRUE if wanted is None else wanted)
    return module


def _apply(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    function = arguments.get(0, "fn")
    if function is not None:
        for member in modules.all_modules(module):
            calls.call(run, function, Arguments([member]), place)
    return module


def _modules(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(tuple(modules.all_modules(module)))


def _named_modules(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    pairs: list[Value] = [values.Tuple((values.Const(""), module))]
    pairs += [
        values.Tuple((values.Const(path), layer)) for path, layer in modules.leaves(module) if path
    ]
    return values.ListObject(tuple(pairs))


def _children(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(tuple(child for _, child in modules.children(module)))


def _named_children(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(
        tuple(values.Tuple((values.Const(name), child)) for name, child in modules.children(module))
    )


def _add_module(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    name, child = arguments.get(0, "name"), arguments.get(1, "module")
    key = name.value if isinstance(name, values.Const) else f"<{place.start}>"
    if child is not None and isinstance(module, values.Object):
        if isinstance(module, values.Container):
            run.state.set(module.fields, "children", {**module.fields["children"], key: child})
        else:
            run.state.set(module.fields, key, child)
    return values.NONE


def _append(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    child = arguments.get(0, "module")
    if isinstance(module, values.Container) and child is not None:
        known = module.fields["children"]
        run.state.set(module.fields, "children", {**known, len(known): child})
    return module


def _extend(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    more = arguments.get(0, "modules")
    if isinstance(module, values.Container) and more is not None:
        modules.extend(run, module, more)
    return module


def _forward(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    if isinstance(module, (values.Layer, values.Container)):
        return modules.call_module(run, module, arguments, place)
    return tensors.mixed(arguments.all())


def _buffer(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    name, value = arguments.get(0, "name"), arguments.get(1, "tensor", "param")
    if isinstance(name, values.Const) and value is not None and isinstance(module, values.Object):
        run.state.set(module.fields, name.value, value)
    return values.NONE


def _items(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(
        tuple(values.Tuple((values.Const(name), child)) for name, child in modules.children(module))
    )


def _get_parameter(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    name = arguments.get(0, "target")
    if isinstance(name, values.Const):
        return attributes.get_attribute(run, module, str(name.value), place)
    return UNKNOWN


_METHODS: dict[str, Method] = {
    **dict.fromkeys(
        "to cuda cpu float double half bfloat16 type share_memory xpu "
        "compile to_empty __enter__".split(),
        _itself,
    ),
    **dict.fromkeys(
        "flatten_parameters reset_parameters register_forward_hook register_backward_hook "
        "register_full_backward_hook extra_repr save_hyperparameters log log_dict print "
        "freeze unfreeze".split(),
        _nothing,
    ),
    "train": _train,
    "eval": _eval,
    "parameters": _parameters,
    "named_parameters": _named_parameters,
    "load_state_dict": _load,
    "state_dict": _state_dict,
    "zero_grad": _zero_grad,
    "requires_grad_": _require_grad,
    "apply": _apply,
    "modules": _modules,
    "named_modules": _named_modules,
    "children": _children,
    "named_children": _named_children,
    "add_module": _add_module,
    "register_module": _add_module,
    "append": _append,
    "insert": _append,
    "extend": _extend,
    "forward": _forward,
    "__call__": _forward,
    "register_buffer": _buffer,
    "register_parameter": _buffer,
    "items": _items,
    "values": _children,
    "get_parameter": _get_parameter,
}


MODULE_METHODS = frozenset(_METHODS)
