"""Other programs that tests drive, which not every machine has."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def needed(*names: str) -> str:
    """The path of a program, under the first of its names that is known.

    Where it is missing the test is passed over, unless RNNLINT_NEEDS names it: CI says what it
    has.
    """
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pass_over(names[0], f"{names[0]} is not installed")
    return path


def pass_over(name: str, reason: str) -> NoReturn:
    """Pass a test over that a program cannot be driven for, or fail it where that is needed."""
    assert name not in os.environ.get("RNNLINT_NEEDS", "").split(), reason
    pytest.skip(reason)
