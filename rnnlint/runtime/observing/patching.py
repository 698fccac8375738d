"""Names of PyTorch that stand for something else while a script is observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Patches:
    """Replacements, and the way back."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        """Have ``owner.name`` be what ``wrap`` makes of it."""
        original = vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, wrap(original))

    def undo(self) -> None:
        """Put everything back, last first."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
