"""What operations do to a tensor: its axes, padding, graph, device and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from rnnlint.semantics import axes, events, excerpts, lengths, naming, notes, rows, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.values import UNKNOWN, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

STATE_PARTS = ("hidden", "cell", "state")


def changed(tensor: Tensor, **changes: Any) -> Tensor:
    return msgspec.structs.replace(tensor, **changes)


def kept(tensor: Tensor) -> Tensor:
    """The result of an operation that works element by element."""
    if tensor.activation is None and not tensor.fresh and tensor.values_of is None:
        return tensor
    return changed(tensor, activation=None, fresh=False, values_of=None)


def derived(tensor: Tensor) -> Tensor:
    """A tensor that hangs on the same graph, of whose axes nothing is known."""
    return Tensor(
        calls=tensor.calls,
        sorted_by=tensor.sorted_by,
        device=tensor.device,
        device_steps=tensor.device_steps,
    )


def picked(tensor: Tensor) -> Tensor:
    """Some of its numbers, in whatever order."""
    return changed(derived(tensor), values_of=tensor.values_of)


def shared_values(given: Sequence[Value]) -> events.LayerCall | None:
    """The recurrent call whose outputs tensors hold together: the first, if each holds some."""
    calls = [one.values_of if isinstance(one, Tensor) else None for one in given]
    return calls[0] if calls and None not in calls else None


def touch(run: Interpreter, tensor: Tensor, place: Place) -> None:
    """Note that a recurrent layer's state is being used."""
    if tensor.output_of is not None and tensor.part in STATE_PARTS:
        run.emit(events.Reading(place, run.context, tensor, "state"))


def tensors_in(value: Value, depth: int = 3) -> list[Tensor]:
    """All tensors inside a value."""
    if isinstance(value, Tensor):
        return [value]
    inside = _INSIDE.get(type(value))
    if inside is None or not depth:
        return []
    found: list[Tensor] = []
    for item in inside(value):
        if isinstance(item, Tensor):
            found.append(item)
        elif type(item) in _INSIDE:
            found += tensors_in(item, depth - 1)
    return found


_INSIDE: dict[type, Callable[[Any], Sequence[Any]]] = {
    values.Tuple: lambda value: value.items,
    values.Union: lambda value: value.members,
    values.ListObject: lambda value: value.fields["items"] or (value.fields["element"],),
    values.DictObject: lambda value: (*value.fields["entries"].values(), value.fields["rest"]),
}
"""What else may hold tensors, and how to look inside."""


def mixed(given: list[Value]) -> Value:
    """The result of unknown code over `given`: it may hang on their graphs."""
    found = [tensor for value in given for tensor in tensors_in(value)]
    if not found:
        return UNKNOWN
    calls = frozenset(call for tensor in found for call in tensor.calls)
    if not calls:
        return UNKNOWN
    return Tensor(calls=calls)


def combined(op: str, left: Value, right: Value) -> Tensor:
    """`left op right` where at least one is a tensor."""
    if op == "@":
        return _product(left, right)
    both = [v for v in (left, right) if isinstance(v, Tensor)]
    if len(both) == 1:
        only = both[0]
        other = right if left is only else left
        if isinstance(other, (values.Size, values.Const, values.Unknown)):
            drawn = None if isinstance(other, values.Unknown) else only.drawn
            mask = only.mask and op in ("&", "|", "~")
            penalty = only.penalty or (only.mask and not mask)
            return changed(
                padded_with(kept(only)),
                mask=mask,
                penalty=penalty,
                drawn=drawn,
                counted=(),
                relative=None,
            )
        return changed(kept(only), calls=only.calls | graph_of(other), drawn=None, relative=None)
    first, second = both
    calls = first.calls | second.calls
    padding = joint_padding([padded_with(first).padding, padded_with(second).padding])
    if op in ("*", "/") and (first.mask or second.mask):
        padding = None
    if op in ("+", "-") and (first.penalty or second.penalty or first.mask or second.mask):
        padding = None
    if op == "/" and (second.lengths or first.lengths):
        padding = None
    excerpt = excerpts.shared(first.excerpt, second.excerpt)
    known, is_open = axes.broadcast(first, second)
    device = first if first.device else second
    return Tensor(
        padding=padding,
        axes=known,
        open=is_open,
        batch_axis_steps=first.batch_axis_steps or second.batch_axis_steps,
        calls=calls,
        device=device.device,
        device_steps=device.device_steps,
        loss=first.loss or second.loss,
        mask=first.mask and second.mask,
        excerpt=excerpt,
        sorted_by=first.sorted_by if first.sorted_by == second.sorted_by else (),
    )


