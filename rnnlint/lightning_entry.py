"""What Lightning calls for each trainer of an environment in which rnnlint is installed.

It is off, and costs no import, unless the environment variable ``RNNLINT_MONITOR`` is 1.
"""

from __future__ import annotations

import os
from typing import Any


def callbacks_of_lightning() -> list[Any]:
    """The callbacks of a trainer of ``lightning.pytorch``."""
    return _callbacks("lightning.pytorch")


def callbacks_of_pytorch_lightning() -> list[Any]:
    """The callbacks of a trainer of ``pytorch_lightning``."""
    return _callbacks("pytorch_lightning")


def _callbacks(package: str) -> list[Any]:
    if os.environ.get("RNNLINT_MONITOR") != "1":
        return []
    from rnnlint.runtime.plugins.lightning import callback_for

    return callback_for(package)
