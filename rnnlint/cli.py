"""The command line: a thin face over the engine.

Everything but click is imported where it is used, so that `--help` is quick and a run
with nothing new to say loads neither rules nor parser.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import msgspec

from rnnlint import __version__
from rnnlint.diagnostic import Level, Notice
from rnnlint.project.config import ConfigError
from rnnlint.reporting import FORMATS, TEXT_FORMATS, renderer
from rnnlint.reporting.style import Style
from rnnlint.reporting.toml import render as render_settings
from rnnlint.reporting.toml import toml
from rnnlint.terminal import (
    Progress,
    SectionedCommand,
    SectionedOption,
    abandon,
    forgive_unwritable,
    is_terminal,
    style_for,
)

if TYPE_CHECKING:
    from rnnlint.engine import Outcome, Request
    from rnnlint.reporting.page import Page

FINDINGS, FAILURE, INTERRUPTED = 1, 2, 130
"""Exit codes besides 0; `FAILURE` says that rnnlint could not do what it was asked to."""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_VERBOSE = "rnnlint.verbose"
_GLOBS = ("exclude", "extend_exclude", "per_file_ignores")
_UNSELECTED = ("ignore = []", "extend-select = []")


class _Application(click.Group):
    """The group of commands; whatever goes wrong in one becomes a message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        forgive_unwritable(sys.stdout, sys.stderr)
        try:
            os.getcwd()
        except OSError:
            _fail("the current folder no longer exists; change to another")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ConfigError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            # A reader that went away, as in `rnnlint check | head`, is left to click.
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            _report_crash(ctx, error)


@click.group(
    cls=_Application,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit code: 0 nothing found, 1 problems found, 2 rnnlint could not run.",
)
@click.version_option(__version__, "-V", "--version", message="rnnlint %(version)s")
def application() -> None:
    """Why is my PyTorch RNN failing to train?

    rnnlint reads a training project without running it, and says what is wrong with how
    its recurrent networks are fed, initialised and trained.
    """


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    # A run is short and makes few cycles: looking for them costs a tenth of it.
    gc.set_threshold(200_000, 20, 20)
    try:
        application(prog_name="rnnlint")
    finally:
        # Python would look through all that was read several times more while it ends.
        gc.freeze()


def _option(section: str, *declarations: str, **attributes: Any) -> Callable[[_Command], _Command]:
    return click.option(*declarations, cls=SectionedOption, section=section, **attributes)


def _selectors(name: str, help_text: str) -> Callable[[_Command], _Command]:
    return _option("Rules", name, multiple=True, metavar="RULES", help=help_text)


def _globs(name: str, help_text: str) -> Callable[[_Command], _Command]:
    return _option("Files", name, multiple=True, metavar="GLOBS", help=help_text)


def _flag(section: str, name: str, help_text: str) -> Callable[[_Command], _Command]:
    return _option(section, *name.split(), is_flag=True, help=help_text)


