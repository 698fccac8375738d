"""What becomes of hooks in a copy of a module."""

from __future__ import annotations

from typing import Any


class Unwatched:
    """Stands for what watches a module in a copy of it, and in a file: nobody does."""

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        return Unwatched, ()

    def before(self, *arguments: Any) -> None:
        """Let a call begin."""

    def after(self, *arguments: Any) -> None:
        """Let a call end."""


class Watching:
    """What has hooks named ``before`` and ``after``, with which a module is copied and saved."""

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        return Unwatched, ()
