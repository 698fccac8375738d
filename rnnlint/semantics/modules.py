"""Torch modules: the layers and parameters in them, and what calling them does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from rnnlint.semantics import (
    calls,
    companion,
    events,
    iteration,
    library,
    parameters,
    recurrence,
    tensors,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

T = TypeVar("T")

RECURRENT = ("LSTM", "GRU", "RNN")
CELLS = ("LSTMCell", "GRUCell", "RNNCell")
WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel")


def is_recurrent(layer: values.Layer) -> bool:
    """Whether the layer runs over whole sequences (LSTM, GRU, RNN)."""
    return layer.kind in RECURRENT


def has_recurrence(layer: values.Layer) -> bool:
    """Whether the layer is recurrent or the cell of a recurrence."""
    return layer.kind in RECURRENT or layer.kind in CELLS


def is_plain(layer: values.Layer) -> bool:
    """Whether the recurrence of the layer has no gates: an RNN or its cell."""
    return layer.kind in ("RNN", "RNNCell")


def has_relu(layer: values.Layer) -> bool:
    """Whether the layer is an RNN, or its cell, with a ReLU in the place of the tanh."""
    nonlinearity = option(layer, "nonlinearity")
    relu = isinstance(nonlinearity, values.Const) and nonlinearity.value == "relu"
    return relu and is_plain(layer)


def is_bounded(layer: values.Layer) -> bool:
    """Whether the outputs of a recurrent layer surely come out of a tanh.

    They do unless a projection follows it, or a ReLU takes its place; a GRU adds them to its
    own state, and stays as small as that was.
    """
    if layer.kind.startswith("LSTM"):
        return option(layer, "proj_size") == values.Const(0)
    nonlinearity = option(layer, "nonlinearity")
    tanh = isinstance(nonlinearity, values.Const) and nonlinearity.value == "tanh"
    return has_recurrence(layer) and (tanh or not is_plain(layer))


def option(layer: values.Layer, name: str) -> Value:
    """A constructor argument, PyTorch's default where it was not given."""
    given = layer.options.get(name)
    if given is not None:
        return given
    return _DEFAULTS.get(name, UNKNOWN)


def dropout_rate(layer: values.Layer) -> float | None:
    """The share that a layer drops in training, when all options have their defaults."""
    if layer.kind in RECURRENT:
        given = option(layer, "dropout")
        between = option(layer, "num_layers")
        if not isinstance(between, values.Const) or between.value == 1:
            return None
    elif layer.kind in DROPOUTS:
        given = layer.options.get("p", layer.options.get("in_features", values.Const(0.5)))
    else:
        return None
    if isinstance(given, values.Const) and isinstance(given.value, (int, float)):
        return float(given.value)
    return None


DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")
BATCH_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")


def depends_on_mode(layer: values.Layer) -> bool:
    """Whether a layer surely does something else in training than in evaluation."""
    if layer.kind in BATCH_NORMS:
        return layer.options.get("track_running_stats") != values.FALSE
    return (dropout_rate(layer) or 0) > 0


def known_option(layer: values.Layer, name: str, kind: type[T]) -> T | None:
    """A constructor argument that the program itself decides; None where a user can change it."""
    given = option(layer, name)
    if isinstance(given, values.Const) and not given.option and isinstance(given.value, kind):
        return given.value
    return None


_DEFAULTS: dict[str, Value] = {
    "num_layers": values.Const(1),
    "batch_first": values.FALSE,
    "bidirectional": values.FALSE,
    "dropout": values.Const(0.0),
    "nonlinearity": values.Const("tanh"),
    "bias": values.TRUE,
    "proj_size": values.Const(0),
}


# --- the layers of a module ------------------------------------------------


