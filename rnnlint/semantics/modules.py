"""Torch modules: their layers and parameters, what calling them does, initialisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import attributes, calls, events, iteration, library, tensors, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

RECURRENT = ("LSTM", "GRU", "RNN")
CELLS = ("LSTMCell", "GRUCell", "RNNCell")
GATES = {"LSTM": ("input", "forget", "cell", "output"), "GRU": ("reset", "update", "new")}
WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel")
MAX_GRAPH = 48
"""Calls of recurrent layers that a tensor remembers."""
MAX_STACKED = 3
"""Stacked layers whose parameters are listed one by one."""


def is_recurrent(layer: values.Layer) -> bool:
    """Whether the layer runs over whole sequences (LSTM, GRU, RNN)."""
    return layer.kind in RECURRENT


def has_recurrence(layer: values.Layer) -> bool:
    """Whether the layer is recurrent or the cell of a recurrence."""
    return layer.kind in RECURRENT or layer.kind in CELLS


def option(layer: values.Layer, name: str) -> Value:
    """A constructor argument, PyTorch's default where it was not given."""
    given = layer.options.get(name)
    if given is not None:
        return given
    return _DEFAULTS.get(name, UNKNOWN)


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
            if isinstance(value.fields.get("<base>"), values.Layer)
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

    return any(library.is_module_class(name) for name in instance.cls.external_bases())


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
    if isinstance(twin, values.Object) and twin is not value:
        for key, field in value.fields.items():  # type: ignore[attr-defined]
            twin.fields[key] = _copied_field(field, seen)
    return twin


def _copied_field(field: object, seen: dict[int, Value]) -> object:
    if isinstance(field, dict):
        return {key: _copied_field(item, seen) for key, item in field.items()}
    return copied(field, seen) if isinstance(field, Value) else field


# --- parameters ------------------------------------------------------------


def parameter_names(layer: values.Layer) -> list[tuple[str, int]]:
    """(name, rank) of a layer's parameters, in PyTorch's order."""
    if layer.kind in CELLS:
        return [("weight_ih", 2), ("weight_hh", 2), ("bias_ih", 1), ("bias_hh", 1)]
    if layer.kind in RECURRENT:
        layers = option(layer, "num_layers")
        count = layers.value if isinstance(layers, values.Const) else 1
        count = count if isinstance(count, int) and count > 0 else 1
        both = values.default_truth(option(layer, "bidirectional")) is True
        return [
            (f"{name}_l{number}{direction}", rank)
            for number in range(min(count, MAX_STACKED))
            for direction in (("", "_reverse") if both else ("",))
            for name, rank in (
                ("weight_ih", 2), ("weight_hh", 2), ("bias_ih", 1), ("bias_hh", 1),
            )
        ]  # fmt: skip
    if layer.kind in ("Linear", "Bilinear", "LazyLinear"):
        return [("weight", 2), ("bias", 1)]
    if layer.kind in ("Embedding", "EmbeddingBag"):
        return [("weight", 2)]
    if layer.kind.startswith("Conv"):
        return [
            ("weight", 2 + int(layer.kind[-2]) if layer.kind[-2:-1].isdigit() else 3),
            ("bias", 1),
        ]
    if "Norm" in layer.kind or layer.kind == "PReLU":
        return [("weight", 1), ("bias", 1)]
    return []


def parameter_items(iterable: values.Parameters) -> tuple[Value, ...] | None:
    """The parameters one by one; None when the modules are not known."""
    items: list[Value] = []
    known = False
    for module in iterable.modules:
        for path, layer in leaves(module):
            known = True
            for name, rank in parameter_names(layer):
                parameter = values.Parameter(layer, name, rank)
                dotted = f"{path}.{name}" if path else name
                items.append(
                    values.Tuple((values.Const(dotted), parameter)) if iterable.named else parameter
                )
    return tuple(items) if known else None


