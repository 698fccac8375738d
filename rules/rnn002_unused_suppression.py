"""Unused suppression.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule


class UnusedSuppression(Rule):
    level = Level.ADVICE

    def check(self, program: Program) -> Iterator[Diagnostic]:
        """Nothing: suppressions are matched once every rule has reported."""
        yield from ()