def padded_with(tensor: Tensor, filler: Value = UNKNOWN) -> Tensor:
    """The same tensor with another number in its padding: what it is now, if that is known."""
    if tensor.padding is None or tensor.padding.filler == filler:
        return tensor
    return changed(tensor, padding=msgspec.structs.replace(tensor.padding, filler=filler))


def looked_up(padding: Padding | None, *embeddings: values.Layer) -> Padding | None:
    """The padding of a batch when it consists of the vectors of embeddings that learn by it."""
    if padding is None or padding.embeddings == embeddings:
        return padding
    return msgspec.structs.replace(padding, embeddings=embeddings)


def joint_padding(given: Iterable[Padding | None]) -> Padding | None:
    """The padding of what is put together from several, each of them padded or not."""
    padded = [one for one in given if one is not None]
    if not padded:
        return None
    embeddings = dict.fromkeys(layer for one in padded for layer in one.embeddings)
    return looked_up(padded[0], *embeddings)


def _product(left: Value, right: Value) -> Tensor:
    """A matrix product, whose last axis the second factor decides."""
    joined = combined("*", left, right)
    if not isinstance(left, Tensor):
        return axes.without(joined)
    return axes.with_last(axes.same_as(joined, left), values.Axis())


def graph_of(value: Value) -> frozenset[events.LayerCall]:
    """The recurrent calls on whose graph a value hangs."""
    return frozenset(call for tensor in tensors_in(value) for call in tensor.calls)


def mask_of(value: Value) -> Value:
    """A comparison of a tensor: a mask with its axes and device."""
    if not isinstance(value, Tensor):
        return UNKNOWN
    return Tensor(
        mask=True,
        axes=value.axes,
        open=value.open,
        device=value.device,
        device_steps=value.device_steps,
        order=value.order,
        order_steps=value.order_steps,
    )


def holds_rows(tensor: Tensor) -> bool:
    """Whether the first axis of plain padded data is the batch."""
    return tensor.padding is not None and tensor.batch_axis == 0 and not tensor.calls


def one_row(tensor: Tensor) -> Tensor:
    """One padded sequence of a batch."""
    return axes.removed(tensor, 0)


def row(tensor: Tensor) -> Value:
    """One item along the first axis."""
    if tensor.lengths:
        return values.Size(relative=tensor.relative)
    if holds_rows(tensor):
        return one_row(tensor)
    return picked(tensor)


def shape_of(tensor: Tensor) -> values.Shape:
    return values.Shape(tuple(axis.size for axis in tensor.axes), tensor.rank)


# --- attributes ------------------------------------------------------------


def attribute(run: Interpreter, owner: Tensor, name: str, place: Place) -> Value:
    if name == "shape":
        return shape_of(owner)
    if name == "data":
        return changed(owner, packed=False, output_of=None) if owner.packed else detached(owner)
    if name == "device":
        return values.Device("cpu" if owner.device == "cpu" else "gpu") if owner.device else UNKNOWN
    if name in ("T", "mT"):
        return call_method(run, owner, "t", Arguments(), place)
    if name == "grad":
        return values.Gradient()
    if name in ("batch_sizes", "dtype", "sorted_indices", "unsorted_indices"):
        return UNKNOWN
    if name in ("ndim",):
        return UNKNOWN if owner.rank is None else values.Const(owner.rank)
    return values.Native(name, owner)


def detached(tensor: Tensor) -> Tensor:
    padding = looked_up(tensor.padding)
    return changed(tensor, calls=frozenset(), attached=False, padding=padding)


# --- methods ---------------------------------------------------------------