def layer_attribute(layer: values.Layer, name: str, place: Place) -> Value:
    if name == "__class__":
        return values.External(f"torch.nn.{layer.kind}")
    for known, rank in parameter_names(layer):
        if known == name:
            return values.Parameter(layer, name, rank)
    if has_recurrence(layer) and name.startswith(("weight_", "bias_")):
        return values.Parameter(layer, name, 2 if name.startswith("weight") else 1)
    if name == "_all_weights":
        names: tuple[Value, ...] = tuple(values.Const(known) for known, _ in parameter_names(layer))
        return values.ListObject((values.ListObject(names),))
    if name == "all_weights":
        parameters: tuple[Value, ...] = tuple(
            values.Parameter(layer, known, rank) for known, rank in parameter_names(layer)
        )
        return values.ListObject((values.ListObject(parameters),))
    if name in layer.options:
        return layer.options[name]
    if has_recurrence(layer) and name in _DEFAULTS:
        return _DEFAULTS[name]
    return values.Native(name, layer)


def set_layer_attribute(
    run: Interpreter, owner: values.Layer | values.Container, name: str, value: Value, place: Place
) -> None:
    if isinstance(owner, values.Container):
        run.state.set(owner.fields, name, value)
        return
    for known, rank in parameter_names(owner):
        if known == name:
            if not isinstance(value, values.Parameter):
                initialise(run, values.Parameter(owner, name, rank), "assign", value, place)
            return
    run.state.set(owner.fields, name, value)


def parameter_attribute(owner: values.Parameter, name: str, place: Place) -> Value:
    if name == "data":
        return owner
    if name == "grad":
        return values.Gradient(owner)
    if name == "ndim":
        return UNKNOWN if owner.rank is None else values.Const(owner.rank)
    if name == "shape":
        return values.Shape(("parameter", id(owner.layer), owner.name), rank=owner.rank)
    if name == "requires_grad":
        return values.Const(not is_frozen(owner.layer))
    return values.Native(name, owner)


def slice_parameter(
    owner: values.Parameter, index: tuple[Value, ...], node: ir.Subscript
) -> values.Parameter:
    """A part of a parameter, such as the forget gate's quarter of an LSTM's bias."""
    part = "slice"
    first = node.index[0]
    if isinstance(first, ir.Slice) and first.lower is not None and first.upper is not None:
        value = index[0]
        if isinstance(value, values.Slice) and _is_second_quarter(value, first):
            part = "forget"
    elif isinstance(first, ir.Slice) and first.lower is None and first.upper is not None:
        value = index[0]
        upper = value.upper if isinstance(value, values.Slice) else None
        if isinstance(upper, values.Size) and _scale(upper) == ("//", 4):
            part = "input"
    elif isinstance(first, ir.Slice) and first.lower is None and first.upper is None:
        part = owner.part
    return msgspec.structs.replace(owner, part=part)


def _is_second_quarter(bounds: values.Slice, node: ir.Slice) -> bool:
    """`bias[n // 4 : n // 2]` or `bias[hidden : 2 * hidden]`."""
    lower, upper = bounds.lower, bounds.upper
    sizes = isinstance(lower, values.Size) and isinstance(upper, values.Size)
    if sizes and (_scale(lower), _scale(upper)) == (("//", 4), ("//", 2)):
        return True
    if isinstance(lower, values.Const) and isinstance(upper, values.Const):
        try:
            return bool(upper.value == 2 * lower.value)
        except TypeError:
            return False
    text = node.upper
    if isinstance(text, ir.Binary) and text.op == "*" and node.lower is not None:
        for factor, other in ((text.left, text.right), (text.right, text.left)):
            if isinstance(factor, ir.Const) and factor.value == 2:
                return _outline(other) == _outline(node.lower)
    if isinstance(text, ir.Binary) and text.op == "//" and isinstance(node.lower, ir.Binary):
        halves = isinstance(text.right, ir.Const) and text.right.value == 2
        quarter = node.lower
        quarters = isinstance(quarter.right, ir.Const) and quarter.right.value == 4
        return halves and quarters and _outline(text.left) == _outline(quarter.left)
    return False


