"""The options of `rnnlint check`, and the request and settings that they stand for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from rnnlint.commands import completion
from rnnlint.diagnostic import Level
from rnnlint.project.config import reject_unusable
from rnnlint.reporting import FORMATS
from rnnlint.reporting.toml import toml
from rnnlint.terminal import SectionedOption

if TYPE_CHECKING:
    from rnnlint.engine import Request

_Command = TypeVar("_Command", bound=Callable[..., Any])
_GLOBS = ("exclude", "extend_exclude", "per_file_ignores")
_UNSELECTED = ("ignore = []", "extend-select = []")
_UNRESTRICTED = ("unfixable = []", "extend-fixable = []")
_LISTS = (
    "select",
    "ignore",
    "extend_select",
    "exclude",
    "extend_exclude",
    "fixable",
    "extend_fixable",
    "unfixable",
)
_PLAIN = (
    "fail_on",
    "baseline",
    "force_exclude",
    "respect_gitignore",
    "output_format",
    "fix",
    "fix_only",
    "unsafe_fixes",
    "show_fixes",
    "fix_style",
)

_CONTRADICTIONS = {
    # Comments that silence are not written while findings are repaired, or silence nothing.
    "add_noqa": ("fix", "fix_only", "diff", "statistics", "ignore_noqa"),
    # What is edited by somebody is not edited by us at the same time.
    "watch": ("fix", "fix_only", "diff", "add_noqa", "show_files", "show_settings"),
    # A difference, or nothing, is shown where these would show something.
    "diff": ("statistics", "explain"),
    "fix_only": ("statistics", "explain"),
    "show_files": ("show_settings",),
    "quiet": ("verbose",),
    "exit_zero": ("exit_non_zero_on_fix",),
    "write_baseline": ("add_noqa", "fix", "fix_only", "diff", "diff_base", "no_baseline", "watch"),
    "no_baseline": ("baseline",),
    # Repairs move lines, so that it would no longer be known which of them changed.
    "diff_base": ("add_noqa", "fix", "fix_only", "diff"),
}
"""Options that exclude others."""


def _option(section: str, *declarations: str, **attributes: Any) -> Callable[[_Command], _Command]:
    return click.option(*declarations, cls=SectionedOption, section=section, **attributes)


def _selectors(name: str, help_text: str, section: str = "Rules") -> Callable[[_Command], _Command]:
    return _option(
        section,
        name,
        multiple=True,
        metavar="RULES",
        shell_complete=completion.rules,
        help=help_text,
    )


def _globs(name: str, help_text: str) -> Callable[[_Command], _Command]:
    return _option("Files", name, multiple=True, metavar="GLOBS", help=help_text)


def _flag(section: str, name: str, help_text: str) -> Callable[[_Command], _Command]:
    return _option(section, *name.split(), is_flag=True, help=help_text)


def _switch(section: str, name: str, help_text: str) -> Callable[[_Command], _Command]:
    """A flag that overrides a setting, either way."""
    both = f"{name}/--no-{name.removeprefix('--')}"
    return _option(section, both, default=None, help=help_text)


class Chosen(msgspec.Struct, frozen=True):
    """The arguments and options of `rnnlint check`."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    extend_select: tuple[str, ...]
    per_file_ignores: tuple[str, ...]
    fail_on: str | None
    ignore_noqa: bool
    baseline: str | None
    no_baseline: bool
    write_baseline: bool
    diff_base: str | None
    fix: bool | None
    unsafe_fixes: bool | None
    fix_only: bool | None
    diff: bool
    show_fixes: bool | None
    exit_non_zero_on_fix: bool
    fixable: tuple[str, ...]
    extend_fixable: tuple[str, ...]
    unfixable: tuple[str, ...]
    fix_style: str | None
    add_noqa: bool
    exclude: tuple[str, ...]
    extend_exclude: tuple[str, ...]
    force_exclude: bool | None
    respect_gitignore: bool | None
    stdin_filename: str | None
    show_files: bool
    watch: bool
    output_format: str | None
    output_file: str | None
    statistics: bool
    explain: bool
    color: str
    quiet: bool
    verbose: bool
    exit_zero: bool
    config: tuple[str, ...]
    isolated: bool
    show_settings: bool
    no_cache: bool
    cache_dir: str | None