def leaves(
    value: Value, prefix: str = "", seen: set[int] | None = None
) -> Iterator[tuple[str, values.Layer]]:
    """(dotted path, layer) of every layer registered in a module."""
    seen = set() if seen is None else seen
    for member in values.members(value):
        if isinstance(member, values.Layer):
            if id(member) not in seen:
                seen.add(id(member))
                yield prefix, member
            continue
        if isinstance(member, values.Object):
            if id(member) in seen:
                continue
            seen.add(id(member))
        for name, child in children(member):
            yield from leaves(child, f"{prefix}.{name}" if prefix else name, seen)


def children(value: Value) -> list[tuple[str, Value]]:
    """The submodules that a module registers, with their names."""
    if isinstance(value, values.Container):
        return [
            (str(name), child)
            for name, child in value.fields["children"].items()
            if isinstance(child, Value)
        ]
    if isinstance(value, values.Instance):
        return [
            (str(name), child)
            for name, child in value.fields.items()
            if isinstance(child, Value) and name != "<base>" and _is_module_like(child)
        ] + (
            [("", value.fields["<base>"])]
            if isinstance(value.fields.get("<base>"), (values.Layer, values.Container))
            else []
        )
    return []


def _is_module_like(value: Value) -> bool:
    return any(
        isinstance(member, (values.Layer, values.Container))
        or (isinstance(member, values.Instance) and is_module(member))
        for member in values.members(value)
    )


def is_module(instance: values.Instance) -> bool:
    """Whether the object is a torch module: some base class of it is one."""
    return is_module_class(instance.cls)


def is_module_class(cls: values.Class) -> bool:
    """Whether a class of the project is a torch module's."""
    return any(library.is_module_class(name) for name in cls.external_bases())


def is_forward(function: values.Function) -> bool:
    """Whether a function is the `forward` of a torch module."""
    owner = function.owner
    return function.name == "forward" and owner is not None and is_module_class(owner)


def layers_in(value: Value, depth: int = 4) -> frozenset[values.Layer]:
    """All layers that a value leads to: modules, parameters, lists of them."""
    found: set[values.Layer] = set()
    for member in values.members(value):
        if isinstance(member, (values.Layer, values.Container, values.Instance)):
            found.update(layer for _, layer in leaves(member))
        elif isinstance(member, values.Parameter):
            found.add(member.layer)
        elif isinstance(member, values.Parameters):
            for module in member.modules:
                found |= layers_in(module, depth)
        elif isinstance(member, values.Thing):
            given = member.options.get("params")
            if member.kind == "optimizer" and given is not None:
                found |= layers_in(given, depth)
            added = member.fields.get("<added>")
            if isinstance(added, Value):
                found |= layers_in(added, depth)
        elif depth:
            for inner in contained(member):
                found |= layers_in(inner, depth - 1)
    return frozenset(found)


def contained(value: Value) -> list[Value]:
    """The values that a plain container holds directly."""
    if isinstance(value, values.Tuple):
        return list(value.items)
    if isinstance(value, values.ListObject):
        items = value.fields["items"]
        inner = list(items) if items is not None else []
        if isinstance(value.fields["element"], Value):
            inner.append(value.fields["element"])
        return inner
    if isinstance(value, values.DictObject):
        inner = [v for v in value.fields["entries"].values() if isinstance(v, Value)]
        if isinstance(value.fields["rest"], Value):
            inner.append(value.fields["rest"])
        return inner
    return []


def optimizers_in(value: Value, depth: int = 3) -> list[values.Thing]:
    """The optimizers that a value is or holds, also by way of schedulers."""
    found: list[values.Thing] = []
    for member in values.members(value):
        if isinstance(member, values.Thing) and member.kind == "optimizer":
            found.append(member)
        elif depth:
            for inner in contained(member):
                found += optimizers_in(inner, depth - 1)
    return found


def trainables(run: Interpreter, value: Value) -> list[Value]:
    """Optimizers, parameters and modules with layers that a value holds."""
    return [
        member
        for member in [*values.members(value), *contained(value)]
        if isinstance(member, values.Parameters)
        or (isinstance(member, values.Thing) and member.kind in _TRAINING_THINGS)
        or (
            isinstance(member, (values.Layer, values.Container, values.Instance))
            and layers_in(member)
        )
    ]