def _scale(size: Value | None) -> tuple[object, object]:
    """How a size was scaled: ("//", 4) for `n // 4`, `n / 4` and `n * 0.25`."""
    if not isinstance(size, values.Size) or not isinstance(size.of, tuple):
        return ("", None)
    if len(size.of) != 4 or size.of[0] != "scaled":
        return ("", None)
    _, _, op, factor = size.of
    if op == "*" and factor in (0.25, 0.5):
        return ("//", int(1 / factor))
    return ("//" if op == "/" else op, factor)


def _outline(node: ir.Expr) -> object:
    """An expression without its position, to compare two of them."""
    if isinstance(node, ir.Name):
        return node.id
    if isinstance(node, ir.Attribute):
        return (_outline(node.value), node.attr)
    if isinstance(node, ir.Const):
        return node.value
    return node


def initialise(
    run: Interpreter, parameter: values.Parameter, how: str, value: Value | None, place: Place
) -> None:
    """Record that a parameter's content is replaced."""
    run.emit(events.Init(place, run.context, parameter, how, value))


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
        return _call_recurrent(run, module, arguments, place)
    if module.kind in CELLS:
        return _call_cell(run, module, arguments, place)
    return library.apply_layer(run, module, arguments, place)


def _call_container(
    run: Interpreter, module: values.Container, arguments: Arguments, place: Place
) -> Value:

    inner = list(module.fields["children"].values())
    if module.kind in WRAPPERS:
        return calls.call(run, inner[0], arguments, place) if inner else UNKNOWN
    if module.kind == "PackingWrapper" and inner and arguments.positional:
        source = as_tensor(arguments.positional[0])
        packed = tensors.changed(source, packed=True, padding=None)
        return tensors.mixed([calls.call(run, inner[0], Arguments([packed]), place)])
    if module.kind != "Sequential" or not arguments.positional:
        return tensors.mixed(arguments.all())
    value = arguments.positional[0]
    for child in inner:
        value = calls.call(run, child, Arguments([value]), place)
    return value


def as_tensor(value: Value | None) -> Tensor:
    """The tensor that a value is, in the reading that speaks least against it."""
    if isinstance(value, Tensor):
        return value
    found = list(tensors.tensors_in(value)) if value is not None else []
    if isinstance(value, values.Union) and found:
        packed = [tensor for tensor in found if tensor.packed]
        clean = [tensor for tensor in found if tensor.padding is None]
        graph = frozenset(call for tensor in found for call in tensor.calls)
        return tensors.changed((packed or clean or found)[0], calls=graph)
    return Tensor(calls=frozenset(call for tensor in found for call in tensor.calls))


def _call_recurrent(
    run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place
) -> Value:
    given = arguments.get(0, "input")
    state = arguments.get(1, "hx")
    for tensor in tensors.tensors_in(state) if state is not None else []:
        tensors.touch(run, tensor, place)
    source = as_tensor(given)
    tensors.touch(run, source, place)
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    batch_first = option(layer, "batch_first")
    axis = None
    if isinstance(batch_first, values.Const):
        axis = 0 if batch_first.value else 1
    output = Tensor(
        padding=source.padding,
        packed=source.packed,
        batch_axis=None if source.packed else axis,
        batch_axis_steps=(Step(layer.place or place, f"declares batch_first={axis == 0}"),),
        calls=graph,
        output_of=call,
        part="output",
        device=source.device,
        device_steps=source.device_steps,
        order=source.order,
        order_steps=source.order_steps,
        root=("output", place) if source.root is not None else None,
        rank=3,
    )
    hidden = Tensor(calls=graph, output_of=call, part="hidden", rank=3, device=source.device)
    if layer.kind != "LSTM":
        return values.Tuple((output, hidden))
    cell = tensors.changed(hidden, part="cell")
    return values.Tuple((output, values.Tuple((hidden, cell))))


