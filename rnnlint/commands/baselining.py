"""`rnnlint check --write-baseline`: what is found is written down as known."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from rnnlint import baseline, engine
from rnnlint.commands.options import Chosen
from rnnlint.commands.output import FAILURE, write, write_notices
from rnnlint.narrowing import judged
from rnnlint.opening import Opened
from rnnlint.reporting.layout import counted
from rnnlint.terminal import Progress


def write_baseline(opened: Opened, options: Chosen, progress: Progress) -> int:
    """Write all that is found to the baseline, and return the exit code.

    What the baseline holds of files and rules that the run is not about stays in it.
    """
    if not opened.settings.baseline:
        raise click.UsageError("--write-baseline wants a file: name it with --baseline FILE")
    file = Path(opened.settings.baseline)
    before = baseline.read(file) if file.exists() else baseline.Known()
    kept = baseline.Known(before)
    found = baseline.Known()
    notices = list(opened.notices)
    for project in opened.projects:
        blind = msgspec.structs.replace(
            project, settings=msgspec.structs.replace(project.settings, baseline="")
        )
        findings, _ = engine.findings_of(blind, engine.cache_of(blind), progress)
        outcome = engine.outcome_of(blind, findings)
        reported = [d for d in findings.diagnostics if d.span.path in project.asked.reported]
        found.update(baseline.identities(reported, findings.excerpts, project.root, file.parent))
        notices += outcome.notices
        for each in judged(kept, project, file):
            del kept[each]
    progress.clear()
    write_notices(notices, options)
    if any(notice.fatal for notice in notices):
        return FAILURE  # what could not be read may be full of findings
    baseline.write(file, kept + found)
    if not options.quiet:
        write(_told(os.path.relpath(file), found, before - (kept + found)))
    return 0


def _told(name: str, found: baseline.Known, dropped: baseline.Known) -> str:
    gone = f" and dropped {dropped.total()} that are gone" if dropped else ""
    return f"Wrote {counted(found.total(), 'finding')} to {name}{gone}.\n"
