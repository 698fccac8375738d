"""`rnnlint check --watch`: check again whenever something has changed.

What is watched is what a run reads, by the very scan that a run begins with.  That takes neither
a package nor anything of the operating system, and it sees network drives and containers too.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import click
import msgspec

from rnnlint import engine
from rnnlint.commands.options import Chosen
from rnnlint.commands.output import write_report
from rnnlint.opening import Opened, Request
from rnnlint.project.config import ConfigError
from rnnlint.project.discovery import ProjectFile, shown
from rnnlint.terminal import Progress, is_terminal, style_for

PAUSE = 0.5
"""Seconds between two looks, at least."""
IDLENESS = 20
"""How many times longer than a look the pause after it is, so that watching costs little."""
SETTLING = 0.1
"""Seconds in which nothing more may change before a run begins: editors write in steps."""
_RESTLESS = 20
"""So often may something more change; then a run begins all the same."""
_NAMED = 3
"""How many of the files that changed are named."""


class _Look(msgspec.Struct, frozen=True):
    """What there was to read at one time; two are equal if nothing has changed between them."""

    opened: Opened | None
    error: str = ""
    """What is wrong with the settings, if nothing could be opened."""
    baseline: tuple[int, int] | None = None
    """What tells the baseline from others; nothing if there is none."""


def watch(request: Request, options: Chosen) -> NoReturn:
    """Check whenever something has changed, until somebody interrupts it.

    Raises:
        ConfigError: the settings do not hold to begin with.
        KeyboardInterrupt: that is how it ends.
    """
    look = _look(request)
    if look.opened is None:
        raise ConfigError(look.error)
    _begin("Checking.", options)
    if look.opened.settings.fix or look.opened.settings.fix_only:
        _say("Nothing is repaired meanwhile, whatever the settings say of 'fix'.", options)
    try:
        _check(look.opened, options)
        while True:
            _say("Waiting for a change; Ctrl-C ends this.", options)
            before, look = look, _next(request, look)
            _begin(f"{_difference(before, look)}; checking again.", options)
            _check_again(look, options)
    except KeyboardInterrupt:
        if is_terminal(sys.stderr):
            click.echo(err=True)  # its line holds the ^C
        raise


def _check_again(look: _Look, options: Chosen) -> None:
    """Check, or say what is wrong with the settings: whoever edits them may not be done."""
    try:
        if look.opened is None:
            raise ConfigError(look.error)
        _check(look.opened, options)
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)


def _check(opened: Opened, options: Chosen) -> None:
    progress = Progress(sys.stderr, wanted=not options.quiet)
    try:
        outcome = engine.examine(opened, progress)
    finally:
        progress.clear()
    write_report(outcome, options)
    gc.collect()  # a run that is the only one leaves this to its end


def _next(request: Request, seen: _Look) -> _Look:
    """Look until there is something new, and nothing more has changed for a moment."""
    while True:
        begun = time.monotonic()
        look = _look(request)
        if look == seen:
            time.sleep(max(PAUSE, IDLENESS * (time.monotonic() - begun)))
            continue
        for _ in range(_RESTLESS):
            time.sleep(SETTLING)
            before, look = look, _look(request)
            if look == before:
                break
        if look != seen:
            return look


def _look(request: Request) -> _Look:
    try:
        opened = engine.open_request(request)
    except ConfigError as error:
        return _Look(None, str(error))
    return _Look(opened, baseline=_stamp(opened.settings.baseline))


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _difference(before: _Look, after: _Look) -> str:
    """What has changed, in a few words."""
    changes: list[str] = []
    if before.opened is not None and after.opened is not None:
        changes = list(_changes(before.opened, after.opened))
    if not changes:
        is_same = before.baseline == after.baseline
        return "The settings or the folders changed" if is_same else "The baseline changed"
    more = f" and {len(changes) - _NAMED:,} more" if len(changes) > _NAMED else ""
    return ", ".join(changes[:_NAMED]) + more


def _changes(before: Opened, after: Opened) -> Iterator[str]:
    had, has = ({notice.path for notice in each.notices} for each in (before, after))
    if had != has:  # paths that were named, with whose projects all their files come and go
        yield from (f"{path} vanished" for path in sorted(has - had))
        yield from (f"{path} is there again" for path in sorted(had - has))
        return
    old, new = _files(before), _files(after)
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path):
            what = "vanished" if path not in new else "is new" if path not in old else "changed"
            yield f"{shown(os.path.relpath(path))} {what}"


def _files(opened: Opened) -> dict[str, ProjectFile]:
    """The files that are read, by absolute path."""
    return {
        os.path.join(project.root, file.path): file
        for project in opened.projects
        for file in (*project.files({}).values(), *project.discovery.settings_files)
    }


def _begin(message: str, options: Chosen) -> None:
    """Begin a report, on an empty screen where a person looks at one."""
    click.clear()
    _say(message, options)


def _say(message: str, options: Chosen) -> None:
    if not options.quiet:
        style = style_for(sys.stderr, options.color)
        said = style.faint(f"[{time.strftime('%H:%M:%S')}] {message}")
        click.echo(said, err=True, color=style.colour)