_TRAINING_THINGS = ("optimizer", "trainer", "scheduler")


def note_several(value: Value) -> None:
    """A module is built more often than it is seen to be: `[LSTMCell(8, 8) for _ in sizes]`."""
    if isinstance(value, (values.Layer, values.Container, values.Instance)):
        for layer in layers_in(value):
            layer.fields["<several>"] = values.TRUE


def is_one_of_several(layer: values.Layer) -> bool:
    """Whether a layer stands for as many as the program builds at its place."""
    return "<several>" in layer.fields


def copied(value: Value, seen: dict[int, Value] | None = None) -> Value:
    """`copy.deepcopy(module)`: the same layers once more, with a life of their own."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)]
    twin: Value = value
    if isinstance(value, values.Layer):
        twin = values.Layer(value.kind, value.place or Place("", 0, 0), value.options, value.stack)
    elif isinstance(value, values.Container):
        twin = values.Container(value.kind, value.place or Place("", 0, 0), {})
    elif isinstance(value, values.Instance):
        twin = values.Instance(value.cls, value.place)
    elif isinstance(value, values.Union):
        return values.Union(tuple(copied(member, seen) for member in value.members))
    seen[id(value)] = twin
    if isinstance(value, values.Object) and isinstance(twin, values.Object) and twin is not value:
        for key, field in value.fields.items():
            twin.fields[key] = _copied_field(field, seen)
    return twin


def _copied_field(field: object, seen: dict[int, Value]) -> object:
    if isinstance(field, dict):
        return {key: _copied_field(item, seen) for key, item in field.items()}
    return copied(field, seen) if isinstance(field, Value) else field


# --- parameters ------------------------------------------------------------


def layer_attribute(layer: values.Layer, name: str, place: Place) -> Value:
    if name == "__class__":
        return values.External(f"torch.nn.{layer.kind}")
    for known, rank in parameters.parameter_names(layer):
        if known == name:
            return values.Parameter(layer, name, rank)
    if has_recurrence(layer) and name.startswith(("weight_", "bias_")):
        return values.Parameter(layer, name, 2 if name.startswith("weight") else 1)
    if name == "_all_weights":
        names: tuple[Value, ...] = tuple(
            values.Const(known) for known, _ in parameters.parameter_names(layer)
        )
        return values.ListObject((values.ListObject(names),))
    if name == "all_weights":
        every: tuple[Value, ...] = tuple(
            values.Parameter(layer, known, rank)
            for known, rank in parameters.parameter_names(layer)
        )
        return values.ListObject((values.ListObject(every),))
    if name in layer.options:
        return layer.options[name]
    if has_recurrence(layer) and name in _DEFAULTS:
        return _DEFAULTS[name]
    return values.Native(name, layer)


def set_layer_attribute(
    run: Interpreter, owner: values.Layer | values.Container, name: str, value: Value, place: Place
) -> None:
    if isinstance(owner, values.Container):
        if _is_module_like(value):
            run.state.set(owner.fields, "children", {**owner.fields["children"], name: value})
        else:
            run.state.set(owner.fields, name, value)
        return
    for known, rank in parameters.parameter_names(owner):
        if known == name:
            if isinstance(value, Tensor) and not value.attached and _is_alone(owner):
                set_learning(run, owner, values.FALSE)
            if not isinstance(value, values.Parameter):
                parameters.initialise(
                    run, values.Parameter(owner, name, rank), "assign", value, place
                )
            return
    run.state.set(owner.fields, name, value)


def _is_alone(layer: values.Layer) -> bool:
    """Whether a layer has a single parameter."""
    return len(parameters.parameter_names(layer)) == 1


# --- calling modules -------------------------------------------------------


def call_module(
    run: Interpreter,
    module: values.Layer | values.Container,
    arguments: Arguments,
    place: Place,
) -> Value:
    """Run a library's module on its input."""
    if isinstance(module, values.Container):
        return _call_container(run, module, arguments, place)
    if module.kind in RECURRENT:
        return recurrence.call_recurrent(run, module, arguments, place)
    if module.kind in CELLS:
        return recurrence.call_cell(run, module, arguments, place)
    return library.apply_layer(run, module, arguments, place)


