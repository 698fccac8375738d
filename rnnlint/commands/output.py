"""Where the report and all that is said beside it goes."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec

from rnnlint.commands.options import Chosen
from rnnlint.diagnostic import Level, Notice
from rnnlint.reporting import (
    DOCUMENTED_FORMATS,
    REPOSITORY_FORMATS,
    TEXT_FORMATS,
    renderer,
)
from rnnlint.reporting.style import Style
from rnnlint.terminal import abandon, style_for

if TYPE_CHECKING:
    from rnnlint.engine import Outcome

FINDINGS, FAILURE = 1, 2
"""Exit codes besides 0; `FAILURE` says that rnnlint could not do what it was asked to."""


def write_report(outcome: Outcome, options: Chosen, *, aside: bool = False) -> None:
    """Write the report where it was asked for, and say on a terminal how much was read.

    Args:
        outcome: what to report.
        options: how.
        aside: whether the standard output is for something else.
    """
    write_notices(outcome.notices, options)
    for_people = outcome.settings.output_format in TEXT_FORMATS
    if options.output_file:
        style = style_for(sys.stdout, "always" if options.color == "always" else "never")
        write_file(options.output_file, _render(outcome, options, style))
    else:
        style = style_for(sys.stderr if aside else sys.stdout, options.color)
        write(_render(outcome, options, style), style.colour, err=aside)
    # A program that reads the report finds nothing but the report there.
    apart = aside or bool(options.output_file) or not for_people
    style = style_for(sys.stderr if apart else sys.stdout, options.color)
    if outcome.settings.show_fixes and (outcome.fixed or outcome.withheld):
        from rnnlint.reporting import repairs

        apart_from_closing = "" if options.quiet else "\n"
        write(repairs.render(outcome, style) + apart_from_closing, style.colour, err=apart)
        outcome = msgspec.structs.replace(outcome, withheld=())  # it is said
    if not options.quiet:
        from rnnlint.reporting.closing import closing

        write(closing(outcome, style), style.colour, err=apart)
    if options.explain:
        from rnnlint.reporting import explanation

        text = explanation.render(outcome, options.paths, style)
        write(text if options.quiet else f"\n{text}", style.colour, err=apart)
    if options.verbose:
        _write_details(outcome)


def write(text: str, colour: bool | None = None, *, err: bool = False) -> None:
    """Write text to the standard output, or to that for errors."""
    if sys.stdout is None and not err:
        fail("cannot write the report: the standard output is closed; use --output-file")
    _written(text, colour, err=err)


def write_bytes(data: bytes) -> None:
    """Write a file's contents to the standard output."""
    if sys.stdout is None:
        fail("cannot write the repaired text: the standard output is closed")
    _written(data, None, err=False)


def _written(text: str | bytes, colour: bool | None, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, err=err, nl=False, color=colour)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        abandon(stream)
        fail(f"cannot write the report: {error.strerror or error}")


def write_file(path: str, report: str) -> None:
    """Write a report to a file."""
    try:
        Path(path).write_text(report, encoding="utf-8", errors="replace")
    except OSError as error:
        fail(f"cannot write the report to '{path}': {error.strerror}; name another file")


def write_notices(notices: Sequence[Notice], options: Chosen) -> None:
    """Say what could not be done."""
    style = style_for(sys.stderr, options.color)
    for notice in notices:
        if notice.fatal or not options.quiet:
            level = Level.ERROR if notice.fatal else Level.WARNING
            label = style.level(level.value, level)
            click.echo(f"{label}: {notice.path}: {notice.message}", err=True, color=style.colour)


def exit_code(outcome: Outcome, options: Chosen) -> int:
    """The exit code for what was found."""
    if any(notice.fatal for notice in outcome.notices):
        return FAILURE
    if options.exit_zero:
        return 0
    if options.exit_non_zero_on_fix and outcome.fixed:
        return FINDINGS
    mildest = Level(outcome.settings.fail_on).rank
    failing = any(diagnostic.level.rank <= mildest for diagnostic in outcome.diagnostics)
    return FINDINGS if failing else 0


def fail(message: str) -> NoReturn:
    """Say what went wrong, and end the command."""
    click.echo(f"error: {message}", err=True)
    raise click.exceptions.Exit(FAILURE)


def _render(outcome: Outcome, options: Chosen, style: Style) -> str:
    output_format = outcome.settings.output_format
    if options.statistics:
        from rnnlint.reporting import statistics

        as_json = output_format in ("json", "jsonl")
        return (statistics.render_json if as_json else statistics.render)(outcome, style)
    if output_format in DOCUMENTED_FORMATS:
        from rnnlint.commands.pages import pages_of

        codes = (diagnostic.code for diagnostic in outcome.diagnostics)
        rules = pages_of(codes, outcome.settings.plugins)
        outcome = msgspec.structs.replace(outcome, rules=rules)
    if output_format in REPOSITORY_FORMATS:
        from rnnlint import engine

        outcome = engine.from_repository(outcome, Path.cwd())
    return renderer(output_format)(outcome, style)


def _write_details(outcome: Outcome) -> None:
    summary = outcome.summary
    how = "from the cache" if summary.cached else "analysed afresh"
    click.echo(
        f"{summary.analysed} files, {summary.lowered} of them with recurrent training code, "
        f"{how} in {summary.seconds:.2f} s; "
        f"settings from {outcome.settings.source or 'the defaults'}",
        err=True,
    )
