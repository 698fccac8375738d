"""What the terminal can show: colour, width, progress, help under headings."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO, TypeAlias

import click

from rnnlint.reporting.style import DEFAULT_WIDTH, Style

_WIDEST = 120
_NARROWEST = 40
_PATIENCE = 1.0
"""Seconds before a run says how far it is."""
_REFRESH = 0.1
_UNSECTIONED = "Other"
_WIDEST_EXAMPLE = 44

Section: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A heading of a help text, and what stands under it with what is said of it."""


def style_for(stream: TextIO | None, colour: str) -> Style:
    """Return how to write to `stream`, where `colour` is auto, always or never.

    Python has None for a standard stream that was closed before it began.
    """
    wanted = colour == "always" or (colour == "auto" and _colourful(stream))
    return Style(colour=wanted, width=_width(stream))


def forgive_unwritable(*streams: TextIO | None) -> None:
    """Let `streams` escape what their encoding cannot say, rather than fail."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def abandon(stream: TextIO) -> None:
    """Let what could not be written to `stream` go, or Python fails on it again as it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Progress:
    """Shows how far a run is, on one line, once it takes longer than a moment."""

    def __init__(self, stream: TextIO | None, *, wanted: bool = True) -> None:
        self._stream = stream
        self._wanted = wanted and is_terminal(stream)
        self._next = time.monotonic() + _PATIENCE
        self._shown = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` files have passed `stage`."""
        now = time.monotonic()
        # A stage without a count is told once, so it is told when it begins.
        is_early = total > 0 and now < self._next
        if self._stream is None or not self._wanted or is_early:
            return
        self._next = now + _REFRESH
        self._shown = True
        counted = f" {done:,} of {total:,}" if total else ""
        self._stream.write(f"\r\x1b[K{stage}{counted}")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away again."""
        if self._stream is not None and self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


class SectionedOption(click.Option):
    """An option that knows under which heading the help lists it."""

    def __init__(self, *arguments: Any, section: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings, and more sections below them."""

    def __init__(
        self, *arguments: Any, sections: Sequence[Section] = (), **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections = options_by_section(self, ctx)
        for section, options in sections.items():
            with formatter.section(section if len(sections) > 1 else "Options"):
                records = (option.get_help_record(ctx) for option in options)
                formatter.write_dl([record for record in records if record is not None])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_sections(formatter, self.sections)


def options_by_section(
    command: click.Command, context: click.Context
) -> dict[str, list[click.Option]]:
    """The options of a command, those that are hidden left out, by their headings in its help."""
    sections: dict[str, list[click.Option]] = {}
    for option in command.get_params(context):
        if isinstance(option, click.Option) and not option.hidden:
            sections.setdefault(getattr(option, "section", _UNSECTIONED), []).append(option)
    return dict(sorted(sections.items(), key=lambda section: section[0] == _UNSECTIONED))


def write_sections(formatter: click.HelpFormatter, sections: Iterable[Section]) -> None:
    """Write sections of a help text."""
    for heading, rows in sections:
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=_WIDEST_EXAMPLE)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person may be looking at what is written to `stream`."""
    return stream is not None and stream.isatty()


def _colourful(stream: TextIO | None) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO | None) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        width = int(columns)
    elif stream is None or not stream.isatty():
        return DEFAULT_WIDTH
    else:
        try:
            width = os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
        except (OSError, ValueError):
            return DEFAULT_WIDTH
    return min(max(width, _NARROWEST), _WIDEST)
