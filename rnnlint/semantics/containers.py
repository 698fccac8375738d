"""Methods of lists, dicts and strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rnnlint.semantics import iteration, operations, subscripts, values
from rnnlint.semantics.frames import Arguments
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import NONE, UNKNOWN, Place, Step, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def call_list_method(
    run: Interpreter, owner: values.ListObject, name: str, arguments: Arguments, place: Place
) -> Value:
    value = arguments.first
    fields = owner.fields
    if name in ("append", "add", "appendleft", "put"):
        append(run, owner, value, "left" if name == "appendleft" else "right")
        return NONE
    if name == "insert":
        front = isinstance(value, values.Const) and value.value == 0
        item = arguments.positional[1] if len(arguments.positional) > 1 else UNKNOWN
        append(run, owner, item, "left" if front else "right")
        return NONE
    if name in ("extend", "update"):
        operations.extend_list(run, owner, value, place)
        return NONE
    if name in ("pop", "popleft", "get", "__next__"):
        return iteration.element(run, owner)
    if name == "sort":
        steps = (Step(place, "sorts the batch"),)
        element = iteration.element(run, owner)
        run.state.set(fields, "items", None)
        run.state.set(fields, "element", element)
        run.state.set(fields, "order", "sorted")
        run.state.set(fields, "order_steps", steps)
        return NONE
    if name == "copy":
        return values.fresh_copy(owner)
    if name == "__iter__":
        return owner
    if name in ("reverse", "clear", "remove", "close", "send"):
        return NONE
    return UNKNOWN


def append(run: Interpreter, owner: values.ListObject, value: Value, side: str) -> None:
    if run.filling and not operations.is_content(value):
        step = Step(run.filling[-1], "appends padding until each sequence is long enough")
        run.state.set(owner.fields, "padding", values.Padding(side, (step,)))
        return
    items = owner.fields["items"]
    in_loop = any(turn > 0 for _, _, turn in run.context.loops)
    if items is not None and len(items) < 64 and not (in_loop and value in items):
        unrolled = not run.context.loops or isinstance(value, values.Object)
        if unrolled:
            run.state.set(owner.fields, "items", (*items, value))
            return
    operations.append_unknown(run, owner, value)


def call_dict_method(
    run: Interpreter, owner: values.DictObject, name: str, arguments: Arguments, place: Place
) -> Value:
    method = _DICT_METHODS.get(name)
    return UNKNOWN if method is None else method(run, owner, arguments)


def _dict_get(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    key = arguments.first
    found = subscripts.dict_item(owner, key)
    absent = isinstance(found, values.Unknown) and isinstance(key, values.Const)
    if absent and owner.fields["rest"] is None and len(arguments.positional) > 1:
        return arguments.positional[1]
    return found


def _dict_items(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    entries, rest = owner.fields["entries"], owner.fields["rest"]
    if rest is None:
        return values.ListObject(
            tuple(values.Tuple((values.Const(key), value)) for key, value in entries.items())
        )
    return values.ListObject(None, values.Tuple((UNKNOWN, join([*entries.values(), rest]))))


def _dict_values(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    entries, rest = owner.fields["entries"], owner.fields["rest"]
    if rest is None:
        return values.ListObject(tuple(entries.values()))
    return values.ListObject(None, join([*entries.values(), rest]))


def _dict_keys(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    return values.ListObject(tuple(values.Const(key) for key in owner.fields["entries"]))


def _dict_update(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    more = arguments.first
    merged = dict(owner.fields["entries"])
    if isinstance(more, values.DictObject) and more.fields["rest"] is None:
        merged.update(more.fields["entries"])
    elif arguments.positional or arguments.open:
        merged = {key: join([value, UNKNOWN]) for key, value in merged.items()}
        if isinstance(more, values.DictObject):
            merged.update(more.fields["entries"])
        rest = owner.fields["rest"]
        run.state.set(owner.fields, "rest", join([*([rest] if rest is not None else []), UNKNOWN]))
    merged.update(arguments.keywords)
    run.state.set(owner.fields, "entries", merged)
    return NONE


def _dict_copy(run: Interpreter, owner: values.DictObject, arguments: Arguments) -> Value:
    return values.DictObject(dict(owner.fields["entries"]), owner.fields["rest"])


_DICT_METHODS: dict[str, Callable[[Interpreter, values.DictObject, Arguments], Value]] = {
    "get": _dict_get,
    "pop": _dict_get,
    "setdefault": _dict_get,
    "items": _dict_items,
    "values": _dict_values,
    "keys": _dict_keys,
    "update": _dict_update,
    "copy": _dict_copy,
    "to": lambda run, owner, arguments: owner,
}


_TEXT_METHODS = frozenset(
    "lower upper strip lstrip rstrip startswith endswith find rfind replace split title "
    "capitalize isdigit isupper islower count index format join casefold swapcase "
    "removeprefix removesuffix rsplit partition".split()
)


def call_text_method(owner: values.Const, name: str, arguments: Arguments) -> Value:
    if name not in _TEXT_METHODS or not isinstance(owner.value, str):
        return UNKNOWN
    given = arguments.all()
    if name == "format" and not all(isinstance(value, values.Const) for value in given):
        return values.Prefix(owner.value.split("{")[0])
    if arguments.open or not all(isinstance(value, values.Const) for value in given):
        return UNKNOWN
    if name == "format" and values.formats_widely(owner.value):
        return UNKNOWN
    option = owner.option or any(isinstance(v, values.Const) and v.option for v in given)
    plain = [v.value for v in arguments.positional if isinstance(v, values.Const)]
    named = {k: v.value for k, v in arguments.keywords.items() if isinstance(v, values.Const)}
    try:
        result = getattr(owner.value, name)(*plain, **named)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return UNKNOWN
    if isinstance(result, (list, tuple)):
        return values.ListObject(tuple(values.Const(part, option) for part in result[:64]))
    if values.is_unwieldy(result):
        return UNKNOWN
    return values.Const(result, option=option)
