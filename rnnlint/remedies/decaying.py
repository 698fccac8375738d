"""The schedule that repairs build: one rate for most of the training, a tenth of it at the end.

A run that reaches its goal at one rate still does, or nearly. A rate that falls from the first turn
on, along a cosine or a line, takes from short runs what they need to get there.
"""

from __future__ import annotations

import math
import re

FEW = 5
"""With fewer turns a network still learns when the last quarter begins: its rate is left alone."""
_MULTI_STEP = "{torch.optim.lr_scheduler.MultiStepLR}"
_BINDS_TIGHTLY = re.compile(r"[\w.]+(?:\((?:[^()]|\([^()]*\))*\)|\[[^\[\]]*\])?")
"""A number, a name with its attributes, a call, an item."""


def late_drop(scheduler: str, optimizer: str, turns: str) -> str:
    """Code that builds the schedule.

    Args:
        scheduler: its name.
        optimizer: the name of the optimizer.
        turns: code for how often it will be stepped.
    """
    return f"{scheduler} = {_MULTI_STEP}({optimizer}, milestones=[{_three_quarters(turns)}])"


def _three_quarters(turns: str) -> str:
    """Code for three quarters of the turns: at least one, for a milestone of 0 comes at once."""
    if turns.isdecimal():
        return str(math.ceil(int(turns) * 3 / 4))
    whole = turns if _BINDS_TIGHTLY.fullmatch(turns) else f"({turns})"
    return f"{whole} * 3 // 4 or 1"
