"""What Python's own functions and standard library do to abstract values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rnnlint.semantics import (
    attributes,
    axes,
    calls,
    excerpts,
    iteration,
    lengths,
    modules,
    parameters,
    tensors,
    types,
    values,
)
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Step, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

Effect: TypeAlias = "Callable[[Interpreter, Arguments, Place], Value]"


def _len(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    items = iteration.known_items(run, value)
    if items is not None and not isinstance(value, values.Parameters):
        if isinstance(value, values.ListObject) and value.kind == "generator":
            return values.Size()
        if items and all(isinstance(item, values.Const) for item in items):
            return values.Size()  # a row of literal data stands for rows of any length
        return values.Const(len(items))
    if isinstance(value, values.Tensor):
        return tensors.shape_of(value).axis(0)
    if isinstance(value, values.Shape):
        return values.Const(value.rank) if value.rank else UNKNOWN
    return values.Size()


def _range(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    given = arguments.positional
    if any(isinstance(value, values.Shortfall) for value in given):
        return values.Filler(place)
    if len(given) == 1 and isinstance(given[0], values.Const) and not given[0].option:
        count = given[0].value
        if isinstance(count, int) and 0 <= count <= 4:
            return values.ListObject(tuple(values.Const(n) for n in range(count)))
    made = values.ListObject(None, UNKNOWN)
    made.fields["bounds"] = tuple(given)
    return made


def _zip(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    given = arguments.positional
    if len(given) == 1 and isinstance(given[0], values.Slice) and given[0].lower is not None:
        return _transposed(run, given[0].lower)
    known = [iteration.known_items(run, value) for value in given]
    if given and all(items is not None for items in known):
        rows = zip(*[items or () for items in known], strict=False)
        return values.ListObject(tuple(values.Tuple(row) for row in rows))
    parts = tuple(iteration.element(run, value) for value in given)
    made = values.ListObject(None, values.Tuple(parts))
    made.fields["over"] = tuple(given)
    _inherit_order(made, given)
    return made


def _inherit_order(made: values.ListObject, given: list[Value]) -> None:
    for value in given:
        order, steps = iteration.order_of(value)
        if order:
            made.fields["order"], made.fields["order_steps"] = order, steps
            return


def _transposed(run: Interpreter, rows: Value) -> Value:
    """`zip(*batch)`: one list for each component of the samples."""
    if isinstance(rows, values.Tensor):
        return excerpts.with_excerpt(axes.swapped(rows, 0, 1), None)
    row = iteration.element(run, rows)
    items = iteration.known_items(run, row)
    order, steps = iteration.order_of(rows)
    if items is None:
        column = values.ListObject(
            None, iteration.element(run, row), order=order, order_steps=steps
        )
        return values.ListObject(None, column)
    columns = tuple(values.ListObject(None, item, order=order, order_steps=steps) for item in items)
    return values.Tuple(columns)


def _enumerate(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    items = iteration.known_items(run, value)
    if items is not None:
        return values.ListObject(
            tuple(values.Tuple((values.Const(n), item)) for n, item in enumerate(items))
        )
    pair = values.Tuple((UNKNOWN, iteration.element(run, value)))
    made = values.ListObject(None, pair)
    made.fields["over"] = (value,)
    _inherit_order(made, [value])
    return made


def _list(kind: str) -> Effect:
    def effect(run: Interpreter, arguments: Arguments, place: Place) -> Value:
        if not arguments.positional:
            return values.ListObject((), kind=kind)
        value = arguments.first
        if isinstance(value, values.Parameters):
            return value
        if isinstance(value, (values.Filler, values.Tensor)) and not _is_lengths(value):
            return value
        items = iteration.known_items(run, value)
        if items is not None:
            return values.Tuple(items) if kind == "tuple" else values.ListObject(items, kind=kind)
        made = values.ListObject(None, iteration.element(run, value), kind="list")
        made.fields["order"], made.fields["order_steps"] = iteration.order_of(value)
        return made

    return effect


def _is_lengths(value: Value) -> bool:
    return isinstance(value, values.Tensor) and value.lengths


def _dict(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    entries: dict[Any, Value] = {}
    rest: Value | None = UNKNOWN if arguments.open else None
    for value in arguments.positional:
        if isinstance(value, values.DictObject):
            entries.update(value.fields["entries"])
            rest = value.fields["rest"]
            continue
        pairs = iteration.known_items(run, value)
        if pairs is None:
            rest = iteration.item(run, iteration.element(run, value), 1)
            continue
        for pair in pairs:
            items = iteration.known_items(run, pair)
            if items and len(items) == 2 and isinstance(items[0], values.Const):
                entries[items[0].value] = items[1]
            elif items and len(items) == 2:
                rest = items[1] if rest is None else join([rest, items[1]])
    entries.update(arguments.keywords)
    return values.DictObject(entries, rest)


def _sorted(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    element = iteration.element(run, value)
    steps = (Step(place, "sorts the batch"),)
    return values.ListObject(None, element, order="sorted", order_steps=steps)


def _same(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return arguments.first


def _deep_copy(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return modules.copied(arguments.first)


def _map(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) < 2:
        return UNKNOWN
    function, *iterables = arguments.positional
    known = [iteration.known_items(run, value) for value in iterables]
    if all(items is not None and len(items) <= iteration.MAX_UNROLLED for items in known):
        rows = zip(*[items or () for items in known], strict=False)
        return values.ListObject(
            tuple(calls.call(run, function, Arguments(list(row)), place) for row in rows)
        )
    row = [iteration.element(run, value) for value in iterables]
    made = values.ListObject(None, calls.call(run, function, Arguments(row), place))
    _inherit_order(made, iterables)
    return made


def _filter(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) < 2:
        return UNKNOWN
    function, iterable = arguments.positional[:2]
    items = iteration.known_items(run, iterable)
    if items is None or isinstance(iterable, values.Parameters):
        return iterable
    kept = [
        item
        for item in items
        if values.truth(calls.call(run, function, Arguments([item]), place)) is not False
    ]
    return values.ListObject(tuple(kept))


def _sum(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return tensors.mixed(arguments.positional)


def _extreme(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    given = arguments.positional
    if any(isinstance(value, values.Shortfall) for value in given):
        return values.Shortfall()
    if any(isinstance(value, values.Size) for value in given):
        return values.Size()
    if len(given) == 1:
        element = iteration.element(run, given[0])
        return values.Size() if isinstance(element, values.Size) else UNKNOWN
    return UNKNOWN


def _number(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    if isinstance(value, (values.Size, values.Shortfall, values.DrawnNumber)):
        return value
    if isinstance(value, values.Const) and isinstance(value.value, (int, float)):
        return value
    if isinstance(value, values.Tensor) and tensors.is_drawn_number(value):
        return values.DrawnNumber()
    if isinstance(value, values.Tensor) and value.lengths:
        return values.Size(relative=value.relative)
    return UNKNOWN


def _round(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    number = _number(run, arguments, place)
    return values.Size(number.of, number.axis) if isinstance(number, values.Size) else number


def _integer(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    if isinstance(value, values.Const) and isinstance(value.value, (int, float)):
        try:
            return values.Const(int(value.value), option=value.option)
        except (OverflowError, ValueError):
            return UNKNOWN
    number = _number(run, arguments, place)
    if isinstance(number, values.Size) and number.relative is not None:
        return values.Size(relative=lengths.cut(number.relative, place))
    return number


def _str(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    if isinstance(value, values.Const):
        return values.Const(str(value.value), option=value.option)
    if isinstance(value, (values.Class, values.External)):
        name = value.name
        return values.Const(f"<class '{name}'>")
    return UNKNOWN


def _bool(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    decided = values.truth(arguments.first)
    return UNKNOWN if decided is None else values.Const(decided)


def _isinstance(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) < 2:
        return UNKNOWN
    answer = types.is_instance(run, arguments.positional[0], arguments.positional[1])
    return UNKNOWN if answer is None else values.Const(answer)


def _type(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    if isinstance(value, values.Instance):
        return value.cls
    if isinstance(value, values.Layer):
        return values.External(f"torch.nn.{value.kind}")
    if isinstance(value, values.Tensor):
        return values.External("torch.Tensor")
    if isinstance(value, values.Tuple):
        return values.External("builtins.tuple")
    if isinstance(value, values.ListObject):
        return values.External("builtins.list")
    if isinstance(value, values.DictObject):
        return values.External("builtins.dict")
    return UNKNOWN


def _getattr(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) < 2:
        return UNKNOWN
    owner, name = arguments.positional[:2]
    found: list[Value] = []
    if isinstance(name, values.Prefix):
        return attributes_like(run, owner, name.text, place)
    for option in values.members(name):
        if isinstance(option, values.Const) and isinstance(option.value, str):
            value = attributes.get_attribute(run, owner, option.value, place)
            if not isinstance(value, values.Unknown):
                found.append(value)
    if found:
        return join(found)
    if not isinstance(name, values.Const):
        return any_attribute(owner)
    if len(arguments.positional) > 2:
        return arguments.positional[2]
    return UNKNOWN


def attributes_like(run: Interpreter, owner: Value, start: str, place: Place) -> Value:
    """`getattr(owner, f"{start}{n}")`: any attribute whose name begins so."""
    names: list[str] = []
    if isinstance(owner, values.Layer):
        names = [name for name, _ in parameters.parameter_names(owner)]
    elif isinstance(owner, values.Instance):
        names = [name for name in owner.fields if isinstance(name, str)]
    alike = [name for name in names if start and name.startswith(start)]
    if not alike:
        return any_attribute(owner)
    return join([attributes.get_attribute(run, owner, name, place) for name in alike])


def any_attribute(owner: Value) -> Value:
    """`getattr(owner, name)` with a name that nobody knows."""
    if isinstance(owner, values.External):
        return values.External(f"{owner.name}.?")
    if isinstance(owner, values.ModuleScope):
        classes: list[Value] = [
            value for value in owner.fields.values() if isinstance(value, values.Class)
        ]
        return join(classes) if classes else UNKNOWN
    return UNKNOWN


def _setattr(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) == 3:
        owner, name, value = arguments.positional
        if isinstance(name, values.Const) and isinstance(name.value, str):
            attributes.set_attribute(run, owner, name.value, value, place)
        elif isinstance(owner, values.Instance):
            key = f"<{place.start}>"
            attributes.set_attribute(run, owner, key, value, place)
    return NONE


def _hasattr(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if len(arguments.positional) < 2:
        return UNKNOWN
    owner, name = arguments.positional[:2]
    if isinstance(owner, (values.Instance, values.Layer)) and isinstance(name, values.Const):
        value = attributes.get_attribute(run, owner, str(name.value), place)
        if isinstance(value, values.Native):
            return UNKNOWN if isinstance(owner, values.Instance) else values.FALSE
        return values.Const(True) if not isinstance(value, values.Unknown) else UNKNOWN
    return UNKNOWN


def _next(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return iteration.element(run, arguments.first)


def _vars(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    value = arguments.first
    if isinstance(value, (values.Thing, values.Instance, values.ModuleScope)):
        return values.DictObject(
            {key: item for key, item in value.fields.items() if isinstance(item, Value)}
        )
    return UNKNOWN


def _partial(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    if not arguments.positional:
        return UNKNOWN
    function, *rest = arguments.positional
    return values.Partial(function, tuple(rest), dict(arguments.keywords))


def _named_tuple(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    """`namedtuple("Batch", "words tags")`, which makes tuples when it is called."""
    given = arguments.get(1, "field_names") or UNKNOWN
    text = given.value if isinstance(given, values.Const) else None
    names: list[Any] = text.replace(",", " ").split() if isinstance(text, str) else []
    items = iteration.known_items(run, given) or ()
    names += [item.value if isinstance(item, values.Const) else None for item in items]
    if not names or not all(isinstance(name, str) for name in names):
        return UNKNOWN
    fields = values.Tuple(tuple(values.Const(name) for name in names))
    return values.Partial(values.External(_NAMED), (fields,), {})


_NAMED = "collections.namedtuple.<made>"


def _make_named(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    fields, *given = arguments.positional
    named = fields.items if isinstance(fields, values.Tuple) else ()
    names = tuple(str(one.value) for one in named if isinstance(one, values.Const))
    rest = [arguments.keywords.get(name, UNKNOWN) for name in names[len(given) :]]
    items = (*given, *rest)
    if arguments.open or len(items) != len(names):
        return UNKNOWN
    return values.NamedTuple(items, names)


def _chain(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    given = arguments.positional
    if given and all(isinstance(value, values.Parameters) for value in given):
        modules = tuple(m for v in given if isinstance(v, values.Parameters) for m in v.modules)
        return values.Parameters(modules)
    return values.ListObject(None, join([iteration.element(run, value) for value in given]))


def _zip_longest(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    step = Step(place, "pads every sequence to the longest")
    filler = arguments.get(None, "fillvalue") or (UNKNOWN if arguments.open else NONE)
    return values.Tensor(
        padding=values.Padding("right", (step,), filler), axes=axes.of_batch(1, place), open=False
    )


def _repeat(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    times = arguments.get(1, "times")
    return values.Filler(place) if isinstance(times, values.Shortfall) else UNKNOWN


def _draw(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    """`random.randint(3, 9)`; with a `size` it is an array."""
    given = arguments.all()
    return values.DrawnNumber() if len(given) < 3 and not arguments.keywords else UNKNOWN


def _print(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return NONE


def _namespace(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    """SimpleNamespace(...), EasyDict({...}): attributes from a dict or keywords."""
    made = values.Thing("namespace", "namespace", place, {})
    source = arguments.first
    if isinstance(source, values.DictObject):
        made.fields.update(source.fields["entries"])
    made.fields.update(arguments.keywords)
    return made


def _parser(run: Interpreter, arguments: Arguments, place: Place) -> Value:
    return values.Thing("parser", "ArgumentParser", place, {})


FUNCTIONS: dict[str, Effect] = {
    "builtins.len": _len,
    "builtins.range": _range,
    "builtins.xrange": _range,
    "builtins.zip": _zip,
    "builtins.enumerate": _enumerate,
    "builtins.list": _list("list"),
    "builtins.tuple": _list("tuple"),
    "builtins.set": _list("set"),
    "builtins.frozenset": _list("set"),
    "builtins.iter": _same,
    "builtins.reversed": _same,
    "builtins.dict": _dict,
    "builtins.sorted": _sorted,
    "builtins.map": _map,
    "builtins.filter": _filter,
    "builtins.sum": _sum,
    "builtins.min": _extreme,
    "builtins.max": _extreme,
    "builtins.abs": _number,
    "builtins.round": _round,
    "builtins.float": _number,
    "builtins.int": _integer,
    "builtins.str": _str,
    "builtins.bool": _bool,
    "builtins.isinstance": _isinstance,
    "builtins.type": _type,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.hasattr": _hasattr,
    "builtins.next": _next,
    "builtins.vars": _vars,
    "builtins.print": _print,
    "functools.partial": _partial,
    "collections.namedtuple": _named_tuple,
    _NAMED: _make_named,
    "itertools.chain": _chain,
    "itertools.zip_longest": _zip_longest,
    "itertools.repeat": _repeat,
    "random.randint": _draw,
    "random.randrange": _draw,
    "numpy.random.randint": _draw,
    "itertools.islice": _same,
    "itertools.cycle": _same,
    "copy.copy": _same,
    "copy.deepcopy": _deep_copy,
    "tqdm.tqdm": _same,
    "tqdm.trange": _range,
    "tqdm.auto.tqdm": _same,
    "tqdm.notebook.tqdm": _same,
    "tqdm.tqdm_notebook": _same,
    "rich.progress.track": _same,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda run, arguments, place: values.DictObject({}, UNKNOWN),
    "collections.deque": _list("list"),
    "types.SimpleNamespace": _namespace,
    "argparse.Namespace": _namespace,
    "easydict.EasyDict": _namespace,
    "addict.Dict": _namespace,
    "argparse.ArgumentParser": _parser,
    "configargparse.ArgumentParser": _parser,
    "configargparse.ArgParser": _parser,
    "optparse.OptionParser": _parser,
    "typing.cast": lambda run, arguments, place: arguments.get(1, "val") or UNKNOWN,
}
