"""As much of Markdown as the pages of rules are written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rnnlint.reporting.html.elements import element, text

_HEADING = re.compile(r"#{1,6} (.+)")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_FENCE = ("```", "~~~")
_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\[(?P<text>[^\]]+)\]\((?P<address>https?://[^)\s]+)\)"
    r"|\*(?P<strong>[^*\s][^*]*)\*"
)


def html(markdown: str) -> str:
    """Render a rule's page; its headings become those of a section within a section."""
    return "".join(_blocks(markdown.strip().splitlines()))


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.startswith(_FENCE):
            end = next(
                (at for at in range(index + 1, len(lines)) if lines[at].startswith(line[:3])),
                len(lines),
            )
            code = "\n".join(lines[index + 1 : end])
            yield element("pre", element("code", text(code)), class_="example", tabindex="0")
            index = end + 1
        elif heading := _HEADING.match(line):
            yield element("h3", _inline(heading[1]))
            index += 1
        elif not line.strip():
            index += 1
        else:
            end = _end_of_block(lines, index)
            yield _block(lines[index:end])
            index = end


def _end_of_block(lines: Sequence[str], start: int) -> int:
    """Where a paragraph, a list or a table ends: at a blank line, or before another block."""
    for index in range(start + 1, len(lines)):
        line = lines[index]
        is_item = bool(_ITEM.match(line)) and not _ITEM.match(lines[start])
        if not line.strip() or line.startswith(_FENCE) or _HEADING.match(line) or is_item:
            return index
        if line.startswith("|") and not lines[start].startswith("|"):
            return index
    return len(lines)


def _block(lines: Sequence[str]) -> str:
    if lines[0].startswith("|"):
        return _table(lines)
    if _ITEM.match(lines[0]):
        items: list[str] = []
        for line in lines:
            begin = _ITEM.match(line)
            if begin:
                items.append(line[begin.end() :])
            else:
                items[-1] += " " + line.strip()
        name = "ol" if lines[0][0].isdigit() else "ul"
        return element(name, *(element("li", _inline(item)) for item in items))
    return element("p", _inline(" ".join(line.strip() for line in lines)))


def _table(lines: Sequence[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    head, body = rows[0], rows[2:]
    written = element("tr", *(element("th", _inline(cell), scope="col") for cell in head))
    written += "".join(
        element("tr", *(element("td", _inline(cell)) for cell in row)) for row in body
    )
    return element("div", element("table", written), class_="wide")


def _inline(words: str) -> str:
    written, at = "", 0
    for match in _SPAN.finditer(words):
        written += text(words[at : match.start()])
        at = match.end()
        if match["code"]:
            written += element("code", text(match["code"]))
        elif match["strong"]:
            written += element("em", text(match["strong"]))
        else:
            written += element("a", _inline(match["text"]), href=match["address"])
    return written + text(words[at:])
