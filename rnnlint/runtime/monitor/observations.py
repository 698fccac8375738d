"""What a run showed, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "advice"]


@dataclass(frozen=True)
class Observation:
    """One thing that a run showed.

    Attributes:
        signal: what was seen, in a word: ``padding``, ``vanishing``, ``constant output``.
        level: ``error`` where the network cannot learn, ``warning`` where it is hindered.
        message: what was seen, with its number, and what it means.
        remedy: what to do about it.
        measured: the number.
        threshold: what it was compared with.
        layer: the recurrent layer, as in ``named_modules``; None for the run as a whole.
        step: the optimizer's step at which it was first seen, where it has one.
        codes: the rules of rnnlint that say where in the code to look for it.
    """

    signal: str
    level: Level
    message: str
    remedy: str
    measured: float
    threshold: float
    layer: str | None = None
    step: int | None = None
    codes: tuple[str, ...] = ()
