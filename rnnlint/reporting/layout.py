"""How wide text is on a terminal, and how it is wrapped and cropped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from rnnlint.reporting.style import Style

TAB = "    "
"""What a tab in a source line is shown as: terminals disagree about tabs."""
ELLIPSIS = "..."
_ZERO_WIDTH = frozenset(("Mn", "Me", "Cf"))


def printable(text: str) -> str:
    """Replace control characters, which a terminal would obey, and expand tabs.

    Source lines and file names are not to be trusted with a terminal.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def width_of(text: str) -> int:
    """Return the number of terminal columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_width_of_character(character) for character in text)


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun, in the plural where it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or noun + 's'}"


def sentence(text: str) -> str:
    """A message as a sentence of its own; code below it ends without a full stop."""
    return text[:1].upper() + text[1:] + ("" if "\n" in text else ".")


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Break `text` to lines of at most `width` columns, all but the first indented.

    Line breaks of `text` stay, and a line that begins with a space is code, which is
    left as it is.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        prefix = " " * indent if lines else ""
        if paragraph.startswith(" "):
            lines.append(prefix + printable(paragraph))
        else:
            lines += _wrapped_paragraph(printable(paragraph), width, indent, prefix)
    return lines


def labelled(label: str, text: str, pad: str, style: Style, indent: int) -> Iterator[str]:
    """Yield the lines of `text` behind a label that introduces what to do, each behind `pad`."""
    lines = wrapped(label + text, style.width - len(pad), indent)
    yield pad + style.remedy(label.rstrip()) + lines[0][len(label) - 1 :]
    for line in lines[1:]:
        yield pad + line


def cropped(line: str, start: int, end: int, width: int) -> tuple[str, int, int]:
    """Cut `line` to `width` columns around its characters `start` to `end`.

    Returns the text to show, and the columns, from 0, where the stretch begins and ends
    in it.  The stretch is never empty.
    """
    before, inside, after = (
        printable(part) for part in (line[:start], line[start:end], line[end:])
    )
    first = width_of(before)
    last = first + max(width_of(inside), 1)
    shown = before + inside + after
    if width_of(shown) <= width:
        return shown, first, last
    # The stretch is to be seen whole, or else from its beginning with some of what precedes.
    room = width - 2 * len(ELLIPSIS)
    left = max(0, min(first - width // 3, last - room))
    if left:
        shown, left = _from_column(shown, left)
        shown = ELLIPSIS + shown
        first, last = (column - left + len(ELLIPSIS) for column in (first, last))
    if width_of(shown) > width:
        shown = _up_to_column(shown, width - len(ELLIPSIS)) + ELLIPSIS
    return shown, first, max(first + 1, min(last, width_of(shown)))


def _shown(character: str) -> str:
    if character == "\t":
        return TAB
    return character if character.isprintable() else "?"


def _width_of_character(character: str) -> int:
    if unicodedata.category(character) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _wrapped_paragraph(text: str, width: int, indent: int, prefix: str) -> Iterator[str]:
    line = prefix
    empty = True
    for word in text.split():
        if not empty and width_of(line) + 1 + width_of(word) > width:
            yield line
            line, empty = " " * indent, True
        line += word if empty else " " + word
        empty = False
    yield line.rstrip()


def _from_column(text: str, column: int) -> tuple[str, int]:
    """Return `text` without its first `column` columns, and how many were cut indeed."""
    passed = 0
    for index, character in enumerate(text):
        if passed >= column:
            return text[index:], passed
        passed += _width_of_character(character)
    return "", passed


def _up_to_column(text: str, column: int) -> str:
    passed = 0
    for index, character in enumerate(text):
        passed += _width_of_character(character)
        if passed > column:
            return text[:index]
    return text
