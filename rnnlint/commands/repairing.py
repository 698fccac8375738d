"""`rnnlint check` where it changes files, or shows how it would."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import msgspec

from rnnlint import engine, repair, saving, silencing
from rnnlint.commands.options import Chosen
from rnnlint.commands.output import (
    FAILURE,
    FINDINGS,
    exit_code,
    write,
    write_bytes,
    write_file,
    write_notices,
    write_report,
)
from rnnlint.engine import Outcome
from rnnlint.opening import Opened, Project
from rnnlint.project.notebook import cell_texts
from rnnlint.project.source import Source
from rnnlint.repair import Repaired
from rnnlint.reporting import repairs
from rnnlint.reporting.closing import withheld
from rnnlint.reporting.differences import difference
from rnnlint.reporting.layout import counted
from rnnlint.reporting.report import file_or_cell, is_fixable
from rnnlint.reporting.style import Style
from rnnlint.terminal import Progress, style_for


def fix(opened: Opened, options: Chosen, progress: Progress) -> int:
    """Repair, report what is left, and return the exit code."""
    outcome = _kept(opened, repair.fixes, progress)
    aside = _reads_stdin(opened)
    if not outcome.settings.fix_only:
        write_report(outcome, options, aside=aside)
        return exit_code(outcome, options)
    write_notices(outcome.notices, options)
    if not options.quiet:
        _write_fixed(outcome, options, aside)
    return exit_code(msgspec.structs.replace(outcome, diagnostics=()), options)


def show_difference(opened: Opened, options: Chosen, progress: Progress) -> int:
    """Show what would change, and return the exit code."""
    begun = time.perf_counter()
    repaired = repair.repair(opened, repair.fixes, progress)
    progress.clear()
    outcome = saving.report(opened, repaired, time.perf_counter() - begun)
    write_notices(outcome.notices, options)
    if options.output_file:
        write_file(options.output_file, _differences(repaired, Style()))
    else:
        style = style_for(sys.stdout, options.color)
        write(_differences(repaired, style), style.colour)
    if not options.quiet:
        write(_would_fix(outcome), err=True)
        _write_withheld(outcome, style_for(sys.stderr, options.color), aside=True)
    if any(notice.fatal for notice in outcome.notices):
        return FAILURE
    changes = any(each.changed for each in repaired)
    return FINDINGS if changes and not options.exit_zero else 0


def silence(opened: Opened, options: Chosen, progress: Progress) -> int:
    """Silence what is found by comments, report what is left, and return the exit code."""
    outcome = _kept(opened, silencing.comments, progress)
    aside = _reads_stdin(opened)
    done = f"Silenced {counted(len(outcome.fixed), 'finding')}.\n"
    # What no comment can silence is reported as ever.
    outcome = msgspec.structs.replace(outcome, fixed=(), withheld=())
    if outcome.diagnostics:
        write_report(outcome, options, aside=aside)
    else:
        write_notices(outcome.notices, options)
    if not options.quiet:
        write(done, err=aside)
    return exit_code(outcome, options)


def _reads_stdin(opened: Opened) -> bool:
    return any(project.contents for project in opened.projects)


def _kept(
    opened: Opened, wanted: Callable[[Project], repair.Wishes], progress: Progress
) -> Outcome:
    """Repair, and write the files that change; what came from the standard input is put out."""
    begun = time.perf_counter()
    repaired = repair.repair(opened, wanted, progress)
    progress.clear()
    if _reads_stdin(opened):
        for each in repaired:
            for path, data in each.project.contents.items():
                write_bytes(each.data(path) if path in each.after else data)
    else:
        repaired = [saving.save(each) for each in repaired]
    return saving.report(opened, repaired, time.perf_counter() - begun)


def _differences(repaired: list[Repaired], style: Style) -> str:
    return "".join(
        _difference(
            engine.seen_from(path, each.project), each.before[path], each.after[path], style
        )
        for each in repaired
        for path in each.changed
    )


def _difference(path: str, before: Source, after: Source, style: Style) -> str:
    """How a file changes, or each cell of a notebook."""
    if before.cells is None:
        return difference(path, _whole(before), _whole(after), style)
    old, new = cell_texts(before.data), cell_texts(after.data)
    return "".join(
        difference(file_or_cell(path, number), text, new[number], style, is_cell=True)
        for number, text in old.items()
    )


def _whole(source: Source) -> str:
    """The text of a file with its byte order mark, without which no patch would find its place."""
    return "\ufeff" + source.text if source.bom else source.text


def _would_fix(outcome: Outcome) -> str:
    more = sum(
        each.fix is not None and not is_fixable(each, outcome) for each in outcome.diagnostics
    )
    others = f" ({more:,} more with --unsafe-fixes)" if more else ""
    if outcome.fixed:
        return f"Would fix {counted(len(outcome.fixed), 'problem')}{others}.\n"
    return f"Would fix nothing{others}.\n"


def _write_fixed(outcome: Outcome, options: Chosen, aside: bool) -> None:
    style = style_for(sys.stderr if aside else sys.stdout, options.color)
    if outcome.settings.show_fixes and outcome.fixed:
        done = msgspec.structs.replace(outcome, withheld=())
        write(repairs.render(done, style), style.colour, err=aside)
    else:
        fixed = counted(len(outcome.fixed), "problem")
        write(style.strong(f"Fixed {fixed}.") + "\n", style.colour, err=aside)
    _write_withheld(outcome, style, aside=aside)


def _write_withheld(outcome: Outcome, style: Style, *, aside: bool) -> None:
    """Say how many repairs did not stand the test, or which and why."""
    if not outcome.withheld:
        return
    text = withheld(outcome) + "\n"
    if outcome.settings.show_fixes:
        text = repairs.render(msgspec.structs.replace(outcome, fixed=()), style)
    write(text, style.colour, err=aside)
