"""Markdown as text: its headings, and its words apart from its code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_HEADING = re.compile(r"(?P<marks>#{1,6}) (?P<title>.+)")
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,}).*")
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def slug(title: str) -> str:
    """The anchor of a heading, which is the same here and on GitHub."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def sections(text: str) -> dict[str, str]:
    """What stands below each heading of the first and second level, by its anchor."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line, is_code in _lines(text):
        heading = None if is_code else _HEADING.fullmatch(line)
        if heading and len(heading["marks"]) <= 2:
            current = found.setdefault(slug(heading["title"]), [])
        else:
            current.append(line)
    return {anchor: "\n".join(lines).strip() + "\n" for anchor, lines in found.items()}


def without_title(text: str) -> str:
    """A page without the heading that it begins with."""
    first, _, rest = text.partition("\n")
    if not first.startswith("# "):
        raise ValueError(f"a page begins with its title, not with {first!r}")
    return rest.lstrip("\n")


def of_words(text: str, change: Callable[[str], str]) -> str:
    """The text with its words changed; its headings, and its code in fences and lines, stay."""
    parts: list[str] = []
    words: list[str] = []
    for line, is_code in _lines(text):
        if is_code or _HEADING.fullmatch(line):
            parts += [_of_prose("\n".join(words), change)] if words else []
            parts.append(line)
            words = []
        else:
            words.append(line)
    parts += [_of_prose("\n".join(words), change)] if words else []
    return "\n".join(parts) + "\n"


def _of_prose(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    position = 0
    for code in _CODE_SPAN.finditer(text):
        parts += [change(text[position : code.start()]), code[0]]
        position = code.end()
    return "".join([*parts, change(text[position:])])


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a block of code."""
    closing = ""
    for line in text.splitlines():
        fence = _FENCE.fullmatch(line)
        yield line, bool(closing or fence)
        if closing:
            if fence and line.strip().startswith(closing) and not line.strip().strip(closing[0]):
                closing = ""
        elif fence:
            closing = fence["marks"]
