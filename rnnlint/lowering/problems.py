"""Why a text is not valid Python 3, in words that say what to do about it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Sequence
from re import Pattern

from rnnlint.lowering.ir import SyntaxProblem

_NEWLINE: Pattern[str] = re.compile(r"\r\n|\r|\n")
_POSITION: Pattern[str] = re.compile(r"error at (\d+):(\d+)")
_CONFLICT: Pattern[str] = re.compile(r"^<{7} .*$", re.MULTILINE)
_MAGIC: Pattern[str] = re.compile(r"^\s*(?:%%?[A-Za-z]|!\s*[A-Za-z./])|\?\s*$")
_ASYNC_ARGUMENT: Pattern[str] = re.compile(
    r"\b(?:cuda|to|copy_)\s*\(.*\basync\s*=|\basync\s*=\s*(?:True|False)\b"
)
_ASYNC: Pattern[str] = re.compile(r"\basync\b(?!\s+(?:def|for|with)\b)")

_PYTHON_2: tuple[tuple[str, Pattern[str]], ...] = (
    ("the print statement", re.compile(r"(?:^|[:;])\s*print\s*(?:[^\s(=.,;:\[]|$)")),
    ("`except Error, name`", re.compile(r"\bexcept\b[^:]+,\s*\w+\s*:")),
    ("`raise Error, message`", re.compile(r"\braise\s+[\w.]+\s*,")),
    ("the exec statement", re.compile(r"(?:^|[:;])\s*exec\s+[\w\"']")),
    ("backticks", re.compile("`[^`]*`")),
    ("the operator `<>`", re.compile(r"<>")),
    ("an octal number written `0777`", re.compile(r"(?<![\w.])0\d+(?![\w.])")),
    ("a long integer", re.compile(r"(?<![\w.])(?:\d+|0[xX][\da-fA-F]+)[lL]\b")),
    ("a `ur` string", re.compile(r"(?<!\w)[uU][rR]['\"]")),
    ("a tuple as a parameter", re.compile(r"\bdef\s+\w+\s*\([^)]*\(|\blambda\s*\(")),
)


def problem_at(text: str, offset: int, message: str, remedy: str) -> SyntaxProblem:
    """A problem at an offset into a text."""
    lines = _NEWLINE.split(text[:offset])
    return SyntaxProblem(message, len(lines), len(lines[-1]) + 1, remedy)


def describe_failure(
    text: str, parser_message: str, parses: Callable[[str], bool]
) -> SyntaxProblem:
    """Say what is wrong with a text that LibCST could not parse.

    Args:
        text: the text.
        parser_message: LibCST's message.
        parses: says whether LibCST can parse a text.
    """
    null = text.find("\0")
    if null >= 0:
        return problem_at(text, null, "a null byte: this is not a text file", "exclude it")
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        return problem_at(
            text, conflict.start(), "an unresolved merge conflict", "resolve the conflict"
        )
    lines = _NEWLINE.split(text)
    problem = _parser_problem(parser_message)
    told = _interpreter_problem(text)
    if told is not None and not (told.row < problem.row and parses(_upto(lines, told.row))):
        problem = told
    line = lines[problem.row - 1] if 0 < problem.row <= len(lines) else ""
    special = _special_cause(line)
    if special is None:
        return problem
    cause, remedy = special
    return SyntaxProblem(cause, problem.row, problem.column, remedy)


def _upto(lines: Sequence[str], row: int) -> str:
    """The text up to a row: if it parses, an interpreter that blames this row is too old."""
    return "\n".join((*lines[:row], ""))


def _special_cause(line: str) -> tuple[str, str] | None:
    """The cause of an error in a line and its remedy, if it is one that users are known to meet."""
    if _MAGIC.search(line):
        return "an IPython command outside a notebook", "remove it or exclude the file"
    if _ASYNC_ARGUMENT.search(line):
        cause = "`async` is a keyword since Python 3.7, so torch calls it `non_blocking`"
        return cause, "write `non_blocking=True`"
    for construct, pattern in _PYTHON_2:
        if pattern.search(line):
            return f"Python 2 code: {construct}", "convert the file with 2to3 or exclude it"
    if _ASYNC.search(line):
        return "`async` is a keyword since Python 3.7", "use another name"
    return None


def _interpreter_problem(text: str) -> SyntaxProblem | None:
    """What the running interpreter says of a text, if it too finds it wrong.

    It parses and executes nothing; its words and positions are better than LibCST's.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError as error:
        return SyntaxProblem(error.msg, error.lineno or 0, max(error.offset or 0, 0))
    except (ValueError, MemoryError, RecursionError, OverflowError):
        return None
    return None


def _parser_problem(message: str) -> SyntaxProblem:
    """What LibCST says, which is a position, or words, or both."""
    found = _POSITION.search(message)
    if found is not None:
        return SyntaxProblem("invalid syntax", int(found.group(1)), int(found.group(2)))
    return SyntaxProblem(message.rsplit("error: ", 1)[-1])
