"""Changes of files as unified diffs, which `git apply` and `patch` take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff

from rnnlint.reporting.style import Style

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_LINE_END = "\\ No newline at end of file\n"


def difference(path: str, before: str, after: str, style: Style) -> str:
    """Render how the text of a file changes."""
    lines = unified_diff(_LINE.findall(before), _LINE.findall(after), f"a/{path}", f"b/{path}", n=3)
    return "".join(_painted(line, style) for each in lines for line in _ended(each))


def _ended(line: str) -> Iterator[str]:
    if line.endswith("\n"):
        yield line
    else:
        yield f"{line}\n"
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