def call_method(
    run: Interpreter, tensor: Tensor, name: str, arguments: Arguments, place: Place
) -> Value:
    """`tensor.name(...)`, and `torch.name(tensor, ...)`."""
    if tensor.packed and name in _OF_TENSORS_ALONE:
        notes.note_packed(run, tensor, "called", place, name)
    effect = _METHODS.get(name.rstrip("_") or name) or _METHODS.get(name)
    if effect is not None:
        if name != "backward":
            touch(run, tensor, place)
        made = effect(run, tensor, arguments, place)
        if tensor.excerpt is None or not isinstance(made, Tensor):
            return made
        after = excerpts.after_method(run, tensor.excerpt, name, arguments, place)
        return excerpts.with_excerpt(made, after if made.excerpt is not None else None)
    touch(run, tensor, place)
    others = graph_of(values.Tuple(tuple(arguments.all())))
    return changed(derived(tensor), calls=tensor.calls | others, sorted_by=())


Method: TypeAlias = "Callable[[Interpreter, Tensor, Arguments, Place], Value]"


def _keep(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(padded_with(kept(tensor)), counted=())


def _same(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return tensor


def _round(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(padded_with(kept(tensor)), counted=(), relative=None)


def _convert(name: str) -> Method:
    def effect(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
        """`x.long()`, `x.astype(int)`: numbers of another type."""
        return _converted(tensor, name, arguments, place)

    return effect


def _converted(tensor: Tensor, name: str, arguments: Arguments, place: Place) -> Tensor:
    if tensor.relative is None or not lengths.is_whole(name, arguments):
        return tensor
    return changed(tensor, relative=lengths.cut(tensor.relative, place))


def _combine(op: str) -> Method:
    def effect(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
        other = arguments.get(0, "other") or UNKNOWN
        # Padding survives a division as it does a product.
        made = combined("*" if op == "/" else op, tensor, other)
        if arguments.get(None, "rounding_mode") is not None:
            return made
        relative = lengths.computed(op, tensor, other, place)
        if relative is None or relative.presumed:
            return made
        return changed(made, lengths=True, relative=relative)

    return effect


def _compare(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return mask_of(tensor)


def _test_finiteness(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    notes.note_finiteness(run, place)
    return mask_of(tensor)


def _detach(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return detached(tensor)


def _item(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    if tensor.lengths:
        return values.Size(relative=tensor.relative)
    return values.DrawnNumber() if is_drawn_number(tensor) else UNKNOWN


def is_drawn_number(tensor: Tensor) -> bool:
    """Whether this is `torch.randint(low, high, ())`, or has one element as well."""
    sizes = [axis.size for axis in tensor.axes]
    is_single = not tensor.open and sizes in ([], [values.Const(1)])
    return is_single and tensor.made_at is not None and not tensor.fresh


def _to_list(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    if not tensor.lengths:
        return UNKNOWN
    return values.ListObject(
        None,
        values.Size(relative=tensor.relative),
        order=tensor.order,
        order_steps=tensor.order_steps,
    )


def _cuda(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return on_device(tensor, "gpu", place)


def _cpu(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return on_device(tensor, "cpu", place)


def _to(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    tensor = _converted(tensor, "to", arguments, place)
    target = arguments.get(0, "device", "other")
    kind = device_kind(target)
    return tensor if not kind else on_device(tensor, kind, place)


def on_device(tensor: Tensor, kind: str, place: Place) -> Tensor:
    words = "moves it to the accelerator" if kind == "gpu" else "moves it to the CPU"
    return changed(tensor, device=kind, device_steps=(Step(place, words),))


def device_kind(target: Value | None) -> str:
    """ "gpu" when the device is an accelerator wherever there is one, else "cpu" or ""."""
    if target is None:
        return ""
    kinds = set()
    for member in values.members(target):
        if isinstance(member, values.Device):
            kinds.add(member.kind)
        elif isinstance(member, values.Prefix) or (
            isinstance(member, values.Const) and isinstance(member.value, str)
        ):
            text = member.text if isinstance(member, values.Prefix) else member.value
            head = text.split(":")[0]
            if head in ("cuda", "mps", "xpu", "xla", "hpu"):
                kinds.add("gpu")
            elif head == "cpu":
                kinds.add("cpu")
        elif isinstance(member, values.Const) and isinstance(member.value, int):
            kinds.add("gpu")
        elif isinstance(member, Tensor):
            kinds.add(member.device)
    return "gpu" if "gpu" in kinds else ("cpu" if "cpu" in kinds else "")


def _transpose(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) != 2 and not arguments.keywords:
        return _permute(run, tensor, arguments, place)  # NumPy's
    first = axes.position(tensor, values.integer(arguments.get(0, "dim0")))
    second = axes.position(tensor, values.integer(arguments.get(1, "dim1")))
    if first is None or second is None:
        return changed(axes.without(tensor), output_of=None)
    return axes.swapped(tensor, first, second)


def _transposed_matrix(
    run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place
) -> Value:
    return axes.swapped(tensor, 0, 1)


def _permute(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    given = arguments.positional
    if len(given) == 1 and isinstance(given[0], values.Tuple):
        given = list(given[0].items)
    if len(given) == 1 and isinstance(given[0], values.ListObject):
        given = list(given[0].fields["items"] or ())
    return axes.permuted(tensor, [values.integer(value) for value in given])


def _unsqueeze(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    axis = values.integer(arguments.get(0, "dim"))
    if axis is None:
        return changed(axes.without(tensor), output_of=None)
    widened = axes.inserted(tensor, axis)
    if axis >= 2 or axis == -1:
        return widened
    padding = None if axis in (0, 1) and tensor.batch_axis is None else tensor.padding
    return changed(widened, output_of=None, padding=padding)


def _squeeze(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    axis = axes.position(tensor, values.integer(arguments.get(0, "dim")))
    if axis is None:
        return changed(axes.without(tensor), output_of=None)
    size = tensor.axes[axis].size if axis < len(tensor.axes) else UNKNOWN
    if size == values.Const(1):
        return axes.removed(tensor, axis)
    if isinstance(size, values.Const):
        return tensor
    if axis < 2:
        return changed(axes.without(tensor), output_of=None)
    return axes.with_axes(tensor, tensor.axes[:axis], open_=True)


def _view(name: str) -> Method:
    def effect(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
        """`x.view(n, -1)`: each argument is the size of an axis."""
        given = _sizes(arguments)
        if given is None:
            return changed(axes.without(tensor), output_of=None)
        seen = axes.viewed(tensor, given)
        sizes = [axis.size for axis in tensor.axes[:2]]
        if len(given) >= 3 and len(sizes) == 2 and all(map(axes.is_same_size, sizes, given)):
            return changed(kept(seen), values_of=tensor.values_of)
        if tensor.axes:
            run.note(events.Reshaped(place, run.context, name, tensor, tuple(given)))
        return changed(seen, output_of=None)

    return effect


def _sizes(arguments: Arguments) -> Sequence[Value] | None:
    """The sizes that are given one by one or in one tuple; None where they are not known."""
    given: Sequence[Value] = arguments.positional
    if len(given) == 1 and isinstance(given[0], values.Shape) and given[0].rank is not None:
        given = given[0].sizes
    if len(given) == 1 and isinstance(given[0], values.Tuple):
        given = given[0].items
    alone = len(given) == 1 and not isinstance(given[0], (values.Const, values.Size))
    spread = any(isinstance(size, values.Slice) for size in given)
    return None if not given or alone or spread or arguments.open else given


def _reshape(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """Another shape that its arguments do not tell axis by axis."""
    return changed(axes.without(tensor), output_of=None)


def _pool(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return _reduce(run, tensor, arguments, place, pools=True)


def _reduce(
    run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place, pools: bool = False
) -> Value:
    """sum, mean, max, ... over one axis or all; `pools` when padding changes the result."""
    axis = values.integer(arguments.get(0, "dim", "axis"))
    if tensor.mask and axis is not None:
        return Tensor(
            lengths=True,
            counted=(Step(place, "counts the steps that are not padding"),),
            device=tensor.device,
            device_steps=tensor.device_steps,
            order=tensor.order,
            order_steps=tensor.order_steps,
        )
    axis = axes.position(tensor, axis)
    if pools and axis is not None and axis == tensor.time_axis and tensor.output_of is not None:
        run.emit(events.Reading(place, run.context, tensor, "pooled", axis))
    reduced = changed(derived(tensor), loss=tensor.loss)
    if axis is None or arguments.get(1, "keepdim", "keepdims") is not None:
        return reduced
    return axes.same_as(reduced, axes.removed(tensor, axis))


def _reduce_pair(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """max, min, median over an axis: (values, indices)."""
    result = _reduce(run, tensor, arguments, place, pools=True)
    if isinstance(result, Tensor):
        result = changed(result, values_of=tensor.values_of)
    if values.integer(arguments.get(0, "dim", "axis")) is None:
        return values.Size() if tensor.lengths else result
    return values.Tuple((result, Tensor(device=tensor.device)))


def _size(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    axis = arguments.get(0, "dim")
    if axis is None:
        return shape_of(tensor)
    number = values.integer(axis)
    return values.Size() if number is None else shape_of(tensor).axis(number)


def _count(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`tensor.numel()`: of a sequence of ids its length."""
    return shape_of(tensor).axis(0) if tensor.rank == 1 else values.Size()


def _backward(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    backward(run, tensor, arguments, place)
    return values.NONE


def backward(run: Interpreter, loss: Value, arguments: Arguments, place: Place) -> None:
    """Record `loss.backward()`."""
    retains = arguments.get(1, "retain_graph", "retain_variables")
    retained = isinstance(retains, values.Const) and bool(retains.value)
    scaled = isinstance(loss, Tensor) and loss.part == "scaled"
    run.emit(events.Backward(place, run.context, graph_of(loss), retained, scaled))


def _softmax(kind: str) -> Method:
    def effect(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
        if kind == "softmax":
            axis = axes.position(tensor, values.integer(arguments.get(0, "dim")))
            _attend(run, tensor, axis, place)
        notes.note_activation(run, kind, tensor, arguments.get(0, "dim"), place)
        return changed(kept(tensor), activation=values.Activation(kind, place), output_of=None)

    return effect


def _relu(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    notes.note_activation(run, "relu", tensor, None, place)
    return kept(tensor)


def _dropout(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(kept(tensor), values_of=tensor.values_of)


def _attend(run: Interpreter, tensor: Tensor, axis: int | None, place: Place) -> None:
    """Note a softmax over the time axis of what recurrent layers made of padded input."""
    if tensor.padding is None or axis is None or axis != tensor.time_axis:
        return
    scope = naming.innermost_scope(run, place.path) if tensor.calls else None
    for call in tensor.calls:
        scores = changed(tensor, output_of=call)
        reading = events.Reading(place, run.context, scores, "attended", axis)
        reading.scope = scope
        run.emit(reading)


def _overwrite(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(kept(tensor), drawn=None)


def _draw(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`torch.empty(1, n, h).normal_()`"""
    return changed(kept(tensor), drawn=values.Drawn(place, run.context.loops))


def _fresh(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(Tensor(fresh=True, device=tensor.device), device_steps=tensor.device_steps)


def _filled(number: int) -> Method:
    def effect(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
        made = Tensor(fresh=True, filled=values.Const(number), device=tensor.device)
        return changed(made, device_steps=tensor.device_steps)

    return effect


def _to_bool(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """What is made of truth values says which steps are meant."""
    return changed(tensor, mask=True, lengths=False)


def _split(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return values.ListObject(None, changed(picked(tensor), activation=tensor.activation))


def _split_by_size(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    """`x.split(1, dim=1)`: the axes stay, and one has another size."""
    part = changed(picked(tensor), activation=tensor.activation)
    axis = axes.position(tensor, values.integer(arguments.get(1, "dim") or values.Const(0)))
    size = values.integer(arguments.get(0, "split_size", "split_size_or_sections"))
    if axis is not None and size == 1:
        part = axes.resized(axes.same_as(part, tensor), axis, values.Const(1))
    return values.ListObject(None, part)


def _unbind(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    part = changed(picked(tensor), activation=tensor.activation)
    axis = axes.position(tensor, values.integer(arguments.get(0, "dim") or values.Const(0)))
    if axis is not None:
        part = axes.same_as(part, axes.removed(tensor, axis))
    return values.ListObject(None, part)


def _masked_fill(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(kept(tensor), padding=None)


def _indices(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return derived(tensor)


def _numpy(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(tensor, calls=frozenset(), device="cpu", device_steps=())


def _dim(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return UNKNOWN if tensor.rank is None else values.Const(tensor.rank)


def _flip(run: Interpreter, tensor: Tensor, arguments: Arguments, place: Place) -> Value:
    return changed(tensor, padding=None, output_of=None, sorted_by=())


def _table(effect: Method, names: str) -> dict[str, Method]:
    return dict.fromkeys(names.split(), effect)


_OF_TENSORS_ALONE = frozenset(
    "view reshape transpose permute squeeze unsqueeze size dim mean sum max min contiguous flatten "
    "relu tanh sigmoid softmax log_softmax detach gather index_select".split()
)
"""Methods that packed sequences do not have."""

_METHODS: dict[str, Method] = {
    **_table(_same, "contiguous clone to_dense pin_memory type_as requires_grad retain_grad "
             "float double half byte bfloat16 share_memory"),
    **{name: _convert(name) for name in ("long", "int", "short", "type", "astype")},
    **_table(_relu, "relu"),
    **_table(_dropout, "dropout"),
    **_table(_keep, "tanh exp log abs neg pow sqrt clamp clip normalize "
             "add_ leaky_relu elu gelu silu hardtanh selu softplus rsqrt sign bernoulli "
             "nan_to_num masked_scatter"),
    **_table(_round, "round floor"),
    **_table(_overwrite, "fill zero copy"),
    **_table(_draw, "normal uniform"),
    **_table(_combine("+"), "add sub rsub"),
    **_table(_combine("*"), "mul multiply"),
    **_table(_combine("/"), "div divide"),
    **_table(_compare, "eq ne gt lt ge le eq_ logical_not logical_and logical_or"),
    **_table(_test_finiteness, "isnan isinf isfinite"),
    **_table(_detach, "detach"),
    **_table(_item, "item"),
    **_table(_to_list, "tolist"),
    **_table(_numpy, "numpy"),
    **_table(_cuda, "cuda"),
    **_table(_cpu, "cpu"),
    **_table(_to, "to"),
    **_table(_transpose, "transpose swapaxes swapdims"),
    **_table(_transposed_matrix, "t"),
    **_table(_permute, "permute"),
    **_table(_unsqueeze, "unsqueeze"),
    **_table(_squeeze, "squeeze"),
    "view": _view("view"),
    "reshape": _view("reshape"),
    **_table(_reshape, "view_as reshape_as expand_as flatten expand repeat unflatten resize"),
    **_table(_reduce, "logsumexp prod norm std var any all cumsum"),
    **_table(_pool, "mean sum"),
    **_table(_reduce_pair, "max min median topk"),
    **_table(rows.sort, "sort"),
    **_table(rows.argsort, "argsort argmax_"),
    **_table(rows.select, "index_select"),
    **_table(_size, "size"),
    **_table(_count, "numel nelement"),
    **_table(_dim, "dim ndimension"),
    **_table(_backward, "backward"),
    **_table(_softmax("softmax"), "softmax"),
    **_table(_softmax("log_softmax"), "log_softmax logsoftmax"),
    **_table(_softmax("sigmoid"), "sigmoid"),
    **_table(_fresh, "new new_empty new_full new_tensor"),
    "new_zeros": _filled(0),
    "new_ones": _filled(1),
    **_table(_split, "chunk tensor_split"),
    **_table(_split_by_size, "split"),
    **_table(_unbind, "unbind"),
    **_table(_masked_fill, "masked_fill"),
    **_table(rows.masked_select, "masked_select take"),
    **_table(rows.gather, "gather"),
    **_table(_indices, "argmax"),
    **_table(_flip, "flip roll"),
    "bool": _to_bool,
}  # fmt: skip
