"""Library objects: looking them up in the catalogue and applying their effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import (
    axes,
    bases,
    calls,
    catalogue,
    containers,
    data,
    events,
    excerpts,
    frameworks,
    iteration,
    lengths,
    methods,
    modules,
    notes,
    padding,
    parameters,
    python,
    tensors,
    things,
    training,
    values,
)
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect
from rnnlint.semantics.values import NONE, UNKNOWN, Axis, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

canonical = catalogue.canonical


def knows(name: str) -> bool:
    """Whether the catalogue lists this library name."""
    return catalogue.find(name) is not None


def is_module_class(name: str) -> bool:
    """Whether a library class is a torch module."""
    entry = catalogue.find(name)
    return entry is not None and entry.effect in ("module_base", "layer", "container", "wrapper")


def attribute_of_external(
    run: Interpreter, owner: values.External, name: str, place: Place
) -> Value:
    if name == "__name__":
        return values.Const(owner.name.rsplit(".", 1)[-1])
    return values.External(f"{owner.name}.{name}")


# --- calling library names -------------------------------------------------


def call_external(run: Interpreter, name: str, arguments: Arguments, place: Place) -> Value:
    """The value of calling a library function or class."""
    function = python.FUNCTIONS.get(name) or python.FUNCTIONS.get(canonical(name))
    if function is not None:
        return function(run, arguments, place)
    entry = catalogue.find(name)
    if entry is None:
        return _uncatalogued(run, name, arguments, place)
    return run.effects[entry.effect](run, entry, name, arguments, place)


def _uncatalogued(run: Interpreter, name: str, arguments: Arguments, place: Place) -> Value:
    last = name.rsplit(".", 1)[-1]
    first = arguments.get(0, "params", "parameters")
    if first is not None and last[:1].isupper() and training.leads_to_parameters(first):
        return training.build_optimizer(run, last, arguments, place, foreign=True)
    if last in ("pad_sequences",):
        return padding.keras_pad(run, arguments, place)
    return frameworks.unknown_external(run, name, arguments, place)


def _layer(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return build_layer(run, entry, arguments, place)


def build_layer(run: Interpreter, entry: Entry, arguments: Arguments, place: Place) -> values.Layer:
    """Construct a library layer and note it."""
    options = arguments.bind(entry.parameters)
    if arguments.open:
        options = {**{key: UNKNOWN for key in entry.parameters if key not in options}, **options}
    layer = values.Layer(entry.kind, place, options, run.context.stack)
    if modules.has_recurrence(layer):
        layer.context = run.context
        run.layers.append(layer)
    return layer


def _any_layer(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`getattr(nn, kind)(...)` with a kind that nobody knows."""
    if {"batch_first", "bidirectional", "num_layers"} & set(arguments.keywords):
        return build_layer(run, Entry("layer", "LSTM", entry.parameters), arguments, place)
    return tensors.mixed(arguments.all())


