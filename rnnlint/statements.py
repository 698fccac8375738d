"""Which statement a comment belongs to, found from tokens alone.

Suppressions must work where nothing else does, in a file that does not parse or on a
run that imports no parser, so this reads tokens, and lines where even those fail.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Sequence

import msgspec

from rnnlint.project.source import LINE_END, line_starts

_COMMENT = re.compile(r"#.*")
_CONTINUING_CLAUSES = frozenset(("elif", "else", "except", "finally"))
_LAYOUT = frozenset(
    (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER)
)


class Comment(msgspec.Struct, frozen=True):
    """A comment and the rows that it speaks of.

    A comment behind or within a statement speaks of that statement without its block;
    one on a row of its own above a statement speaks of the statement with its block.
    """

    text: str
    start: int
    """Its offset in the text, in code points."""
    row: int
    above: bool
    """Whether it stands alone above its statement."""
    first_row: int
    last_row: int


class LogicalLine(msgspec.Struct, frozen=True):
    """A simple statement, or the head of a compound one."""

    first_row: int
    last_row: int
    open_rows: tuple[int, ...]
    """The rows at whose end a comment may stand."""

    @property
    def rows(self) -> range:
        return range(self.first_row, self.last_row + 1)


class _Place(msgspec.Struct, frozen=True):
    """A comment as it stands, before its statement is known."""

    text: str
    row: int
    column: int


class _Statement(msgspec.Struct):
    """A logical line: a simple statement, or the head of a compound one."""

    first_row: int
    last_row: int
    column: int
    depth: int
    first_word: str
    trailing: list[_Place] = msgspec.field(default_factory=list)
    above: list[_Place] = msgspec.field(default_factory=list)
    open_rows: list[int] = msgspec.field(default_factory=list)


def statement_comments(text: str) -> Iterator[Comment]:
    """Yield the comments of `text`, each with the rows that it speaks of."""
    starts = line_starts(text)
    try:
        statements, stray = _statements(text)
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        yield from _comments_by_line(text, starts)
        return
    ends = _block_ends(statements) if any(each.above for each in statements) else []
    for index, statement in enumerate(statements):
        for place in statement.above:
            yield _comment(place, starts, True, statement.first_row, ends[index])
        for place in statement.trailing:
            yield _comment(place, starts, False, statement.first_row, statement.last_row)
    for place in stray:
        yield _comment(place, starts, True, place.row, place.row)


def logical_lines(text: str) -> list[LogicalLine] | None:
    """The logical lines of `text`; None where it has no tokens."""
    try:
        statements, _ = _statements(text)
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        return None
    return [LogicalLine(one.first_row, one.last_row, tuple(one.open_rows)) for one in statements]


def _comment(
    place: _Place, starts: Sequence[int], above: bool, first_row: int, last_row: int
) -> Comment:
    start = starts[place.row - 1] + place.column
    return Comment(place.text, start, place.row, above, first_row, last_row)


def _statements(text: str) -> tuple[list[_Statement], list[_Place]]:
    """Split `text` into logical lines; comments that precede none come back apart."""
    statements: list[_Statement] = []
    waiting: list[_Place] = []
    stray: list[_Place] = []
    depth = 0
    current: _Statement | None = None
    # Universal newlines: rows are those of the tokenizer of Python itself.
    readline = io.StringIO(text, newline=None).readline
    for token in tokenize.generate_tokens(readline):
        kind, (row, column) = token.type, token.start
        if current is not None and kind in (tokenize.NEWLINE, tokenize.NL):
            current.open_rows.append(row)
        if kind == tokenize.COMMENT:
            place = _Place(token.string, row, column)
            (current.trailing if current else waiting).append(place)
        elif kind == tokenize.INDENT:
            depth += 1
        elif kind == tokenize.DEDENT:
            depth -= 1
        elif kind == tokenize.NEWLINE:
            current = None
        elif kind not in _LAYOUT:
            if current is None:
                current = _Statement(row, row, column, depth, token.string)
                # A comment deeper than what follows ends a block; it is above nothing.
                current.above = [place for place in waiting if place.column <= column]
                stray += [place for place in waiting if place.column > column]
                waiting = []
                statements.append(current)
            current.last_row = token.end[0]
    return statements, stray + waiting


def _block_ends(statements: Sequence[_Statement]) -> list[int]:
    """Return the last row of each statement with its decorated definition and block.

    One pass from the last statement to the first, for a file may have thousands of both.
    """
    ends = [0] * len(statements)
    behind: list[int] = []
    for index in range(len(statements) - 1, -1, -1):
        statement = statements[index]
        while behind and statements[behind[-1]].depth > statement.depth:
            behind.pop()
        following = behind[-1] if behind else len(statements)
        if behind and _continues(statement, statements[following]):
            ends[index] = ends[following]
        else:
            ends[index] = statements[following - 1].last_row
        behind.append(index)
    return ends


def _continues(statement: _Statement, following: _Statement) -> bool:
    """Say whether what follows the block of a statement belongs to that statement."""
    is_part = statement.first_word == "@" or following.first_word in _CONTINUING_CLAUSES
    return following.depth == statement.depth and is_part


def _comments_by_line(text: str, starts: Sequence[int]) -> Iterator[Comment]:
    """Yield what looks like a comment, line by line, of a text that has no tokens."""
    lines = LINE_END.split(text)
    next_code_rows = _next_code_rows(lines)
    for index, line in enumerate(lines):
        match = _COMMENT.search(line)
        if match is None:
            continue
        above = not line[: match.start()].strip()
        target = next_code_rows[index] if above else index + 1
        start = starts[index] + match.start()
        yield Comment(match.group(), start, index + 1, above, target, target)


def _next_code_rows(lines: Sequence[str]) -> list[int]:
    """Return for each line the row of the next line of code, or its own if there is none."""
    rows = list(range(1, len(lines) + 1))
    following: int | None = None
    for index in range(len(lines) - 1, -1, -1):
        if following is not None:
            rows[index] = following
        code = lines[index].lstrip()
        if code and not code.startswith("#"):
            following = index + 1
    return rows