class _Chosen(msgspec.Struct, frozen=True):
    """The arguments and options of `rnnlint check`."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    extend_select: tuple[str, ...]
    per_file_ignores: tuple[str, ...]
    fail_on: str | None
    ignore_noqa: bool
    exclude: tuple[str, ...]
    extend_exclude: tuple[str, ...]
    force_exclude: bool | None
    respect_gitignore: bool | None
    stdin_filename: str | None
    show_files: bool
    output_format: str | None
    output_file: str | None
    statistics: bool
    color: str
    quiet: bool
    verbose: bool
    exit_zero: bool
    config: tuple[str, ...]
    isolated: bool
    show_settings: bool
    no_cache: bool
    cache_dir: str | None


@application.command(cls=SectionedCommand, short_help="Look for problems in training code.")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@_selectors("--select", "Look for these rules only: codes, starts of codes, names, or ALL.")
@_selectors("--ignore", "Do not look for these rules.")
@_selectors("--extend-select", "Look for these rules besides the selected ones.")
@_option(
    "Rules",
    "--per-file-ignores",
    multiple=True,
    metavar="GLOB:RULES",
    help="Do not look for these rules in files that match.",
)
@_option(
    "Rules",
    "--fail-on",
    type=click.Choice([level.value for level in Level]),
    help="The mildest level that makes the exit code 1.  [default: advice]",
)
@_flag("Rules", "--ignore-noqa", "Heed no suppression comments.")
@_globs("--exclude", "Leave out these files and folders instead of the usual ones.")
@_globs("--extend-exclude", "Leave out these files and folders besides the excluded ones.")
@_option(
    "Files",
    "--force-exclude/--no-force-exclude",
    default=None,
    help="Leave out excluded files even when they are named as PATHS.",
)
@_option(
    "Files",
    "--respect-gitignore/--no-respect-gitignore",
    default=None,
    help="Leave out what .gitignore files name.  [default: respect-gitignore]",
)
@_option(
    "Files",
    "--stdin-filename",
    metavar="PATH",
    help="The file that the standard input, given as '-', stands for.",
)
@_flag("Files", "--show-files", "List the files that would be looked at, and stop.")
@_option(
    "Output",
    "--output-format",
    type=click.Choice(FORMATS),
    envvar="RNNLINT_OUTPUT_FORMAT",
    show_envvar=True,
    help="How to write the report.  [default: full]",
)
@_option("Output", "--output-file", "-o", metavar="FILE", help="Write the report to FILE.")
@_flag("Output", "--statistics", "Only count how often each rule fired.")
@_option(
    "Output",
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Whether to colour text; NO_COLOR and FORCE_COLOR are heeded.  [default: auto]",
)
@_flag("Output", "--quiet -q", "Write the problems alone.")
@_flag("Output", "--verbose -v", "Say also how the run went; show tracebacks.")
@_flag("Output", "--exit-zero", "Exit with 0 even if problems were found.")
@_option(
    "Settings",
    "--config",
    multiple=True,
    metavar="FILE|TOML",
    help="A settings file, or one setting such as 'ignore = [\"RNN401\"]'.",
)
@_flag("Settings", "--isolated", "Read no settings files.")
@_flag("Settings", "--show-settings", "Show the settings that hold, and stop.")
@_flag("Settings", "--no-cache -n", "Neither read nor write the cache.")
@_option("Settings", "--cache-dir", metavar="PATH", help="Where to keep the cache.")
def check(**chosen: Any) -> None:
    """Look for problems in the training code of PATHS.

    PATHS are files, folders or globs, or '-' for the standard input; without any, the
    current folder is meant.  They choose what is reported: the rest of the project is
    read all the same, because the cause of a problem is often in another file.
    """
    options = _Chosen(**chosen)
    context = click.get_current_context()
    context.meta[_VERBOSE] = options.verbose
    from rnnlint import engine

    _reject_empty(msgspec.structs.asdict(options))
    request = _request(options)
    if options.show_settings:
        settings, notices = engine.show_settings(request)
        _write(render_settings(settings))
        context.exit(_shown_with(notices, options))
    elif options.show_files:
        paths, notices = engine.show_files(request)
        _write("".join(path + "\n" for path in paths))
        context.exit(_shown_with(notices, options))
    else:
        progress = Progress(sys.stderr, wanted=not options.quiet)
        try:
            outcome = engine.check(request, progress)
        finally:
            progress.clear()
        _write_report(outcome, options)
        context.exit(_exit_code(outcome, options))


@application.command(short_help="Explain a rule, or all of them.")
@click.argument("rule", required=False, metavar="[CODE|NAME]")
@click.option("--all", "every", is_flag=True, help="Explain all rules.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to write the pages.",
)
def rule(rule: str | None, every: bool, output_format: str) -> None:
    """Explain what a rule looks for, why it matters and what to do about it."""
    from rnnlint import registry
    from rnnlint.project.config import load_settings
    from rnnlint.reporting.page import render_json, render_markdown, render_terminal

    if every == (rule is not None):
        raise click.UsageError("name one rule by its code or its name, or give --all")
    infos = registry.available(load_settings(Path.cwd()).plugins)
    if rule is not None:
        info = registry.find(rule, infos) or registry.find(rule.upper(), infos)
        if info is None:
            remedy = registry.suggestion(rule, infos) or "; 'rnnlint rule --all' has them all"
            raise ConfigError(f"unknown rule '{rule}'{remedy}")
        infos = (info,)
    pages = [_page(info) for info in infos]
    style = style_for(sys.stdout, "auto")
    if output_format == "json":
        _write(render_json(pages))
    elif style.colour or is_terminal(sys.stdout):
        _write(render_terminal(pages, style), style.colour)
    else:
        _write(render_markdown(pages))


@application.command(short_help="Remove the cache.")
@click.option("--cache-dir", metavar="PATH", help="Where the cache is, if the settings do not say.")
def clean(cache_dir: str | None) -> None:
    """Remove what rnnlint keeps of earlier runs on the project of the current folder."""
    from rnnlint.project import cache
    from rnnlint.project.config import load_settings
    from rnnlint.project.discovery import project_root

    here = Path.cwd()
    _reject_empty({"cache_dir": cache_dir})
    folder = project_root(here, here) / (cache_dir or load_settings(here).cache_dir)
    try:
        removed = cache.clean(folder)
    except OSError as error:
        _fail(
            f"cannot remove the cache at '{folder}': {error.strerror or error}; remove it by hand"
        )
    click.echo(f"Removed {folder}." if removed else f"There is no cache at {folder}.")


def _request(options: _Chosen) -> Request:
    from rnnlint.engine import Request

    reads_stdin = "-" in options.paths
    if reads_stdin and len(options.paths) > 1:
        raise click.UsageError("'-' stands alone: give either it or paths")
    if options.stdin_filename is not None and not reads_stdin:
        raise click.UsageError("--stdin-filename wants the standard input: give '-' as the path")
    config, inline = _configuration(options.config)
    return Request(
        paths=options.paths,
        cwd=os.getcwd(),
        stdin=_standard_input() if reads_stdin else None,
        stdin_filename=options.stdin_filename,
        config=config,
        # What is selected by hand is meant, whatever the settings file leaves out or adds.
        inline_config=(*(_UNSELECTED if options.select else ()), *inline, *_settings_of(options)),
        relative_globs=tuple(name for name in _GLOBS if getattr(options, name)),
        isolated=options.isolated,
        no_cache=options.no_cache,
        cache_dir=options.cache_dir,
        ignore_noqa=options.ignore_noqa,
    )


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise click.UsageError("'-' reads the standard input, which is closed")
    return sys.stdin.buffer.read()


def _reject_empty(options: Mapping[str, object]) -> None:
    """An empty value is a mistake, often that of a variable in a script."""
    for name, value in options.items():
        values = value if isinstance(value, tuple) else (value,)
        if any(isinstance(each, str) and not each.strip(" ,") for each in values):
            what = "a path" if name == "paths" else f"the value of --{name.replace('_', '-')}"
            raise click.UsageError(f"{what} is empty: give one, or leave it out")


def _configuration(values: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the settings file among the values of `--config` from the inline settings."""
    files = [value for value in values if "=" not in value or Path(value).is_file()]
    if len(files) > 1:
        raise click.UsageError(f"--config names several files, {', '.join(files)}: give one")
    return (files[0] if files else None), [value for value in values if value not in files]


