"""What a script saves, kept aside."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch

from rnnlint.runtime.observing.patching import Patches

_PASSED_ON = (
    *((shutil, name) for name in ("copy", "copy2", "copyfile", "move")),
    *((os, name) for name in ("rename", "replace")),
)
"""What copies or moves a file, as from the newest checkpoint to the best."""


class Aside:
    """A scratch folder to which ``torch.save`` writes; nothing of the script's is overwritten."""

    def __init__(self, patches: Patches) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rnnlint-aside-")
        self._kept: dict[Path, Path] = {}
        patches.replace(torch, "save", self._around_save)
        patches.replace(torch, "load", self._around_load)
        for owner, name in _PASSED_ON:
            patches.replace(owner, name, self._around_passing_on)

    def close(self) -> None:
        """Forget what was written."""
        self._folder.cleanup()

    def _place(self, path: Any) -> Path:
        resolved = Path(path).resolve()
        if resolved not in self._kept:
            folder = Path(self._folder.name) / str(len(self._kept))
            folder.mkdir()
            # Of the same name, for the archive inside is called after it.
            self._kept[resolved] = folder / resolved.name
        return self._kept[resolved]

    def _around_save(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
            place = self._place(f) if isinstance(f, (str, os.PathLike)) else f
            return original(obj, place, *args, **kwargs)

        return save

    def _around_load(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def load(f: Any, *args: Any, **kwargs: Any) -> Any:
            return original(self._kept_of(f) or f, *args, **kwargs)

        return load

    def _around_passing_on(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def pass_on(src: Any, dst: Any, *args: Any, **kwargs: Any) -> Any:
            kept = self._kept_of(src)
            if kept is None:
                return original(src, dst, *args, **kwargs)
            target = Path(dst) / Path(src).name if Path(dst).is_dir() else Path(dst)
            original(kept, self._place(target), *args, **kwargs)
            return dst

        return pass_on

    def _kept_of(self, path: Any) -> Path | None:
        if not isinstance(path, (str, os.PathLike)):
            return None
        kept = self._kept.get(Path(path).resolve())
        return kept if kept is not None and kept.exists() else None
