"""Changes of files as unified diffs, which `git apply` and `patch` take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff

from rnnlint.reporting.style import Style

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_LINE_END = "\\ No newline at end of file\n"


def difference(path: str, before: str, after: str, style: Style, *, is_cell: bool = False) -> str:
    """Render how the text of a file, or of a notebook's cell, changes.

    Nobody is told of a cell that its last line has no end, for that is so in all of them.
    """
    lines = unified_diff(_LINE.findall(before), _LINE.findall(after), f"a/{path}", f"b/{path}", n=3)
    return "".join(_painted(line, style) for each in lines for line in _ended(each, is_cell))


def _ended(line: str, is_cell: bool) -> Iterator[str]:
    if line.endswith("\n"):
        yield line
        return
    yield f"{line}\n"
    if not is_cell:
        yield _NO_LINE_END


def _painted(line: str, style: Style) -> str:
    text = line.removesuffix("\n")
    if line.startswith(("---", "+++")):
        text = style.strong(text)
    elif line.startswith("@@"):
        text = style.place(text)
    elif line.startswith("-"):
        text = style.removed(text)
    elif line.startswith("+"):
        text = style.added(text)
    return text + "\n"
