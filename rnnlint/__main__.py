"""Lets `python -m rnnlint` be the same as `rnnlint`."""

from __future__ import annotations

from rnnlint.cli import main

if __name__ == "__main__":
    main()
