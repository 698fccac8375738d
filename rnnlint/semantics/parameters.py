"""Parameters of layers: their names, the gates in a slice, and how they are overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import events, modules, notes, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Place, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


GATES = {"LSTM": ("input", "forget", "cell", "output"), "GRU": ("reset", "update", "new")}


MAX_STACKED = 3
"""Stacked layers whose parameters are listed one by one."""


def parameter_names(layer: values.Layer) -> list[tuple[str, int]]:
    """(name, rank) of a layer's parameters, in PyTorch's order."""
    if layer.kind in modules.CELLS:
        return [("weight_ih", 2), ("weight_hh", 2), ("bias_ih", 1), ("bias_hh", 1)]
    if layer.kind in modules.RECURRENT:
        layers = modules.option(layer, "num_layers")
        count = layers.value if isinstance(layers, values.Const) else 1
        count = count if isinstance(count, int) and count > 0 else 1
        both = values.default_truth(modules.option(layer, "bidirectional")) is True
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
        for path, layer in modules.leaves(module):
            known = True
            for name, rank in parameter_names(layer):
                parameter = values.Parameter(layer, name, rank)
                dotted = f"{path}.{name}" if path else name
                items.append(
                    values.Tuple((values.Const(dotted), parameter)) if iterable.named else parameter
                )
    return tuple(items) if known else None


def parameter_attribute(owner: values.Parameter, name: str, place: Place) -> Value:
    if name == "data":
        return owner
    if name == "grad":
        return values.Gradient(owner)
    if name == "ndim":
        return UNKNOWN if owner.rank is None else values.Const(owner.rank)
    if name == "shape":
        return _shape(owner)
    if name == "requires_grad":
        return values.Const(not modules.is_frozen(owner.layer))
    return values.Native(name, owner)


def _shape(parameter: values.Parameter) -> values.Shape:
    root = ("parameter", id(parameter.layer), parameter.name)
    sizes = tuple(values.Size(root, number) for number in range(parameter.rank or 2))
    return values.Shape(sizes, parameter.rank)


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
    notes.note_adjusted(run, parameter, name, place)
    if name in ("dim", "ndimension"):
        return UNKNOWN if parameter.rank is None else values.Const(parameter.rank)
    if name == "size":
        axis = values.integer(arguments.get(0, "dim"))
        return _shape(parameter) if axis is None else _shape(parameter).axis(axis)
    if name == "numel":
        return _shape(parameter).axis(0)
    if name in ("chunk", "split"):
        return _gates(parameter)
    if name in ("norm", "sum", "mean", "abs", "pow", "max", "min", "dot", "std", "square"):
        return _measured(run, name, place)
    if name.startswith("new"):
        return Tensor(fresh=True)
    if name == "requires_grad_":
        wanted = arguments.get(0, "requires_grad")
        modules.set_learning(run, parameter.layer, values.TRUE if wanted is None else wanted)
        return parameter
    if name == "register_hook":
        run.emit(events.Clip(place, run.context, name, frozenset({parameter.layer})))
        return UNKNOWN
    return parameter


def _measured(run: Interpreter, name: str, place: Place) -> Value:
    if name == "norm":
        run.note(events.Measured(place, run.context, gradient=False))
    return Tensor()


def _gates(parameter: values.Parameter) -> Value:
    """`weight.chunk(4)`: one item a gate."""
    names = GATES.get(parameter.layer.kind.removesuffix("Cell"), ())
    parts: tuple[Value, ...] = tuple(
        msgspec.structs.replace(parameter, part=name) for name in names
    )
    return values.ListObject(parts or (msgspec.structs.replace(parameter, part="slice"),))