def _emit_call(
    run: Interpreter, layer: values.Layer, source: Tensor, state: Value | None, place: Place
) -> events.LayerCall:
    carries = state is not None and bool(tensors.graph_of(state))
    under = tuple(run.calls) if carries else ()
    call = events.LayerCall(place, run.context, layer, source, state, under)
    run.emit(call)
    return call


def _extended(
    graph: frozenset[events.LayerCall], call: events.LayerCall
) -> frozenset[events.LayerCall]:
    """A graph with one more call; of a layer called many times only the last calls."""
    if len(graph) < MAX_GRAPH:
        return graph | {call}
    kept: dict[values.Layer, list[events.LayerCall]] = {}
    for known in sorted(graph, key=lambda each: each.time):
        kept.setdefault(known.layer, []).append(known)
    return frozenset(each for latest in kept.values() for each in latest[-2:]) | {call}


def _call_cell(run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place) -> Value:
    source = as_tensor(arguments.get(0, "input"))
    state = arguments.get(1, "hx")
    call = _emit_call(run, layer, source, state, place)
    graph = source.calls | (tensors.graph_of(state) if state is not None else frozenset())
    graph = _extended(graph, call) if run.context.gradients else graph
    hidden = Tensor(calls=graph, output_of=call, part="hidden", rank=2, device=source.device)
    if layer.kind != "LSTMCell":
        return hidden
    return values.Tuple((hidden, tensors.changed(hidden, part="cell")))


# --- methods ---------------------------------------------------------------


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

    return calls.opaque(
        run, name, Arguments([module, *arguments.positional], arguments.keywords), place
    )


Method: TypeAlias = "Callable[[Interpreter, Value, Arguments, Place], Value]"


