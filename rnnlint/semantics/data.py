"""Making tensors and batches: stacking, datasets and loaders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rnnlint.semantics import (
    axes,
    calls,
    excerpts,
    iteration,
    joins,
    lengths,
    modules,
    operations,
    tensors,
    values,
)
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect, Method
from rnnlint.semantics.values import NONE, UNKNOWN, Axis, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

# --- making tensors --------------------------------------------------------


def _fresh(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    """`torch.zeros(2, n, h)`, `np.zeros((n, m))`."""
    given = arguments.positional
    if entry.kind in ("randint", "full", "arange", "eye", "identity"):
        given = [size for size in given if _is_sizes(size)][:1]
    is_scalar = given == [values.Tuple(())]
    if len(given) == 1 and isinstance(given[0], (values.Tuple, values.ListObject)):
        given = list(iteration.known_items(run, given[0]) or ())
    if any(isinstance(value, values.Shortfall) for value in given) and not _is_random(entry.kind):
        return values.Filler(place)
    device = tensors.device_kind(arguments.get(None, "device"))
    filled = _filled(entry.kind, arguments)
    if entry.kind.endswith("_like"):
        source = arguments.positional[0] if arguments.positional else UNKNOWN
        device = source.device if isinstance(source, Tensor) else ""
        drawn = _drawn(run, entry.kind, place)
        return Tensor(fresh=True, filled=filled, device=device, drawn=drawn)
    steps = (Step(place, "is created on the accelerator"),) if device == "gpu" else ()
    return Tensor(
        fresh=entry.kind not in _NUMBERED,
        filled=filled,
        made_at=place,
        axes=axes.of_sizes(given),
        open=not given and not is_scalar,
        device=device,
        device_steps=steps,
        drawn=_drawn(run, entry.kind, place),
    )


_NUMBERED = ("randint", "randperm", "arange")
"""What is made of integers that differ, as data does."""


def _is_random(kind: str) -> bool:
    """Whether a tensor is made of random numbers, which are data and no padding."""
    return kind.removesuffix("_like").startswith("rand")


def _filled(kind: str, arguments: Arguments) -> Value:
    """The number that `zeros`, `ones_like`, `full` and the like consist of."""
    if kind.startswith(("zeros", "ones")):
        return values.Const(int(kind.startswith("ones")))
    if kind.startswith("full"):
        return arguments.get(1, "fill_value") or UNKNOWN
    return UNKNOWN


def _drawn(run: Interpreter, kind: str, place: Place) -> values.Drawn | None:
    """What `randn`, `rand_like` and the like draw; integers are no numbers of a state."""
    if kind.removesuffix("_like") not in ("rand", "randn"):
        return None
    return values.Drawn(place, run.context.loops)


def _is_sizes(value: Value) -> bool:
    return isinstance(value, (values.Tuple, values.ListObject))


def as_batch(value: Value) -> Tensor | None:
    """The tensor that `torch.tensor(value)` makes of a list with known facts."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, values.ListObject):
        return _from_list(value)
    return None


def _from_list(value: values.ListObject, depth: int = 3) -> Tensor | None:
    padding = value.fields.get("padding")
    items = value.fields["items"]
    element = value.fields["element"]
    candidates = list(items) if items else [element]
    order, steps = value.fields["order"], value.fields["order_steps"]
    if all(isinstance(item, values.Size) for item in candidates):
        shares = lengths.relative_of(value)
        return Tensor(lengths=True, relative=shares, order=order, order_steps=steps)
    inner: list[Tensor] = []
    for item in candidates:
        if isinstance(item, Tensor):
            inner.append(item)
        elif isinstance(item, values.ListObject) and depth:
            made = _from_list(item, depth - 1)
            if made is not None:
                inner.append(made)
        elif isinstance(item, values.Union):
            found = tensors.tensors_in(item)
            # Only if every alternative is padded is the batch padded.
            if found and len(found) == len(item.members):
                inner.extend(found)
    if not isinstance(padding, Padding):
        padded = [tensor.padding for tensor in inner if tensor.padding is not None]
        padding = padded[0] if padded and len(padded) == len(candidates) else None
    graph = frozenset(call for tensor in inner for call in tensor.calls)
    if padding is None and not graph and not inner:
        return None
    return Tensor(
        padding=padding,
        calls=graph,
        axes=() if padding is None else axes.of_batch(0, _root_of(padding)),
        order=order,
        order_steps=steps,
    )


def _root_of(padding: Padding) -> Place | None:
    """What identifies the sizes of a batch that was padded by hand."""
    return padding.steps[0].place if padding.steps else None


