"""Markdown as text: its headings, and its prose apart from its listings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

_HEADING = re.compile(r"(?P<marks>#{1,6}) (?P<title>.+)")
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,}).*")


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


def with_prose(text: str, change: Callable[[str], str]) -> str:
    """The text with its paragraphs changed, and its headings and listings as they are."""
    parts: list[str] = []
    for is_prose, lines in groupby(_lines(text), _is_prose):
        block = "\n".join(line for line, _ in lines)
        parts.append(change(block) if is_prose else block)
    return "\n".join(parts) + "\n"


def _is_prose(line: tuple[str, bool]) -> bool:
    words, is_code = line
    return not is_code and not _HEADING.fullmatch(words)


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
