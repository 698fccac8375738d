"""Expressions: LibCST nodes to the representation, token by token.

`lower_expression` reads just the tokens of the node it is given.  Chains that
nest on the left, such as sums and chained calls, are unwound in a loop; other
nesting recurses, and `lower` sees to it that there is room for it.

Nodes are told apart by the name of their class, which spares an import of LibCST
here and lets one version of the code serve several versions of LibCST.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.literals import float_value, integer_value, string_value, unescape
from rnnlint.lowering.tokens import Tokens


MAX_DEPTH = 100
"""Expressions nested deeper become opaque, so that whoever reads them may recurse."""


class Walk(Tokens):
    """The tokens of a file, how deep the walk is, and what the function at hand does.

    `mentions` and `yields` speak of the function whose body is being lowered.
    """

    __slots__ = ("blocks", "depth", "mentions", "yields")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.blocks = 0
        self.mentions: set[str] = set()
        self.yields = False


class CannotLower(Exception):
    """The file parses, but holds something that the representation cannot hold."""


class Dispatch(dict[type, Any]):
    """Functions by class of node, looked up by the class's name once."""

    def __init__(self, by_name: dict[str, Any], *, default: Any = None) -> None:
        super().__init__()
        self.by_name = by_name
        self.default = default

    def __missing__(self, kind: type) -> Any:
        found = self.by_name.get(kind.__name__, self.default)
        self[kind] = found
        return found


def unknown(walk: Walk, node: Any) -> Any:
    """Refuse a node of an unknown class."""
    raise CannotLower(
        f"rnnlint does not know the syntax that LibCST calls {type(node).__name__}, "
        "which begins here; upgrade rnnlint"
    )


# --- the core ------------------------------------------------------------------


def lower_expression(walk: Walk, node: Any) -> ir.Expr:
    """Lower an expression, and read its tokens, its own parentheses included."""
    walk.position += len(node.lpar)
    kind = node.__class__
    left_operand = _LEFT_OPERANDS[kind]
    chain: list[tuple[int, Any]] = []
    while left_operand is not None:
        chain.append((walk.start(), node))
        node = getattr(node, left_operand)
        walk.position += len(node.lpar)
        kind = node.__class__
        left_operand = _LEFT_OPERANDS[kind]
    walk.depth += len(chain) + 1
    result: ir.Expr = _ATOMS[kind](walk, node)
    walk.position += len(node.rpar)
    while chain:
        if walk.depth > MAX_DEPTH:
            result = ir.Const(result.start, result.end, "opaque", None)
        walk.depth -= 1
        start, node = chain.pop()
        result = _CHAINS[node.__class__](walk, node, start, result)
        walk.position += len(node.rpar)
    if walk.depth > MAX_DEPTH:
        result = ir.Const(result.start, result.end, "opaque", None)
    walk.depth -= 1
    return result


def lower_optional(walk: Walk, node: Any) -> ir.Expr | None:
    """Lower an expression that may be absent."""
    return None if node is None else lower_expression(walk, node)


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


# --- atoms ---------------------------------------------------------------------

_NAMED_CONSTANTS = {"True": ("bool", True), "False": ("bool", False), "None": ("none", None)}


def _name(walk: Walk, node: Any) -> ir.Expr:
    position = walk.position
    walk.position = position + 1
    start = walk.starts[position]
    end = walk.ends[position]
    name = node.value
    if name in _NAMED_CONSTANTS:
        return ir.Const(start, end, *_NAMED_CONSTANTS[name])
    walk.mentions.add(name)
    return ir.Name(start, end, name)


def _integer(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    value = integer_value(node.value)
    return ir.Const(start, walk.end(), "int" if isinstance(value, int) else "float", value)


def _float(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    return ir.Const(start, walk.end(), "float", float_value(node.value))


def _imaginary(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    return ir.Const(start, walk.end(), "complex", None)


def _ellipsis(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    return ir.Const(start, walk.end(), "ellipsis", None)


def _simple_string(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    value = string_value(node.value)
    return ir.Const(start, walk.end(), "bytes" if value is None else "str", value)


def _formatted_string(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    walk.position += 1
    parts = _formatted_parts(walk, node.parts, raw="r" in node.start.lower())
    walk.position += 1
    return ir.FString(start, walk.end(), parts)


def _formatted_parts(walk: Walk, nodes: Any, *, raw: bool) -> tuple[ir.Expr, ...]:
    """The parts of a formatted string or of a format specification."""
    parts: list[ir.Expr] = []
    offset = walk.end()
    for node in nodes:
        if not hasattr(node, "expression"):
            end = offset + len(node.value)
            value = unescape(node.value.replace("{{", "{").replace("}}", "}"), raw=raw)
            parts.append(ir.Const(offset, end, "str", value))
            offset = end
            continue
        walk.position += 1
        parts.append(lower_expression(walk, node.expression))
        walk.skip("=")
        if node.conversion is not None:
            walk.position += 2
        if node.format_spec is not None:
            walk.position += 1
            parts.extend(_formatted_parts(walk, node.format_spec, raw=raw))
        walk.position += 1
        offset = walk.end()
    return tuple(parts)


def _concatenated_string(walk: Walk, node: Any) -> ir.Expr:
    start = walk.start()
    parts: list[ir.Expr] = []
    while node.__class__.__name__ == "ConcatenatedString":
        parts.append(lower_expression(walk, node.left))
        node = node.right
    parts.append(lower_expression(walk, node))
    end = walk.end()
    literals = [part for part in parts if isinstance(part, ir.Const)]
    if len(literals) == len(parts):
        if literals[0].kind == "bytes":
            return ir.Const(start, end, "bytes", None)
        return ir.Const(start, end, "str", "".join(str(part.value) for part in literals))
    flat: list[ir.Expr] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, ir.FString) else (part,))
    return ir.FString(start, end, tuple(flat))


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


_LEFT_OPERANDS = Dispatch(
    {
        "Attribute": "value",
        "Call": "func",
        "Subscript": "value",
        "BinaryOperation": "left",
        "BooleanOperation": "left",
        "Comparison": "left",
    }
)
_CHAINS = Dispatch(
    {
        "Attribute": _attribute,
        "Call": _call,
        "Subscript": _subscript,
        "BinaryOperation": _binary,
        "BooleanOperation": _boolean,
        "Comparison": _comparison,
    }
)
_ATOMS = Dispatch(
    {
        "Name": _name,
        "Integer": _integer,
        "Float": _float,
        "Imaginary": _imaginary,
        "Ellipsis": _ellipsis,
        "SimpleString": _simple_string,
        "FormattedString": _formatted_string,
        "TemplatedString": _formatted_string,
        "ConcatenatedString": _concatenated_string,
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
    },
    default=unknown,
)
