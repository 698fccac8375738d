"""How text looks: colours, or none, and the width to keep to."""

from __future__ import annotations

import msgspec

from rnnlint.diagnostic import Level

DEFAULT_WIDTH = 80

_LEVEL_COLOURS = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.ADVICE: "1;36"}


class Style(msgspec.Struct, frozen=True):
    """The look of a report; each method paints a text, or returns it as it is."""

    colour: bool = False
    width: int = DEFAULT_WIDTH

    def level(self, text: str, level: Level) -> str:
        """Paint what belongs to a diagnostic of `level`."""
        return self._paint(text, _LEVEL_COLOURS[level])

    def strong(self, text: str) -> str:
        """Paint what is to be read first."""
        return self._paint(text, "1")

    def place(self, text: str) -> str:
        """Paint a position in a file."""
        return self._paint(text, "36")

    def gutter(self, text: str) -> str:
        """Paint line numbers and the rule beside a source line."""
        return self._paint(text, "34")

    def evidence(self, text: str) -> str:
        """Paint the underline of a trail's place."""
        return self._paint(text, "1;34")

    def remedy(self, text: str) -> str:
        """Paint the word that introduces what to do."""
        return self._paint(text, "1;32")

    def added(self, text: str) -> str:
        """Paint a line that a repair puts in."""
        return self._paint(text, "32")

    def removed(self, text: str) -> str:
        """Paint a line that a repair takes out."""
        return self._paint(text, "31")

    def faint(self, text: str) -> str:
        """Paint what may be skipped."""
        return self._paint(text, "2")

    def _paint(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour and text else text


PLAIN = Style()
