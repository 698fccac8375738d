"""One file's text to its representation.

This is the only module that imports LibCST, and it does so when it first parses.
"""

from __future__ import annotations

import gc
import sys

from rnnlint.lowering import ir
from rnnlint.lowering.expressions import UnknownSyntax, Walk
from rnnlint.lowering.statements import lower_module

RECURSION_LIMIT = 50_000
"""Room for whatever nesting the native parser survives."""


def lower(text: str) -> ir.FileIR | ir.SyntaxProblem:
    """Lower a file, or say why its text is not valid Python."""
    import libcst

    limit = sys.getrecursionlimit()
    collecting = gc.isenabled()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    gc.disable()
    try:
        module = libcst.parse_module(text)
        return lower_module(Walk(text), module)
    except libcst.ParserSyntaxError as error:
        return ir.SyntaxProblem(error.message, error.raw_line, error.raw_column)
    except UnknownSyntax as error:
        return ir.SyntaxProblem(str(error))
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()
