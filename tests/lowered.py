"""What tests of lowering share: lowering that must succeed, and views of its result."""

from __future__ import annotations

import msgspec

from rnnlint.lowering import ir
from rnnlint.lowering.lower import lower


def outline(value: object) -> str:
    """A value of the representation without its offsets."""
    if isinstance(value, msgspec.Struct):
        names = [name for name in value.__struct_fields__ if name not in ("start", "end")]
        fields = ", ".join(outline(getattr(value, name)) for name in names)
        return f"{type(value).__name__}({fields})"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(outline, value)) + "]"
    return repr(value)


def file_of(text: str) -> ir.FileIR:
    lowered = lower(text)
    assert isinstance(lowered, ir.FileIR), lowered
    return lowered


def body_of(text: str) -> tuple[ir.Stmt, ...]:
    return file_of(text).body


def expression_of(text: str) -> ir.Expr:
    (statement,) = body_of(text)
    assert isinstance(statement, ir.ExprStmt)
    return statement.value
