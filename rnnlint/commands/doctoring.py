"""`rnnlint doctor`: a real run confirms or dismisses what was read."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from rnnlint import engine
from rnnlint.commands.output import fail, write, write_file
from rnnlint.doctor import page, structured, text
from rnnlint.doctor.diagnosing import Diagnosis, diagnose
from rnnlint.doctor.evidence import Run
from rnnlint.doctor.running import Budget, CannotObserveError, observe
from rnnlint.terminal import style_for

_UNNAMED = {"json": "rnnlint-doctor.json", "html": "rnnlint-doctor.html"}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How a diagnosis is written."""

    output_format: str = "text"
    output_file: str | None = None
    colour: str = "auto"


def doctor(
    command: Sequence[str], budget: Budget, wanted: Wanted, python: str | None = None
) -> int:
    """Run a script under observation, write what that and reading it show, and return its code."""
    try:
        run = observe(command, budget, python)
    except CannotObserveError as error:
        fail(str(error))
    _write(_diagnosis(command, budget, run), wanted)
    return run.code


def _diagnosis(command: Sequence[str], budget: Budget, run: Run) -> Diagnosis:
    cwd = Path.cwd()
    files = [path for path in run.files if Path(path).is_file()]
    if not budget.module:
        files = sorted({*files, os.path.realpath(command[0])})
    shown = tuple(os.path.relpath(path, cwd) for path in files)
    outcome = engine.check(engine.Request(paths=shown, cwd=str(cwd)))
    typed = ("-m", *command) if budget.module else command
    return diagnose(typed, run, outcome.diagnostics, cwd)


def _write(diagnosis: Diagnosis, wanted: Wanted) -> None:
    output_file = wanted.output_file or _UNNAMED.get(wanted.output_format)
    if output_file is None:
        # The standard output is the script's.
        style = style_for(sys.stderr, wanted.colour)
        write("\n" + text.render(diagnosis, style), style.colour, err=True)
        return
    style = style_for(sys.stdout, "always" if wanted.colour == "always" else "never")
    written = {
        "text": lambda: text.render(diagnosis, style),
        "json": lambda: structured.render(diagnosis),
        "html": lambda: page.render(diagnosis),
    }[wanted.output_format]()
    write_file(output_file, written)
    click.echo(f"The diagnosis of {shlex.join(diagnosis.command)} is in {output_file}.", err=True)
