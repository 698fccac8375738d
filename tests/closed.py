"""Folders that must not be entered or listed, also where the tests may do everything."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def close(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse what is below a folder, and the list of what is in it."""
    below = str(folder) + os.sep

    def refusing(function: Callable[..., Any], *closed: str) -> Callable[..., Any]:
        def called(path: Any, *rest: Any, **named: Any) -> Any:
            shown = os.fspath(path) if not isinstance(path, int) else ""
            if shown in closed or str(shown).startswith(below):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), shown)
            return function(path, *rest, **named)

        return called

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, str(folder)))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir, str(folder)))