_OPTIONS = (
    _selectors("--select", "Look for these rules only: codes, starts of codes, names, or ALL."),
    _selectors("--ignore", "Do not look for these rules."),
    _selectors("--extend-select", "Look for these rules besides the selected ones."),
    _option(
        "Rules",
        "--per-file-ignores",
        multiple=True,
        metavar="GLOB:RULES",
        help="Do not look for these rules in files that match.",
    ),
    _option(
        "Rules",
        "--fail-on",
        type=click.Choice([level.value for level in Level]),
        help="The mildest level that makes the exit code 1.  [default: advice]",
    ),
    _flag("Rules", "--ignore-noqa", "Heed no suppression comments."),
    _option(
        "New findings",
        "--baseline",
        metavar="FILE",
        shell_complete=completion.files,
        help="Report only what FILE does not know.",
    ),
    _flag("New findings", "--no-baseline", "Report also what the baseline of the settings knows."),
    _flag(
        "New findings",
        "--write-baseline",
        "Write what is found to the baseline instead of reporting it.",
    ),
    _option(
        "New findings",
        "--diff-base",
        metavar="REVISION",
        help="Report only what stands on lines that changed since a revision of git, committed or "
        "not, or is proven by one.",
    ),
    _switch("Fixing", "--fix", "Repair what can be repaired safely, and report what is left."),
    _switch("Fixing", "--unsafe-fixes", "Offer also repairs that want a look, and make them."),
    _switch("Fixing", "--fix-only", "Repair, and say nothing of what is left."),
    _flag("Fixing", "--diff", "Show what --fix-only would change, and change nothing."),
    _switch("Fixing", "--show-fixes", "List what was repaired, and what was not and why."),
    _flag("Fixing", "--exit-non-zero-on-fix", "Exit with 1 if anything was repaired."),
    _selectors("--fixable", "Repair findings of these rules only.", "Fixing"),
    _selectors("--extend-fixable", "Repair findings of these rules besides.", "Fixing"),
    _selectors("--unfixable", "Do not repair findings of these rules.", "Fixing"),
    _option(
        "Fixing",
        "--fix-style",
        type=click.Choice(["auto", "torch", "runtime"]),
        help="Repair in plain PyTorch, with rnnlint.runtime, or in whichever is shorter.  "
        "[default: auto]",
    ),
    _flag("Fixing", "--add-noqa", "Silence every finding by a comment at its place."),
    _globs("--exclude", "Leave out these files and folders instead of the usual ones."),
    _globs("--extend-exclude", "Leave out these files and folders besides the excluded ones."),
    _option(
        "Files",
        "--force-exclude/--no-force-exclude",
        default=None,
        help="Leave out excluded files even when they are named as PATHS.",
    ),
    _option(
        "Files",
        "--respect-gitignore/--no-respect-gitignore",
        default=None,
        help="Leave out what .gitignore files name.  [default: respect-gitignore]",
    ),
    _option(
        "Files",
        "--stdin-filename",
        metavar="PATH",
        shell_complete=completion.files,
        help="The file that the standard input, given as '-', stands for.",
    ),
    _flag("Files", "--show-files", "List the files that would be looked at, and stop."),
    _flag("Files", "--watch -w", "Check again whenever a file changes, until Ctrl-C."),
    _option(
        "Output",
        "--output-format",
        type=click.Choice(FORMATS),
        envvar="RNNLINT_OUTPUT_FORMAT",
        show_envvar=True,
        help="How to write the report.  [default: full]",
    ),
    _option(
        "Output",
        "--output-file",
        "-o",
        metavar="FILE",
        shell_complete=completion.files,
        help="Write the report to FILE.",
    ),
    _flag("Output", "--statistics", "Only count how often each rule fired."),
    _flag("Output", "--explain", "End with the likeliest reason why training fails."),
    _option(
        "Output",
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Whether to colour text; NO_COLOR and FORCE_COLOR are heeded.  [default: auto]",
    ),
    _flag("Output", "--quiet -q", "Write the problems alone."),
    _flag("Output", "--verbose -v", "Say also how the run went; show tracebacks."),
    _flag("Output", "--exit-zero", "Exit with 0 even if problems were found."),
    _option(
        "Settings",
        "--config",
        multiple=True,
        shell_complete=completion.files,
        metavar="FILE|TOML",
        help="A settings file, or one setting such as 'ignore = [\"RNN401\"]'.",
    ),
    _flag("Settings", "--isolated", "Read no settings files."),
    _flag("Settings", "--show-settings", "Show the settings that hold, and stop."),
    _flag("Settings", "--no-cache -n", "Neither read nor write the cache."),
    _option(
        "Settings",
        "--cache-dir",
        metavar="PATH",
        shell_complete=completion.folders,
        help="Where to keep the cache.",
    ),
)


