"""Which line of somebody's code is being carried out."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import torch

_TORCH = str(Path(torch.__file__).parent)
_RNNLINT = str(Path(__file__).resolve().parents[2])
_NOT_THEIRS = (_TORCH, _RNNLINT, "<")

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
    """The files of the modules that were imported, installed ones left aside."""
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and not path.startswith(_NOT_THEIRS):
            resolved = Path(path).resolve()
            if not _installed(str(resolved)) and not str(resolved).startswith(sys.base_prefix):
                found.add(str(resolved))
    return sorted(found)


def _installed(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path
