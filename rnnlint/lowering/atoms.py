"""Expressions without operands: names, numbers and strings."""

from __future__ import annotations

from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.literals import float_value, integer_value, string_value, unescape
from rnnlint.lowering.walk import Walk, lower_expression

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


LEAVES = {
    "Name": _name,
    "Integer": _integer,
    "Float": _float,
    "Imaginary": _imaginary,
    "Ellipsis": _ellipsis,
    "SimpleString": _simple_string,
    "FormattedString": _formatted_string,
    "TemplatedString": _formatted_string,
    "ConcatenatedString": _concatenated_string,
}