def _settings_of(options: _Chosen) -> list[str]:
    """Write the options that stand for settings as inline settings."""
    settings: dict[str, object] = {}
    for name in ("select", "ignore", "extend_select", "exclude", "extend_exclude"):
        items = [part for value in getattr(options, name) for part in _split(value)]
        if items:
            settings[name] = items
    for name in ("fail_on", "force_exclude", "respect_gitignore", "output_format"):
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


def _write_report(outcome: Outcome, options: _Chosen) -> None:
    """Write the report where it was asked for, and say on a terminal how much was read."""
    _write_notices(outcome.notices, options)
    for_people = outcome.settings.output_format in TEXT_FORMATS
    if options.output_file:
        style = style_for(sys.stdout, "always" if options.color == "always" else "never")
        _write_file(options.output_file, _render(outcome, options, style))
    else:
        style = style_for(sys.stdout, options.color)
        _write(_render(outcome, options, style), style.colour)
    if not options.quiet:
        from rnnlint.reporting.closing import closing

        # A program that reads the report finds nothing but the report there.
        apart = bool(options.output_file) or not for_people
        style = style_for(sys.stderr if apart else sys.stdout, options.color)
        _write(closing(outcome, style), style.colour, err=apart)
    if options.verbose:
        _write_details(outcome)


