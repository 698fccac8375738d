"""The value of an expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    calls,
    excerpts,
    iteration,
    joins,
    lengths,
    library,
    modules,
    naming,
    notes,
    operations,
    reflection,
    statements,
    subscripts,
    values,
)
from rnnlint.semantics.frames import Arguments, Frame
from rnnlint.semantics.joins import join
from rnnlint.semantics.values import UNKNOWN, Value, truth

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter

MAX_NESTING = 4
"""Tuples nested deeper are unknown: comparing two of them takes forever."""


def evaluate(run: Interpreter, node: ir.Expr, frame: Frame) -> Value:
    """The value of an expression, run once in its frame."""
    run.steps += 1
    if type(node) is ir.Name:  # every second expression is one
        return lookup(frame, node.id)
    return _EVALUATORS[type(node)](run, node, frame)


def _const(run: Interpreter, node: ir.Const, frame: Frame) -> Value:
    if node.kind == "opaque":
        return UNKNOWN
    if node.kind in ("bytes", "complex", "ellipsis"):
        return values.External(f"builtins.{node.kind}")
    return values.Const(node.value)


def lookup(frame: Frame, name: str) -> Value:
    """The value of a name in a frame."""
    value = frame.scope.get(name)
    if value is None:
        for scope in frame.closure:
            value = scope.get(name)
            if value is not None:
                break
        else:
            value = frame.module.fields.get(name)
    if value is not None:
        return value if isinstance(value, Value) else UNKNOWN
    if name in _BUILTINS:
        return values.External(f"builtins.{name}")

    for star in frame.module.fields.get("<stars>", ()):
        if library.knows(f"{star}.{name}"):
            return values.External(f"{star}.{name}")
    return values.Const("__module__") if name == "__name__" else UNKNOWN


def _attribute(run: Interpreter, node: ir.Attribute, frame: Frame) -> Value:
    owner = evaluate(run, node.value, frame)
    return attributes.get_attribute(run, owner, node.attr, frame.place(node))


def _call(run: Interpreter, node: ir.Call, frame: Frame) -> Value:
    place = frame.place(node)
    function = node.func
    if isinstance(function, ir.Name) and function.id == "super":
        return _super(run, node, frame)
    if isinstance(function, ir.Attribute):
        receiver = evaluate(run, function.value, frame)
        arguments = _arguments(run, node, frame)
        owned = receiver.fields if isinstance(receiver, values.Instance) else {}
        if isinstance(owned.get(function.attr), _MODULES):
            excerpts.note_wholes(node, arguments, frame)
        return calls.call_method(run, receiver, function.attr, arguments, place)
    callee = evaluate(run, function, frame)
    arguments = _arguments(run, node, frame)
    if isinstance(callee, _MODULES):
        excerpts.note_wholes(node, arguments, frame)
    if isinstance(callee, values.External) and callee.name in reflection.FRAME_CALLS:
        return reflection.FRAME_CALLS[callee.name](run, arguments, frame, place)
    return calls.call(run, callee, arguments, place)


_MODULES = (values.Instance, values.Layer, values.Container)


def _super(run: Interpreter, node: ir.Call, frame: Frame) -> Value:
    """`super()` and `super(Class, self)`."""
    function = frame.function
    receiver = frame.receiver
    if receiver is None and function is not None and function.node.params:
        receiver = frame.scope.get(function.node.params[0].name)
    owner = function.owner if function is not None else None
    if node.args:
        named = evaluate(run, node.args[0].value, frame)
        if isinstance(named, values.Class):
            owner = named
    if owner is None or receiver is None:
        return UNKNOWN
    return values.Super(owner, receiver)


def _arguments(run: Interpreter, node: ir.Call, frame: Frame) -> Arguments:
    arguments = Arguments()
    starred = False
    for argument in node.args:
        value = evaluate(run, argument.value, frame)
        if argument.star == "*":
            items = iteration.known_items(run, value)
            if items is None:
                arguments.open = starred = True
                arguments.positional.append(values.Slice(value, None, None))
            else:
                arguments.positional.extend(items)
        elif argument.star == "**":
            if isinstance(value, values.DictObject):
                entries = value.fields["entries"]
                arguments.keywords.update(
                    {key: item for key, item in entries.items() if isinstance(key, str)}
                )
                arguments.open = arguments.open or value.fields["rest"] is not None
            else:
                arguments.open = True
        elif argument.keyword is not None:
            arguments.keywords[argument.keyword] = value
        else:
            arguments.positional.append(value)
    if starred:
        _drop_open_star(arguments)
    return arguments


def _drop_open_star(arguments: Arguments) -> None:
    """`f(*unknown)`: keep a lone starred iterable (for zip), else forget it."""
    starred = [value for value in arguments.positional if isinstance(value, values.Slice)]
    if starred and len(arguments.positional) > 1:
        first = next(
            i for i, value in enumerate(arguments.positional) if isinstance(value, values.Slice)
        )
        del arguments.positional[first:]


def _subscript(run: Interpreter, node: ir.Subscript, frame: Frame) -> Value:
    owner = evaluate(run, node.value, frame)
    index = tuple(evaluate(run, part, frame) for part in node.index)
    made = subscripts.get_item(run, owner, index, node, frame.place(node))
    return excerpts.taken(node, owner, index, made, frame)


def _slice(run: Interpreter, node: ir.Slice, frame: Frame) -> Value:
    lower, upper, step = [
        None if part is None else evaluate(run, part, frame)
        for part in (node.lower, node.upper, node.step)
    ]
    return values.Slice(lower, upper, step, _takes_one(node))


def _takes_one(node: ir.Slice) -> bool:
    """`i : i + 1`"""
    lower, upper = node.lower, node.upper
    if not isinstance(lower, ir.Name) or not isinstance(upper, ir.Binary) or upper.op != "+":
        return False
    first, second = upper.left, upper.right
    is_next = isinstance(second, ir.Const) and second.value == 1
    return is_next and isinstance(first, ir.Name) and first.id == lower.id


def _sequence(run: Interpreter, node: ir.Sequence, frame: Frame) -> Value:
    items: list[Value] = []
    whole = True
    filler: values.Filler | None = None
    padded: Value | None = None
    for element in node.elements:
        if isinstance(element, ir.Starred):
            value = evaluate(run, element.value, frame)
            known = iteration.known_items(run, value)
            if isinstance(value, values.Filler):
                filler = value
            elif isinstance(value, values.Tensor):
                padded = value
            if known is None or len(known) > iteration.MAX_UNROLLED:
                whole = False
                items.append(iteration.element(run, value))
            else:
                items.extend(known)
        else:
            items.append(evaluate(run, element, frame))
    if filler is not None:
        first = node.elements[0]
        leads = isinstance(first, ir.Starred) and isinstance(
            evaluate(run, first.value, frame), values.Filler
        )
        return operations.padded(padded or UNKNOWN, filler, "left" if leads else "right")
    if node.kind == "tuple" and whole:
        made = values.Tuple(tuple(items))
        return UNKNOWN if values.is_nested(made, MAX_NESTING) else made
    if whole:
        return values.ListObject(tuple(items), kind=node.kind)
    return values.ListObject(None, join(items) if items else UNKNOWN, kind=node.kind)


def _dict(run: Interpreter, node: ir.Dict, frame: Frame) -> Value:
    entries: dict[Any, Value] = {}
    rest: list[Value] = []
    for key, item in zip(node.keys, node.values, strict=True):
        value = evaluate(run, item, frame)
        if key is None:
            if isinstance(value, values.DictObject):
                if value.fields["rest"] is not None:
                    rest.append(value.fields["rest"])
                    entries = {name: join([entry, UNKNOWN]) for name, entry in entries.items()}
                entries.update(value.fields["entries"])
            else:
                rest.append(UNKNOWN)
                entries = {name: join([entry, UNKNOWN]) for name, entry in entries.items()}
            continue
        name = evaluate(run, key, frame)
        if isinstance(name, values.Const):
            entries[name.value] = value
        elif isinstance(name, values.External):
            entries[name.name] = value
        else:
            rest.append(value)
    return values.DictObject(entries, join(rest) if rest else None)


def _unary(run: Interpreter, node: ir.Unary, frame: Frame) -> Value:
    operand = evaluate(run, node.operand, frame)
    return operations.unary(node.op, operand)


def _binary(run: Interpreter, node: ir.Binary, frame: Frame) -> Value:
    left = evaluate(run, node.left, frame)
    right = evaluate(run, node.right, frame)
    return operations.binary(run, node.op, left, right, frame.place(node))


def _bool_op(run: Interpreter, node: ir.BoolOp, frame: Frame) -> Value:
    seen: list[Value] = []
    stops = node.op == "or"
    for part in node.values:
        value = evaluate(run, part, frame)
        decided = truth(value)
        if decided is stops:
            return join([*seen, value]) if seen else value
        if decided is None:
            seen.append(value)
            last = value
        else:
            last = value
    if not seen:
        return last
    return join([*seen, last]) if last is not seen[-1] else join(seen)


def _compare(run: Interpreter, node: ir.Compare, frame: Frame) -> Value:
    notes.note_comparison(run, node, frame)
    left = evaluate(run, node.left, frame)
    result: Value = values.TRUE
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = evaluate(run, comparator, frame)
        outcome = operations.compare(op, left, right)
        lengths.note_mask(run, left, right, frame.place(node))
        if op == "!=":
            notes.note_padding_test(run, left, right, frame.place(node))
        decided = truth(outcome)
        if decided is False:
            return outcome
        if decided is None:
            result = outcome
        left = right
    return result


def _if_exp(run: Interpreter, node: ir.IfExp, frame: Frame) -> Value:
    test = evaluate(run, node.test, frame)
    decided = truth(test)
    if decided is not None:
        return evaluate(run, node.body if decided else node.orelse, frame)
    arms = (node.body, node.orelse)
    if isinstance(test, values.Const) and not test.value:
        arms = (node.orelse, node.body)
    place = frame.place(node)
    results = []
    optional = isinstance(test, values.Const)
    for number, arm in enumerate(arms):
        with run.condition(place, number, unlikely=optional and number == 1):
            results.append(evaluate(run, arm, frame))
    if isinstance(test, values.LengthTest):
        return joins.join_rows(results)
    return join(results)


def _lambda(run: Interpreter, node: ir.Lambda, frame: Frame) -> Value:
    defaults = {
        parameter.name: evaluate(run, parameter.default, frame)
        for parameter in node.params
        if parameter.default is not None
    }
    return values.Function(node, frame.module, frame.enclosing, defaults)


def _comprehension(run: Interpreter, node: ir.Comprehension, frame: Frame) -> Value:
    inner = Frame(dict(frame.scope), frame.module, frame.closure, frame.function)
    inner.receiver = frame.receiver
    inner.names, inner.bound = frame.names, dict(frame.bound)
    if frame.scope is frame.module.fields:
        inner.scope = {}
    inner.global_names = frame.global_names
    results: list[Value] = []
    keys: list[Value] = []
    collected = _Collected()
    with naming.inner_names(run, frame.scope, inner.scope):
        _generate(run, node, 0, inner, results, keys, collected)
    if node.kind == "dict":
        entries = {
            key.value: value
            for key, value in zip(keys, results, strict=True)
            if isinstance(key, values.Const)
        }
        rest = [v for k, v in zip(keys, results, strict=True) if not isinstance(k, values.Const)]
        return values.DictObject(entries, join(rest) if rest else None)
    if collected.filler is not None:
        return values.Filler(collected.filler.place, results[0] if results else UNKNOWN)
    kind = node.kind
    if collected.exact:
        return values.ListObject(tuple(results), kind=kind)
    for result in results:
        modules.note_several(result)
    element = join(results) if results else UNKNOWN
    made = values.ListObject(None, element, kind=kind)
    made.fields["order"] = collected.order
    made.fields["order_steps"] = collected.order_steps
    made.fields["excerpt"] = collected.excerpt
    if collected.padding is not None:
        made.fields["padding"] = _renumbered(run, node, inner, collected.padding)
    return made


class _Collected:
    """What a comprehension inherits from what it iterates over."""

    def __init__(self) -> None:
        self.exact = True
        self.order = ""
        self.order_steps: values.Provenance = ()
        self.filler: values.Filler | None = None
        self.padding: values.Padding | None = None
        self.excerpt: values.Excerpt | None = None


def _generate(
    run: Interpreter,
    node: ir.Comprehension,
    depth: int,
    frame: Frame,
    results: list[Value],
    keys: list[Value],
    collected: _Collected,
) -> None:
    if depth == len(node.generators):
        if node.key is not None:
            keys.append(evaluate(run, node.key, frame))
        results.append(evaluate(run, node.element, frame))
        return
    generator = node.generators[depth]
    iterable = evaluate(run, generator.iter, frame)
    if isinstance(iterable, values.Filler):
        collected.filler = iterable
    items = iteration.known_items(run, iterable)
    if items is None or len(items) > iteration.MAX_UNROLLED:
        items = (iteration.element(run, iterable),)
        collected.exact = False
        if len(node.generators) == 1 and not generator.ifs:
            collected.padding = iteration.padding_of(iterable)
            collected.excerpt = excerpts.of(iterable)
        if depth == 0 and isinstance(iterable, (values.ListObject, values.Tensor)):
            collected.order, collected.order_steps = iteration.order_of(iterable)
    for item in items:
        run.tick()
        statements.assign(run, generator.target, item, frame)
        excerpts.note_variables(generator.target, generator.iter, frame)
        kept = True
        for condition in generator.ifs:
            decided = truth(evaluate(run, condition, frame))
            if decided is False:
                kept = False
                break
            if decided is None:
                collected.exact = False
        if kept:
            _generate(run, node, depth + 1, frame, results, keys, collected)


def _renumbered(
    run: Interpreter, node: ir.Comprehension, frame: Frame, padding: values.Padding
) -> values.Padding:
    """`[numbers[tag] for tag in tags]`: padding becomes what its symbol is looked up to be."""
    if not isinstance(padding.filler, values.Const):
        return padding
    with run.hypothetical():
        statements.assign(run, node.generators[0].target, padding.filler, frame)
        filler = evaluate(run, node.element, frame)
    if filler == padding.filler:
        return padding
    step = values.Step(frame.place(node), values.RENUMBERS)
    known = filler if isinstance(filler, values.Const) else UNKNOWN
    return msgspec.structs.replace(padding, filler=known, steps=(*padding.steps, step))


def _starred(run: Interpreter, node: ir.Starred, frame: Frame) -> Value:
    return evaluate(run, node.value, frame)


def _await(run: Interpreter, node: ir.Await, frame: Frame) -> Value:
    return evaluate(run, node.value, frame)


def _yield(run: Interpreter, node: ir.Yield, frame: Frame) -> Value:
    value: Value = values.NONE
    if node.value is not None:
        value = excerpts.with_siblings(node.value, evaluate(run, node.value, frame), frame)
    frame.yields.append(iteration.element(run, value) if node.is_from else value)
    return UNKNOWN


def _fstring(run: Interpreter, node: ir.FString, frame: Frame) -> Value:
    text = ""
    whole = True
    for part in node.parts:
        value = evaluate(run, part, frame)
        if not isinstance(value, values.Const) or value.option or len(text) > values.MAX_TEXT:
            whole = False
        elif whole:
            text += str(value.value)
    return values.Const(text) if whole else values.Prefix(text)


def _named(run: Interpreter, node: ir.NamedExpr, frame: Frame) -> Value:
    value = evaluate(run, node.value, frame)
    statements.assign(run, node.target, value, frame)
    return value


_EVALUATORS: dict[type, Callable[[Interpreter, Any, Frame], Value]] = {
    ir.Const: _const,
    ir.Attribute: _attribute,
    ir.Call: _call,
    ir.Subscript: _subscript,
    ir.Slice: _slice,
    ir.Sequence: _sequence,
    ir.Dict: _dict,
    ir.Unary: _unary,
    ir.Binary: _binary,
    ir.BoolOp: _bool_op,
    ir.Compare: _compare,
    ir.IfExp: _if_exp,
    ir.Lambda: _lambda,
    ir.Comprehension: _comprehension,
    ir.Starred: _starred,
    ir.Await: _await,
    ir.Yield: _yield,
    ir.FString: _fstring,
    ir.NamedExpr: _named,
}

_BUILTINS = frozenset(
    "abs all any bool bytes callable classmethod delattr dict dir divmod enumerate eval exec "
    "filter float frozenset getattr globals hasattr hash id input int isinstance issubclass "
    "iter len list locals map max min next object open ord pow print property range repr "
    "reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip "
    "Exception ValueError KeyboardInterrupt StopIteration NotImplementedError xrange "
    "unicode".split()
)
