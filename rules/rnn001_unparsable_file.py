"""Unparsable file.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Program, Rule


class UnparsableFile(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        """Nothing: files that cannot be parsed are reported before a program exists."""
        yield from ()