def _write(text: str, colour: bool | None = None, *, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is None and not err:
        _fail("cannot write the report: the standard output is closed; use --output-file")
    try:
        click.echo(text, err=err, nl=False, color=colour)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        abandon(stream)
        _fail(f"cannot write the report: {error.strerror or error}")


def _write_file(path: str, report: str) -> None:
    try:
        Path(path).write_text(report, encoding="utf-8", errors="replace")
    except OSError as error:
        _fail(f"cannot write the report to '{path}': {error.strerror}; name another file")


def _render(outcome: Outcome, options: _Chosen, style: Style) -> str:
    output_format = outcome.settings.output_format
    if options.statistics:
        from rnnlint.reporting import statistics

        as_json = output_format in ("json", "jsonl")
        return (statistics.render_json if as_json else statistics.render)(outcome, style)
    if output_format == "github":
        from rnnlint import engine

        # GitHub knows a file by its place in the repository.
        outcome = engine.from_repository(outcome, Path.cwd())
    return renderer(output_format)(outcome, style)


def _shown_with(notices: Sequence[Notice], options: _Chosen) -> int:
    """Write what could not be shown, and return the exit code."""
    _write_notices(notices, options)
    return FAILURE if any(notice.fatal for notice in notices) else 0


def _write_notices(notices: Sequence[Notice], options: _Chosen) -> None:
    style = style_for(sys.stderr, options.color)
    for notice in notices:
        if notice.fatal or not options.quiet:
            level = Level.ERROR if notice.fatal else Level.WARNING
            label = style.level(level.value, level)
            click.echo(f"{label}: {notice.path}: {notice.message}", err=True, color=style.colour)


def _write_details(outcome: Outcome) -> None:
    summary = outcome.summary
    how = "from the cache" if summary.cached else "analysed afresh"
    click.echo(
        f"{summary.analysed} files, {summary.lowered} of them with recurrent training code, "
        f"{how} in {summary.seconds:.2f} s; "
        f"settings from {outcome.settings.source or 'the defaults'}",
        err=True,
    )


def _exit_code(outcome: Outcome, options: _Chosen) -> int:
    if any(notice.fatal for notice in outcome.notices):
        return FAILURE
    if options.exit_zero:
        return 0
    mildest = Level(outcome.settings.fail_on).rank
    failing = any(diagnostic.level.rank <= mildest for diagnostic in outcome.diagnostics)
    return FINDINGS if failing else 0


def _page(info: Any) -> Page:
    from rnnlint import registry
    from rnnlint.reporting.page import Page

    loaded = registry.load(info)
    return Page(info.code, info.name, loaded.level, loaded.fixable, registry.page(info))


def _fail(message: str) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    raise click.exceptions.Exit(FAILURE)


def _report_crash(ctx: click.Context, error: Exception) -> NoReturn:
    """Say that rnnlint is at fault, with as much as a report of the fault needs."""
    remedy = "run it again with --verbose for the traceback, and please report that"
    if ctx.meta.get(_VERBOSE) or os.environ.get("RNNLINT_TRACEBACK"):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        remedy = "please report the traceback above"
    _fail(
        f"rnnlint {__version__} itself failed ({type(error).__name__}: {error}); "
        f"this is a fault of rnnlint, not of your code: {remedy}"
    )
