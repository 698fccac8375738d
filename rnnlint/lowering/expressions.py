"""Expressions with operands: LibCST nodes to the representation, token by token.

Each function reads just the tokens of its node.  Chains that nest on the left, such
as sums and chained calls, are unwound by `walk.lower_expression` in a loop; other
nesting recurses, and `lower` sees to it that there is room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.atoms import LEAVES
from rnnlint.lowering.walk import ATOMS, CHAINS, Walk, lower_expression, lower_optional


def lower_target(walk: Walk, node: Any) -> ir.Expr:
    """Lower what is assigned to, without counting what is only bound as mentioned."""
    kind = node.__class__.__name__
    if kind not in ("Name", "Attribute", "Tuple", "List", "StarredElement"):
        return lower_expression(walk, node)
    walk.position += len(node.lpar)
    start = walk.start()
    result: ir.Expr
    if kind == "Name":
        walk.position += 1
        result = ir.Name(start, walk.end(), node.value)
    elif kind == "Attribute":
        value = lower_expression(walk, node.value)
        walk.position += 2
        result = ir.Attribute(start, walk.end(), value, node.attr.value)
    elif kind == "StarredElement":
        walk.position += 1
        result = ir.Starred(start, walk.end(), lower_target(walk, node.value))
    else:
        result = _sequence(walk, node, kind.lower(), lower_target)
    walk.position += len(node.rpar)
    return result


# --- displays and comprehensions -------------------------------------------------


def _sequence(
    walk: Walk, node: Any, kind: str, lower: Callable[[Walk, Any], ir.Expr]
) -> ir.Sequence:
    bracketed = kind != "tuple"
    start = walk.start()
    walk.position += bracketed
    elements: list[ir.Expr] = []
    for element in node.elements:
        if element.__class__.__name__ == "StarredElement":
            elements.append(lower(walk, element))
        else:
            elements.append(lower(walk, element.value))
        walk.skip(",")
    walk.position += bracketed
    if not bracketed and not elements:
        # The empty tuple is nothing but its parentheses.
        return ir.Sequence(walk.end() - 1, walk.start() + 1, kind, ())
    return ir.Sequence(start, walk.end(), kind, tuple(elements))


def _tuple(walk: Walk, node: Any) -> ir.Expr:
    return _sequence(walk, node, "tuple", lower_expression)


def _list(walk: Walk, node: Any) -> ir.Expr:
    return _sequence(walk, node, "list", lower_expression)


def _set(walk: Walk, node: Any) -> ir.Expr:
    return _sequence(walk, node, "set", lower_expression)


def _starred(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    value = lower_expression(walk, node.value)
    return ir.Starred(start, walk.end(), value)


def _dict(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    keys: list[ir.Expr | None] = []
    values: list[ir.Expr] = []
    for element in node.elements:
        if element.__class__.__name__ == "StarredDictElement":
            keys.append(None)
        else:
            keys.append(lower_expression(walk, element.key))
        walk.position += 1
        values.append(lower_expression(walk, element.value))
        walk.skip(",")
    walk.position += 1
    return ir.Dict(start, walk.end(), tuple(keys), tuple(values))


def _generators(walk: Walk, clause: Any) -> tuple[ir.Generator, ...]:
    generators: list[ir.Generator] = []
    while clause is not None:
        start = walk.start()
        walk.skip("async")
        walk.position += 1
        target = lower_target(walk, clause.target)
        walk.position += 1
        iterable = lower_expression(walk, clause.iter)
        conditions: list[ir.Expr] = []
        for condition in clause.ifs:
            walk.position += 1
            conditions.append(lower_expression(walk, condition.test))
        generators.append(ir.Generator(start, walk.end(), target, iterable, tuple(conditions)))
        clause = clause.inner_for_in
    return tuple(generators)


def _comprehension(kind: str, brackets: int) -> Callable[[Walk, Any], ir.Expr]:
    def lower(walk: Walk, node: Any) -> ir.Expr:
        start = walk.start()
        walk.position += brackets
        element = lower_expression(walk, node.elt)
        generators = _generators(walk, node.for_in)
        walk.position += brackets
        return ir.Comprehension(start, walk.end(), kind, None, element, generators)

    return lower


def _dict_comprehension(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    key = None
    if node.__class__.__name__ == "DictComp":
        key = lower_expression(walk, node.key)
    walk.position += 1
    value = lower_expression(walk, node.value)
    generators = _generators(walk, node.for_in)
    walk.position += 1
    return ir.Comprehension(start, walk.end(), "dict", key, value, generators)


# --- operators -------------------------------------------------------------------


def _unary(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    operator = walk.read()
    operand = lower_expression(walk, node.expression)
    return ir.Unary(start, walk.end(), operator, operand)


def _conditional(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    body = lower_expression(walk, node.body)
    walk.position += 1
    test = lower_expression(walk, node.test)
    walk.position += 1
    orelse = lower_expression(walk, node.orelse)
    return ir.IfExp(start, walk.end(), test, body, orelse)


def _named_expression(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    target = lower_target(walk, node.target)
    walk.position += 1
    value = lower_expression(walk, node.value)
    return ir.NamedExpr(start, walk.end(), target, value)


def _await(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    value = lower_expression(walk, node.expression)
    return ir.Await(start, walk.end(), value)


def _yield(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    walk.yields = True
    is_from = node.value.__class__.__name__ == "From"
    walk.position += is_from
    value = lower_optional(walk, node.value.item if is_from else node.value)
    return ir.Yield(start, walk.end(), value, is_from)


def _lambda(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    params = lower_parameters(walk, node.params)
    walk.position += 1
    yields = walk.yields
    body = lower_expression(walk, node.body)
    walk.yields = yields
    return ir.Lambda(start, walk.end(), params, body)


def lower_parameters(walk: Walk, node: Any) -> tuple[ir.Parameter, ...]:
    """Lower the parameters of a function or lambda, without their parentheses."""
    parameters: list[ir.Parameter] = []

    def add(parameter: Any, kind: str) -> None:
        start = walk.start()
        walk.position += 2 if kind in ("*", "**") else 1
        annotation = default = None
        if parameter.annotation is not None:
            walk.position += 1
            annotation = lower_expression(walk, parameter.annotation.annotation)
        if parameter.default is not None:
            walk.position += 1
            default = lower_expression(walk, parameter.default)
        parameters.append(
            ir.Parameter(start, walk.end(), parameter.name.value, kind, annotation, default)
        )
        walk.skip(",")

    for parameter in node.posonly_params:
        add(parameter, "positional-only")
    if walk.skip("/"):
        walk.skip(",")
    for parameter in node.params:
        add(parameter, "positional")
    if node.star_arg.__class__.__name__ == "Param":
        add(node.star_arg, "*")
    elif walk.skip("*"):
        walk.skip(",")
    for parameter in node.kwonly_params:
        add(parameter, "keyword-only")
    if node.star_kwarg is not None:
        add(node.star_kwarg, "**")
    return tuple(parameters)


# --- chains: what follows their left operand ---------------------------------------


def _attribute(walk: Walk, node: Any, start: int, value: ir.Expr) -> ir.Expr:
    walk.position += 2
    name = node.attr.value
    walk.mentions.add(name)
    return ir.Attribute(start, walk.ends[walk.position - 1], value, name)


def lower_arguments(walk: Walk, nodes: Any) -> tuple[ir.Argument, ...]:
    """Lower the arguments of a call or class, without their parentheses."""
    arguments: list[ir.Argument] = []
    for node in nodes:
        start = walk.start()
        star = node.star
        keyword = None
        if star:
            walk.position += 1
        elif node.keyword is not None:
            keyword = node.keyword.value
            walk.position += 2
        value = lower_expression(walk, node.value)
        arguments.append(ir.Argument(start, walk.end(), value, keyword, star))
        walk.skip(",")
    return tuple(arguments)


def _call(walk: Walk, node: Any, start: int, func: ir.Expr) -> ir.Expr:
    walk.position += 1
    arguments = lower_arguments(walk, node.args)
    walk.position += 1
    return ir.Call(start, walk.end(), func, arguments)


def _subscript(walk: Walk, node: Any, start: int, value: ir.Expr) -> ir.Expr:
    walk.position += 1
    index: list[ir.Expr] = []
    for element in node.slice:
        index.append(_index(walk, element.slice))
        walk.skip(",")
    walk.position += 1
    return ir.Subscript(start, walk.end(), value, tuple(index))


def _index(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    if node.__class__.__name__ == "Slice":
        lower = lower_optional(walk, node.lower)
        walk.position += 1
        upper = lower_optional(walk, node.upper)
        walk.skip(":")
        step = lower_optional(walk, node.step)
        return ir.Slice(start, walk.end(), lower, upper, step)
    if node.star:
        walk.position += 1
        value = lower_expression(walk, node.value)
        return ir.Starred(start, walk.end(), value)
    return lower_expression(walk, node.value)


def _binary(walk: Walk, node: Any, start: int, left: ir.Expr) -> ir.Expr:
    operator = walk.read()
    right = lower_expression(walk, node.right)
    return ir.Binary(start, walk.end(), operator, left, right)


def _boolean(walk: Walk, node: Any, start: int, left: ir.Expr) -> ir.Expr:
    operator = walk.read()
    right = lower_expression(walk, node.right)
    if isinstance(left, ir.BoolOp) and left.op == operator:
        return ir.BoolOp(start, walk.end(), operator, (*left.values, right))
    return ir.BoolOp(start, walk.end(), operator, (left, right))


_TWO_WORDS = {"NotIn": "not in", "IsNot": "is not"}


def _comparison(walk: Walk, node: Any, start: int, left: ir.Expr) -> ir.Expr:
    operators: list[str] = []
    comparators: list[ir.Expr] = []
    for target in node.comparisons:
        operator = walk.read()
        words = _TWO_WORDS.get(target.operator.__class__.__name__)
        walk.position += words is not None
        operators.append(words or operator)
        comparators.append(lower_expression(walk, target.comparator))
    return ir.Compare(start, walk.end(), left, tuple(operators), tuple(comparators))


CHAINS.by_name |= {
    "Attribute": _attribute,
    "Call": _call,
    "Subscript": _subscript,
    "BinaryOperation": _binary,
    "BooleanOperation": _boolean,
    "Comparison": _comparison,
}
ATOMS.by_name |= LEAVES | {
    "Tuple": _tuple,
    "List": _list,
    "Set": _set,
    "Dict": _dict,
    "StarredElement": _starred,
    "ListComp": _comprehension("list", 1),
    "SetComp": _comprehension("set", 1),
    "GeneratorExp": _comprehension("generator", 0),
    "DictComp": _dict_comprehension,
    "StarredDictComp": _dict_comprehension,
    "UnaryOperation": _unary,
    "IfExp": _conditional,
    "NamedExpr": _named_expression,
    "Await": _await,
    "Yield": _yield,
    "Lambda": _lambda,
}
