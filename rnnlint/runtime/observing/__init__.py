"""Runs somebody's training script under observation, unmodified, and writes down what it showed.

`rnnlint doctor` starts this in a process of its own::

    python -m rnnlint.runtime.observing --report FILE [--steps N] SCRIPT [ARGS...]

Nothing of PyTorch stays changed when the script has ended.
"""
