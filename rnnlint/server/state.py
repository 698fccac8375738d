"""One moment of all that an analysis depends on beside the disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from rnnlint.project.config import EXTEND, KEYS
from rnnlint.reporting.toml import toml
from rnnlint.server.documents import Document

_UPPER = re.compile(r"(?<=[a-z])([A-Z])")
_KEYS = frozenset(KEYS) - {EXTEND}


class Options(msgspec.Struct, frozen=True):
    """What the user sets in the editor, beside the settings of the project."""

    config: str | None = None
    """A settings file to use instead of the nearest."""
    inline: tuple[str, ...] = ()
    """TOML that overrides the settings file."""


class State(msgspec.Struct, frozen=True):
    """What is open in the editor, and where."""

    folders: tuple[str, ...] = ()
    """Absolute paths of the folders of the workspace."""
    documents: tuple[Document, ...] = ()
    options: Options = Options()
    scan: int = 0
    """Grows when something on the disk may have changed: files, settings, what is ignored."""


def options_from(values: object) -> Options:
    """The options in what an editor sends: our settings, their names with hyphens or in one word.

    What is none of ours is the editor's own business.
    """
    if not isinstance(values, Mapping):
        return Options()
    inside: object = values.get("rnnlint", values.get("settings", values))
    table: Mapping[str, Any] = inside if isinstance(inside, Mapping) else {}
    inline: list[str] = []
    for name, value in table.items():
        key = _UPPER.sub(r"-\1", name).lower()
        if key in _KEYS and value is not None:
            inline.append(f"{key} = {toml(value)}")
    config = table.get("configuration")
    return Options(config if isinstance(config, str) and config else None, tuple(inline))