def _call_container(
    run: Interpreter, module: values.Container, arguments: Arguments, place: Place
) -> Value:
    inner = list(module.fields["children"].values())
    if module.kind in WRAPPERS:
        result = calls.call(run, inner[0], arguments, place) if inner else UNKNOWN
        if module.kind == "DataParallel" and not _has_one_device(run, module):
            run.note(events.Replicated(place, run.context, tuple(arguments.all()), result))
        return result
    if module.kind in companion.WRAPPERS:
        return companion.call_wrapper(run, module, arguments, place)
    if module.kind == "PackingWrapper" and inner and arguments.positional:
        source = as_tensor(arguments.positional[0])
        packed = tensors.changed(source, packed=True, padding=None)
        return tensors.mixed([calls.call(run, inner[0], Arguments([packed]), place)])
    run.passages.chained.add(place)
    if module.kind != "Sequential" or not arguments.positional:
        return tensors.mixed(arguments.all())
    value = arguments.positional[0]
    for child in inner:
        value = calls.call(run, child, Arguments([value]), place)
    return value


def _has_one_device(run: Interpreter, module: values.Container) -> bool:
    """Whether DataParallel is told of one device alone, which gets the whole batch."""
    devices = module.fields.get("device_ids")
    known = iteration.known_items(run, devices) if isinstance(devices, Value) else None
    return known is not None and len(known) == 1


def as_tensor(value: Value | None) -> Tensor:
    """The tensor that a value is, in the reading that speaks least against it."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, values.UnknownExcerpt):
        return Tensor(excerpt=value.excerpt)
    found = list(tensors.tensors_in(value)) if value is not None else []
    if isinstance(value, values.Union) and found:
        packed = [tensor for tensor in found if tensor.packed]
        clean = [tensor for tensor in found if tensor.padding is None]
        graph = frozenset(call for tensor in found for call in tensor.calls)
        held = tensors.shared_values(value.members)
        return tensors.changed((packed or clean or found)[0], calls=graph, values_of=held)
    return Tensor(calls=frozenset(call for tensor in found for call in tensor.calls))


def set_learning(run: Interpreter, layer: values.Layer, learns: Value) -> None:
    """`requires_grad = learns`; what a test or an option decides may leave a layer in training."""
    surely = not any(arm >= 0 for _, arm in run.context.conditions)
    if values.truth(learns) is False and surely:
        frozen: Value = values.TRUE
    elif values.default_truth(learns) is True or run.context.unlikely:
        frozen = values.FALSE
    else:
        frozen = UNKNOWN
    run.state.set(layer.fields, "<frozen>", frozen)


def is_frozen(layer: values.Layer) -> bool:
    """Whether the program surely leaves the layer's parameters without gradients."""
    return layer.fields.get("<frozen>") == values.TRUE


def may_be_frozen(layer: values.Layer) -> bool:
    """Whether it leaves them without gradients where nothing is chosen against its defaults."""
    return bool(layer.fields.get("<frozen>", values.FALSE) != values.FALSE)


def all_modules(module: Value, seen: set[int] | None = None) -> list[Value]:
    """The module and all below it, children first."""
    seen = set() if seen is None else seen
    found: list[Value] = []
    for member in values.members(module):
        if id(member) in seen:
            continue
        seen.add(id(member))
        for _, child in children(member):
            found.extend(all_modules(child, seen))
        found.append(member)
    return found


def extend(run: Interpreter, container: values.Container, more: Value) -> None:
    """Append modules to a ModuleList or Sequential: `layers.extend(more)`, `layers += more`."""
    known = dict(container.fields["children"])
    for child in iteration.known_items(run, more) or (iteration.element(run, more),):
        known[len(known)] = child
    run.state.set(container.fields, "children", known)
