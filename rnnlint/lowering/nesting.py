"""Whether a text can be handed to the native parser without a second thought.

The parser recurses, and kills the process where nesting exhausts its stack: at
some two thousand brackets, or several thousand operands of one expression.  The
estimate here errs on the side of alarm: what it calls tame is far from that.
"""

from __future__ import annotations

from rnnlint.lowering.tokens import Tokens

MAX_PENDING = 300
"""Tokens of one expression, between commas and over all open brackets."""
MAX_INDENTATION = 100
MAX_ELIFS = 200
MAX_PATTERN_DEPTH = 6
"""The parser's time doubles, and worse, with each bracket of a `case` pattern."""


def is_tame(text: str) -> bool:
    """Whether nothing in a text is nested so deep that parsing it might crash."""
    try:
        tokens = Tokens(text)
    except RecursionError:
        return False
    pending = [0]  # tokens since the last comma, for each open bracket
    total = clauses = elifs = previous = 0
    max_depth = MAX_PENDING
    for start, end in zip(tokens.starts, tokens.ends, strict=True):
        if len(pending) == 1 and start != previous:
            gap = text[previous:start]
            if "\\" not in gap and ("\n" in gap or "\r" in gap):
                if len(gap) - max(gap.rfind("\n"), gap.rfind("\r")) > MAX_INDENTATION:
                    return False
                pending[0] = total = clauses = 0
                max_depth = MAX_PATTERN_DEPTH if text.startswith("case", start) else MAX_PENDING
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