def _tensor(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    given = arguments.get(0, "data", "obj", "object")
    device = tensors.device_kind(arguments.get(None, "device"))
    if isinstance(given, values.Filler):
        return given
    made: Tensor | None = None
    for member in values.members(given) if given is not None else ():
        made = made or as_batch(member)
    if made is None:
        is_number = isinstance(given, (values.Size, values.Const))
        order, steps = iteration.order_of(UNKNOWN if given is None else given)
        made = Tensor(fresh=is_number, open=not is_number, order=order, order_steps=steps)
    made = _as_excerpt(run, made, given)
    if made.relative is not None and lengths.is_whole_type(name, arguments):
        made = tensors.changed(made, relative=lengths.cut(made.relative, place))
    if entry.effect == "device_tensor":
        device = "gpu"
    return tensors.on_device(made, device, place) if device == "gpu" else made


def _as_excerpt(run: Interpreter, made: Tensor, given: Value | None) -> Tensor:
    """A tensor of an excerpt, or of a list of such."""
    if given is None or made.excerpt is not None:
        return made
    excerpt = excerpts.of(given)
    if excerpt is None and isinstance(given, values.ListObject):
        excerpt = excerpts.of_rows(run, given, 1)
    return made if excerpt is None else tensors.changed(made, excerpt=excerpt, fresh=False)


def _cat(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    given = arguments.get(0, "tensors")
    items = iteration.known_items(run, given) if given is not None else None
    if items is None:
        element = iteration.element(run, given) if given is not None else UNKNOWN
        joined = tensors.mixed([element])
        if isinstance(joined, Tensor):
            return tensors.changed(joined, values_of=tensors.shared_values([element]))
        return joined
    return _concatenated(list(items), arguments.get(1, "dim", "axis"))


def _cat_arguments(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return _concatenated(arguments.positional[:2], None)


def _concatenated(items: list[Value], axis: Value | None) -> Value:
    fillers = [(i, item) for i, item in enumerate(items) if isinstance(item, values.Filler)]
    content = next((item for item in items if isinstance(item, Tensor)), UNKNOWN)
    if fillers:
        side = "left" if fillers[0][0] == 0 else "right"
        return operations.padded(content, fillers[0][1], side)
    graph = tensors.graph_of(values.Tuple(tuple(items)))
    base = next((t for t in items if isinstance(t, Tensor) and t.padding is not None), None)
    if base is None:
        base = content if isinstance(content, Tensor) else Tensor()
    number = values.integer(axis)
    held = tensors.shared_values(items)
    sorts = {item.sorted_by if isinstance(item, Tensor) else () for item in items}
    by = sorts.pop() if len(sorts) == 1 else ()
    if number is not None and (number >= 2 or number == -1):
        joined = tensors.changed(
            base,
            padding=tensors.joint_padding(
                item.padding for item in items if isinstance(item, Tensor)
            ),
            calls=graph,
            output_of=None,
            values_of=held,
            sorted_by=by,
            activation=None,
            part="",
            drawn=None,
        )
        return axes.with_last(joined, Axis("feature"))
    padding = base.padding if number is None else None
    by = by if number == 1 else ()
    front = excerpts.of(items[0]) if items else None
    along = front is not None and front.axis == (number or 0)
    excerpt = front if along else None  # what follows does not move it
    return Tensor(calls=graph, values_of=held, padding=padding, sorted_by=by, excerpt=excerpt)


def _stack(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    given = arguments.get(0, "tensors", "arrays")
    items = iteration.known_items(run, given) if given is not None else None
    if any(isinstance(item, values.Filler) for item in items or ()):
        return _concatenated(list(items or ()), None)  # `vstack([x, zeros])`
    element = iteration.element(run, given) if given is not None else UNKNOWN
    axis = arguments.get(1, "dim", "axis")
    first = axis is None or (isinstance(axis, values.Const) and axis.value == 0)
    order, steps = iteration.order_of(given) if given is not None else ("", ())
    made = as_batch(element) or modules.as_tensor(element)
    excerpt = excerpts.of_rows(run, given, 1 if first else None) if given is not None else None
    made = tensors.changed(made, excerpt=excerpt) if made.excerpt != excerpt else made
    if made.padding is not None and not made.calls:
        stacked = tensors.changed(made, order=order, order_steps=steps, output_of=None)
        return with_batch(stacked, place) if first else axes.without(stacked)
    return Tensor(
        calls=tensors.graph_of(element),
        values_of=tensors.shared_values(values.members(element)),
        order=order,
        order_steps=steps,
        excerpt=excerpt,
    )


def _where(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    graph = tensors.graph_of(values.Tuple(tuple(arguments.all())))
    return Tensor(calls=graph)


# --- datasets and loaders --------------------------------------------------


def _loader(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    options = arguments.bind(entry.parameters)
    if arguments.open:
        options["<open>"] = values.TRUE
    made = values.Thing("loader", "DataLoader", place, options)
    run.things.append(made)
    return made


def _tensor_dataset(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return values.Thing(
        "tensor_dataset", "TensorDataset", place,
        {"tensors": values.Tuple(tuple(arguments.positional))},
    )  # fmt: skip


def _random_split(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    dataset = arguments.positional[0] if arguments.positional else UNKNOWN
    sizes = arguments.get(1, "lengths")
    count = len(iteration.known_items(run, sizes) or ()) if sizes is not None else 0
    if not count:
        return values.ListObject(None, dataset)
    return values.Tuple((dataset,) * count)


def _train_test_split(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """Each array twice: its rows for training and those for testing, in any order."""
    parts: list[Value] = []
    for value in arguments.positional:
        part: Value = UNKNOWN
        if isinstance(value, Tensor):
            part = tensors.changed(value, order="arbitrary", order_steps=())
            part = axes.resized(part, 0)
        elif isinstance(value, values.ListObject):
            part = values.ListObject(None, iteration.element(run, value), order="arbitrary")
        parts.extend((part, part))
    return values.Tuple(tuple(parts))


def _concat_dataset(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    first = arguments.positional[0] if arguments.positional else UNKNOWN
    return iteration.element(run, first)


def element(run: Interpreter, thing: values.Thing) -> Value:
    """What iterating over a dataset, loader or iterator yields."""
    if thing.kind == "loader":
        return batch_of(run, thing)
    if thing.kind == "tensor_dataset":
        given = thing.options["tensors"]
        items = given.items if isinstance(given, values.Tuple) else ()
        return values.Tuple(
            tuple(_sample_of(item) if isinstance(item, Tensor) else item for item in items)
        )
    if thing.kind == "text_iterator":
        return values.Thing("text_batch", "Batch", thing.place or Place("", 0, 0), thing.options)
    return UNKNOWN


def _sample_of(rows: Tensor) -> Tensor:
    """One of the rows, with time on one axis less."""
    axis = -1 if rows.excerpt is None else (rows.excerpt.axis or 0) - 1
    excerpt = excerpts.on_axis(rows.excerpt, axis) if axis >= 0 else None
    sample = axes.removed(rows, 0)
    return sample if sample.excerpt == excerpt else tensors.changed(sample, excerpt=excerpt)


def batch_of(run: Interpreter, loader: values.Thing) -> Value:
    """The batch that a loader yields: what its collate function returns."""
    known = loader.fields.get("<batch>")
    if isinstance(known, Value):
        return known
    loader.fields["<batch>"] = UNKNOWN
    dataset = loader.options.get("dataset", UNKNOWN)
    sample = iteration.element(run, dataset)
    collate = _collate(loader)
    place = loader.place or Place("", 0, 0)
    if collate is None or collate == NONE:
        batch = UNKNOWN if loader.options.get("<open>") else default_collate(sample, place)
        if not _samples_itself(loader):
            batch = _in_any_order(batch)
    else:
        samples = values.ListObject(None, sample, order=_order(loader))
        batch = calls.call(run, collate, Arguments([samples]), place)
    batch = _unpadded(batch) if _is_single(loader) else _arrived(batch, place)
    loader.fields["<batch>"] = batch
    return batch


def _collate(loader: values.Thing) -> Value | None:
    """The collate function: that of a subclass of the project goes first."""
    owner = loader.fields.get("<owner>")
    own = owner.fields.get("collate_fn") if isinstance(owner, values.Instance) else None
    return own if isinstance(own, Value) else loader.options.get("collate_fn")


def _order(loader: values.Thing) -> str:
    """A loader with its own sampler may sort; any other yields any order."""
    return "" if _samples_itself(loader) else "arbitrary"


def _samples_itself(loader: values.Thing) -> bool:
    return any(
        loader.options.get(key, NONE) != NONE for key in ("batch_sampler", "sampler", "<open>")
    )


def _is_single(loader: values.Thing) -> bool:
    """Whether a loader yields batches of one sample, which nothing pads."""
    if _samples_itself(loader):
        return False
    size = loader.options.get("batch_size", values.Const(1))
    return isinstance(size, values.Const) and size.value == 1 and not size.option


def _in_any_order(value: Value) -> Value:
    """The tensors of a batch whose samples the loader draws as it likes."""
    if isinstance(value, Tensor) and value.batch_axis == 0 and not value.order:
        return tensors.changed(value, order="arbitrary")
    return values.mapped(value, _in_any_order)


def _unpadded(value: Value) -> Value:
    if isinstance(value, Tensor):
        return tensors.changed(value, padding=None)
    return values.mapped(value, _unpadded)


def _arrived(value: Value, place: Place) -> Value:
    """Add the loader to the provenance of the padded tensors in a batch."""
    if isinstance(value, Tensor) and value.padding is not None:
        step = Step(place, "this loader yields the padded batches")
        padding = msgspec.structs.replace(value.padding, steps=(*value.padding.steps, step))
        return tensors.changed(value, padding=padding)
    return values.mapped(value, lambda item: _arrived(item, place))


def with_batch(sample: Tensor, root: Place) -> Tensor:
    """Samples on a new first axis."""
    if sample.axes or not sample.open:
        name = "batch" if sample.batch_axis is None else ""
        return axes.inserted(sample, 0, Axis(name, values.Size(root, 0)))
    batch = axes.of_batch(0, root)
    if sample.padding is None:
        batch = (batch[0], *axes.of_sizes([axis.size for axis in batch[1:]]))
    return axes.with_axes(sample, batch, open_=True)


def _columns(samples: values.Union) -> list[Value] | None:
    """The joined fields of samples that are tuples of one length."""
    rows = [member.items for member in samples.members if isinstance(member, values.Tuple)]
    if len(rows) < len(samples.members) or len({len(row) for row in rows}) > 1:
        return None
    return [joins.join(list(column)) for column in zip(*rows, strict=True)]


def _is_number(value: Value) -> bool:
    return isinstance(value, values.Const) and isinstance(value.value, (int, float))


def default_collate(sample: Value, place: Place) -> Value:
    """What PyTorch's own collate function makes of samples."""
    excerpt = excerpts.of(sample)
    if excerpt is not None and not isinstance(sample, values.ListObject):
        batch = _collated(excerpts.with_excerpt(sample, None), place)
        return excerpts.with_excerpt(batch, excerpts.batched(excerpt))
    return _collated(sample, place)


def _collated(sample: Value, place: Place) -> Value:
    if isinstance(sample, Tensor):
        steps = (Step(place, "this loader puts the batch on the first axis"),)
        return with_batch(tensors.changed(sample, batch_axis_steps=steps, fresh=False), place)
    if isinstance(sample, values.Size):
        sizes = Tensor(lengths=True, order="arbitrary", relative=sample.relative)
        return axes.with_axes(sizes, axes.of_batch(0, place)[:1])
    if all(map(_is_number, values.members(sample))):
        return Tensor(axes=axes.of_batch(0, place)[:1], open=False)
    if isinstance(sample, values.Tuple):
        return values.of_its_kind(sample, [default_collate(item, place) for item in sample.items])
    if isinstance(sample, values.DictObject):
        entries = {k: default_collate(v, place) for k, v in sample.fields["entries"].items()}
        return values.DictObject(entries, sample.fields["rest"])
    if isinstance(sample, values.ListObject):
        made = as_batch(sample)
        if made is not None and made.padding is not None:
            return axes.with_axes(made, axes.of_batch(0, place), open_=True)
    if isinstance(sample, values.Union):
        columns = _columns(sample)
        if columns is not None:
            return values.Tuple(tuple(default_collate(column, place) for column in columns))
        found = tensors.tensors_in(sample)
        if found and len(found) == len(sample.members):
            return default_collate(modules.as_tensor(sample), place)
    return UNKNOWN


def call_loader(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name == "__iter__":
        return thing
    if name in ("next", "__next__"):
        return batch_of(run, thing)
    return UNKNOWN


EFFECTS: dict[str, Effect] = {
    "fresh": _fresh,
    "tensor": _tensor,
    "device_tensor": _tensor,
    "cat": _cat,
    "cat_arguments": _cat_arguments,
    "stack": _stack,
    "where": _where,
    "loader": _loader,
    "tensor_dataset": _tensor_dataset,
    "random_split": _random_split,
    "train_test_split": _train_test_split,
    "concat_dataset": _concat_dataset,
}

METHODS: dict[str, Method] = {
    "loader": call_loader,
}
