"""What one pattern of a `.gitignore` says, as git's own `wildmatch` reads it."""

from __future__ import annotations

import re
from typing import NamedTuple

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t-\\r ",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_WILD = frozenset("*?[\\")
_NEVER = "(?!)"


class Pattern(NamedTuple):
    """A pattern that is asked about one path, not about the folders around it."""

    excludes: bool
    """False for a `!pattern`."""
    folders_only: bool
    expression: str
    """Matches whole paths."""


def translated(line: str) -> Pattern | None:
    """The pattern in a line; None for a comment, and for a line that matches nothing."""
    line = _trimmed(line)
    if line.startswith("#"):
        return None
    excludes = not line.startswith("!")
    pattern = line if excludes else line[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern[:-1] if folders_only else pattern
    if not pattern:
        return None
    # A pattern with a slash is anchored to its folder, others match at any depth.
    depth = "" if "/" in pattern else "(?:.*/)?"
    return Pattern(excludes, folders_only, depth + _body(pattern.removeprefix("/")))


def is_broken(line: str) -> bool:
    """Whether a pattern can match nothing because it ends in the midst of something."""
    pattern = translated(line)
    return pattern is not None and _NEVER in pattern.expression


def escaped(name: str) -> str:
    """A pattern that matches a name as it is."""
    return re.sub(r"[\\*?\[\]!# ]", r"\\\g<0>", name)


def _trimmed(line: str) -> str:
    """The line without the blanks at its end, unless the first of them is escaped."""
    kept = line.rstrip("\r\n").rstrip(" ")
    escapes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if escapes % 2 and line.startswith(kept + " ") else kept


def _body(pattern: str) -> str:
    """The expression for a pattern without its sign and its outer slashes."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "*":
            part, position = _stars(pattern, position)
        elif character == "[":
            part, position = _class(pattern, position + 1)
        elif character == "?":
            part, position = "[^/]", position + 1
        else:
            position += character == "\\"
            literal = pattern[position : position + 1]
            part, position = re.escape(literal) if literal else _NEVER, position + 1
        parts.append(part)
    return "".join(parts)


def _stars(pattern: str, start: int) -> tuple[str, int]:
    """The expression for one star or several, and where they end."""
    end = start
    while pattern[end : end + 1] == "*":
        end += 1
    before, behind = pattern[:start], pattern[end : end + 1]
    # Git compares what is literal first, and takes the stars behind it for the first thing.
    first = before.endswith("/") or _WILD.isdisjoint(before)
    if end - start == 1 or not first or behind not in ("", "/"):
        return "[^/]*", end
    # `**/` also stands for no folder at all.
    return ("(?:.*/)?", end + 1) if behind else (".*", end)


def _class(pattern: str, start: int) -> tuple[str, int]:
    """The expression for the `[class]` that opens before `start`, and where it ends."""
    negated = pattern[start : start + 1] in ("!", "^")
    position = first = start + negated
    parts: list[str] = []
    before = ""
    while position < len(pattern):
        character = pattern[position]
        if character == "]" and position > first:
            inside = "".join(parts)
            return f"(?!/)[{'^' if negated else ''}{inside}]", position + 1
        named = re.compile(r"\[:([^\]]*):\]").match(pattern, position)
        if named is not None:
            if named[1] not in _CLASSES:
                break
            parts.append(_CLASSES[named[1]])
            before, position = "", named.end()
            continue
        ranged = character == "-" and before and pattern[position + 1 : position + 2] != "]"
        position += bool(ranged)
        position += pattern[position : position + 1] == "\\"
        character = pattern[position : position + 1]
        if not character:
            break
        if ranged and before <= character:
            parts.append(f"{re.escape(before)}-{re.escape(character)}")
        elif not ranged:
            parts.append(re.escape(character))
        before = "" if ranged else character
        position += 1
    return _NEVER, len(pattern)  # git, too, passes over what is not closed
