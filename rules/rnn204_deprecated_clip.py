"""Deprecated clip.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Clip, Diagnostic, Level, Program, Rule

REMOVED = ("clip_grad_norm", "clip_grad_value")


class DeprecatedClip(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for clip in program.possible(Clip):
            if clip.name in REMOVED:
                yield self.report(
                    program,
                    clip.place,
                    f"torch.nn.utils.{clip.name} is the old name and is going away",
                    help=f"write {clip.name}_ with an underscore: it works in place",
                )
