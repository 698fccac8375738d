"""torchtext: Fields, datasets and iterators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import axes, iteration, tensors, values
from rnnlint.semantics.catalogue import Entry
from rnnlint.semantics.frames import Arguments, Effect, Method
from rnnlint.semantics.values import UNKNOWN, Padding, Place, Step, Tensor, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _field(run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place) -> Value:
    made = values.Thing("field", entry.kind, place, arguments.bind(entry.parameters))
    run.things.append(made)
    return made


def call_field(
    run: Interpreter, thing: values.Thing, name: str, arguments: Arguments, place: Place
) -> Value:
    if name in ("process", "pad"):
        return _text_tensor(thing)
    return UNKNOWN


def _text_dataset(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return text_dataset(run, arguments, place)


def text_dataset(run: Interpreter, arguments: Arguments, place: Place) -> values.Thing:
    """A dataset that knows which attribute of a batch comes from which Field."""
    fields: dict[str, Value] = {}
    for value in arguments.all():
        _collect_fields(run, value, fields)
    given = tuple(
        value
        for value in arguments.all()
        if isinstance(value, values.Thing) and value.kind == "field"
    )
    if given:
        fields["<fields>"] = values.Tuple(given)
    return values.Thing("text_dataset", "Dataset", place, fields)


def _collect_fields(run: Interpreter, value: Value, into: dict[str, Value], depth: int = 3) -> None:
    if isinstance(value, values.DictObject) and depth:
        for key, item in value.fields["entries"].items():
            pair = iteration.known_items(run, item)
            if pair and len(pair) == 2 and isinstance(pair[0], values.Const):
                into[str(pair[0].value)] = pair[1]
            elif isinstance(item, values.Thing) and item.kind == "field":
                into[str(key)] = item
        return
    items = iteration.known_items(run, value)
    if items is None or not depth:
        return
    if len(items) == 2:
        name, field = items
        is_field = isinstance(field, values.Thing) and field.kind == "field"
        if is_field and isinstance(name, values.Const):
            into[str(name.value)] = field
            return
    for item in items:
        _collect_fields(run, item, into, depth - 1)


def _iterator(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    return _text_iterator(arguments, place)


def _text_iterator(arguments: Arguments, place: Place) -> values.Thing:
    options = dict(arguments.keywords)
    first = arguments.get(0, "dataset", "datasets")
    for member in values.members(first) if first is not None else ():
        inner = member.items[0] if isinstance(member, values.Tuple) and member.items else member
        if isinstance(inner, values.Thing) and inner.kind == "text_dataset":
            options.update(inner.options)
    return values.Thing("text_iterator", "BucketIterator", place, options)


def _iterators(
    run: Interpreter, entry: Entry, name: str, arguments: Arguments, place: Place
) -> Value:
    """`BucketIterator.splits((train, valid, test), ...)`"""
    first = arguments.get(0, "datasets")
    made = _text_iterator(arguments, place)
    count = len(iteration.known_items(run, first) or ()) if first is not None else 0
    if not count:
        return values.ListObject(None, made)
    return values.Tuple((made,) * count)


def text_batch_attribute(run: Interpreter, batch: values.Thing, name: str) -> Value:
    """`batch.text`: the padded tensor, with its lengths where the Field includes them."""
    field = batch.options.get(name)
    if not isinstance(field, values.Thing) or field.kind != "field":
        field = _guessed_field(run, batch, name)
    if field is None:
        return UNKNOWN
    if field.name in ("LabelField", "RawField"):
        return Tensor()
    if values.default_truth(field.options.get("sequential", values.TRUE)) is False:
        return Tensor()
    made = _text_tensor(field, batch.place)
    device = tensors.device_kind(batch.options.get("device"))
    steps = (Step(batch.place or Place("", 0, 0), "puts its batches on the accelerator"),)
    if device == "gpu":
        made = tensors.changed(made, device=device, device_steps=steps)
    lengths = field.options.get("include_lengths", values.FALSE)
    if values.default_truth(lengths) is not True:
        return made
    ordered = values.default_truth(batch.options.get("sort_within_batch", values.FALSE)) is True
    sizes = Tensor(
        lengths=True,
        order="sorted" if ordered else "",
        device=made.device,
        device_steps=made.device_steps,
    )
    return values.Tuple((made, sizes))


_LABELS = frozenset("label labels target y stars rating".split())


def _guessed_field(run: Interpreter, batch: values.Thing, name: str) -> values.Thing | None:
    """The Field behind an attribute when the dataset's fields were not seen.

    All sequence Fields that the dataset was given, or else those of the file that makes
    the batches, or else all of the project, have to agree in what matters.
    """
    if name in _LABELS or name.startswith("__") or name in ("dataset", "fields", "batch_size"):
        return None
    given = batch.options.get("<fields>")
    known = list(given.items) if isinstance(given, values.Tuple) else []
    here = [
        thing
        for thing in run.things
        if thing.kind == "field" and thing.place and batch.place
        if thing.place.path == batch.place.path
    ]
    fields = [
        thing
        for thing in known or here or run.things
        if isinstance(thing, values.Thing)
        and thing.kind == "field"
        and thing.name not in ("LabelField", "RawField")
        and values.default_truth(thing.options.get("sequential", values.TRUE)) is not False
    ]
    agreed = {
        (
            values.default_truth(field.options.get("include_lengths", values.FALSE)),
            values.default_truth(field.options.get("batch_first", values.FALSE)),
        )
        for field in fields
    }
    return fields[0] if len(agreed) == 1 else None


def _text_tensor(field: values.Thing, iterator: Place | None = None) -> Tensor:
    place = field.place or Place("", 0, 0)
    batch_first = values.default_truth(field.options.get("batch_first", values.FALSE))
    left = values.default_truth(field.options.get("pad_first", values.FALSE)) is True
    steps = [Step(place, "this Field pads every batch")]
    if iterator is not None:
        steps.append(Step(iterator, "this iterator yields the padded batches"))
    return Tensor(
        padding=Padding("left" if left else "right", tuple(steps), _padding_id(field)),
        axes=axes.of_batch(0 if batch_first else 1, place),
        batch_axis_steps=(Step(place, f"has batch_first={bool(batch_first)}"),),
    )


def _padding_id(field: values.Thing) -> Value:
    """The id that a Field pads with: its vocabulary begins with `<unk>` and `<pad>`."""
    own = field.options.get("pad_token")
    if values.default_truth(field.options.get("use_vocab", values.TRUE)) is not True:
        return own if own is not None else UNKNOWN
    unknown_token = field.options.get("unk_token", values.Const("<unk>"))
    if not isinstance(unknown_token, values.Const) or own == values.NONE:
        return UNKNOWN
    return values.Const(0 if unknown_token.value is None else 1)


EFFECTS: dict[str, Effect] = {
    "field": _field,
    "text_dataset": _text_dataset,
    "iterator": _iterator,
    "iterators": _iterators,
}

METHODS: dict[str, Method] = {
    "field": call_field,
}
