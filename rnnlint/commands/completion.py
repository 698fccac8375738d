"""What a shell offers to complete where click cannot know: rules, files and folders.

click finds these by itself once a shell has loaded what `_RNNLINT_COMPLETE=bash_source rnnlint`
prints, or the same with zsh or fish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def files(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Leave it to the shell, which knows files."""
    return [_item(word, "file")]


def folders(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Leave it to the shell, which knows folders."""
    return [_item(word, "dir")]


def rules(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The rules whose code or name begins so, of several with commas the last."""
    from rnnlint import registry

    before, comma, last = word.rpartition(",")
    found: list[CompletionItem] = []
    for info in registry.available(()):
        if info.code.startswith(last.upper()):
            found.append(_item(before + comma + info.code, "plain", info.name))
        elif info.name.startswith(last):
            found.append(_item(before + comma + info.name, "plain", info.code))
    return found


def _item(value: str, kind: str, help_text: str | None = None) -> CompletionItem:
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type=kind, help=help_text)
