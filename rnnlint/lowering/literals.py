"""The values of literals, computed without `eval`: it would warn, and costs more."""

from __future__ import annotations

import re
import unicodedata
from re import Match, Pattern

_ESCAPE: Pattern[str] = re.compile(
    r"\\(\r\n|[\n\r\\'\"abfnrtv]|[0-7]{1,3}|x[\da-fA-F]{2}|N\{[^}]*\}"
    r"|u[\da-fA-F]{4}|U[\da-fA-F]{8})"
)
_SIMPLE_ESCAPES = {
    "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r",
    "t": "\t", "v": "\v", "\n": "", "\r": "", "\r\n": "",
}  # fmt: skip
_REPLACEMENT = "\ufffd"
_LARGEST_INTEGER = 2**63 - 1


def string_value(literal: str) -> str | None:
    """The value of a string literal as written, None if it is of bytes."""
    body = literal.lstrip("bBrRuU")
    prefix = literal[: len(literal) - len(body)].lower()
    if "b" in prefix:
        return None
    quotes = 3 if body.startswith(('"""', "'''")) and len(body) >= 6 else 1
    return unescape(body[quotes:-quotes], raw="r" in prefix)


def unescape(body: str, *, raw: bool) -> str:
    """What the inside of a string literal stands for."""
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    if raw or "\\" not in body:
        return body
    return _ESCAPE.sub(_unescape_one, body)


def _unescape_one(found: Match[str]) -> str:
    escape = found.group(1)
    simple = _SIMPLE_ESCAPES.get(escape)
    if simple is not None:
        return simple
    if escape[0] == "N":
        try:
            return unicodedata.lookup(escape[2:-1])
        except KeyError:
            return _REPLACEMENT
    code = int(escape[1:], 16) if escape[0] in "xuU" else int(escape, 8)
    # A lone surrogate is legal in Python, but no text that can be stored.
    return _REPLACEMENT if 0xD800 <= code < 0xE000 or code > 0x10FFFF else chr(code)


def integer_value(literal: str) -> int | float:
    """The value of an integer literal; a float (perhaps infinite) beyond 64 bits."""
    try:
        value = int(literal, 0)
        return value if value <= _LARGEST_INTEGER else float(value)
    except (ValueError, OverflowError):
        return float("inf")


def float_value(literal: str) -> float:
    """The value of a float literal."""
    return float(literal.replace("_", ""))
