"""Whether a text can be handed to the native parser at all, and without a second thought.

The parser recurses, and kills the process where nesting exhausts its stack: at
some two thousand brackets, or several thousand operands of one expression.  The
estimate here errs on the side of alarm: what it calls tame is far from that.
"""

from __future__ import annotations

from rnnlint.lowering.tokens import Tokens

MAX_PENDING = 300
"""Tokens of one expression, between commas and over all open brackets."""
MAX_OPERANDS = 5_000
"""Tokens side by side in one expression; so many take the parser some seconds."""
MAX_INDENTATION = 100
MAX_ELIFS = 200
MAX_PATTERN_DEPTH = 6
"""The parser's time doubles, and worse, with each bracket of a `case` pattern."""


def is_tame(text: str) -> bool:
    """Whether nothing in a text is nested so deep that parsing it might crash."""
    try:
        return _is_shallow(text, Tokens(text))
    except RecursionError:  # formatted strings within formatted strings
        return False


def _is_shallow(text: str, tokens: Tokens) -> bool:
    pending = [0]  # tokens since the last comma, for each open bracket
    total = clauses = elifs = previous = 0
    max_depth = MAX_PENDING
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        if len(pending) == 1 and start != previous:
            indentation = _indentation(text[previous:start])
            if indentation > MAX_INDENTATION:
                return False
            if indentation >= 0:
                pending[0] = total = clauses = 0
                max_depth = MAX_PATTERN_DEPTH if text[start:end] == "case" else MAX_PENDING
        previous = end
        first = text[start]
        if first == ",":
            total -= pending[-1]
            pending[-1] = 0
            continue
        if first in ")]}":
            if len(pending) > 1:
                total -= pending.pop()
            continue
        pending[-1] += 1
        total += 1
        if first in "([{":
            pending.append(0)
            if len(pending) > max_depth:
                return False
        elif first in "elf":
            word = text[start:end]
            # These nest across commas: `lambda a, b: lambda c, d: ...`.
            clauses += word in ("lambda", "for")
            elifs += word == "elif"
        if total + clauses > MAX_PENDING or elifs > MAX_ELIFS:
            return False
    return True


def endless_expression(text: str) -> int | None:
    """Where an expression begins that would take the parser minutes; None without any.

    The parser's time grows with the square of the operands that stand side by side.
    """
    if max(map(len, text.split(","))) <= MAX_OPERANDS:
        return None  # a token has a character at least
    try:
        tokens = Tokens(text)
    except RecursionError:  # formatted strings within formatted strings
        return None
    pending = [0]  # tokens since the last comma, for each open bracket
    begin = previous = 0
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        if len(pending) == 1 and _indentation(text[previous:start]) >= 0:
            pending[0], begin = 0, start
        previous = end
        first = text[start]
        if first == ",":
            pending[-1] = 0
        elif first in ")]}":
            if len(pending) > 1:
                pending.pop()
        else:
            pending[-1] += 1
            if pending[-1] > MAX_OPERANDS:
                return begin
            if first in "([{":
                pending.append(0)
    return None


def _indentation(gap: str) -> int:
    """How far the line is indented that begins between two tokens; -1 if none does."""
    if "\\" in gap or ("\n" not in gap and "\r" not in gap):
        return -1
    return len(gap) - max(gap.rfind("\n"), gap.rfind("\r")) - 1
