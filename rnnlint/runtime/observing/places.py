"""Which line of somebody's code is being carried out."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType

import torch

_TORCH = str(Path(torch.__file__).parent) + os.sep
_RNNLINT = str(Path(__file__).resolve().parents[2]) + os.sep
_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
_NOT_THEIRS = (_TORCH, _RNNLINT, _LIBRARY, "<")

Place = tuple[str, int]


def caller() -> Place | None:
    """The innermost line that is neither PyTorch's, nor rnnlint's, nor an installed package's."""
    fallback: Place | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_NOT_THEIRS):
            place = (str(Path(path).resolve()), frame.f_lineno)
            if not _installed(path):
                return place
            fallback = fallback or place
        frame = frame.f_back
    return fallback


def their_files() -> list[str]:
    """The files of the modules that were imported, installed ones and the library left aside."""
    found = set()
    for module in list(sys.modules.values()):
        # Not by getattr, which has lazy modules do what they wait for.
        path = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(path, str) and path.endswith(".py") and not path.startswith(_NOT_THEIRS):
            resolved = str(Path(path).resolve())
            if not _installed(resolved) and not resolved.startswith(_NOT_THEIRS):
                found.add(resolved)
    return sorted(found)


def _installed(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path
