"""Whether an edited file is still the program that it was, but for the edits."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeAlias

import msgspec

from rnnlint.fixing.cells import CannotEditError
from rnnlint.fixing.editing import Edited
from rnnlint.project.source import LINE_END, LineIndex, Source, line_starts

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
"""What Python may raise on a text that it cannot make a program of."""
_VERSIONS = tuple((3, minor) for minor in range(7, sys.version_info.minor + 1))
"""The versions of Python whose syntax this one can tell apart."""
_LAYOUT = frozenset(
    (
        tokenize.NEWLINE,
        tokenize.NL,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    )
)


def flaw(edited: Edited) -> str | None:
    """Why the file must not become what it would; None when it may.

    LibCST reads the syntax of every Python, this interpreter its own alone: a file that it
    could not compile before is left to LibCST's judgement.
    """
    try:
        becomes = edited.after
    except CannotEditError as error:
        return str(error)
    ends = set(LINE_END.findall(edited.before.text))
    if ends and not ends.issuperset(LINE_END.findall(edited.text)):
        return "its lines would end in different ways"
    before = _tree(edited.before.text)
    if before is None:
        return None
    after = _tree(edited.text)
    if after is None or (_compiles(edited.before) and not _compiles(becomes)):
        return "it would no longer compile"
    version = _oldest(edited.before.text)
    if _tree(edited.text, version) is None:
        return "it would need Python {}.{} or later".format(*_oldest(edited.text))
    return _misplaced(edited, before, after) or _misread(edited)


def _tree(text: str, version: tuple[int, int] | None = None) -> ast.Module | None:
    """What a version of Python makes of a text, the running one unless told otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, feature_version=version)
    except _UNREADABLE:
        return None


def _oldest(text: str) -> tuple[int, int]:
    """The oldest Python that can read a text which the running one can."""
    return next((version for version in _VERSIONS if _tree(text, version)), _VERSIONS[-1])


