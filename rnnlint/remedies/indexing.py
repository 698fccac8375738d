"""What the parts of an index in brackets take."""

from __future__ import annotations

from rnnlint.lowering import ir


def is_whole(part: ir.Expr) -> bool:
    """Whether it takes all of an axis: `:`."""
    return isinstance(part, ir.Slice) and part.lower is part.upper is part.step is None


def is_last(part: ir.Expr) -> bool:
    """Whether it takes what is last: `-1`."""
    return ir.integer(part) == -1
