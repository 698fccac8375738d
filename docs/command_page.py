"""The reference of the command line: what its commands say of themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from rnnlint.cli import application
from rnnlint.project.config import KEYS
from rnnlint.terminal import options_by_section


def render() -> str:
    """A section for each command."""
    context = click.Context(application, info_name="rnnlint")
    names = application.list_commands(context)
    commands = (application.get_command(context, name) for name in names)
    return "\n".join(
        "\n".join(_section(command, click.Context(command, context, command.name)))
        for command in commands
        if command is not None and not command.hidden
    )


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"## rnnlint {command.name} {{ #{command.name} }}\n\n```\n{usage}\n```\n"
    yield inspect.cleandoc(command.help or command.short_help or "") + "\n"
    sections = options_by_section(command, context)
    for title, options in sections.items():
        if len(sections) > 1:
            yield f"### {title} {{ #{command.name}-{title.lower()} }}\n"
        yield from (_option(option, command, context) for option in options)


def _option(option: click.Option, command: click.Command, context: click.Context) -> str:
    name, meaning = option.get_help_record(context) or ("", "")
    anchor = f"{command.name}{max(option.opts, key=len)}"
    key = (option.name or "").replace("_", "-")
    # `--cache-dir` of `clean` is the setting of the same name, too.
    setting = f" Setting: [`{key}`](settings.md#{key})." if key in KEYS else ""
    return f"`{name}`{{ #{anchor} }}\n\n:   {_escaped(' '.join(meaning.split()))}{setting}\n"


def _escaped(text: str) -> str:
    """Words of a terminal as Markdown, which takes some of their characters for its own."""
    for character in "\\`*_[]<>":
        text = text.replace(character, "\\" + character)
    return text
