"""Where each token of a file begins and ends.

LibCST's tree knows every token but no position.  Its tokens come in the order of
the text, so a walk that counts them can look positions up here; asking LibCST
for them costs several times more.
"""

from __future__ import annotations

import re
from re import Match, Pattern

_STRING = (
    r'(?:[bB][rR]?|[rR][bB]?|[uU])?(?:"""[^"\\]*(?:(?:\\[\s\S]|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\[\s\S]|'(?!''))[^'\\]*)*'''"
    r'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"'
    r"|'[^'\\]*(?:\\[\s\S][^'\\]*)*')"
)
_FORMATTED_STRING_OPENING = r"""(?:[fFtT][rR]?|[rR][fFtT])(?:\"""|'''|"|')"""
# Outside strings and comments a character beyond ASCII can only belong to a name.  Said by
# what cannot, ASCII alone, which takes a tenth of the time to compile.
_NAME = r"[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*"
_NUMBER = (
    r"0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+"
    r"|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d[\d_]*)?[jJ]?"
)
_OPERATOR = (
    r"\*\*=|//=|>>=|<<=|\.\.\.|->|:=|\*\*|//|>>|<<|[-+*/%@&|^<>=!]=|[-+*/%@&|^~<>()\[\]{}:;,.=!]"
)
_GAP = r"[ \t\f\r\n\\\ufeff]*(?:#[^\r\n]*[ \t\f\r\n\\]*)*"

# The end of the text counts as a token, lest a comment at the end be searched for one.
_TOKEN: Pattern[str] = re.compile(
    rf"{_GAP}(?:({_FORMATTED_STRING_OPENING})|({_STRING}|{_NAME}|{_NUMBER}|{_OPERATOR})|\Z)"
)
_LITERAL_IN_RAW: Pattern[str] = re.compile(r"(?:[^\\{}'\"]|\\[^{}]|\{\{|\}\})+")
_LITERAL: Pattern[str] = re.compile(r"(?:[^\\{}'\"]|\\N\{[^}]*\}|\\[^{}]|\{\{|\}\})+")
_SPECIFICATION: Pattern[str] = re.compile(r"[^{}]*")


class Tokens:
    """The offsets of a text's tokens, in order; `position` is the next to be read.

    A formatted string has a token for its opening, for its end and for each token
    within braces, and none for its literal parts.
    """

    __slots__ = ("ends", "position", "starts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.position = 0
        offset = 0
        while offset >= 0:
            offset = self._scan(offset)

    def _scan(self, offset: int) -> int:
        """Record tokens from `offset` to behind the next formatted string; -1 at the end."""
        start_found, end_found = self.starts.append, self.ends.append
        for found in _TOKEN.finditer(self.text, offset):
            if found.lastindex == 2:
                start, end = found.span(2)
                start_found(start)
                end_found(end)
            elif found.lastindex == 1:
                return self._scan_formatted_string(found)
        return -1

    def _record(self, start: int, end: int) -> int:
        self.starts.append(start)
        self.ends.append(end)
        return end

    def _scan_formatted_string(self, opening: Match[str]) -> int:
        offset = self._record(*opening.span(1))
        start = opening.group(1)
        quote = start.lstrip("fFtTrR")
        literal = _LITERAL_IN_RAW if "r" in start.lower() else _LITERAL
        text = self.text
        while offset < len(text):
            found = literal.match(text, offset)
            if found is not None:
                offset = found.end()
            if text.startswith(quote, offset):
                return self._record(offset, offset + len(quote))
            if text.startswith("{", offset):
                offset = self._scan_replacement(offset)
            else:
                offset += 1
        return -1

    def _scan_replacement(self, offset: int) -> int:
        """Record a replacement field, `{value!r:specification}`, and return its end."""
        offset = self._record(offset, offset + 1)
        depth = 0
        while True:
            found = _TOKEN.match(self.text, offset)
            if found is None or found.lastindex is None:
                return len(self.text)
            if found.lastindex == 1:
                offset = self._scan_formatted_string(found)
                if offset < 0:
                    return len(self.text)
                continue
            start, offset = found.span(2)
            token = self.text[start]
            if token in "([{":
                depth += 1
            elif depth == 0 and token == "}":
                return self._record(start, offset)
            elif depth == 0 and token == ":":
                return self._scan_specification(self._record(start, start + 1))
            elif token in ")]}":
                depth -= 1
            self._record(start, offset)

    def _scan_specification(self, offset: int) -> int:
        while True:
            found = _SPECIFICATION.match(self.text, offset)
            offset = found.end() if found is not None else offset
            if self.text.startswith("{", offset):
                offset = self._scan_replacement(offset)
            elif offset < len(self.text):
                return self._record(offset, offset + 1)
            else:
                return offset

    # --- reading -------------------------------------------------------------

    def start(self) -> int:
        """Where the next token begins; the end of the text behind the last."""
        return self.starts[self.position] if self.position < len(self.starts) else len(self.text)

    def end(self) -> int:
        """Where the last token that was read ends."""
        return self.ends[self.position - 1] if self.position else 0

    def read(self) -> str:
        """Take the next token's text."""
        position = self.position
        self.position = position + 1
        return self.text[self.starts[position] : self.ends[position]]

    def peek(self) -> str:
        """The next token's text, or "" behind the last."""
        position = self.position
        if position >= len(self.starts):
            return ""
        return self.text[self.starts[position] : self.ends[position]]

    def skip(self, token: str) -> bool:
        """Pass over the next token if it is `token`, and say whether it was."""
        position = self.position
        starts = self.starts
        if position < len(starts) and self.text[starts[position] : self.ends[position]] == token:
            self.position = position + 1
            return True
        return False