def check_options(command: _Command) -> _Command:
    """Give a command the arguments and options of `rnnlint check`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    paths = click.argument("paths", nargs=-1, metavar="[PATHS]...", shell_complete=completion.files)
    return paths(command)


def request_of(options: Chosen) -> Request:
    from rnnlint.engine import Request

    reads_stdin = "-" in options.paths
    if reads_stdin and len(options.paths) > 1:
        raise click.UsageError("'-' stands alone: give either it or paths")
    if options.stdin_filename is not None and not reads_stdin:
        raise click.UsageError("--stdin-filename wants the standard input: give '-' as the path")
    _reject_contradictions(options)
    config, inline = _configuration(options.config)
    return Request(
        paths=options.paths,
        cwd=os.getcwd(),
        stdin=_standard_input() if reads_stdin else None,
        stdin_filename=options.stdin_filename,
        config=config,
        # What is selected by hand is meant, whatever the settings file leaves out or adds.
        inline_config=(
            *(_UNSELECTED if options.select else ()),
            *(_UNRESTRICTED if options.fixable else ()),
            *(('baseline = ""',) if options.no_baseline else ()),
            *inline,
            *_settings_of(options),
        ),
        relative_globs=tuple(name for name in _GLOBS if getattr(options, name)),
        isolated=options.isolated,
        no_cache=options.no_cache,
        cache_dir=options.cache_dir,
        ignore_noqa=options.ignore_noqa,
        diff_base=options.diff_base,
    )


def _reject_contradictions(options: Chosen) -> None:
    """What cannot be done in one run is not done by halves."""
    for name, others in _CONTRADICTIONS.items():
        for other in others:
            if getattr(options, name) and getattr(options, other):
                both = f"{_named(name)} and {_named(other)}"
                raise click.UsageError(f"{both} exclude each other: give one")
    if options.isolated and _configuration(options.config)[0]:
        raise click.UsageError("--isolated reads no settings files, and --config names one")
    for name in _GLOBS:
        for value in getattr(options, name):
            glob = value.rpartition(":")[0] if name == "per_file_ignores" else value
            reject_unusable(glob, _named(name))
    if options.watch and "-" in options.paths:
        raise click.UsageError("--watch wants files, and '-' is none: give one or the other")


def _named(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise click.UsageError("'-' reads the standard input, which is closed")
    return sys.stdin.buffer.read()


def reject_empty(options: Mapping[str, object]) -> None:
    """An empty value is a mistake, often that of a variable in a script."""
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        if any(isinstance(each, str) and not each.strip(" ,") for each in values):
            what = "a path" if name == "paths" else f"the value of {_named(name)}"
            raise click.UsageError(f"{what} is empty: give one, or leave it out")


def _configuration(values: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the settings file among the values of `--config` from the inline settings."""
    files = [value for value in values if "=" not in value or Path(value).is_file()]
    if len(files) > 1:
        raise click.UsageError(f"--config names several files, {', '.join(files)}: give one")
    return (files[0] if files else None), [value for value in values if value not in files]


def _settings_of(options: Chosen) -> list[str]:
    """Write the options that stand for settings as inline settings."""
    settings: dict[str, object] = {}
    for name in _LISTS:
        items = [part for value in getattr(options, name) for part in _split(value)]
        if items:
            settings[name] = items
    for name in _PLAIN:
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    if options.per_file_ignores:
        settings["per_file_ignores"] = _per_file_ignores(options.per_file_ignores)
    return [f"{name.replace('_', '-')} = {toml(value)}" for name, value in settings.items()]


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _per_file_ignores(values: Sequence[str]) -> dict[str, list[str]]:
    ignores: dict[str, list[str]] = {}
    for value in values:
        glob, colon, selectors = value.rpartition(":")
        if not colon or not glob.strip() or not selectors.strip():
            raise click.UsageError(
                f"--per-file-ignores '{value}' is not GLOB:RULES, as in 'tests/*:RNN401,RNN403'"
            )
        ignores.setdefault(glob.strip(), []).extend(_split(selectors))
    return ignores
