"""Lowering a file again after an edit: only the statements that the edit touches.

Top-level statements do not depend on each other's text.  Those before and after an edit are
what they were, the latter further down; the text between them is lowered by itself.  That is
the whole result, or there is none and the file has to be lowered as a whole: every boundary
must be one beyond doubt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rnnlint.lowering import ir

_BLANK = re.compile(
    r"[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n)(?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*"
)
"""What may stand between two statements: the rest of a line, then lines that say nothing."""
_DEFINITIONS = {ir.FunctionDef: ("def ", "async def "), ir.ClassDef: ("class ",)}
_BREAKS = ("\n", "\r")

LowerPart = Callable[[str], "ir.FileIR | None"]
"""Lowers a text by itself; None if it cannot be lowered, or not with certainty."""


def lower_again(
    text: str, before: str, known: ir.FileIR, lower_part: LowerPart
) -> ir.FileIR | None:
    """The representation of an edited file; None if the whole file has to be looked at.

    Args:
        text: the file as it is.
        before: the file as it was.
        known: what it was lowered to.
        lower_part: lowers what is new.
    """
    if text == before:
        return known
    same_start, same_end = _shared(before, text)
    body = known.body
    starts = [_line_of(node, before) for node in body]
    first = _last_before(body, starts, before, same_start)
    begin = starts[first] if first else 0
    shift = len(text) - len(before)
    rest = _first_after(body, starts, before, max(len(before) - same_end, begin + 1))
    end = starts[rest] if rest < len(body) else len(before)
    if rest < len(body) and text[end + shift - 1] not in _BREAKS:
        return None
    part = text[begin : end + shift]
    if part.rstrip().endswith("\\"):  # it may go on in what follows
        return None
    lowered = lower_part(part)
    if lowered is None:
        return None
    after = ir.moved(body[rest:], shift)
    return ir.FileIR((*body[:first], *ir.moved(lowered.body, begin), *after))


def _shared(before: str, text: str) -> tuple[int, int]:
    """How many characters two texts have in common at their start, and after that at their end."""
    longest = min(len(before), len(text))
    start = _longest(longest, lambda length: before.startswith(text[:length]))
    end = _longest(longest - start, lambda length: before.endswith(text[len(text) - length :]))
    return start, end


def _longest(limit: int, holds: Callable[[int], bool]) -> int:
    """The greatest length up to a limit for which something holds, as for all that are less."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _last_before(body: Sequence[ir.Stmt], starts: Sequence[int], text: str, limit: int) -> int:
    """The last statement whose first line ends before a limit: with it, all before it end."""
    for number in range(len(body) - 1, 0, -1):
        start = starts[number]
        if 0 <= start < limit:
            line_end = _line_end(text, start)
            if line_end < limit and _is_boundary(body, number, starts, text):
                return number
    return 0


def _first_after(body: Sequence[ir.Stmt], starts: Sequence[int], text: str, limit: int) -> int:
    """The first statement that begins at a limit or behind it."""
    for number in range(1, len(body)):
        if starts[number] >= limit and _is_boundary(body, number, starts, text):
            return number
    return len(body)


def _is_boundary(body: Sequence[ir.Stmt], number: int, starts: Sequence[int], text: str) -> bool:
    """Whether nothing but blank lines and comments stands before a statement."""
    return _BLANK.fullmatch(text, _end_of(body[number - 1]), starts[number]) is not None


def _line_of(node: ir.Stmt, text: str) -> int:
    """Where the first line of a top-level statement begins; -1 if that is doubtful."""
    if not isinstance(node, (ir.FunctionDef, ir.ClassDef)):
        return node.start
    opening = ("@",) if node.decorators else _DEFINITIONS[type(node)]
    offset = node.decorators[0].start if node.decorators else node.start
    start = max(text.rfind(mark, 0, offset) for mark in _BREAKS) + 1
    return start if text.startswith(opening, start) else -1


def _end_of(node: ir.Stmt) -> int:
    while isinstance(node, (ir.FunctionDef, ir.ClassDef)):
        node = node.body[-1]
    return node.end


def _line_end(text: str, offset: int) -> int:
    ends = [end for end in (text.find(mark, offset) for mark in _BREAKS) if end >= 0]
    return min(ends, default=len(text))
