"""Docstrings of the companion as Markdown: they are written in the notation of reStructuredText.

Two of its signs are used: `::` before an indented example, and roles such as ``:func:`probe` ``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([^`]+)`")
_EXAMPLE = re.compile(
    r"(?m)^(?P<indent> *)(?P<words>.*):: *\n(?:[ \t]*\n)+(?P<code>(?:(?P=indent) +.*\n?|[ \t]*\n)+)"
)


class AsMarkdown(griffe.Extension):
    """Rewrites docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """The text with its examples in fences and its roles as code."""
    return _EXAMPLE.sub(_fenced, _ROLE.sub(r"`\1`", text) + "\n").rstrip()


def _fenced(example: re.Match[str]) -> str:
    indent, words = example["indent"], example["words"]
    lines = example["code"].rstrip().splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    code = "\n".join(indent + line[margin:] if line.strip() else "" for line in lines)
    said = f"{indent}{words}:\n\n" if words.strip() else ""
    return f"{said}{indent}```python\n{code}\n{indent}```\n\n"
