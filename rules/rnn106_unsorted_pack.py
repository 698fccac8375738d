"""Unsorted pack.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnlint.api import Diagnostic, Level, Packing, Program, Rule, values


class UnsortedPack(Rule):
    level = Level.ERROR

    def check(self, program: Program) -> Iterator[Diagnostic]:
        for packing in program.chosen(Packing):
            enforced = packing.enforce_sorted
            if packing.unpacks or not isinstance(enforced, values.Const) or not enforced.value:
                continue
            if _order(packing.lengths) == "arbitrary":
                yield self.report(
                    program,
                    packing.place,
                    "the lengths are in the loader's order, but enforce_sorted is left True "
                    "and wants them in descending order",
                    help="pass enforce_sorted=False: PyTorch sorts and restores the order itself",
                    trail=program.call_path(packing),
                )


def _order(lengths: values.Value) -> str:
    if isinstance(lengths, values.Tensor):
        return lengths.order if lengths.lengths else ""
    if isinstance(lengths, values.ListObject):
        return str(lengths.fields["order"])
    return ""
