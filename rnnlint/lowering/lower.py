"""One file's text to its representation.

LibCST is imported when the first text is parsed, for it takes a fifth of a second.
"""

from __future__ import annotations

import gc
import sys
import threading

from rnnlint.lowering import ir
from rnnlint.lowering.statements import lower_module
from rnnlint.lowering.walk import CannotLowerError, Walk

RECURSION_LIMIT = 50_000
"""Room for whatever nesting the native parser survives."""

# The recursion limit, the collector and LibCST's checks belong to the whole process.
_ONE_AT_A_TIME = threading.Lock()


def lower(text: str) -> ir.FileIR | ir.SyntaxProblem:
    """Lower a file, or say why it cannot be lowered.

    The native parser kills the process on absurdly nested text; `pool.lower_all`
    sees to that, this function does not.
    """
    with _ONE_AT_A_TIME:
        limit = sys.getrecursionlimit()
        collecting = gc.isenabled()
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
        # A tree has a hundred objects a line and no cycles: collecting finds nothing.
        gc.disable()
        try:
            module = _parse(text)
            return module if isinstance(module, ir.SyntaxProblem) else _walk(text, module)
        finally:
            sys.setrecursionlimit(limit)
            if collecting:
                gc.enable()


def _parse(text: str) -> object:
    """LibCST's tree of a text, or a `SyntaxProblem`.

    LibCST checks every node as if a person had put it together.  The parser's nodes
    need no check; leaving it out saves a seventh of the time, and spares valid code
    that the checks refuse, such as `x if y else.5`.
    """
    import libcst

    checked = libcst.CSTNode.__post_init__
    libcst.CSTNode.__post_init__ = _unchecked  # type: ignore[method-assign, assignment]
    try:
        return libcst.parse_module(text)
    except libcst.ParserSyntaxError as error:
        return _failure(text, error.message)
    except libcst.CSTValidationError as error:
        return _failure(text, str(error))
    except UnicodeEncodeError as error:
        message = "half a surrogate pair, which no encoding has"
        return _problem_at(text, error.start, message, "write it as an escape")
    finally:
        libcst.CSTNode.__post_init__ = checked  # type: ignore[method-assign]


# What describes failures is imported where something failed.


def _failure(text: str, parser_message: str) -> ir.SyntaxProblem:
    from rnnlint.lowering.problems import describe_failure

    return describe_failure(text, parser_message, _parses)


def _problem_at(text: str, offset: int, message: str, remedy: str) -> ir.SyntaxProblem:
    from rnnlint.lowering.problems import problem_at

    return problem_at(text, offset, message, remedy)


def _parses(text: str) -> bool:
    import libcst

    try:
        libcst.parse_module(text)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError):
        return False
    return True


def _unchecked(node: object) -> None:
    """Stand in for LibCST's check of a node."""


def _walk(text: str, module: object) -> ir.FileIR | ir.SyntaxProblem:
    walk = Walk(text)
    try:
        representation = lower_module(walk, module)
    except CannotLowerError as error:
        return _problem_at(text, walk.start(), str(error), error.remedy)
    except IndexError:
        walk.position = -1
    if walk.position != len(walk.starts):
        # Never seen; but positions that are off would put edits in the wrong place.
        return ir.SyntaxProblem(
            "rnnlint and LibCST disagree about this file's tokens", remedy="please report it"
        )
    return representation