def _compiles(source: Source) -> bool:
    program = source.encoded(source.text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(program, "<edited>", "exec", dont_inherit=True)
    except _UNREADABLE:
        return False
    return True


# --- what the edits do not touch --------------------------------------------------


_Way: TypeAlias = tuple[tuple[int, str], ...]
"""Where the statements, handlers and cases around begin, outermost first, and in which block."""


class _Found(msgspec.Struct, frozen=True):
    """A statement, where it begins, and the way to it."""

    node: ast.stmt
    start: int
    way: _Way


def _misplaced(edited: Edited, before: ast.Module, after: ast.Module) -> str | None:
    """Say which statement is another than before, or in another block, and was not edited."""
    places = _Places(edited.before.text)
    there = {found.start: found for found in _all(after, _Places(edited.text))}
    try:
        for found in _untouched(before.body, (), edited, places):
            start, end = edited.moved(found.start)
            now = there.get(start) if start == end else None
            if now is None or not _is_same(found, now, edited):
                return f"{_line(edited.before, found.start)} would mean something else"
    except RecursionError:
        return "it is nested too deeply to be compared with what it was"
    return None


def _is_same(found: _Found, now: _Found, edited: Edited) -> bool:
    before = [(*edited.moved(start), block) for start, block in found.way]
    return (
        [block for *_, block in before] == [block for _, block in now.way]
        and all(
            first <= at <= last for (first, last, _), (at, _) in zip(before, now.way, strict=True)
        )
        and ast.dump(found.node) == ast.dump(now.node)
    )


def _untouched(
    block: Sequence[ast.stmt], way: _Way, edited: Edited, places: _Places
) -> Iterator[_Found]:
    """The largest statements in which nothing is edited."""
    for node in block:
        start, end = places.extent(node)
        # What is put behind the last statement of a block stands behind its line.
        blocks = list(_blocks(node, way, places))
        behind = places.line_behind(end) + 1 if blocks else end + _grows(edited, end)
        if not edited.touches(start, behind):
            yield _Found(node, places.start(node), way)
        else:
            for nested, inner in blocks:
                yield from _untouched(nested, inner, edited, places)


def _grows(edited: Edited, end: int) -> bool:
    """Whether what is put behind a simple statement goes on with it: one more name to import."""
    behind = (edit.replacement.lstrip(" \t") for edit in edited.edits if edit.start == end)
    return any(text[:1] == "," for text in behind)


def _all(tree: ast.Module, places: _Places) -> Iterator[_Found]:
    waiting: list[tuple[Sequence[ast.stmt], _Way]] = [(tree.body, ())]
    while waiting:
        block, way = waiting.pop()
        for node in block:
            yield _Found(node, places.start(node), way)
            waiting += _blocks(node, way, places)


def _blocks(node: ast.AST, way: _Way, places: _Places) -> Iterator[tuple[list[ast.stmt], _Way]]:
    """The blocks of a statement, those of its handlers and cases among them."""
    start = places.start(node.pattern if isinstance(node, ast.match_case) else node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block, (*way, (start, name))
    for name in ("handlers", "cases"):
        for part in getattr(node, name, ()):
            yield from _blocks(part, (*way, (start, name)), places)


def _misread(edited: Edited) -> str | None:
    """Say where a word that was not edited has become part of a comment, string or other word.

    Nor must what was in a comment or string become words.
    """
    before, after = _words(edited.before.text), _words(edited.text)
    if not after:
        return None
    left = [(edited.moved(word.start)[0], word) for word in _apart(before, edited)]
    there = [(word.start, word) for word in _apart(after, edited.undone())]
    for old, new in zip_longest(left, there):
        if old is None or new is None or old[0] != new[0] or old[1].text != new[1].text:
            source = edited.before if old is not None else edited.after
            word = (old or new or there[0])[1]
            return f"{_line(source, word.start)} would mean something else"
    return None


def _line(source: Source, offset: int) -> str:
    cell, location = LineIndex(source).locate(offset)
    return f"line {location.row}" + ("" if cell is None else f" of cell {cell}")


def _apart(words: Iterable[_Word], edited: Edited) -> Iterator[_Word]:
    """The words that no edit touches, not even where they begin or end."""
    return (word for word in words if not edited.touches(word.start - 1, word.end + 1))


class _Word(msgspec.Struct, frozen=True):
    """A word, sign, string or comment."""

    text: str
    start: int
    end: int


def _words(text: str) -> list[_Word]:
    """The words of a text; none where Python's own tokenizer finds fault with it."""
    starts = line_starts(text)
    readline = io.StringIO(text, newline=None).readline
    found: list[_Word] = []
    try:
        for token in tokenize.generate_tokens(readline):
            if token.type not in _LAYOUT:
                (row, column), (last, behind) = token.start, token.end
                place = starts[row - 1] + column, starts[last - 1] + behind
                found.append(_Word(token.string, *place))
    except (tokenize.TokenError, SyntaxError):
        return []
    return found


class _Places:
    """Offsets of a tree's nodes in code points; a tree counts the bytes of each line."""

    def __init__(self, text: str) -> None:
        starts = line_starts(text)
        self._text = text
        self._starts = starts
        self._lines = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]

    def start(self, node: ast.AST) -> int:
        assert isinstance(node, (ast.stmt, ast.expr, ast.excepthandler, ast.pattern))
        return self._offset(node.lineno, node.col_offset)

    def extent(self, node: ast.stmt) -> tuple[int, int]:
        """Where a statement begins, with its decorators, and ends."""
        decorators = getattr(node, "decorator_list", ())
        start = min([self.start(node), *(self.start(each) for each in decorators)])
        return start, self._offset(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def line_behind(self, offset: int) -> int:
        """Where the line after that of an offset begins, or the end of the text."""
        number = bisect_right(self._starts, offset)
        return self._starts[number] if number < len(self._starts) else len(self._text)

    def _offset(self, row: int, column: int) -> int:
        line = self._lines[row - 1]
        if not line.isascii():
            column = len(line.encode()[:column].decode(errors="ignore"))
        return self._starts[row - 1] + column
