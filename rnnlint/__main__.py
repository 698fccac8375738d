"""Lets `python -m rnnlint` be the same as `rnnlint`."""

from __future__ import annotations

import os
import sys

# Python puts the current folder first on the path of `-m`.  It is often the project that
# is analysed, and no module of that may be imported, not even one called `click`.
try:
    HERE = os.getcwd()
except OSError:  # it was removed; the command line says so
    HERE = ""
if sys.path and sys.path[0] in ("", HERE):
    del sys.path[0]

from rnnlint.cli import main

if __name__ == "__main__":
    main()
