"""Lengths are rounded before they become whole numbers."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing.code import Part, Stretch
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.operations import Replace
from rnnlint.lowering import ir
from rnnlint.semantics.lengths import METHODS
from rnnlint.semantics.program import Program

_LENGTHS = 1
"""Their position among the arguments of packing."""


def round_lengths(program: Program, conversion: Stretch) -> Fix | None:
    """Round before `x.long()`, `x.to(torch.int64)` or `int(x)`; None where a tensor is built."""
    code = program.code
    try:
        call = code.node_at(conversion)
        if not isinstance(call, ir.Call):
            return None
        if isinstance(call.func, ir.Name) and call.func.id == "int" and len(call.args) == 1:
            product = call.args[0].value
            # `round` does not take tensors, and lengths are positive.
            loose = not isinstance(product, (ir.Binary, ir.Name, ir.Attribute, ir.Call))
            number = Part(conversion.path, product.start, product.end)
            text = f"({code.text(number)})" if loose else code.text(number)
            return _replaced(program, number, f"{text} + 0.5")
        if not isinstance(call.func, ir.Attribute) or call.func.attr not in METHODS:
            return None
    except CannotPlaceError:
        return None
    text = code.text(conversion)
    dot = text.rindex(".", 0, call.func.end - conversion.start)
    return _replaced(program, conversion, f"{text[:dot]}.round(){text[dot:]}")


def round_packed_lengths(program: Program, packing: Stretch) -> Fix | None:
    """Round the lengths that a call of `pack_padded_sequence` is given."""
    try:
        told = program.code.argument(packing, "lengths", _LENGTHS)
        if told is None or program.code.spreads(packing):
            return None
        return _replaced(program, told, f"{program.code.operand(told)}.round()")
    except CannotPlaceError:
        return None


def _replaced(program: Program, where: Stretch, text: str) -> Fix | None:
    change = Replace(where.path, where.start, where.end, text)
    return program.code.repair("round the lengths", [change], Applicability.SAFE)