def _itself(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return module


def _nothing(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.NONE


def _parameters(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.Parameters((module,))


def _named_parameters(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.Parameters((module,), named=True)


def _state_dict(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    """The parameters by name: they share their storage with the module's."""
    items = parameter_items(values.Parameters((module,), named=True))
    if items is None:
        return UNKNOWN
    entries = {
        item.items[0].value: item.items[1]
        for item in items
        if isinstance(item, values.Tuple) and isinstance(item.items[0], values.Const)
    }
    return values.DictObject(entries)


def _load(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    run.emit(events.Load(place, run.context, layers_in(module)))
    return UNKNOWN


def _zero_grad(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    run.emit(events.OptimizerEvent(place, run.context, "zero_grad", module))
    return values.NONE


def _require_grad(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    wanted = arguments.get(0, "requires_grad")
    for layer in layers_in(module):
        freeze(run, layer, wanted is not None and values.truth(wanted) is False)
    return module


def freeze(run: Interpreter, layer: values.Layer, frozen: bool) -> None:
    """Take a layer out of training, or back into it; what a test decides leaves it in."""
    surely = not any(arm >= 0 for _, arm in run.context.conditions)
    run.state.set(layer.fields, "<frozen>", values.Const(frozen and surely))


def is_frozen(layer: values.Layer) -> bool:
    """Whether the program leaves the layer's parameters without gradients."""
    return layer.fields.get("<frozen>") == values.TRUE


def _apply(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:

    function = arguments.get(0, "fn")
    if function is not None:
        for member in all_modules(module):
            calls.call(run, function, Arguments([member]), place)
    return module


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


def _modules(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(tuple(all_modules(module)))


def _named_modules(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    pairs: list[Value] = [values.Tuple((values.Const(""), module))]
    pairs += [values.Tuple((values.Const(path), layer)) for path, layer in leaves(module) if path]
    return values.ListObject(tuple(pairs))


def _children(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(tuple(child for _, child in children(module)))


def _named_children(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(
        tuple(values.Tuple((values.Const(name), child)) for name, child in children(module))
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
        extend(run, module, more)
    return module


def extend(run: Interpreter, container: values.Container, more: Value) -> None:
    """Append modules to a ModuleList or Sequential: `layers.extend(more)`, `layers += more`."""
    known = dict(container.fields["children"])
    for child in iteration.known_items(run, more) or (iteration.element(run, more),):
        known[len(known)] = child
    run.state.set(container.fields, "children", known)


def _forward(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    if isinstance(module, (values.Layer, values.Container)):
        return call_module(run, module, arguments, place)
    return tensors.mixed(arguments.all())


def _buffer(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    name, value = arguments.get(0, "name"), arguments.get(1, "tensor", "param")
    if isinstance(name, values.Const) and value is not None and isinstance(module, values.Object):
        run.state.set(module.fields, name.value, value)
    return values.NONE


def _items(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(
        tuple(values.Tuple((values.Const(name), child)) for name, child in children(module))
    )


def _get_parameter(run: Interpreter, module: Value, arguments: Arguments, place: Place) -> Value:
    name = arguments.get(0, "target")
    if isinstance(name, values.Const):
        return attributes.get_attribute(run, module, str(name.value), place)
    return UNKNOWN


_METHODS: dict[str, Method] = {
    **dict.fromkeys(
        "to cuda cpu float double half bfloat16 train eval type share_memory xpu "
        "compile to_empty __enter__".split(),
        _itself,
    ),
    **dict.fromkeys(
        "flatten_parameters reset_parameters register_forward_hook register_backward_hook "
        "register_full_backward_hook extra_repr save_hyperparameters log log_dict print "
        "freeze unfreeze".split(),
        _nothing,
    ),
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


# --- parameters' methods ---------------------------------------------------

_OVERWRITING = frozenset(
    "uniform_ normal_ fill_ zero_ copy_ random_ bernoulli_ exponential_ log_normal_ set_".split()
)


def call_parameter_method(
    run: Interpreter, parameter: values.Parameter, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method of a parameter or of its `.data`."""
    if name in _OVERWRITING:
        value = values.Const(0) if name == "zero_" else arguments.get(0, "value")
        initialise(run, parameter, name.rstrip("_"), value, place)
        return parameter
    if name.endswith("_") and any(isinstance(value, values.Gradient) for value in arguments.all()):
        run.emit(events.OptimizerEvent(place, run.context, "step", parameter))
        return parameter
    if name in ("dim", "ndimension"):
        return UNKNOWN if parameter.rank is None else values.Const(parameter.rank)
    if name == "size":
        axis = arguments.get(0, "dim")
        root = ("parameter", id(parameter.layer), parameter.name)
        if isinstance(axis, values.Const) and isinstance(axis.value, int):
            return values.Size(root, axis.value)
        return values.Shape(root, rank=parameter.rank)
    if name == "numel":
        return values.Size(("parameter", id(parameter.layer), parameter.name), 0)
    if name in ("chunk", "split"):
        return _gates(parameter)
    if name in ("norm", "sum", "mean", "abs", "pow", "max", "min", "dot", "std", "square"):
        return Tensor()
    if name.startswith("new"):
        return Tensor(fresh=True)
    if name == "requires_grad_":
        wanted = arguments.get(0, "requires_grad")
        freeze(run, parameter.layer, wanted is not None and values.truth(wanted) is False)
        return parameter
    if name == "register_hook":
        run.emit(events.Clip(place, run.context, name, frozenset({parameter.layer})))
        return UNKNOWN
    return parameter


def _gates(parameter: values.Parameter) -> Value:
    """`weight.chunk(4)`: one item a gate."""
    names = GATES.get(parameter.layer.kind.removesuffix("Cell"), ())
    parts: tuple[Value, ...] = tuple(
        msgspec.structs.replace(parameter, part=name) for name in names
    )
    return values.ListObject(parts or (msgspec.structs.replace(parameter, part="slice"),))
