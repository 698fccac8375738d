"""What the terminal can show: colour, width, progress."""

from __future__ import annotations

import os
import time
from typing import TextIO

from rnnlint.reporting.style import DEFAULT_WIDTH, Style

_WIDEST = 120
_NARROWEST = 40
_PATIENCE = 1.0
"""Seconds before a run says how far it is."""
_REFRESH = 0.1


def style_for(stream: TextIO, colour: str) -> Style:
    """Return how to write to `stream`, where `colour` is auto, always or never."""
    wanted = colour == "always" or (colour == "auto" and _colourful(stream))
    return Style(colour=wanted, width=_width(stream))


def forgive_unwritable(*streams: TextIO) -> None:
    """Let `streams` escape what their encoding cannot say, rather than fail."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class Progress:
    """Shows how far a run is, on one line, once it takes longer than a moment."""

    def __init__(self, stream: TextIO, *, wanted: bool = True) -> None:
        self._stream = stream
        self._wanted = wanted and stream.isatty()
        self._next = time.monotonic() + _PATIENCE
        self._shown = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` files have passed `stage`."""
        now = time.monotonic()
        if not self._wanted or now < self._next:
            return
        self._next = now + _REFRESH
        self._shown = True
        counted = f" {done:,} of {total:,}" if total else ""
        self._stream.write(f"\r\x1b[K{stage}{counted}")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away again."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


def _colourful(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        width = int(columns)
    elif not stream.isatty():
        return DEFAULT_WIDTH
    else:
        try:
            width = os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
        except (OSError, ValueError):
            return DEFAULT_WIDTH
    return min(max(width, _NARROWEST), _WIDEST)
