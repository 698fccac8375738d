"""The command line: a thin face over the engine.

Everything but click is imported where it is used, so that `--help` is quick and a run
with nothing new to say loads neither rules nor parser.
"""

from __future__ import annotations

import errno
import gc
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from rnnlint import __version__
from rnnlint.commands import completion, manual
from rnnlint.commands.options import Chosen, check_options, reject_empty, request_of
from rnnlint.commands.output import (
    FAILURE,
    exit_code,
    fail,
    write,
    write_notices,
    write_report,
)
from rnnlint.diagnostic import Notice
from rnnlint.project.config import ConfigError
from rnnlint.reporting.toml import render as render_settings
from rnnlint.terminal import (
    Progress,
    SectionedCommand,
    forgive_unwritable,
    is_terminal,
    style_for,
    write_sections,
)

if TYPE_CHECKING:
    from rnnlint.engine import Request

INTERRUPTED = 130
_VERBOSE = "rnnlint.verbose"


class _Application(click.Group):
    """The group of commands; whatever goes wrong in one becomes a message and exit code 2."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections = (manual.COMMANDS, manual.EXIT_CODES, manual.ENVIRONMENT, manual.FILES)
        write_sections(formatter, sections)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = {name for each in check.params for name in (*each.opts, *each.secondary_opts)}
            if error.option_name not in known:
                raise
            remedy = f"write 'rnnlint check {shlex.join(given)}'"
            raise click.UsageError(
                f"{error.option_name} is an option of check: {remedy}", ctx
            ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and (os.path.lexists(name) or "/" in name):
            remedy = f"write 'rnnlint check {shlex.join(args)}'"
            raise click.UsageError(f"'{name}' is a path, not a command: {remedy}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        forgive_unwritable(sys.stdout, sys.stderr)
        try:
            os.getcwd()
        except OSError:
            fail("the current folder no longer exists; change to another")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ConfigError as error:
            fail(str(error))
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


@application.command(
    cls=SectionedCommand,
    short_help="Look for problems in training code.",
    sections=(manual.CHECKS, manual.EXIT_CODES, manual.ENVIRONMENT),
)
@check_options
def check(**chosen: Any) -> None:
    """Look for problems in the training code of PATHS.

    PATHS are files, folders or globs, or '-' for the standard input; without any, the
    current folder is meant.  They choose what is reported: the rest of the project is
    read all the same, because the cause of a problem is often in another file.  For the
    same reason a repair may change other files of the project than those that are named,
    though none that is excluded.
    """
    options = Chosen(**chosen)
    context = click.get_current_context()
    context.meta[_VERBOSE] = options.verbose
    from rnnlint import engine

    reject_empty(msgspec.structs.asdict(options))
    request = request_of(options)
    if options.show_settings:
        settings, notices = engine.show_settings(request)
        write(render_settings(settings))
        context.exit(_shown_with(notices, options))
    elif options.show_files:
        paths, notices = engine.show_files(request)
        write("".join(path + "\n" for path in paths))
        context.exit(_shown_with(notices, options))
    elif options.watch:
        from rnnlint.commands import watching

        watching.watch(request, options)
    else:
        context.exit(_run(request, options))


def _run(request: Request, options: Chosen) -> int:
    """Check, and repair where that is asked for; return the exit code."""
    from rnnlint import engine

    progress = Progress(sys.stderr, wanted=not options.quiet)
    try:
        opened = engine.open_request(request)
        settings = opened.settings
        if options.write_baseline:
            from rnnlint.commands import baselining

            return baselining.write_baseline(opened, options, progress)
        if not (options.add_noqa or options.diff or settings.fix or settings.fix_only):
            outcome = engine.examine(opened, progress)
            progress.clear()
            write_report(outcome, options)
            return exit_code(outcome, options)
        from rnnlint.commands import repairing

        if options.add_noqa:
            return repairing.silence(opened, options, progress)
        if options.diff:
            return repairing.show_difference(opened, options, progress)
        return repairing.fix(opened, options, progress)
    finally:
        progress.clear()


@application.command(
    cls=SectionedCommand, short_help="Explain a rule, or all of them.", sections=(manual.RULES,)
)
@click.argument("rule", required=False, metavar="[CODE|NAME]", shell_complete=completion.rules)
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
    from rnnlint.commands.pages import page_of
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
    pages = [page_of(info) for info in infos]
    style = style_for(sys.stdout, "auto")
    if output_format == "json":
        write(render_json(pages))
    elif style.colour or is_terminal(sys.stdout):
        write(render_terminal(pages, style), style.colour)
    else:
        write(render_markdown(pages))


@application.command(
    cls=SectionedCommand,
    short_help="Watch a training script run, and say why it fails.",
    context_settings={"allow_interspersed_args": False},
    sections=(manual.DOCTOR, manual.DOCTOR_CODES),
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    metavar="N",
    help="End the script after N steps of its optimizer; 0 lets it come to its own end.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="S",
    help="End it at the first step after S seconds.",
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is the name of a module, as for Python.")
@click.option("--python", metavar="PATH", help="The interpreter that trains, if it is another.")
@click.option(
    "--safe",
    is_flag=True,
    help="Have torch.save overwrite nothing: what it writes is "
    "kept aside, read back by torch.load, and gone afterwards.",
)
@click.option("--no-probes", is_flag=True, help="Do not try the probes on the first batch.")
@click.option("--range-test", is_flag=True, help="Try learning rates on a copy of the model.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
    help="How to write the diagnosis.",
)
@click.option(
    "-o",
    "--output-file",
    metavar="FILE",
    shell_complete=completion.files,
    help="Where to write it; text goes to the standard error, else rnnlint-doctor.json or .html.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether to colour text.",
)
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(script: str, arguments: tuple[str, ...], **chosen: Any) -> None:
    """Run SCRIPT with its ARGUMENTS, unmodified, and say why its network does not learn.

    What the run shows confirms or dismisses what reading the code suspects.  The script's
    output and its exit code stay its own; Ctrl-C ends it and still gives the diagnosis.
    It needs PyTorch: pip install 'rnnlint[runtime]'.
    """
    from rnnlint.commands import doctoring
    from rnnlint.doctor.running import Budget

    budget = Budget(
        steps=chosen["steps"],
        seconds=chosen["seconds"],
        probes=not chosen["no_probes"],
        range_test=chosen["range_test"],
        safe=chosen["safe"],
        module=chosen["module"],
    )
    wanted = doctoring.Wanted(
        output_format=chosen["output_format"],
        output_file=chosen["output_file"],
        colour=chosen["color"],
    )
    code = doctoring.doctor((script, *arguments), budget, wanted, chosen["python"])
    click.get_current_context().exit(code)


@application.command(short_help="Serve an editor.")
@click.option("--stdio", is_flag=True, help="Speak over the standard streams, as always.")
def server(stdio: bool) -> None:
    """Tell an editor what is found while code is being written.

    This is a server of the language server protocol: an editor starts it.  The README says
    how to set up yours.
    """
    try:
        from rnnlint.server.serving import serve
    except ModuleNotFoundError as error:
        if error.name not in ("lsprotocol", "pygls"):
            raise
        fail("the language server is not installed; run: pip install 'rnnlint[server]'")
    click.get_current_context().exit(serve())


@application.command(short_help="Remove the cache.")
@click.option(
    "--cache-dir",
    metavar="PATH",
    shell_complete=completion.folders,
    help="Where the cache is, if the settings do not say.",
)
def clean(cache_dir: str | None) -> None:
    """Remove what rnnlint keeps of earlier runs on the project of the current folder."""
    from rnnlint.project import cache
    from rnnlint.project.config import load_settings
    from rnnlint.project.discovery import project_root

    here = Path.cwd()
    reject_empty({"cache_dir": cache_dir})
    folder = project_root(here, here) / (cache_dir or load_settings(here).cache_dir)
    try:
        removed = cache.clean(folder)
    except OSError as error:
        fail(f"cannot remove the cache at '{folder}': {error.strerror or error}; remove it by hand")
    click.echo(f"Removed {folder}." if removed else f"There is no cache at {folder}.")


def _shown_with(notices: Sequence[Notice], options: Chosen) -> int:
    """Write what could not be shown, and return the exit code."""
    write_notices(notices, options)
    return FAILURE if any(notice.fatal for notice in notices) else 0


def _report_crash(ctx: click.Context, error: Exception) -> NoReturn:
    """Say that rnnlint is at fault, with as much as a report of the fault needs."""
    remedy = "run it again with --verbose for the traceback, and please report that"
    if ctx.meta.get(_VERBOSE) or os.environ.get("RNNLINT_TRACEBACK"):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        remedy = "please report the traceback above"
    fail(
        f"rnnlint {__version__} itself failed ({type(error).__name__}: {error}); "
        f"this is a fault of rnnlint, not of your code: {remedy}"
    )