def _container(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    children: dict[object, Value] = {}
    given = arguments.positional or [
        value for key, value in arguments.keywords.items() if key in ("modules", "args")
    ]
    if len(given) == 1 and isinstance(given[0], values.DictObject):
        children = dict(given[0].fields["entries"])
        if isinstance(given[0].fields["rest"], Value):
            children["?"] = given[0].fields["rest"]
    elif entry.kind == "ModuleList":
        items = iteration.known_items(run, given[0]) if given else ()
        if items is None:
            items = (iteration.element(run, given[0]),)
        children = dict(enumerate(items))
    else:
        if len(given) == 1 and isinstance(given[0], values.Slice) and given[0].lower is not None:
            given = [iteration.element(run, given[0].lower)]  # `Sequential(*layers)`
        children = dict(enumerate(given))
    return values.Container(entry.kind, place, children)


def _wrapper(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    module = arguments.get(0, "module")
    if module is None:
        return UNKNOWN
    made = values.Container(entry.kind, place, {"module": module})
    made.fields["device_ids"] = arguments.get(1, "device_ids")
    return made


def _packing_wrapper(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """A wrapper that packs what it hands to its layer."""
    module = arguments.get(0, "module")
    children = {} if module is None else {"_module": module}
    return values.Container("PackingWrapper", place, children)


def _same(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return (
        arguments.positional[0]
        if arguments.positional
        else (next(iter(arguments.keywords.values()), UNKNOWN))
    )


def _parameter(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`nn.Parameter(data, requires_grad=False)` learns nothing."""
    given = arguments.bind(entry.parameters)
    data = given.get("data", UNKNOWN)
    if values.default_truth(given.get("requires_grad", values.TRUE)) is False:
        made = data if isinstance(data, values.Tensor) else values.TENSOR
        return tensors.changed(made, attached=False)
    return tensors.changed(data, attached=True) if isinstance(data, values.Tensor) else data


def _nothing(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return NONE


def _unknown(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return tensors.mixed(arguments.all())


def _method_of_first(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`torch.sum(x, 1)` is `x.sum(1)`."""
    first = arguments.get(0, "input", "x", "a")
    rest = Arguments(
        arguments.positional[1:],
        {k: v for k, v in arguments.keywords.items() if k != "input"},
        arguments.open,
    )
    if isinstance(first, values.Parameter):
        return parameters.call_parameter_method(run, first, entry.kind, rest, place)
    if isinstance(first, values.Gradient):
        return training.call_gradient_method(run, first, entry.kind, rest, place)
    if first is not None:
        order = data.as_batch(first)
        if order is not None:
            return tensors.call_method(run, order, entry.kind, rest, place)
        if isinstance(first, values.Union):
            first = modules.as_tensor(first)
    excerpt = excerpts.of(first) if isinstance(first, values.UnknownExcerpt) else None
    given = first if isinstance(first, values.Tensor) else values.Tensor(excerpt=excerpt)
    return tensors.call_method(run, given, entry.kind, rest, place)


def _functional_dropout(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    notes.note_dropout(run, arguments.bind(entry.parameters), arguments.open, place)
    return _method_of_first(run, entry, name, arguments, place)


def _tests_finiteness(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    notes.note_finiteness(run, place)
    return tensors.mixed(arguments.all())


def _elementwise(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return tensors.kept(modules.as_tensor(arguments.get(0, "input")))


def _looked_up(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`F.embedding(ids, weight)`"""
    ids = tensors.kept(modules.as_tensor(arguments.get(0, "input")))
    return axes.appended(tensors.changed(ids, lengths=False, mask=False), Axis("feature"))


def _linear(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    """`F.linear(x, weight)`"""
    source = tensors.kept(modules.as_tensor(arguments.get(0, "input")))
    return axes.with_last(source, Axis("feature"))


def _device(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    kind = tensors.device_kind(arguments.get(0, "device", "type"))
    return values.Device(kind) if kind else UNKNOWN


def _no_grad(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("no_grad", "no_grad", place, {})


def _environment(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("environment", name, place, {})


def _runs_target(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`Process(target=f, args=(...))` calls its target, if in another process."""
    target, given = arguments.get(1, "target"), arguments.get(3, "args")
    if target is not None:
        items = iteration.known_items(run, given) if given is not None else ()
        calls.call(run, target, Arguments(list(items or ()), {}, items is None), place)
    return UNKNOWN


def _spawns(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    """`mp.spawn(f, args=(...))` calls its target with the rank before the arguments."""
    target, given = arguments.get(0, "fn"), arguments.get(1, "args")
    if target is not None:
        items = iteration.known_items(run, given) if given is not None else ()
        calls.call(run, target, Arguments([UNKNOWN, *(items or ())], {}, items is None), place)
    return UNKNOWN


def _set_grad(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    off = bool(arguments.positional) and values.truth(arguments.positional[0]) is False
    return values.Thing("no_grad" if off else "context", name, place, {})


def _context(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing("context", name, place, {})


def _initialise(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    target = arguments.get(0, "tensor")
    for member in values.members(target) if target is not None else ():
        if isinstance(member, values.Parameter):
            parameters.initialise(run, member, entry.kind, arguments.get(1, "val"), place)
        elif isinstance(member, values.Parameters):
            for item in parameters.parameter_items(member) or ():
                if isinstance(item, values.Parameter):
                    parameters.initialise(run, item, entry.kind, arguments.get(1, "val"), place)
    return target if target is not None else UNKNOWN


def _orthogonal_parametrization(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    module, which = arguments.get(0, "module"), arguments.get(1, "name")
    if isinstance(module, values.Layer) and isinstance(which, values.Const):
        parameter = values.Parameter(module, str(which.value), 2)
        parameters.initialise(run, parameter, "parametrization", None, place)
    return module if module is not None else UNKNOWN


def _loss(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    return compute_loss(run, entry.kind, arguments.bind(entry.parameters), arguments, place)


def compute_loss(
    run: Interpreter,
    kind: str,
    options: dict[str, Value],
    arguments: Arguments,
    place: Place,
    criterion: values.Layer | None = None,
) -> Value:
    """A loss of prediction and target."""
    prediction = arguments.get(0, "input")
    target = arguments.get(1, "target")
    for tensor in tensors.tensors_in(prediction) if prediction is not None else []:
        tensors.touch(run, tensor, place)
    event = events.LossComputed(
        place, run.context, kind, prediction or UNKNOWN, target or UNKNOWN, options, criterion
    )
    run.emit(event)
    graph = tensors.graph_of(values.Tuple(tuple(arguments.all())))
    return values.Tensor(calls=graph, loss=event)


def _optimizer_base(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """A project's own optimizer class: the base keeps the parameters."""
    return training.build_optimizer(run, entry.kind, arguments, place)


def _module_base(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return UNKNOWN


# --- calling library layers ------------------------------------------------

_ACTIVATIONS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "log_sigmoid",
}
_PASSING = frozenset("Dropout Dropout1d AlphaDropout Identity".split())
"""What leaves each step on its own, and still the layer's step."""
_KEEPING = frozenset(
    "Linear LazyLinear LayerNorm ReLU LeakyReLU ELU GELU SiLU Tanh Hardtanh Softplus PReLU SELU "
    "Hardsigmoid".split()
)


def apply_layer(run: Interpreter, layer: values.Layer, arguments: Arguments, place: Place) -> Value:
    """Run a layer that is not recurrent."""
    if layer.kind.endswith("Loss"):
        return compute_loss(
            run, layer.kind, {**layer.options, **arguments.keywords}, arguments, place, layer
        )
    notes.note_mode_read(run, layer, place)
    given = arguments.get(0, "input")
    notes.note_packed(run, given, "given", place, layer.kind)
    for tensor in tensors.tensors_in(given) if given is not None else []:
        tensors.touch(run, tensor, place)
    source = modules.as_tensor(given)
    if source.drawn is not None or source.packed:
        source = tensors.changed(source, drawn=None, packed=False)
    if layer.kind in _ACTIVATIONS:
        kind = _ACTIVATIONS[layer.kind]
        notes.note_activation(run, kind, source, layer.options.get("dim"), place, layer)
        activation = values.Activation(kind, place)
        return tensors.changed(tensors.kept(source), activation=activation, output_of=None)
    if layer.kind == "Embedding":
        run.passages.note_lookup(layer, source, place)
        learning = (layer,) if run.context.gradients else ()
        looked_up = tensors.changed(
            tensors.kept(source),
            lengths=False,
            mask=False,
            padding=tensors.looked_up(source.padding, *learning),
        )
        return axes.appended(looked_up, Axis("feature", _size(layer, "embedding_dim")))
    if layer.kind in _PASSING:
        return source
    graph = tensors.graph_of(values.Tuple(tuple(arguments.all())))
    if layer.kind in _KEEPING:
        return _apply_elementwise(run, layer, source, place)
    return _apply_across_steps(layer, source, graph, place)


def _apply_across_steps(
    layer: values.Layer, source: values.Tensor, graph: frozenset[events.LayerCall], place: Place
) -> values.Tensor:
    """Run a layer that mixes steps, or of which nothing is known."""
    if layer.kind.startswith("Transformer"):
        return tensors.changed(source, activation=None, output_of=None, part="", values_of=None)
    if layer.kind == "Flatten":
        return tensors.picked(source)
    if layer.kind.startswith(("Conv", "BatchNorm", "MaxPool", "AvgPool")):
        filtered = tensors.changed(tensors.derived(source), padding=source.padding)
        return axes.filtered(axes.same_as(filtered, source), place)
    return tensors.changed(tensors.derived(source), calls=graph)


def _size(layer: values.Layer, option: str) -> Value:
    """A size that a layer was built with; UNKNOWN where a user can change it."""
    size = modules.known_option(layer, option, int)
    return UNKNOWN if size is None else values.Const(size)


def _apply_elementwise(
    run: Interpreter, layer: values.Layer, source: values.Tensor, place: Place
) -> Value:
    """Run a layer that works on each step for itself."""
    if layer.kind == "ReLU":
        notes.note_activation(run, "relu", source, None, place, layer)
    if layer.kind == "LayerNorm":
        return tensors.changed(source, values_of=None)  # and they are still the layer's steps
    made = tensors.changed(tensors.kept(source), output_of=None, part="", activation=None)
    if "Linear" in layer.kind:
        return axes.with_last(made, Axis("feature", _size(layer, "out_features")))
    return made


# --- natives: methods of abstract objects ----------------------------------


def call_native(
    run: Interpreter, native: values.Native, arguments: Arguments, place: Place
) -> Value:
    """A method of a built-in or abstract object."""
    receiver, name = native.receiver, native.name
    if isinstance(receiver, values.Tensor):
        return tensors.call_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Size):
        return lengths.call_method(receiver, name, arguments, place)
    if isinstance(receiver, values.ListObject):
        return containers.call_list_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.DictObject):
        return containers.call_dict_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Const):
        return containers.call_text_method(receiver, name, arguments)
    if isinstance(receiver, values.Parameter):
        return parameters.call_parameter_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Gradient):
        return training.call_gradient_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Thing):
        return things.call_method(run, receiver, name, arguments, place)
    if isinstance(receiver, (values.Layer, values.Container)):
        return methods.call_module_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Instance):
        return bases.call_base_method(run, receiver, name, arguments, place)
    if isinstance(receiver, values.Class) and name == "load_from_checkpoint":
        instance = run.fabricate(receiver)
        run.emit(events.Load(place, run.context, modules.layers_in(instance)))
        return instance
    return UNKNOWN


def unknown_method(
    run: Interpreter, receiver: Value, name: str, arguments: Arguments, place: Place
) -> Value:
    """A method of something that was not seen; its name may say what it does."""
    if name == "backward":
        tensors.backward(run, receiver, arguments, place)
        return NONE
    if name == "step" and place in run.unpacked:
        return calls.opaque(run, name, arguments, place)  # an environment's
    if name in ("step", "zero_grad"):
        # With an argument it is a scheduler's step, unless that is a closure.
        metric = name == "step" and not isinstance(
            arguments.get(0, "closure"), (values.Function, values.Bound, type(None))
        )
        what = "schedule" if metric else name
        run.emit(
            events.OptimizerEvent(place, run.context, what, UNKNOWN, None, len(arguments.all()))
        )
        return UNKNOWN
    if name == "fit" and frameworks.fit_unseen(run, arguments, place):
        return UNKNOWN
    if name == "size" and isinstance(receiver, values.Unknown):
        return values.Size() if arguments.positional else values.Shape()
    if frameworks.is_tokenizer_call(name, arguments):
        return frameworks.encode(run, arguments, place)
    if name in ("new_zeros", "new_ones", "new_full", "new_empty"):
        return values.Tensor(fresh=True, filled=_FILLED.get(name, UNKNOWN))
    excerpt = excerpts.of(receiver)
    if name in ("view", "reshape") and len(arguments.positional) > 1:
        given = values.Tensor(excerpt=excerpt)
        return tensors.call_method(run, given, name, arguments, place)
    after = excerpt and excerpts.after_method(run, excerpt, name, arguments, place)
    if after is not None:
        return values.UnknownExcerpt(after)
    return calls.opaque(run, name, arguments, place)


_FILLED: dict[str, Value] = {"new_zeros": values.Const(0), "new_ones": values.Const(1)}

EFFECTS: dict[str, Effect] = {
    "layer": _layer,
    "any_layer": _any_layer,
    "container": _container,
    "wrapper": _wrapper,
    "packing_wrapper": _packing_wrapper,
    "module_base": _module_base,
    "dataset_base": _module_base,
    "optimizer_base": _optimizer_base,
    "data_module": _module_base,
    "same": _same,
    "parameter": _parameter,
    "nothing": _nothing,
    "unknown": _unknown,
    "method_of_first": _method_of_first,
    "elementwise": _elementwise,
    "tests_finiteness": _tests_finiteness,
    "functional_dropout": _functional_dropout,
    "looked_up": _looked_up,
    "linear": _linear,
    "device": _device,
    "no_grad": _no_grad,
    "set_grad_enabled": _set_grad,
    "context": _context,
    "environment": _environment,
    "runs_target": _runs_target,
    "spawns": _spawns,
    "init": _initialise,
    "orthogonal_parametrization": _orthogonal_parametrization,
    "loss": _loss,
}
