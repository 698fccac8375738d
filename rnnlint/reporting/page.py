"""A rule's page: Markdown as it is, or lightly rendered for a terminal, or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from rnnlint.diagnostic import Applicability, Cause, Level, rule_url
from rnnlint.reporting.layout import wrapped
from rnnlint.reporting.structured import indented
from rnnlint.reporting.style import Style

_HEADING = re.compile(r"#{1,6} (?P<title>.+)")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_INLINE_CODE = re.compile(r"`([^`]+)`")
_WORDS = re.compile(r"\S.*")
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<address>[^)\s]+)\)")
_FENCE = ("```", "~~~")
_ROW = "|"
"""Begins a row of a table, which is laid out already."""


class Page(msgspec.Struct, frozen=True):
    """What there is to read about one rule."""

    code: str
    name: str
    level: Level
    fixable: Applicability | None
    explanation: str
    """Markdown, whose first paragraph is a summary in a sentence."""
    cause: Cause = Cause.NONE
    effect: str = ""

    @property
    def summary(self) -> str:
        """The first paragraph on one line."""
        return " ".join(self.explanation.split("\n\n", 1)[0].split())


def render_markdown(pages: Sequence[Page]) -> str:
    """Render `pages` as Markdown, for a file or another program."""
    return "\n\n".join(
        f"# {page.code} {page.name}\n\nLevel: {page.level.value}.\n\n{page.explanation.strip()}"
        for page in pages
    ) + ("\n" if pages else "")


def render_terminal(pages: Sequence[Page], style: Style) -> str:
    """Render `pages` for a person at a terminal."""
    blocks = ["\n".join(_lines(page, style)) + "\n" for page in pages]
    return "\n\n".join(blocks)


def render_json(pages: Sequence[Page]) -> str:
    """Render `pages` as an indented JSON list."""
    objects = [
        {
            "code": page.code,
            "name": page.name,
            "level": page.level.value,
            "family": page.cause.value,
            "fixable": None if page.fixable is None else page.fixable.value,
            "summary": page.summary,
            "effect": page.effect,
            "page": page.explanation,
            "url": rule_url(page.code, page.name),
        }
        for page in pages
    ]
    return indented(objects)


def _lines(page: Page, style: Style) -> Iterator[str]:
    head = f"{page.code} {page.name}"
    yield f"{style.strong(head)} {style.level(f'({page.level.value})', page.level)}"
    yield ""
    paragraph: list[str] = []
    fenced = False
    for line in page.explanation.strip().splitlines():
        boundary = line.startswith(_FENCE)
        apart = boundary or fenced or not line.strip() or line.startswith(_ROW)
        if apart or _HEADING.match(line) or _ITEM.match(line):
            yield from _paragraph(paragraph, style)
            paragraph = []
        if boundary:
            fenced = not fenced
        elif fenced:
            yield style.place("    " + line) if line.strip() else ""
        elif line.startswith(_ROW):
            yield line
        elif heading := _HEADING.match(line):
            yield style.strong(heading["title"].upper())
        elif line.strip():
            paragraph.append(line.strip())
        else:
            yield ""
    yield from _paragraph(paragraph, style)


def _paragraph(lines: Sequence[str], style: Style) -> Iterator[str]:
    if not lines:
        return
    text = _LINK.sub(r"\g<text> <\g<address>>", " ".join(lines))
    item = _ITEM.match(text)
    block = "\n".join(wrapped(text, style.width, indent=item.end() if item else 0))
    if style.colour:
        block = _INLINE_CODE.sub(lambda code: _painted(code[1], style), block)
    yield from block.split("\n")


def _painted(code: str, style: Style) -> str:
    """Paint code that may go over several lines, but not their indentation."""
    return _WORDS.sub(lambda words: style.place(words[0]), code)
